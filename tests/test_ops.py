"""The first rungs of the parity ladder for every operation: types, gradients, decompositions, and refused operands.

The rows are in `op_specs`, the checks in `op_checks`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import seqc.ops
from kit import op_checks
from kit.op_rows import SIZES, OpSpec, real, row
from kit.op_specs import EXEMPT, SPECS
from seqc import errors
from seqc.export.recurrent.forms import OnnxRecurrent
from seqc.graph import dims, ir
from seqc.graph.interpreter import Interpreter
from seqc.ops.arithmetic import Add, Clip, Mul
from seqc.ops.conv import Conv, ConvInputGrad
from seqc.ops.elementwise import And, Cast, Unary, Where
from seqc.ops.gather import Gather
from seqc.ops.linalg import MatMul
from seqc.ops.normalization import BatchNormalization, LayerNormalization
from seqc.ops.padding import MirrorPad, Pad
from seqc.ops.pool import MaxPool
from seqc.ops.random import Dropout, RandomUniform
from seqc.ops.reduce import ArgMax, ReduceMean, ReduceSum
from seqc.ops.rnn import LSTM
from seqc.ops.shape import BroadcastLike, Reshape, ReshapeLike, Squeeze, Transpose, Unsqueeze
from seqc.ops.sizes import BroadcastTo
from seqc.ops.slicing import Concat, Slice
from seqc.ops.transcendental import Exp

# Without elements there is no largest one.
NEEDS_ELEMENTS = {"ReduceMax", "ReduceMin", "ArgMax", "ArgMin", "Unique"}
# Wide enough for single precision of values of order one, narrow enough for a float32 shortcut to show in float64.
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


def _subclasses(base: type[ir.Op]) -> Iterator[type[ir.Op]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _subclasses(kind)


def _computes(kind: type[ir.Op]) -> bool:
    """Whether a class is an operation: it says how to evaluate, not only what its family shares."""
    owner = next(k for k in kind.__mro__ if "eval" in vars(k))
    leaves_open = "function" in vars(owner).get("__annotations__", {})
    return owner is not ir.Op and (hasattr(kind, "function") or not leaves_open)


def test_every_operation_has_a_row() -> None:
    for module in pkgutil.iter_modules(seqc.ops.__path__):
        importlib.import_module(f"seqc.ops.{module.name}")
    # What a verification puts into a graph to measure it is no operation of models.
    measuring = {"seqc.export.noise", "seqc.export.sums"}
    found = [k for k in _subclasses(ir.Op) if k.__module__.startswith("seqc.") and k.__module__ not in measuring]
    operations = {k for k in found if _computes(k)}
    covered = {type(spec.op) for spec in SPECS}
    assert len(operations) > 60
    assert operations - covered == set(EXEMPT)


def _takes(rule: Any, before: int, count: int) -> bool:
    """Whether a rule can be called with so many operands, after so many other arguments."""
    try:
        inspect.signature(rule).bind(*range(before + count))
    except TypeError:
        return False
    return True


def test_all_rules_of_an_operation_take_as_many_operands() -> None:
    before = {"infer": 0, "eval": 0, "vjp": 2, "lower": 2, "decompose": 2, "layout_rule": 1}
    wrong = []
    for kind, count in {(type(spec.op), len(spec.inputs)) for spec in SPECS}:
        # The family's rule may take any number; one that the class writes itself takes what its `infer` takes.
        fixed = not _takes(kind.infer, 1, count + 1)
        for name, others in before.items():
            rule = getattr(kind, name)
            if not _takes(rule, 1 + others, count) or (
                fixed and name in vars(kind) and _takes(rule, 1 + others, count + 1)
            ):
                wrong.append(f"{kind.__name__}.{name} of {count}")
    assert wrong == []


def test_no_module_hides_a_function_of_the_same_name() -> None:
    for module in pkgutil.iter_modules(seqc.ops.__path__):
        importlib.import_module(f"seqc.ops.{module.name}")
    assert [n for n in seqc.ops.__all__ if not callable(getattr(seqc.ops, n))] == []


def test_rows_have_different_names() -> None:
    assert len({spec.id for spec in SPECS}) == len(SPECS)


def test_every_row_of_floats_that_claims_no_gradient_says_so_on_purpose() -> None:
    smooth = {type(spec.op) for spec in SPECS if any(spec.differentiable)}
    without = {type(s.op).__name__ for s in SPECS if type(s.op) not in smooth and type(s.op).vjp is not ir.Op.vjp}
    # Results that are not numbers one can differentiate, or whose gradient stops on purpose.
    expected = """And ArgMax ArgMin BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast Equal Gcd
        Greater GreaterOrEqual IsNaN KeepMask Less LessOrEqual NextAfter Not Or RandomUniform SearchSorted
        StopGradient Unique View Xor"""
    assert without == set(expected.split())


@pytest.mark.one_in(3)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_infer_says_what_eval_returns(spec: OpSpec, dtype: str) -> None:
    for sizes in SIZES:
        op_checks.check_infer(spec, sizes, np.random.default_rng(1), dtype)


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value encountered")
@pytest.mark.parametrize("spec", [s for s in SPECS if s.op.name not in NEEDS_ELEMENTS], ids=str)
def test_an_empty_batch_passes(spec: OpSpec) -> None:
    op_checks.check_infer(spec, {**SIZES[0], "batch": 0}, np.random.default_rng(1), "float32")


@pytest.mark.parametrize("spec", [s for s in SPECS if isinstance(s.op, Unary)], ids=str)
def test_element_wise_operations_keep_the_dtype_of_scalars(spec: OpSpec) -> None:
    array = spec.arrays(np.random.default_rng(1), SIZES[0], "float32")[0].reshape(-1)[0].reshape(())
    known = spec.op.infer(ir.Type(array.dtype.name, ()))
    assert isinstance(known, ir.Type)
    assert np.asarray(spec.op.eval(array)).dtype.name == known.dtype


@pytest.mark.one_in(3)
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_single_precision_agrees_with_double(spec: OpSpec) -> None:
    # Operands that float32 holds exactly, so that a value beside a jump falls on the same side in both.
    single = spec.arrays(np.random.default_rng(1), SIZES[1], "float32")
    double = [a.astype("float64") if a.dtype == "float32" else a for a in single]
    for y32, y64 in zip(op_checks.evaluate(spec.op, single), op_checks.evaluate(spec.op, double), strict=True):
        np.testing.assert_allclose(y32, y64, rtol=TOLERANCE["float32"], atol=TOLERANCE["float32"])


@pytest.mark.one_in(3)
@pytest.mark.parametrize("sizes", SIZES, ids=lambda s: f"batch{s['batch']}")
@pytest.mark.parametrize("spec", [s for s in SPECS if any(s.differentiable)], ids=str)
def test_gradient_agrees_with_finite_differences(spec: OpSpec, sizes: dict[str, int]) -> None:
    op_checks.check_gradient(spec, sizes, np.random.default_rng(2))


# Some in double precision only, for which the attributes of their operator are too short.
DECOMPOSING = [
    (s, dtype)
    for s in SPECS
    for dtype in ("float32", "float64")
    if op_checks.decomposition(s, SIZES[0], dtype) is not None
]


def test_some_operations_decompose() -> None:
    assert {"AveragePoolGrad", "Dropout", "ReluGrad"} <= {s.op.name for s, dtype in DECOMPOSING if dtype == "float32"}


@pytest.mark.parametrize(("spec", "dtype"), DECOMPOSING, ids=str)
def test_decomposition_computes_the_same_numbers(spec: OpSpec, dtype: str) -> None:
    for sizes in SIZES:
        arrays = spec.arrays(np.random.default_rng(3), sizes, dtype)
        graph = op_checks.decomposition(spec, sizes, dtype)
        assert graph is not None
        inferred = spec.op.infer(*(x.type for x in graph.inputs))
        wanted = inferred if isinstance(inferred, tuple) else (inferred,)
        for y, kind in zip(graph.outputs, wanted, strict=False):
            assert y.type == kind
        for got, expected in zip(Interpreter(graph).run(arrays), op_checks.evaluate(spec.op, arrays), strict=False):
            np.testing.assert_allclose(got, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


# The tester is tested: each of these operations is wrong in one way, and its check must say so.


@dataclass(frozen=True, repr=False)
class WrongScale(Exp):
    def vjp(self, g: ir.Value, y: ir.Value, x: ir.Value) -> Sequence[ir.Value | None]:
        return (g * y * 1.001,)


@dataclass(frozen=True, repr=False)
class WrongOperand(Mul):
    def vjp(self, g: ir.Value, y: ir.Value, a: ir.Value, b: ir.Value) -> Sequence[ir.Value | None]:
        return g * a, g * b


@dataclass(frozen=True, repr=False)
class WrongElement(Exp):
    def vjp(self, g: ir.Value, y: ir.Value, x: ir.Value) -> Sequence[ir.Value | None]:
        mask = np.ones(5)
        mask[3] = 0
        return (g * y * mask,)


@dataclass(frozen=True, repr=False)
class ForgottenGradient(Exp):
    def vjp(self, g: ir.Value, y: ir.Value, x: ir.Value) -> Sequence[ir.Value | None]:
        return (None,)


@pytest.mark.parametrize(
    "spec",
    [
        row(WrongScale(), real("batch", 5)),
        row(WrongOperand(), real("batch", 5), real("batch", 5)),
        row(WrongElement(), real("batch", 5)),
        row(ForgottenGradient(), real("batch", 5)),
    ],
    ids=str,
)
def test_a_wrong_gradient_is_noticed(spec: OpSpec) -> None:
    with pytest.raises(AssertionError, match="operand 0: gradient"):
        op_checks.check_gradient(spec, SIZES[1], np.random.default_rng(2))


@dataclass(frozen=True, repr=False)
class WrongShape(ReduceSum):
    def infer(self, x: ir.Type) -> ir.Type:
        return super().infer(x).with_shape(x.shape[:-1])


@dataclass(frozen=True, repr=False)
class WrongDtype(Exp):
    def eval(self, x: Any) -> Any:
        return np.exp(x.astype("float64"))


@dataclass(frozen=True, repr=False)
class WritesToOperand(Exp):
    def eval(self, x: Any) -> Any:
        return np.exp(x, out=x)


@pytest.mark.parametrize("op", [WrongShape((0, 1), True), WrongDtype()], ids=repr)
def test_a_wrong_type_is_noticed(op: ir.Op) -> None:
    with pytest.raises(AssertionError, match="infer says"):
        op_checks.check_infer(row(op, real("batch", 5)), SIZES[1], np.random.default_rng(1), "float32")


def test_writing_to_an_operand_is_noticed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        op_checks.check_infer(row(WritesToOperand(), real("batch", 5)), SIZES[1], np.random.default_rng(1), "float32")


def _types(*described: str) -> tuple[ir.Type, ...]:
    """Types from text such as float32[batch, 3]."""
    found = []
    for text in described:
        dtype, inside = re.fullmatch(r"(\w+)\[(.*)\]", text).groups()  # type: ignore[union-attr]
        parts = [p.strip() for p in inside.split(",") if p.strip()]
        found.append(ir.Type(dtype, tuple(int(p) if p.isdigit() else dims.symbol(p) for p in parts)))
    return tuple(found)


BAD_OPERANDS: list[tuple[ir.Op, tuple[str, ...], type[errors.SeqcError], str]] = [
    (Add(), ("float32[3]",), errors.ShapeError,
     "Add takes 2 operands; got 1. It is Add(a, b), and was applied to (float32[3])."),
    (Add(), ("float32[3]", "float64[3]"), errors.DTypeError, "Add needs operands of one dtype; got float32[3], f"),
    (Add(), ("bool[3]", "bool[3]"), errors.DTypeError, "Add needs numbers; got bool[3]. Cast it first"),
    (Add(), ("float32[batch, 3]", "float32[4]"), errors.ShapeError, "Add cannot broadcast shapes [batch, 3] and [4]"),
    (Mul(), ("float32[batch]", "float32[3]"), errors.ShapeError, "sizes 3 and batch differ"),
    (Exp(), ("int32[3]",), errors.DTypeError, "Exp needs floating-point numbers; got int32[3]. Cast it first"),
    (And(), ("int32[3]", "int32[3]"), errors.DTypeError, "And needs booleans; got int32[3]"),
    (Where(), ("int32[3]", "int32[3]", "int32[3]"), errors.DTypeError, "Where needs a boolean condition; got int32[3]"),
    (Clip(0, 1), ("bool[3]",), errors.DTypeError, "Clip needs numbers"),
    (Cast("int32"), ("int32[3]", "int32[3]"), errors.ShapeError, "Cast takes 1 operand; got 2. It is Cast(x)"),
    (ReduceSum((2,)), ("float32[batch, 3]",), errors.ShapeError,
     "ReduceSum: axis 2 does not exist in float32[batch, 3], whose rank is 2."),
    (ReduceMean((0,)), ("int32[3]",), errors.DTypeError, "ReduceMean needs floating-point numbers; got int32[3]"),
    (ArgMax(2), ("float32[batch, 3]",), errors.ShapeError, "ArgMax: axis 2 does not exist in float32[batch, 3]"),
    (Reshape((0, 5)), ("float32[batch, 6]",), errors.ShapeError, "the number of elements differs"),
    (Reshape((-1, 4)), ("float32[batch, 6]",), errors.ShapeError, "cannot be divided evenly by 4"),
    (ReshapeLike(), ("float32[6]", "float32[2, 4]"), errors.ShapeError, "cannot give float32[6] the shape of float32["),
    (BroadcastLike(), ("float32[2, 3]", "float32[3]"), errors.ShapeError, "BroadcastLike cannot grow float32[2, 3]"),
    (Transpose((0, 0)), ("float32[2, 3]",), errors.ShapeError, "Transpose (0, 0) does not name each axis of float32[2"),
    (Squeeze((1,)), ("float32[2, 3]",), errors.ShapeError, "Squeeze of axes (1,) needs size 1 there; got float32["),
    (Squeeze((2,)), ("float32[2, 3]",), errors.ShapeError, "Squeeze: axis 2 does not exist in float32[2, 3]"),
    (Unsqueeze((3,)), ("float32[2]",), errors.ShapeError, "Unsqueeze: axis 3 does not exist in a tensor of rank 2"),
    (Concat(1), ("float32[2, 3]", "float32[3, 3]"), errors.ShapeError, "Concat along axis 1 needs equal other axes"),
    (Slice((3,), (0,), (1,), (1,)), ("float32[2]",), errors.ShapeError, "Slice: axis 3 does not exist"),
    (Slice((0,), (-1,), (2,), (-1,)), ("float32[batch]",), errors.ShapeError, "a partial backwards slice needs a"),
    (Pad(((1, 1),)), ("float32[2, 3]",), errors.ShapeError, "Pad needs one pair per axis of float32[2, 3]"),
    (Pad(((-1, -2),)), ("float32[2]",), errors.ShapeError, "takes 3 elements away from an axis of 2, of float32[2]"),
    (MirrorPad(((-1, 1),)), ("float32[2]",), errors.ShapeError,
     "MirrorPad adds elements; got a negative number in ((-1, 1),). Use a slice to cut."),
    (MatMul(), ("float32[batch, 3]", "float32[4, 5]"), errors.ShapeError, "sizes 3 and 4 differ"),
    (MatMul(), ("float32[3]", "float32[3, 4]"), errors.ShapeError, "MatMul needs matrices; got float32[3]"),
    (Gather(), ("float32[4, 3]", "float32[batch]"), errors.DTypeError, "Gather needs integer ids; got float32[batch]"),
    (Conv((1, 1)), ("float32[batch, 8, 8]", "float32[3, 3, 1, 4]"), errors.ShapeError,
     "Conv over 2 axes needs rank-4 input and kernel; got float32[batch, 8, 8]"),
    (Conv((1, 1)), ("float32[batch, 8, 8, 2]", "float32[3, 3, 1, 4]"), errors.ShapeError,
     "Conv with groups=1 cannot apply a kernel [3, 3, 1, 4] to 2 channels"),
    (Conv((1, 1)), ("float32[batch, 2, 8, 1]", "float32[3, 3, 1, 4]"), errors.ShapeError,
     "a window of 3 does not fit an axis of 2"),
    (Conv((1,)), ("float32[batch, 8, 1]", "float32[3, 1, 4]", "float32[3]"), errors.ShapeError,
     "Conv takes one bias float32[4]; got float32[3]"),
    (Conv((1,)), ("float32[batch, 8, 1]", "float32[3, 1, 4]", "float32[4]", "float32[4]"), errors.ShapeError,
     "Conv takes 2 to 3 operands; got 4. It is Conv(x, w, b=None), and"),
    (OnnxRecurrent(LSTM()), ("float32[2, 2, 2]",), errors.ShapeError, "OnnxRecurrent takes 4 or more operands; got 1."),
    (BroadcastTo((None, 3)), ("float32[3]",), errors.ShapeError, "BroadcastTo takes 2 operands; got 1."),
    (ConvInputGrad((1,)), ("float32[batch, 7, 4]", "float32[3, 1, 4]", "float32[batch, 8, 1]"), errors.ShapeError,
     "needs float32[batch, 6, 4]; got float32[batch, 7, 4]"),
    (MaxPool((2, 2), (2, 2)), ("float32[batch, 8, 8]",), errors.ShapeError, "MaxPool over 2 axes needs a rank-4 input"),
    (MaxPool((2,), (2,)), ("int32[batch, 8, 3]",), errors.DTypeError, "MaxPool needs floating-point numbers"),
    (BatchNormalization(1, 1e-3), ("float32[batch, 3]", *["float32[4]"] * 4), errors.ShapeError, "got a statistic"),
    (LayerNormalization(1, 1e-3), ("float32[batch, 3]", *["float32[4]"] * 2), errors.ShapeError, "got a weight"),
    (Dropout(1.0), ("float32[3]", "float32[3]"), errors.ConfigError, "Dropout needs a rate in [0, 1); got 1.0"),
    (RandomUniform(1), ("int32[3]", "int64[]", "int64[]"), errors.DTypeError, "RandomUniform"),
    (LSTM(activation="gelu"), ("float32[batch, time, 2]", "float32[2, 4]", "float32[1, 4]", "float32[4]"),
     errors.ConfigError, "LSTM has no fused activation 'gelu'; it knows tanh"),
    (LSTM(), ("float32[batch, 2]", "float32[2, 4]", "float32[1, 4]", "float32[4]"), errors.ShapeError,
     "LSTM needs a rank-3 input; got float32[batch, 2]"),
    (LSTM(), ("float32[batch, time, 2]", "float32[3, 4]", "float32[1, 4]", "float32[4]"), errors.ShapeError,
     "LSTM of 1 units cannot apply float32[3, 4]"),
    (LSTM(has_mask=True), ("float32[batch, time, 2]", "float32[2, 4]", "float32[1, 4]", "float32[4]", "bool[batch, 5]"),
     errors.ShapeError, "LSTM needs a mask bool[batch, time]; got bool[batch, 5]"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("op", "operands", "error", "message"), BAD_OPERANDS, ids=lambda x: x if isinstance(x, str) else ""
)
def test_bad_operands_are_refused_with_a_reason(
    op: ir.Op, operands: tuple[str, ...], error: type[errors.SeqcError], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        ir.apply(op, *(ir.input_value(f"x{i}", t.dtype, t.shape) for i, t in enumerate(_types(*operands))))


def test_ids_beyond_the_table_are_refused() -> None:
    table = np.zeros((4, 2))
    for ids in ([4], [-5]):
        with pytest.raises(errors.ShapeError, match=re.escape("ids must lie in [0, 4) for a table of 4 rows")):
            Gather().eval(table, np.array(ids))


def test_a_window_that_does_not_fit_is_refused_when_the_size_comes_late() -> None:
    with pytest.raises(errors.ShapeError, match="a window of 3 does not fit an axis of 2"):
        Conv((1, 1)).eval(np.zeros((1, 2, 5, 1)), np.zeros((3, 3, 1, 1)))
    with pytest.raises(errors.ShapeError, match="a window of 3 does not fit an axis of 2"):
        MaxPool((3,), (1,)).eval(np.zeros((1, 2, 5)))
