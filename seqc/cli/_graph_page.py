"""One page that shows an ONNX file: what it costs by layer, and its picture, without anything from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from seqc.cli._by_layer import LayerCost
from seqc.cli._graph_picture import frame_id
from seqc.cli._output import amount, duration

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --head: #8882; }
body { font: 15px/1.4 system-ui, sans-serif; margin: 0; height: 100vh; }
body { display: grid; grid-template-columns: minmax(22rem, 2fr) 3fr; }
section { overflow: auto; padding: 1rem; }
h1 { font-size: 1.2rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; }
td, th { border-bottom: 1px solid var(--line); padding: .2rem .4rem; text-align: left; overflow-wrap: anywhere; }
th { position: sticky; top: -1rem; background: Canvas; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.gone { opacity: .6; }
.picture { background: white; border-left: 1px solid var(--line); }
.picture svg { max-width: none; height: auto; }
.cluster:target > path { stroke: #d62728; stroke-width: 3; }
a { color: inherit; }
@media (max-width: 60rem) { body { display: block; height: auto; } .picture { border-left: 0; } }
"""


def page(
    title: str,
    facts: Sequence[tuple[str, str]],
    layers: Sequence[tuple[str, str]],
    costs: Sequence[LayerCost],
    svg: str,
) -> str:
    """Returns the page as HTML.

    Args:
        title: of the page. facts: about the file. layers: names and classes of the model's layers, in its order, where
        the model is known; those of which no node is left are shown, too. costs: by layer. svg: the picture.
    """
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in facts)
    timed = any(cost.seconds is not None for cost in costs)
    heads = ["layer", "nodes", "parameters", "FLOPs", "bytes", *(["time"] if timed else [])]
    head = "".join(f"<th{_number(i > 1)}>{name}</th>" for i, name in enumerate(heads))
    body = "".join(_row(name, kind, cost, timed) for name, kind, cost in _ordered(layers, costs))
    drawing = svg[svg.index("<svg") :]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><section><h1>{escape(title)}</h1><table>{rows}</table><br>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></section>"
        f'<section class="picture">{drawing}</section></body></html>'
    )


def _ordered(layers: Sequence[tuple[str, str]], costs: Sequence[LayerCost]) -> list[tuple[str, str, LayerCost | None]]:
    """Returns the layers of the model in its order, and what belongs to none of them behind."""
    by_name: Mapping[str, LayerCost] = {cost.name: cost for cost in costs}
    known = {name for name, _ in layers}
    found = [(name, kind, by_name.get(name)) for name, kind in layers]
    return found + [(cost.name, "", cost) for cost in costs if cost.name not in known]


def _row(name: str, kind: str, cost: LayerCost | None, timed: bool) -> str:
    shown = f"{escape(name or 'of no layer')}{f' <small>{escape(kind)}</small>' if kind else ''}"
    if cost is None:
        more = "<td></td>" * (4 if timed else 3)
        return f'<tr class="gone"><td>{shown}</td><td>in other nodes, or nothing</td>{more}</tr>'
    moved = None if cost.result_bytes is None else cost.weight_bytes + cost.result_bytes
    numbers = [f"{cost.parameters:,}", amount(cost.flops), amount(moved)]
    numbers += [("" if cost.seconds is None else duration(cost.seconds))] if timed else []
    cells = "".join(f"<td{_number(True)}>{escape(text)}</td>" for text in numbers)
    link = f'<a href="#{frame_id(name)}">{shown}</a>' if name else shown
    return f"<tr><td>{link}</td><td>{escape(cost.nodes)}</td>{cells}</tr>"


def _number(right: bool) -> str:
    return ' class="n"' if right else ""
