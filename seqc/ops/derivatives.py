"""Derivatives that programs say, and those along a direction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from seqc import structures, tree
from seqc.errors import ConfigError, ShapeError
from seqc.graph.autodiff import pull_back
from seqc.graph.ir import (
    Array,
    HasValue,
    Op,
    Type,
    Value,
    apply,
    apply_many,
    as_value,
)
from seqc.graph.target import Target
from seqc.ops.elementwise import Identity, cast
from seqc.ops.shape import zeros_like


@dataclass(frozen=True, repr=False, eq=False)
class OwnGradient(Op):
    """The first `count` operands, whose gradient goes to the others, as a function says.

    Attributes:
        rule: gives results and the gradient's function for the other operands. count: how many results there are.
    """

    rule: Callable[..., tuple[Any, Callable[..., Any]]] = field(repr=False)
    count: int

    def infer(self, *types: Type) -> tuple[Type, ...]:
        return types[: self.count]

    def eval(self, *arrays: Array) -> Any:
        return tuple(a.copy() for a in arrays[: self.count])

    def vjp(self, g: Any, y: Value, *xs: Value) -> Sequence[Value | None]:
        given = xs[self.count :]
        arrived = [zeros_like(x) if part is None else part for x, part in zip(xs, g, strict=False)]
        _, gradient = self.rule(*given)
        parts = gradient(*arrived)
        listed = list(parts) if isinstance(parts, list | tuple) else [parts]
        if len(listed) != len(given):
            raise ConfigError(f"A custom gradient gives a part for each of {len(given)} arguments; got {len(listed)}.")
        return *[None] * self.count, *(_as_gradient(p, x) for p, x in zip(listed, given, strict=True))

    def decompose(self, target: Target, y: Value, *xs: Value) -> Value | tuple[Value, ...] | None:
        return xs[: self.count]


def _as_gradient(part: Any, x: Value) -> Value | None:
    if part is None or not x.type.is_float:
        return None
    value = cast(part, x.dtype)
    if value.type.shape != x.type.shape:
        raise ShapeError(f"A custom gradient for an argument {x.type} has its shape; got {value.type}.")
    return value


class Point(Identity):
    """Where a derivative is taken: its numbers may be known, and are not put in the place of what depends on it."""

    derived = True


def custom_gradient(f: Callable[..., tuple[Any, Callable[..., Any]]]) -> Callable[..., Any]:
    """Returns a function whose gradient is what it says itself.

    Args:
        f: returns its result, and a function from the gradient that arrives at the result (one for each of several) to
        those of the arguments.
    """

    @wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        flat = [leaf for leaf in tree.flatten(args) if _is_tensor(leaf)]
        values = [as_value(x) for x in flat]

        def again(*tensors: Any) -> tuple[Any, Callable[..., Any]]:
            given = iter(tensors)
            return f(*tree.map_structure(lambda leaf: next(given) if _is_tensor(leaf) else leaf, args), **kwargs)

        result, _ = again(*values)
        results = [as_value(leaf) for leaf in tree.flatten(result)]
        found = apply_many(OwnGradient(again, len(results)), *results, *values)
        return tree.pack_sequence_as(result, found)

    return call


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, Value | HasValue) or hasattr(leaf, "__array__") or isinstance(leaf, float)


def jvp(fun: Callable[..., Any], primals: Any, tangents: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """Returns fun(*primals), and how it changes along a direction.

    Args:
        fun: from tensors to tensors. primals: what it is called on, a list or tuple. tangents: the direction, of their
        form. has_aux: whether `fun` returns something besides, which comes last.
    """
    if not isinstance(primals, list | tuple) or not structures.has_form(primals, tangents):
        raise ConfigError("jvp needs a list or tuple of primals, and tangents of the same form.")
    points = [as_value(x) for x in tree.flatten(primals)]
    along = [cast(t, x.dtype) for t, x in zip(tree.flatten(tangents), points, strict=True)]
    for x, t in zip(points, along, strict=True):
        if x.type.shape != t.type.shape:
            raise ShapeError(f"jvp needs a tangent {x.type} for the primal; got {t.type}.")
    # Tensors of their own, which nothing else reads, so that the derivative is by these alone.
    own = [apply(Point(), x) for x in points]
    returned = fun(*tree.pack_sequence_as(primals, own))
    result, aux = returned if has_aux else (returned, None)
    ends = [as_value(leaf) for leaf in tree.flatten(result)]
    moved = _pushed(ends, own, along)
    both = (result, tree.pack_sequence_as(result, moved))
    return (*both, aux) if has_aux else both


def _pushed(ends: Sequence[Value], points: Sequence[Value], along: Sequence[Value]) -> list[Value]:
    """Returns the derivative of each end along a direction: of the gradient, which is linear in what it begins with."""
    found = []
    wanted = [i for i, x in enumerate(points) if x.type.is_float]
    for y in ends:
        if not y.type.is_float:
            found.append(zeros_like(y))
            continue
        start = apply(Identity(), zeros_like(y))
        back = pull_back([y], [start], [points[i] for i in wanted])
        found += pull_back(back, [along[i] for i in wanted], [start])
    return found
