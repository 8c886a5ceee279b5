"""The functions of `seqc.ops` on tensors of sizes that are not known before a run, and what they refuse."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqc import ops
from seqc.errors import ConfigError, DataError, DTypeError, SeqcError, ShapeError, TraceError
from seqc.graph import dims, ir
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Type, Value

BATCH, TIME = dims.symbol("batch"), dims.symbol("time")
SIZES = ({"batch": 1, "time": 4}, {"batch": 3, "time": 7})
IMAGES, KERNEL = np.arange(9, dtype="float32").reshape(1, 3, 3, 1), np.ones((2, 2, 1, 1), "float32")


def assert_follows_numpy(
    function: Callable[[Value], Value], expected: Callable[[Any], Any], shape: Sequence[dims.Dim]
) -> None:
    """A function built once gives what NumPy gives, of the type it said, whatever the sizes."""
    x = ir.input_value("x", "float64", shape)
    y = function(x)
    interpreter = Interpreter(ir.Graph((x,), (y,), ("y",)))
    for sizes in SIZES:
        actual = [dims.evaluate(d, sizes) for d in shape]
        array = np.random.default_rng(0).normal(size=actual)
        (got,) = interpreter.run([array])
        wanted = expected(array)
        np.testing.assert_allclose(got, wanted, rtol=1e-12)
        assert got.shape == tuple(dims.evaluate(d, sizes) for d in y.type.shape)


def _doubled(x: Any) -> Any:
    return np.repeat(x, 2, axis=1)


def _added(a: Any, rows: Any, values: Any = None) -> Any:
    result = np.zeros_like(a)
    np.add.at(result, np.asarray(rows), a[:3] if values is None else values)
    return result


FOLLOWING: Mapping[str, tuple[Callable[[Value], Value], Callable[[Any], Any], tuple[dims.Dim, ...]]] = {
    "reshape keeps a symbolic size": (
        lambda x: ops.reshape(x, (ops.shape(x)[0], 2, -1)), lambda a: a.reshape(len(a), 2, -1), (BATCH, 6)),
    "reshape keeps None": (lambda x: ops.reshape(x, (None, 3, 2)), lambda a: a.reshape(-1, 3, 2), (BATCH, 6)),
    "reshape keeps what shape gives": (
        lambda x: ops.reshape(x, (*x.shape[:2], 2, 2)), lambda a: a.reshape(*a.shape[:2], 2, 2), (BATCH, TIME, 4)),
    "reshape merges symbolic sizes": (
        lambda x: ops.reshape(x, (ops.shape(x)[0] * ops.shape(x)[1], 4)), lambda a: a.reshape(-1, 4), (BATCH, TIME, 4)),
    "reshape multiplies a symbolic size": (
        lambda x: ops.reshape(x, (ops.shape(x)[0], ops.shape(x)[1] * 2, 2)),
        lambda a: a.reshape(len(a), -1, 2), (BATCH, TIME, 4)),
    "ravel": (ops.ravel, np.ravel, (BATCH, TIME, 2)),
    "last element": (lambda x: x[:, -1], lambda a: a[:, -1], (BATCH, TIME, 2)),
    "third from the end": (lambda x: x[:, -3], lambda a: a[:, -3], (BATCH, TIME)),
    "from the second": (lambda x: x[:, 1:], lambda a: a[:, 1:], (BATCH, TIME)),
    "all but the last": (lambda x: x[..., :-1, :], lambda a: a[..., :-1, :], (BATCH, TIME, 2)),
    "up to a symbolic bound": (lambda x: x[:, 1 : ops.shape(x)[1] - 1], lambda a: a[:, 1:-1], (BATCH, TIME)),
    "up to the size itself": (lambda x: x[:, 1 : ops.shape(x)[1]], lambda a: a[:, 1:], (BATCH, TIME)),
    "the last three, every second": (lambda x: x[:, -3::2], lambda a: a[:, -3::2], (BATCH, TIME)),
    "every second": (lambda x: x[::2, ::3], lambda a: a[::2, ::3], (BATCH, TIME)),
    "backwards": (lambda x: x[:, ::-2], lambda a: a[:, ::-2], (BATCH, TIME)),
    "new axes": (lambda x: x[:, None, 0, ..., None], lambda a: a[:, None, 0, ..., None], (BATCH, TIME, 2)),
    "flip": (ops.flip, np.flip, (BATCH, TIME)),
    "repeat": (lambda x: ops.repeat(x, 2, axis=1), _doubled, (BATCH, TIME, 3)),
    "repeat of a known axis": (lambda x: ops.repeat(x, 2, axis=-1), lambda a: np.repeat(a, 2, -1), (BATCH, TIME, 3)),
    "tile": (lambda x: ops.tile(x, (1, 3, 2)), lambda a: np.tile(a, (1, 3, 2)), (BATCH, TIME, 2)),
    "broadcast_to": (
        lambda x: ops.broadcast_to(x, (4, None, 3)), lambda a: np.broadcast_to(a, (4, len(a), 3)), (BATCH, 1)),
    "roll": (lambda x: ops.roll(x, 2, axis=1), lambda a: np.roll(a, 2, 1), (BATCH, TIME)),
    "roll by one": (lambda x: ops.roll(x, -1, axis=0), lambda a: np.roll(a, -1, 0), (BATCH, TIME)),
    "roll further than there is": (
        lambda x: ops.roll(x, (9, -8), axis=(1, 0)), lambda a: np.roll(a, (9, -8), (1, 0)), (BATCH, TIME)),
    "roll all further than there is": (lambda x: ops.roll(x, 40), lambda a: np.roll(a, 40), (BATCH, TIME)),
    "slice to the end": (lambda x: ops.slice(x, (0, 2), (-1, -1)), lambda a: a[:, 2:], (BATCH, TIME)),
    "slice of a known size to the end": (lambda x: ops.slice(x, (0, 1), (-1, -1)), lambda a: a[:, 1:], (BATCH, 3)),
    "diff": (lambda x: ops.diff(x, axis=1), lambda a: np.diff(a, axis=1), (BATCH, TIME, 2)),
    "concatenate": (
        lambda x: ops.concatenate([x, x[:, :1]], 1), lambda a: np.concatenate([a, a[:, :1]], 1), (BATCH, TIME)),
    "stack": (lambda x: ops.stack([x, x * 2], -1), lambda a: np.stack([a, a * 2], -1), (BATCH, TIME)),
    "swapaxes": (lambda x: ops.swapaxes(x, 0, 1), lambda a: a.swapaxes(0, 1), (BATCH, TIME, 2)),
    "cumsum": (lambda x: ops.cumsum(x, axis=1), lambda a: a.cumsum(1), (BATCH, TIME)),
    "mean over time": (lambda x: ops.mean(x, axis=1), lambda a: a.mean(1), (BATCH, TIME, 2)),
    "take": (lambda x: ops.take(x, np.array([0, -1]), axis=1), lambda a: a[:, [0, -1]], (BATCH, TIME, 2)),
    "matmul": (lambda x: ops.matmul(x, ops.swapaxes(x, 1, 2)), lambda a: a @ a.swapaxes(1, 2), (BATCH, TIME, 2)),
    "einsum of attention": (
        lambda x: ops.einsum("bqd,bkd->bqk", x, x), lambda a: np.einsum("bqd,bkd->bqk", a, a), (BATCH, TIME, 2)),
    "einsum to heads": (
        lambda x: ops.einsum("btd,dhe->bhte", x, np.ones((2, 3, 2))),
        lambda a: np.einsum("btd,dhe->bhte", a, np.ones((2, 3, 2))), (BATCH, TIME, 2)),
    "tensordot": (
        lambda x: ops.tensordot(x, np.ones((2, 3, 4)), axes=([2, 1], [0, 1])),
        lambda a: np.tensordot(a, np.ones((2, 3, 4)), axes=([2, 1], [0, 1])), (BATCH, 3, 2)),
    "full_like": (lambda x: ops.full_like(x, 3), lambda a: np.full_like(a, 3), (BATCH, TIME)),
    "clip below": (lambda x: ops.clip(x, 0, None), lambda a: np.maximum(a, 0), (BATCH, TIME)),
    "any": (lambda x: ops.cast(ops.any(x > 1, axis=1), "float64"), lambda a: (a > 1).any(1), (BATCH, TIME)),
    "sort": (lambda x: ops.sort(x, axis=1), lambda a: np.sort(a, 1), (BATCH, TIME, 2)),
    "argsort of the batch": (
        lambda x: ops.take_along_axis(x, ops.argsort(x, axis=0), 0), lambda a: np.sort(a, 0), (BATCH, TIME)),
    "top_k": (lambda x: ops.top_k(x, 3)[0], lambda a: -np.sort(-a, -1)[..., :3], (BATCH, TIME)),
    "take_along_axis that broadcasts": (
        lambda x: ops.take_along_axis(x, np.array([[0, -1]]), axis=1), lambda a: a[:, [0, -1]], (BATCH, TIME)),
    "scatter into as many as there are": (
        lambda x: ops.scatter(np.array([[0], [3], [0]]), x[:3], ops.shape(x)),
        lambda a: _added(a, [0, 3, 0]), (TIME, 2)),
    "slice_update at the end": (
        lambda x: ops.slice_update(x, (0, -2), x[:, :2]), lambda a: np.hstack([a[:, :-2], a[:, :2]]), (BATCH, TIME)),
    "slice_update at a tensor": (
        lambda x: ops.slice_update(x, (0, ops.cast(ops.max(x) * 0 + 1, "int32")), x[:, -2:]),
        lambda a: np.hstack([a[:, :1], a[:, -2:], a[:, 3:]]), (BATCH, TIME)),
    "segment_sum of as many as there are": (
        lambda x: ops.segment_sum(x, ops.arange(ops.shape(x)[0]) // 2, ops.shape(x)[0]),
        lambda a: _added(np.zeros_like(a), np.arange(len(a)) // 2, a), (TIME, 2)),
    "logsumexp": (lambda x: ops.logsumexp(x, axis=1), lambda a: np.log(np.exp(a).sum(1)), (BATCH, TIME)),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLLOWING)
def test_a_function_serves_every_size(name: str) -> None:
    assert_follows_numpy(*FOLLOWING[name])


_parts = st.one_of(
    st.integers(-3, 2),
    st.slices(3),
    st.builds(
        slice, st.none() | st.integers(-5, 5), st.none() | st.integers(-5, 5), st.sampled_from([None, 1, 2, -1, -2])
    ),
    st.none(),
)


@given(st.lists(_parts, max_size=4), st.none() | st.integers(0, 4))
def test_square_brackets_do_what_numpy_does(parts: list[Any], dots: int | None) -> None:
    key = tuple(parts) if dots is None else (*parts[:dots], ..., *parts[dots:])
    array = np.arange(27.0).reshape(3, 3, 3)
    try:
        expected = array[key]
    except IndexError:
        with pytest.raises(ShapeError):
            _ = ir.constant(array)[key]
        return
    y = ir.constant(array)[key]
    assert y.type.shape == expected.shape
    np.testing.assert_array_equal(y.numpy(), expected)


def test_shape_and_size_can_be_calculated_with() -> None:
    x = ir.input_value("x", "float32", (BATCH, TIME, 2))
    batch, time, features = cast("tuple[Any, ...]", ops.shape(x))
    assert (batch.dtype, batch.shape, features) == ("int32", (), 2)
    assert (batch.type.size, time.type.size) == (BATCH, TIME)
    assert cast("Any", ops.size(x)).type.size == BATCH * TIME * 2
    assert str((time // 2 + 1).type.size) == "floor(time/2) + 1"
    assert ops.size(np.zeros((2, 3))) == 6


X = ir.input_value("x", "float32", (BATCH, TIME, 4))
IDS = ir.input_value("ids", "int32", (BATCH,))
B, T = ops.shape(X)[:2]
REFUSED: list[tuple[Callable[[], Any], type[SeqcError], str]] = [
    (
        lambda: ops.reshape(X, (-1, -1, 4)),
        ConfigError,
        "reshape of float32[batch, time, 4] can leave one size open (-1)",
    ),
    (lambda: ops.reshape(X, (None, 5, 4)), ShapeError, "does not fit float32[batch, time, 4]"),
    (
        lambda: ops.reshape(X, (-1, T + 1, 4)),
        ShapeError,
        "to (-1, time + 1, 4) does not fit",
    ),
    (lambda: ops.reshape(X[:, 0], (T, 4)), ShapeError, "to (time, 4) does not fit"),
    (lambda: ops.transpose(X, (0, 1)), ShapeError, "Transpose (0, 1) does not name each axis"),
    (lambda: ops.expand_dims(X, 5), ShapeError, "expand_dims: axis 5 does not exist in a tensor of rank 4"),
    (lambda: ops.squeeze(X, 1), ShapeError, "Squeeze of axes (1,) needs size 1 there"),
    (
        lambda: ops.split(X, 3, axis=-1),
        ShapeError,
        "split cannot cut float32[batch, time, 4] into 3 equal parts on axis 2",
    ),
    (lambda: ops.split(X, 2, axis=1), ShapeError, "split cannot cut"),
    (lambda: ops.unstack(X, axis=1), ShapeError, "unstack needs a known size of axis 1; got float32[batch, time, 4]"),
    (lambda: ops.concatenate([]), ConfigError, "concatenate needs at least one tensor"),
    (
        lambda: ops.broadcast_to(X, (B, 5, 4)),
        ShapeError,
        "broadcast_to cannot give float32[batch, time, 4] the shape",
    ),
    (lambda: ops.broadcast_to(X, (4,)), ShapeError, "broadcast_to cannot give"),
    (lambda: ops.moveaxis(X, (0, 1), 0), ConfigError, "moveaxis needs as many destinations as sources"),
    (
        lambda: ops.zeros((X.shape[0], 3)),
        DTypeError,
        "full needs whole numbers as sizes (use // to divide them)",
    ),
    (lambda: ops.zeros((T / 2, 3)), DTypeError, "use // to divide them"),
    (lambda: ops.arange(ops.sum(IDS)), ShapeError, "arange needs sizes that follow from those of axes"),
    (
        lambda: ops.arange(0, T, T),
        ConfigError,
        "needs a whole number as step",
    ),
    (lambda: ops.pad(X, ((0, 0), (T, 0), (0, 0)), "reflect"), ConfigError, "needs to know how many elements to add"),
    (lambda: range(T), TraceError, "The size time is not known while the graph is being built"),
    (lambda: range(T // 2), TraceError, "The size floor(time/2) is not known while the graph is being built"),
    (lambda: int(T + 1), TraceError, "Use functions of seqc.ops (arange, where, slices and so on), or say the size in"),
    (lambda: 1 if T > 3 else 2, TraceError, "The size of an axis is not known while the graph is being built"),
    (lambda: np.zeros(T), TraceError, "The size time is not known"),
    (lambda: ops.cast(X, "float33"), DTypeError, "There is no element type 'float33'"),
    (lambda: ops.mean(X, axis=3), ShapeError, "axis 3 does not exist in a tensor of rank 3"),
    (lambda: ops.norm(X, ord=3, axis=(1, 2)), ConfigError, "infinity as ord of matrices; got 3"),
    (lambda: ops.matmul(X, np.ones((3, 2))), ShapeError, "sizes 4 and 3 differ"),
    (
        lambda: ops.einsum("bt,td->bd", X, np.ones((4, 4))),
        ShapeError,
        "'bt,td->bd' names 2 axes of float32[batch, time, 4]",
    ),
    (lambda: ops.einsum("bii->b", X), ShapeError, "diagonal of float32[batch, time, 4]: how long it is depends on"),
    (lambda: ops.einsum("...d->d...d", X), ConfigError, "each letter of the result comes once, and in a tensor, too"),
    (lambda: ops.einsum("a,b->ab", 1, 2, 3), ConfigError, "of 3 tensors: it needs a letter for each axis of each"),
    (lambda: ops.einsum("...d->d", X), ConfigError, "each letter of the result comes once"),
    (lambda: ops.roll(X, (1, 2), (0, 1, 2)), ConfigError, "roll needs as many shifts as axes, or one"),
    (lambda: ops.slice(IMAGES[0, 0], (0, 0), (99, 1)), ShapeError, "got 99 elements from 0 on"),
    (lambda: ops.slice(IMAGES[0, 0], (99, 0), (-1, 1)), ShapeError, "got -1 elements from 99 on"),
    (lambda: ops.slice(X, (-1, 0), (1, 1)), ShapeError, "got 1 elements from -1 on"),
    (lambda: ops.slice(X, (0, 0), (-2, 1)), ShapeError, "got -2 elements from 0 on along axis 0"),
    *(
        (lambda f=f: f("smae"), ConfigError, "must be one of 'valid', 'same'. Received: padding=smae")
        for f in (
            lambda p: ops.conv(IMAGES, KERNEL, padding=p),
            lambda p: ops.conv_transpose(IMAGES, KERNEL, 2, p),
            lambda p: ops.depthwise_conv(IMAGES, KERNEL, padding=p),
            lambda p: ops.max_pool(IMAGES, 2, 1, p),
            lambda p: ops.average_pool(IMAGES, 2, 1, p),
        )
    ),
    (lambda: ops.repeat(X, [1, 2, 3], -1), ShapeError, "repeat needs one number, or one for each of 4 elements; got 3"),
    (lambda: ops.where(X > 0), ConfigError, "where needs something to choose from: where(condition, x1, x2)"),
    (lambda: ops.one_hot(IDS, 3, sparse=True), ConfigError, "Leave `sparse` out"),
    (lambda: ops.bincount(IDS), TraceError, "How long a bincount is depends on numbers that are not known"),
    (lambda: ops.quantile(X, 0.5, method="cubic"), ConfigError, "A quantile's method is one of linear, lower, higher"),
    (lambda: ops.diagonal(X, 0, 1, 2), ShapeError, "depends on which of time and 4 is smaller"),
    (lambda: ops.array_split(X, 3, 1), ShapeError, "split cannot cut"),
    (lambda: ops.cross(X, X), ShapeError, "cross needs vectors of two or three numbers; got 4 and 4 of them"),
    (lambda: ops.correlate(IDS, IDS), ShapeError, "correlate needs two vectors of known length"),
    (lambda: ops.ldexp(X, X), DTypeError, "ldexp needs whole numbers as its second operand"),
    (lambda: ops.bitwise_and(X, 1), DTypeError, "BitwiseAnd needs integers; got float32[batch, time, 4]"),
    (lambda: ops.view(X[..., :3], "float64"), ShapeError, "whose 4-byte numbers fill 8-byte ones"),
    (lambda: ops.conv(X, np.ones((3, 4, 2)), (1, 1)), ShapeError, "Windows over 1 axes need 1 numbers; got (1, 1)"),
    (lambda: ops.max_pool(X, 2, data_format="last"), ConfigError, "data_format is 'channels_last' or 'channels_first'"),
    (lambda: X[0, 0, 0, 0], ShapeError, "float32[batch, time, 4] has no element [0, 0, 0, 0]: too many indices"),
    (lambda: X[..., 4], ShapeError, "has no element 4 along an axis of size 4"),
    (lambda: X[IDS], ConfigError, "To look up by a tensor use ops.take"),
    (lambda: X[[0, 1]], ConfigError, "A tensor can be indexed by integers, slices, None and ...; got [0, 1]"),
    (lambda: X[:, True], ConfigError, "got True"),
    (lambda: X[:, : ops.sum(IDS)], ShapeError, "A slice needs sizes that follow from those of axes"),
    (
        lambda: ops.unique(IDS),
        TraceError,
        "The shape of unique depends on numbers that are not known before the model runs (int32[batch]). Give a size.",
    ),
    (lambda: ops.nonzero(X), TraceError, "The shape of nonzero depends on numbers that are not known"),
    (lambda: ops.segment_sum(X, IDS), TraceError, "How many segments there are depends on numbers that are not known"),
    (lambda: ops.segment_sum(X, X[:, 0, 0], 3), DTypeError, "Segments are numbered by integers; got float32[batch]"),
    (lambda: ops.top_k(X, 5), ShapeError, "needs 5 elements along axis 2; got float32[batch, time, 4]"),
    (lambda: ops.take_along_axis(X, IDS, 0), ShapeError, "take_along_axis needs as many axes of indices as of x"),
    (lambda: ops.searchsorted(X, X), ShapeError, "searchsorted only supports sorted sequences of one axis"),
    (lambda: ops.searchsorted([1, 2], X, "middle"), ConfigError, "`side` must be either 'left' or 'right'"),
    (
        lambda: ops.scatter(IDS[:, None], X[:, 0, :2], (5, 4)),
        ShapeError,
        "ScatterAdd into float32[5, 4] at int32[batch, 1] needs updates float32[batch, 4]; got float32[batch, 2]",
    ),
    (lambda: ops.scatter_update(X, [[0]], X[:1], "divide"), ConfigError, "Unsupported reduction: divide"),
    (lambda: ops.slice_update(X[0], (0, 0), np.zeros((1, 5))), ShapeError, "which is smaller"),
    (lambda: ops.det(X), ShapeError, "Det needs square matrices; got float32[batch, time, 4]"),
    (lambda: ops.inv(ops.cast(X[:, :4], "float16")), DTypeError, "Inverse computes in float32 or float64; got float16"),
    (lambda: ops.solve(np.eye(3), np.ones((2, 1))), ShapeError, "Solve needs as many rows on the right"),
    (lambda: ops.inv(np.zeros((2, 2))).numpy(), DataError, "Inverse: a matrix is singular"),
    (lambda: ops.solve(np.zeros((2, 2)), np.ones(2)).numpy(), DataError, "Solve: a matrix is singular"),
    (lambda: ops.cholesky(-np.eye(2)).numpy(), DataError, "might not be a valid positive definite matrix"),
    (lambda: ops.qr(X, "full"), ConfigError, "Expected one of {'reduced', 'complete'}. Received: mode=full"),
    (lambda: ops.svd(X), ShapeError, "SVD needs matrices of known sizes; got float32[batch, time, 4]"),
    (lambda: ops.cdist(X, X[:, :, :3]), ShapeError, "Last dimension of inputs to `cdist` must match"),
    (lambda: X[:, 3:1], ShapeError, "the length along an axis of size time cannot be told"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED, ids=[message for _, _, message in REFUSED])
def test_wrong_arguments_are_refused_with_a_reason(
    call: Callable[[], Any], error: type[SeqcError], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call()


class TestPromotion:
    def test_numbers_follow_the_tensors_they_meet(self) -> None:
        wide = ir.input_value("x", "float64", (3,))
        assert ops.add(wide, 1.5).type == Type("float64", (3,))
        assert ops.add(1, IDS).dtype == "int32"
        assert ops.multiply(IDS, 0.5).dtype == "float32"
        assert ops.add(IDS > 0, 1).dtype == "int32"

    def test_arrays_of_64_bits_do_not_widen_a_tensor(self) -> None:
        assert ops.multiply(X, np.ones(4)).dtype == "float32"
        assert ops.add(IDS, np.arange(1)).dtype == "int32"
        assert ops.where(X > 0, X, np.zeros(4)).dtype == "float32"

    def test_arrays_among_themselves_keep_double_precision(self) -> None:
        assert ops.add(np.ones(3), np.ones(3)).dtype == "float64"

    @pytest.mark.parametrize(
        ("a", "b", "both"),
        [
            ("float32", "float64", "float64"),
            ("int64", "float16", "float16"),
            ("int32", "int64", "int64"),
            ("uint8", "int8", "int16"),
            ("uint32", "int32", "int64"),
            ("uint64", "int64", "float32"),
            ("bool", "int8", "int8"),
        ],
    )
    def test_tensors_meet_in_the_narrowest_dtype_that_holds_both(self, a: str, b: str, both: str) -> None:
        x, y = ir.input_value("x", a, (3,)), ir.input_value("y", b, (3,))
        assert ops.add(x, y).dtype == ops.add(y, x).dtype == both


def test_eigenvalues_of_any_matrix_are_refused_with_the_reason() -> None:
    with pytest.raises(AttributeError, match=r"complex numbers, which no tensor of seqc holds: seqc\.ops\.eigh is for"):
        _ = ops.eig
    with pytest.raises(AttributeError, match=r"seqc\.ops\.linalg has no 'choleski'\. Did you mean cholesky"):
        _ = ops.linalg.choleski


@pytest.mark.parametrize("function", [ops.max, ops.min, ops.argmax, ops.argmin])
def test_choosing_from_nothing_says_so(function: Callable[..., Value]) -> None:
    with pytest.raises(ShapeError, match=r"chooses an element along axis 1 .* where there are none"):
        function(np.zeros((2, 0, 3), "float32"), axis=1)
    x = ir.input_value("x", "float32", (BATCH, 2))
    interpreter = Interpreter(ir.Graph((x,), (function(x, axis=0),), ("y",)))
    with pytest.raises(ShapeError, match="along axis 0"):
        interpreter.run([np.zeros((0, 2), "float32")])


@pytest.mark.parametrize(("mode", "most"), [("reflect", 2), ("symmetric", 3)])
def test_mirroring_reaches_as_far_as_there_are_elements(mode: str, most: int) -> None:
    x = np.arange(3, dtype="float32")
    np.testing.assert_array_equal(ops.pad(x, most, mode=mode), np.pad(x, most, mode=mode))  # type: ignore[call-overload]
    with pytest.raises(ShapeError, match=f"gives at most {most} elements"):
        ops.pad(x, most + 1, mode=mode)
    with pytest.raises(ConfigError, match="`constant_values` can only be given when mode='constant'"):
        ops.pad(x, 1, mode=mode, constant_values=1.0)
    with pytest.raises(ConfigError, match="modes 'constant', 'reflect' and 'symmetric'; got 'wrap'"):
        ops.pad(x, 1, mode="wrap")


WAYS: Mapping[str, tuple[Callable[[str], Value], str, Sequence[float]]] = {
    "conv": (lambda p: ops.conv(IMAGES, KERNEL, padding=p), "SAME", [8, 12, 7, 20, 24, 13, 13, 15, 8]),
    "depthwise_conv": (lambda p: ops.depthwise_conv(IMAGES, KERNEL, padding=p), "VALID", [8, 12, 20, 24]),
    "separable_conv": (
        lambda p: ops.separable_conv(IMAGES, KERNEL, KERNEL[:1, :1], padding=p), "Same",
        [8, 12, 7, 20, 24, 13, 13, 15, 8]),
    "conv_transpose": (
        lambda p: ops.conv_transpose(IMAGES[:, :2, :2], KERNEL, 2, p), "SAME",
        [0, 0, 1, 1, 0, 0, 1, 1, 3, 3, 4, 4, 3, 3, 4, 4]),
    "max_pool": (lambda p: ops.max_pool(IMAGES, 2, 1, p), "SAME", [4, 5, 5, 7, 8, 8, 7, 8, 8]),
    "average_pool": (lambda p: ops.average_pool(IMAGES, 2, 1, p), "VALID", [2, 3, 5, 6]),
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
def test_a_padding_may_be_named_in_capitals(name: str) -> None:
    function, padding, wanted = WAYS[name]
    np.testing.assert_allclose(np.ravel(function(padding)), wanted)


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_what_is_repeated_no_times_is_gone(axis: int | None) -> None:
    x = np.arange(6).reshape(3, 2)
    assert ops.repeat(x, 0, axis=axis).shape == np.repeat(x, 0, axis=axis).shape
