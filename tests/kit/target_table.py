"""The tables of docs/targets.md: `python -m kit.target_table` writes them anew.

The first is what `PLACES` says. The second has a row for each layer that a file can hold, and says of each target
whether the kept cases of the layer go there: all, some, or none, and why not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from kit import layer_table, merge_runs
from kit.oracle import ROOT, layer_classes
from seqc import Functional, Input, layers
from seqc.errors import NoLoweringError, SeqcError
from seqc.export import compile_with_names
from seqc.export.emitter import Emission
from seqc.export.model import inference_graph
from seqc.export.places import PLACES, Place, check_graph
from seqc.export.places.rules import nodes_of
from seqc.export.target import onnx_target
from seqc.graph.ir import Graph

PAGE = ROOT / "docs" / "targets.md"
CHECKED = {"run": "by running files", "rule": "by rule"}
# Of cases alike, enough to meet every form.
MOST = 6
YES, MOVED, SOME, NO = "yes", "yes, on the processor", "some", "no"


def places() -> list[str]:
    """Returns the lines of the table of targets."""
    head = "| target | where | opset | sizes | checked |"
    return [head, "|---|---|---|---|---|", *map(_place, PLACES.values())]


def _place(place: Place) -> str:
    newest = "" if place.newest == place.opset else f" to {place.newest}"
    sizes = "fixed" if place.fixed else "any"
    return f"| `{place.name}` | {place.title} | {place.opset}{newest} | {sizes} | {CHECKED[place.checked]} |"


@dataclass
class Reasons:
    """Why layers do not go somewhere, numbered as they come."""

    texts: list[str] = field(default_factory=list)

    def number(self, text: str) -> int:
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1


def layer_lines() -> list[str]:
    """Returns the lines of the table of layers, and below it the reasons."""
    reasons = Reasons()
    rows = [_row(name, graphs, reasons) for name, graphs in _exported()]
    head = f"| layer | {' | '.join(PLACES)} |"
    numbered = [f"{i}. {text}" for i, text in enumerate(reasons.texts, 1)]
    return [head, "|---" * (len(PLACES) + 1) + "|", *rows, "", *numbered]


def _exported() -> Iterator[tuple[str, list[Callable[[Place], Graph]]]]:
    """Yields layers with ways to make a graph of them, for a place."""
    of_several = {getattr(layers, c["class"]).__name__ for c in merge_runs.CASES}
    for row in layer_table.written():
        kind = row.name
        if row.exports != "yes" or kind in layer_table.FUNCTIONS:
            continue
        if kind in of_several:
            yield kind, [partial(_graph_of_several, kind)]
        else:
            own = [c for c in layer_table._cases() if kind in layer_classes(c.facts["layers"])]
            fewest = min((len(list(layer_classes(c.facts["layers"]))) for c in own), default=0)
            alone = [c for c in own if len(list(layer_classes(c.facts["layers"]))) == fewest]
            if alone:
                yield kind, [partial(graph_of, case) for case in alone[:MOST]]


def graph_of(case: Any, place: Place) -> Graph:
    """Returns the inference graph of a kept case, with a size for every axis where the place wants one."""
    shape = case.arrays["x"].shape if place.fixed else None
    return inference_graph(layer_table._stack(case), shape)


def _graph_of_several(kind: str, place: Place) -> Graph:
    case = next(c for c in merge_runs.CASES if getattr(layers, c["class"]).__name__ == kind and not c["call"])
    arrays = list(merge_runs.numbered(case, "x").values())
    xs = [Input(x.shape[1:], dtype=x.dtype.name) for x in arrays]
    layer = getattr(layers, case["class"]).from_config(case["config"])
    shapes = [x.shape for x in arrays] if place.fixed else None
    return inference_graph(Functional(xs, layer(xs) if case["listed"] else layer(*xs)), shapes)


def compiled(graph: Graph, place: Place) -> Emission | str:
    """Returns a graph as a file for a place, or why it does not go there."""
    try:
        check_graph(place, graph)
        emission = _at_some_opset(graph, place, place.opset)
    except SeqcError as error:
        needed = getattr(error, "opset", None)
        return f"needs opset {needed}" if needed else str(error).partition(": ")[2].partition(".")[0]
    for node in nodes_of(emission):
        wrong = place.refusal(node)
        if wrong is not None:
            comma = "," if wrong.why.startswith("which") else ""
            return f"`{node.op_type.rpartition('.')[2]}`{comma} {wrong.why}"
    return emission


def _at_some_opset(graph: Graph, place: Place, opset: int) -> Emission:
    try:
        return compile_with_names(graph, onnx_target(opset, place=place))
    except NoLoweringError as error:
        if error.opset is None or not opset < error.opset <= place.newest:
            raise
        return _at_some_opset(graph, place, error.opset)


def _row(name: str, graphs: Sequence[Callable[[Place], Graph]], reasons: Reasons) -> str:
    made = {place: [_found(graph, place) for graph in graphs] for place in PLACES.values()}
    # What goes nowhere at all is no matter of targets.
    anywhere = [i for i in range(len(graphs)) if not isinstance(made[PLACES["ort-cpu"]][i], str)]
    cells = [_cell(place, [found[i] for i in anywhere], reasons) for place, found in made.items()]
    return f"| `{name}` | {' | '.join(cells)} |"


def _found(graph: Callable[[Place], Graph], place: Place) -> Emission | str:
    try:
        return compiled(graph(place), place)
    except SeqcError as error:
        return str(error)


def _cell(place: Place, found: Sequence[Emission | str], reasons: Reasons) -> str:
    why = sorted({reasons.number(text) for text in found if isinstance(text, str)})
    files = [file for file in found if not isinstance(file, str)]
    if why:
        return f"{SOME if files else NO} ({', '.join(map(str, why))})"
    away = any(rule.holds(node) for file in files for node in nodes_of(file) for rule in place.elsewhere)
    return MOVED if away else YES


def update() -> None:
    """Writes the tables anew, in place of those on the page, with what stands between them."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith("|") and not lines[i - 1].startswith("|")]
    if len(starts) < 2:
        raise SystemExit("docs/targets.md needs two tables to put new ones in place of.")
    between = lines[starts[0] : starts[1]]
    kept = [line for line in between if not line.startswith("|")]
    page = [*lines[: starts[0]], *places(), *kept, *layer_lines()]
    PAGE.write_text("\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    update()
