"""Layers, losses, metrics, optimizers and what they are made with take Keras's arguments, with Keras's defaults."""

from __future__ import annotations

import inspect
import json
from operator import attrgetter
from typing import Any

import pytest

import seqc
from kit.oracle import SHARED
from seqc.layers import Layer
from seqc.optimizers import Optimizer
from seqc.serialization import classes

KINDS = (
    "layers", "initializers", "regularizers", "constraints", "losses", "metrics", "optimizers", "optimizers.schedules",
)  # fmt: skip
# Classes whose arguments are those of all their kind.
BASES: dict[str, type] = {"layers": Layer, "optimizers": Optimizer}
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
    cls = getattr(attrgetter(kind)(seqc), name)
    own = dict(inspect.signature(cls.__init__).parameters)
    if kind in BASES:
        own = dict(inspect.signature(BASES[kind].__init__).parameters) | own  # type: ignore[misc]
    inert = {"autocast": (True,)} | getattr(cls, "inert", {})
    for argument, *default in parameters:
        # Names of optimizers are made of those of their classes.
        if argument.startswith("*") or (name, argument) in OTHERWISE or (kind, argument) == ("optimizers", "name"):
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


@pytest.mark.skipif(not ROWS, reason="needs the folder 'shared' beside the repository")
@pytest.mark.parametrize(("kind", "name", "parameters"), ROWS, ids=[name for _, name, _ in ROWS])
def test_arguments_without_names_come_in_the_order_of_keras(kind: str, name: str, parameters: list[list[Any]]) -> None:
    if name == "Conv3DTranspose":
        pytest.skip("Keras alone has data_format before output_padding here; one in the place of the other is refused")
    own = inspect.signature(getattr(attrgetter(kind)(seqc), name)).parameters.values()
    ours = [p.name for p in own if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert ours == [argument for argument, *_ in parameters if not argument.startswith("*")][: len(ours)]


def same(ours: Any, theirs: Any) -> bool:
    """A number stands for as many of it as there are axes."""
    if isinstance(theirs, list) and isinstance(ours, int):
        return set(theirs) == {ours}
    return bool(json.loads(json.dumps(ours)) == theirs)
