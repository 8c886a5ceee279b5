"""Calls of `keras.tree`, and what Keras gives: `python -m kit.tree_calls` records it.

Run that with a Python that has Keras 3; nothing of seqc is needed. It writes `cases/tree_calls.json`: the
`repr` of each result by its call, or the name of the error.
"""

from __future__ import annotations

import json
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

PAGE = Path(__file__).resolve().parents[1] / "cases" / "tree_calls.json"
Point = namedtuple("Point", ["x", "y"])
Pair = namedtuple("Pair", ["x", "y"])

# Structures, as they are written.
ALONE = (
    "1",
    "None",
    "'ab'",
    "{1}",
    "range(3)",
    "[]",
    "()",
    "{}",
    "[None]",
    "[[]]",
    "([], ())",
    "{'a': {}}",
    "[1, (2, [3])]",
    "{'b': 1, 'a': 2}",
    "OrderedDict([('b', 1), ('a', 2)])",
    "defaultdict(list, {'b': 1, 'a': [2]})",
    "{2: 'x', 10: 'y', 1: 'z'}",
    "{'b': [1, {'d': 2, 'c': 3}], 'a': (4,)}",
    "Point(1, [2, 3])",
    "[Point({'b': 1, 'a': 2}, None)]",
    "deque([1, [2]])",
    "deque([1, 2], 5)",
    "deque([[], None])",
    "{'a': None, 'b': [None, 1]}",
    "{'b': 1, 2: 3, 'a': 4, 1: 5}",
    "{None: 1}",
    "[(1, 2), [3], {'a': 4}]",
    "OrderedDict([('b', {'d': 1, 'c': 2}), ('a', [3])])",
    "{('b', 1): 1, ('a', 2): 2}",
    "[True, 1.5, 'x', b'y']",
    "{'x': Point(1, Pair(2, 3))}",
    "(1,)",
    "[[1]]",
)
# Pairs of structures.
PAIRS = (
    ("1", "2"),
    ("1", "[2]"),
    ("[1]", "2"),
    ("[1, 2]", "[3, 4]"),
    ("[1, 2]", "[3]"),
    ("[1, 2]", "(3, 4)"),
    ("[1, [2]]", "[3, [4]]"),
    ("[1, 2]", "[3, [4]]"),
    ("[1, [2]]", "[3, 4]"),
    ("{'a': 1, 'b': 2}", "{'b': 3, 'a': 4}"),
    ("{'a': 1}", "{'b': 1}"),
    ("{'a': 1}", "{'a': 1, 'b': 2}"),
    ("{'b': 1, 'a': 2}", "OrderedDict([('a', 3), ('b', 4)])"),
    ("OrderedDict([('b', 1), ('a', 2)])", "{'a': 3, 'b': 4}"),
    ("OrderedDict([('b', 1), ('a', 2)])", "OrderedDict([('a', 3), ('b', 4)])"),
    ("{'a': 1}", "defaultdict(list, {'a': 2})"),
    ("defaultdict(list, {'a': 1})", "{'a': 2}"),
    ("Point(1, 2)", "Point(3, 4)"),
    ("Point(1, 2)", "Pair(3, 4)"),
    ("Point(1, 2)", "(3, 4)"),
    ("(1, 2)", "Point(3, 4)"),
    ("Point(1, [2])", "Point(3, [4])"),
    ("deque([1])", "deque([2])"),
    ("deque([1])", "[2]"),
    ("deque([1], 2)", "deque([2], 3)"),
    ("None", "None"),
    ("None", "1"),
    ("[None]", "[None]"),
    ("[None]", "[1]"),
    ("[1]", "[None]"),
    ("[]", "[]"),
    ("[]", "()"),
    ("[]", "{}"),
    ("[]", "1"),
    ("{}", "{}"),
    ("[[], []]", "[[], [1]]"),
    ("[None]", "[[]]"),
)
_MADE = ("[1, 2, 3, 4]", "'abc'", "(9,)", "[]", "iter([5])", "5", "[None]", "[[7, 8]]")
_PACKED = (
    "0",
    "[0]",
    "{'b': 0, 'a': 0}",
    "OrderedDict([('b', 0), ('a', 0)])",
    "{'b': [0, {'d': 0, 'c': 0}], 'a': (0,)}",
    "Point(0, [0])",
    "[]",
    "[None]",
    "deque([0], 3)",
    "defaultdict(list, {'b': 0, 'a': (0,)})",
)
_SEEN = {
    "leaves + 1": "lambda s: s + 1 if isinstance(s, int) else None",
    "lists gone": "lambda s: 'list' if isinstance(s, list) else None",
    "lists none": "lambda s: tree.MAP_TO_NONE if isinstance(s, list) else None",
    "all none": "lambda s: tree.MAP_TO_NONE",
    "instance": "lambda s: tree.MAP_TO_NONE() if s == 1 and False else None",
    "false": "lambda s: False if isinstance(s, int) else None",
}
_SHAPES = (
    "(1, None)",
    "[(1, None), (2, 3)]",
    "{'b': [4, 5], 'a': (None,)}",
    "()",
    "[]",
    "[(), []]",
    "[1, 2]",
    "((1, 2), (3, 'x'))",
    "[(1, 2.0)]",
    "None",
    "'x'",
    "{'a': None}",
    "[[None, 2], [[3]]]",
    "[True]",
    "Point(1, 2)",
    "Point((1, 2), (3,))",
)


