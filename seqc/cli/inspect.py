"""`seqc inspect`: what is in a model or in an ONNX file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from seqc.cli._errors import Debug
from seqc.cli._kinds import MODEL_KINDS, kind_of
from seqc.cli._looking import (
    HtmlOption,
    LayersOption,
    NetronOption,
    PngOption,
    SvgOption,
    TimeOption,
    Wanted,
    compiled,
    draw,
    open_in_netron,
    show_layers,
)
from seqc.cli._output import AsJson, Screen, amount, screen, shape_text
from seqc.cli._several import is_pattern
from seqc.cli._sizes import SizeOptions, check_names, parse_sizes
from seqc.text import label, shorten

# Of a node: shapes of its operands. Of a text kept in a file: characters.
MOST_SHAPES, LONGEST_TEXT = 8, 400


def inspect(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE...",
            help="An .onnx file or a model file of Keras (only read), or a FILE (.py, which is run). Of several model "
            "files, a folder of them or a pattern: a table.",
        ),
    ],
    size: SizeOptions = None,
    layers: LayersOption = False,
    time: TimeOption = False,
    svg: SvgOption = None,
    png: PngOption = None,
    html: HtmlOption = None,
    netron: NetronOption = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show the layers of a model, or the nodes of an ONNX file.

    Of a model file it says what it is, who wrote it and what is in it, without reading the weights, and what keeps seqc
    from loading it, such as weights of other shapes than its layers have; the exit code is 1 then. Of several, or a
    folder of them, it says so in a table.

    FLOPs are floating-point operations for one sample: a multiplication and the addition after it are two, an
    element-wise operation is one per element, moving elements is none. They follow from shapes; axes that the model
    leaves open need --size.

    \b
    Examples:
      seqc inspect digits.onnx
      seqc inspect models/digits_cnn.py
      seqc inspect models/*.h5
      seqc inspect speech.keras --size time=100 --json
      seqc inspect digits.onnx --layers --time
      seqc inspect digits.keras --html digits.html
    """
    with screen(as_json) as show:
        sizes, wanted = parse_sizes(size), Wanted(svg, png, html, layers, time, netron)
        if len(sources) > 1 or sources[0].is_dir() or is_pattern(sources[0]):
            from seqc.cli._inspect_several import inspect_several

            wanted.refuse_of_model()
            inspect_several(show, sources)
            return
        source = sources[0]
        if source.suffix == ".py":
            from seqc.cli._source import load_source

            wanted.refuse_of_model()
            _layers(show, source, load_source(source), sizes, wanted)
        elif source.is_file() and kind_of(source) in MODEL_KINDS:
            wanted.refuse_of_model()
            _model_file(show, source, sizes, wanted)
        else:
            _nodes(show, source, sizes, wanted)
    if netron:
        open_in_netron(source)


def _model_file(show: Screen, source: Path, sizes: Mapping[str, int], wanted: Wanted) -> None:
    """Shows what a model file is, and its layers if they can be made; the weights are not read."""
    from seqc.cli._model_file import facts_of_file, fitting_model
    from seqc.errors import SeqcError
    from seqc.saving.containers import open_model

    with open_model(source) as opened:
        rows, facts = facts_of_file(opened, source)
        show.line(f"{source} ({source.stat().st_size:,} bytes)")
        show.rows(rows)
        show.line()
        if opened.described is None:
            arrays = facts["weights"]["arrays"]
            show.table(("array", "shape", "dtype"), [(a["name"], shape_text(a["shape"]), a["dtype"]) for a in arrays])
            show.result({"kind": "weights", "source": str(source), **facts})
            return
        try:
            model = fitting_model(opened)
        except SeqcError as error:
            show.line(f"It cannot be loaded: {error}")
            show.result({"kind": "model", "source": str(source), **facts, "stopped_by": str(error)})
            raise typer.Exit(1) from None
    _layers(show, source, model, sizes, wanted, facts)


