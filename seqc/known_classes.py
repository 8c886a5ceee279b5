"""The classes of seqc that files may name, by what kind of thing they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TypeVar

T = TypeVar("T")

# (kind, class name) -> class, for kinds "layers", "initializers", "optimizers", "losses", ...
_KNOWN: dict[tuple[str, str], type] = {}
# (kind, class name) -> the module that makes it known when it is loaded.
_LATE: dict[tuple[str, str], str] = {}


def known(kind: str) -> Callable[[type[T]], type[T]]:
    """Class decorator: the class can be read from files under `kind` and its own name."""

    def register(cls: type[T]) -> type[T]:
        _KNOWN[kind, cls.__name__] = cls
        cls._kind = kind  # type: ignore[attr-defined]
        return cls

    return register


def also_known(kind: str, name: str, cls: type) -> None:
    """Makes a class readable from files under another name as well, which some versions of Keras write."""
    _KNOWN[kind, name] = cls


def known_late(kind: str, modules: Mapping[str, str]) -> None:
    """Makes classes readable from files whose modules are loaded when one of them is named.

    Args:
        kind: of the classes. modules: of seqc, by the name of the class; names that stand for nothing that files may
            name are never found.
    """
    _LATE.update({(kind, name): module for name, module in modules.items()})


def find_known(kind: str, name: str) -> type | None:
    """Returns the known class of a kind and name, None if there is none."""
    if (kind, name) not in _KNOWN and (kind, name) in _LATE:
        import_module(_LATE[kind, name])
    return _KNOWN.get((kind, name))


def classes(kind: str) -> dict[str, type]:
    """Returns all known classes of a kind by name."""
    for other, name in [*_LATE]:
        if other == kind:
            find_known(kind, name)
    # As a list, since other threads may load modules meanwhile.
    return {name: cls for (other, name), cls in [*_KNOWN.items()] if other == kind}


def kinds() -> list[str]:
    """Returns the kinds of which there are known classes, in alphabetical order."""
    return sorted({kind for kind, _ in [*_KNOWN, *_LATE]})
