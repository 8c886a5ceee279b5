"""How good a quantized model is: by labels where there are some, else by how far it agrees with the float model.

Every score is at most 1 for a perfect model, and a drop is what is lost of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqc.errors import DataError
from seqc.export.quantization.graphs import Port
from seqc.export.quantization.samples import Feeds, check_resolution
from seqc.export.quantization.settings import Settings
from seqc.graph.ir import Array

ACCURACY, R2 = "accuracy on the labels", "R² on the labels"
AGREEMENT, CLOSENESS = "argmax agreement with the float model", "1 - relative error to the float model"
SAME = "share of elements as in the float model"
# Rows that add up to one within this are probabilities.
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Scorer:
    """How one output is scored: `kind` is one of the texts above, `truth` the classes or numbers to compare with."""

    name: str
    kind: str
    truth: Array

    def __call__(self, output: Array) -> float:
        """Returns the score of an output; minus infinity where it is not finite."""
        if output.dtype.kind == "f" and not np.isfinite(output).all():
            return -np.inf
        if self.kind == SAME or output.dtype.kind != "f":
            return float(np.mean(output == self.truth))
        if self.kind in (ACCURACY, AGREEMENT):
            return float(np.mean(classes(output) == self.truth))
        if self.kind == R2:
            truth = self.truth.astype(np.float64)
            apart = np.sum((truth - np.mean(truth, axis=0)) ** 2)
            lost = np.sum((output.reshape(truth.shape) - truth) ** 2)
            return 1.0 - float(lost / apart)
        return 1.0 - relative_error(output, self.truth)


def relative_error(output: Array, truth: Array) -> float:
    """Returns the length of the difference of two arrays by the length of the second."""
    truth = truth.astype(np.float64)
    apart, length = float(np.linalg.norm((output - truth).ravel())), float(np.linalg.norm(truth.ravel()))
    return apart / length if length else float(apart > 0)


def classes(output: Array) -> Array:
    """Returns the class of each row: where the largest number is; of a single number whether it is above a half."""
    found = output[..., 0] > 0.5 if output.shape[-1] == 1 else output.argmax(-1)
    return np.asarray(found).astype(np.int64)


def make_scorers(
    ports: Sequence[Port], outputs: Sequence[Array], labels: Feeds, settings: Settings
) -> tuple[Scorer, ...]:
    """Returns how each output is scored.

    Args:
        ports: the outputs. outputs: of the float model on the tested samples. labels: by names of outputs. settings:
        what is asked.

    Raises:
        DataError: labels fit no output, or there are too few samples to see the drop that is allowed.
    """
    found = []
    for port, output in zip(ports, outputs, strict=True):
        if output.dtype.kind == "f" and not np.isfinite(output).all():
            raise DataError(f"The float model itself gives NaN or infinity in '{port.name}' on these data.")
        scorer = _by_labels(port.name, output, labels[port.name]) if port.name in labels else None
        scorer = scorer or _by_agreement(port.name, output, settings)
        if scorer.kind in (ACCURACY, AGREEMENT, SAME):
            check_resolution(scorer.truth.size, settings)
        found.append(scorer)
    return tuple(found)


def _by_labels(name: str, output: Array, labels: Array) -> Scorer:
    if output.dtype.kind in "iub" and output.shape == labels.shape and labels.dtype.kind in "iub":
        return Scorer(name, ACCURACY, labels)  # the file gives classes itself
    if output.ndim < 2 or output.dtype.kind != "f":
        raise DataError(
            f"Output '{name}' is {output.dtype}{list(output.shape)}, which labels cannot be compared with: they are "
            "for outputs of one row of numbers per sample. Without labels, the agreement with the float model counts."
        )
    rows, count = output.shape[:-1], output.shape[-1]
    whole = labels.dtype.kind in "iub" or (labels.dtype.kind == "f" and np.array_equal(labels, np.round(labels)))
    if labels.shape == output.shape and count > 1:
        if whole and np.isin(labels, (0, 1)).all() and (labels.sum(-1) == 1).all():
            return Scorer(name, ACCURACY, classes(labels))
        return _regression(name, labels)
    if labels.shape not in (rows, (*rows, 1)):
        raise DataError(
            f"The labels of '{name}' have shape {labels.shape}, and the output has shape {output.shape}: give a class "
            f"per row {rows}, or numbers {output.shape}."
        )
    labels = labels.reshape(rows)
    if count == 1 and not (whole and np.isin(labels, (0, 1)).all()):
        return _regression(name, labels)
    most = max(count, 2) - 1
    if labels.dtype.kind not in "iubf" or not whole or labels.min() < 0 or labels.max() > most:
        strange = next(v for v in labels.ravel().tolist() if v not in range(most + 1))
        raise DataError(
            f"The labels of '{name}' are no classes: {strange!r} is among them, and the output has classes 0 to {most}."
        )
    return Scorer(name, ACCURACY, labels.astype(np.int64))


def _regression(name: str, labels: Array) -> Scorer:
    if labels.dtype.kind not in "iubf":
        raise DataError(f"The labels of '{name}' are {labels.dtype}; numbers are needed.")
    if np.ptp(labels.astype(np.float64), axis=0).max(initial=0) == 0:
        raise DataError(f"The labels of '{name}' are all the same, so that nothing can be measured on them.")
    return Scorer(name, R2, labels)


def _by_agreement(name: str, output: Array, settings: Settings) -> Scorer:
    if output.dtype.kind != "f":
        return Scorer(name, SAME, output)
    if settings.measure == "argmax" and (output.ndim < 2 or not output.size):
        raise DataError(f"Output '{name}' has shape {output.shape}: there is no row to take the largest element of.")
    if settings.measure == "argmax" or (settings.measure == "auto" and _are_probabilities(output)):
        return Scorer(name, AGREEMENT, classes(output))
    return Scorer(name, CLOSENESS, output)


def _are_probabilities(output: Array) -> bool:
    if output.ndim < 2 or output.min(initial=0) < 0 or output.max(initial=0) > 1 + _SUM_TOLERANCE:
        return False
    # Of single numbers between nought and one, no sums tell; they are what a sigmoid gives.
    return output.shape[-1] == 1 or bool(np.abs(output.sum(-1) - 1).max(initial=0) < _SUM_TOLERANCE)
