"""Pictures of a training: its loss curve, which classes are taken for which, and where the time of a step goes. Needs
matplotlib.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seqc.backends.numpy.profile import PARTS, Timing
from seqc.errors import DataError, MissingDependencyError
from seqc.ir import Array
from seqc.utils.files import write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Inches: how high boxes are, what a letter of their labels takes, and what a line of letters takes.
_BOX, _LETTER, _LINE = 0.8, 0.07, 0.13
_COLOURS = {"forward": "#9ecae1", "backward": "#fdae6b", "update": "#a1d99b"}

# More classes than this make a picture in which no number can be read.
_MOST_NUMBERS = 20


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


def step_profile(timings: Sequence[Timing], steps: int, path: str | os.PathLike[str], title: str = "") -> None:
    """Draws where the time of a training step goes: the step at the bottom, its parts, layers and operations above it,
    each as wide as the time it takes.

    Args:
        timings: what some steps took together. steps: how many they were. path: the .png or .svg file to write.
        title: above the picture.

    Raises:
        MissingDependencyError: matplotlib is not installed. DataError: there are no timings.
    """
    if not timings:
        raise DataError("There is nothing to draw: the profile is empty.")
    paths = {(*filter(None, (t.part, *t.scope.split("/"))), t.op, t.part): t.seconds / steps * 1e3 for t in timings}
    levels = max(map(len, paths))  # of the names: the part at the end makes up for the step in front
    width = 14.0
    figure = _figure(width, 1.2 + _BOX * levels)
    axis = figure.subplots()
    total = sum(paths.values())
    axis.set_xlim(0, total)
    axis.set_ylim(0, levels)
    # The parts in their order in time; within them the order of the graph is kept.
    order = sorted(paths, key=lambda keys: PARTS.index(keys[-1]) if keys[-1] in PARTS else 0)
    _boxes(axis, [("step", *keys) for keys in order], [paths[keys] for keys in order], 0, 0.0, (width - 0.4) / total)
    axis.set_yticks([])
    axis.set_xlabel("ms, added up over threads")
    for side in ("left", "right", "top"):
        axis.spines[side].set_visible(False)
    axis.set_title(title)
    _save(figure, path)


def _boxes(axis: Any, paths: list[tuple[str, ...]], times: list[float], level: int, left: float, scale: float) -> None:
    """Draws a box per name at one level of the paths, in their order, and above each what it consists of.

    Args:
        paths: names from the bottom up; the last is the part, which gives the colour. times: milliseconds of each.
        left: where the first box begins. scale: inches per millisecond.
    """
    groups: dict[str, list[int]] = {}
    for i, path in enumerate(paths):
        if level < len(path) - 1:
            groups.setdefault(path[level], []).append(i)
    for name, members in groups.items():
        spent = [times[i] for i in members]
        parts = {paths[i][-1] for i in members}
        colour = _COLOURS.get(parts.pop(), "#d9d9d9") if len(parts) == 1 else "#d9d9d9"
        axis.bar(left, 1, sum(spent), level, align="edge", color=colour, edgecolor="white", linewidth=0.8)
        text, turned = _label(name, f"{sum(spent):.3g} ms", sum(spent) * scale)
        axis.text(left + sum(spent) / 2, level + 0.5, text, ha="center", va="center", fontsize=8, rotation=turned)
        _boxes(axis, [paths[i] for i in members], spent, level + 1, left, scale)
        left += sum(spent)


def _label(name: str, spent: str, inches: float) -> tuple[str, int]:
    """Returns what fits into a box of this width, and by how many degrees to turn it: nothing if it is too narrow."""
    if max(len(name), len(spent)) * _LETTER < inches:
        return f"{name}\n{spent}", 0
    if inches < _LINE:
        return "", 0
    room = int(_BOX / _LETTER)
    return name if len(name) <= room else f"{name[: room - 1]}…", 90


def require_matplotlib() -> None:
    """Raises MissingDependencyError if matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            'Plots need matplotlib, which is not installed: pip install "seqc[plot]".'
        ) from error


def _figure(width: float, height: float) -> Figure:
    require_matplotlib()
    from matplotlib.figure import Figure

    # Not through pyplot: that would choose a window system and keep every figure.
    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Any, path: str | os.PathLike[str]) -> None:
    from matplotlib import rc_context

    content = io.BytesIO()
    kind = "svg" if os.fspath(path).lower().endswith(".svg") else "png"
    with rc_context({"svg.fonttype": "none"}):  # text stays text, to be searched
        figure.savefig(content, format=kind, dpi=120)
    write_file(path, content.getvalue())
