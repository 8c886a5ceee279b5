"""Loops: said step by step where it is known how many steps there are, and else once, as a Scan."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from seqc import structures, tree
from seqc.errors import ConfigError, ShapeError, TraceError
from seqc.graph import dims
from seqc.graph.eager import evaluate_eagerly, is_known
from seqc.graph.ir import Constant, Graph, Input, Type, Value, apply_many, as_value, build, constant, walk
from seqc.graph.scopes import Recording, noting
from seqc.graph.tracing import Trace, current_trace, tracing
from seqc.ops._common import as_operands, normalize_axis
from seqc.ops.branches import cond as choose
from seqc.ops.creation import arange, zeros
from seqc.ops.elementwise import cast
from seqc.ops.indexing import get_item
from seqc.ops.sizes import as_size
from seqc.ops.slicing import concatenate, flip, stack
from seqc.ops.steps import Scan

# How many steps a model says one after the other where nothing is learned; a Scan says more of them once.
_LONG = 64
# How many a loop may take that ends when its numbers say so.
_LONGEST_WHILE = 256


class StepsUnknown(TraceError):
    """A loop that is learned from has as many steps as something that is not known yet, such as the size of a batch."""


class Loop(Scan):
    """A Scan of which nothing is known but its body: no part of a batch goes through it alone."""

    def batch_rule(self, y: Value) -> Any:
        return "whole"


def _settled(x: Any) -> Any:
    """Returns a tensor as its numbers where they are known, so that a long loop does not compute them again."""
    if not isinstance(x, Value) or isinstance(x.op, Constant) or not is_known(x):
        return x
    if builtins.any(v.op.derived for v in walk([x])):
        return x
    return constant(evaluate_eagerly(x))


def _is_learning() -> bool:
    trace = current_trace()
    return trace is not None and trace.learning


def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, maximum_iterations: int | None = None
) -> Any:
    """Returns the variables of a loop after its last step.

    How many steps there are has to be known before a model runs, unless `maximum_iterations` says how many there are at
    most: then all of these are computed, and those behind the end have no effect.

    Args:
        cond: from the variables to whether there is another step. body: from the variables to the next ones.
        loop_vars: where they start: a tensor, or a list or tuple. maximum_iterations: how many steps there are at most.

    Raises:
        TraceError: it depends on numbers that are not known when the loop ends.
    """
    several = isinstance(loop_vars, list | tuple)
    now = list(loop_vars) if several else [loop_vars]
    now = [tree.map_structure(as_value, x) for x in now]

    def step(*given: Any) -> list[Any]:
        result = body(*given)
        return list(result) if several else [result]

    count = 0
    while maximum_iterations is None or count < maximum_iterations:
        going = cast(cond(*now), "bool")
        if is_known(going):
            if not bool(going):
                break
            now = [tree.map_structure(_settled, x) for x in step(*now)]
        elif maximum_iterations is None or maximum_iterations > _LONGEST_WHILE:
            raise TraceError(
                "while_loop ends when numbers say so that are not known before the model runs. Give "
                f"maximum_iterations, of at most {_LONGEST_WHILE}: so many steps are computed then, and those behind "
                "the end have no effect."
            )
        else:
            now = choose(going, partial(step, *now), partial(list, now))
        count += 1
    return tuple(now) if several else now[0]


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init_val: Any) -> Any:
    """Returns what a loop over the integers from `lower` on, before `upper`, comes to.

    Args:
        lower, upper: numbers, or sizes as `ops.shape` gives them. body_fun: from an integer and a value to the next
        value. init_val: the first value: a tensor, or a list, tuple or dictionary.
    """
    first, end = as_size(lower, "fori_loop"), as_size(upper, "fori_loop")
    if isinstance(first, int) and isinstance(end, int) and first >= end:
        return init_val
    numbers = arange(first, end)
    return scan(lambda carry, i: (body_fun(i, carry), None), init_val, numbers)[0]


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """Returns what a function gives for each slice along the first axis, one above the other.

    Args:
        f: from a slice to a tensor, or to a list, tuple or dictionary. xs: a tensor, or several, as such.
    """
    return scan(lambda carry, x: (carry, f(x)), (), xs)[1]


def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Any:
    """Returns what a function gives for each slice along the first axis, one above the other; see `map`."""
    return map(function, elements)


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: Any = 1,
) -> tuple[Any, Any]:
    """Returns what a value comes to that a function carries along the first axis, and what it gives at each step.

    In ONNX, and where nothing is learned, more than 64 steps, or steps of which the number is not known, are said once,
    as a Scan; what is learned from says them one after the other, which needs their number.

    Args:
        f: from the value and a slice of xs to the next value and what is given at this step (or None). init: the first
        value: a tensor, or a list, tuple or dictionary. xs: of what there is a slice at each step, one tensor or
        several. length: how many steps there are; needed without xs. reverse: whether the last step comes first.
        unroll: makes no difference.
    """
    if not isinstance(unroll, bool) and (not isinstance(unroll, int) or unroll < 1):
        raise ConfigError(f"`unroll` must be an positive integer or boolean. Received: unroll={unroll}")
    sequences = [as_value(x) for x in tree.flatten(xs)] if xs is not None else []
    if any(not s.type.rank for s in sequences):
        raise ShapeError(f"A loop goes along the first axis; got {', '.join(str(s.type) for s in sequences)}.")
    lengths = {s.type.shape[0] for s in sequences} | ({length} if length is not None else set())
    if len(lengths) != 1:
        found = f"lengths {sorted(builtins.map(str, lengths))}" if lengths else "neither xs nor a length"
        raise ShapeError(f"A loop needs one number of steps; got {found}.")
    (count,) = lengths
    start = _start(f, init, xs, sequences)
    everything = [*tree.flatten(start), *sequences]
    steps = count if isinstance(count, int) else None
    if steps is None and _is_learning():
        raise StepsUnknown(
            f"A loop of {count} steps cannot be learned from: say its length in the model's Input. What each step does "
            "for itself is better said for all at once."
        )
    if steps is not None and (steps <= _LONG or _is_learning() or builtins.all(builtins.map(is_known, everything))):
        return _said(f, start, xs, sequences, steps, reverse)
    return _scanned(f, start, xs, sequences or [arange(length)], reverse)


def _start(f: Callable[..., Any], init: Any, xs: Any, sequences: Sequence[Value]) -> Any:
    """Returns the first value; numbers of Python's in it are of the types that a step makes of them."""
    start = tree.map_structure(as_value, init)
    numbers = [isinstance(leaf, int | float) for leaf in tree.flatten(init)]
    if not builtins.any(numbers) or builtins.any(s.type.shape[0] == 0 for s in sequences):
        return start
    with tracing(Trace()):
        after, _ = _pair(f(start, _slices(xs, sequences, 0)))
    if not structures.has_form(init, after):
        return start
    listed = zip(tree.flatten(start), structures.flatten_up_to(init, after), numbers, strict=True)
    return tree.pack_sequence_as(
        init, [cast(old, as_value(new).dtype) if number else old for old, new, number in listed]
    )


