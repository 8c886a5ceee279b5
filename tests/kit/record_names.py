"""Records the public names of Keras, by module: `python -m kit.record_names`

Run it with a Python that has Keras 3; nothing of seqc is needed. It writes `cases/keras_names.json`, and what the
arguments are called of functions and classes that no other recorded table has, `cases/keras_arguments.json`.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from types import ModuleType
from typing import Any

CASES = Path(__file__).resolve().parents[1] / "cases"
PAGE, ARGUMENTS = CASES / "keras_names.json", CASES / "keras_arguments.json"


def names(module: ModuleType, path: str = "") -> dict[str, str]:
    """Returns the names in a module and in the public ones inside, by path; separated by spaces."""
    found = {path: ""}
    here = []
    for name in sorted(dir(module)):
        value = getattr(module, name)
        if name.startswith("_"):
            continue
        if not isinstance(value, ModuleType):
            here.append(name)
        elif value.__name__.startswith("keras.") and not value.__name__.startswith("keras.src"):
            found |= names(value, f"{path}.{name}".lstrip("."))
    return found | {path: " ".join(here)}


def arguments(keras: Any, named: dict[str, str]) -> dict[str, str]:
    """Returns the arguments of what is callable, by its path; separated by spaces."""
    elsewhere = json.loads((CASES / "keras_api.json").read_text())
    found = {}
    for home, here in named.items():
        if home.split(".")[0] in ("ops", "applications", "wrappers"):
            continue
        module = keras
        for name in home.split(".") if home else ():
            module = getattr(module, name)
        for name in here.split():
            value = getattr(module, name)
            if name not in elsewhere.get(home, {}) and callable(value):
                found[f"{home}.{name}".lstrip(".")] = " ".join(_arguments(value))
    return found


def _arguments(value: Any) -> list[str]:
    called: Any = value.__init__ if isinstance(value, type) else value  # type: ignore[misc]
    parameters = inspect.signature(called).parameters.values()
    return [p.name for p in parameters if p.name != "self" and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]


if __name__ == "__main__":
    import keras

    everything = names(keras)
    PAGE.write_text(json.dumps(everything, indent=0) + "\n", encoding="utf-8")
    ARGUMENTS.write_text(json.dumps(arguments(keras, everything), indent=0) + "\n", encoding="utf-8")
