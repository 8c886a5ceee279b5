"""Modules that can be imported under other names, as the same objects."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from seqc.sure import present


class _Aliases(MetaPathFinder, Loader):
    """Finds modules of some names in other packages."""

    def __init__(self) -> None:
        self.targets: dict[str, str] = {}

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if self._real(name) is None:
            return None
        return ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        # What the import system made is put away: both names are of one module, which keeps its own.
        real = present(self._real(module.__name__))
        sys.modules[module.__name__] = _module(module.__name__, real)

    def _real(self, name: str) -> str | None:
        for alias, target in sorted(self.targets.items(), key=lambda pair: -len(pair[0])):  # keras.api before keras
            if name == alias or name.startswith(f"{alias}."):
                return target + name.removeprefix(alias)
        return None


def _module(asked: str, real: str) -> ModuleType:
    """Returns a module by its own name.

    Raises:
        ModuleNotFoundError: there is none; it says what the package says of the name.
    """
    try:
        return importlib.import_module(real)
    except ModuleNotFoundError as error:
        if error.name is None or not real.startswith(error.name):
            raise  # of a package that one of ours needs
        parent, _, name = real.rpartition(".")
        found: Any = None
        try:
            found = getattr(_module(asked.rpartition(".")[0], parent), name)
        except AttributeError as told:
            raise ModuleNotFoundError(f"No module named '{asked}'. {told}", name=asked) from error
        if not isinstance(found, ModuleType):
            raise
        return found


_aliases = _Aliases()


def add_alias(name: str, target: str) -> None:
    """Lets a package be imported, with all in it, under another name.

    Args:
        name: the other name. target: the package's own.
    """
    _aliases.targets[name] = target
    if _aliases not in sys.meta_path:
        sys.meta_path.insert(0, _aliases)
