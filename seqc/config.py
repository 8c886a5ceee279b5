"""What Keras configures for the whole program."""

from __future__ import annotations

from seqc.dtype_policies import dtype_policy, floatx, set_dtype_policy, set_floatx
from seqc.epsilon import EPSILON
from seqc.errors import ConfigError
from seqc.utils.absent import absent
from seqc.utils.display import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)

__all__ = [
    "backend",
    "disable_interactive_logging",
    "dtype_policy",
    "enable_interactive_logging",
    "epsilon",
    "floatx",
    "image_data_format",
    "is_interactive_logging_enabled",
    "set_dtype_policy",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
]


def backend() -> str:
    """Returns "numpy", the one backend."""
    return "numpy"


def epsilon() -> float:
    """Returns the small number that keeps divisors from 0."""
    return EPSILON


def set_epsilon(value: float) -> None:
    """Accepts the epsilon that there is.

    Raises:
        ConfigError: it is another number.
    """
    if value != EPSILON:
        raise ConfigError(
            f"seqc computes with epsilon={EPSILON}; got {value}. Layers and optimizers take `epsilon` themselves."
        )


def image_data_format() -> str:
    """Returns "channels_last", what layers of images mean unless they are told otherwise."""
    return "channels_last"


def set_image_data_format(data_format: str) -> None:
    """Accepts the format that there is.

    Raises:
        ConfigError: it is another one.
    """
    if str(data_format).lower() != "channels_last":
        raise ConfigError(
            f"Images have their channels last unless a layer says otherwise; got {data_format!r}. Give layers "
            "data_format='channels_first'."
        )


__getattr__ = absent(__name__, __all__)
