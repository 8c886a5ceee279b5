"""Calls of `keras.ops` functions whose results Keras gave once: names, argument order, defaults, dtypes and numbers.

`python -m kit.keras_ops_cases [FAMILY ...]` where Keras 3 is installed records the families in `cases/` again, all
without names, and `cases/keras_signatures.json`: the signatures of all functions, by the module that has them.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from kit.keras_ops_arguments import ARGUMENTS
from kit.keras_ops_control import CONTROL
from kit.keras_ops_elementwise import ELEMENTWISE
from kit.keras_ops_matrices import MATRICES
from kit.keras_ops_nn import NETWORKS
from kit.keras_ops_reductions import REDUCTIONS
from kit.keras_ops_sequences import SEQUENCES
from kit.keras_ops_shapes import SHAPES
from kit.keras_ops_signals import SIGNALS
from kit.table_calls import call

FOLDER = Path(__file__).resolve().parents[1] / "cases"
SIGNATURES = FOLDER / "keras_signatures.json"

F = np.array([[1.5, -2.5], [0.5, 2.0]], np.float32)
I = np.array([[3, -7], [5, 2]], np.int32)  # noqa: E741
B = np.array([[True, False], [True, True]])
I8, U8 = I.astype(np.int8), np.abs(I).astype(np.uint8)
V = np.array([1.0, -2.0, 0.5], np.float32)
T = np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 8
IMAGE = np.sin(np.arange(60, dtype=np.float32)).reshape(1, 5, 6, 2)
KERNEL = np.cos(np.arange(36, dtype=np.float32)).reshape(3, 2, 2, 3)
INF = np.array([1, np.inf, -np.inf, np.nan], np.float32)
SMALL = np.array([1e-9, -1e-9, 1e-4, 0.0, 3.0], np.float32)


def _unique(at: int) -> Callable[[Any], Any]:
    """One of the four arrays that `unique` can give."""
    every = {"return_index": True, "return_inverse": True, "return_counts": True}
    return lambda k: k.unique(np.array([3, 1, 1, 2], np.int32), **every, size=5)[at]


_CASES: dict[str, Callable[[Any], Any]] = {
    # Promotion
    "add bools": lambda k: k.add(B, B),
    "add a bool and an int": lambda k: k.add(B, 1),
    "add a bool and a float": lambda k: k.add(B, 1.5),
    "add ints and floats": lambda k: k.add(I, F),
    "add int8 and uint8": lambda k: k.add(I8, U8),
    "multiply bools": lambda k: k.multiply(B, B),
    "maximum of bools and a number": lambda k: k.maximum(B, 0),
    "square bools": lambda k: k.square(B),
    "a float64 array meets a tensor": lambda k: k.add(k.convert_to_tensor(F), np.array([1.0, 2.0])),
    "an int64 array meets a tensor": lambda k: k.add(k.convert_to_tensor(I), np.array([1, 2])),
    "divide ints": lambda k: k.divide(I, I + 10),
    "divide bools": lambda k: k.divide(B, True),
    "true_divide narrow ints": lambda k: k.true_divide(I8, I8),
    "divide_no_nan": lambda k: k.divide_no_nan(F, np.array([[0.0, 2.0]], np.float32)),
    "reciprocal of ints": lambda k: k.reciprocal(I),
    "power of ints to an int": lambda k: k.power(I, 2),
    "power of ints to a float": lambda k: k.power(np.abs(I), 0.5),
    "power to a float": lambda k: k.power(F, 2.0),
    "power of arrays": lambda k: k.power(np.abs(F), F),
    "mod of ints": lambda k: k.mod(I, 3),
    "mod of floats": lambda k: k.mod(F, -1.2),
    "floor_divide ints": lambda k: k.floor_divide(I, -2),
    "floor_divide floats": lambda k: k.floor_divide(F, 0.7),
    "floor_divide ints by a float": lambda k: k.floor_divide(I, 2.0),
    "where of ints and a float": lambda k: k.where(B, I, 0.5),
    "where of bools and ints": lambda k: k.where(I > 0, B, I),
    "where of a number condition": lambda k: k.where(I, F, 0.0),
    "clip ints by floats": lambda k: k.clip(I, 0.5, 2.5),
    "clip ints": lambda k: k.clip(I, 0, 3),
    "clip by tensors": lambda k: k.clip(F, np.array([0, 1], np.float32), np.array([1, 3], np.float32)),
    "clip bools": lambda k: k.clip(B, 0, 1),
    "cast floats to ints": lambda k: k.cast(F, "int32"),
    "cast floats to bools": lambda k: k.cast(F, "bool"),
    # Element by element
    "round halves": lambda k: k.round(F),
    "round ints": lambda k: k.round(I),
    "round to decimals": lambda k: k.round(np.array([1.255, 2.345, -15.5], np.float32), 1),
    "round to tens": lambda k: k.round(np.array([125.0, 135.0, -15.5], np.float32), -1),
    "floor of ints": lambda k: k.floor(I),
    "ceil": lambda k: k.ceil(F),
    "sign of ints": lambda k: k.sign(I),
    "exp of ints": lambda k: k.exp(I),
    "sqrt of ints": lambda k: k.sqrt(np.abs(I)),
    "rsqrt": lambda k: k.rsqrt(np.abs(F)),
    "log1p of small numbers": lambda k: k.log1p(SMALL),
    "expm1 of small numbers": lambda k: k.expm1(SMALL),
    "log2 of ints": lambda k: k.log2(np.abs(I)),
    "log10": lambda k: k.log10(np.abs(F)),
    "logaddexp": lambda k: k.logaddexp(F, 2.0),
    "tan": lambda k: k.tan(F),
    "arctan": lambda k: k.arctan(F),
    "sinh": lambda k: k.sinh(F),
    "cosh": lambda k: k.cosh(F),
    "erf": lambda k: k.erf(F),
    "relu of ints": lambda k: k.relu(I),
    "elu": lambda k: k.elu(F, 0.5),
    "leaky_relu": lambda k: k.leaky_relu(F),
    "softplus": lambda k: k.softplus(F * 30),
    "softsign": lambda k: k.softsign(F),
    "sigmoid": lambda k: k.sigmoid(F * 50),
    "relu6": lambda k: k.relu6(F * 4),
    "selu": lambda k: k.selu(F),
    "celu": lambda k: k.celu(F, 0.5),
    "gelu": lambda k: k.gelu(F),
    "gelu without approximation": lambda k: k.gelu(F, approximate=False),
    "hard_sigmoid": lambda k: k.hard_sigmoid(F * 2),
    "hard_swish": lambda k: k.hard_swish(F * 2),
    "hard_tanh": lambda k: k.hard_tanh(F),
    "hard_shrink": lambda k: k.hard_shrink(F),
    "soft_shrink": lambda k: k.soft_shrink(F),
    "tanh_shrink": lambda k: k.tanh_shrink(F),
    "log_sigmoid": lambda k: k.log_sigmoid(F * 40),
    "swish": lambda k: k.swish(F),
    "squareplus": lambda k: k.squareplus(F),
    "sparse_plus": lambda k: k.sparse_plus(F),
    "sparse_sigmoid": lambda k: k.sparse_sigmoid(F),
    "sparsemax": lambda k: k.sparsemax(F),
    "threshold": lambda k: k.threshold(F, 1.0, -3.0),
    "glu": lambda k: k.glu(T),
    "isnan of ints": lambda k: k.isnan(I),
    "isinf": lambda k: k.isinf(INF),
    "isfinite": lambda k: k.isfinite(INF),
    "logical_not of floats": lambda k: k.logical_not(F),
    "logical_and of floats": lambda k: k.logical_and(F, B),
    "logical_xor": lambda k: k.logical_xor(F, B),
    "equal of ints and a float": lambda k: k.equal(I, 3.0),
    "less of bools": lambda k: k.less(B, True),
    "not_equal": lambda k: k.not_equal(I, I.T),
    # Reductions
    "sum of bools": lambda k: k.sum(B),
    "sum of int8": lambda k: k.sum(I8),
    "sum of uint8": lambda k: k.sum(U8),
    "sum along axes": lambda k: k.sum(T, axis=(0, -1), keepdims=True),
    "prod of bools": lambda k: k.prod(B),
    "prod of int8": lambda k: k.prod(I8),
    "max of bools": lambda k: k.max(B),
    "max with initial": lambda k: k.max(F, initial=9),
    "min with initial": lambda k: k.min(F, axis=0, initial=-1),
    "amax": lambda k: k.amax(F, axis=0),
    "amin": lambda k: k.amin(F, axis=1, keepdims=True),
    "mean of bools": lambda k: k.mean(B),
    "mean of ints": lambda k: k.mean(I),
    "var of ints": lambda k: k.var(I),
    "std": lambda k: k.std(T, axis=1),
    "average with weights": lambda k: k.average(F, axis=0, weights=np.array([[1, 1], [3, 3]], np.float32)),
    "moments": lambda k: k.stack(k.moments(F, axes=[0])),
    "any": lambda k: k.any(F, axis=0),
    "all": lambda k: k.all(F - 2, axis=0, keepdims=True),
    "count_nonzero": lambda k: k.count_nonzero(F - 2, axis=0),
    "argmax": lambda k: k.argmax(F),
    "argmax along an axis": lambda k: k.argmax(F, axis=1),
    "argmax kept": lambda k: k.argmax(F, axis=1, keepdims=True),
    "argmax of all kept": lambda k: k.argmax(F, keepdims=True),
    "argmin": lambda k: k.argmin(F),
    "cumsum": lambda k: k.cumsum(F),
    "cumsum of bools": lambda k: k.cumsum(B, axis=1),
    "cumsum of int8": lambda k: k.cumsum(I8, 0),
    "logsumexp": lambda k: k.logsumexp(F, axis=0),
    **{
        f"{name} of an empty axis": call(name, T[:, :0], axis=1)
        for name in ("sum", "mean", "prod", "any", "all", "var", "std", "logsumexp", "cumsum", "softmax", "log_softmax",
                     "count_nonzero", "norm")
    },
    "max of an empty axis with a start": lambda k: k.max(T[:, :0], axis=1, initial=2.0),
    "min of all of nothing with a start": lambda k: k.min(T[:, :0], initial=-1.5),
    "max without an empty axis": lambda k: k.max(T[:, :0], axis=2),
    "arctanh": lambda k: k.arctanh(np.array([-1.0, -0.5, 0.0, 1e-4, 0.9], np.float32)),
    "arctanh of ints": lambda k: k.arctanh(np.array([0, 0], np.int32)),
    "prod in another type": lambda k: k.prod(I, axis=0, dtype="float32"),
    "pad by mirroring": lambda k: k.pad(T, ((0, 1), (2, 1), (1, 3)), mode="reflect"),
    "pad by mirroring behind the edge": lambda k: k.pad(T, ((2, 1), (0, 3), (1, 4)), mode="symmetric"),
    "pad all axes alike": lambda k: k.pad(T, 1, mode="reflect"),
    "logsumexp of nothing possible": lambda k: k.logsumexp(np.full((2,), -np.inf, np.float32)),
    "softmax": lambda k: k.softmax(F),
    "softmax of all": lambda k: k.softmax(F, axis=None),
    "softmax along axes": lambda k: k.softmax(T, axis=(0, 1)),
    "log_softmax along axes": lambda k: k.log_softmax(T, axis=(0, 1)),
    "norm": lambda k: k.norm(F),
    "norm along an axis": lambda k: k.norm(F, axis=1),
    "norm of order infinity": lambda k: k.norm(F, ord=np.inf, axis=1),
    "norm of order one": lambda k: k.norm(F, ord=1, axis=1, keepdims=True),
    "norm of order three": lambda k: k.norm(V, ord=3),
    "normalize": lambda k: k.normalize(np.array([[1e-9, 0], [3, 4], [0, 0]], np.float32)),
    "normalize to order one": lambda k: k.normalize(F, order=1),
    "normalize to order three": lambda k: k.normalize(F, axis=0, order=3),
    # Making tensors
    "arange": lambda k: k.arange(5),
    "arange with a step": lambda k: k.arange(1, 7, 2),
    "arange of floats": lambda k: k.arange(0.0, 1.0, 0.25),
    "arange of a dtype": lambda k: k.arange(3, dtype="float32"),
    "zeros": lambda k: k.zeros((2,)),
    "ones of ints": lambda k: k.ones((2, 1), "int32"),
    "full": lambda k: k.full((2,), 3),
    "full of ints": lambda k: k.full((2,), 3, dtype="int32"),
    "full_like": lambda k: k.full_like(I, 2.5),
    "full_like of a dtype": lambda k: k.full_like(I, 2.5, dtype="float32"),
    "zeros_like": lambda k: k.zeros_like(B),
    "ones_like": lambda k: k.ones_like(I, dtype="float32"),
    "eye": lambda k: k.eye(2, 3, k=1),
    "identity": lambda k: k.identity(2),
    "tri": lambda k: k.tri(2, 3),
    "linspace": lambda k: k.linspace(0, 1, 5),
    "linspace without its end": lambda k: k.linspace(0, 1, 4, endpoint=False),
    "one_hot": lambda k: k.one_hot(np.array([0, 2, -1, 5]), 3),
    "one_hot along the first axis": lambda k: k.one_hot(np.array([[0, 2], [1, 1]]), 3, axis=0, dtype="int32"),
    # Moving elements
    "reshape": lambda k: k.reshape(T, (4, -1)),
    "reshape to one axis": lambda k: k.reshape(F, -1),
    "ravel": lambda k: k.ravel(F),
    "transpose": lambda k: k.transpose(T),
    "transpose to an order": lambda k: k.transpose(T, (1, 0, 2)),
    "swapaxes": lambda k: k.swapaxes(T, 0, -1),
    "moveaxis": lambda k: k.moveaxis(T, 0, -1),
    "moveaxis of two": lambda k: k.moveaxis(T, (0, 1), (-1, 0)),
    "expand_dims": lambda k: k.expand_dims(F, (0, -1)),
    "squeeze": lambda k: k.squeeze(F[None, :, None]),
    "flip": lambda k: k.flip(F),
    "flip along an axis": lambda k: k.flip(T, axis=1),
    "repeat": lambda k: k.repeat(F, 2),
    "repeat along an axis": lambda k: k.repeat(T, 2, axis=1),
    "tile": lambda k: k.tile(F, 2),
    "tile to more axes": lambda k: k.tile(F, (2, 1, 3)),
    "broadcast_to": lambda k: k.broadcast_to(V, (2, 3)),
    "roll": lambda k: k.roll(F, 1),
    "roll along an axis": lambda k: k.roll(T, -2, axis=1),
    "diff": lambda k: k.diff(T, n=2),
    "tril": lambda k: k.tril(T, 1),
    "triu": lambda k: k.triu(F),
    "pad by a number": lambda k: k.pad(F, 1),
    "pad by a pair": lambda k: k.pad(F, (1, 2)),
    "pad with a number": lambda k: k.pad(F, ((1, 0), (0, 1)), constant_values=2),
    "concatenate": lambda k: k.concatenate([F, I]),
    "stack": lambda k: k.stack([F, I]),
    "vstack": lambda k: k.vstack([V, V]),
    "hstack": lambda k: k.hstack([F, F]),
    "split": lambda k: k.split(T, 2, axis=-1)[1],
    "split at positions": lambda k: k.split(V, [1, 2])[1],
    "unstack": lambda k: k.unstack(T, axis=1)[2],
    "slice": lambda k: k.slice(F, (0, 1), (2, 1)),
    "get_item": lambda k: k.get_item(T, (0, slice(None, None, -2), None)),
    "square brackets": lambda k: k.convert_to_tensor(T)[..., -1, 1:],
    "take among all": lambda k: k.take(F, np.array([0, 3])),
    "take along an axis": lambda k: k.take(T, np.array([[0, 1], [2, -1]]), axis=1),
    # Sorting and searching
    "sort": lambda k: k.sort(T[:, ::-1], axis=1),
    "sort of all": lambda k: k.sort(I, axis=None),
    "sort of bools": lambda k: k.sort(B),
    "sort of int8": lambda k: k.sort(I8, axis=0),
    "argsort": lambda k: k.argsort(np.array([2, 1, 1, -3], np.float32)),
    "argsort along an axis": lambda k: k.argsort(I, axis=0),
    "argsort of a number": lambda k: k.argsort(np.float32(3)),
    "the median by argpartition": lambda k: k.take(V, k.argpartition(V, 1)[1]),
    "top_k": lambda k: k.top_k(np.array([[1, 3, 3, 2], [9, -9, 0, 9]], np.int32), 3)[0],
    "top_k positions": lambda k: k.top_k(np.array([[1, 3, 3, 2], [9, -9, 0, 9]], np.int32), 3)[1],
    "in_top_k": lambda k: k.in_top_k(
        np.array([1, 0, 2], np.int32), np.array([[0.1, 0.9, 0.9], [0.2, 0.1, 0.3], [np.nan, 1, 1]], np.float32), 2
    ),
    "searchsorted": lambda k: k.searchsorted(np.array([1, 2, 2, 3], np.int32), np.array([[2, 0], [5, 3]], np.int32)),
    "searchsorted right": lambda k: k.searchsorted(np.array([1, 2, 2, 3], np.float32), 2, side="right"),
    "take_along_axis": lambda k: k.take_along_axis(T, k.argsort(T, axis=1), axis=1),
    "take_along_axis that broadcasts": lambda k: k.take_along_axis(T, np.array([[[2, -1]]], np.int32), 2),
    "take_along_axis of columns": lambda k: k.take_along_axis(F, np.array([[1], [0]], np.int32), 1),
    "take_along_axis of all": lambda k: k.take_along_axis(F, np.array([3, 1], np.int32)),
    "unique": lambda k: k.unique(np.array([[3, 1], [1, 2]], np.int32)),
    **{
        f"unique with its {what}": _unique(at)
        for at, what in enumerate(("elements", "positions", "numbers", "counts"))
    },
    "unique rows": lambda k: k.unique(np.array([[3, 1], [1, 2], [3, 1]], np.int32), axis=0, size=3, fill_value=9),
    "unique, the first": lambda k: k.unique(np.array([3, 1, 1, 2], np.float32), size=2),
    "nonzero": lambda k: k.stack(k.nonzero(np.array([[0, 1], [2, 0]], np.int32))),
    "unravel_index": lambda k: k.stack(k.unravel_index(np.array([5, -1, 7, 100], np.int32), (2, 4))),
    # Writing to places
    "scatter": lambda k: k.scatter(np.array([[0], [1], [0]], np.int32), V, (4,)),
    "scatter of rows": lambda k: k.scatter(np.array([[2], [-1], [0]], np.int32), T[0], (4, 4)),
    "scatter_update": lambda k: k.scatter_update(
        T[0], np.array([[0, 1], [2, -1]], np.int32), np.array([9, 8], np.float32)
    ),
    **{
        f"scatter_update by {how}": call(
            "scatter_update", F, np.array([[0], [1], [0]], np.int32),
            np.array([[1, 2], [3, -4], [0.5, 6]], np.float32), reduction=how,
        )
        for how in ("add", "max", "min", "mul")
    },
    "slice_update": lambda k: k.slice_update(T, np.array([1, 0, 1], np.int32), np.ones((1, 2, 2), "float32")),
    "slice_update moved inside": lambda k: k.slice_update(
        T[0], np.array([9, -2], np.int32), np.ones((2, 2), "float32")
    ),
    "segment_sum": lambda k: k.segment_sum(T[0], np.array([2, 0, 2], np.int32), 4),
    "segment_sum of numbers that count nowhere": lambda k: k.segment_sum(V, np.array([-1, 7, 1], np.int32), 2),
    "segment_max": lambda k: k.segment_max(T[0], np.array([1, 1, 3], np.int32), 4),
    "segment_min of ints": lambda k: k.segment_min(I, np.array([0, 0], np.int32), 2),
    "segment_prod": lambda k: k.segment_prod(V, np.array([1, 1, 2], np.int32), 3),
    # Products
    "matmul of ints and floats": lambda k: k.matmul(I, F),
    "matmul of vectors": lambda k: k.matmul(V, V),
    "dot": lambda k: k.dot(F, F),
    "dot of many axes": lambda k: k.dot(T, np.swapaxes(T, 1, 2)),
    "tensordot": lambda k: k.tensordot(T, np.swapaxes(T, 0, 2), axes=1),
    "tensordot of named axes": lambda k: k.tensordot(T, T, axes=([0, 2], [0, 2])),
    "outer": lambda k: k.outer(F, V),
    "einsum of matrices": lambda k: k.einsum("ij,kj->ik", F, F),
    "einsum with a batch": lambda k: k.einsum("bij,bkj->bki", T, T),
    "einsum with a sum": lambda k: k.einsum("bij,jk->ik", T, T[0].T),
    "einsum of one": lambda k: k.einsum("bij->ib", T),
    "einsum without an arrow": lambda k: k.einsum("ij,jk", F, F),
    # Windows
    "conv": lambda k: k.conv(IMAGE, KERNEL),
    "conv with strides": lambda k: k.conv(IMAGE, KERNEL, 2, "same"),
    "conv with dilation": lambda k: k.conv(IMAGE, KERNEL, padding="same", dilation_rate=(1, 2)),
    "conv with channels first": lambda k: k.conv(np.moveaxis(IMAGE, -1, 1), KERNEL, data_format="channels_first"),
    "depthwise_conv": lambda k: k.depthwise_conv(IMAGE, KERNEL, 1, "same"),
    "conv_transpose": lambda k: k.conv_transpose(IMAGE, np.moveaxis(KERNEL, -1, -2), 2),
    "conv_transpose of the same size": lambda k: k.conv_transpose(IMAGE, np.moveaxis(KERNEL, -1, -2), (2, 1), "same"),
    "conv_transpose made longer": lambda k: k.conv_transpose(
        IMAGE, np.moveaxis(KERNEL, -1, -2), 3, output_padding=(1, 2)
    ),
    "separable_conv": lambda k: k.separable_conv(IMAGE, KERNEL, np.ones((1, 1, KERNEL[0, 0].size, 3), "float32"), 2),
    "max_pool": lambda k: k.max_pool(IMAGE, 2, 2, "same"),
    "max_pool with strides": lambda k: k.max_pool(IMAGE, (3, 2), strides=(1, 2)),
    "average_pool": lambda k: k.average_pool(IMAGE, 2, 2, "same"),
    "adaptive_average_pool": lambda k: k.adaptive_average_pool(IMAGE, (2, 3)),
    "adaptive_max_pool": lambda k: k.adaptive_max_pool(IMAGE, (2, 3)),
}  # fmt: skip


# By the name of the file in `cases` that holds what they gave.
FAMILIES: dict[str, dict[str, Callable[[Any], Any]]] = {
    "keras_ops": _CASES,
    "keras_ops_control": CONTROL,
    "keras_ops_arguments": ARGUMENTS,
    "keras_ops_elementwise": ELEMENTWISE,
    "keras_ops_matrices": MATRICES,
    "keras_ops_nn": NETWORKS,
    "keras_ops_sequences": SEQUENCES,
    "keras_ops_reductions": REDUCTIONS,
    "keras_ops_shapes": SHAPES,
    "keras_ops_signals": SIGNALS,
}
CASES = {name: call for family in FAMILIES.values() for name, call in family.items()}


def plain(result: Any) -> dict[str, Any]:
    array = np.asarray(result)
    numbers = array.astype("float64" if array.dtype.kind == "f" else array.dtype)
    return {"dtype": array.dtype.name, "shape": list(array.shape), "values": numbers.ravel().tolist()}


def signatures(module: Any) -> dict[str, list[str]]:
    """Returns the parameters of each function of a module, and of the modules in it by their names."""
    found: dict[str, Any] = {}
    for name in sorted(dir(module)):
        thing = getattr(module, name)
        if inspect.ismodule(thing):
            found |= {f"{name}.{inner}": row for inner, row in signatures(thing).items()}
        elif not name.startswith("_"):
            found[name] = list(map(shown, inspect.signature(thing).parameters.values()))
    return found


def shown(parameter: inspect.Parameter) -> str:
    """Returns a parameter as it is written, without what it must be."""
    return str(parameter.replace(annotation=parameter.empty))


def write(path: Path, rows: dict[str, Any], **first: str) -> None:
    lines = [f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in {**first, **rows}.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    import keras

    for family in sys.argv[1:] or FAMILIES:
        results = {name: plain(call(keras.ops)) for name, call in FAMILIES[family].items()}
        write(FOLDER / f"{family}.json", results, keras=keras.__version__)
    write(SIGNATURES, signatures(keras.ops))
