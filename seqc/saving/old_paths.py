"""Where TensorFlow 2.13 kept the weights of layers, whose paths count differently from Keras 3's.

It listed the layers of a model as `_layer_checkpoint_dependencies`, those with weights twice, so that the stems of
three Dense layers are `dense`, `dense_2`, `dense_4`. So of each class, the i-th layer with weights has the i-th stem.
Some layers inside layers were attributes that began with an underscore, in Keras 2 and in the first releases of 3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from seqc.layers.base import Layer
from seqc.saving.h5 import Store
from seqc.utils.naming import snake_case

LAYERS, OLD_LAYERS = "layers", "_layer_checkpoint_dependencies"
_STEM = re.compile(r"(.*?)(?:_(\d+))?")


def paths_in(store: Store, layers: Mapping[str, Layer]) -> dict[str, str]:
    """Returns the path in a file for each path that layers have today.

    Args:
        store: the arrays. layers: by their path, those outside before those inside.
    """
    children = _children(store)
    old = OLD_LAYERS in children.get("", {})
    places: dict[str, str] = {"": ""}
    taken: dict[tuple[str, str], int] = {}
    for path, layer in layers.items():
        if not path:
            continue
        outer, rest = _outer(path, places)
        if not old or rest[0] != LAYERS or len(rest) != 2:
            names = children.get(places[outer], {})
            if rest[0] not in names and f"_{rest[0]}" in names:
                rest[0] = f"_{rest[0]}"
            places[path] = _joined(places[outer], *rest)
            continue
        listed = _joined(places[outer], OLD_LAYERS)
        base = snake_case(type(layer).__name__)
        stems = _stems(children.get(listed, {}), base)
        index = taken.get((listed, base), 0) if layer.weights else len(stems)
        if layer.weights:
            taken[listed, base] = index + 1
        places[path] = _joined(listed, stems[index] if index < len(stems) else rest[1])
    return places


def _children(store: Store) -> dict[str, dict[str, None]]:
    """Returns the names directly below each path that has arrays somewhere below it."""
    found: dict[str, dict[str, None]] = {}
    for path in store.paths():
        while path:
            path, _, name = path.rpartition("/")
            if name in found.setdefault(path, {}):
                break
            found[path][name] = None
    return found


def _outer(path: str, places: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Returns the path of the layer around one, and the parts of the path that lead on from there."""
    rest: list[str] = []
    while True:
        path, _, name = path.rpartition("/")
        rest.insert(0, name)
        if path in places:
            return path, rest


def _stems(names: Mapping[str, None], base: str) -> list[str]:
    numbered = []
    for name in names:
        found = _STEM.fullmatch(name)
        if found is not None and (found[1] == base or name == base):
            numbered.append((-1 if name == base else int(found[2] or -1), name))
    return [name for _, name in sorted(numbered)]


def _joined(*parts: str) -> str:
    return "/".join(part for part in parts if part)
