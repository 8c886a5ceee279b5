"""Element types of floating-point numbers, of which NumPy lacks one."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc.errors import ConfigError

HALVES = ("float16", "bfloat16")
FLOATS = (*HALVES, "float32", "float64")


def need_bfloat16(who: str) -> None:
    """Makes bfloat16 an element type of NumPy, as `import ml_dtypes` does.

    Args:
        who: needs it.

    Raises:
        ConfigError: the package is not installed.
    """
    try:
        import ml_dtypes  # noqa: F401  (importing it tells NumPy)
    except ImportError:
        raise ConfigError(
            f"{who} needs the package ml_dtypes, since NumPy itself has no bfloat16: pip install ml_dtypes."
        ) from None


def float_info(dtype: str) -> Any:
    """Returns the limits of an element type of floats: what `numpy.finfo` gives, and the same of bfloat16."""
    if dtype != "bfloat16":
        return np.finfo(dtype)
    need_bfloat16("bfloat16")
    import ml_dtypes

    return ml_dtypes.finfo(ml_dtypes.bfloat16)  # type: ignore[no-untyped-call]
