"""Heads: what a file makes of an output, such as the class in place of the scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from seqc import ops
from seqc.errors import ArgumentTypeError, ConfigError
from seqc.graph.batch import batch_axis
from seqc.graph.ir import Value, apply, apply_many
from seqc.graph.scopes import scope
from seqc.ops.elementwise import Cast
from seqc.ops.gather import GatherElements
from seqc.ops.nonlinear import Sigmoid
from seqc.ops.reduce import ArgMax, Softmax
from seqc.ops.sorting import TopK

_Named = tuple[str, Value]
# What logits become, LogSoftmax among it.
_PROBABILITIES = Softmax | Sigmoid


def headed(name: str, y: Value, text: str) -> list[_Named]:
    """Returns what a head makes of an output: results and their names.

    Args:
        name: of the output. y: the output. text: "softmax" or "sigmoid", of logits; "logits", what goes into the last
        softmax or sigmoid; "argmax", the number (int64) of the largest of the last axis; "top_k:K", the K largest in
        descending order and their numbers (int64), as outputs `name_scores` and `name_classes`; "threshold:T", whether
        each is above T.

    Raises:
        ArgumentTypeError: the text is none. ConfigError: it is no head, or does not fit the output.
    """
    kind, number = read_head(text)
    with scope(name, whole=True):
        return _HEADS[kind][0](name, y, number)


def _head_argmax(name: str, y: Value, _: Any) -> list[_Named]:
    _check_classes(name, y, 2)
    return [(name, apply(ArgMax(y.type.rank - 1), _ranked(y)))]


def _head_top_k(name: str, y: Value, k: int) -> list[_Named]:
    _check_classes(name, y, k)
    last, ranked = y.type.rank - 1, _ranked(y)
    scores, places = apply_many(TopK(last, k), ranked)
    if ranked is not y:
        scores = apply(GatherElements(last), y, places)
    return [(f"{name}_scores", scores), (f"{name}_classes", places)]


def _ranked(y: Value) -> Value:
    """Returns what has the order of an output along the last axis: the scores before a softmax or sigmoid.

    Those do not change the order, and where they come near 0 or 1, rounding makes equal what differs.
    """
    end = _uncast(y)
    keeps_order = isinstance(end.op, Sigmoid) or (isinstance(end.op, Softmax) and end.op.axis == y.type.rank - 1)
    return end.inputs[0] if keeps_order else y


def _head_threshold(name: str, y: Value, limit: float) -> list[_Named]:
    return [(name, ops.greater(_floats(name, y), limit))]


def _head_logits(name: str, y: Value, _: Any) -> list[_Named]:
    end = _uncast(y)
    if not isinstance(end.op, _PROBABILITIES):
        raise ConfigError(
            f"Output '{name}' does not end in a softmax or sigmoid, before which logits would be, but in "
            f"{type(end.op).__name__}."
        )
    return [(name, ops.cast(end.inputs[0], y.dtype))]


def _head_softmax(name: str, y: Value, _: Any) -> list[_Named]:
    _check_classes(name, y, 2)
    return [(name, ops.softmax(_logits(name, y)))]


def _head_sigmoid(name: str, y: Value, _: Any) -> list[_Named]:
    return [(name, ops.sigmoid(_logits(name, y)))]


_HEADS: dict[str, tuple[Callable[[str, Value, Any], list[_Named]], Callable[[str], Any] | None]] = {
    "softmax": (_head_softmax, None),
    "sigmoid": (_head_sigmoid, None),
    "logits": (_head_logits, None),
    "argmax": (_head_argmax, None),
    "top_k": (_head_top_k, int),
    "threshold": (_head_threshold, float),
}


def read_head(text: Any) -> tuple[str, Any]:
    """Returns the kind of a head and its number, None where it has none.

    Raises:
        ArgumentTypeError: it is no text. ConfigError: it is no head.
    """
    if not isinstance(text, str):
        raise ArgumentTypeError(f"A head is a text such as 'argmax' or 'top_k:5'; got {text!r}.")
    kind, _, number = text.replace("top-k", "top_k").partition(":")
    read = _HEADS.get(kind, (None, None))[1]
    try:
        if kind not in _HEADS or bool(number) != (read is not None):
            raise ValueError
        found: Any = read(number) if read is not None else None
        if (kind == "top_k" and found < 1) or (kind == "threshold" and not np.isfinite(found)):
            raise ValueError
    except ValueError:
        raise ConfigError(
            f"A head is softmax, sigmoid, logits, argmax, top_k:K (K at least 1) or threshold:T; got {text!r}."
        ) from None
    return kind, found


def _uncast(y: Value) -> Value:
    """Returns an output as it was before its float type was changed, as layers that compute in half precision do."""
    while isinstance(y.op, Cast) and y.type.is_float and y.inputs[0].type.is_float:
        y = y.inputs[0]
    return y


def _logits(name: str, y: Value) -> Value:
    end = _uncast(_floats(name, y))
    while end.op.kind == "view":
        end = _uncast(end.inputs[0])
    if isinstance(end.op, _PROBABILITIES):
        raise ConfigError(
            f"Output '{name}' ends in {type(end.op).__name__} already; another head would be wrong after it."
        )
    return y


def _floats(name: str, y: Value) -> Value:
    if not y.type.is_float:
        raise ConfigError(f"Output '{name}' is {y.type}; this head needs floats.")
    return y


def _check_classes(name: str, y: Value, least: int) -> None:
    _floats(name, y)
    if y.type.rank < 2 or batch_axis(y.type) == y.type.rank - 1:
        raise ConfigError(
            f"Output '{name}' is {y.type}, without an axis of classes behind the batch; the head would work across the "
            "samples. For one score each, take threshold:0.5."
        )
    classes = y.type.shape[-1]
    if isinstance(classes, int) and classes < least:
        hint = " For one score, take threshold:0.5." if classes == 1 else ""
        raise ConfigError(f"Output '{name}' has {classes} on its last axis; the head needs {least} at least.{hint}")
