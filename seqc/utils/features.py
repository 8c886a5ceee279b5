"""What the columns of a table can be, for `FeatureSpace`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqc import layers
from seqc.errors import ConfigError
from seqc.serialization import deserialize, serialize_object
from seqc.utils.naming import unique_name


class Feature:
    """A column: what it holds, the layer that makes numbers of it, and how these come.

    Args:
        dtype: of the column. preprocessor: the layer. output_mode: "float", "int", or "one_hot".
    """

    def __init__(self, dtype: str, preprocessor: Any, output_mode: str) -> None:
        check_mode(output_mode, ("int", "one_hot", "float"))
        made = deserialize(preprocessor) if isinstance(preprocessor, dict) else preprocessor
        self.dtype, self.preprocessor, self.output_mode = dtype, made, output_mode

    def get_config(self) -> dict[str, Any]:
        preprocessor = serialize_object(self.preprocessor)
        return {"dtype": self.dtype, "preprocessor": preprocessor, "output_mode": self.output_mode}


class Cross:
    """A combination of columns, hashed.

    Args:
        feature_names: of the columns. crossing_dim: how many bins there are. output_mode: "int" or "one_hot".
    """

    def __init__(self, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot") -> None:
        check_mode(output_mode, ("int", "one_hot"))
        self.feature_names, self.crossing_dim, self.output_mode = tuple(feature_names), crossing_dim, output_mode

    @property
    def name(self) -> str:
        return "_X_".join(self.feature_names)

    def get_config(self) -> dict[str, Any]:
        names = list(self.feature_names)
        return {"feature_names": names, "crossing_dim": self.crossing_dim, "output_mode": self.output_mode}


class Kinds:
    """The usual columns, each with its layer."""

    @classmethod
    def cross(cls, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot") -> Cross:
        """Returns features taken together: a column of its own for each pair, hashed into `crossing_dim`."""
        return Cross(feature_names, crossing_dim, output_mode)

    @classmethod
    def feature(cls, dtype: str, preprocessor: Any, output_mode: str) -> Feature:
        """Returns a column with a layer of your own."""
        return Feature(dtype, preprocessor, output_mode)

    @classmethod
    def float(cls, name: str | None = None) -> Feature:
        """Returns a column of numbers that stay as they are."""
        return Feature("float32", layers.Identity(name=_named("float", name)), "float")

    @classmethod
    def float_rescaled(cls, scale: Any = 1.0, offset: Any = 0.0, name: str | None = None) -> Feature:
        """Returns a column of numbers times `scale` plus `offset`."""
        return Feature("float32", layers.Rescaling(scale, offset, name=_named("float_rescaled", name)), "float")

    @classmethod
    def float_normalized(cls, name: str | None = None) -> Feature:
        """Returns a column of numbers, brought to mean 0 and variance 1 by `adapt`."""
        return Feature("float32", layers.Normalization(-1, name=_named("float_normalized", name)), "float")

    @classmethod
    def float_discretized(
        cls,
        num_bins: int,
        bin_boundaries: Sequence[Any] | None = None,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Returns a column of numbers that become the number of their interval."""
        made = layers.Discretization(bin_boundaries, num_bins, name=_named("float_discretized", name))
        return Feature("float32", made, output_mode)

    @classmethod
    def integer_categorical(
        cls, max_tokens: int | None = None, num_oov_indices: int = 1, output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:  # fmt: skip
        """Returns a column of whole numbers that are names; `adapt` finds which there are."""
        made = layers.IntegerLookup(max_tokens, num_oov_indices, name=_named("integer_categorical", name))
        return Feature("int32", made, output_mode)

    @classmethod
    def string_categorical(
        cls, max_tokens: int | None = None, num_oov_indices: int = 1, output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:  # fmt: skip
        """Returns a column of texts that are names; `adapt` finds which there are."""
        made = layers.StringLookup(max_tokens, num_oov_indices, name=_named("string_categorical", name))
        return Feature("string", made, output_mode)

    @classmethod
    def string_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Returns a column of texts, hashed into `num_bins`."""
        return Feature("string", layers.Hashing(num_bins, name=_named("string_hashed", name)), output_mode)

    @classmethod
    def integer_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Returns a column of whole numbers, hashed into `num_bins`."""
        return Feature("int32", layers.Hashing(num_bins, name=_named("integer_hashed", name)), output_mode)


def _named(kind: str, name: str | None) -> str:
    return f"{name or unique_name(kind)}_preprocessor"


def check_mode(mode: Any, modes: tuple[str, ...]) -> None:
    """Raises ConfigError where an output mode is none of some."""
    if mode not in modes:
        raise ConfigError(
            f"Invalid value for argument `output_mode`. Expected one of {set(modes)}. Received: output_mode={mode}"
        )
