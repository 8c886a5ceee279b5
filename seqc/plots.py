"""Pictures of a training; they need matplotlib.

Its loss curve, which classes are taken for which, and where the time of a step goes.
"""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np

from seqc.backends.numpy.profile import PARTS, Timing
from seqc.errors import DataError, MissingDependencyError
from seqc.graph.ir import Array
from seqc.text import printable, shorten
from seqc.utils.files import write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

P = ParamSpec("P")

# Inches: how high boxes are at least, what a letter of their labels takes, lying and upright, and what a line takes.
_BOX, _LETTER, _UPRIGHT, _LINE = 0.8, 0.07, 0.06, 0.13
_MOST_LETTERS = 36
_COLOURS = {"forward": "#9ecae1", "backward": "#fdae6b", "update": "#a1d99b"}

# More classes than this make a picture in which no number can be read.
_MOST_NUMBERS = 20


def _names_as_they_are(draw: Callable[P, None]) -> Callable[P, None]:
    """Lets a function draw names letter by letter: "$" begins no formula, and text in a .svg stays text."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> None:
        require_matplotlib()
        from matplotlib import rc_context

        with rc_context({"text.parse_math": False, "svg.fonttype": "none"}):
            draw(*args, **kwargs)

    return drawn


@_names_as_they_are
def loss_curve(history: Mapping[str, Sequence[float]], path: str | os.PathLike[str], title: str = "") -> None:
    """Draws the metrics of each epoch, validation dashed: the loss above, the others below it.

    Args:
        history: `history` of the History that `fit` returns. path: the .png file to write. title: above the picture.

    Raises:
        MissingDependencyError: matplotlib is not installed. DataError: there are no epochs.
    """
    scalars = {name: [float(v) for v in values] for name, values in history.items() if np.ndim(values) == 1}
    if not scalars or not all(scalars.values()):
        raise DataError("There is nothing to draw: the history has no epochs.")
    losses = [name for name in scalars if name.removeprefix("val_") == "loss"]
    others = [name for name in scalars if name not in losses]
    figure = _figure(6.4, 7.2 if losses and others else 3.8)
    axes = figure.subplots(2 if losses and others else 1, 1, sharex=True, squeeze=False)[:, 0]
    for axis, names in zip(axes, [group for group in (losses, others) if group], strict=True):
        colours = {base: f"C{i % 10}" for i, base in enumerate(dict.fromkeys(n.removeprefix("val_") for n in names))}
        for name in names:
            values, style = scalars[name], "--" if name.startswith("val_") else "-"
            marker = "." if len(values) < 30 else ""
            colour = colours[name.removeprefix("val_")]
            axis.plot(range(1, len(values) + 1), values, style, color=colour, marker=marker, label=name)
        axis.legend(frameon=False)
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("epoch")
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    figure.suptitle(title)
    _save(figure, path)


@_names_as_they_are
def confusion_matrix(
    truth: Array, predicted: Array, path: str | os.PathLike[str], names: Sequence[str] | None = None, title: str = ""
) -> None:
    """Draws how often each class (row) was taken for each class (column).

    Args:
        truth, predicted: class numbers, one per sample. path: the .png file to write. names: of the classes, by number.
        title: above the picture.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    counts = count_confusions(truth, predicted)
    size = len(counts)
    figure = _figure(1.8 + 0.42 * min(size, _MOST_NUMBERS), 1.5 + 0.42 * min(size, _MOST_NUMBERS))
    axis = figure.subplots()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    if size <= _MOST_NUMBERS:
        labels = [str(i) for i in range(size)] if names is None else list(names)
        axis.set_xticks(range(size), labels)
        axis.set_yticks(range(size), labels)
        for i, j in zip(*np.nonzero(counts), strict=True):
            axis.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize="small",
                      color="white" if shares[i, j] > 0.5 else "black")  # fmt: skip
    axis.set_title(title)
    _save(figure, path)


def count_confusions(truth: Array, predicted: Array) -> Array:
    """Returns the number of samples of each class (row) taken for each class (column).

    Raises:
        DataError: the numbers of samples differ, or a class number is negative.
    """
    rows, columns = np.asarray(truth).reshape(-1).astype(np.int64), np.asarray(predicted).reshape(-1).astype(np.int64)
    if len(rows) != len(columns) or not len(rows):
        raise DataError(
            f"A confusion matrix needs a prediction per sample; got {len(columns)} for {len(rows)} samples."
        )
    if min(rows.min(), columns.min()) < 0:
        raise DataError("Class numbers cannot be negative.")
    size = int(max(rows.max(), columns.max())) + 1
    return np.bincount(rows * size + columns, minlength=size * size).reshape(size, size)


