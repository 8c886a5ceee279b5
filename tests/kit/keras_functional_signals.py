"""Operations of `keras_functional`: transforms of signals, frames, and what is asked of complex numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kit.table_calls import call_on

_OF_X = "angle conj conjugate i0 imag real sinc view_as_real"

# What each is called like: on x and y of shape (batch, 3, 4), or on k, of integers.
SIGNALS: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    **{name: call_on(lambda ops, x, y, k: (x,), name) for name in _OF_X.split()},
    "extract_sequences": lambda ops, x, y, k: ops.extract_sequences(x, 2, 1),
    "fft": lambda ops, x, y, k: ops.fft((x, y))[1],
    "fft2": lambda ops, x, y, k: ops.fft2((x, y))[0],
    "ifft2": lambda ops, x, y, k: ops.ifft2((x, y))[1],
    "irfft": lambda ops, x, y, k: ops.irfft((x, y)),
    "irfft_length": lambda ops, x, y, k: ops.irfft((x, y), fft_length=5),
    "isreal": lambda ops, x, y, k: ops.isreal(x),
    "istft": lambda ops, x, y, k: ops.istft(ops.stft(x, 2, 1, 3), 2, 1, 3, length=3),
    "rfft": lambda ops, x, y, k: ops.rfft(x)[0],
    "rfft_length": lambda ops, x, y, k: ops.rfft(x, fft_length=6)[1],
    "stft": lambda ops, x, y, k: ops.stft(x, 3, 1, 4, window="hamming", center=False)[1],
}
