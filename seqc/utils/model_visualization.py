"""Pictures of models as boxes and arrows, as Keras draws them. Needs pydot, and Graphviz's program `dot`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqc.connections import Connections, connections_of, shape_of
from seqc.errors import ConfigError, MissingDependencyError, NotBuiltError
from seqc.functional import Functional
from seqc.graph.ir import Type
from seqc.layers.base import Layer
from seqc.sequential import Sequential
from seqc.text import label
from seqc.utils.files import write_file

if TYPE_CHECKING:
    from seqc.model import Model

FORMATS = ("png", "svg", "pdf", "jpg", "jpeg", "gif", "ps", "eps", "webp", "dot")
DIRECTIONS = ("TB", "BT", "LR", "RL")


@dataclass(frozen=True)
class Show:
    """What the boxes say; see `plot_model`."""

    shapes: bool = False
    dtype: bool = False
    names: bool = True
    activations: bool = False
    trainable: bool = False
    nested: bool = False


@dataclass(frozen=True)
class Ends:
    """The boxes where arrows to each input of something end, and where those from each output begin."""

    inputs: Sequence[str]
    outputs: Sequence[str]

    def to(self, number: int) -> str:
        return self.inputs[min(number, len(self.inputs) - 1)]

    def of(self, number: int) -> str:
        return self.outputs[min(number, len(self.outputs) - 1)]


def model_to_dot(
    model: Model,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
) -> Any:
    """Returns a model as a graph of pydot: a box for each layer and operation, an arrow for each tensor.

    Args:
        model: a built model. A subclass of Model that writes its own `call` is one box, as in Keras.
        show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable: what the boxes say.
        rankdir: where arrows lead: "TB" down, "LR" to the right, "BT" up, "RL" to the left.
        expand_nested: draw the layers of models inside the model, with a frame around them.
        dpi: dots per inch. subgraph: return a `pydot.Cluster`, to be put into another graph.
        splines: how arrows run: "ortho" (along the axes), "curved", "polyline", "spline" or "line".

    Raises:
        MissingDependencyError: pydot is not installed. NotBuiltError: the model is not built.
        ConfigError: an argument makes no sense.
    """
    pydot = require_pydot()
    _check(model, rankdir, dpi)
    show = Show(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable, expand_nested)
    if subgraph:
        graph = _cluster(pydot, model, "model")
    else:
        graph = pydot.Dot("model", rankdir=rankdir, concentrate=True, dpi=dpi, splines=splines)
    graph.set_node_defaults(shape="none", fontname="Helvetica", margin=0)
    graph.set_edge_defaults(penwidth=2)
    _Drawing(pydot, show).add(model, graph, "n")
    return graph


def plot_model(
    model: Model,
    to_file: str | os.PathLike[str] = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
) -> Any:
    """Draws a model into a file and returns the picture where a notebook can show it, else None.

    Args:
        model: a built model. to_file: the file; its ending says how it is drawn: .png, .svg, .pdf, or .dot, which is
        the graph as text for other programs.
        show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, dpi, show_layer_activations, show_trainable,
        splines: see `model_to_dot`.

    Raises:
        MissingDependencyError: pydot is not installed, or the program `dot` is not there (.dot does without it).
        NotBuiltError: the model is not built. ConfigError: an argument makes no sense, or dot cannot draw it.
    """
    path = Path(to_file)
    kind = path.suffix[1:].lower() or "png"
    if kind not in FORMATS:
        raise ConfigError(f"plot_model writes .{', .'.join(FORMATS)} files; got '{path}'.")
    graph = model_to_dot(
        model,
        show_shapes=show_shapes,
        show_dtype=show_dtype,
        show_layer_names=show_layer_names,
        rankdir=rankdir,
        expand_nested=expand_nested,
        dpi=dpi,
        show_layer_activations=show_layer_activations,
        show_trainable=show_trainable,
        splines=splines,
    )
    write_file(path, graph.to_string().encode() if kind == "dot" else drawn(graph, kind))
    return _shown(path, kind)


class _Drawing:
    """Puts boxes and arrows into a graph."""

    def __init__(self, pydot: Any, show: Show) -> None:
        self.pydot, self.show = pydot, show
        self.drawn: set[tuple[str, str]] = set()

    def add(self, model: Model, graph: Any, prefix: str) -> Ends:
        """Adds what a model is made of.

        Args:
            prefix: begins the names of its boxes, which no others have.
        """
        if isinstance(model, Functional):
            return self._add_graph(connections_of(model), graph, prefix)
        if isinstance(model, Sequential):
            return self._add_stack(model, graph, prefix)
        return self._add_layer(model, graph, prefix)

    def _add_graph(self, found: Connections, graph: Any, prefix: str) -> Ends:
        ends = []
        for i, step in enumerate(found.steps):
            if step.layer is None:
                facts = (step.name, step.kind, step.inputs, step.outputs)
                ends.append(self._add_box(graph, f"{prefix}_{i}", _html(self.show, *facts)))
            else:
                ends.append(self._add_layer(step.layer, graph, f"{prefix}_{i}", (step.inputs, step.outputs)))
        for i, step in enumerate(found.steps):
            for call in step.calls:
                for j, source in enumerate(call):
                    self._connect(graph, ends[source.step].of(source.result), ends[i].to(j))
        return Ends([ends[i].to(0) for i in found.inputs], [ends[s.step].of(s.result) for s in found.outputs])

    def _add_stack(self, model: Sequential, graph: Any, prefix: str) -> Ends:
        values = model._values()
        ends = [
            self._add_layer(layer, graph, f"{prefix}_{i}", ((values[i].type,), (values[i + 1].type,)))
            for i, layer in enumerate(model.layers)
        ]
        for one, other in pairwise(ends):
            self._connect(graph, one.of(0), other.to(0))
        return Ends(ends[0].inputs, ends[-1].outputs)

    def _add_layer(
        self, layer: Layer, graph: Any, name: str, types: tuple[tuple[Type, ...], tuple[Type, ...]] = ((), ())
    ) -> Ends:
        if self.show.nested and isinstance(layer, Functional | Sequential):
            cluster = _cluster(self.pydot, layer, name)
            ends = self.add(layer, cluster, name)
            graph.add_subgraph(cluster)
            return ends
        text = _html(self.show, layer.name, type(layer).__name__, *types, layer)
        return self._add_box(graph, name, text)

    def _add_box(self, graph: Any, name: str, text: str) -> Ends:
        graph.add_node(self.pydot.Node(name, label=text))
        return Ends([name], [name])

    def _connect(self, graph: Any, one: str, other: str) -> None:
        if (one, other) not in self.drawn:
            self.drawn.add((one, other))
            graph.add_edge(self.pydot.Edge(one, other))


def _cluster(pydot: Any, model: Layer, name: str) -> Any:
    text = label(model.name).replace("\\", "\\\\").replace('"', '\\"')
    return pydot.Cluster(name, label=f'"{text}"', labeljust="l", style="dashed", fontname="Helvetica")


def _html(
    show: Show, name: str, kind: str, inputs: tuple[Type, ...], outputs: tuple[Type, ...], layer: Layer | None = None
) -> str:
    """Returns a box as a table in Graphviz's HTML: a black head, and cells of what is to be shown below it."""
    cells = []
    if show.shapes:
        if kind != "InputLayer":
            cells.append(_cell(f"Input shape: <b>{_shape_text(inputs)}</b>"))
        cells.append(_cell(f"Output shape: <b>{_shape_text(outputs)}</b>"))
    if show.dtype:
        cells.append(_cell(f"Output dtype: <b>{escape(', '.join(one.dtype for one in outputs)) or '?'}</b>"))
    if show.trainable and layer is not None and layer.weights:
        cells.append(
            _cell("<b>Trainable</b>", "forestgreen", "white")
            if layer.trainable
            else _cell("<b>Non-trainable</b>", "firebrick", "white")
        )
    span = f' colspan="{max(1, len(cells))}"'
    head = f"<b>{escape(label(name))}</b> ({escape(kind)})" if show.names else f"<b>{escape(kind)}</b>"
    rows = [f'<td{span}><font point-size="16" color="white">{head}</font></td>']
    activation = getattr(layer, "activation", None) if show.activations else None
    if activation is not None:
        text = getattr(activation, "name", None) or getattr(activation, "__name__", type(activation).__name__)
        rows.append(_cell(f"Activation: <b>{escape(label(str(text)))}</b>", span=span))
    rows += ["".join(cells)] if cells else []
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<<table border="0" cellborder="1" bgcolor="black" cellpadding="10">{body}</table>>'


