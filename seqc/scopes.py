"""What Keras has to say where and how a step is computed: accepted, since seqc decides that by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from seqc.errors import ArgumentTypeError, ConfigError

__all__ = ["RematScope", "device", "name_scope", "remat"]

F = TypeVar("F", bound=Callable[..., Any])
_MODES = ("full", "activations", "larger_than", "list_of_layers", None)


@contextmanager
def device(device_name: str) -> Iterator[None]:
    """Computes what is in a `with` block on the processor, where everything is computed.

    Args:
        device_name: "cpu", "cpu:0", "/CPU:0" and so on.

    Raises:
        ConfigError: it is no processor.
    """
    kind = device_name.lower().removeprefix("/").removeprefix("device:") if isinstance(device_name, str) else ""
    if kind.partition(":")[0] != "cpu":
        raise ConfigError(f'seqc computes on the processor, device("cpu"); got {device_name!r}. Leave the block out.')
    yield


@contextmanager
def name_scope(name: str, **kwargs: Any) -> Iterator[None]:
    """Does nothing: weights, and nodes of files, are called by the layers that have them.

    Args:
        name: of the scope. kwargs: what Keras's backends take.

    Raises:
        ArgumentTypeError: the name is no text.
    """
    if not isinstance(name, str):
        raise ArgumentTypeError(f"Argument `name` of name_scope must be a string; got {name!r}.")
    yield


def remat(f: F) -> F:
    """Returns the function as it is: what is kept for the gradients, and what computed again, the executor decides.

    Raises:
        ArgumentTypeError: it is no function.
    """
    if not callable(f):
        raise ArgumentTypeError(f"remat takes a function; got {f!r}.")
    return f


class RematScope:
    """Changes no result and no memory: the executor decides what is kept for the gradients.

    Args:
        mode: "full", "activations", "larger_than", "list_of_layers" or None.
        output_size_threshold, layer_names: for the last two of them.

    Raises:
        ConfigError: there is no such mode.
    """

    def __init__(
        self, mode: str | None = "full", output_size_threshold: int = 1024, layer_names: Sequence[str] | None = None
    ) -> None:
        if mode not in _MODES:
            raise ConfigError(f"RematScope has the modes {', '.join(map(repr, _MODES))}; got {mode!r}.")
        self.mode, self.output_size_threshold = mode, output_size_threshold
        self.layer_names = list(layer_names or ())

    def __enter__(self) -> RematScope:
        return self

    def __exit__(self, *error: object) -> None:
        return
