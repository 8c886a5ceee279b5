"""Every public name of Keras is here, or answers with what it is, why it is not here and what to take instead."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import pytest

import seqc
import seqc.keras  # what `import_module("seqc.keras...")` goes through
from kit.oracle import SHARED
from kit.record_names import ARGUMENTS, PAGE
from seqc.errors import MissingDependencyError
from seqc.scopes import RematScope
from seqc.utils.not_carried import NOT_CARRIED

NAMES: dict[str, list[str]] = {home: names.split() for home, names in json.loads(PAGE.read_text()).items()}
# What takes other arguments, and why.
OTHER_ARGUMENTS = {
    "Input": "what it does not take, it says; see test_sequential_errors",
    "KerasTensor": "made by __new__, with the same arguments",
    "layers.Input": "as above",
    "models.save_model": "zipped may be True alone",
    "saving.save_model": "as above",
    "saving.save_weights": "weights are written to one file",
}
# What is said of a name that may be a slip of the pen.
_GUESSES = ("lists what it has", "Did you mean", "has no attribute")


def at(path: str) -> Any:
    """What is at a path of Keras's, by asking for one name after the other.

    What needs a package that is not there is the error that says so.
    """
    found: Any = seqc
    try:
        for name in path.split(".") if path else ():
            found = getattr(found, name)
    except MissingDependencyError as error:
        return error
    return found


@cache
def refused() -> list[str]:
    """Paths of Keras's public names that are not here."""
    missing = []
    for home, names in NAMES.items():
        for path in [home] if not names else [f"{home}.{name}".lstrip(".") for name in names]:
            try:
                at(path)
            except AttributeError:
                missing.append(path)
    return missing


def test_every_name_of_keras_is_here_or_says_why_not() -> None:
    assert sum(map(len, NAMES.values())) > 1400
    for path in refused():
        with pytest.raises(AttributeError) as error:
            at(path)
        said = str(error.value)
        assert not any(words in said for words in _GUESSES), f"{path}: {said}"
        assert re.search(r"has no '\w+'\. .{40,}\.$", said), f"{path}: {said}"


def test_arguments_are_called_as_in_keras() -> None:
    lacking = {}
    for path, names in json.loads(ARGUMENTS.read_text()).items():
        if path in refused() or path in OTHER_ARGUMENTS:
            continue
        found = at(path)
        called: Any = found.__init__ if isinstance(found, type) else found  # type: ignore[misc]
        own = inspect.signature(called).parameters
        if missing := [name for name in names.split() if name not in own]:
            lacking[path] = missing
    assert lacking == {}


def test_no_name_stands_for_a_module_of_seqc() -> None:
    gone = refused()
    paths = [f"{home}.{name}".lstrip(".") for home, names in NAMES.items() for name in names]
    assert [path for path in paths if path not in gone and isinstance(at(path), ModuleType)] == []


def test_what_is_refused_says_the_same_where_it_is_imported() -> None:
    for path in refused():
        with pytest.raises(AttributeError) as asked:
            at(path)
        home, _, name = path.rpartition(".")
        with pytest.raises(ImportError) as told:
            exec(f"from seqc.keras.{home} import {name}".replace(". ", " "))
        assert str(asked.value) in str(told.value), path


def test_asking_whether_a_name_is_there_raises_nothing() -> None:
    assert not hasattr(seqc.layers, "JaxLayer")
    assert getattr(seqc, "StatelessScope", None) is None
    assert hasattr(seqc.layers, "Dense")


def test_the_recorded_api_is_part_of_the_names() -> None:
    if not (SHARED / "api.json").is_file():
        pytest.skip("needs the folder 'shared' beside the repository")
    api = json.loads((SHARED / "api.json").read_text())
    assert [name for name in api.pop("Model") if not hasattr(seqc.Model, name)] == []
    assert [f"{home}.{name}" for home, found in api.items() for name in found if name not in NAMES[home]] == []


def test_no_reason_is_given_for_what_is_there() -> None:
    stale = []
    for home, names in NOT_CARRIED.items():
        module = at(home)
        assert isinstance(module, ModuleType)
        stale += [f"{home}.{name}" for name in names if hasattr(module, name)]
    assert stale == []


def test_what_a_reason_tells_to_take_is_there() -> None:
    said = " ".join(text for names in NOT_CARRIED.values() for text in names.values())
    named = set(re.findall(r"\bseqc\.([\w.]*\w)", said))
    assert len(named) > 50
    for path in named:
        at(path)


@pytest.mark.parametrize("home", [home for home in NAMES if home.split(".")[0] not in (*NOT_CARRIED[""], "datasets")])
def test_every_module_says_what_it_has(home: str) -> None:
    if home.split(".")[-1] == "legacy":
        pytest.skip("not carried")
    with pytest.raises(AttributeError, match="has no 'nothing_like_it'"):
        at(f"{home}.nothing_like_it".lstrip("."))


def test_where_a_step_is_computed_is_accepted() -> None:
    with seqc.device("/CPU:0"), seqc.name_scope("block"), seqc.RematScope(mode="larger_than") as scope:
        assert seqc.ops.sum(seqc.remat(lambda x: x * 2)([1, 2])).numpy() == 6
    assert isinstance(scope, RematScope)
    cases: list[tuple[Callable[[], Any], str]] = [
        (lambda: seqc.device("gpu:0").__enter__(), "computes on the processor"),
        (lambda: seqc.name_scope(3).__enter__(), "must be a string"),
        (lambda: seqc.RematScope("some"), "has the modes 'full'"),
        (lambda: seqc.remat(3), "takes a function"),
    ]
    for ask, words in cases:
        with pytest.raises(ValueError, match=words):
            ask()
