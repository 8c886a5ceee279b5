"""`seqc.tree` gives what `keras.tree` gives, and what seqc asks beyond that."""

from __future__ import annotations

import builtins
import json
from collections import OrderedDict, UserDict
from typing import Any

import numpy as np
import pytest

import seqc
from kit import tree_calls
from kit.tree_calls import Point
from seqc import structures, tree

RECORDED: dict[str, str] = json.loads(tree_calls.PAGE.read_text(encoding="utf-8"))
# Keras's documentation has None as a leaf of the shallow structure, and its code refuses that.
DOCUMENTED = {
    call for call in RECORDED if call.startswith(("tree.map_structure_up_to(None", "tree.map_structure_up_to([None]"))
}


def test_every_call_gives_what_keras_gives() -> None:
    wrong = []
    for call, recorded in RECORDED.items():
        error = getattr(builtins, recorded[2:], None) if recorded.startswith("! ") else None
        try:
            found = tree_calls.answer(tree, call)
        except Exception as raised:
            if error is None or not isinstance(raised, error):
                wrong.append(f"{call}: {raised!r}, in Keras {recorded}")
            continue
        if found != recorded and call not in DOCUMENTED:
            wrong.append(f"{call}: {found}, in Keras {recorded}")
    assert wrong == []
    assert sorted(RECORDED) == sorted(tree_calls.calls())


def test_a_shallow_structure_ends_at_none() -> None:
    assert tree.map_structure_up_to([None, None], len, [[1, 1], [2]]) == [2, 1]  # as in Keras's documentation
    assert tree.map_structure_up_to([None, [None, None]], str, [[1, 1], [2, 2]]) == ["[1, 1]", ["2", "2"]]


def test_other_mappings_and_kinds_of_lists_are_nested_too() -> None:
    class Own(list[int]):
        pass

    assert tree.flatten([UserDict(b=1, a=2), Own([3])]) == [2, 1, 3]
    made = tree.map_structure(str, [UserDict(b=1, a=2), Own([3])])
    assert made == [{"b": "1", "a": "2"}, ["3"]]
    assert isinstance(made[1], Own)


def test_tensors_and_symbols_are_leaves() -> None:
    x = seqc.Input((3,))
    leaves = [x, np.ones(3), seqc.ops.ones(2), seqc.Variable([1.0])]
    assert all(a is b for a, b in zip(tree.flatten(leaves), leaves, strict=True))
    assert tree.map_structure(lambda leaf: leaf.shape, {"x": x, "y": np.ones((2, 4))}) == {"x": (None, 3), "y": (2, 4)}


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: tree.pack_sequence_as([0, 0], [1]), "has 2 leaves; 1 came"),
        (lambda: tree.map_structure(max, {"a": 1}, {"b": 1}), r"keys \['a'\] where the other has a dict with keys"),
        (lambda: tree.assert_same_structure([1, [2]], [1, 2]), "a list of 1 where the other has a leaf .int."),
        (lambda: tree.assert_same_paths({"a": 1, "b": 2}, {"a": 1, "c": [3]}), r"only .*b.*only .*c.* in `b`"),
        (lambda: tree.traverse(None, [1]), "must be a function; got None"),  # type: ignore[arg-type]
        (lambda: tree.map_structure(str), "One structure at least"),
    ],
)
def test_errors_say_what_does_not_fit(call: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call()


def test_the_flag_that_keras_gave_up_warns() -> None:
    with pytest.warns(DeprecationWarning, match="assert_same_paths"):
        tree.assert_same_structure([1], [2], check_types=False)


def test_names_that_are_not_there_are_said() -> None:
    with pytest.raises(AttributeError, match="Did you mean map_structure"):
        tree.map_structures  # noqa: B018


def test_forms_take_lists_and_tuples_for_each_other() -> None:
    form = {"b": [0, Point(0, 0)], "a": 0}
    node = OrderedDict([("b", (1, [2, {"x": 3}])), ("a", None)])
    assert structures.has_form(form, node)
    assert structures.flatten_up_to(form, node) == [None, 1, 2, {"x": 3}]
    assert structures.names(form) == ["a", "b/0", "b/1/0", "b/1/1"]
    assert not structures.has_form([0], [0, 1])
    assert not structures.has_form({"a": 0}, {"a": 0, "b": 0})
    assert structures.flat(structures.nested({"a/b": 1, "a/c/d": 2, "e": 3})) == {"a/b": 1, "a/c/d": 2, "e": 3}
