"""How weights start: functions from a shape to a NumPy array, under Keras's names.

An integer seed gives the same numbers at every call; without one they come from the generator that
`seqc.utils.set_random_seed` seeds, and differ from call to call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc import serialization
from seqc.argument_kinds import is_number
from seqc.errors import ConfigError, ShapeError
from seqc.graph.ir import Array
from seqc.known_classes import also_known, known
from seqc.ops._tapers import check_taper, scaled_taper
from seqc.random import generator
from seqc.serialization import Configurable
from seqc.utils.absent import absent

# The standard deviation of a standard normal cut off at two standard deviations.
_CUT_DEVIATION = 0.87962566103423978
_MODES = ("fan_in", "fan_out", "fan_avg")
_DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")


@known("initializers")
class Initializer(Configurable):
    """The base of initializers: a callable from (shape, dtype) to an array."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        raise NotImplementedError("Initializer subclasses must implement the `__call__()` method.")

    def clone(self) -> Any:
        """Returns another one with the same arguments."""
        return type(self).from_config(self.get_config())


@known("initializers")
class Zeros(Initializer):
    """All 0."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        return np.zeros(tuple(shape), dtype or "float32")


@known("initializers")
class Ones(Initializer):
    """All 1."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        return np.ones(tuple(shape), dtype or "float32")


@known("initializers")
class Constant(Initializer):
    """All `value`, which may be an array that broadcasts to the shape."""

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        return np.array(np.broadcast_to(self.value, tuple(shape)), dtype or "float32")


@known("initializers")
class Identity(Initializer):
    """`gain` on the diagonal of a matrix, 0 elsewhere."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        if len(shape) != 2:
            raise ShapeError(
                "Identity matrix initializer can only be used for 2D matrices. "
                f"Received: shape={tuple(shape)} of rank {len(shape)}."
            )
        rows, columns = shape
        return np.asarray(self.gain * np.eye(rows, columns), dtype or "float32")


class RandomInitializer(Initializer):
    """The base of random initializers."""

    seed: int | None

    def draw(self) -> np.random.Generator:
        """Returns where the numbers of one call come from."""
        return generator(self.seed)


@known("initializers")
class RandomNormal(RandomInitializer):
    """Normally distributed."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        return self.draw().normal(self.mean, self.stddev, tuple(shape)).astype(dtype or "float32")


@known("initializers")
class RandomUniform(RandomInitializer):
    """Uniform in [minval, maxval)."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        self.minval, self.maxval, self.seed = minval, maxval, seed

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        return self.draw().uniform(self.minval, self.maxval, tuple(shape)).astype(dtype or "float32")


@known("initializers")
class TruncatedNormal(RandomInitializer):
    """Normally distributed; what lies more than two standard deviations from the mean is drawn again."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        drawn = _cut_normal(self.draw(), tuple(shape))
        return (self.mean + self.stddev * drawn).astype(dtype or "float32")