def _slices(xs: Any, sequences: Sequence[Value], i: int) -> Any:
    return None if xs is None else tree.pack_sequence_as(xs, [get_item(s, i) for s in sequences])


def _said(
    f: Callable[..., Any], carry: Any, xs: Any, sequences: Sequence[Value], steps: int, reverse: bool
) -> tuple[Any, Any]:
    """Says the steps one after the other."""
    if not steps:
        return carry, _of_no_steps(f, carry, xs, sequences)
    given: list[Any] = [None] * steps
    for i in reversed(range(steps)) if reverse else range(steps):
        after, y = _pair(f(carry, _slices(xs, sequences, i)))
        carry = _like(carry, after)
        given[i] = tree.map_structure(lambda leaf: None if leaf is None else _settled(as_value(leaf)), y)
    parts = [tree.flatten(y) for y in given]
    stacked = [None if column[0] is None else stack(column, 0) for column in zip(*parts, strict=True)]
    return carry, tree.pack_sequence_as(given[0], stacked)


def _of_no_steps(f: Callable[..., Any], carry: Any, xs: Any, sequences: Sequence[Value]) -> Any:
    """Returns what a loop gives that takes no step: nothing, in the types and shapes that a step says."""
    types = [s.type.with_shape(s.type.shape[1:]) for s in sequences]
    given = [_placeholder(f"given_{i}", t) for i, t in enumerate(types)]
    with tracing(Trace()):
        _, y = _pair(f(carry, None if xs is None else tree.pack_sequence_as(xs, given)))
        ends = [None if leaf is None else as_value(leaf).type for leaf in tree.flatten(y)]
    if not builtins.all(t is None or dims.is_known(t.shape) for t in ends):
        raise ShapeError("A loop of no steps must know the shapes of what it gives.")
    return tree.pack_sequence_as(y, [None if t is None else zeros((0, *t.shape), t.dtype) for t in ends])


def _pair(returned: Any) -> tuple[Any, Any]:
    if not isinstance(returned, list | tuple) or len(returned) != 2:
        raise ConfigError(f"A step of scan returns the next value and what it gives; got {returned!r}.")
    return returned[0], returned[1]


def _like(before: Any, after: Any) -> Any:
    """Returns the next value of a loop, which is of the form, types and shapes of the one before."""
    if not (structures.has_form(before, after) and structures.has_form(after, before)):
        raise ConfigError(f"A step of a loop keeps the form of its value {before}; got {after}.")
    pairs = zip(tree.flatten(before), tree.flatten(after), strict=True)
    return tree.pack_sequence_as(before, [_same_type(old, as_value(new)) for old, new in pairs])


