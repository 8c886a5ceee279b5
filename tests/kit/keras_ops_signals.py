"""Calls of functions of `keras.ops` on signals for `keras_ops_cases`: transforms, frames, windows, parts of numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kit.table_calls import call

# In double precision, as processors differ in the last places of powers in single precision.
S = np.sin(np.arange(40) ** 1.5).astype(np.float32).reshape(2, 20)
R = np.cos(np.arange(12, dtype=np.float32) ** 2).reshape(3, 4)
F = np.array([[1.5, -2.5], [0.0, -0.0]], np.float32)
I = np.array([3, -7, 0], np.int32)  # noqa: E741
B = np.array([True, False])
TAPER = np.array([0.5, 1.0, 0.75, 0.25, 0.5], np.float32)


def _both(pair: Any) -> Any:
    return np.stack([np.asarray(part) for part in pair])


SIGNALS: dict[str, Callable[[Any], Any]] = {
    "fft": lambda k: _both(k.fft((k.convert_to_tensor(R), k.convert_to_tensor(R[::-1] + 0)))),
    "fft2": lambda k: _both(k.fft2((k.convert_to_tensor(R), k.convert_to_tensor(R[::-1] + 0)))),
    "ifft2": lambda k: _both(k.ifft2((k.convert_to_tensor(R), k.convert_to_tensor(R[::-1] + 0)))),
    "rfft": lambda k: _both(k.rfft(S)),
    "rfft of more": lambda k: _both(k.rfft(S / 16, 27)),
    "rfft of less": lambda k: _both(k.rfft(S, 9)),
    "irfft": lambda k: k.irfft((k.convert_to_tensor(R), k.convert_to_tensor(R[::-1] + 0))),
    "irfft of more": lambda k: k.irfft((k.convert_to_tensor(R), k.convert_to_tensor(R[::-1] + 0)), 11),
    "irfft of less": lambda k: k.irfft((k.convert_to_tensor(R), k.convert_to_tensor(R[::-1] + 0)), 5),
    "extract_sequences": lambda k: k.extract_sequences(S, 7, 3),
    "stft": lambda k: _both(k.stft(S, 6, 3, 8)),
    "stft from the start": lambda k: _both(k.stft(S, 6, 5, 6, "hamming", center=False)),
    "stft of an odd length": lambda k: _both(k.stft(S, 5, 2, 7)),
    "stft with numbers as a window": lambda k: _both(k.stft(S, 5, 2, 8, TAPER)),
    "stft without a window": lambda k: _both(k.stft(S, 4, 4, 8, None)),
    "istft": lambda k: k.istft(k.stft(S, 6, 3, 8), 6, 3, 8),
    "istft from the start": lambda k: k.istft(k.stft(S, 6, 3, 6, "hamming", False), 6, 3, 6, None, "hamming", False),
    "istft to a length": lambda k: k.istft(k.stft(S, 5, 2, 8, TAPER), 5, 2, 8, 13, TAPER),
    "istft without a window": lambda k: k.istft(k.stft(S, 4, 2, 8, None), 4, 2, 8, window=None),
    "istft with gaps": lambda k: k.istft(k.stft(S, 6, 7, 8, "hamming", False), 6, 7, 8, None, "hamming", False),
    **{f"{name} of {n}": call(name, n)
       for name in ("bartlett", "blackman", "hamming", "hanning") for n in (1, 6, 7)},
    "kaiser": lambda k: k.kaiser(7, 5.5),
    "sinc": lambda k: k.sinc(F * 1.25),
    "sinc of ints": lambda k: k.sinc(I),
    "i0": lambda k: k.i0(F),
    "i0 of ints": lambda k: k.i0(I),
    **{f"{name} of {kind}": call(name, x)
       for name in ("angle", "conj", "conjugate", "imag", "isreal", "real")
       for kind, x in (("floats", F), ("ints", I))},
    "isreal of bools": lambda k: k.isreal(B),
    "real of bools": lambda k: k.real(B),
    "view_as_real": lambda k: k.view_as_real(F),
}  # fmt: skip
