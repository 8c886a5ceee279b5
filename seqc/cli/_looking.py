"""What `seqc inspect` shows beside the tables: costs by layer, pictures, a page, the model in Netron."""

from __future__ import annotations

import webbrowser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqc.cli._output import Screen, amount, check_output, duration
from seqc.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    import onnx

    from seqc.cli._by_layer import LayerCost

SvgOption = Annotated[Path | None, typer.Option("--svg", help="Draw the ONNX graph into this file.")]
PngOption = Annotated[Path | None, typer.Option("--png", help="Draw it as pixels.")]
HtmlOption = Annotated[
    Path | None, typer.Option("--html", help="Write one page with the picture beside the layers and what they cost.")
]
LayersOption = Annotated[bool, typer.Option("--layers", help="Of an .onnx file: a line for each layer, not each node.")]
TimeOption = Annotated[bool, typer.Option("--time", help="Of an .onnx file: measure each layer, on one thread.")]
NetronOption = Annotated[bool, typer.Option("--netron", help="Open an .onnx file in Netron, where that is installed.")]


@dataclass(frozen=True)
class Wanted:
    """What is to be shown. Files are checked when this is made, before any work."""

    svg: Path | None = None
    png: Path | None = None
    html: Path | None = None
    layers: bool = False
    time: bool = False
    netron: bool = False

    def __post_init__(self) -> None:
        for path, ending in ((self.svg, ".svg"), (self.png, ".png"), (self.html, ".html")):
            if path is not None:
                check_output(path, ending)

    @property
    def draws(self) -> bool:
        return any(path is not None for path in (self.svg, self.png, self.html))

    def refuse_of_model(self) -> None:
        """Raises ConfigError for what only an .onnx file has."""
        given = [f"--{name}" for name in ("layers", "time", "netron") if getattr(self, name)]
        if given:
            raise ConfigError(f"{', '.join(given)} looks into an .onnx file. Make one: seqc export MODEL -o m.onnx")


def compiled(model: Any) -> onnx.ModelProto:
    """Returns a model of Keras's as the ONNX graph that an export makes of it, without its large weights."""
    from seqc.cli._onnx import drop_numbers
    from seqc.export import compile_graph
    from seqc.export.model import inference_graph

    found = compile_graph(inference_graph(model))
    drop_numbers(found.graph)
    return found


def draw(
    show: Screen,
    wanted: Wanted,
    model: onnx.ModelProto,
    sizes: Mapping[str, int],
    *,
    title: str,
    facts: Sequence[tuple[str, str]] = (),
    layers: Sequence[tuple[str, str]] = (),
    costs: Sequence[LayerCost] | None = None,
) -> list[str]:
    """Writes the pictures and the page that are wanted, and returns their paths.

    Args:
        title, facts: what the page says of the file. layers: names and classes of the model's layers, where it is
        known. costs: by layer.
    """
    from seqc.cli._by_layer import costs_by_layer
    from seqc.cli._graph_page import page
    from seqc.cli._graph_picture import picture
    from seqc.cli._onnx import list_nodes
    from seqc.utils.files import write_file

    kinds = dict(layers)
    written = []
    svg = picture(model, sizes, kinds, "svg") if wanted.svg is not None or wanted.html is not None else b""
    if wanted.svg is not None:
        write_file(wanted.svg, svg)
        written.append(str(wanted.svg))
    if wanted.png is not None:
        write_file(wanted.png, picture(model, sizes, kinds, "png"))
        written.append(str(wanted.png))
    if wanted.html is not None:
        found = costs_by_layer(list_nodes(model, sizes)) if costs is None else costs
        write_file(wanted.html, page(title, facts, layers, found, svg.decode()).encode())
        written.append(str(wanted.html))
    for path in written:
        show.line(f"Drawn into {path}.")
    return written


def show_layers(show: Screen, costs: Sequence[LayerCost], whole: float | None) -> None:
    """Shows what each layer costs."""
    timed = whole is not None
    header = ("layer", "nodes", "parameters", "FLOPs", "weights, bytes", "results, bytes", *(["time"] if timed else []))
    rows = [
        (
            cost.name or "-",
            cost.nodes or "-",
            f"{cost.parameters:,}",
            amount(cost.flops),
            f"{cost.weight_bytes:,}",
            "?" if cost.result_bytes is None else f"{cost.result_bytes:,}",
            *((["-"] if cost.seconds is None else [duration(cost.seconds)]) if timed else []),
        )
        for cost in costs
    ]
    show.table(header, rows, right=range(2, len(header)))
    if whole is not None:
        show.line(
            f"\nA whole run takes {duration(whole)}. onnxruntime joins nodes: their time stands at the layer of one "
            "of them."
        )


def open_in_netron(source: Path) -> None:
    """Opens a file in Netron and stays until it is stopped.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import netron
    except ImportError as error:
        raise MissingDependencyError(
            f"--netron needs Netron: pip install netron. Or open {source} at https://netron.app in a browser."
        ) from error
    address = netron.start(str(source), browse=False)
    typer.echo(f"Netron shows {source} at http://{address[0]}:{address[1]}; Ctrl-C ends it.", err=True)
    webbrowser.open(f"http://{address[0]}:{address[1]}")
    netron.wait()