_ODD_CALLS = (
    "tree.map_structure(str)",
    "tree.map_structure(5, [1])",
    "tree.map_structure(5, 1)",
    "tree.map_structure_up_to([1], str)",
    "tree.map_structure_up_to([1], 5, [1])",
    "tree.traverse(5, [1])",
    "tree.traverse(5, 1)",
    "tree.map_shape_structure(5, [1])",
    "tree.map_structure(lambda x, y, z: x + y + z, [1, {'a': 2}], [3, {'a': 4}], [5, {'a': 6}])",
    "tree.map_structure(lambda x, y, z: x, [1], [2], [3, 4])",
    "tree.map_structure_up_to([0, 0], lambda x, y: [x, y], [1, [2]], [(3,), 4])",
    "tree.map_structure_up_to({'b': 0, 'a': [0]}, str, {'a': [[1, 2]], 'b': (3, 4)})",
    "tree.map_structure(lambda x: x.upper(), {'b': 'x', 'a': ['y']})",
    "tree.flatten([np.array([1, 2]), np.float32(3)])",
    "type(tree.map_structure(str, defaultdict(list, a=1))['new'])",
    "tree.map_structure(str, deque([1, 2], 2)).maxlen",
    "list(tree.map_structure(str, {'b': 1, 'a': 2}))",
    "list(tree.pack_sequence_as({'b': 0, 'a': 0}, [1, 2]).items())",
    "isinstance(tree.MAP_TO_NONE, type)",
)


def calls() -> Iterator[str]:
    """Yields calls of `tree` as expressions."""
    yield from _calls_on_one()
    yield from _calls_on_two()
    yield from _ODD_CALLS


def _calls_on_one() -> Iterator[str]:
    for s in ALONE:
        for name in ("is_nested", "flatten", "flatten_with_path", "lists_to_tuples"):
            yield f"tree.{name}({s})"
        yield f"tree.map_structure(lambda x: [x], {s})"
        yield f"tree.map_structure(lambda x: 'none' if x is None else None, {s}, none_is_leaf=False)"
        yield f"tree.pack_sequence_as({s}, tree.flatten({s}))"
        for top_down in (True, False):
            yield f"visited({s}, {top_down})"
    for s in ("[1, (2, [3]), {'b': [4], 'a': 5}]", "1", "[]", "OrderedDict([('b', 1), ('a', [2])])", "Point(1, [2])"):
        for func in _SEEN.values():
            for top_down in (True, False):
                yield f"tree.traverse({func}, {s}, top_down={top_down})"
    for s in _SHAPES:
        yield f"tree.map_shape_structure(str, {s})"


def _calls_on_two() -> Iterator[str]:
    for a, b in PAIRS:
        yield f"tree.map_structure(lambda x, y: (x, y), {a}, {b})"
        yield f"tree.map_structure(lambda x, y: (x, y), {a}, {b}, none_is_leaf=False)"
        yield f"tree.map_structure_up_to({a}, str, {b})"
        yield f"tree.assert_same_structure({a}, {b})"
        yield f"tree.assert_same_paths({a}, {b})"
    for s in _PACKED:
        for leaves in _MADE:
            yield f"tree.pack_sequence_as({s}, {leaves})"


def answer(tree: Any, call: str) -> str:
    """Returns what a call gives, as text."""

    def visited(structure: Any, top_down: bool) -> Any:
        seen: list[Any] = []
        result = tree.traverse(lambda node: seen.append(repr(node)), structure, top_down=top_down)
        return result, seen

    known = {"OrderedDict": OrderedDict, "defaultdict": defaultdict, "deque": deque, "np": np}
    return repr(eval(call, {"tree": tree, "visited": visited, "Point": Point, "Pair": Pair, **known}))


def main() -> None:
    """Writes what Keras answers."""
    from keras import tree

    found = {}
    for call in calls():
        try:
            found[call] = answer(tree, call)
        except Exception as error:  # whatever it is, it is recorded
            found[call] = f"! {type(error).__name__}"
    PAGE.write_text(json.dumps(found, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
