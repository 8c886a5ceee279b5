"""Data of a model whose own step says what is done with them: in the form in which they come, whatever `call` takes."""

from __future__ import annotations

from contextvars import copy_context
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from seqc import tree
from seqc.dtype_policies import rate_dtype
from seqc.errors import DataError
from seqc.graph.ir import Array
from seqc.graph.strings import type_name
from seqc.graph.tracing import tracing
from seqc.ops.loops import StepsUnknown
from seqc.training.arrange import is_array
from seqc.training.data import Data, as_array, make_data
from seqc.training.own_steps import Enough, Rehearsal
from seqc.training.step import Signature
from seqc.training.tables import is_table
from seqc.training.trainable import Trainable


def data_as_given(x: Any, y: Any, weight: Any) -> Data | None:
    """Returns checked data that keep their forms; None where they are no lists or dictionaries of arrays.

    Raises:
        DataError: the numbers of samples differ, or something is not an array of numbers.
    """
    parts = [[] if part is None else tree.flatten(part) for part in (x, y, weight)]
    leaves = [leaf for part in parts for leaf in part]
    if not parts[0] or not all(is_array(leaf) and not is_table(leaf) for leaf in leaves):
        return None
    xs = [as_array(leaf, "x") for leaf in parts[0]]
    # Steps take as many labels as weights.
    pairs = list(zip_longest(parts[1], parts[2]))
    outputs = [""] if len(pairs) < 2 else [str(i) for i in range(len(pairs))]
    inputs = [""] if len(xs) < 2 else [str(i) for i in range(len(xs))]
    data = make_data(xs, [p[0] for p in pairs], [p[1] for p in pairs], list(map(_dtype_of, xs)), inputs, outputs)
    return replace(data, forms=(_form(x), _form(y), _form(weight)))


def _form(part: Any) -> Any:
    return tree.map_structure(lambda _: None, part)


def _dtype_of(array: Array) -> str:
    """Returns what a step takes samples as: floats as rates are, and small whole numbers as larger ones."""
    kind = type_name(array)
    if array.dtype.kind == "f":
        return rate_dtype()
    return kind if array.dtype.kind not in "iu" or kind == "int64" else "int32"


def rehearse(model: Trainable, data: Data, kind: str) -> Exception | None:
    """Calls a step of the model's own up to its first gradient, which makes the weights of what it calls, as in Keras.

    Args:
        data: as given. kind: "train_step" or "test_step".

    Returns:
        Why the step cannot be called on such data; None where it can.
    """
    batch = data.rows(slice(0, 1))
    built = model.built

    def attempt(sized: bool) -> None:
        signature = Signature.of(batch, len(data.x), sized, data.forms)
        with tracing(Rehearsal(learning=kind == "train_step")):
            getattr(model, kind)(signature.values(model).data)

    try:
        try:
            copy_context().run(attempt, False)
        except StepsUnknown:
            copy_context().run(attempt, True)
    except Enough:
        return None
    except Exception as error:  # which is raised again when the step is traced
        return None if model.built and not built else error
    return None


def fits(model: Trainable, x: Any) -> bool:
    """Tells whether samples are what a built model was called on, in their form and sizes."""
    ports = model._ports()
    try:
        tree.assert_same_structure(model._input_tree, _form(x))
    except (ValueError, TypeError, DataError):
        return False
    shapes = [port.shape for port in ports]
    return all(
        shape is None or (len(shape) == leaf.ndim and all(map(_same, shape[1:], leaf.shape[1:])))
        for shape, leaf in zip(shapes, tree.flatten(x), strict=True)
    )


def _same(wanted: int | None, size: int) -> bool:
    return wanted in (None, size)
