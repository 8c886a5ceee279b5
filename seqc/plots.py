"""Pictures of a training: its loss curve, and which classes are taken for which. Needs matplotlib."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seqc.errors import DataError, MissingDependencyError
from seqc.ir import Array
from seqc.utils.files import write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    write_file(path, content.getvalue())
