"""Keras's second homes for functions: `ops.linalg.det` is `ops.det`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seqc.utils.absent import absent


def namespace(module: str, names: str) -> Callable[[str], Any]:
    """Returns a `__getattr__` for a module that gives functions of `seqc.ops`.

    Args:
        module: its name. names: the functions, separated by spaces.
    """
    listed = tuple(names.split())
    missing = absent(module, listed)

    def look(name: str) -> Any:
        if name not in listed:
            return missing(name)
        from seqc import ops

        return getattr(ops, name)

    return look
