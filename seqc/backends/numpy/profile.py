"""Where the time of a run goes: by layer, by operation, and by what the run does with them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from seqc.backends.numpy.executor import Executor
from seqc.backends.numpy.naive import NaiveExecutor
from seqc.backends.numpy.regions import ParallelRegion, Program
from seqc.backends.numpy.strings import StringExecutor
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph, Value, walk

# The parts of a training step, in their order in time.
PARTS = ("forward", "backward", "update")

# What each call computed and how long it took. Several threads append to it, which a list stands.
Spent = list[tuple[Value, float]]


@dataclass(frozen=True)
class Timing:
    """The time that operations of one kind took in one layer.

    Attributes:
        scope: path of the layer; "" for what belongs to none, such as optimizer and metrics. op: name of the operation.
        calls: how often one ran. seconds: what all of them took together, added up over threads.
        part: one of PARTS, or "" where that is not known.
    """

    scope: str
    op: str
    calls: int
    seconds: float
    part: str = ""


def profile_run(executor: Executor | NaiveExecutor | StringExecutor, arrays: Sequence[Array]) -> list[Timing]:
    """Runs a step as `executor.run` does, the clock read around every call, and returns what each took.

    Args:
        arrays: what `run` takes.
    """
    spent: Spent = []
    if isinstance(executor, NaiveExecutor):
        graph = _run_naive(executor, arrays, spent)
    elif isinstance(executor, StringExecutor):
        graph = _run_with_strings(executor, arrays, spent)
    else:
        graph, _ = _run_tiled(executor, arrays, spent)
    parts = step_parts(graph)
    return merge(Timing(v.scope, v.op.name, 1, seconds, parts[v]) for v, seconds in spent)


def _run_naive(executor: NaiveExecutor, arrays: Sequence[Array], spent: Spent) -> Graph:
    watched = copy(executor)
    watched.interpreter = _watched_interpreter(executor.interpreter, spent)
    watched.run(arrays)
    return executor.interpreter.graph


def _watched_interpreter(interpreter: Interpreter, spent: Spent) -> Interpreter:
    watched = copy(interpreter)
    watched._instructions = [replace(i, function=_timed(i.value, i.function, spent)) for i in interpreter._instructions]
    return watched


def _run_with_strings(executor: StringExecutor, arrays: Sequence[Array], spent: Spent) -> Graph:
    watched = copy(executor)
    watched._first, watched._last = (_watched_interpreter(i, spent) for i in (executor._first, executor._last))
    graphs = [watched._first.graph, watched._last.graph]

    def run(given: Sequence[Array]) -> list[Array]:
        graph, results = _run_tiled(executor.numbers, given, spent)
        graphs.insert(1, graph)
        return results

    watched.run_numbers = run  # type: ignore
    watched.run(arrays)
    return Graph(
        tuple(x for graph in graphs for x in graph.inputs),
        tuple(y for graph in graphs for y in graph.outputs),
        tuple(name for graph in graphs for name in graph.output_names),
    )


def _run_tiled(executor: Executor, arrays: Sequence[Array], spent: Spent) -> tuple[Graph, list[Array]]:
    graphs = []

    def watched(program: Program) -> Program:
        graphs.append(program.graph)
        return replace(program, regions=[_watched(region, spent) for region in program.regions])

    results = executor.run(arrays, watched)
    return graphs[0], results


def _watched(region: ParallelRegion, spent: Spent) -> ParallelRegion:
    lists = [
        [_timed(v, call, spent) for call, v in zip(calls, values, strict=True)]
        for calls, values in zip(region.lists, region.values, strict=True)
    ]
    return ParallelRegion(lists, region.values, region.records)


def _timed(value: Value, function: Callable[..., Any], spent: Spent) -> Callable[..., Any]:
    def run(*operands: Any) -> Any:
        start = time.perf_counter()
        result = function(*operands)
        spent.append((value, time.perf_counter() - start))
        return result

    return run


def merge(timings: Iterable[Timing]) -> list[Timing]:
    """Adds up timings of the same operation in the same layer and part, in the order in which they first come."""
    totals: dict[tuple[str, str, str], Timing] = {}
    for one in timings:
        key = (one.scope, one.op, one.part)
        before = totals.get(key)
        totals[key] = (
            one
            if before is None
            else replace(one, calls=before.calls + one.calls, seconds=before.seconds + one.seconds)
        )
    return list(totals.values())


def step_parts(graph: Graph) -> dict[Value, str]:
    """Tells of every value of a step's graph which part of the step it belongs to.

    "forward" is what the results, such as the loss, are made of. "backward" is what else leads to gradients: values of
    layers and of the loss that depend on the labels, and what these are made of. "update" is the rest: optimizer,
    metrics and moving statistics.
    """
    order = graph.walk()
    results = [y for name, y in zip(graph.output_names, graph.outputs, strict=True) if not name.startswith("new:")]
    forward = set(walk(results))
    labels = [
        x for name, x in zip(graph.input_names, graph.inputs, strict=True) if name == "y" or name.startswith("y_")
    ]
    told = set(labels)
    for value in order:
        if any(x in told for x in value.inputs):
            told.add(value)
    # Without labels nothing can be told apart by them.
    ends = [v for v in order if v.scope and v not in forward and (v in told or not labels)]
    backward = set(walk(ends))
    return {v: "forward" if v in forward else "backward" if v in backward else "update" for v in order}
