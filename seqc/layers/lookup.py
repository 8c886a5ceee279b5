"""Strings and integers as numbers in a vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqc.errors import ConfigError
from seqc.known_classes import known
from seqc.layers._arguments import keep_arguments
from seqc.layers.index_lookup import IndexLookup


@known("layers")
class StringLookup(IndexLookup):
    """Strings as numbers of a vocabulary, or numbers as strings.

    Args:
        encoding: of texts; UTF-8 it must be. Of the others `IndexLookup` tells.

    Shapes: strings of any shape to integers of that shape; of vectors as in `CategoryEncoding`.
    """

    @keep_arguments
    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str = "[UNK]",
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        salt: int | Sequence[int] | None = None,
        oov_method: str = "floormod",
        vocabulary_size: int | None = None,
        has_input_vocabulary: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.encoding = checked_encoding(encoding, type(self).__name__)
        if mask_token is not None and not isinstance(mask_token, str):
            raise ConfigError(
                f"The `mask_token` of StringLookup is a string or None. Received: mask_token={mask_token!r}"
            )
        self._start(
            output_mode, sparse, salt, vocabulary, idf_weights,
            vocabulary_size=vocabulary_size, has_input_vocabulary=has_input_vocabulary,
        )  # fmt: skip

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"encoding": self.encoding}


@known("layers")
class IntegerLookup(IndexLookup):
    """Integers as numbers of a vocabulary of integers, or the other way round; `IndexLookup` tells of the arguments.

    Args:
        vocabulary_dtype: "int64", the only one there is.

    Shapes: integers of any shape to integers of that shape; of vectors as in `CategoryEncoding`.
    """

    vocabulary_dtype = "int64"

    @keep_arguments
    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int = -1,
        vocabulary: Any = None,
        vocabulary_dtype: str = "int64",
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: int | Sequence[int] | None = None,
        name: str | None = None,
        vocabulary_size: int | None = None,
        has_input_vocabulary: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        if vocabulary_dtype != "int64":
            raise ConfigError(
                "Only `vocabulary_dtype='int64'` is supported at this time. Received: "
                f"vocabulary_dtype={vocabulary_dtype}"
            )
        if oov_token is None:
            raise ConfigError("The `oov_token` of IntegerLookup is an integer. Received: oov_token=None")
        self.mask_token = None if mask_token is None else int(mask_token)
        self.oov_token = int(oov_token)
        self._start(
            output_mode, sparse, salt, vocabulary, idf_weights,
            vocabulary_size=vocabulary_size, has_input_vocabulary=has_input_vocabulary,
        )  # fmt: skip

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"vocabulary_dtype": self.vocabulary_dtype}


def checked_encoding(encoding: Any, who: str) -> str:
    """Returns the name of an encoding.

    Raises:
        ConfigError: it is not UTF-8, in which strings are hashed and kept.
    """
    if str(encoding).lower().replace("-", "").replace("_", "") != "utf8":
        raise ConfigError(
            f"{who} has strings in UTF-8 only. Received: encoding={encoding!r}. Decode the texts beforehand: "
            "data.decode(encoding)."
        )
    return str(encoding)
