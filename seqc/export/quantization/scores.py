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
    """How one output is scored.

    Attributes:
        name: of the output. kind: one of the texts above. truth: the classes or numbers to compare with. limit: what a
        single number is above where it stands for class 1.
    """

    name: str
    kind: str
    truth: Array
    limit: float = 0.5

    def __call__(self, output: Array) -> float:
        """Returns the score of an output; minus infinity where it is not finite."""
        if output.dtype.kind == "f" and not np.isfinite(output).all():
            return -np.inf
        if self.kind == SAME or output.dtype.kind != "f":
            return float(np.mean(output == self.truth))
        if self.kind in (ACCURACY, AGREEMENT):
            return float(np.mean(classes(output, self.limit) == self.truth))
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


def classes(output: Array, limit: float = 0.5) -> Array:
    """Returns the class of each row: where the largest number is; of a single number whether it is above a limit."""
    found = output[..., 0] > limit if output.shape[-1] == 1 else output.argmax(-1)
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
        scorer = _by_labels(port, output, labels[port.name]) if port.name in labels else None
        scorer = scorer or _by_agreement(port.name, output, settings)
        if scorer.kind in (ACCURACY, AGREEMENT, SAME):
            check_resolution(scorer.truth.size, settings)
        found.append(scorer)
    return tuple(found)


def _by_labels(port: Port, output: Array, labels: Array) -> Scorer:
    if output.dtype.kind in "iub":
        return _by_classes(port, output, labels)
    name = port.name
    if output.ndim < 2 or output.dtype.kind != "f":
        raise DataError(
            f"Output '{name}' is {output.dtype}{list(output.shape)}, which labels cannot be compared with: they are "
            "for outputs of one row of numbers per sample. Without labels, the agreement with the float model counts."
        )
    rows, count = output.shape[:-1], output.shape[-1]
    if labels.shape == output.shape and count > 1:
        return Scorer(name, ACCURACY, classes(labels)) if _is_one_hot(labels) else _regression(name, labels)
    if labels.shape not in (rows, (*rows, 1)):
        raise _other_shape(name, output, labels, f"a class per row {rows}, or numbers {output.shape}")
    labels = labels.reshape(rows)
    if count == 1 and not np.isin(labels, (0, 1)).all():
        return _regression(name, labels)
    return Scorer(name, ACCURACY, _as_classes(name, labels, max(count, 2)), _limit(output, labels))


def _by_classes(port: Port, output: Array, labels: Array) -> Scorer:
    """Returns how classes that the file gives itself, as numbers or as truth, are scored."""
    name, count = port.name, 2 if output.dtype.kind == "b" else port.classes
    columns = labels.shape[-1] if labels.shape[:-1] == output.shape else 1
    if columns > 1 and columns == (count or columns) and _is_one_hot(labels):
        labels = labels.argmax(-1)
    if _without_one(labels.shape) != _without_one(output.shape):
        raise _other_shape(name, output, labels, f"a class for each number of it {output.shape}")
    return Scorer(name, ACCURACY, _as_classes(name, labels.reshape(output.shape), count))


def _as_classes(name: str, labels: Array, count: int | None) -> Array:
    """Returns labels as numbers of classes, of which there are so many, or nobody knows how many."""
    strange = labels.ravel()[:1]
    if labels.dtype.kind in "iubf":
        numbers = labels.astype(np.float64)
        outside = False if count is None else (numbers < 0) | (numbers >= count)
        strange = labels[(numbers != np.round(numbers)) | outside]
    if strange.size:
        there = "" if count is None else f", and the output has classes 0 to {count - 1}"
        raise DataError(f"The labels of '{name}' are no classes: {strange[0].item()!r} is among them{there}.")
    return labels.astype(np.int64)


def _is_one_hot(labels: Array) -> bool:
    fine = labels.dtype.kind in "iubf" and np.isin(labels, (0, 1)).all() and (labels.sum(-1) == 1).all()
    return bool(fine)


def _without_one(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape


def _other_shape(name: str, output: Array, labels: Array, wanted: str) -> DataError:
    return DataError(
        f"The labels of '{name}' have shape {labels.shape}, and the output has shape {output.shape}: give {wanted}."
    )


def _limit(output: Array, labels: Array) -> float:
    """Returns what single numbers of class 1 are above: a half, or zero of logits.

    Numbers beyond nought and one may be either; then it is what the float model is more often right by.
    """
    if output.shape[-1] > 1 or _are_probabilities(output):
        return 0.5
    return max((0.0, 0.5), key=lambda limit: float(np.mean(classes(output, limit) == labels)))


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
        limit = 0.5 if _are_probabilities(output) else 0.0
        return Scorer(name, AGREEMENT, classes(output, limit), limit)
    return Scorer(name, CLOSENESS, output)


def _are_probabilities(output: Array) -> bool:
    if output.ndim < 2 or output.min(initial=0) < 0 or output.max(initial=0) > 1 + _SUM_TOLERANCE:
        return False
    # Of single numbers between nought and one, no sums tell; they are what a sigmoid gives.
    return output.shape[-1] == 1 or bool(np.abs(output.sum(-1) - 1).max(initial=0) < _SUM_TOLERANCE)
