"""`seqc diff`: how two ONNX files differ."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from seqc.cli._errors import Debug
from seqc.cli._output import AsJson, number, screen
from seqc.cli._sizes import SizeOptions, parse_sizes


def diff(
    first: Annotated[Path, typer.Argument(metavar="A", help="An .onnx file.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    size: SizeOptions = None,
    run: Annotated[bool, typer.Option("--run/--no-run", help="Run both on the same inputs.")] = True,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show how two ONNX files differ: inputs, nodes by layer, weights, numbers.

    Layers are compared by their names, where both files have some in common, otherwise nodes in their order. Both run
    on the same generated inputs. The exit code is 1 where nodes, weights, inputs or outputs differ; texts kept in the
    files alone are shown and change nothing.

    \b
    Examples:
      seqc diff before.onnx after.onnx
      seqc diff float.onnx half.onnx --size batch=32
    """
    with screen(as_json) as show:
        from seqc.cli._differences import changed_texts, changes, distances, read_side

        sizes = parse_sizes(size)
        a, b = read_side(first, sizes), read_side(second, sizes)
        show.table(("", str(first), str(second)), [(name, text, b.facts[name]) for name, text in a.facts.items()])
        ends, texts, found = changed_texts(a.ends, b.ends), changed_texts(a.texts, b.texts), changes(a, b)
        for title, rows in (("Inputs and outputs", ends), ("Texts", texts)):
            if rows:
                show.line(f"\n{title}:")
                show.table(("", "A", "B"), rows)
        if found:
            show.line("\nNodes:")
            show.table(("layer", "A", "B", "differs in"), [(c.where, c.first, c.second, c.what) for c in found])
        apart = distances(a, b, sizes) if run else "They were not run."
        show.line()
        if isinstance(apart, str):
            show.line(apart)
        else:
            show.line("On the same inputs:")
            lines = [
                (
                    d.output,
                    number(d.largest),
                    number(d.scale),
                    "-" if d.argmax_agreement is None else f"{d.argmax_agreement:.1%}",
                )
                for d in apart
            ]
            show.table(("output", "largest difference", "numbers up to", "same argmax"), lines, right=(1, 2, 3))
        other = not isinstance(apart, str) and any(d.differs for d in apart)
        same = not ends and not found and not other and a.facts["format"] == b.facts["format"]
        show.line("\nThe files are the same but for what is shown." if same else "\nThe files differ.")
        show.result(
            {
                "same": same,
                "facts": {str(first): a.facts, str(second): b.facts},
                "ends": ends,
                "texts": texts,
                "nodes": [asdict(c) for c in found],
                "distances": apart if isinstance(apart, str) else [asdict(d) for d in apart],
            }
        )
    if not same:
        raise typer.Exit(1)