@known("initializers")
class VarianceScaling(RandomInitializer):
    """Random numbers whose variance is `scale` over the number of inputs, outputs, or their mean (`mode`).

    Args:
        scale: positive. mode: "fan_in", "fan_out" or "fan_avg".
        distribution: "truncated_normal" (or "normal"), "untruncated_normal" or "uniform". seed: an int or None.
        input_axes, output_axes: which axes count as inputs and outputs; by default the last axis holds the outputs, the
        one before it the inputs, and all others are a convolution's window.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        if not is_number(scale) or scale <= 0:
            raise ConfigError(f"Argument `scale` must be positive float. Received: scale={scale}")
        if mode not in _MODES:
            raise ConfigError(f"Invalid `mode` argument: {mode}. Please use one of {_MODES}")
        distribution = str(distribution).lower()
        distribution = "truncated_normal" if distribution == "normal" else distribution
        if distribution not in _DISTRIBUTIONS:
            raise ConfigError(f"Invalid `distribution` argument: {distribution}. Please use one of {_DISTRIBUTIONS}")
        self.scale, self.mode, self.distribution, self.seed = scale, mode, distribution, seed
        self.input_axes, self.output_axes = input_axes, output_axes

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        inputs, outputs = compute_fans(tuple(shape), self.input_axes, self.output_axes)
        fan = {"fan_in": inputs, "fan_out": outputs, "fan_avg": (inputs + outputs) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        rng, size = self.draw(), tuple(shape)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            drawn = rng.uniform(-limit, limit, size)
        elif self.distribution == "untruncated_normal":
            drawn = rng.normal(0.0, math.sqrt(variance), size)
        else:
            drawn = _cut_normal(rng, size) * (math.sqrt(variance) / _CUT_DEVIATION)
        return drawn.astype(dtype or "float32")


class _Preset(VarianceScaling):
    """A VarianceScaling with a name of its own."""

    preset: tuple[float, str, str]

    def __init__(
        self,
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(*self.preset, seed=seed, input_axes=input_axes, output_axes=output_axes)


@known("initializers")
class GlorotUniform(_Preset):
    """Uniform with variance 2 / (inputs + outputs) (Glorot and Bengio, 2010)."""

    preset = (1.0, "fan_avg", "uniform")


@known("initializers")
class GlorotNormal(_Preset):
    """Truncated normal with variance 2 / (inputs + outputs) (Glorot and Bengio, 2010)."""

    preset = (1.0, "fan_avg", "truncated_normal")


@known("initializers")
class HeUniform(_Preset):
    """Uniform with variance 2 / inputs (He et al., 2015)."""

    preset = (2.0, "fan_in", "uniform")


@known("initializers")
class HeNormal(_Preset):
    """Truncated normal with variance 2 / inputs (He et al., 2015)."""

    preset = (2.0, "fan_in", "truncated_normal")


@known("initializers")
class LecunUniform(_Preset):
    """Uniform with variance 1 / inputs (Klambauer et al., 2017)."""

    preset = (1.0, "fan_in", "uniform")


@known("initializers")
class LecunNormal(_Preset):
    """Truncated normal with variance 1 / inputs (Klambauer et al., 2017)."""

    preset = (1.0, "fan_in", "truncated_normal")


@known("initializers")
class Orthogonal(RandomInitializer):
    """`gain` times a random matrix with orthonormal columns, or rows where there are fewer (Saxe et al., 2014).

    All axes but the last count as rows.
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        self.gain, self.seed = gain, seed

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        if len(shape) < 2:
            raise ShapeError(
                "The tensor to initialize must be at least two-dimensional. "
                f"Received: shape={tuple(shape)} of rank {len(shape)}."
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(self.draw().normal(size=(max(rows, columns), min(rows, columns))))
        # Signs from R's diagonal make every orthogonal matrix equally likely (Mezzadri, 2007).
        q = q * np.sign(np.diag(r))
        q = q.T if rows < columns else q
        return (self.gain * q).reshape(tuple(shape)).astype(dtype or "float32")


@known("initializers")
class STFT(Initializer):
    """The kernel of a convolution that is a short-time Fourier transform: of shape (frame, 1, n // 2 + 1) for length n.

    Args:
        side: "real" or "imag", the part of the transform.
        window: name of a window function, one factor for each element of the frame, or None.
        scaling: "density" divides by the root of the sum of the window's squares, "spectrum" by the sum of its
            magnitudes, None by nothing.
        periodic: whether the window is one period, the next of which would start with its first factor.
    """

    def __init__(
        self, side: str = "real", window: Any = "hann", scaling: str | None = "density", periodic: bool = False
    ) -> None:
        if side not in ("real", "imag"):
            raise ConfigError(f"side should be 'real' or 'imag', not {side}")
        check_taper(window, scaling)
        self.side, self.window, self.scaling, self.periodic = side, window, scaling, periodic

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        if len(shape) != 3:
            raise ShapeError(
                "The STFT initializer makes kernels of shape (frame_length, 1, frequencies). "
                f"Received: shape={tuple(shape)}"
            )
        from seqc.ops.dft import turns  # which few models need

        frame, _, count = shape
        angle = turns(max(2 * (count - 1), 1), frame, count)
        kernel = np.cos(angle) if self.side == "real" else -np.sin(angle)
        factors = scaled_taper(self.window, frame, self.scaling, self.periodic)
        return np.array(np.broadcast_to((kernel * factors[:, None])[:, None], tuple(shape)), dtype or "float32")


def _cut_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Returns standard normal numbers, none more than two from zero."""
    drawn = rng.standard_normal(math.prod(shape))
    while (far := np.flatnonzero(np.abs(drawn) > 2)).size:
        drawn[far] = rng.standard_normal(far.size)
    return drawn.reshape(shape)


def compute_fans(
    shape: tuple[int, ...], input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
) -> tuple[int, int]:
    """Returns how many inputs feed one unit of a weight of this shape, and how many outputs one input feeds."""
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[a] for a in input_axes), math.prod(shape[a] for a in output_axes)
    if len(shape) < 2:
        return math.prod(shape), math.prod(shape)
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


zeros, ones, constant, identity, orthogonal = Zeros, Ones, Constant, Identity, Orthogonal
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
variance_scaling = VarianceScaling
glorot_uniform, glorot_normal, he_uniform, he_normal = GlorotUniform, GlorotNormal, HeUniform, HeNormal
lecun_uniform, lecun_normal = LecunUniform, LecunNormal
IdentityInitializer, OrthogonalInitializer, STFTInitializer = Identity, Orthogonal, STFT
stft = STFT
# Their names in files of Keras 3.1 to 3.6.
also_known("initializers", "IdentityInitializer", Identity)
also_known("initializers", "OrthogonalInitializer", Orthogonal)
also_known("initializers", "STFTInitializer", STFT)

ALIASES: dict[str, Any] = {
    "initializer": Initializer, "zero": Zeros, "zeros": Zeros, "one": Ones, "ones": Ones,
    "identity": Identity, "IdentityInitializer": Identity, "orthogonal": Orthogonal,
    "OrthogonalInitializer": Orthogonal, "normal": RandomNormal, "random_normal": RandomNormal,
    "uniform": RandomUniform, "random_uniform": RandomUniform, "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling, "glorot_uniform": GlorotUniform, "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform, "he_normal": HeNormal, "lecun_uniform": LecunUniform, "lecun_normal": LecunNormal,
    "STFT": STFT, "STFTInitializer": STFT, "stft": STFT,
}  # fmt: skip


def get(identifier: Any) -> Any:
    """Returns the initializer that a name, a description, an array or a function (shape, dtype) stands for.

    Raises:
        ConfigError: it stands for none.
    """
    if isinstance(identifier, np.ndarray | np.generic):
        return _from_array(np.asarray(identifier))
    return serialization.get(identifier, "initializers", "initializer", ALIASES)


def _from_array(array: Array) -> Any:
    def start(shape: Sequence[int], dtype: Any = None) -> Array:
        if tuple(shape) != array.shape:
            raise ShapeError(
                f"Expected `shape` to be {array.shape} for direct tensor as initializer. Received shape={tuple(shape)}"
            )
        return array.astype(dtype or array.dtype)

    return start


def serialize(initializer: Any) -> Any:
    """Returns an initializer as plain data."""
    return serialization.serialize(initializer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Returns the initializer that plain data describe."""
    return serialization.revive(config, custom_objects)


__getattr__ = absent(__name__)
