"""Layers that show which frequencies a sound has at which time."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc import ops
from seqc.argument_kinds import is_number, is_whole
from seqc.epsilon import EPSILON
from seqc.errors import ConfigError, DTypeError
from seqc.graph.ir import Array, Value, as_value, constant
from seqc.initializers import STFT
from seqc.known_classes import known
from seqc.layers._arguments import keep_arguments
from seqc.layers._common import KerasShape, data_format_name
from seqc.layers.base import Layer
from seqc.ops._tapers import check_taper

_BOTH = ("log", "magnitude", "psd", "angle", "stft")  # modes that need both parts of the transform
_MODES = (*_BOTH, "real", "imag")
# The mel scale of the Hidden Markov Model Toolkit: mel = 1127 ln(1 + hertz / 700).
_MEL, _HERTZ = 1127.0, 700.0


@known("layers")
class STFTSpectrogram(Layer):
    """The short-time Fourier transform of signals as a convolution, whose kernels may be trained.

    Args:
        mode: what of the transform comes out: "log", "magnitude", "psd" (power, twice that of frequencies that stand
            for two), "real", "imag", "angle" (radians), or "stft": the real parts and after them the imaginary ones.
        frame_length: elements of a frame.
        frame_step: elements from one frame to the next, at most `frame_length`; half of it by default.
        fft_length: length of the transform; by default the smallest power of two that is at least `frame_length`.
        window: what a frame is multiplied with: name of a window, `frame_length` numbers, or None.
        periodic: whether the window is one period, the next of which would start with its first factor.
        scaling: "density", "spectrum" or None: what the window's factors are divided by.
        padding: "valid", or "same" for as many frames as steps fit.
        expand_dims: whether frequencies and channels have an axis each, as images have.
        data_format: "channels_last" or "channels_first".

    Shapes: (batch, time, channels) to (batch, frames, channels * frequencies), or with `expand_dims` to (batch, frames,
    frequencies, channels); channels first, (batch, channels, time) to (batch, channels * frequencies, frames) or
    (batch, channels, frames, frequencies). There are fft_length // 2 + 1 frequencies, twice as many in mode "stft".
    """

    input_rank = 3
    mode: str
    frame_length: int
    frame_step: int | None
    fft_length: int | None
    window: Any
    periodic: bool
    scaling: str | None
    padding: str
    expand_dims: bool
    data_format: str

    @keep_arguments
    def __init__(
        self,
        mode: str = "log",
        frame_length: int = 256,
        frame_step: int | None = None,
        fft_length: int | None = None,
        window: Any = "hann",
        periodic: bool = False,
        scaling: str | None = "density",
        padding: str = "valid",
        expand_dims: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not is_whole(frame_length) or frame_length < 1:
            raise ConfigError(f"`frame_length` should be a positive integer. Received frame_length={frame_length!r}")
        if frame_step is not None and not (is_whole(frame_step) and 1 <= frame_step <= frame_length):
            raise ConfigError(
                "`frame_step` should be a positive integer not greater than `frame_length`. Received "
                f"frame_step={frame_step!r}, frame_length={frame_length}"
            )
        if fft_length is not None and not (is_whole(fft_length) and fft_length >= frame_length):
            raise ConfigError(
                f"`fft_length` should be not less than `frame_length`. Received fft_length={fft_length!r}, "
                f"frame_length={frame_length}"
            )
        if not isinstance(periodic, bool):
            raise ConfigError(f"`periodic` should be True or False. Received periodic={periodic!r}")
        if mode not in _MODES:
            raise ConfigError(f"Output mode is invalid, it must be one of {', '.join(_MODES)}. Received: mode={mode}")
        if padding not in ("valid", "same"):
            raise ConfigError(f"Padding is invalid, it should be 'valid', 'same'. Received: padding={padding}")
        check_taper(window, scaling)
        self.data_format = data_format_name(data_format)

    def build(self, input_shape: KerasShape) -> None:
        length = self.fft_length or 1 << (self.frame_length - 1).bit_length()
        shape = (self.frame_length, 1, length // 2 + 1)
        self.real_kernel, self.imag_kernel = (
            self.add_weight(shape, STFT(side, self.window, self.scaling, self.periodic), name=f"{side}_kernel")
            if self.mode in (side, *_BOTH)
            else None
            for side in ("real", "imag")
        )

    def call(self, x: Any) -> Value:
        value = as_value(x)
        if not value.type.is_float:
            raise DTypeError(
                "Invalid input type. Expected `float16`, `float32` or `float64`. Received: input "
                f"type={value.dtype}. Use ops.cast."
            )
        value, last = ops.cast(value, self.compute_dtype), self.data_format == "channels_last"
        channels = ops.shape(value)[2 if last else 1]
        single = isinstance(channels, int) and channels == 1
        first = value if single or not last else ops.transpose(value, (0, 2, 1))
        signals = value if single and last else ops.reshape(first, (-1, ops.shape(value)[1 if last else 2], 1))
        shown = self._shown(self._transformed(signals))
        if single and last:
            return ops.expand_dims(shown, 3) if self.expand_dims else shown
        _, frames, frequencies = ops.shape(shown)
        apart = ops.reshape(shown, (-1, channels, frames, frequencies))
        if self.expand_dims:
            return ops.transpose(apart, (0, 2, 3, 1)) if last else apart
        if last:
            return ops.reshape(ops.transpose(apart, (0, 2, 1, 3)), (-1, frames, channels * frequencies))
        return ops.reshape(ops.transpose(apart, (0, 1, 3, 2)), (-1, channels * frequencies, frames))

    def _transformed(self, signals: Value) -> Value:
        """Returns the transform of signals (batch, time, 1): real, imaginary parts, or the one after the other."""
        kernels = [kernel for kernel in (self.real_kernel, self.imag_kernel) if kernel is not None]
        kernel = ops.cast(kernels[0] if len(kernels) == 1 else ops.concatenate(kernels, -1), signals.dtype)
        step = self.frame_step or self.frame_length // 2 or 1
        return ops.conv(signals, kernel, step, self.padding, "channels_last")

    def _shown(self, transform: Value) -> Value:
        """Returns what the mode shows of a transform, frequencies last."""
        if self.mode in ("real", "imag", "stft"):
            return transform
        real, imag = ops.split(transform, 2, axis=-1)
        if self.mode == "angle":
            return ops.arctan2(imag, real)
        power = ops.square(real) + ops.square(imag)
        if self.mode == "psd":
            return power + ops.pad(power[..., 1:-1], ((0, 0), (0, 0), (1, 1)))
        power = ops.maximum(power, EPSILON)
        return ops.sqrt(power) if self.mode == "magnitude" else 0.5 * ops.log(power)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"data_format": self.data_format}


@known("layers")
class MelSpectrogram(Layer):
    """The power of sounds at frequencies that the ear tells apart equally well, at each time.

    Args:
        fft_length: length of the Fourier transforms.
        sequence_stride: samples from one transform to the next.
        sequence_length: samples that a transform sees, at most `fft_length`, which it is by default.
        window: "hann", "hamming", `sequence_length` numbers, or None.
        sampling_rate: samples in a second.
        num_mel_bins: how many frequencies come out.
        min_freq: the lowest frequency (Hz).
        max_freq: the highest frequency (Hz), half the sampling rate by default.
        power_to_db: whether powers come out in decibels.
        top_db: how far (dB) below the largest of all values none lies.
        mag_exp: the power of the magnitude: 1 for magnitudes, 2 for powers.
        min_power: what decibels take smaller powers for.
        ref_power: the power that has 0 dB.

    Shapes: (batch, time) to (batch, num_mel_bins, frames), or of one sound without the batch.
    """

    input_rank = (1, 2)
    fft_length: int
    sequence_stride: int
    window: Any
    sampling_rate: float
    num_mel_bins: int
    min_freq: float
    power_to_db: bool
    top_db: float
    mag_exp: float
    min_power: float
    ref_power: float

    @keep_arguments
    def __init__(
        self,
        fft_length: int = 2048,
        sequence_stride: int = 512,
        sequence_length: int | None = None,
        window: Any = "hann",
        sampling_rate: float = 16000,
        num_mel_bins: int = 128,
        min_freq: float = 20.0,
        max_freq: float | None = None,
        power_to_db: bool = True,
        top_db: float = 80.0,
        mag_exp: float = 2.0,
        min_power: float = 1e-10,
        ref_power: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name in ("fft_length", "sequence_stride", "num_mel_bins"):
            if not is_whole(getattr(self, name)) or getattr(self, name) < 1:
                raise ConfigError(
                    f"MelSpectrogram needs a positive integer as `{name}`. Received: {getattr(self, name)!r}"
                )
        for name in ("sampling_rate", "min_freq", "top_db", "mag_exp", "min_power", "ref_power"):
            if not is_number(getattr(self, name)):
                raise ConfigError(f"MelSpectrogram needs a number as `{name}`. Received: {getattr(self, name)!r}")
        self.sequence_length = sequence_length or fft_length
        self.max_freq = max_freq or int(sampling_rate / 2)
        if fft_length < self.sequence_length:
            raise ConfigError(
                "`fft_length` must be greater than or equal to `sequence_length`. Received: "
                f"`sequence_length`={self.sequence_length}, `fft_length`={fft_length}."
            )
        if not 0 <= min_freq < self.max_freq:
            raise ConfigError(
                f"`min_freq` must lie below `max_freq`, and not below 0. Received: min_freq={min_freq}, "
                f"max_freq={self.max_freq}"
            )

    def call(self, x: Any) -> Value:
        # Half a precision is too little for sums over a frame.
        sounds = ops.cast(x, self.compute_dtype if self.compute_dtype in ("float32", "float64") else "float32")
        real, imag = ops.stft(sounds, self.sequence_length, self.sequence_stride, self.fft_length, self.window)
        power = ops.square(real) + ops.square(imag)
        if self.mag_exp != 2:
            power = ops.power(power, self.mag_exp / 2)
        matrix = self.linear_to_mel_weight_matrix(
            self.num_mel_bins, self.fft_length // 2 + 1, self.sampling_rate, self.min_freq, self.max_freq
        )
        mel = ops.matmul(power, constant(matrix.astype(power.dtype)))
        if self.power_to_db:
            mel = self._in_decibels(mel)
        return ops.cast(ops.swapaxes(mel, -1, -2), self.compute_dtype)

    def _in_decibels(self, power: Value) -> Value:
        reference = 10 * float(np.log10(max(abs(self.ref_power), self.min_power)))
        decibels = 10.0 * ops.log10(ops.maximum(power, self.min_power)) - reference
        return ops.maximum(decibels, ops.max(decibels) - self.top_db)

    def linear_to_mel_weight_matrix(
        self,
        num_mel_bins: int = 20,
        num_spectrogram_bins: int = 129,
        sampling_rate: float = 8000,
        lower_edge_hertz: float = 125.0,
        upper_edge_hertz: float = 3800.0,
        dtype: Any = "float32",
    ) -> Array:
        """Returns how much of each frequency goes into each mel band, (num_spectrogram_bins, num_mel_bins).

        Bands are triangles of height 1 that start in the middle of the one before. Nothing goes into one of 0 Hz.

        Args:
            num_mel_bins: how many bands.
            num_spectrogram_bins: how many frequencies, from 0 to half the sampling rate.
            sampling_rate: samples in a second.
            lower_edge_hertz: where the first band starts.
            upper_edge_hertz: where the last band ends.
            dtype: of the result.
        """
        hertz = np.linspace(0, sampling_rate / 2, num_spectrogram_bins)[1:, None]
        first, last = _mel(np.array([lower_edge_hertz, upper_edge_hertz]))
        edges, at = np.linspace(first, last, num_mel_bins + 2), _mel(hertz)
        low, middle, high = edges[:-2], edges[1:-1], edges[2:]
        rising, falling = (at - low) / (middle - low), (high - at) / (high - middle)
        bands = np.maximum(0, np.minimum(rising, falling))
        return np.pad(bands, ((1, 0), (0, 0))).astype(dtype)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"sequence_length": self.sequence_length, "max_freq": self.max_freq}


def _mel(hertz: Array) -> Array:
    return _MEL * np.log1p(hertz / _HERTZ)
