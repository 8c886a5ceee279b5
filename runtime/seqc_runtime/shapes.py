"""How large the arrays are that follow from a file's constants: what onnxruntime would compute while it loads.

Shapes are followed through the operators that make arrays larger and through those that keep them; every other operator
ends the chain. Where parts of a graph use one name, the largest of what it can mean counts.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Sizes = tuple[int, ...]


@dataclass
class ShapeNode:
    """An operator, and those of its attributes that say sizes."""

    op: str
    inputs: list[str]
    outputs: list[str]
    shape: Sizes | None = None
    axis: int | None = None


@dataclass
class Constants:
    """What is known before anything is computed: shapes of constants by name, and the numbers of short int64 ones."""

    shapes: dict[str, Sizes] = field(default_factory=dict)
    numbers: dict[str, Sizes] = field(default_factory=dict)

    def add(self, name: str, shape: Sizes | None, numbers: Sizes | None) -> None:
        """Remember a constant; of two by one name, the larger."""
        _keep_larger(self.shapes, name, shape)
        _keep_larger(self.numbers, name, numbers)


def check_shapes(nodes: list[ShapeNode], constants: Constants, check: Callable[[Sizes, str], None]) -> None:
    """Call `check` with the shape of every array that follows from the constants, and the operator that makes it."""
    producers = defaultdict[str, list[ShapeNode]](list)
    for node in nodes:
        for name in node.outputs:
            producers[name].append(node)
    started = set[int]()
    for first in nodes:
        if id(first) in started:
            continue
        started.add(id(first))
        path = [(first, _before(first, producers, started))]
        while path:
            node, before = path[-1]
            earlier = next(before, None)
            if earlier is None:
                path.pop()
                _follow(node, constants, check)
            else:
                path.append((earlier, _before(earlier, producers, started)))


def _before(node: ShapeNode, producers: dict[str, list[ShapeNode]], started: set[int]) -> Iterator[ShapeNode]:
    """What makes a node's inputs, as far as it was not met yet.

    The producers of a name are gone through once: a file may give thousands of nodes one name.
    """
    for name in node.inputs:
        for producer in producers.pop(name, ()):
            if id(producer) not in started:
                started.add(id(producer))
                yield producer


def _follow(node: ShapeNode, constants: Constants, check: Callable[[Sizes, str], None]) -> None:
    shape = RULES[node.op](node, constants)
    if shape is not None and all(size > 0 for size in shape):
        check(shape, f"operator {node.op}")
    if node.outputs:
        constants.add(node.outputs[0], shape, _numbers(node, constants))


def _numbers(node: ShapeNode, constants: Constants) -> Sizes | None:
    if node.op not in ("Identity", "Concat"):
        return None
    parts = [constants.numbers.get(name) for name in node.inputs]
    joined = tuple(n for part in parts for n in part or ())
    return None if None in parts or len(joined) > MOST_SIZES else joined


# A shape has few sizes; longer lists of numbers are data.
MOST_SIZES = 64
_MOST_SIZE = 1 << 62


def _given(node: ShapeNode, constants: Constants) -> Sizes | None:
    return constants.numbers.get(node.inputs[0]) if node.inputs else None


def _expand(node: ShapeNode, constants: Constants) -> Sizes | None:
    if len(node.inputs) < 2:
        return None
    target = constants.numbers.get(node.inputs[1])
    return None if target is None else _broadcast([target, constants.shapes.get(node.inputs[0], ())])


def _tile(node: ShapeNode, constants: Constants) -> Sizes | None:
    if len(node.inputs) < 2:
        return None
    repeats = constants.numbers.get(node.inputs[1])
    shape = constants.shapes.get(node.inputs[0])
    if repeats is None or shape is None or len(shape) != len(repeats):
        return repeats
    return tuple(n * times for n, times in zip(shape, repeats, strict=True))


def _concat(node: ShapeNode, constants: Constants) -> Sizes | None:
    parts = [shape for name in node.inputs if (shape := constants.shapes.get(name)) is not None]
    axis = node.axis or 0
    if not parts or len(parts) < len(node.inputs) or not -len(parts[0]) <= axis < len(parts[0]):
        return None
    if any(len(part) != len(parts[0]) for part in parts):
        return None
    joined = list(parts[0])
    joined[axis] = sum(part[axis] for part in parts)
    return tuple(joined)


def _elementwise(node: ShapeNode, constants: Constants) -> Sizes | None:
    parts = [shape for name in node.inputs if (shape := constants.shapes.get(name)) is not None]
    return _broadcast(parts) if parts and len(parts) == len(node.inputs) else None


def _broadcast(parts: list[Sizes]) -> Sizes:
    rank = max(len(part) for part in parts)
    padded = [(1,) * (rank - len(part)) + part for part in parts]
    return tuple(max(sizes) for sizes in zip(*padded, strict=True))


def _keep_larger(known: dict[str, Sizes], name: str, sizes: Sizes | None) -> None:
    if sizes is None:
        return
    # Behind an axis of size 0 nothing is too large, and numbers would grow by their length at every operator.
    sizes = tuple(max(-_MOST_SIZE, min(size, _MOST_SIZE)) for size in sizes)
    if name not in known or math.prod(sizes) > math.prod(known[name]):
        known[name] = sizes


# These keep the shape of their inputs, broadcast.
_UNARY = ("Identity", "Cast", "Neg", "Abs", "Exp", "Relu", "Sqrt", "Not")
_BINARY = ("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Sum", "Mean", "Where", "And", "Or", "Xor")
_COMPARISONS = ("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual")

RULES: dict[str, Callable[[ShapeNode, Constants], Sizes | None]] = {
    "ConstantOfShape": _given,
    "Expand": _expand,
    "Tile": _tile,
    "Concat": _concat,
    "RandomNormal": lambda node, _: node.shape,
    "RandomUniform": lambda node, _: node.shape,
    **dict.fromkeys((*_UNARY, *_BINARY, *_COMPARISONS), _elementwise),
}
