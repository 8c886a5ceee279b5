"""Every public class and function of Keras that the recorded list has: carried, with Keras's arguments and defaults."""

from __future__ import annotations

import inspect
import json
import re
from operator import attrgetter
from typing import Any

import pytest

import seqc
from kit.oracle import KEPT, SHARED
from seqc.layers import Layer
from seqc.optimizers import Optimizer

API: dict[str, dict[str, list[list[Any]]]] = json.loads((KEPT / "keras_api.json").read_text())
# Classes whose arguments are those of all their kind.
BASES: dict[str, type] = {"layers": Layer, "optimizers": Optimizer}
# What seqc does not carry. The error says why, and what to do instead, in these words.
ABSENT: dict[str, str] = {
    "callbacks.OrbaxCheckpoint": "BackupAndRestore",
    "layers.FlaxLayer": "make the module of seqc.layers",
    "layers.JaxLayer": "write it with seqc.ops",
    "layers.TFSMLayer": "load the model's",
    "layers.TorchModuleWrapper": "make the module of seqc.layers",
}
# Arguments that differ on purpose, by what has them, and why.
DIFFERENT: dict[tuple[str, str], str] = {
    ("layers.Embedding", "weights"): "not in the signature, but understood",
    ("Model.save", "zipped"): "`save` writes one file; `save_weights` writes several",
    ("Model.load_weights", "skip_mismatch"): "understood by `seqc.saving.load_weights`",
}
# Arguments in another order, and why.
OTHER_ORDER = {
    **dict.fromkeys(
        ("layers.Conv3DTranspose", "layers.Convolution3DTranspose"),
        "Keras alone has data_format before output_padding here; one in the place of the other is refused",
    ),
    "optimizers.Optimizer": "Keras's takes any arguments and hands them on",
}

ROWS = [
    pytest.param(module, name, parameters, id=f"{module}.{name}")
    for module, found in API.items()
    for name, parameters in found.items()
    if f"{module}.{name}" not in ABSENT
]


@pytest.mark.parametrize(("module", "name", "parameters"), ROWS)
def test_arguments_and_defaults_are_those_of_keras(module: str, name: str, parameters: list[list[Any]]) -> None:
    own, inert = accepted(module, name)
    wrong = []
    for argument, *default in parameters:
        if (f"{module}.{name}", argument) in DIFFERENT:
            continue
        if argument.startswith("*"):  # what a base takes, or older names that seqc has its own list of
            continue
        if argument in inert:
            if default[0] not in inert[argument]:
                wrong.append(f"{argument}={default[0]!r} must be accepted")
        elif argument not in own:
            wrong.append(f"no argument {argument}")
        elif not default:
            if own[argument].default is not inspect.Parameter.empty:
                wrong.append(f"{argument} has no default in Keras")
        elif not same(own[argument].default, default[0]):
            wrong.append(f"{argument}={own[argument].default!r}, in Keras {default[0]!r}")
    assert not wrong


@pytest.mark.parametrize(("module", "name", "parameters"), ROWS)
def test_arguments_come_in_the_order_of_keras(module: str, name: str, parameters: list[list[Any]]) -> None:
    if f"{module}.{name}" in OTHER_ORDER:
        pytest.skip(OTHER_ORDER[f"{module}.{name}"])
    found = getattr(attrgetter(module)(seqc), name)
    own = inspect.signature(found).parameters.values()
    ours = [p.name for p in own if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"]
    theirs = [argument for argument, *_ in parameters if not argument.startswith("*")]
    assert ours[: len(theirs)] == theirs[: len(ours)]


@pytest.mark.parametrize("name", ABSENT)
def test_what_is_not_carried_says_why_and_what_instead(name: str) -> None:
    module, _, own = name.rpartition(".")
    with pytest.raises(AttributeError, match=re.escape(ABSENT[name])):
        getattr(attrgetter(module)(seqc), own)


def test_the_list_is_the_recorded_one() -> None:
    if not (SHARED / "api.json").is_file():
        pytest.skip("needs the folder 'shared' beside the repository")
    assert json.loads((SHARED / "api.json").read_text()) == API
    assert {name for name, _ in DIFFERENT} <= {f"{m}.{n}" for m, found in API.items() for n in found}


def accepted(module: str, name: str) -> tuple[dict[str, inspect.Parameter], dict[str, tuple[Any, ...]]]:
    """What something takes, by name, and what arguments it accepts at some values alone."""
    found = getattr(attrgetter(module)(seqc), name)
    call: Any = found.__init__ if isinstance(found, type) else found  # type: ignore[misc]
    own = dict(inspect.signature(call).parameters)
    if module in BASES and isinstance(found, type):
        own = dict(inspect.signature(BASES[module].__init__).parameters) | own  # type: ignore[misc]
    return own, {"autocast": (True,)} | getattr(found, "inert", {})


def same(ours: Any, theirs: Any) -> bool:
    """A number stands for as many of it as there are axes."""
    if isinstance(theirs, list) and isinstance(ours, int):
        return set(theirs) == {ours}
    try:
        return bool(json.loads(json.dumps(ours)) == theirs)
    except TypeError:
        return False
