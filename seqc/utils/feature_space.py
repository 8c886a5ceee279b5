"""Tables with columns of all kinds as numbers: one layer for each column, and one for each combination of columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np

from seqc import layers, tree
from seqc.errors import ArgumentTypeError, ConfigError, NotBuiltError
from seqc.functional import Functional
from seqc.graph.ir import Array, Value
from seqc.layers.calls import is_symbolic
from seqc.utils.features import Cross, Feature, Kinds, check_mode
from seqc.utils.naming import unique_name

# Rows that `adapt` looks at together, where the data come in no batches of their own.
_ROWS = 32
_KINDS = (
    "float", "float_normalized", "float_rescaled", "float_discretized", "integer_categorical", "string_categorical",
    "integer_hashed", "string_hashed",
)  # fmt: skip


class FeatureSpace(Kinds):
    """Makes vectors of rows of a table; `get_encoded_features` gives symbols for models that begin with it.

    Args:
        features: what each column is, by its name: one of "float", "float_normalized", "float_rescaled",
        "float_discretized", "integer_categorical", "string_categorical", "integer_hashed" and "string_hashed", or what
        the methods of these names give, or `feature`.
        output_mode: "concat" for one vector, or "dict" for all of them by name. crosses: names of columns to combine.
        crossing_dim, hashing_dim, num_discretization_bins: bins of those that are given by names alone.
        name: of it.

    Raises:
        ConfigError: there are no features, or one is none of these.
    """

    def __init__(
        self,
        features: Mapping[str, Any],
        output_mode: str = "concat",
        crosses: Sequence[Any] | None = None,
        crossing_dim: int = 32,
        hashing_dim: int = 32,
        num_discretization_bins: int = 32,
        name: str | None = None,
    ) -> None:
        if not features:
            raise ConfigError("The `features` argument cannot be None or empty.")
        check_mode(output_mode, ("dict", "concat"))
        self.name = name or unique_name("feature_space")
        self.crossing_dim, self.hashing_dim = crossing_dim, hashing_dim
        self.num_discretization_bins, self.output_mode = num_discretization_bins, output_mode
        self.features = {key: self._as_feature(key, value) for key, value in features.items()}
        self.preprocessors = {key: feature.preprocessor for key, feature in self.features.items()}
        self.crosses = [self._as_cross(cross) for cross in crosses or ()]
        self.crossers = {c.name: layers.HashedCrossing(c.crossing_dim, name=c.name) for c in self.crosses}
        self._adapted = not self._adaptable()
        self._model: Functional | None = None
        self._inputs: dict[str, Value] = {}

    # -- working -----------------------------------------------------------------------------------------------------

    def adapt(self, dataset: Any) -> None:
        """Lets the layers of columns look at data.

        Args:
            dataset: a dictionary of columns, or dictionaries of rows or of batches of them.

        Raises:
            ArgumentTypeError: it is something else.
        """
        batches = [dataset] if isinstance(dataset, Mapping) else list(dataset) if _gives(dataset) else []
        if not batches or not all(isinstance(batch, Mapping) for batch in batches):
            raise ArgumentTypeError(
                "`adapt()` can only be called on a dict of arrays/lists, or on what gives such dicts. Received "
                f"instead: {dataset!r} (of type {type(dataset)})"
            )
        for name in self._adaptable():
            column = [np.asarray(batch[name]) for batch in batches]
            if len(column) == 1 or not column[0].ndim:  # rows
                whole = column[0] if len(column) == 1 else np.stack(column)
                column = [whole[i : i + _ROWS] for i in range(0, len(whole), _ROWS)]
            self.preprocessors[name].adapt(iter([_as_column(part) for part in column]))
        self._adapted, self._model = True, None

    def get_inputs(self) -> dict[str, Value]:
        """Returns the inputs of columns (batch, 1), by their names."""
        self._built()  # whose own inputs are in the order of their names, not that of the columns
        return dict(self._inputs)

    def get_encoded_features(self) -> Any:
        """Returns what becomes of them: (batch, numbers), or by name in the mode "dict"."""
        return self._built().output

    def __call__(self, data: Mapping[str, Any]) -> Any:
        """Returns vectors of rows, or of one row, whose columns are given by name: numbers, or symbols."""
        if not isinstance(data, Mapping):
            raise ArgumentTypeError(
                f"A FeatureSpace can only be called with a dict. Received: data={data!r} (of type {type(data)})"
            )
        if any(isinstance(x, Value) and is_symbolic(x) for x in data.values()):
            return self._built()(dict(data))
        columns = {name: np.asarray(data[name]) for name in self.features}
        single = all(not x.ndim for x in columns.values())
        found = self._built()({name: _as_column(x) for name, x in columns.items()})
        return tree.map_structure(lambda y: y[0], found) if single else found

    def get_config(self) -> dict[str, Any]:
        """Returns its features, crosses and layers as plain data."""
        return {
            "features": {name: feature.get_config() for name, feature in self.features.items()},
            "output_mode": self.output_mode,
            "crosses": [cross.get_config() for cross in self.crosses],
            "crossing_dim": self.crossing_dim,
            "hashing_dim": self.hashing_dim,
            "num_discretization_bins": self.num_discretization_bins,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> FeatureSpace:
        """Returns one with such features, crosses and layers."""
        return cls(**config)

    def save(self, filepath: str | PathLike[str]) -> None:
        """Refuses to write a file of its own.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "A FeatureSpace has no file of its own. Save the model that begins with it: "
            "Model(space.get_inputs(), outputs).save(path), or without further layers Model(space.get_inputs(), "
            "space.get_encoded_features())."
        )

    # -- inside ------------------------------------------------------------------------------------------------------

    def _as_feature(self, name: str, given: Any) -> Feature:
        if isinstance(given, Feature):
            return given
        if isinstance(given, Mapping):
            return Feature(**given)
        if given not in _KINDS:
            raise ConfigError(f"Invalid feature type: {given!r}. It is one of {', '.join(_KINDS)}, or a Feature.")
        first = {"float_discretized": self.num_discretization_bins, "integer_hashed": self.hashing_dim,
                 "string_hashed": self.hashing_dim}.get(given)  # fmt: skip
        made: Feature = getattr(self, given)(*([] if first is None else [first]), name=name)
        return made

    def _as_cross(self, given: Any) -> Cross:
        cross = given if isinstance(given, Cross) else Cross(**given) if isinstance(given, Mapping) else None
        names = given if cross is None else cross.feature_names
        if not {*names} <= {*self.features}:
            raise ConfigError(
                "All features referenced in the `crosses` argument should be present in the `features` dict. Received "
                f"unknown features: {names}"
            )
        return Cross(names, self.crossing_dim) if cross is None else cross

    def _adaptable(self) -> list[str]:
        return [name for name, layer in self.preprocessors.items() if hasattr(layer, "adapt") and not _is_fixed(layer)]

    def _built(self) -> Functional:
        if not self._adapted:
            raise NotBuiltError("You need to call `.adapt(dataset)` on the FeatureSpace before you can start using it.")
        if self._model is None:
            inputs = {n: layers.Input((1,), dtype=f.dtype, name=n) for n, f in self.features.items()}
            made = {n: self.preprocessors[n](x) for n, x in inputs.items()}
            crossed = {c.name: self.crossers[c.name]([made[n] for n in c.feature_names]) for c in self.crosses}
            specs: list[tuple[str, Feature | Cross, Any]] = [(n, self.features[n], made[n]) for n in sorted(made)]
            specs += [(c.name, c, crossed[c.name]) for c in sorted(self.crosses, key=lambda c: c.name)]
            encoded = {name: self._encoded(name, spec, x) for name, spec, x in specs}
            outputs: Any = encoded
            if self.output_mode == "concat":
                parts = list(encoded.values())
                outputs = layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
            self._model, self._inputs = Functional(inputs, outputs, name=self.name), inputs
        return self._model

    def _encoded(self, name: str, spec: Feature | Cross, x: Any) -> Any:
        if spec.output_mode == "one_hot":
            if not str(x.dtype).startswith("int"):
                raise ConfigError(
                    f"Feature '{name}' has `output_mode='one_hot'`. Thus its preprocessor should return an integer "
                    f"dtype. Instead it returns a {x.dtype} dtype."
                )
            x = layers.CategoryEncoding(self._count(name), "multi_hot")(x)
        if self.output_mode == "concat" and not str(x.dtype).startswith(("float", "bfloat")):
            raise ConfigError(
                f"Cannot concatenate features because feature '{name}' has not been encoded (it has dtype {x.dtype}). "
                "Consider using `output_mode='dict'`."
            )
        return x

    def _count(self, name: str) -> int:
        layer = self.preprocessors.get(name) or self.crossers.get(name)
        if isinstance(layer, layers.IntegerLookup | layers.StringLookup):
            return layer.vocabulary_size()
        found = getattr(layer, "num_tokens", None) or getattr(layer, "num_bins", None)
        if found is None and isinstance(layer, layers.Discretization):
            found = len(layer.bin_boundaries or ()) + 1
        if found is None:
            raise ConfigError(
                f"Feature '{name}' has `output_mode='one_hot'`. However it isn't a standard feature and the "
                "dimensionality of its output space is not known, thus it cannot be one-hot encoded. Try using "
                "`output_mode='int'`."
            )
        return int(found)


def _is_fixed(layer: Any) -> bool:
    """Tells whether a layer was made with what `adapt` would find."""
    if isinstance(layer, layers.Normalization):
        return layer.input_mean is not None
    if isinstance(layer, layers.Discretization):
        return layer.num_bins is None
    inner = getattr(layer, "_lookup_layer", layer)  # of TextVectorization
    return getattr(inner, "input_vocabulary", None) is not None


def _as_column(x: Array) -> Array:
    return x.reshape(1, 1) if not x.ndim else x[:, None] if x.ndim == 1 else x


def _gives(dataset: Any) -> bool:
    return isinstance(dataset, Iterable) and not isinstance(dataset, str | bytes | np.ndarray)
