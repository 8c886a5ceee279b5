"""Running a step in which there are strings: what works on them apart from what works on numbers.

Strings are Python objects: they cannot lie in planned memory, and nothing about them gains from tiles. So the step is
cut in three. What makes numbers of strings runs first, operation by operation, with all that it is made of. Then a
program runs as ever, to which those numbers are given - also where their sizes depend on the texts. What makes
strings of numbers comes last.
"""

from __future__ import annotations

from collections.abc import Sequence

from seqc.backends.numpy.executor import Executor
from seqc.backends.numpy.kept import Kept
from seqc.backends.numpy.state import StateRef
from seqc.backends.numpy.target import NUMPY
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph, Input, Type, Value, input_value, walk
from seqc.graph.rewriting import rewrite
from seqc.graph.strings import STRING
from seqc.passes.duplicates import merge_duplicates


def has_strings(graph: Graph) -> bool:
    """Tells whether a graph takes, makes or gives strings."""
    return any(_is_string(x) for x in graph.inputs) or any(map(_on_strings, graph.walk()))


class StringExecutor:
    """Does what `Executor` does, of a graph with strings; see there for the arguments.

    Attributes:
        numbers: the executor of the part without strings.
    """

    def __init__(
        self, graph: Graph, reads: Sequence[StateRef], writes: Sequence[StateRef], kept: Kept | None = None
    ) -> None:
        graph = merge_duplicates(graph, NUMPY)
        self.graph, self.reads = graph, tuple(reads)
        self._results = len(graph.outputs) - len(writes)
        order = graph.walk()
        users = {x for v in order if not _on_strings(v) for x in v.inputs} | set(graph.outputs)
        made = [v for v in order if _on_strings(v) and not _is_string(v) and v in users]
        self._first = Interpreter(
            Graph(graph.inputs, tuple(made), tuple(f"from strings {i}" for i in range(len(made))))
        )
        # In their place, the part without strings has inputs.
        placed = {v: input_value(f"from strings {i}", v.dtype, v.type.shape) for i, v in enumerate(made)}
        last = [y for y in graph.outputs[: self._results] if _is_string(y)]
        read = _numbers_for(last, set(made))
        numbers = [y for y in graph.outputs if not _is_string(y)]
        part = rewrite(
            Graph(
                tuple(x for x in graph.inputs if not _is_string(x)),
                (*read, *numbers),
                tuple(f"numbers {i}" for i in range(len(read) + len(numbers))),
            ),
            lambda old, _: placed.get(old),
        )
        given = len(graph.inputs) - len(self.reads)
        own = [x for x in graph.inputs[:given] if not _is_string(x)]
        kept_inputs = (*own, *placed.values(), *graph.inputs[given:])
        self.numbers = Executor(Graph(kept_inputs, part.outputs, part.output_names), reads, writes, kept)
        self._read = len(read)
        # What makes strings is given what it reads, and all that the first part was given and made.
        shown = {v: input_value(f"number {i}", v.dtype, v.type.shape) for i, v in enumerate(read)} | placed
        final = rewrite(
            Graph((), tuple(last), tuple(f"strings {i}" for i in range(len(last)))), lambda old, _: shown.get(old)
        )
        texts = [x for x in graph.inputs if _is_string(x)]
        self._last = Interpreter(
            Graph((*texts, *(shown[v] for v in read), *placed.values()), final.outputs, final.output_names)
        )

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Runs the graph on the arrays that are given, changes the state, and returns the results.

        Raises:
            SeqcError: an operation refuses the strings or numbers; the message names the layer.
        """
        made = self._first.run([*arrays, *(holder.array for holder in self.reads)])
        given = dict(zip(self.graph.inputs, arrays, strict=False))
        found = self.run_numbers([*(a for x, a in given.items() if not _is_string(x)), *made])
        read, numbers = found[: self._read], iter(found[self._read :])
        texts = [a for x, a in given.items() if _is_string(x)]
        strings = iter(self._last.run([*texts, *read, *made]))
        return [next(strings).copy() if _is_string(y) else next(numbers) for y in self.graph.outputs[: self._results]]

    def run_numbers(self, arrays: Sequence[Array]) -> list[Array]:
        """Runs the part without strings."""
        return self.numbers.run(arrays)


def _is_string(value: Value) -> bool:
    return isinstance(value.result, Type) and value.result.dtype == STRING


def _on_strings(value: Value) -> bool:
    """Tells whether a value is made by an operation that works on strings."""
    if isinstance(value.op, Input):
        return False
    return value.op.strings or _is_string(value) or any(map(_is_string, value.inputs))


def _numbers_for(strings: Sequence[Value], made: set[Value]) -> list[Value]:
    """Returns the numbers that strings are made of."""
    stack, seen, found = list(strings), set(strings), []
    while stack:
        for x in stack.pop().inputs:
            if x in seen:
                continue
            seen.add(x)
            if _is_string(x) or (_on_strings(x) and x not in made):
                stack.append(x)
            elif x not in made:
                found.append(x)
    order = {v: i for i, v in enumerate(walk(found))}
    return sorted(found, key=order.__getitem__)
