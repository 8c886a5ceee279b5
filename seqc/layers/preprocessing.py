"""Layers that bring raw numbers into the range that the layers after them expect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc import ops
from seqc.epsilon import EPSILON
from seqc.errors import ArgumentTypeError, AxisError, ConfigError, DataError, ShapeError
from seqc.graph.ir import Array, Value, constant
from seqc.known_classes import known
from seqc.layers._common import KerasShape, as_axes
from seqc.layers.adapting import batches_of
from seqc.layers.base import Layer


@known("layers")
class Rescaling(Layer):
    """x * scale + offset, as floats whatever the input's kind of numbers.

    Args:
        scale, offset: numbers, or lists and arrays that broadcast against the input's last axes.
    """

    supports_masking = True

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name, given in (("scale", scale), ("offset", offset)):
            if np.asarray(given).dtype.kind not in "biuf":
                raise ArgumentTypeError(f"Rescaling needs numbers as `{name}`. Received: {name}={given!r}")
        self.scale, self.offset = scale, offset
        self.built = True

    def call(self, x: Any) -> Value:
        scaled = ops.cast(x, self.compute_dtype) * constant(np.asarray(self.scale, self.compute_dtype))
        if not np.any(self.offset):
            return scaled
        return scaled + constant(np.asarray(self.offset, self.compute_dtype))


@known("layers")
class Normalization(Layer):
    """(x - mean) / sqrt(variance), per element of `axis`: with numbers that are given, or that `adapt` finds in data.

    Args:
        axis: the axes whose elements have statistics of their own, the last one by default; None for one mean and
        variance of everything.
        mean, variance: numbers that broadcast to the sizes of `axis`; both or none.
        invert: x * sqrt(variance) + mean instead.

    Shapes: any, the result like the input; statistics of fewer axes are those of the last ones. Without given numbers
    there are three weights that nothing trains: mean and variance (sizes of `axis`), and a count that is always 0, for
    the sake of files.

    Example:
        >>> layer = seqc.layers.Normalization()
        >>> layer.adapt(np.array([[1.0], [3.0]]))
        >>> layer(np.array([[1.0], [2.0], [3.0]])).numpy()
        array([[-1.],
               [ 0.],
               [ 1.]], dtype=float32)
    """

    supports_masking = True

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = () if axis is None else as_axes(axis, "axis", "Normalization")
        self.input_mean, self.input_variance, self.invert = mean, variance, invert
        if (mean is None) != (variance is None):
            raise ConfigError(
                "When setting values directly, both `mean` and `variance` must be set. "
                f"Received: mean={mean} and variance={variance}"
            )
        if np.shape(mean) != np.shape(variance):
            raise ConfigError(
                "When setting values directly, `mean` and `variance` must have the same shape. Received: "
                f"mean shape {np.shape(mean)} and variance shape {np.shape(variance)}"
            )
        if mean is not None and len(np.shape(mean)) > len(self.axis):
            raise ConfigError(
                f"The rank of `mean` must be less than or equal to the number of axes ({len(self.axis)}). Received: "
                f"mean shape {np.shape(mean)} for axis {self.axis}"
            )

    def build(self, input_shape: KerasShape) -> None:
        kept = self._kept(len(input_shape))
        if any(input_shape[a] is None for a in kept):
            raise ShapeError(
                f"All `axis` values to be kept must have a known shape. Received axis={self.axis}, "
                f"inputs.shape={tuple(input_shape)}. Say the size in the model's Input."
            )
        shape = tuple(int(input_shape[a] or 0) for a in kept)
        if self.input_mean is None:
            self.adapt_mean = self.add_weight(shape, "zeros", trainable=False, name="mean")
            self.adapt_variance = self.add_weight(shape, "ones", trainable=False, name="variance")
            self.count = self.add_weight((), "zeros", dtype="int64", trainable=False, name="count")
        elif not _fits(np.shape(self.input_mean), shape):
            raise ShapeError(
                f"`mean` and `variance` of shape {np.shape(self.input_mean)} do not broadcast to the sizes {shape} of "
                f"axis {self.axis} of inputs of shape {tuple(input_shape)}."
            )
        # Statistics of rows fit the rows of sequences too: axes count from the end.
        self.min_input_rank = self._rank = len(input_shape)
        self._input_sizes = {a - self._rank: size for a, size in zip(kept, shape, strict=True)}

    def build_from_config(self, config: dict[str, Any] | None) -> None:
        """Makes the weights for the shape in a file: of what was adapted, which may have fewer axes than the input."""
        shape = (config or {}).get("input_shape")
        if isinstance(shape, (list, tuple)) and all(d is None or type(d) is int for d in shape):
            super().build_from_config({"input_shape": shape})

    def _kept(self, rank: int) -> tuple[int, ...]:
        """Returns the axes with statistics of their own, in order."""
        if any(not -rank <= a < rank for a in self.axis):
            raise AxisError(
                "All `axis` values must be in the range [-ndim, ndim). "
                f"Received inputs with ndim={rank}, while axis={self.axis}"
            )
        return tuple(sorted(a % rank for a in self.axis))

    def call(self, x: Any) -> Value:
        value = ops.cast(x, self.compute_dtype)
        mean, variance = (self._aligned(v) for v in self._statistics())
        deviation = ops.maximum(ops.sqrt(variance), EPSILON)
        return value * deviation + mean if self.invert else (value - mean) / deviation

    def _statistics(self) -> tuple[Value, Value]:
        if self.input_mean is None:
            return self.adapt_mean.to_value(), self.adapt_variance.to_value()
        shape = tuple(self._input_sizes.values())
        mean, variance = (
            constant(np.broadcast_to(np.asarray(given, self.compute_dtype), shape).copy())
            for given in (self.input_mean, self.input_variance)
        )
        return mean, variance

    def _aligned(self, statistic: Value) -> Value:
        """Puts the kept axes where they are in the input that the layer was built for, counted from the end."""
        rank, kept = self._rank, self._kept(self._rank)
        inner = [a for a in range(min(kept, default=rank), rank) if a not in kept]
        return ops.expand_dims(statistic, [a - min(kept, default=rank) for a in inner]) if inner else statistic

    def adapt(self, data: Any) -> None:
        """Sets mean and variance to those of data; before training, since nothing changes them later.

        Args:
            data: one array, or batches: a generator, a list of arrays, a `PyDataset`; of pairs, the first counts.

        Raises:
            ConfigError: the layer was made with mean and variance. DataError: there are no data, or they are no arrays.
            ShapeError: batches differ in the sizes of `axis`, or from what the layer was built for.
        """
        if self.input_mean is not None:
            raise ConfigError(f"Layer '{self.name}' was made with `mean` and `variance`; there is nothing to adapt.")
        count, mean, variance = 0, np.float64(0), np.float64(0)
        for batch in batches_of(data):
            if not self.built:
                self.build_for((None, *batch.shape[1:]) if self._spares_batch(batch.ndim) else batch.shape)
            self._check_batch(batch)
            axes = tuple(a for a in range(batch.ndim) if a not in self._kept(batch.ndim))
            if not batch.size:
                continue
            more = int(np.prod([batch.shape[a] for a in axes], dtype=np.int64))
            # Of both parts together (Chan et al., 1979).
            weight, apart = more / (count + more), batch.mean(axes) - mean
            variance = (1 - weight) * variance + weight * batch.var(axes) + weight * (1 - weight) * apart**2
            mean, count = mean + weight * apart, count + more
        if not count:
            raise DataError(f"adapt() of layer '{self.name}' received no data. Pass an array or batches of them.")
        self.adapt_mean.assign(np.asarray(mean, self.dtype))
        self.adapt_variance.assign(np.asarray(variance, self.dtype))

    def _spares_batch(self, rank: int) -> bool:
        return rank > 0 and 0 not in self._kept(rank)

    def _check_batch(self, batch: Array) -> None:
        if batch.ndim != self._rank or any(batch.shape[a] != size for a, size in self._input_sizes.items()):
            sizes = {a + self._rank: size for a, size in self._input_sizes.items()}
            raise ShapeError(
                f"adapt() of layer '{self.name}' received data of shape {batch.shape}; its axis {self.axis} needs "
                f"{self._rank} axes with sizes {sizes} (by axis)."
            )

    @property
    def mean(self) -> Array | None:
        """What is subtracted, with the axes of the input; None before the layer is built."""
        return self._shown(0)

    @property
    def variance(self) -> Array | None:
        """The variance that is divided by, with the axes of the input; None before the layer is built."""
        return self._shown(1)

    def _shown(self, number: int) -> Array | None:
        if not self.built:
            return None
        given = (self.input_mean, self.input_variance) if self.input_mean is not None else ()
        array = np.asarray(given[number] if given else (self.adapt_mean, self.adapt_variance)[number].numpy())
        shape = [self._input_sizes.get(a - self._rank, 1) for a in range(self._rank)]
        return np.broadcast_to(array, tuple(self._input_sizes.values())).reshape(shape).astype(self.dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as plain data, mean and variance as lists."""
        given = {"mean": self.input_mean, "variance": self.input_variance}
        return super().get_config() | {"axis": list(self.axis)} | {k: np.array(v).tolist() for k, v in given.items()}


def _fits(given: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Tells whether numbers broadcast to a shape."""
    pairs = zip(given[::-1], shape[::-1], strict=False)
    return len(given) <= len(shape) and all(a in (1, b) for a, b in pairs)
