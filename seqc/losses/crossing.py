"""Finds, in the graph of a loss, where every label was set against every prediction."""

from __future__ import annotations

from seqc.graph.ir import Value, walk
from seqc.losses.shapes import crosses
from seqc.ops.elementwise import Elementwise


def crossed(loss: Value, y_true: Value, y_pred: Value) -> bool:
    """Tells whether a broadcast puts the samples of labels and of predictions on two axes of one result.

    A loss over pairs of samples sets predictions against predictions, or labels against labels, which is its business.

    Args:
        loss: computed from the other two.
        y_true: the labels.
        y_pred: the predictions.
    """
    # What each value is computed from: labels, predictions.
    made_of: dict[Value, tuple[bool, bool]] = {y_true: (True, False), y_pred: (False, True)}
    for value in walk([loss]):
        if value is y_true or value is y_pred:
            continue
        parts = [made_of.get(x, (False, False)) for x in value.inputs]
        made_of.setdefault(value, (any(a for a, _ in parts), any(b for _, b in parts)))
        if not isinstance(value.op, Elementwise) or len(value.inputs) < 2:
            continue
        for x, (from_labels, from_predictions) in zip(value.inputs, parts, strict=True):
            for other, (also_labels, also_predictions) in zip(value.inputs, parts, strict=True):
                if not (from_labels and not from_predictions and also_predictions and not also_labels):
                    continue
                if crosses(x.type.shape, other.type.shape):
                    return True
    return False
