"""Layers, initializers, regularizers and constraints take Keras's arguments, with Keras's defaults."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest

import seqc
from kit.oracle import SHARED
from seqc.layers import Layer
from seqc.serialization import classes

KINDS = ("layers", "initializers", "regularizers", "constraints")
# Arguments that are not in the signature but are understood.
OTHERWISE = {("Embedding", "weights"), ("InputLayer", "input_tensor")}


def recorded() -> list[tuple[str, str, list[list[Any]]]]:
    path = SHARED / "api.json"
    if not path.is_file():
        return []
    api = json.loads(path.read_text())
    return [(k, name, api[k][name]) for k in KINDS for name in sorted(classes(k)) if name in api[k]]


ROWS = recorded()


@pytest.mark.skipif(not ROWS, reason="needs the folder 'shared' beside the repository")
@pytest.mark.parametrize(("kind", "name", "parameters"), ROWS, ids=[name for _, name, _ in ROWS])
def test_arguments_and_defaults_are_those_of_keras(kind: str, name: str, parameters: list[list[Any]]) -> None:
    cls = getattr(getattr(seqc, kind), name)
    own = dict(inspect.signature(cls.__init__).parameters)
    inert: dict[str, tuple[Any, ...]] = {"autocast": (True,)}
    if issubclass(cls, Layer):
        own = dict(inspect.signature(Layer.__init__).parameters) | own
        inert |= cls.inert
    for argument, *default in parameters:
        if argument.startswith("*") or (name, argument) in OTHERWISE:
            continue
        if argument in inert:
            assert default[0] in inert[argument], f"{name}({argument}={default[0]!r}) must be accepted"
            continue
        assert argument in own, f"{name} has no argument {argument}"
        ours = own[argument].default
        if not default:
            assert ours is inspect.Parameter.empty, f"{name}({argument}) has no default in Keras"
        else:
            assert same(ours, default[0]), f"{name}({argument}): {ours!r}, in Keras {default[0]!r}"


def same(ours: Any, theirs: Any) -> bool:
    """A number stands for as many of it as there are axes."""
    if isinstance(theirs, list) and isinstance(ours, int):
        return set(theirs) == {ours}
    return bool(json.loads(json.dumps(ours)) == theirs)
