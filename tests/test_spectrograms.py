"""Spectrograms, the kernels they start with, and the windows in these; numbers of Keras are in the recorded cases."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc
from seqc import errors, initializers, layers
from seqc.backends.onnxruntime import Session
from seqc.ops._tapers import taper

# What scipy.signal.get_window(name, n, fftbins=False) of SciPy 1.17.1 starts with, for 7 and for 6 points.
WINDOWS: dict[str, tuple[list[float], list[float]]] = {
    "barthann": ([0.0, 0.27, 0.73, 1.0], [0.0, 0.358573542, 0.879426458]),
    "bartlett": ([0.0, 0.333333333, 0.666666667, 1.0], [0.0, 0.4, 0.8]),
    "blackman": ([0.0, 0.13, 0.63, 1.0], [0.0, 0.200770143, 0.849229857]),
    "blackmanharris": ([6e-05, 0.055645, 0.520575, 1.0], [6e-05, 0.103011489, 0.793833511]),
    "bohman": ([0.0, 0.108997781, 0.608997781, 1.0], [0.0, 0.179123894, 0.834311452]),
    "boxcar": ([1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0]),
    "cosine": ([0.222520934, 0.623489802, 0.900968868, 1.0], [0.258819045, 0.707106781, 0.965925826]),
    "exponential": ([0.0497870684, 0.135335283, 0.367879441, 1.0], [0.0820849986, 0.22313016, 0.60653066]),
    "flattop": ([-0.000421051, -0.051263156, 0.19821053, 1.0], [-0.000421051, -0.0677142521, 0.606872153]),
    "hamming": ([0.08, 0.31, 0.77, 1.0], [0.08, 0.397852183, 0.912147817]),
    "hann": ([0.0, 0.25, 0.75, 1.0], [0.0, 0.345491503, 0.904508497]),
    "lanczos": ([0.0, 0.413496672, 0.826993343, 1.0], [0.0, 0.504551152, 0.935489284]),
    "nuttall": ([0.0003628, 0.0613345, 0.5292298, 1.0], [0.0003628, 0.110515253, 0.798258097]),
    "parzen": ([0.00583090379, 0.157434402, 0.650145773, 1.0], [0.00925925926, 0.25, 0.861111111]),
    "taylor": ([0.290095313, 0.578212601, 0.878008225, 1.0], [0.306346927, 0.662064779, 0.957002127]),
    "triang": ([0.25, 0.5, 0.75, 1.0], [0.166666667, 0.5, 0.833333333]),
    "tukey": ([0.0, 0.75, 1.0, 1.0], [0.0, 0.904508497, 1.0]),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_windows_are_scipys(name: str) -> None:
    odd, even = (np.array(half) for half in WINDOWS[name])
    np.testing.assert_allclose(taper(name, 7, periodic=False), [*odd, *odd[-2::-1]], atol=1e-8)
    np.testing.assert_allclose(taper(name, 6, periodic=True), [*odd, *odd[-2:0:-1]], atol=1e-8)
    np.testing.assert_allclose(taper(name, 6, periodic=False), [*even, *even[::-1]], atol=1e-8)
    np.testing.assert_array_equal(taper(name, 1, periodic=True), [1])


# Arguments and shape; the first numbers that Keras 3.15.1 makes, and the sum of their magnitudes.
KERNELS: list[tuple[tuple[Any, ...], tuple[int, ...], list[float], float]] = [
    (("real", "hann", "density", False), (8, 1, 5), [0, 0, 0, 0, 0, 0.1161936, 0.08216126, 0, -0.08216126], 8.1014462),
    (("imag", "hamming", "spectrum", True), (6, 1, 9), [0] * 10 + [-0.03661478, -0.06765528], 4.6117840),
    (("imag", None, None, False), (4, 1, 3), [0, 0, 0, 0, -1, 0, 0, 0, 0, 0, 1, 0], 2.0),
    (("real", [1.0, 2.0, 3.0], "density", False), (3, 1, 3), [0.2672612] * 3 + [0.5345225, 0, -0.5345225], 4.2761798),
    (("real", "blackmanharris", None, True), (7, 1, 5), [6e-5] * 5 + [0.03339173, 0.02361152], 9.8326950),
]


@pytest.mark.parametrize("row", range(len(KERNELS)))
def test_kernels_are_those_of_keras(row: int) -> None:
    arguments, shape, first, total = KERNELS[row]
    initializer = initializers.get({"class_name": "STFTInitializer", "config": {}})
    assert type(initializer) is type(initializers.get("stft")) is initializers.STFT
    initializer = initializers.STFT(*arguments)
    kernel = initializer(shape)
    assert kernel.shape == shape
    assert kernel.dtype == np.float32
    np.testing.assert_allclose(kernel.ravel()[: len(first)], first, atol=2e-7)
    assert np.abs(kernel).sum(dtype="float64") == pytest.approx(total, abs=2e-5)
    again = initializers.deserialize(initializers.serialize(initializer))
    np.testing.assert_array_equal(again(shape, "float64"), initializer(shape, "float64"))


MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")


def sound(*shape: int) -> Any:
    return np.random.default_rng(3).normal(size=shape).astype("float32")


@pytest.mark.parametrize("mode", MODES)
def test_a_spectrogram_is_the_transform_of_its_frames(mode: str) -> None:
    x = sound(2, 21, 3)
    got = np.asarray(layers.STFTSpectrogram(mode, 8, 3, 16, scaling=None, expand_dims=True)(x))
    frames = np.lib.stride_tricks.sliding_window_view(x.astype("float64"), 8, axis=1)[:, ::3]
    z = np.swapaxes(np.fft.rfft(frames * np.hanning(8), 16), 2, 3)
    power = np.maximum(np.abs(z) ** 2, 1e-7)
    doubled = np.where((np.arange(9) % 8 > 0)[:, None], 2, 1)
    expected = {
        "log": np.log(power) / 2, "magnitude": np.sqrt(power), "psd": np.abs(z) ** 2 * doubled, "real": z.real,
        "imag": z.imag, "angle": np.angle(z), "stft": np.concatenate([z.real, z.imag], 2),
    }  # fmt: skip
    inner = slice(1, -1) if mode in ("angle", "log") else slice(None)  # the angle of what is real may be pi or -pi
    np.testing.assert_allclose(got[:, :, inner], expected[mode][:, :, inner], atol=3e-4 if mode == "log" else 2e-5)


@pytest.mark.parametrize("expand", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["psd", "stft"])
def test_channels_may_come_first(mode: str, channels: int, expand: bool) -> None:
    x = sound(2, 19, channels)
    arguments: dict[str, Any] = {"frame_length": 6, "padding": "same", "expand_dims": expand}
    last = np.asarray(layers.STFTSpectrogram(mode, **arguments)(x))
    first = np.asarray(layers.STFTSpectrogram(mode, data_format="channels_first", **arguments)(x.swapaxes(1, 2)))
    assert first.shape == (2, channels, 7, last.shape[2]) if expand else (2, last.shape[2], 7)
    np.testing.assert_allclose(first, np.moveaxis(last, -1, 1), atol=1e-6)


def test_a_sound_may_come_without_a_batch() -> None:
    layer = layers.MelSpectrogram(64, 16, sampling_rate=800, num_mel_bins=5)
    x = sound(300)
    alone, batch = np.asarray(layer(x)), np.asarray(layer(x[None]))
    assert alone.shape == (5, 19)
    np.testing.assert_array_equal(alone, batch[0])


def test_decibels_reach_down_from_the_loudest_of_the_batch() -> None:
    x = sound(2, 300) * np.array([[1.0], [1e-3]], "float32")
    y = np.asarray(layers.MelSpectrogram(64, 16, sampling_rate=800, num_mel_bins=5, top_db=40)(x))
    assert y.min() == pytest.approx(y.max() - 40)
    assert (y[1] == y.min()).mean() > 0.5 > (y[0] == y.min()).mean()


@pytest.mark.parametrize("policy", ["mixed_float16", "float64"])
def test_spectrograms_follow_the_policy_of_the_layer(policy: str) -> None:
    x = sound(2, 300)
    ways: list[Callable[[str], Any]] = [
        lambda dtype: layers.MelSpectrogram(64, 16, sampling_rate=800, num_mel_bins=5, dtype=dtype)(x),
        lambda dtype: layers.STFTSpectrogram("magnitude", 16, dtype=dtype)(x[..., None]),
    ]
    for make in ways:
        got, wanted = np.asarray(make(policy)), np.asarray(make("float32"))
        assert got.dtype == policy.removeprefix("mixed_")
        np.testing.assert_allclose(got, wanted, rtol=2e-3 if policy == "mixed_float16" else 1e-4, atol=1e-2)


def test_bands_are_triangles() -> None:
    matrix = layers.MelSpectrogram().linear_to_mel_weight_matrix(20, 4097, 8000, 100.0, 4000.0)
    assert matrix.dtype == np.float32
    hertz = np.linspace(0, 4000, 4097)
    peaks, heights = hertz[matrix.argmax(0)], matrix.max(0)
    np.testing.assert_allclose(heights, 1, atol=0.02)
    mel = 1127 * np.log(1 + np.array([100, *peaks, 4000]) / 700)
    np.testing.assert_allclose(np.diff(mel), np.diff(mel).mean(), rtol=0.03)
    # Between the peaks of the first and the last, falling and rising sides add up to one.
    inside = (hertz > peaks[0] + 1) & (hertz < peaks[-1] - 1)
    np.testing.assert_allclose(matrix[inside].sum(1), 1, atol=1e-5)


LAYERS: dict[str, tuple[Any, tuple[int | None, ...]]] = {
    "one channel": (lambda: layers.STFTSpectrogram("log", 8, 4), (None, 1)),
    "two channels": (lambda: layers.STFTSpectrogram("psd", 8, 3, 16, padding="valid"), (None, 2)),
    "channels first": (lambda: layers.STFTSpectrogram("stft", 8, data_format="channels_first"), (2, None)),
    "image": (lambda: layers.STFTSpectrogram("magnitude", 8, expand_dims=True, padding="same", frame_step=1), (40, 2)),
    "mel": (lambda: layers.MelSpectrogram(32, 8, sampling_rate=400, num_mel_bins=4), (None,)),
    "mel by ONNX's DFT": (lambda: layers.MelSpectrogram(1024, 128, num_mel_bins=8, max_freq=4000), (None,)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
def test_spectrograms_of_any_length_are_exported(name: str, tmp_path: Path) -> None:
    make, shape = LAYERS[name]
    model = seqc.Sequential([seqc.Input(shape), make()])
    model.export(tmp_path / "model.onnx")
    session = Session((tmp_path / "model.onnx").read_bytes())
    for batch, length in ((1, 700), (3, 1111)):
        x = sound(batch, *(length if d is None else d for d in shape))
        (got,) = session.run({session.input_names[0]: x}).values()
        wanted = model.predict(x, verbose=0)
        np.testing.assert_allclose(got, wanted, atol=1e-4)


REFUSED: list[tuple[type[Any], dict[str, Any], str]] = [
    (layers.STFTSpectrogram, {"mode": "loud"}, "Output mode is invalid"),
    (layers.STFTSpectrogram, {"frame_length": 0}, "`frame_length` should be a positive integer"),
    (layers.STFTSpectrogram, {"frame_step": 300}, "`frame_step` should be a positive integer not greater than"),
    (layers.STFTSpectrogram, {"fft_length": 128}, "`fft_length` should be not less than `frame_length`"),
    (layers.STFTSpectrogram, {"scaling": "l2"}, "Scaling is invalid"),
    (layers.STFTSpectrogram, {"padding": "causal"}, "Padding is invalid"),
    (layers.STFTSpectrogram, {"window": "hat"}, "There is no window 'hat'"),
    (layers.MelSpectrogram, {"fft_length": 64, "sequence_length": 65}, "`fft_length` must be greater than or equal"),
    (layers.MelSpectrogram, {"num_mel_bins": 1.5}, "a positive integer as `num_mel_bins`"),
    (layers.MelSpectrogram, {"top_db": None}, "a number as `top_db`"),
    (layers.MelSpectrogram, {"max_freq": 10}, "`min_freq` must lie below `max_freq`"),
    (initializers.STFT, {"side": "left"}, "side should be 'real' or 'imag'"),
    (initializers.STFT, {"window": "hat"}, "There is no window 'hat'"),
]


@pytest.mark.parametrize("row", range(len(REFUSED)))
def test_bad_arguments_are_refused(row: int) -> None:
    made, arguments, message = REFUSED[row]
    with pytest.raises(errors.ConfigError, match=re.escape(message)):
        made(**arguments)


def test_bad_inputs_are_refused() -> None:
    with pytest.raises(errors.DTypeError, match="Expected `float16`, `float32` or `float64`"):
        layers.STFTSpectrogram(frame_length=4)(np.ones((1, 9, 1), "int32"))
    with pytest.raises(errors.ShapeError, match="must be equal to \\[frame_length\\], 4"):
        layers.STFTSpectrogram(frame_length=4, window=[1.0, 2.0])(sound(1, 9, 1))
    with pytest.raises(errors.ShapeError, match="mirroring an axis of size 20"):
        layers.MelSpectrogram(64)(sound(1, 20))
    with pytest.raises(errors.ShapeError, match="makes kernels of shape"):
        initializers.STFT()((3, 4))
