"""Comparing arrays: how far they are apart, and how far rounding lets them be.

Only finite numbers are compared; where a number is not finite, both sides must say so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from seqc.export.report import OutputCheck
from seqc.graph.ir import Array

# onnxruntime may lose this many times what NumPy loses in the same precision: it adds in another order and has its own
# exp, tanh and erf. Over 440 comparisons (21 graphs, from two layers to ten, 3 to 20 draws of inputs each) it lost 4.0
# times as much at worst and about as much as a rule; this is twice the worst.
ERROR_FACTOR = 8.0
# Where NumPy is exact by chance, as on a handful of outputs, this many roundings of the largest number are allowed.
LAST_PLACES = 4.0

# onnxruntime may lose this many times what adding one term after another loses: that is a half at most on long sums of
# equal numbers, for which the few registers that it adds up in are as good as fewer terms, and a product is in blocks.
ORDER_FACTOR = 2.0


def rounding_budget(truth: Array, single: Array) -> float:
    """Returns how far from the truth a result may be when NumPy's own precision gives `single`."""
    if not np.issubdtype(truth.dtype, np.floating):
        return 0.0
    return ERROR_FACTOR * distance(single, truth) + LAST_PLACES * float(np.finfo(single.dtype).eps) * scale_of(
        truth, single
    )


def ordered_budget(truth: Array, ordered: Array) -> float:
    """Returns the same when adding one term after another, in the model's precision, gives `ordered`."""
    if not np.issubdtype(truth.dtype, np.floating):
        return 0.0
    return ORDER_FACTOR * distance(ordered, truth) + LAST_PLACES * float(np.finfo(ordered.dtype).eps) * scale_of(
        truth, ordered
    )


def compare_arrays(
    check: OutputCheck,
    got: Array,
    truth: Array,
    single: Array,
    near: Callable[[], tuple[Array, Array] | None] = lambda: None,
) -> OutputCheck:
    """Returns the check with one more result taken in.

    Args:
        got: what onnxruntime gives. truth: NumPy in double precision. single: NumPy in the model's precision.
        near: gives the smallest and largest whole numbers there may be where rounding decides, if it is known.
    """
    if got.shape != truth.shape:
        return replace(check, wrong=f"has shape {got.shape}, not {truth.shape}")
    if not np.issubdtype(truth.dtype, np.floating):
        # Whole numbers agree with the truth or, where rounding decides (two equal maxima), with NumPy's rounding.
        same = (got == truth) | (got == single)
        if not np.all(same) and (ends := near()) is not None:
            same |= (ends[0] <= got) & (got <= ends[1])
        if not np.all(same):
            return replace(check, wrong=f"differs in {int(np.sum(~same))} whole numbers")
        scale = max(check.scale, scale_of(truth, truth))
        return replace(check, scale=scale, compared=check.compared + truth.size)
    fine = np.isfinite(got)
    expected = np.isfinite(truth) & np.isfinite(single)
    strange = fine != np.isfinite(single)
    if np.any(strange & expected):
        return replace(check, wrong="is not finite where it should be")
    if np.any(strange & ~np.isfinite(truth)):
        return replace(check, wrong="is finite where it should not be")
    if not fine.all() and np.any(np.isinf(got) & np.isinf(single) & np.isinf(truth) & (got != single) & (got != truth)):
        return replace(check, wrong="is infinite with the other sign")
    return replace(
        check,
        error=max(check.error, distance(got, truth)),
        scale=max(check.scale, scale_of(truth, single)),
        compared=check.compared + int(np.count_nonzero(expected & fine)),
    )


def distance(a: Array, truth: Array) -> float:
    """Returns the largest difference of two arrays where both are finite."""
    if truth.dtype.kind != "f" or not truth.size:
        return 0.0
    with np.errstate(all="ignore"):
        apart = np.abs(a - truth)
    largest = float(apart.max())
    return largest if np.isfinite(largest) else float(np.max(apart[np.isfinite(a) & np.isfinite(truth)], initial=0.0))


def scale_of(truth: Array, single: Array) -> float:
    """Returns the largest number, of those that the model's precision holds; of strings zero."""
    if truth.dtype == object:
        return 0.0
    truth = truth if truth.dtype.kind == "f" else truth.astype(np.float64)
    largest = float(np.abs(truth).max(initial=0.0))
    if np.isfinite(largest) and np.isfinite(single).all():
        return largest
    return float(np.max(np.abs(truth[np.isfinite(truth) & np.isfinite(single)]), initial=0.0))


def argmax_agreement(got: Array, truth: Array) -> list[float]:
    """Returns the share of rows whose largest element is at the same place, or nothing where no row could tell.

    A row with a number that is not finite has no largest element.
    """
    floating = np.issubdtype(truth.dtype, np.floating)
    if not floating or truth.ndim < 2 or truth.shape[-1] < 2 or got.shape != truth.shape:
        return []
    rows = np.isfinite(got).all(-1) & np.isfinite(truth).all(-1)
    return [float(np.mean(got[rows].argmax(-1) == truth[rows].argmax(-1)))] if rows.any() else []
