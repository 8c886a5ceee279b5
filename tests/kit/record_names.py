"""Records the public names of Keras, by module: `python -m kit.record_names`

Run it with a Python that has Keras 3; nothing of seqc is needed. It writes `cases/keras_names.json`.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

PAGE = Path(__file__).resolve().parents[1] / "cases" / "keras_names.json"


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


if __name__ == "__main__":
    import keras

    PAGE.write_text(json.dumps(names(keras), indent=0) + "\n", encoding="utf-8")
