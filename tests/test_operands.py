"""What is no number is no operand: None, text, objects and ragged lists are refused, and the layer is named."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from seqc import Sequential, layers, ops
from seqc.errors import DTypeError
from seqc.graph import ir
from seqc.graph.ir import scope

BAD: Mapping[str, Any] = {
    "None": None,
    "text": "1.5",
    "bytes": b"1.5",
    "an object": object(),
    "a dictionary": {"a": 1.0},
    "a list with None": [1.0, None, 2.0],
    "a list of text": ["1.5", "2"],
    "a ragged list": [[1.0, 2.0], [3.0]],
    "an array of objects": np.array([1.0, None, 2.0], dtype=object),
    "an array of text": np.array(["1.5", "2"]),
    "a complex number": 1j,
    "a date": np.datetime64("2020-01-01"),
}

X, IDS, IMAGE = np.ones((2, 3), "float32"), np.ones((2, 3), "int32"), np.ones((1, 4, 4, 2), "float32")
KERNEL, STEPS = np.ones((2, 2, 2, 2), "float32"), np.ones((2, 3, 4), "float32")
VECTOR = np.ones(3, "float32")
HEADS, SPECTRUM = np.ones((1, 3, 2, 4), "float32"), np.ones((2, 3, 5), "float32")
POINTWISE = np.ones((1, 1, 4, 2), "float32")

# They take sizes and attributes, or tell what is a tensor, or call functions: nothing in them is an operand.
WITHOUT_OPERANDS = {
    *("associative_scan", "cond", "custom_gradient", "fori_loop", "jvp", "map", "scan", "switch", "vectorize"),
    *("vectorized_map", "while_loop"),
    *("bartlett", "blackman", "hamming", "hanning", "kaiser"),
    *("arange", "empty", "eye", "identity", "is_tensor", "ones", "tri", "zeros"),
}


def _taking(*names: str) -> list[str]:
    """The functions that need these arguments and no others."""
    found = {name: inspect.signature(getattr(ops, name)).parameters.values() for name in ops.__all__}
    needed = {name: tuple(p.name for p in given if p.default is p.empty) for name, given in found.items()}
    return [name for name, given in needed.items() if given == names and name not in WITHOUT_OPERANDS]


# Functions with the operands they are tried on and what follows those: said of those that need more than tensors.
Row = tuple[tuple[Any, ...], tuple[Any, ...]]
ROWS: dict[str, Row] = {
    **dict.fromkeys([*_taking("x"), *_taking("a"), *_taking("variable")], ((X,), ())),
    **dict.fromkeys(_taking("x1", "x2"), ((X, X), ())),
    **dict.fromkeys(_taking("x", "y"), ((IDS, IDS), ())),
    **dict.fromkeys(("bitwise_invert", "bitwise_not"), ((IDS,), ())),
    **dict.fromkeys(("geomspace", "linspace", "logspace"), ((X, X), ())),
    **dict.fromkeys(("dsplit", "hsplit"), ((STEPS,), (1,))),
    **dict.fromkeys(
        ("cholesky", "cholesky_inverse", "det", "eigh", "inv", "logdet", "slogdet"), ((np.eye(3, dtype="float32"),), ())
    ),
    **dict.fromkeys(("lstsq", "solve", "solve_triangular"), ((np.eye(3, dtype="float32"), X.T), ())),
    **dict.fromkeys(("segment_max", "segment_min", "segment_prod", "segment_sum"), ((X, np.zeros(2, "int32")), (1,))),
    "argpartition": ((X,), (1,)),
    "in_top_k": ((np.zeros(2, "int32"), X), (1,)),
    "scatter": ((IDS[:, :1], X), ((4, 3),)),
    "scatter_update": ((X, IDS[:, :2], VECTOR[:2]), ()),
    "searchsorted": ((VECTOR, X), ()),
    "slice_update": ((X, X[:1]), ()),
    "take_along_axis": ((X, IDS), (0,)),
    "top_k": ((X,), (1,)),
    "unravel_index": ((IDS,), ((2, 3),)),
    **dict.fromkeys(("fft", "fft2", "ifft2", "irfft"), ((X, X), ())),
    **dict.fromkeys(("binary_crossentropy", "categorical_crossentropy"), ((X / 3, X / 3), ())),
    "batch_normalization": ((X, VECTOR, VECTOR), (-1,)),
    "ctc_decode": ((STEPS, np.full(2, 3, "int32")), ()),
    "ctc_loss": ((IDS, STEPS, np.full(2, 1, "int32"), np.full(2, 3, "int32")), ()),
    "dot_product_attention": ((HEADS, HEADS, HEADS), ()),
    "extract_sequences": ((X,), (2, 1)),
    "istft": ((SPECTRUM, SPECTRUM), ()),
    "layer_normalization": ((X,), ()),
    "multi_hot": ((IDS,), (3,)),
    "sparse_categorical_crossentropy": ((np.zeros(2, "int32"), X / 3), ()),
    "stft": ((np.ones((2, 16), "float32"),), (8, 4, 8)),
    "depth_to_space": ((np.ones((1, 2, 2, 4), "float32"),), (2,)),
    "space_to_depth": ((IMAGE,), (2,)),
    "fold": ((np.ones((1, 4, 4), "float32"),), (4, 2, 1, 0, 2)),
    "unfold": ((np.ones((1, 2, 4, 4), "float32"),), (2,)),
    "psnr": ((X, X), (1.0,)),
    "array_split": ((X,), (1,)),
    "bincount": ((IDS,), ()),
    "digitize": ((X, VECTOR), ()),
    "histogram": ((VECTOR,), ()),
    **dict.fromkeys(("gcd", "lcm"), ((IDS, IDS), ())),
    "correlate": ((VECTOR, VECTOR), ()),
    "trapezoid": ((X,), ()),
    **dict.fromkeys(("nanpercentile", "nanquantile", "percentile", "quantile"), ((X, VECTOR / 2), ())),
    "dstack": ((X, X), ()),
    "ldexp": ((X, IDS), ()),
    "meshgrid": ((VECTOR, VECTOR), ()),
    "rot90": ((X,), ()),
    "saturate_cast": ((X,), ("int32",)),
    "select": ((X > 0, X, X), ()),
    "vander": ((VECTOR,), ()),
    "vsplit": ((X,), (1,)),
    "cast": ((X,), ("float32",)),
    "rearrange": ((X,), ()),
    **dict.fromkeys(("average", "concatenate", "einsum", "hstack", "stack", "vstack"), ((X, X), ())),
    "adaptive_average_pool": ((IMAGE,), (2,)),
    "adaptive_max_pool": ((IMAGE,), (2,)),
    "average_pool": ((IMAGE,), (2,)),
    "broadcast_like": ((X, X), ()),
    "broadcast_to": ((X,), ((2, 3),)),
    "clip": ((X, X, X), ()),
    "conv": ((IMAGE, KERNEL), ()),
    "conv_transpose": ((IMAGE, KERNEL), ()),
    "depthwise_conv": ((IMAGE, KERNEL), ()),
    "dot": ((X, X.T), ()),
    "expand_dims": ((X,), (0,)),
    "full": ((1.0,), ()),
    "full_like": ((X, 1.0), ()),
    "get_item": ((X,), (0,)),
    "glu": ((np.ones((2, 4), "float32"),), ()),
    "matmul": ((X, X.T), ()),
    "max_pool": ((IMAGE,), (2,)),
    "moments": ((X,), (0,)),
    "moveaxis": ((X,), (0, 1)),
    "one_hot": ((IDS,), (3,)),
    "pad": ((X,), (1,)),
    "repeat": ((X,), (2,)),
    "reshape": ((X,), ((3, 2),)),
    "roll": ((X,), (1,)),
    "separable_conv": ((IMAGE, KERNEL, POINTWISE), ()),
    "slice": ((X,), ((0, 0), (1, 1))),
    "split": ((X,), (3, 1)),
    "swapaxes": ((X,), (0, 1)),
    "take": ((X, IDS), (0,)),
    "tensordot": ((X, X), ()),
    "threshold": ((X,), (0.0, 0.0)),
    "tile": ((X,), ((1, 2),)),
    "where": ((X, X, X), ()),
    "gru": ((STEPS, np.ones((4, 6), "float32"), np.ones((2, 6), "float32"), np.ones((2, 6), "float32")), ()),
    "lstm": ((STEPS, np.ones((4, 8), "float32"), np.ones((2, 8), "float32"), np.ones(8, "float32")), ()),
    "simple_rnn": ((STEPS, np.ones((4, 2), "float32"), np.ones((2, 2), "float32"), np.ones(2, "float32")), ()),
}


def _of_pair(name: str) -> Callable[..., Any]:
    return lambda real, imaginary: getattr(ops, name)((real, imaginary))


# Functions whose operands do not come first one by one.
FORMS: dict[str, Callable[..., Any]] = {
    "slice_update": lambda x, updates: ops.slice_update(x, (0, 0), updates),
    **{name: _of_pair(name) for name in ("fft", "fft2", "ifft2", "irfft")},
    "istft": lambda real, imaginary: ops.istft((real, imaginary), 8, 4, 8),
    "dstack": lambda *xs: ops.dstack(list(xs)),
    "select": lambda condition, choice, default: ops.select([condition], [choice], default),
    "average": lambda x, weights: ops.average(x, None, weights),
    "concatenate": lambda *xs: ops.concatenate(list(xs)),
    "einsum": lambda a, b: ops.einsum("ij,ij->i", a, b),
    "rearrange": lambda a: ops.rearrange(a, "i j -> j i"),
    "full": lambda number: ops.full((2,), number),
    "hstack": lambda *xs: ops.hstack(list(xs)),
    "stack": lambda *xs: ops.stack(list(xs)),
    "vstack": lambda *xs: ops.vstack(list(xs)),
}
# None means "no limit" and "no weights" there.
OPTIONAL = {("clip", 1), ("clip", 2), ("average", 1)}


# These take texts, of which they make tensors of strings.
TAKING_TEXT = {"array", "convert_to_numpy", "convert_to_tensor"}
# These move it (tests/test_moving_strings.py).
TAKING_TEXT |= {
    "append", "broadcast_to", "concatenate", "copy", "dsplit", "expand_dims", "flip", "fliplr", "flipud", "get_item",
    "moveaxis", "ravel", "repeat", "reshape", "roll", "rot90", "shape", "size", "slice", "split", "squeeze", "stack",
    "swapaxes", "take", "tile", "transpose", "unstack", "vsplit",
}  # fmt: skip
TEXTS = {"text", "bytes", "a list of text", "an array of text"}


def test_every_function_of_ops_is_tried() -> None:
    assert not set(ops.__all__) - set(ROWS) - WITHOUT_OPERANDS


def call(name: str, at: int, bad: Any, eager: bool) -> Any:
    """Calls a function with something in the place of one operand, and the others as they should be."""
    operands, rest = ROWS[name]
    given = [
        x if eager or np.ndim(x) == 0 else ir.input_value(f"x{i}", x.dtype.name, x.shape)
        for i, x in enumerate(operands)
    ]
    return FORMS.get(name, getattr(ops, name))(*given[:at], bad, *given[at + 1 :], *rest)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", sorted(ROWS))
def test_what_is_no_number_is_refused_by_every_function(name: str) -> None:
    for at, good in enumerate(ROWS[name][0]):
        call(name, at, good, eager=True)
        for kind, bad in BAD.items():
            for eager in (True, False):
                if (kind == "None" and (name, at) in OPTIONAL) or (kind in TEXTS and name in TAKING_TEXT):
                    continue
                with (
                    pytest.raises(DTypeError, match="In layer 'q': An operand must be a number or an array"),
                    scope("q"),
                ):
                    call(name, at, bad, eager)


BINARY = (operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow,
          operator.matmul, operator.lt, operator.le, operator.gt, operator.ge, operator.and_, operator.or_,
          operator.xor)  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("eager", [True, False])
def test_what_is_no_number_is_refused_by_every_operator(kind: str, eager: bool) -> None:
    x = ops.convert_to_tensor(X) if eager else ir.input_value("x", "float32", (2, 3))
    for apply in BINARY:
        with pytest.raises(DTypeError, match="In layer 'q': An operand must be"), scope("q"):
            apply(x, BAD[kind])
        # Text and bytes format what stands on their right.
        if (apply, kind) not in {(operator.mod, "text"), (operator.mod, "bytes")}:
            with pytest.raises(DTypeError, match="In layer 'q': An operand must be"), scope("q"):
                apply(BAD[kind], x)


def custom(function: Callable[[Any], Any]) -> layers.Layer:
    result: layers.Layer = type("Plain", (layers.Layer,), {"call": lambda self, x: function(x)})(name="plain")
    return result


def test_a_size_that_is_not_known_is_refused_by_the_name_of_its_layer() -> None:
    model = Sequential([layers.Input((None, 3)), layers.Dense(3, name="first")])
    with pytest.raises(
        DTypeError, match=r"'plain'.*got None\. Where it is a size .* use seqc\.ops\.shape\(x\)\[axis\]"
    ):
        model.add(custom(lambda x: ops.sum(x, axis=1) / x.shape[1]))


def test_numbers_of_every_kind_are_operands() -> None:
    x = ops.convert_to_tensor(X)
    for good in (
        1,
        1.5,
        True,
        np.float64(2),
        np.int8(2),
        [1, 2, 3],
        [[1.5], [2.5]],
        np.ones((2, 1), bool),
        float("nan"),
    ):
        assert (x + good).shape == (2, 3)
