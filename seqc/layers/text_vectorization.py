"""Texts as the numbers of their words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from seqc import ops
from seqc.errors import ConfigError, ShapeError
from seqc.graph import dims
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph, Value, apply, as_value, input_value
from seqc.graph.strings import STRING
from seqc.graph.tracing import current_trace
from seqc.known_classes import known
from seqc.layers._arguments import keep_arguments
from seqc.layers._vocabulary import as_tokens, token_batches
from seqc.layers.base import Layer
from seqc.layers.encoding import refuse_sparse
from seqc.layers.index_lookup import output_mode_name, refuse_path
from seqc.layers.lookup import StringLookup, checked_encoding
from seqc.ops.strings import CallOnStrings, FitLength, SplitText, Standardize

_LOWER, _STRIP = "lower", "strip_punctuation"
_BOTH = f"{_LOWER}_and_{_STRIP}"


@known("layers")
class TextVectorization(Layer):
    """Texts as the numbers of their words in a vocabulary; 0 is no word, and 1 an unknown one.

    Args:
        max_tokens: how large the vocabulary may be, with the special tokens.
        standardize: "lower_and_strip_punctuation", "lower" or "strip_punctuation", of ASCII; a function from an array
            of strings to another one; or None.
        split: "whitespace", "character", or None where each string is a word.
        ngrams: up to how many words in a row count as one, or a tuple of how many.
        output_mode: "int" for numbers; "multi_hot", "count" and "tf_idf" for a vector a text.
        output_sequence_length: how many numbers a text has, cut off or with zeros behind; None for the longest one's.
        pad_to_max_tokens: whether vectors have `max_tokens` elements. vocabulary, idf_weights: see `StringLookup`.
        encoding: of texts; UTF-8 it must be. vocabulary_size, has_input_vocabulary: see `StringLookup`.

    Shapes: strings (batch,) or (batch, 1) to integers (batch, words), or (batch, tokens); of more axes, and of one
    text, in the same way; without `split` any shape. There is one word at least: 0 where no text has one.

    Example:
        >>> layer = seqc.layers.TextVectorization(output_sequence_length=4)
        >>> layer.adapt(["the cat", "the dog sat"])
        >>> layer.get_vocabulary(), layer(["The cat!"]).numpy()
        (['', '[UNK]', 'the', 'sat', 'dog', 'cat'], array([[2, 5, 0, 0]]))
    """

    output_mode: str
    not_kept = ("sparse", "ragged", "vocabulary", "idf_weights", "vocabulary_size", "has_input_vocabulary", "ngrams")

    @keep_arguments
    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: str | Callable[[Any], Any] | None = _BOTH,
        split: str | None = "whitespace",
        ngrams: int | tuple[int, ...] | None = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: Any = None,
        sparse: bool = False,
        ragged: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        vocabulary_size: int | None = None,
        has_input_vocabulary: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        if standardize not in (None, _LOWER, _STRIP, _BOTH) and not callable(standardize):
            raise ConfigError(
                f"Unknown value for `standardize` argument of TextVectorization: {standardize!r}. It is "
                f"'{_BOTH}', '{_LOWER}', '{_STRIP}', None, or a function."
            )
        if split not in (None, "whitespace", "character"):
            raise ConfigError(
                f"Unknown value for `split` of TextVectorization: {split!r}. It is 'whitespace', 'character' or None; "
                "what a function of yours splits, give as words: split=None, padded with ''."
            )
        refuse_sparse(self, sparse)
        if ragged:
            raise ConfigError("TextVectorization(ragged=True) is not possible: tensors are dense here.")
        self.standardize, self.split = standardize, split
        self.output_mode = output_mode_name(output_mode, "TextVectorization")
        self.ngrams, self._widths = ngrams, _widths(ngrams)
        self.output_sequence_length = _checked_length(output_sequence_length, self.output_mode)
        self.encoding = checked_encoding(encoding, type(self).__name__)
        self._lookup_layer = StringLookup(
            max_tokens=max_tokens,
            vocabulary=vocabulary,
            idf_weights=idf_weights,
            pad_to_max_tokens=pad_to_max_tokens,
            mask_token="",
            output_mode=self.output_mode,
            dtype=self.dtype,
            vocabulary_size=vocabulary_size,
            has_input_vocabulary=has_input_vocabulary,
        )
        self.built = True

    # -- the vocabulary ----------------------------------------------------------------------------------------------

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """Returns the words in the order of their numbers; see `StringLookup`."""
        return self._lookup_layer.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> int:
        """Returns how many numbers there are, those of no and of unknown words among them."""
        return self._lookup_layer.vocabulary_size()

    @property
    def idf_weights(self) -> Array | None:
        """The weights of all words in mode "tf_idf", or None."""
        return self._lookup_layer.idf_weights

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Sets the words; see `StringLookup`."""
        self._lookup_layer.set_vocabulary(vocabulary, idf_weights)

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Sets the vocabulary to the words of texts, the most frequent ones first.

        Args:
            data: an array or list of texts; or batches of such. batch_size: says nothing, as in Keras.
            steps: how many batches to take at most.

        Raises:
            ConfigError: the layer was made with a vocabulary. DataError: they are no texts.
        """
        self.reset_state()
        for batch in token_batches(data, STRING, steps, f"adapt() of layer '{self.name}'"):
            self.update_state(batch)
        self.finalize_state()

    def reset_state(self) -> None:
        """Forgets what `update_state` has counted."""
        self._lookup_layer.reset_state()

    def update_state(self, data: Any) -> None:
        """Counts the words of a batch of texts."""
        words = self._words_of(as_tokens(data, STRING, f"Layer '{self.name}'"))
        rows = words.reshape(1, -1) if words.ndim < 2 else words.reshape(len(words), -1)
        # What stands behind the last word of a shorter text is no word.
        kept = rows.tolist() if self.split is None else [[w for w in row if w] for row in rows.tolist()]
        self._lookup_layer.count_rows(kept)

    def finalize_state(self) -> None:
        """Takes the words that were counted as the vocabulary."""
        self._lookup_layer.finalize_state()

    def _words_of(self, texts: Array) -> Array:
        x = input_value("texts", STRING, texts.shape)
        return np.asarray(Interpreter(Graph((x,), (self._preprocessed(x),), ("words",))).run([texts])[0])

    # -- calling -----------------------------------------------------------------------------------------------------

    def call(self, inputs: Any) -> Value:
        found: Value = self._lookup_layer(self._preprocessed(as_value(inputs)))
        if self.output_mode != "int" or self.output_sequence_length is None:
            return found
        return apply(FitLength(self.output_sequence_length), found)

    def _preprocessed(self, x: Value) -> Value:
        """Returns words: what is left of texts, split."""
        if self.split is not None and x.type.rank > 1:
            if x.type.shape[-1] != 1:
                raise ShapeError(
                    "When using `TextVectorization` to tokenize strings, the input rank must be 1 or the last shape "
                    f"dimension must be 1. Received: inputs.shape={x.shape} with rank={x.type.rank}"
                )
            x = ops.squeeze(x, -1)
        how = self.standardize
        if callable(how):
            x = apply(CallOnStrings(how), x)
        elif how is not None:
            x = apply(Standardize(how in (_LOWER, _BOTH), how in (_STRIP, _BOTH)), x)
        if self.split is None and self._widths is None:
            return x
        trace = current_trace()
        size = f"{self.name}_words" if trace is None else trace.unused(f"{self.name}_words")
        return apply(SplitText(self.split, dims.symbol(size), self._widths), x)

    def _default_input_dtype(self) -> str:
        return STRING

    # -- files -------------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        config, inner = super().get_config(), self._lookup_layer.get_config()
        base = {key: config[key] for key in ("name", "trainable", "dtype")}
        same = {key: inner[key] for key in ("max_tokens", "pad_to_max_tokens", "vocabulary", "idf_weights")}
        own = {
            key: config[key] for key in ("standardize", "split", "output_mode", "output_sequence_length", "encoding")
        }
        sizes = {"ngrams": self.ngrams, "vocabulary_size": self.vocabulary_size()}
        return base | own | same | sizes | {"sparse": False, "ragged": False}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TextVectorization:
        refuse_path(cls.__name__, config)
        return cls(**config)

    def save_assets(self, dir_path: str) -> None:
        """Writes the vocabulary that `adapt` found to a file in a folder, where it stands in no configuration."""
        self._lookup_layer.save_assets(dir_path)

    def load_assets(self, dir_path: str) -> None:
        """Sets the vocabulary from the file in such a folder."""
        self._lookup_layer.load_assets(dir_path)

    def save_own_variables(self, store: dict[str, Any]) -> None:
        self._lookup_layer.save_own_variables(store)

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        self._lookup_layer.load_own_variables(store)


def _widths(ngrams: Any) -> tuple[int, ...] | None:
    if ngrams is None:
        return None
    given = tuple(range(1, ngrams + 1)) if isinstance(ngrams, int) else ngrams
    given = tuple(given) if isinstance(given, list) else given
    if not isinstance(given, tuple) or not given or not all(isinstance(n, int) and n > 0 for n in given):
        raise ConfigError(f"`ngrams` must be None, an integer, or a tuple of integers. Received: ngrams={ngrams}")
    return given


def _checked_length(length: Any, output_mode: str) -> int | None:
    if output_mode != "int" and length is not None:
        raise ConfigError(
            "`output_sequence_length` must not be set if `output_mode` is not 'int'. Received "
            f"output_sequence_length={length}."
        )
    if length is not None and (not isinstance(length, int) or length < 1):
        raise ConfigError(
            "`output_sequence_length` must be either None or a positive integer when `output_mode` is 'int'. Received: "
            f"output_sequence_length={length}"
        )
    return length