def _same_type(old: Value, new: Value) -> Value:
    if old.type != new.type:
        if old.type.shape == new.type.shape and as_operands(old, new)[0].dtype == old.dtype:
            return cast(new, old.dtype)
        raise ShapeError(f"A step of a loop makes {new.type} of a value {old.type}, which has to stay the same.")
    settled: Value = _settled(new)
    return settled


def _scanned(f: Callable[..., Any], start: Any, xs: Any, sequences: Sequence[Value], reverse: bool) -> tuple[Any, Any]:
    """Says a step once, which an operation takes for all."""
    states = tree.flatten(start)
    types = [*(s.type for s in states), *(s.type.with_shape(s.type.shape[1:]) for s in sequences)]
    given = [_placeholder(f"given_{i}", t) for i, t in enumerate(types)]
    trace = current_trace()
    did = None if trace is None else (dict(trace.updates), len(trace.losses), trace.streams)
    with noting() as made:
        slices = None if xs is None else tree.pack_sequence_as(xs, given[len(states) :])
        after, y = _pair(f(tree.pack_sequence_as(start, given[: len(states)]), slices))
        carry = tree.flatten(_like(tree.pack_sequence_as(start, given[: len(states)]), after))
        results = [leaf for leaf in tree.flatten(y) if leaf is not None]
        ends = [*carry, *(as_value(r) for r in results)]
    if trace is not None and did != (dict(trace.updates), len(trace.losses), trace.streams):
        raise TraceError(
            "A loop of many steps, or of a number that is not known, can neither assign to variables nor draw random "
            "numbers: it is said once for all steps."
        )
    body, around = closed(given, ends, made)
    found = apply_many(Loop(body, len(states), len(sequences), reverse), *states, *sequences, *around)
    # What an operation gives is in the order in which it was computed.
    listed = iter([flip(r, 0) if reverse else r for r in found[len(states) :]])
    outputs = tree.map_structure(lambda leaf: None if leaf is None else next(listed), y)
    return tree.pack_sequence_as(start, found[: len(states)]), outputs


def _placeholder(name: str, t: Type) -> Value:
    return Value(Input(name, t.dtype, t.shape), (), Type(t.dtype, t.shape))


def closed(given: Sequence[Value], ends: Sequence[Value], made: Recording) -> tuple[Graph, list[Value]]:
    """Returns a step as a graph of its own, and what it reads beside its own inputs."""
    done: dict[Value, Value] = {x: x for x in given}
    around: dict[Value, Value] = {}

    def inside(x: Value) -> Value:
        if x in done or isinstance(x.op, Constant):
            return done.get(x, x)
        if x not in around:
            around[x] = _placeholder(f"around_{len(around)}", x.type)
        return around[x]

    for v in walk(ends):
        if v.op.symbolic and v in made:
            raise TraceError(
                "A loop between layers cannot call layers: write a layer whose call() has the loop, with these inside."
            )
        if v in made and v not in done and not isinstance(v.op, Input | Constant):
            done[v] = build(v.op, tuple(inside(x) for x in v.inputs), v.scope)
    outputs = tuple(inside(v) for v in ends)
    names = tuple(f"gives_{i}" for i in range(len(outputs)))
    return Graph((*given, *around.values()), outputs, names), list(around)


def associative_scan(f: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """Returns what comes to of all elements up to each one along an axis, by a function whose order does not matter.

    In as many rounds as the length has binary digits.

    Args:
        f: from two tensors (or trees of them) to one, for many elements along `axis` at once; associative.
        elems: a tensor or a tree of them. reverse: whether it begins at the end. axis: of a size that is known.
    """
    flat = [as_value(x) for x in tree.flatten(elems)]
    at = [normalize_axis("associative_scan", axis, x.type.rank) for x in flat]
    sizes = {x.type.shape[a] for x, a in zip(flat, at, strict=True)}
    if len(sizes) != 1 or not isinstance(next(iter(sizes)), int):
        raise ShapeError(
            f"associative_scan needs tensors of one known size along axis {axis}; got "
            f"{', '.join(str(x.type) for x in flat)}."
        )
    (size,) = sizes
    flat = [flip(x, a) for x, a in zip(flat, at, strict=True)] if reverse else flat

    def part(x: Value, a: int, start: int, stop: int) -> Value:
        return get_item(x, (*[slice(None)] * a, slice(start, stop)))

    reach = 1
    while isinstance(size, int) and reach < size:
        # Each element takes in what the one `reach` before it has.
        early, late = (
            tree.pack_sequence_as(elems, [part(x, a, *ends) for x, a in zip(flat, at, strict=True)])
            for ends in ((0, size - reach), (reach, size))
        )
        joined = [as_value(x) for x in tree.flatten(f(early, late))]
        heads = [part(x, a, 0, reach) for x, a in zip(flat, at, strict=True)]
        flat = [concatenate(pair, a) for *pair, a in zip(heads, joined, at, strict=True)]
        reach *= 2
    flat = [flip(x, a) for x, a in zip(flat, at, strict=True)] if reverse else flat
    return tree.pack_sequence_as(elems, flat)
