"""Choosing what is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from seqc import structures, tree
from seqc.errors import ConfigError, ShapeError
from seqc.graph.eager import is_known
from seqc.graph.ir import Array, Constant, Input, Op, Type, Value, apply, as_value, build, walk
from seqc.graph.scopes import Recording, noting
from seqc.graph.target import Target
from seqc.graph.tracing import Trace, Variable, current_trace
from seqc.ops._common import as_operands, scalar
from seqc.ops.elementwise import cast, less_equal, where


@dataclass(frozen=True, repr=False)
class Gate(Op):
    """The first operand, of which a gradient comes back only where the second says that its branch is taken.

    Attributes:
        wanted: what the condition is where the branch is taken.
    """

    kind = "view"
    wanted: bool

    def infer(self, x: Type, condition: Type) -> Type:
        return x

    def eval(self, x: Array, condition: Array) -> Any:
        return x

    def vjp(self, g: Value, y: Value, x: Value, condition: Value) -> Sequence[Value | None]:
        # Chosen, not multiplied: a branch that is not taken may divide by zero.
        none = scalar(0, g)
        return (where(condition, g, none) if self.wanted else where(condition, none, g)), None

    def decompose(self, target: Target, y: Value, x: Value, condition: Value) -> Value | tuple[Value, ...] | None:
        return x


@dataclass
class _Branch:
    """What a branch gives, and what it did to the trace.

    Attributes:
        result: a tree. updates: new values of variables. losses: penalties that it added.
    """

    result: Any
    updates: dict[Variable, Value] = field(default_factory=dict)
    losses: list[Value] = field(default_factory=list)


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """Returns what one of two functions returns: of the first if `pred` is true, else of the second.

    Where it is not known before the model runs, a step of training or prediction computes both, as files do, and one
    result is chosen; only the one that is chosen has a gradient, and only what it assigned to variables counts.

    Args:
        pred: a boolean, or a tensor of one without axes. true_fn, false_fn: functions without arguments, which return
        tensors, or lists and dictionaries of them, of the same shapes.

    Raises:
        ShapeError: the functions return tensors of different shapes. ConfigError: they return different structures.
    """
    condition = cast(as_value(pred), "bool")
    if condition.type.rank:
        raise ShapeError(f"cond needs a condition without axes; got {condition.type}. Use ops.where for each element.")
    if is_known(condition):
        return true_fn() if bool(condition) else false_fn()
    taken = _branch(condition, True, true_fn)
    other = _branch(condition, False, false_fn)
    trace = current_trace()
    if trace is not None:
        _merge(trace, condition, taken, other)
    if not (structures.has_form(taken.result, other.result) and structures.has_form(other.result, taken.result)):
        raise ConfigError(f"Both functions of cond must return the same; got {taken.result} and {other.result}.")
    pairs = zip(tree.flatten(taken.result), tree.flatten(other.result), strict=True)
    return tree.pack_sequence_as(taken.result, [_chosen(condition, a, b) for a, b in pairs])


def _chosen(condition: Value, a: Any, b: Any) -> Value | None:
    if a is None and b is None:
        return None
    one, two = as_operands(a, b)
    if one.type.shape != two.type.shape:
        raise ShapeError(f"Both functions of cond must return tensors of one shape; got {one.type} and {two.type}.")
    return where(condition, one, two)


def _branch(condition: Value, wanted: bool, function: Callable[[], Any]) -> _Branch:
    """Returns what a function gives, with gates where it reads what was there before."""
    trace = current_trace()
    before = ({}, []) if trace is None else (dict(trace.updates), list(trace.losses))
    with noting() as made:
        result = function()
    found = _Branch(result)
    if trace is not None:
        found.updates = {v: new for v, new in trace.updates.items() if new is not before[0].get(v)}
        found.losses = trace.losses[len(before[1]) :]
        trace.updates, trace.losses = before
    return _gated(found, made, condition, wanted, trace)


def _gated(found: _Branch, made: Recording, condition: Value, wanted: bool, trace: Trace | None) -> _Branch:
    """Returns a branch that reads what was there before through gates.

    One that calls layers on symbols stays as it is.
    """
    ends = [as_value(leaf) for leaf in tree.flatten(found.result) if leaf is not None]
    order = walk([*ends, *found.updates.values(), *found.losses])
    if any(v in made and v.op.symbolic for v in order):
        return found
    gates: dict[Value, Value] = {}

    def behind(x: Value) -> Value:
        if x in done:
            return done[x]
        if isinstance(x.result, tuple) or not x.type.is_float or isinstance(x.op, Constant):
            return x
        if x not in gates:
            gates[x] = apply(Gate(wanted), x, condition)
        return gates[x]

    done: dict[Value, Value] = {}
    for v in order:
        if v in made and not isinstance(v.op, Input | Constant):
            done[v] = build(v.op, tuple(behind(x) for x in v.inputs), v.scope)
            if trace is not None and v in trace.masks:
                trace.masks[done[v]] = trace.masks[v]

    def new(x: Any) -> Any:
        return x if x is None else done.get(as_value(x), as_value(x)) if isinstance(x, Value) else x

    return _Branch(
        tree.map_structure(new, found.result),
        {v: new(x) for v, x in found.updates.items()},
        [_renewed(trace, loss, new(loss)) for loss in found.losses],
    )


def _renewed(trace: Trace | None, old: Value, new: Value) -> Value:
    """Returns the value that stands for a penalty, added by the same layer."""
    if trace is not None:
        trace.adders[new] = trace.adders.get(old)
    return new


def _merge(trace: Trace, condition: Value, taken: _Branch, other: _Branch) -> None:
    """Lets the trace see what the branch that is taken did."""
    for variable in {**taken.updates, **other.updates}:
        old = trace.read(variable)
        pair = (branch.updates.get(variable, old) for branch in (taken, other))
        trace.updates[variable] = where(condition, *pair)
    for loss in taken.losses:
        trace.losses.append(_renewed(trace, loss, where(condition, loss, scalar(0, loss))))
    for loss in other.losses:
        trace.losses.append(_renewed(trace, loss, where(condition, scalar(0, loss), loss)))


def switch(index: Any, branches: Iterable[Callable[..., Any]], *operands: Any) -> Any:
    """Returns what one of several functions returns; an index beyond them counts as the nearest. See `cond`.

    Args:
        index: an integer, or an integer tensor without axes. branches: the functions. operands: what they are called
        on.
    """
    functions = list(branches)
    if not functions:
        raise ConfigError("switch needs at least one branch.")
    place = as_value(index)
    if place.type.rank or not place.dtype.startswith(("int", "uint")):
        raise ShapeError(f"switch needs an integer without axes; got {place.type}.")
    if is_known(place):
        return functions[min(max(int(place), 0), len(functions) - 1)](*operands)

    def from_branch(i: int) -> Any:
        if i == len(functions) - 1:
            return functions[i](*operands)
        return cond(less_equal(place, i), lambda: functions[i](*operands), lambda: from_branch(i + 1))

    return from_branch(0)
