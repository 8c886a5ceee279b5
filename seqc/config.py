"""What Keras configures for the whole program."""

from __future__ import annotations

from seqc.dtype_policies import dtype_policy, floatx, set_dtype_policy, set_floatx
from seqc.epsilon import EPSILON
from seqc.errors import ConfigError
from seqc.limits import max_epochs, max_steps_per_epoch, set_max_epochs, set_max_steps_per_epoch
from seqc.utils.absent import absent
from seqc.utils.display import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)

__all__ = [
    "backend",
    "disable_flash_attention",
    "disable_interactive_logging",
    "disable_traceback_filtering",
    "dtype_policy",
    "enable_flash_attention",
    "enable_interactive_logging",
    "enable_traceback_filtering",
    "enable_unsafe_deserialization",
    "epsilon",
    "floatx",
    "image_data_format",
    "is_flash_attention_enabled",
    "is_interactive_logging_enabled",
    "is_nnx_enabled",
    "is_traceback_filtering_enabled",
    "max_epochs",
    "max_steps_per_epoch",
    "set_backend",
    "set_dtype_policy",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "set_max_epochs",
    "set_max_steps_per_epoch",
]

# What was asked for, of what makes no difference.
_switches: dict[str, bool] = {}


def backend() -> str:
    """Returns "numpy", the one backend."""
    return "numpy"


def set_backend(backend: str) -> None:
    """Accepts the backend that there is.

    Raises:
        ConfigError: it is another one.
    """
    if backend != "numpy":
        raise ConfigError(f"seqc has one backend, 'numpy'; got {backend!r}. Leave the call out.")


def is_nnx_enabled() -> bool:
    """Returns False: Keras's layers are no modules of Flax here."""
    return False


def enable_unsafe_deserialization() -> None:
    """Refuses to let files run code.

    Raises:
        ConfigError: always.
    """
    raise ConfigError(
        "seqc never runs code from a file. Register your own classes and functions, or pass custom_objects={...} to "
        "load_model."
    )


def enable_flash_attention() -> None:
    """Is accepted: attention is computed in the one way there is."""
    _switches["flash_attention"] = True


def disable_flash_attention() -> None:
    """Is accepted: attention is computed in the one way there is."""
    _switches["flash_attention"] = False


def is_flash_attention_enabled() -> bool | None:
    """Returns what was last asked for; None before."""
    return _switches.get("flash_attention")


def enable_traceback_filtering() -> None:
    """Is accepted: errors name the layer, and tracebacks are as Python has them."""
    _switches["traceback_filtering"] = True


def disable_traceback_filtering() -> None:
    """Is accepted: errors name the layer, and tracebacks are as Python has them."""
    _switches["traceback_filtering"] = False


def is_traceback_filtering_enabled() -> bool:
    """Returns what was last asked for; True before."""
    return _switches.get("traceback_filtering", True)


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