@_names_as_they_are
def step_profile(timings: Sequence[Timing], steps: int, path: str | os.PathLike[str], title: str = "") -> None:
    """Draws where the time of a training step goes.

    The step is at the bottom, its parts, layers and operations above it, each as wide as the time it takes.

    Args:
        timings: what some steps took together. steps: how many they were. path: the .png or .svg file to write.
        title: above the picture.

    Raises:
        MissingDependencyError: matplotlib is not installed. DataError: there are no timings.
    """
    if not timings:
        raise DataError("There is nothing to draw: the profile is empty.")
    paths = {
        ("step", *filter(None, (t.part, *t.scope.split("/"))), t.op, t.part): t.seconds / steps * 1e3 for t in timings
    }
    width = 14.0
    total = sum(paths.values())
    scale = (width - 0.4) / total
    heights = _box_heights(paths, scale)
    figure = _figure(width, 1.2 + sum(heights))
    axis = figure.subplots()
    axis.set_xlim(0, total)
    axis.set_ylim(0, sum(heights))
    # The parts in their order in time; within them the order of the graph is kept.
    order = sorted(paths, key=lambda keys: PARTS.index(keys[-1]) if keys[-1] in PARTS else 0)
    _boxes(axis, order, [paths[keys] for keys in order], heights, 0, 0.0, scale)
    axis.set_yticks([])
    axis.set_xlabel("ms, added up over threads")
    for side in ("left", "right", "top"):
        axis.spines[side].set_visible(False)
    axis.set_title(title)
    _save(figure, path)


def _boxes(
    axis: Any,
    paths: list[tuple[str, ...]],
    times: list[float],
    heights: Sequence[float],
    level: int,
    left: float,
    scale: float,
) -> None:
    """Draws a box per name at one level of the paths, in their order, and above each what it consists of.

    Args:
        paths: names from the bottom up; the last is the part, which gives the colour. times: milliseconds of each.
        heights: of the boxes of each level. left: where the first box begins. scale: inches per millisecond.
    """
    groups: dict[str, list[int]] = {}
    for i, path in enumerate(paths):
        if level < len(path) - 1:
            groups.setdefault(path[level], []).append(i)
    bottom = sum(heights[:level])
    for name, members in groups.items():
        spent = [times[i] for i in members]
        parts = {paths[i][-1] for i in members}
        colour = _COLOURS.get(parts.pop(), "#d9d9d9") if len(parts) == 1 else "#d9d9d9"
        axis.bar(left, heights[level], sum(spent), bottom, align="edge", color=colour, edgecolor="white", linewidth=0.8)
        text, turned = _label(name, f"{sum(spent):.3g} ms", sum(spent) * scale)
        middle = left + sum(spent) / 2, bottom + heights[level] / 2
        axis.text(*middle, text, ha="center", va="center", fontsize=8, rotation=turned)
        _boxes(axis, [paths[i] for i in members], spent, heights, level + 1, left, scale)
        left += sum(spent)


def _box_heights(paths: Mapping[tuple[str, ...], float], scale: float) -> list[float]:
    """Returns how high the boxes of each level must be, in inches, for the names that stand upright in them.

    Args:
        paths: as for `_boxes`, with milliseconds. scale: inches per millisecond.
    """
    times: dict[tuple[str, ...], float] = {}
    for keys, spent in paths.items():
        for end in range(1, len(keys)):
            times[keys[:end]] = times.get(keys[:end], 0.0) + spent
    heights = [_BOX] * max(map(len, times))
    for keys, spent in times.items():
        text, turned = _label(keys[-1], f"{spent:.3g} ms", spent * scale)
        if turned:
            heights[len(keys) - 1] = max(heights[len(keys) - 1], (len(text) + 1) * _UPRIGHT)
    return heights


def _label(name: str, spent: str, inches: float) -> tuple[str, int]:
    """Returns what fits into a box of this width, and by how many degrees to turn it: nothing if it is too narrow."""
    if max(len(name), len(spent)) * _LETTER < inches:
        return f"{name}\n{spent}", 0
    if inches < _LINE:
        return "", 0
    return shorten(name, _MOST_LETTERS), 90


def require_matplotlib() -> None:
    """Raises MissingDependencyError if matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            'Plots need matplotlib, which is not installed: pip install "seqc[plot]".'
        ) from error


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    # Not through pyplot: that would choose a window system and keep every figure.
    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Any, path: str | os.PathLike[str]) -> None:
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_text(printable(text.get_text()))
    content = io.BytesIO()
    kind = "svg" if os.fspath(path).lower().endswith(".svg") else "png"
    figure.savefig(content, format=kind, dpi=120)
    write_file(path, content.getvalue())
