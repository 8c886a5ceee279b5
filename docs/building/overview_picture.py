"""Draws docs/overview.svg, what goes into seqc and what comes out: `python docs/building/overview_picture.py`.

Boxes have a ground of their own and lines are of a middle grey, so that it is right on dark pages and on light ones.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

OUT = Path(__file__).resolve().parent.parent / "overview.svg"
WIDTH, HEIGHT = 800, 360
_STYLE = """
text { font: 15px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1c2430; }
.head { font-weight: 650; font-size: 16px; }
.small { font-size: 13px; fill: #4a5566; }
.on { fill: #ffffff; } .on.small { fill: #dbe6ff; }
.step { font-size: 13px; fill: #8a94a6; text-anchor: middle; }
.box { fill: #f4f6fa; stroke: #b9c2d0; } .core { fill: #2f5bd0; stroke: #2f5bd0; }
.truth { fill: #eaf6ee; stroke: #8cc0a0; }
.line { stroke: #8a94a6; stroke-width: 2; fill: none; marker-end: url(#tip); } .tip { fill: #8a94a6; }
"""


def _box(x: int, y: int, wide: int, high: int, kind: str, head: str, *lines: str) -> str:
    on = " on" if kind == "core" else ""
    parts = [f'<rect class="{kind}" x="{x}" y="{y}" width="{wide}" height="{high}" rx="9"/>']
    parts.append(f'<text class="head{on}" x="{x + 14}" y="{y + 27}">{escape(head)}</text>')
    for n, line in enumerate(lines):
        parts.append(f'<text class="small{on}" x="{x + 14}" y="{y + 49 + 19 * n}">{escape(line)}</text>')
    return "".join(parts)


def _arrow(x0: int, y0: int, x1: int, y1: int) -> str:
    middle = (x0 + x1) // 2
    return f'<path class="line" d="M{x0} {y0} C{middle} {y0} {middle} {y1} {x1 - 6} {y1}"/>'


def picture() -> str:
    """Returns the picture's text."""
    parts = [
        _box(4, 14, 224, 92, "box", "Python as for Keras", "import seqc as keras", "Sequential, functional, own"),
        _box(4, 126, 224, 92, "box", "a model file", ".h5, .keras, model.json", "of Keras 1, 2, 3 and tf.keras"),
        _box(4, 238, 224, 92, "box", "your data", "arrays, generators, files", "to train and to measure on"),
        _box(284, 70, 226, 214, "core", "seqc", "one graph of the model"),
        _box(298, 132, 198, 62, "box", "trains", "NumPy, tiled, on all cores"),
        _box(298, 206, 198, 62, "box", "lowers", "few nodes, no Transposes"),
        _box(566, 14, 230, 92, "box", "a .keras file", "Keras opens it,", "with the optimizer's state"),
        _box(566, 126, 230, 92, "truth", "an .onnx file, verified", "against float64,", "for CPU, GPU, web, board"),
        _box(566, 238, 230, 92, "box", "seqc-runtime", "runs and serves it, with", "NumPy and onnxruntime only"),
        _arrow(228, 60, 284, 130), _arrow(228, 172, 284, 177), _arrow(228, 284, 284, 224),
        _arrow(510, 130, 566, 60), _arrow(510, 177, 566, 172),
        '<path class="line" d="M681 218 L681 232"/>',
    ]  # fmt: skip
    title = "Python as for Keras, model files and data go into seqc; .keras files and verified ONNX files come out."
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT - 14}" role="img" aria-label="{title}" '
        f'style="max-width:100%;height:auto">\n<title>{title}</title>\n<style>{_STYLE}</style>\n'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="5" refY="4" markerWidth="5" markerHeight="5" orient="auto">'
        '<path class="tip" d="M0 0 L8 4 L0 8 z"/></marker></defs>\n' + "\n".join(parts) + "\n</svg>\n"
    )


if __name__ == "__main__":
    OUT.write_text(picture(), encoding="utf-8")
