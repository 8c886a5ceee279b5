"""Fourier transforms, frames and windows: against NumPy's, at lengths known and free, and as what each other undo."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc
from seqc import errors, ops
from seqc.backends.onnxruntime import Session
from seqc.graph import dims, ir
from seqc.graph.autodiff import pull_back
from seqc.graph.interpreter import Interpreter
from seqc.ops._tapers import taper
from seqc.ops.windows import Bessel

BATCH, TIME = dims.symbol("batch"), dims.symbol("time")


def numbers(*shape: int, dtype: str = "float64") -> Any:
    return np.random.default_rng(7).normal(size=shape).astype(dtype)


def joined(pair: Any) -> Any:
    return np.asarray(pair[0]) + 1j * np.asarray(pair[1])


@pytest.mark.parametrize("length", [None, 1, 2, 5, 8, 11])
def test_a_transform_of_real_numbers_is_numpys(length: int | None) -> None:
    x = numbers(2, 3, 8)
    np.testing.assert_allclose(joined(ops.rfft(x, length)), np.fft.rfft(x, length), atol=1e-13)
    z = np.fft.rfft(numbers(2, 12))
    if length != 1:
        np.testing.assert_allclose(ops.irfft((z.real, z.imag), length), np.fft.irfft(z, length), atol=1e-13)


def test_complex_transforms_are_numpys() -> None:
    z = numbers(2, 6, 5) + 1j * numbers(6, 5)
    pair = (z.real, z.imag)
    np.testing.assert_allclose(joined(ops.fft(pair)), np.fft.fft(z), atol=1e-12)
    np.testing.assert_allclose(joined(ops.fft2(pair)), np.fft.fft2(z), atol=1e-12)
    np.testing.assert_allclose(joined(ops.ifft2(pair)), np.fft.ifft2(z), atol=1e-12)


def test_a_signal_comes_back_from_its_short_transforms() -> None:
    x = numbers(2, 61)
    for window in ("hann", "hamming", np.linspace(1, 2, 12), None):
        for stride in (1, 3, 4):
            spectrum = ops.stft(x, 12, stride, 16, window)
            back = np.asarray(ops.istft(spectrum, 12, stride, 16, 61, window))
            end = 60 // stride * stride - 8  # what all windows cover
            np.testing.assert_allclose(back[:, :end] / (16 / stride if window is None else 1), x[:, :end], atol=1e-12)


def test_frames_of_the_short_transforms_lie_where_they_should() -> None:
    x, window = numbers(40), np.hanning(9)[:8]
    padded = np.pad(x, 5, mode="reflect")
    expected = [np.fft.rfft(np.pad(window, 1) * padded[i : i + 10]) for i in range(0, 41, 3)]
    np.testing.assert_allclose(joined(ops.stft(x, 8, 3, 10)), expected, atol=1e-12)
    expected = [np.fft.rfft(x[i : i + 10]) for i in range(0, 31, 7)]
    np.testing.assert_allclose(joined(ops.stft(x, 10, 7, 10, None, center=False)), expected, atol=1e-12)


Function = Callable[..., Any]
FREE: dict[str, tuple[Function, Function, int]] = {
    "rfft": (lambda x: ops.rfft(x), lambda a: (np.fft.rfft(a).real, np.fft.rfft(a).imag), 1),
    "rfft-cut": (lambda x: ops.rfft(x, 6), lambda a: (np.fft.rfft(a, 6).real, np.fft.rfft(a, 6).imag), 1),
    "rfft-filled": (lambda x: ops.rfft(x, 16), lambda a: (np.fft.rfft(a, 16).real, np.fft.rfft(a, 16).imag), 1),
    "irfft": (lambda x, y: ops.irfft((x, y)), lambda a, b: np.fft.irfft(a + 1j * b), 2),
    "irfft-9": (lambda x, y: ops.irfft((x, y), 9), lambda a, b: np.fft.irfft(a + 1j * b, 9), 2),
    "frames": (
        lambda x: ops.extract_sequences(x, 4, 3),
        lambda a: np.stack([a[:, i : i + 4] for i in range(0, a.shape[1] - 3, 3)], 1), 1),
    "there-and-back": (
        lambda x: ops.istft(ops.stft(x, 8, 2, 8), 8, 2, 8), lambda a: a[:, : a.shape[1] // 2 * 2], 1),
    "there-and-back-filled": (
        lambda x: ops.istft(ops.stft(x, 8, 1, 8), 8, 1, 8, length=9), lambda a: a[:, :9], 1),
}  # fmt: skip


@pytest.mark.parametrize("name", FREE)
def test_lengths_may_be_free(name: str) -> None:
    function, expected, count = FREE[name]
    xs = [ir.input_value(f"x{i}", "float64", (BATCH, TIME)) for i in range(count)]
    ys = _listed(function(*xs))
    interpreter = Interpreter(ir.Graph(tuple(xs), ys, tuple(map(str, range(len(ys))))))
    for batch, time in ((1, 9), (3, 14)):
        arrays = [numbers(batch, time), numbers(batch, time) * 2][:count]
        got = interpreter.run(arrays)
        for a, y, wanted in zip(got, ys, _listed(expected(*arrays)), strict=True):
            np.testing.assert_allclose(a, wanted, atol=1e-12)
            assert a.shape == tuple(dims.evaluate(d, {"batch": batch, "time": time}) for d in y.type.shape)


def _listed(results: Any) -> tuple[Any, ...]:
    return tuple(results) if isinstance(results, tuple | list) else (results,)


@pytest.mark.parametrize("name", FREE)
def test_gradients_of_free_lengths_agree_with_differences(name: str) -> None:
    function, _, count = FREE[name]
    xs = [ir.input_value(f"x{i}", "float64", (BATCH, TIME)) for i in range(count)]
    ys = _listed(function(*xs))
    total = sum((ops.sum(ops.square(y)) for y in ys), start=ir.constant(0.0))
    grads = pull_back([total], [ir.constant(1.0)], xs)
    run = Interpreter(ir.Graph(tuple(xs), (total, *grads), ("y", *(f"d{i}" for i in range(count))))).run
    arrays = [numbers(2, 11), numbers(2, 11) * 2][:count]
    direction = np.random.default_rng(1).normal(size=(2, 11))
    for i, gradient in enumerate(run(arrays)[1:]):
        ends = [run([a + s * direction if k == i else a for k, a in enumerate(arrays)])[0] for s in (1e-5, -1e-5)]
        assert np.vdot(gradient, direction) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("name", FREE)
def test_free_lengths_are_exported(name: str, tmp_path: Path) -> None:
    function, expected, count = FREE[name]
    inputs = [seqc.Input((None,)) for _ in range(count)]
    seqc.Model(inputs, function(*inputs)).export(tmp_path / "model.onnx")
    session = Session((tmp_path / "model.onnx").read_bytes())
    for shape in ((1, 9), (3, 14)):
        arrays = [numbers(*shape, dtype="float32"), numbers(*shape, dtype="float32") * 2][:count]
        given = dict(zip(session.input_names, arrays, strict=True))
        for got, wanted in zip(session.run(given).values(), _listed(expected(*arrays)), strict=True):
            np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("length", [100, 1000, 1024, 2048])
def test_onnxruntime_is_given_the_transform_that_it_computes_accurately(length: int, tmp_path: Path) -> None:
    x = seqc.Input((length,))
    seqc.Model(x, ops.rfft(x)).export(tmp_path / "model.onnx")
    session = Session((tmp_path / "model.onnx").read_bytes())
    array = numbers(3, length, dtype="float32")
    got = joined(list(session.run({session.input_names[0]: array}).values()))
    expected = np.fft.rfft(array.astype("float64"))
    assert np.abs(got - expected).max() < 1e-6 * np.abs(expected).max()


def test_a_transform_whose_matrix_would_be_huge_is_not_exported(tmp_path: Path) -> None:
    x = seqc.Input((10000,))
    with pytest.raises(errors.NoLoweringError, match="A Fourier transform of length 10000 cannot be exported"):
        seqc.Model(x, ops.rfft(x)).export(tmp_path / "model.onnx")


def test_sinc_and_its_slope_at_zero() -> None:
    x = np.array([0.0, 0.5, -1.0, 1e-9])
    np.testing.assert_allclose(ops.sinc(x), np.sinc(x), atol=1e-15)
    v = ir.input_value("x", "float64", (4,))
    (slope,) = pull_back([ops.sinc(v)], [ir.constant(np.ones(4))], [v])
    (got,) = Interpreter(ir.Graph((v,), (slope,), ("d",))).run([x])
    np.testing.assert_allclose(got, [0, -4 / np.pi, 1, 0], atol=1e-7)


def test_bessel_functions_are_scipys() -> None:
    x = np.array([0.0, 0.3, -2.5, 19.9, 20.1, -100.0])
    # scipy.special.i0 and i1 of these, SciPy 1.17.1
    i0 = [1.0, 1.0226268793515974, 3.289839144050123, 39513376.52006682, 48017874.1071365, 1.0737517071310738e42]
    i1 = [0.0, 0.15169384000359282, -2.5167162452886984, 38507423.874862276, 46807739.533029884, -1.0683693903381625e42]
    np.testing.assert_allclose(ops.i0(x), i0, rtol=4e-15)
    np.testing.assert_allclose(Bessel(1).eval(x), i1, rtol=4e-15)


def test_windows_are_numpys() -> None:
    for count in (0, 1, 2, 7, 8):
        for name in ("bartlett", "blackman", "hamming", "hanning"):
            got = np.asarray(getattr(ops, name)(count))
            assert got.dtype == np.float32
            np.testing.assert_allclose(got, getattr(np, name)(count), atol=1e-7)
        np.testing.assert_allclose(ops.kaiser(count, 8.6), np.kaiser(count, 8.6), atol=1e-7)


REFUSED: list[tuple[Callable[[], Any], type[errors.SeqcError], str]] = [
    (lambda: ops.fft(np.ones(3)), errors.ShapeError, "fft: Input `x` should be a tuple of two tensors"),
    (lambda: ops.fft((np.ones(3), np.ones(4))), errors.ShapeError, "should have the same shape"),
    (lambda: ops.fft((np.ones(3, "int32"),) * 2), errors.DTypeError, "fft: At least one tensor in input `x` is not of"),
    (lambda: ops.fft2((np.ones(3),) * 2), errors.ShapeError, "fft2: Input should have rank >= 2"),
    (lambda: ops.fft((seqc.Input((None,)),) * 2), errors.ShapeError, "last dimension fully-defined"),
    (lambda: ops.rfft(np.ones(())), errors.ShapeError, "rfft: Input should have rank >= 1"),
    (lambda: ops.rfft(np.ones(4), 0), errors.ShapeError, "rfft: `fft_length` must be a positive integer"),
    (lambda: ops.irfft((np.ones(1),) * 2), errors.ShapeError, "irfft: `fft_length` must be a positive integer"),
    (lambda: ops.extract_sequences(np.ones(4), 5, 1), errors.ShapeError, "a frame of 5 does not fit a last axis of 4"),
    (lambda: ops.extract_sequences(np.ones(4), 2, 0), errors.ShapeError, "`sequence_stride` must be a positive"),
    (lambda: ops.stft(np.ones(9), 4, 2, 3), errors.ShapeError, "`fft_length` must equal or larger"),
    (
        lambda: ops.stft(np.ones(9), 4, 2.0, 4),  # type: ignore[arg-type]
        errors.ShapeError,
        "`sequence_stride` must be a positive integer",
    ),
    (lambda: ops.stft(np.ones(9), 4, 2, 4, "hut"), errors.ConfigError, "it must be one of"),
    (lambda: ops.stft(np.ones(9), 4, 2, 4, np.ones(5)), errors.ShapeError, "must be equal to [sequence_length], 4"),
    (lambda: ops.stft(np.ones(9, "int32"), 4, 2, 4), errors.DTypeError, "stft: Invalid input type"),
    (lambda: ops.hanning("three"), errors.DTypeError, "hanning needs the number of points"),
    (lambda: taper("hat", 3, True), errors.ConfigError, "There is no window 'hat'"),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_what_does_not_fit_is_refused(case: int) -> None:
    call, kind, message = REFUSED[case]
    with pytest.raises(kind, match=re.escape(message)):
        call()
