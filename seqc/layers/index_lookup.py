"""What the layers have in common that look tokens up in a vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from seqc import ops
from seqc.errors import ConfigError, SavingError
from seqc.graph.element_types import FLOATS
from seqc.graph.ir import Value, apply, as_value, constant
from seqc.graph.strings import STRING
from seqc.layers._vocabulary import TokenCounts, typed
from seqc.layers._vocabulary_layer import VocabularyLayer
from seqc.layers.encoding import encode, refuse_sparse
from seqc.ops.strings import CountTokens, LookUp, Missing
from seqc.ops.text_hashes import HashText

OUTPUT_MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")
_OLD_MODES = {"binary": "multi_hot", "tf-idf": "tf_idf"}
_FILE = "vocabulary.txt"
# In place of the number of a token: none there is, which belongs to no category; and none known, to be hashed.
_MASKED, _UNKNOWN = -2, -1


def output_mode_name(mode: Any, who: str) -> str:
    """Returns an output mode by its present name.

    Raises:
        ConfigError: there is no such mode.
    """
    name = _OLD_MODES.get(mode, mode) if isinstance(mode, str) else mode
    if name not in OUTPUT_MODES:
        raise ConfigError(f"Unknown arg for output_mode: {mode!r}. {who} has {', '.join(OUTPUT_MODES)}.")
    return str(name)


def checked_salt(salt: Any, who: str) -> tuple[int, int] | None:
    """Returns the two numbers of a salt, which may be given as one.

    Raises:
        ConfigError: it is something else.
    """
    given = (salt, salt) if isinstance(salt, int) and not isinstance(salt, bool) else salt
    if given is None:
        return None
    if not isinstance(given, list | tuple) or len(given) != 2 or not all(isinstance(one, int) for one in given):
        raise ConfigError(
            f"The `salt` argument for `{who}` can only be a tuple of 2 integers, or a single integer. Received: "
            f"salt={salt}."
        )
    return int(given[0]), int(given[1])


def refuse_path(who: str, config: Mapping[str, Any]) -> None:
    """Refuses a configuration that names a file, which could be any.

    Raises:
        ConfigError: it does.
    """
    if isinstance(config.get("vocabulary"), str):
        raise ConfigError(
            f"The configuration of a {who} names a vocabulary file outside of the model, '{config['vocabulary']}', "
            "which is not read. Give the list of its tokens."
        )


class IndexLookup(VocabularyLayer):
    """Numbers of tokens in a vocabulary: first the mask token's if there is one, then those of unknown tokens.

    Args:
        max_tokens: how many there may be, those of masked and unknown ones among them; None for any.
        num_oov_indices: over how many numbers unknown tokens are spread; 0 where they are an error.
        mask_token: what stands for nothing: 0, or no category. oov_token: what stands for unknown tokens in `invert`.
        vocabulary: the tokens, in a list, an array, or a text file with one a line. idf_weights: of each of them.
        invert: whether numbers come in and tokens go out.
        output_mode: "int" for numbers; "one_hot", "multi_hot", "count" as in `CategoryEncoding`; "tf_idf" for counts
            times `idf_weights`.
        pad_to_max_tokens: whether vectors have `max_tokens` elements, however many tokens there are.
        oov_method: how integers are spread: "floormod", or "farmhash" as strings always are. salt: for SipHash instead.
        vocabulary_size: as a file has it. has_input_vocabulary: whether it can be adapted no more.
    """

    oov_method: str
    not_kept = ("vocabulary", "vocabulary_size", "has_input_vocabulary", "sparse", "idf_weights", "salt", "output_mode")
    # What the configuration has, in Keras's order.
    _configured: ClassVar[tuple[str, ...]] = (
        "invert", "max_tokens", "num_oov_indices", "oov_token", "mask_token", "output_mode", "pad_to_max_tokens",
        "oov_method",
    )  # fmt: skip

    def _start(self, output_mode: Any, sparse: Any, salt: Any, vocabulary: Any, idf_weights: Any, **more: Any) -> None:
        """Checks the arguments, and sets the vocabulary that is given."""
        who = type(self).__name__
        self.output_mode, self.salt = output_mode_name(output_mode, who), checked_salt(salt, who)
        refuse_sparse(self, sparse)
        self._check_arguments(idf_weights, vocabulary)
        self.input_vocabulary = None
        self.input_idf_weights = None if idf_weights is None else np.asarray(idf_weights, np.float64).tolist()
        self._fixed = more["has_input_vocabulary"] or vocabulary is not None
        self._frozen_size = more["vocabulary_size"]
        self._tokens, self._known = (), False
        self._idf = None
        self._counts = TokenCounts()
        self.built = True
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)
            self.input_vocabulary = None if isinstance(vocabulary, str) else self._as_list(vocabulary)

    def _check_arguments(self, idf_weights: Any, vocabulary: Any) -> None:
        who = type(self).__name__
        if self.max_tokens is not None and self.max_tokens <= 1:
            raise ConfigError(f"If set, `max_tokens` must be greater than 1. Received: max_tokens={self.max_tokens}")
        if self.pad_to_max_tokens and self.max_tokens is None:
            raise ConfigError("If pad_to_max_tokens is True, must set `max_tokens`. Received: max_tokens=None")
        if not isinstance(self.num_oov_indices, int) or self.num_oov_indices < 0:
            raise ConfigError(
                "`num_oov_indices` must be greater than or equal to 0. Received: "
                f"num_oov_indices={self.num_oov_indices}"
            )
        if self.oov_method not in ("floormod", "farmhash"):
            raise ConfigError(f"{who} has `oov_method` 'floormod' and 'farmhash'. Received: {self.oov_method!r}")
        if self.salt is not None and self.vocabulary_dtype != STRING and self.oov_method != "farmhash":
            raise ConfigError(
                f"`salt` can only be used when `oov_method='farmhash'`. Received: oov_method={self.oov_method}"
            )
        if self.invert and self.output_mode != "int":
            raise ConfigError(
                f"`output_mode` must be `'int'` when `invert` is true. Received: output_mode={self.output_mode}"
            )
        if idf_weights is not None and self.output_mode != "tf_idf":
            raise ConfigError(
                "`idf_weights` should only be set if `output_mode` is `'tf_idf'`. Received: "
                f"idf_weights={idf_weights} and output_mode={self.output_mode}"
            )
        if self.output_mode == "tf_idf" and vocabulary is not None and idf_weights is None:
            raise ConfigError(
                "When specifying the `vocabulary` argument, in TF-IDF output mode, the `idf_weights` argument must "
                "also be provided."
            )

    # -- calling -----------------------------------------------------------------------------------------------------

    def call(self, inputs: Any) -> Value:
        x = as_value(inputs)
        if self.invert:
            return apply(self._inverse(), ops.cast(x, "int64"))
        indices = self._indices(x if self.vocabulary_dtype == STRING else ops.cast(x, "int64"))
        if self.output_mode == "int":
            return indices
        depth = self.max_tokens if self.pad_to_max_tokens else self._frozen_size
        if depth is None:
            raise ConfigError(
                f"When using `output_mode={self.output_mode}` and `pad_to_max_tokens=False`, you must set the "
                f"vocabulary of layer '{self.name}' before calling it. Either pass a `vocabulary` argument to the "
                "layer, or call `adapt` with some sample data."
            )
        dtype = self.compute_dtype if self.compute_dtype in FLOATS else "float32"
        if self.output_mode == "one_hot" or indices.type.rank != 2:
            vectors = encode(indices, "count" if self.output_mode == "tf_idf" else self.output_mode, depth, dtype)
        else:
            vectors = apply(CountTokens(depth, self.output_mode == "multi_hot", dtype), indices)
        if self.output_mode != "tf_idf":
            return vectors
        if self._idf is None:  # those of a file come when its model is there
            why = f"Layer '{self.name}' has no `idf_weights` yet: call adapt(data) or set_vocabulary first."
            return vectors * apply(Missing(dtype, depth, why))
        return vectors * constant(self._idf.astype(dtype))

    def _table(self, keys: tuple[Any, ...], values: tuple[Any, ...], default: Any, *dtypes: str) -> LookUp:
        """Returns a table, which nothing can be looked up in before there is a vocabulary."""
        return LookUp(keys, values, default, *dtypes) if self._known else LookUp((), (), None, *dtypes)

    def _inverse(self) -> LookUp:
        first = self._first_token
        keys, tokens = tuple(range(first, first + len(self._tokens))), self._tokens
        if self.mask_token is not None:
            keys, tokens = (0, *keys), (self.mask_token, *tokens)
        return self._table(keys, tokens, self.oov_token, "int64", self.vocabulary_dtype)

    def _indices(self, x: Value) -> Value:
        first, oov = self._first_token, self.num_oov_indices
        keys, numbers = self._tokens, tuple(range(first, first + len(self._tokens)))
        if self.mask_token is not None:
            keys, numbers = (self.mask_token, *keys), (0 if self.output_mode == "int" else _MASKED, *numbers)
        default = {0: None, 1: self._first_oov}.get(oov, _UNKNOWN)
        found = apply(self._table(keys, numbers, default, self.vocabulary_dtype, "int64"), x)
        if oov < 2:
            return found
        if self.vocabulary_dtype != STRING and self.oov_method == "floormod":
            bins = ops.mod(x, constant(np.int64(oov)))
        else:
            bins = apply(HashText(oov, self.salt), x)
        unknown = found == constant(np.int64(_UNKNOWN))
        return ops.where(unknown, bins + constant(np.int64(self._first_oov)), found)

    def _default_input_dtype(self) -> str:
        return "int64" if self.invert else self.vocabulary_dtype

    # -- files -------------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        base = {key: config[key] for key in ("name", "trainable", "dtype")}
        own = {key: getattr(self, key) for key in self._configured}
        return (
            base
            | own
            | {
                "sparse": False,
                "idf_weights": self._in_config[1],
                "vocabulary": self._in_config[0],
                "vocabulary_size": self._frozen_size,
                "salt": None if self.salt is None else list(self.salt),
            }
        )

    @property
    def _in_config(self) -> tuple[list[Any] | None, Any]:
        """What stands in the configuration: the vocabulary that was given, or one that a text file cannot hold."""
        given, idf = self.input_vocabulary, self.input_idf_weights
        texts = self._tokens if self.vocabulary_dtype == STRING else ()
        if given is None and texts and (not texts[-1] or any("\n" in token for token in texts)):
            given = self.get_vocabulary()
            idf = None if self._idf is None else self._idf[: len(given)]
        return given, None if idf is None else np.asarray(idf, np.float64).tolist()

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        refuse_path(cls.__name__, config)
        return cls(**config)

    def get_build_config(self) -> dict[str, Any]:
        return {}

    @property
    def _has_assets(self) -> bool:
        """Whether the vocabulary stands in a file beside the configuration."""
        return self._in_config[0] is None

    def save_assets(self, dir_path: str) -> None:
        """Writes the vocabulary that `adapt` found to a file in a folder, where it stands in no configuration."""
        if self._has_assets:
            Path(dir_path, _FILE).write_bytes("\n".join(map(str, self.get_vocabulary())).encode())

    def load_assets(self, dir_path: str) -> None:
        """Sets the vocabulary from the file in such a folder.

        Raises:
            SavingError: the vocabulary is damaged, or does not fit.
        """
        file = Path(dir_path, _FILE)
        if self.input_vocabulary is not None or not file.is_file():
            return
        try:
            lines = file.read_bytes().decode().split("\n")
            # Keras takes none of them for a token, though it writes one that is the last.
            while lines and not lines[-1] and len(lines) > (self._frozen_size or 0):
                lines.pop()
            tokens = typed(lines, self.vocabulary_dtype, _FILE)
            special = self._special_tokens
            found = tokens[len(special) :] if tokens[: len(special)] == special else tokens
            if found:  # a layer that was not adapted wrote the special ones only
                self._set_tokens(found)
        except (UnicodeDecodeError, ConfigError) as error:
            raise SavingError(f"The vocabulary of layer '{self.name}' in the file cannot be used: {error}") from error

    def save_own_variables(self, store: dict[str, Any]) -> None:
        if self.output_mode == "tf_idf" and self._idf is not None:
            store["idf_weights"] = self._idf

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        if self.output_mode == "tf_idf" and "idf_weights" in store:
            self._idf = np.asarray(store["idf_weights"], np.float32)
            self.changes += 1