def _cell(text: str, ground: str = "white", colour: str = "black", span: str = "") -> str:
    return f'<td bgcolor="{ground}"{span}><font point-size="14" color="{colour}">{text}</font></td>'


def _shape_text(types: tuple[Type, ...]) -> str:
    return escape(str(shape_of(types))) if types else "?"


def _check(model: Model, rankdir: str, dpi: float) -> None:
    if not model.built:
        raise NotBuiltError(
            f"Model '{model.name}' has not been built, so that there is nothing to draw. Call model.build((None, ...)) "
            "or the model on data first."
        )
    if rankdir not in DIRECTIONS:
        raise ConfigError(f"rankdir must be one of {', '.join(DIRECTIONS)}; got {rankdir!r}.")
    if not isinstance(dpi, int | float) or not 0 < dpi < 10_000:
        raise ConfigError(f"dpi must be a positive number of dots per inch; got {dpi!r}.")


def require_pydot() -> Any:
    """Returns the module pydot.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import pydot
    except ImportError as error:
        raise MissingDependencyError(
            'Pictures of models need pydot, which is not installed: pip install "seqc[plot]".'
        ) from error
    return pydot


def drawn(graph: Any, kind: str, instead: str = "write a .dot file, which needs no program") -> bytes:
    """Returns a graph of pydot as a picture.

    Args:
        kind: the ending of its file. instead: what can be done without the program that draws.

    Raises:
        MissingDependencyError: the program `dot` is not there. ConfigError: it cannot draw the graph.
    """
    if shutil.which("dot") is None:
        raise MissingDependencyError(
            "Models are drawn with Graphviz's program `dot`, which is not on the PATH. Install Graphviz (apt install "
            f"graphviz, brew install graphviz, https://graphviz.org/download/), or {instead}."
        )
    try:
        return bytes(graph.create(prog="dot", format=kind))
    except (AssertionError, OSError) as error:  # pydot asserts that dot ended well
        raise ConfigError(f"Graphviz's dot cannot draw the model as .{kind}: {error}") from error


def _shown(path: Path, kind: str) -> Any:
    """Returns the picture for a notebook, which shows it; None elsewhere."""
    if "IPython" not in sys.modules or kind not in ("png", "jpg", "jpeg", "gif", "svg"):
        return None
    from IPython import display

    return display.SVG(filename=str(path)) if kind == "svg" else display.Image(filename=str(path))
