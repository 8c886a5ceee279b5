"""NumPy and onnxruntime on the same samples: whether they say the same, and which is faster."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc.graph.ir import Array
from seqc.losses import object_name

BATCH_SIZE = 128
RUNS = 5
# Predictions that are numbers may differ by rounding, this much of the largest of them.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Comparison:
    """What both said.

    Attributes:
        samples: how many. differing: samples put in different classes; None where predictions are no classes.
        largest_difference: between two predicted numbers. allowed: for it; None where classes are compared.
        nonfinite: samples with a number that is NaN or infinite, which stands for no class and proves no agreement.
    """

    samples: int
    differing: int | None
    largest_difference: float
    allowed: float | None
    nonfinite: int = 0

    @property
    def agree(self) -> bool:
        if self.samples and self.nonfinite == self.samples:
            return False
        if self.differing is not None:
            return self.differing == 0
        return self.allowed is not None and self.largest_difference <= self.allowed

    def __str__(self) -> str:
        if self.samples and self.nonfinite == self.samples:
            return f"nothing to compare: all {self.samples:,} samples have predictions that are not finite"
        largest = f"largest difference {self.largest_difference:.2g}"
        if self.nonfinite:
            largest += f", {self.nonfinite:,} samples not finite"
        if self.differing is None:
            return f"{largest}, {self.allowed:.2g} allowed, over {self.samples:,} samples"
        if self.differing:
            return f"{self.differing:,} of {self.samples:,} samples differ in class ({largest})"
        return f"the same classes for all {self.samples:,} samples ({largest})"


def compare_predictions(ours: Array, theirs: Array, loss: Any) -> Comparison:
    """Returns how two sets of predictions compare.

    Args:
        ours, theirs: one row per sample. loss: what tells classes from other numbers, see `classes`.
    """
    with np.errstate(invalid="ignore"):
        difference = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
    # Where both are the same infinity or both NaN, they agree.
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    largest = float(np.max(np.where(same, 0, np.nan_to_num(difference, nan=np.inf)), initial=0))
    strange = ~(np.isfinite(ours) & np.isfinite(theirs)).reshape(len(ours), -1).all(axis=1)
    nonfinite = int(strange.sum())
    a, b = classes(ours, loss), classes(theirs, loss)
    if a is None or b is None:
        finite = np.abs(ours[np.isfinite(ours)])
        return Comparison(len(ours), None, largest, TOLERANCE * float(np.max(finite, initial=0)), nonfinite)
    rows = (a != b).reshape(len(a), -1).any(axis=1) | strange
    return Comparison(len(ours), int(rows.sum()), largest, None, nonfinite)


def classes(predictions: Array, loss: Any) -> Array | None:
    """Returns the class each prediction stands for, or None where it stands for a number.

    Loss functions with "crossentropy" or "hinge" in their names are about classes: the largest of several scores, or
    for one score, and for several that are right independently, whether it passes the middle.
    """
    name = object_name(getattr(loss, "fn", loss)).lower()
    if "crossentropy" not in name and "hinge" not in name:
        return None
    independent = name.startswith("binary") or ("hinge" in name and "categorical" not in name)
    if predictions.shape[-1] > 1 and not independent:
        return np.asarray(predictions.argmax(-1))
    logits = getattr(loss, "fn_kwargs", {}).get("from_logits", False)
    middle = 0.0 if "hinge" in name or logits else 0.5
    return np.asarray((predictions > middle).astype(np.int64))


def true_classes(y: Any, predicted: Array, loss: Any = None) -> Array | None:
    """Returns labels as class numbers shaped like the predicted classes, or None where they are not such labels.

    Args:
        y: labels. predicted: classes. loss: tells what labels mean: of hinges -1 is class 0, soft ones of binary
        crossentropies stand for the nearer class.
    """
    labels, name = np.asarray(y), object_name(getattr(loss, "fn", loss)).lower()
    if labels.size == predicted.size:
        shaped = labels.reshape(predicted.shape)
        if "hinge" in name and "categorical" not in name:
            return np.asarray((shaped > 0).astype(np.int64))
        return np.asarray((shaped > 0.5).astype(np.int64)) if name.startswith("binary") else shaped
    if labels.ndim == predicted.ndim + 1 and labels.shape[:-1] == predicted.shape:
        return np.asarray(labels.argmax(-1))
    return None


def counted(truth: Array, predicted: Array, loss: Any) -> tuple[Array, Array]:
    """Returns the classes of labels, and those predicted, without the labels that a loss ignores."""
    ignored = getattr(loss, "fn_kwargs", {}).get("ignore_class")
    keep = np.ones(truth.shape, bool) if ignored is None else truth != ignored
    return truth[keep], predicted[keep]


def median_seconds(first: Callable[[], Any], second: Callable[[], Any], runs: int = RUNS) -> tuple[float, float]:
    """Returns the median time of each of two functions, run in turn so that both see the same machine."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(runs):
        for run, spent in zip((first, second), times, strict=True):
            start = time.perf_counter()
            run()
            spent.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])
