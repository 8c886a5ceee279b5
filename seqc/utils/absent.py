"""What is said where a script asks a module of seqc for something that it does not have."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from opcode import opmap
from types import FrameType
from typing import Any, NoReturn

# How much of a name must be right to be taken for a slip of the pen.
_LIKE = 0.75
_HERE = os.path.dirname(os.path.dirname(__file__)) + os.sep


def absent(module: str, names: Iterable[str] | None = None, advice: str = "") -> Callable[[str], Any]:
    """Returns a `__getattr__` for a module: an error that says what to do. `dir` of the module lists what it has.

    What Keras has and seqc has not is in `not_carried.py`; any other name may be a slip of the pen. The error is an
    AttributeError; an ImportError where somebody writes `from module import name`, since Python would not pass the
    words of the other on.

    Args:
        module: its name.
        names: what it has; by default what is defined in it.
        advice: what to do without a thing that nobody knows.
    """
    known = None if names is None else tuple(names)
    # Without what it imports, which somebody who looks for a layer has no use for.
    vars(sys.modules[module])["__dir__"] = lambda: sorted(known or _own(module))

    def look(name: str) -> NoReturn:
        if name.startswith("_"):  # questions of Python's own, and of its test tools
            raise AttributeError(f"module '{module}' has no attribute '{name}'", name=name)
        text = reason(module, name) or f"{guess(module, name, known or _own(module))} {advice}".rstrip()
        refuse(module, name, f"{module} has no '{name}'. {text}")

    return look


def reason(module: str, name: str) -> str | None:
    """Returns why seqc lacks a name of Keras and what to take instead, None for a name that is none."""
    from seqc.utils.not_carried import NOT_CARRIED  # for those who ask

    home = module.removeprefix("seqc").removeprefix(".")
    homes = (home, "ops") if home.startswith("ops.") else (home,)  # ops.linalg.eig is ops.eig
    return next((NOT_CARRIED[one][name] for one in homes if name in NOT_CARRIED.get(one, {})), None)


def refuse(module: str, name: str, text: str) -> NoReturn:
    """Raises what Python's asking for a name of a module calls for.

    Args:
        module, name: what was asked for. text: what to say.
    """
    if _is_imported():
        raise ImportError(f"cannot import name '{name}' from '{module}': {text}", name=module)
    raise AttributeError(text, name=name)


def _is_imported() -> bool:
    """Tells whether the code that asks seqc for a name says `from ... import`."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_code[frame.f_lasti] == opmap.get("IMPORT_FROM")


def _own(module: str) -> tuple[str, ...]:
    found = vars(sys.modules[module]).items()
    return tuple(name for name, x in found if name[0] != "_" and getattr(x, "__module__", None) == module)


def guess(module: str, name: str, known: tuple[str, ...]) -> str:
    """Returns which of the known names may have been meant, or where they are listed."""
    like = {other: _likeness(name, other) for other in known}
    best = max(like.values(), default=0.0)
    near = [other for other, likeness in like.items() if likeness == best >= _LIKE]
    return f"Did you mean {' or '.join(near[:3])}?" if near else f"dir({module}) lists what it has."


def late(
    module: str,
    places: Mapping[str, str],
    otherwise: Callable[[str], Any],
    dressed: Callable[[Any, str], Any] = lambda found, _: found,
) -> Callable[[str], Any]:
    """Returns a `__getattr__` for a module: it loads what few programs need when somebody asks for it.

    Modules of the package among the places are found by their own names, too, as if they had been loaded.

    Args:
        module: its name.
        places: the modules that have it, by name; or are it, where the name is theirs.
        otherwise: called with every other name.
        dressed: called with what was found and the module that has it; what it returns takes its place.
    """
    inner = {place.removeprefix(f"{module}."): place for place in places.values() if place.startswith(f"{module}.")}

    def look(name: str) -> Any:
        if name in places:
            home = import_module(places[name])
            found = dressed(home if home.__name__ == f"{module}.{name}" else getattr(home, name), places[name])
            sys.modules[module].__dict__[name] = found
            return found
        return import_module(inner[name]) if name in inner else otherwise(name)

    return look


def places_in(package: str, names: Mapping[str, str]) -> dict[str, str]:
    """Returns which module of a package has a name, by name.

    Args:
        package: its name. names: those that a module of the package has, in one string, by the module's name in it.
    """
    return {name: f"{package}.{module}" for module, listed in names.items() for name in listed.split()}


def _likeness(a: str, b: str) -> float:
    from difflib import SequenceMatcher  # for those who ask

    return SequenceMatcher(None, a.lower(), b.lower()).ratio()