def _layers(
    show: Screen, source: Path, model: Any, sizes: Mapping[str, int], wanted: Wanted, of_file: Any = None
) -> None:
    from seqc.analysis import BETWEEN, describe_layers, unknown_sizes
    from seqc.cli._source import load_source
    from seqc.export.model import inference_graph

    graph = inference_graph(model)
    own = len(model._ports())
    inputs = list(zip(graph.input_names[:own], graph.inputs[:own], strict=True))
    outputs = list(zip(graph.output_names, graph.outputs, strict=True))
    open_axes = unknown_sizes(graph)
    check_names(sizes, open_axes)
    facts = describe_layers(model, sizes)
    shapes = [_named(f.shape) for f in facts]
    flops = _total([f.flops for f in facts])
    show.line(f"Model '{model.name}' ({source})")
    show.rows(
        [
            *(("input", f"{label(name)} {x.type}") for name, x in inputs),
            *(("output", f"{label(name)} {y.type}") for name, y in outputs),
            ("parameters", f"{model.count_params():,}"),
            ("FLOPs", _flops_text(flops, [n for n in open_axes if n not in sizes])),
        ]
    )
    show.line()
    rows = [
        (f.name, f.kind, _result_text(shape) if f.name != BETWEEN else "", f"{f.parameters:,}", amount(f.flops))
        for f, shape in zip(facts, shapes, strict=True)
    ]
    show.table(("layer", "class", "output", "parameters", "FLOPs"), rows, right=(3, 4))
    pictures: list[str] = []
    if wanted.draws:
        about = [("made from", str(source)), ("parameters", f"{model.count_params():,}")]
        named = [(f.name, f.kind) for f in facts if f.name != BETWEEN]
        whole = model if of_file is None else load_source(source)  # equal weights are one, such as those not read yet
        pictures = draw(show, wanted, compiled(whole), sizes, title=model.name, facts=about, layers=named)
    show.result(
        {
            "kind": "model",
            "source": str(source),
            **(of_file or {}),
            "name": model.name,
            "inputs": [_port(name, x.type.dtype, x.type.shape) for name, x in inputs],
            "outputs": [_port(name, y.type.dtype, y.type.shape) for name, y in outputs],
            "layers": [
                {"name": f.name, "class": f.kind, "shape": shape, "parameters": f.parameters, "flops": f.flops}
                for f, shape in zip(facts, shapes, strict=True)
            ],
            "totals": {"layers": len(model.layers), "parameters": model.count_params(), "flops": flops},
            **({"pictures": pictures} if pictures else {}),
        }
    )


