"""Running passes one after the other, with somebody looking on."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from seqc.graph.ir import Graph
from seqc.graph.target import Target

Pass = Callable[[Graph, Target], Graph]
# Called with the number of a pass, from 1, its name, and the graph it made.
Watcher = Callable[[int, str, Graph], None]

# The folder that graphs are written to, after each pass, if this variable names one.
DUMP_VARIABLE = "SEQC_DUMP_IR"

_runs = itertools.count(1)


def run_passes(graph: Graph, passes: Sequence[Pass], target: Target, after_each: Watcher | None = None) -> Graph:
    """Returns the graph after each pass in turn.

    Args:
        graph: what to begin with.
        passes: the passes, in order.
        target: what they prepare the graph for.
        after_each: called after each pass; also, with number 0, before the first.

    An error of a pass has a note that names the pass.
    """
    watchers = [each for each in (after_each, _dumper()) if each is not None]
    _tell(watchers, 0, "start", graph)
    for number, one in enumerate(passes, 1):
        try:
            graph = one(graph, target)
            _tell(watchers, number, one.__name__, graph)
        except Exception as error:
            error.add_note(f"This happened in pass {number} of {len(passes)}, {one.__name__}.")
            raise
    return graph


def _tell(watchers: Sequence[Watcher], number: int, name: str, graph: Graph) -> None:
    for watcher in watchers:
        watcher(number, name, graph)


def _dumper() -> Watcher | None:
    """Returns what writes graphs to the folder that SEQC_DUMP_IR names, a folder in it for each run of passes."""
    named = os.environ.get(DUMP_VARIABLE)
    if not named:
        return None
    folder = Path(named) / f"{os.getpid()}-{next(_runs)}"
    folder.mkdir(parents=True, exist_ok=True)

    def write(number: int, name: str, graph: Graph) -> None:
        (folder / f"{number:02}-{name}.txt").write_text(f"{graph}\n", encoding="utf-8")

    return write
