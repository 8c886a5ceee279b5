"""Window functions of signal processing: factors that let a piece of a signal fade in and out.

Sources: F. J. Harris, "On the use of windows for harmonic analysis with the discrete Fourier transform" (1978), and
G. Heinzel et al., "Spectrum and spectral density estimation by the DFT" (2002). Each is a function of n, the number of
factors, the first and last of which lie symmetric.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from seqc.errors import ConfigError, ShapeError


def _cosines(*weights: float) -> Callable[[int], Any]:
    """Returns a window that is a sum of cosines of whole periods, with alternating signs."""

    def window(n: int) -> Any:
        angle = 2 * np.pi * np.arange(n) / (n - 1)
        return sum((-1) ** k * w * np.cos(k * angle) for k, w in enumerate(weights))

    return window


def _side(n: int) -> Any:
    """Returns how far each factor lies from the middle, from -1 to 1."""
    return np.linspace(-1, 1, n)


def _triangle(n: int) -> Any:
    """A triangle that does not fall to zero."""
    half = (n + 1) // 2
    rising = (2 * np.arange(1, half + 1) - (n % 2 == 0)) / (n + n % 2)
    return np.concatenate([rising, rising[::-1][n % 2 :]])


def _bohman(n: int) -> Any:
    far = np.abs(_side(n))
    window = (1 - far) * np.cos(np.pi * far) + np.sin(np.pi * far) / np.pi
    window[[0, -1]] = 0
    return window


def _parzen(n: int) -> Any:
    far = np.abs(np.arange(n) - (n - 1) / 2) / (n / 2)
    near = np.arange(n) - (n - 1) / 2
    return np.where(np.abs(near) <= (n - 1) / 4, 1 - 6 * far**2 * (1 - far), 2 * (1 - far) ** 3)


def _bartlett_hann(n: int) -> Any:
    at = np.abs(np.arange(n) / (n - 1) - 0.5)
    return 0.62 - 0.48 * at + 0.38 * np.cos(2 * np.pi * at)


def _tukey(n: int) -> Any:
    """Flat in the middle half, with a cosine at each side."""
    flank = int(np.floor(0.25 * (n - 1)))
    at = np.arange(n)
    edge = np.minimum(at, n - 1 - at)
    return np.where(edge <= flank, 0.5 * (1 - np.cos(np.pi * 4 * edge / (n - 1))), 1.0)


def _taylor(n: int) -> Any:
    """Side lobes of nearly one height, 30 dB below the main one, for the first 4 of them."""
    count, ratio = 4, 10 ** (30 / 20)
    a = np.arccosh(ratio) / np.pi
    spread = count**2 / (a**2 + (count - 0.5) ** 2)
    m = np.arange(1, count)
    factors = []
    for i in m:
        above = (-1) ** (i + 1) * np.prod(1 - i**2 / spread / (a**2 + (m - 0.5) ** 2))
        factors.append(above / (2 * np.prod([1 - i**2 / j**2 for j in m if j != i])))

    def at(places: Any) -> Any:
        return 1 + 2 * np.dot(factors, np.cos(2 * np.pi * m[:, None] * (places - n / 2 + 0.5) / n))

    return at(np.arange(n)) / at(np.array([(n - 1) / 2]))


_WINDOWS: dict[str, Callable[[int], Any]] = {
    "barthann": _bartlett_hann,
    "bartlett": lambda n: 1 - np.abs(_side(n)),
    "blackman": _cosines(0.42, 0.5, 0.08),
    "blackmanharris": _cosines(0.35875, 0.48829, 0.14128, 0.01168),
    "bohman": _bohman,
    "boxcar": np.ones,
    "cosine": lambda n: np.sin(np.pi / n * (np.arange(n) + 0.5)),
    "exponential": lambda n: np.exp(-np.abs(np.arange(n) - (n - 1) / 2)),
    "flattop": _cosines(0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
    "hamming": _cosines(0.54, 0.46),
    "hann": _cosines(0.5, 0.5),
    "lanczos": lambda n: np.sinc(_side(n)),
    "nuttall": _cosines(0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "parzen": _parzen,
    "taylor": _taylor,
    "triang": _triangle,
    "tukey": _tukey,
}
# Other names that SciPy, where Keras takes its windows from, has for them.
_ALIASES = {
    "barthann": "brthan bth", "bartlett": "bart brt", "blackman": "black blk", "blackmanharris": "blackharr bkh",
    "bohman": "bman bmn", "boxcar": "box ones rect rectangular", "cosine": "halfcosine", "exponential": "poisson",
    "flattop": "flat flt", "hamming": "hamm ham", "hann": "han", "lanczos": "sinc", "nuttall": "nutl nut",
    "parzen": "parz par", "taylor": "taylorwin", "triang": "triangle tri", "tukey": "tuk",
}  # fmt: skip
_NAMES = {other: name for name, others in _ALIASES.items() for other in others.split()} | {n: n for n in _WINDOWS}


def checked_taper(name: str) -> str:
    """Returns a window's own name.

    Raises:
        ConfigError: there is no such window.
    """
    if name not in _NAMES:
        raise ConfigError(
            f"There is no window {name!r}. Use one of {', '.join(sorted(_WINDOWS))}, or give the window's numbers."
        )
    return _NAMES[name]


def taper(name: str, n: int, periodic: bool) -> Any:
    """Returns the factors of a window in double precision.

    Args:
        name: of the window. n: how many factors. periodic: whether the window would go on with its first factor, as one
            does that a Fourier transform reads; otherwise it is symmetric.

    Raises:
        ConfigError: there is no such window.
    """
    own = checked_taper(name)
    if n == 1:
        return np.ones(1)
    return _WINDOWS[own](n + 1)[:n] if periodic else _WINDOWS[own](n)


def check_taper(window: Any, scaling: Any) -> None:
    """Raises ConfigError where arguments of an STFT name no window or no scaling."""
    if isinstance(window, str):
        checked_taper(window)
    if scaling not in (None, "density", "spectrum"):
        raise ConfigError(f"Scaling is invalid, it must be `None`, 'density' or 'spectrum'. Received scaling={scaling}")


def scaled_taper(window: Any, n: int, scaling: str | None, periodic: bool) -> Any:
    """Returns the factors of a window in double precision, scaled.

    Args:
        window: its name, n numbers, or None for ones, which are not scaled.
        n: how many factors.
        scaling: "density" for a sum of squares of one, "spectrum" for a sum of magnitudes of one, or None.
        periodic: see `taper`; for windows with a name.

    Raises:
        ShapeError: there are other than n numbers.
    """
    if window is None:
        return np.ones(n)
    factors = taper(window, n, periodic) if isinstance(window, str) else np.asarray(window, np.float64)
    if factors.shape != (n,):
        raise ShapeError(
            f"The shape of `window` must be equal to [frame_length], {n}. Received: window shape={factors.shape}"
        )
    divisor = {"density": np.sqrt(np.sum(factors**2)), "spectrum": np.sum(np.abs(factors))}.get(scaling or "", 1.0)
    return factors / divisor
