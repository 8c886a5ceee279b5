"""What a layer knows of the tokens it looks up: setting it, learning it, and which numbers it means."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from seqc.errors import ConfigError, DataError
from seqc.graph.ir import Array
from seqc.graph.strings import STRING
from seqc.layers._vocabulary import TokenCounts, as_tokens, read_tokens, token_batches
from seqc.layers.base import Layer


class VocabularyLayer(Layer):
    """A layer with a vocabulary: special tokens, then those that are given, or that `adapt` finds.

    Attributes:
        vocabulary_dtype: of tokens, "string" or "int64". input_vocabulary, input_idf_weights: what the configuration
            has; None where they stand in files of their own.
    """

    max_tokens: int | None
    num_oov_indices: int
    mask_token: Any
    oov_token: Any
    invert: bool
    pad_to_max_tokens: bool
    output_mode: str
    vocabulary_dtype: str = STRING
    input_vocabulary: Any
    input_idf_weights: Any
    # Whether it was given with the layer, so that it is not for `adapt` to change.
    _fixed: bool
    # How many numbers there are, where vectors are as long.
    _frozen_size: int | None
    _tokens: tuple[Any, ...]
    # Whether they are set: there may be none but the special ones.
    _known: bool
    _idf: Array | None
    _counts: TokenCounts

    @property
    def _first_oov(self) -> int:
        return 1 if self.mask_token is not None and self.output_mode == "int" else 0

    @property
    def _first_token(self) -> int:
        return self._first_oov + self.num_oov_indices

    @property
    def _special_tokens(self) -> list[Any]:
        return [self.mask_token] * self._first_oov + [self.oov_token] * self.num_oov_indices

    def vocabulary_size(self) -> int:
        """Returns how many numbers there are, those of masked and unknown tokens among them."""
        return self._first_token + len(self._tokens)

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """Returns the tokens in the order of their numbers.

        Args:
            include_special_tokens: whether with the mask token and those for unknown tokens, so that a token's place is
                its number.
        """
        return [*(self._special_tokens if include_special_tokens else ()), *self._tokens]

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Sets the tokens, in place of those that were there.

        Args:
            vocabulary: a list or array of tokens, with or without the special ones in front; or the path of a text file
                with one a line. idf_weights: one for each of them, in mode "tf_idf".

        Raises:
            ConfigError: tokens occur twice or are too many, or weights are missing or do not fit.
        """
        if self.output_mode == "tf_idf" and idf_weights is None:
            raise ConfigError("`idf_weights` must be set if output_mode is 'tf_idf'.")
        if self.output_mode != "tf_idf" and idf_weights is not None:
            raise ConfigError(
                "`idf_weights` should only be set if output_mode is `'tf_idf'`. Received: "
                f"output_mode={self.output_mode} and idf_weights={idf_weights}"
            )
        if isinstance(vocabulary, str):
            if self.output_mode == "tf_idf":
                raise ConfigError("output_mode `'tf_idf'` does not support loading a vocabulary from file.")
            self.input_vocabulary = None
            self._set_tokens(read_tokens(vocabulary, self.vocabulary_dtype))
            return
        given = self._as_list(vocabulary)
        special = self._special_tokens
        found = given[: len(special)] == special
        tokens = given[len(special) :] if found else given
        self._set_tokens(tokens)
        if self.input_vocabulary is not None:
            self.input_vocabulary, self.input_idf_weights = given, idf_weights
        if idf_weights is not None:
            self._set_idf(np.asarray(idf_weights, np.float64), len(given), 0 if found else self._first_token)

    def _as_list(self, vocabulary: Any) -> list[Any]:
        given: list[Any] = as_tokens(vocabulary, self.vocabulary_dtype, f"`vocabulary` of layer '{self.name}'").tolist()
        if not given:
            raise ConfigError(f"Cannot set an empty vocabulary. Received: vocabulary={vocabulary}")
        return given

    def _set_tokens(self, tokens: list[Any]) -> None:
        repeated = [token for token, n in Counter(tokens).items() if n > 1]
        if repeated:
            raise ConfigError(
                "The passed vocabulary has at least one repeated term. Please uniquify your dataset. The repeated "
                f"terms are: {repeated}"
            )
        for token, what in ((self.mask_token, "mask"), (self.oov_token if self.invert else None, "OOV")):
            if token is not None and token in tokens:
                raise ConfigError(
                    f"Found reserved {what} token {token!r} at unexpected location in `vocabulary`. Either remove all "
                    "mask and OOV tokens, or include them only at the start of the vocabulary in precisely this order: "
                    f"{self._special_tokens}."
                )
        size = self._first_token + len(tokens)
        if self.max_tokens is not None and size > self.max_tokens:
            raise ConfigError(
                "Attempted to set a vocabulary larger than the maximum vocab size. Received vocabulary size is "
                f"{size}; `max_tokens` is {self.max_tokens}."
            )
        self._freeze(size)
        self._tokens, self._known = tuple(tokens), True
        self.changes += 1

    def _freeze(self, size: int) -> None:
        """Holds the size of vectors, on which what follows depends."""
        free = self.output_mode == "int" or self.pad_to_max_tokens
        if not free and self._frozen_size is not None and size != self._frozen_size:
            raise ConfigError(
                f"When using `output_mode={self.output_mode}` and `pad_to_max_tokens=False`, the vocabulary size "
                f"cannot be changed after it was set. Old vocab size is {self._frozen_size}, new vocab size is {size}. "
                "Make a new layer, or use pad_to_max_tokens=True."
            )
        self._frozen_size = size

    def _set_idf(self, weights: Array, tokens: int, in_front: int) -> None:
        if weights.ndim != 1:
            raise ConfigError(f"TF-IDF data must be a 1-index array. Received shape {weights.shape}.")
        if len(weights) != tokens:
            raise ConfigError(
                f"`idf_weights` must be the same length as vocabulary. len(idf_weights) is {len(weights)}; "
                f"len(vocabulary) is {tokens}"
            )
        front = np.full(in_front, np.mean(weights) if in_front else 0.0)
        behind = self.max_tokens - in_front - tokens if self.pad_to_max_tokens and self.max_tokens is not None else 0
        self._idf = np.concatenate([front, weights, np.zeros(behind)]).astype(np.float32)

    @property
    def idf_weights(self) -> Array | None:
        """The weights of all categories in mode "tf_idf", or None."""
        return self._idf

    # -- learning it -------------------------------------------------------------------------------------------------

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Sets the vocabulary to the tokens in data, the most frequent ones first.

        Args:
            data: an array or a list; or batches: a generator, a `PyDataset`; of pairs the first. In mode "tf_idf" each
                row is a document.
            steps: how many batches to take at most.

        Raises:
            ConfigError: the layer was made with a vocabulary. DataError: they are no such data.
        """
        self.reset_state()
        for batch in token_batches(data, self.vocabulary_dtype, steps, f"adapt() of layer '{self.name}'"):
            self.update_state(batch)
        self.finalize_state()

    def reset_state(self) -> None:
        """Forgets what `update_state` has counted."""
        self._counts = TokenCounts()

    def update_state(self, data: Any) -> None:
        """Counts the tokens of a batch."""
        self._refuse_fixed()
        array = as_tokens(data, self.vocabulary_dtype, f"Layer '{self.name}'")
        self._counts.add(array, self.output_mode == "tf_idf")

    def count_rows(self, rows: Any) -> None:
        """Counts the tokens of documents that are lists."""
        self._refuse_fixed()
        self._counts.add_rows(rows, self.output_mode == "tf_idf")

    def _refuse_fixed(self) -> None:
        if self._fixed:
            raise ConfigError(
                f"Cannot adapt layer '{self.name}' after setting a static vocabulary via `vocabulary` argument or "
                "`set_vocabulary()` method."
            )

    def finalize_state(self) -> None:
        """Takes the tokens that were counted as the vocabulary."""
        limit = None if self.max_tokens is None else self.max_tokens - self._first_token
        tokens = self._counts.most_common([self.mask_token, self.oov_token], limit)
        if self._fixed or not tokens:
            if not self._fixed:
                raise DataError(f"adapt() of layer '{self.name}' received no tokens. Pass an array or batches of them.")
            return
        self._set_tokens(tokens)
        self.input_vocabulary = None
        if self.output_mode == "tf_idf":
            self._set_idf(self._counts.idf(tokens), len(tokens), self._first_token)
        self.reset_state()