def _nodes(show: Screen, source: Path, sizes: Mapping[str, int], wanted: Wanted) -> None:
    from seqc.cli._beside import beside_rows, files_beside
    from seqc.cli._by_layer import costs_by_layer
    from seqc.cli._node_times import node_seconds
    from seqc.cli._onnx import list_nodes, metadata, opsets, ports, read_model, with_functions_in_place
    from seqc.export.places import not_fit_for
    from seqc.export.places.rules import nodes_in

    read = read_model(source)
    model = with_functions_in_place(read)
    inputs, outputs = ports(model.graph.input), ports(model.graph.output)
    check_names(sizes, {d for p in inputs for d in p.shape or () if isinstance(d, str)})
    nodes = list_nodes(model, sizes)
    kinds = dict(sorted(Counter(n.op for n in nodes).items()))
    parameters, flops = sum(n.parameters for n in nodes), _total([n.flops for n in nodes])
    texts, producer = metadata(model), f"{model.producer_name} {model.producer_version}".strip()
    batch = {p.shape[0] for p in inputs if p.shape}
    # A file that was made for one place need not be right in others.
    not_for = () if "seqc.target" in texts else not_fit_for(nodes_in(model))
    open_axes = sorted({d for p in inputs for d in (p.shape or ())[1:] if isinstance(d, str) and d not in sizes})
    show.line(f"{source} ({source.stat().st_size:,} bytes)")
    show.rows(
        [
            *([("model", model.graph.name)] if model.graph.name else []),
            ("format", f"{opsets(model)}, IR version {model.ir_version}, by {producer or 'nobody named'}"),
            *beside_rows(source, files_beside(model)),
            *(("input", f"{p.name} {p.dtype}{shape_text(p.shape)}") for p in inputs),
            *(("output", f"{p.name} {p.dtype}{shape_text(p.shape)}") for p in outputs),
            *([("functions", f"{len(read.functions):,}, whose nodes follow")] if read.functions else []),
            ("nodes", f"{len(nodes):,} ({', '.join(f'{n} {kind}' for kind, n in kinds.items())})"),
            ("parameters", f"{parameters:,}"),
            ("FLOPs", _flops_text(flops, open_axes, "at these sizes" if batch & set(sizes) else "per sample")),
            *((name, shorten(text, LONGEST_TEXT)) for name, text in texts.items()),
            *(("not for", str(unfit)) for unfit in not_for),
        ]
    )
    show.line()
    rows = [
        (n.name or "-", n.op, _shapes(n.inputs), _shapes(n.outputs), f"{n.parameters:,}", amount(n.flops))
        for n in nodes
    ]
    seconds, whole = node_seconds(source, sizes, sizes.get("batch", 1)) if wanted.time else (None, None)
    makers = {y: node.name for node in model.graph.node for y in node.output}
    costs = costs_by_layer(nodes, seconds, makers)
    if wanted.layers or wanted.time:
        show_layers(show, costs, whole)
    else:
        show.table(("node", "op", "inputs", "outputs", "parameters", "FLOPs"), rows, right=(4, 5))
    pictures: list[str] = []
    if wanted.draws:
        about = [("format", f"{opsets(model)}, IR version {model.ir_version}"), ("nodes", f"{len(nodes):,}")]
        pictures = draw(show, wanted, model, sizes, title=source.name, facts=about, costs=costs)
    show.result(
        {
            "kind": "onnx",
            "source": str(source),
            "bytes": source.stat().st_size,
            "opset": {x.domain: x.version for x in model.opset_import},
            "ir_version": model.ir_version,
            "producer": producer,
            "metadata": texts,
            "files_beside": files_beside(model),
            "not_for": [asdict(unfit) for unfit in not_for],
            "inputs": [_port(p.name, p.dtype, p.shape) for p in inputs],
            "outputs": [_port(p.name, p.dtype, p.shape) for p in outputs],
            "nodes": [asdict(n) for n in nodes],
            "layers": [asdict(cost) for cost in costs],
            **({"seconds": whole} if wanted.time else {}),
            **({"pictures": pictures} if pictures else {}),
            "nodes_by_type": kinds,
            "totals": {"nodes": len(nodes), "parameters": parameters, "flops": flops},
        }
    )


def _port(name: str, dtype: str, shape: Sequence[Any] | None) -> dict[str, Any]:
    sizes = None if shape is None else [d if isinstance(d, int) or d is None else str(d) for d in shape]
    return {"name": name, "dtype": dtype, "shape": sizes}


def _shapes(shapes: Sequence[Sequence[Any] | None]) -> str:
    shown = ["?" if s is None else shape_text(s) for s in shapes[:MOST_SHAPES]]
    more = len(shapes) - len(shown)
    return ", ".join([*shown, f"... {more} more"] if more else shown)


def _result_text(shape: Any) -> str:
    """Returns the shape of a layer's result, or of each of several."""
    return ", ".join(map(_result_text, shape)) if _is_several(shape) else shape_text(shape)


def _is_several(shape: Any) -> bool:
    return any(isinstance(size, list | tuple | Mapping) for size in shape)


def _named(shape: Any) -> tuple[Any, ...]:
    """Returns the shape of a layer's result, or of each of several, with the name of the batch that inputs have."""
    listed = shape.values() if isinstance(shape, Mapping) else shape
    if isinstance(shape, Mapping) or _is_several(shape):
        return tuple(map(_named, listed))
    return ("batch", *shape[1:]) if shape and shape[0] is None else tuple(shape)


def _total(flops: Sequence[int | None]) -> int | None:
    known = [f for f in flops if f is not None]
    return sum(known) if len(known) == len(flops) else None


def _flops_text(flops: int | None, open_axes: Sequence[str], what_for: str = "per sample") -> str:
    if flops is not None:
        return f"{amount(flops)} {what_for}"
    if open_axes:
        return f"depend on {', '.join(open_axes)}: give " + " ".join(f"--size {name}=N" for name in open_axes)
    return "not known: there are operators without a rule"
