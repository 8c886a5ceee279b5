"""Bars as SVG inside a page, in the page's own colours, so that they are right in the dark and in the light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, BAR, GAP, LABEL, FIGURE = 360, 14, 9, 108, 62


@dataclass(frozen=True)
class Bar:
    """One bar: how long, the figure behind it, and which series it belongs to, 0 for seqc's own."""

    length: float
    figure: str
    series: int = 0


def bars(title: str, rows: Sequence[tuple[str, Sequence[Bar]]], series: Sequence[str]) -> str:
    """Returns a picture of rows of bars, one below the other.

    Args:
        title: what is shown, with the unit, for those who cannot see it, too.
        rows: a name and its bars.
        series: what the bars of each number are, for the legend.
    """
    most = max((bar.length for _, found in rows for bar in found), default=1.0) or 1.0
    scale = (WIDTH - LABEL - FIGURE) / most
    parts, y = _legend(series)
    for name, found in rows:
        middle = y + len(found) * BAR / 2
        parts.append(f'<text class="name" x="{LABEL - 8}" y="{middle + 4:.0f}">{escape(name)}</text>')
        for bar in found:
            long = max(bar.length * scale, 1)
            parts.append(
                f'<rect class="s{bar.series}" x="{LABEL}" y="{y}" width="{long:.1f}" height="{BAR - 2}" rx="2"/>'
                f'<text class="figure" x="{LABEL + long + 5:.1f}" y="{y + BAR - 4}">{escape(bar.figure)}</text>'
            )
            y += BAR
        y += GAP
    head = f'<svg viewBox="0 0 {WIDTH} {y}" role="img" aria-label="{escape(title)}" xmlns="http://www.w3.org/2000/svg">'
    picture = head + "".join(parts) + "</svg>"
    return f'<figure class="bars"><figcaption>{escape(title)}</figcaption>{picture}</figure>'


def _legend(series: Sequence[str]) -> tuple[list[str], int]:
    if len(series) < 2:
        return [], 4
    parts, x, y = [], float(LABEL), 2
    for number, name in enumerate(series):
        long = 20 + 6.6 * len(name)
        if x + long > WIDTH:
            x, y = LABEL, y + 16
        parts.append(f'<rect class="s{number}" x="{x:.0f}" y="{y}" width="10" height="10" rx="2"/>')
        parts.append(f'<text class="legend" x="{x + 14:.0f}" y="{y + 9}">{escape(name)}</text>')
        x += long
    return parts, y + 22
