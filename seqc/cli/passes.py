"""`seqc passes`: what each pass makes of a model's graph on its way to ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from seqc.cli._errors import Debug
from seqc.cli._output import AsJson, screen
from seqc.errors import ConfigError


def passes(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A model file of Keras (only read) or a FILE (.py, which is run).")
    ],
    only: Annotated[
        list[str] | None,
        typer.Option("--pass", metavar="NAME", help="Show only this pass; may be given several times."),
    ] = None,
    opset: Annotated[int, typer.Option(help="Version of the ONNX operators, 13 to 28.")] = 18,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show a model's graph after each pass that changes it.

    SEQC_DUMP_IR=FOLDER makes every export write the same texts to files.

    \b
    Examples:
      seqc passes models/digits_cnn.py
      seqc passes speech.keras --pass plan_layout
      seqc passes translation.keras --pass decompose_ops --opset 15
    """
    from seqc.cli._source import load_source
    from seqc.export.model import inference_graph
    from seqc.export.pipelines import FOR_INFERENCE
    from seqc.export.target import onnx_target
    from seqc.passes.pipeline import run_passes

    target = onnx_target(opset)
    names = ["start", *(one.__name__ for one in FOR_INFERENCE)]
    for name in only or ():
        if name not in names:
            raise ConfigError(f"--pass needs one of {', '.join(dict.fromkeys(names))}; got {name}.")
    with screen(as_json) as show:
        seen: list[dict[str, Any]] = []

        def look(number: int, name: str, graph: Any) -> None:
            text = str(graph)
            changed = not seen or text != seen[-1]["graph"]
            seen.append({"number": number, "pass": name, "changed": changed, "graph": text})
            if only is None or name in only:
                show.line(f"-- {number} {name}" + ("" if changed else ": no change"))
                if changed or only is not None:
                    show.line(text)
                    show.line()

        run_passes(inference_graph(load_source(source)), FOR_INFERENCE, target, look)
        show.result({"source": str(source), "passes": [one for one in seen if only is None or one["pass"] in only]})
