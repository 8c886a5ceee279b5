"""Layers that turn numbers into categories, and categories into vectors of zeros and ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc import ops
from seqc.dtype_policies import floatx
from seqc.errors import ArgumentTypeError, ConfigError, DataError
from seqc.graph.ir import Array, Value, apply, as_value, constant
from seqc.known_classes import known
from seqc.layers._arguments import keep_arguments
from seqc.layers.adapting import batches_of, without_lists
from seqc.layers.base import Layer
from seqc.ops.strings import Missing

MODES = ("one_hot", "multi_hot", "count")


def encode(indices: Value, mode: str, depth: int, dtype: str, weights: Value | None = None) -> Value:
    """Returns categories as vectors.

    Args:
        indices: numbers of categories; what is not in [0, depth) is none of them.
        mode: "int" for the numbers themselves; "one_hot" for a vector each, in place of a last axis of one; for the
            second axis together, "multi_hot" says which there are and "count" how many of each.
        depth: how many categories there are.
        dtype: of the result.
        weights: what each counts, for "count"; one by default.
    """
    if mode == "int":
        return ops.cast(indices, dtype)
    if not indices.type.rank:
        indices, weights = ops.expand_dims(indices, 0), None if weights is None else ops.reshape(weights, (1,))
    if mode == "one_hot":
        if indices.type.rank > 1 and indices.shape[-1] == 1:
            indices = ops.squeeze(indices, -1)
        return ops.one_hot(indices, depth, dtype=dtype)
    if mode == "multi_hot":
        return ops.multi_hot(indices, depth, dtype=dtype)
    together = 1 if indices.type.rank > 1 else 0
    vectors = ops.one_hot(indices, depth, dtype=dtype if weights is None else weights.dtype)
    return ops.sum(vectors if weights is None else vectors * ops.expand_dims(weights, -1), together)


@known("layers")
class CategoryEncoding(Layer):
    """Numbers of categories as vectors: which there are, or how many of each.

    Args:
        num_tokens: how many categories there are; numbers outside [0, num_tokens) belong to none.
        output_mode: "multi_hot" for one vector a sample that says which there are; "count" for how many of each;
            "one_hot" for a vector each.

    Shapes: integers (batch, n), or (n,) for one sample, to (batch, num_tokens); with "one_hot" (batch, n, num_tokens),
    without the axis of n where that is one.
    """

    num_tokens: int
    output_mode: str
    takes_several = False

    @keep_arguments
    def __init__(
        self, num_tokens: int | None = None, output_mode: str = "multi_hot", sparse: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if self.output_mode == "binary":  # its old name
            self.output_mode = "multi_hot"
        if self.output_mode not in MODES:
            raise ConfigError(f"Unknown arg for output_mode: {output_mode}. CategoryEncoding has {', '.join(MODES)}.")
        if num_tokens is None:
            raise ConfigError("num_tokens must be set to use this layer: it is how many categories there are.")
        if not isinstance(num_tokens, int | np.integer) or isinstance(num_tokens, bool) or num_tokens < 1:
            raise ConfigError(f"`num_tokens` must be >= 1. Received: num_tokens={num_tokens}.")
        refuse_sparse(self, sparse)
        self.built = True

    def call(self, x: Any, count_weights: Any = None) -> Value:
        if count_weights is not None and self.output_mode != "count":
            raise ConfigError(
                "`count_weights` is not used when `output_mode` is not `'count'`. "
                f"Received `count_weights={count_weights}`."
            )
        weights = None if count_weights is None else ops.cast(count_weights, self.compute_dtype)
        return encode(ops.cast(as_value(x), "int32"), self.output_mode, self.num_tokens, self.compute_dtype, weights)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["sparse"]
        return config

    def _default_input_dtype(self) -> str:
        return "int32"


@known("layers")
class Discretization(Layer):
    """Numbers as the number of the bin they are in: of bin i are those from boundary i - 1 on and below boundary i.

    Args:
        bin_boundaries: where bins meet, in order; one fewer than there are bins.
        num_bins: how many bins of equal counts `adapt` shall find in data, in place of boundaries.
        epsilon: how far off the quantiles that `adapt` finds may be, as a part of the data.
        output_mode: "int" for the number of the bin, and "one_hot", "multi_hot" and "count" as in `CategoryEncoding`.

    Shapes: any, the result like the input; of vectors as in `CategoryEncoding`.
    """

    bin_boundaries: list[float] | None
    num_bins: int | None
    epsilon: float
    output_mode: str
    # What `update_state` has seen.
    _seen: Array
    not_kept = ("dtype", "name")

    @keep_arguments
    def __init__(
        self,
        bin_boundaries: Sequence[float] | None = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        dtype: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, dtype=dtype, **kwargs)
        if self.output_mode not in ("int", *MODES):
            raise ConfigError(
                f"Unknown arg for output_mode: {output_mode}. Discretization has {', '.join(('int', *MODES))}."
            )
        refuse_sparse(self, sparse)
        if num_bins is not None and (not isinstance(num_bins, int) or num_bins < 0):
            raise ConfigError(f"`num_bins` must be greater than or equal to 0. Received: `num_bins={num_bins}`")
        if num_bins is not None and bin_boundaries is not None:
            raise ConfigError(
                "Both `num_bins` and `bin_boundaries` should not be set. "
                f"Received: `num_bins={num_bins}` and `bin_boundaries={bin_boundaries}`"
            )
        if num_bins is None and bin_boundaries is None:
            raise ConfigError("You need to set either `num_bins` or `bin_boundaries`.")
        if bin_boundaries is not None:
            found = np.asarray(bin_boundaries)
            if found.ndim != 1 or found.dtype.kind not in "iuf" or (np.diff(found) < 0).any() or np.isnan(found).any():
                raise ConfigError(f"`bin_boundaries` must be a list of numbers in order. Received: {bin_boundaries!r}")
            self.bin_boundaries = [float(b) for b in found]
        self.built = True
        self.reset_state()

    @property
    def input_dtype(self) -> str:
        """Floats, also where the result is of integers."""
        return floatx()

    def call(self, x: Any) -> Value:
        dtype = "int32" if self.output_mode == "int" else self.compute_dtype
        value, boundaries = ops.cast(as_value(x), "float32"), self._boundaries()
        depth = (boundaries.shape[0] or 0) + 1
        # What is no number is below no boundary.
        below = ops.expand_dims(value, -1) < boundaries
        indices = ops.sum(ops.where(below, constant(np.int32(0)), constant(np.int32(1))), -1)
        return encode(indices, self.output_mode, depth, dtype)

    def _boundaries(self) -> Value:
        """Returns where bins meet; before `adapt`, how many places there will be, and nothing can run."""
        if self.bin_boundaries is not None:
            return constant(np.asarray(self.bin_boundaries, "float32"))
        why = f"Layer '{self.name}' does not know its bins yet: call adapt(data), or give `bin_boundaries`."
        return apply(Missing("float32", max((self.num_bins or 0) - 1, 0), why))

    def adapt(self, data: Any) -> None:
        """Sets the boundaries to quantiles of data, so that all bins get the same share of it.

        Args:
            data: one array or list of numbers, or batches: a generator, a list of arrays, a `PyDataset`; of pairs, the
                first counts.

        Raises:
            ConfigError: the layer was made with boundaries. DataError: there are no data, or they are no numbers.
        """
        self._bins()
        self.reset_state()
        for batch in batches_of(without_lists(data)):
            self.update_state(batch)
        self.finalize_state()

    def reset_state(self) -> None:
        """Forgets what `update_state` has seen."""
        self._seen = np.zeros((2, 0), np.float32)

    def update_state(self, data: Any) -> None:
        """Takes note of a batch of numbers."""
        self._bins()
        values = np.asarray(data, np.float32).ravel()
        if np.isnan(values).any():
            raise DataError(
                f"Layer '{self.name}' adapts to numbers in order, and NaN has no place there: leave it out."
            )
        self._seen = _joined(_sample(values, self.epsilon), self._seen, self.epsilon)

    def finalize_state(self) -> None:
        """Sets the boundaries to quantiles of what was seen."""
        bins = self._bins()
        if not self._seen.size:
            raise DataError(f"adapt() of layer '{self.name}' received no data. Pass an array or batches of them.")
        self.bin_boundaries = _thinned(self._seen, 1.0 / bins)[0, :-1].tolist()
        self.changes += 1

    def _bins(self) -> int:
        if self.num_bins is None:
            raise ConfigError(
                "Cannot adapt a Discretization layer that has been initialized with `bin_boundaries`, use `num_bins` "
                "instead."
            )
        return self.num_bins

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Discretization:
        # Both are there where `adapt` has found the boundaries.
        found = config.get("bin_boundaries")
        made = cls(**config | {"num_bins": None if found is not None else config.get("num_bins")})
        made.num_bins = config.get("num_bins")
        return made

    def get_config(self) -> dict[str, Any]:
        config = super().get_config() | {"sparse": False}
        del config["trainable"]  # as Keras writes it
        return config


def refuse_sparse(layer: Layer, sparse: Any) -> None:
    """Refuses sparse results.

    Raises:
        ArgumentTypeError: they are asked for.
    """
    if sparse:
        raise ArgumentTypeError(f"{type(layer).__name__}(sparse=True) is not possible: tensors are dense here.")


# A summary of numbers, for quantiles of more of them than one wants to keep: rows of values in order, and of how many
# numbers each stands for.


def _sample(values: Array, epsilon: float) -> Array:
    """Returns a summary of numbers: every so many of them in order, about 1 / epsilon of them at most."""
    step = max(values.size * epsilon, 1.0)
    kept = np.sort(values)[int(step - 1) :: int(step)]
    return np.stack([kept, np.full_like(kept, step)])


def _joined(a: Array, b: Array, epsilon: float) -> Array:
    """Returns a summary of what two stand for."""
    both = np.concatenate((a, b), axis=1)
    return _thinned(both[:, both[0].argsort()], epsilon)


def _thinned(summary: Array, epsilon: float) -> Array:
    """Returns a summary of 1 / epsilon values, at quantiles between which the given one is interpolated."""
    if summary.shape[1] * epsilon < 1:
        return summary
    shares = epsilon + np.arange(0.0, 1.0, epsilon)
    reached = summary[1].cumsum()
    values = np.interp(shares, reached / reached[-1], summary[0])
    counts = np.interp(shares, reached / reached[-1], reached)
    return np.stack((values, np.diff(counts, prepend=0.0))).astype(np.float32)
