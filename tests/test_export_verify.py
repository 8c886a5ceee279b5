"""Verification: what it lets pass, what it catches, whom it names, and what it tries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from kit.small_graphs import (
    BATCH,
    GRAPHS,
    HEIGHT,
    TIME,
    WIDTH,
    Weights,
    conv,
    dense,
    graph,
    image,
    look_up,
    lstm,
    named,
    sequence,
)
from seqc import ops
from seqc.errors import ShapeError, VerificationError
from seqc.export import compile_graph, compile_with_names
from seqc.export.demands import Demands
from seqc.export.images.conv import OnnxConv
from seqc.export.recurrent.forms import OnnxRecurrent
from seqc.export.samples import Sampler, choose_sizes, draw_inputs, integer_limits
from seqc.export.target import onnx_target
from seqc.graph import ir
from seqc.graph.ir import Array, Graph
from seqc.ops.elementwise import Cast
from seqc.ops.nonlinear import Relu
from seqc.ops.strings import LookUp
from seqc.ops.transcendental import Tanh

onnx_models = pytest.importorskip("kit.onnx_models", reason="needs onnx")
verification: Any = pytest.importorskip("seqc.export.verify")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")


def content(g: Graph) -> bytes:
    shown: bytes = onnx_models.content(compile_graph(g))
    return shown


def verify(g: Graph, **options: Any) -> Any:
    emission = compile_with_names(g, onnx_target())
    return verification.verify(g, onnx_models.content(emission.model), emission, threads=1, **options)


def deep() -> Graph:
    w, x = Weights(), image(6, 6, 2)
    y = named(ops.tanh, "tanh", conv(w, "conv", x, 3))
    y = named(ops.relu, "relu", conv(w, "conv_1", y, 3))
    return graph(x, dense(w, "dense", named(ops.mean, "average", y, (1, 2)), 2))


# -- what is caught --------------------------------------------------------------------------------------------------


def test_a_wrong_lowering_is_caught_and_its_layer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Relu, "lower", lambda self, e, y, *names: e.node("Softplus", *names))
    expected = (
        r"Layer 'relu' computes other numbers in onnxruntime than in NumPy: the largest error is 0\.6[89]\d?, at most "
        r"\S+ is allowed \(numbers up to \S+\)\. Nothing was written\."
    )
    with pytest.raises(VerificationError, match=expected):
        verify(deep())


def test_an_operation_that_is_left_out_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Relu, "lower", lambda self, e, y, *names: names[0])
    with pytest.raises(VerificationError, match="Layer 'relu' computes other numbers"):
        verify(deep())


def test_the_first_of_two_wrong_layers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Relu, "lower", lambda self, e, y, *names: e.node("Softplus", *names))
    monkeypatch.setattr(Tanh, "lower", lambda self, e, y, *names: e.node("Sin", *names))
    with pytest.raises(VerificationError, match="Layer 'tanh' computes other numbers"):
        verify(deep())


def test_a_forgotten_padding_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    lower = OnnxConv.lower

    class NoPads:
        """An emitter whose convolutions lose the end of their padding."""

        def __init__(self, e: Any) -> None:
            self.e = e

        def __getattr__(self, name: str) -> Any:
            return getattr(self.e, name)

        def node(self, op_type: str, *inputs: str, **attributes: Any) -> str:
            if "pads" in attributes:
                a, b, c, d = attributes["pads"]
                attributes["pads"] = [b, a, d, c] if a != b else [a + 1, b, c - 1, d]
            made: str = self.e.node(op_type, *inputs, **attributes)
            return made

    monkeypatch.setattr(OnnxConv, "lower", lambda self, e, y, *names: lower(self, NoPads(e), y, *names))
    with pytest.raises(VerificationError, match="Layer 'conv' computes other numbers"):
        verify(deep())


def test_swapped_gates_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    lower = OnnxRecurrent.lower

    def swapped(self: Any, e: Any, y: ir.Value, x: str, w: str, *rest: str) -> Any:
        kernel = y.inputs[1].numpy()
        return lower(self, e, y, x, e.constant(np.roll(kernel, kernel.shape[1] // 4, 1)), *rest)

    monkeypatch.setattr(OnnxRecurrent, "lower", swapped)
    with pytest.raises(VerificationError, match="Layer 'lstm' computes other numbers"):
        verify(GRAPHS["text"]())


def test_an_axis_that_was_baked_in_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def baked(self: Any, e: Any, y: ir.Value, *names: str) -> Any:
        steps = e.node("Slice", names[0], *(e.constant(np.array([v], np.int64)) for v in (0, 4, 0)))
        return e.node("Tanh", steps)

    monkeypatch.setattr(Tanh, "lower", baked)
    x = ir.input_value("steps", "float32", (TIME, 3))
    with pytest.raises(VerificationError, match=r"has shape \(4, 3\), not \(7, 3\) in onnxruntime"):
        verify(graph(x, named(ops.tanh, "tanh", x)))


def test_numbers_that_are_not_finite_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tanh, "lower", lambda self, e, y, *names: e.node("Log", *names))
    x = ir.input_value("x", "float32", (BATCH, 30))
    with pytest.raises(VerificationError, match="is not finite where it should be"):
        verify(graph(x, named(ops.tanh, "tanh", x)))


def test_a_wrong_whole_number_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Cast, "lower", lambda self, e, y, *names: e.node("Cast", e.node("Round", *names), to=self.dtype)
    )
    x = ir.input_value("x", "float32", (BATCH, 9))
    with pytest.raises(VerificationError, match=r"differs in \d+ whole numbers"):
        verify(graph(x, ops.cast(x, "int32")))


def test_without_the_names_of_values_the_output_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tanh, "lower", lambda self, e, y, *names: e.node("Sin", *names))
    g = deep()
    with pytest.raises(VerificationError, match="Output 'y' computes other numbers"):
        verification.verify(g, content(g))


def test_an_error_of_a_few_roundings_too_many_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The budget is no invitation: a relative error of 1e-4 in one layer does not pass."""
    scale = np.array(1 + 1e-4, "float32")
    monkeypatch.setattr(
        Tanh, "lower", lambda self, e, y, *names: e.node("Mul", e.node("Tanh", *names), e.constant(scale))
    )
    with pytest.raises(VerificationError, match="Layer 'tanh'"):
        verify(deep())


# -- what passes -----------------------------------------------------------------------------------------------------


def test_infinities_that_belong_there_pass() -> None:
    x = ir.input_value("x", "float32", (BATCH, 3))
    assert verify(graph(x, ops.exp(x * 1e4), ops.log(ops.relu(x)))).passed


def test_not_a_number_passes_where_the_truth_is_none() -> None:
    x = ir.input_value("x", "float32", (BATCH, 3))
    assert verify(graph(x, ops.sqrt(x))).passed


def test_numbers_that_only_double_precision_holds_pass() -> None:
    x = ir.input_value("x", "float32", (BATCH, 3))
    assert verify(graph(x, ops.exp(ops.relu(x) * 100.0))).passed


@pytest.mark.parametrize("name", GRAPHS)
def test_the_budget_leaves_room_and_not_too_much(name: str) -> None:
    """onnxruntime's error is well inside the budget, and the budget is a small part of the numbers."""
    for check in verify(GRAPHS[name]()).outputs:
        assert check.error <= check.budget / 2
        assert check.budget <= 3e-5 * max(check.scale, 1.0)


def test_the_budget_follows_what_the_model_makes_of_rounding() -> None:
    """A difference of large numbers loses digits in NumPy, too: the budget is as wide as that loss."""
    x = ir.input_value("x", "float32", (BATCH, 8))
    plain = verify(graph(x, ops.tanh(x))).outputs[0]
    lossy = verify(graph(x, ops.tanh((x + 1e4) - 1e4))).outputs[0]
    assert lossy.budget > 100 * plain.budget
    assert lossy.error <= lossy.budget


# -- what is tried ---------------------------------------------------------------------------------------------------


def test_batches_of_one_two_and_seven_are_tried() -> None:
    assert verify(GRAPHS["mlp"]()).sizes == ({"batch": 1}, {"batch": 2}, {"batch": 7})


def test_two_lengths_of_every_other_axis_and_one_are_tried() -> None:
    sizes = verify(GRAPHS["segmentation"]()).sizes
    assert len(sizes) == 7
    assert {s["height"] for s in sizes} == {1, 4, 7}
    assert {s["width"] for s in sizes} == {1, 4, 9}


def test_lengths_grow_until_the_model_takes_them() -> None:
    w, x = Weights(), image(HEIGHT, WIDTH, 1)
    g = graph(x, conv(w, "conv", x, 2, (15, 9), padding="valid"))
    assert {(s["height"], s["width"]) for s in verify(g).sizes} == {(15, 17), (16, 16)}


def test_lengths_that_must_be_even_are_found() -> None:
    x = sequence(2)
    found = choose_sizes(graph(x, x), lambda sizes: sizes["time"] % 2 == 0)
    assert [s["time"] for s in found if s["batch"] == 1] == [4, 6]
    assert found[-1] == {"batch": 2, "time": 2}


def test_a_graph_that_runs_at_no_size_is_refused() -> None:
    x = sequence(2)
    with pytest.raises(ShapeError, match=r"The graph runs at no size of time between 4 and 8192\."):
        choose_sizes(graph(x, x), lambda sizes: False)


def test_a_graph_of_fixed_sizes_is_tried_once() -> None:
    x = ir.input_value("x", "float32", (2, 3))
    assert verify(graph(x, ops.tanh(x))).sizes == ({},)


def test_ids_stay_inside_their_table() -> None:
    g = GRAPHS["text"]()
    assert integer_limits(g) == {g.inputs[0]: 20}
    (ids,) = draw_inputs(g, {"batch": 50, "time": 9}, 0)
    assert ids.min() == 0
    assert ids.max() == 19


def test_ids_are_followed_through_casts_and_shapes() -> None:
    x = ir.input_value("x", "float32", (BATCH, 6))
    rows = look_up(Weights()("table", 7, 2), ops.cast(ops.reshape(x, (-1, 3, 2)), "int32"))
    g = graph(x, rows)
    (ids,) = draw_inputs(g, {"batch": 20}, 0)
    assert ids.dtype == np.float32
    assert set(np.unique(ids)) <= set(range(7))
    assert verify(g).passed


def test_classes_of_a_one_hot_encoding_stay_in_range() -> None:
    x = ir.input_value("classes", "int32", (BATCH,))
    assert list(integer_limits(graph(x, ops.one_hot(x, 4))).values()) == [4]


def test_the_smallest_of_two_tables_counts() -> None:
    w, x = Weights(), ir.input_value("ids", "int32", (BATCH, TIME))
    both = look_up(w("a", 30, 2), x) + look_up(w("b", 5, 2), x)
    assert list(integer_limits(graph(x, both)).values()) == [5]


def _rows(size: int, of: Callable[..., Any]) -> Callable[..., Any]:
    """Of integers x, y, ... the rows of a table at what is made of them."""
    return lambda *ids: look_up(Weights()("table", size, 2), of(*ids))


INT, FLOAT = "int32", "float32"
# What is made of inputs, their dtypes, and, of integers, how many different ones are drawn at least.
COMPUTED: dict[str, tuple[Callable[..., Any], list[str], int]] = {
    "rows from 1 on": (_rows(7, lambda x: x - 1), [INT], 8),
    "rows of two": (_rows(168, lambda day, hour: day * 24 + hour), [INT, INT], 7),
    "rows further on": (_rows(5, lambda x: x + 2), [INT], 3),
    "twice the row": (_rows(5, lambda x: x * 2), [INT], 3),
    "rows or the first": (_rows(5, lambda x: ops.where(x < 0, 0, x)), [INT], 5),
    "not below the first": (_rows(5, lambda x: ops.maximum(x, 0)), [INT], 5),
    "rows in floats": (_rows(5, lambda x: ops.cast(x - 1.0, "int32")), [FLOAT], 6),
    "of rows of rows": (lambda x: _rows(4, lambda y: y)(ops.take(np.array([1, 3, 0]), x, 0)), [INT], 3),
    "a place along an axis": (lambda x, at: ops.take_along_axis(x, at - 1, 1), [FLOAT, INT], 4),
    "a quotient": (lambda x, y: x // y, [INT, INT], 10),
    "a remainder": (lambda x, y: ops.mod(x, y), ["int64", "int64"], 10),
    "a remainder of the dividend": (lambda x, y: ops.fmod(x, y), [INT, INT], 10),
    "a table without any other": (
        lambda x: ir.apply(LookUp((10, 20, 30), (1, 2, 3), None, "int64"), x * 10),
        ["int64"],
        3,
    ),
    "a sum": (lambda x: ops.sum(x, 1), [INT], 10),
    "a sum of products": (lambda x: ops.sum(x * ops.cast(x > 0, "int64"), 1), ["int64"], 10),
    "a product": (lambda x: ops.prod(x, 1), [INT], 10),
    "powers": (lambda x: ops.power(x, np.array([1, 2, 9])), [INT], 10),
    "powers of small integers": (lambda x: ops.power(x, 3), ["uint8"], 7),
    "a power of two": (lambda x: ops.power(2, x - 1), ["int8"], 7),
    "powers of two integers": (lambda x, y: ops.power(x, y), ["int64", "int64"], 10),
}


@pytest.mark.parametrize("name", COMPUTED)
def test_integers_are_few_enough_for_what_is_made_of_them(name: str) -> None:
    function, dtypes, count = COMPUTED[name]
    inputs = [ir.input_value(f"x{i}", dtype, (BATCH, 3)) for i, dtype in enumerate(dtypes)]
    g = Graph(tuple(inputs), (function(*inputs),), ("y",))
    found = draw_inputs(g, {"batch": 50}, 0)
    assert all(len(np.unique(x)) >= count for x, dtype in zip(found, dtypes, strict=True) if dtype != FLOAT)
    assert verify(g).passed


# What is made of ids of tables, how many rows these and that of what is made have, and the largest first id that fits.
LARGE_TABLES: dict[str, tuple[Callable[..., Any], list[int], int, int]] = {
    "buckets": (lambda x: x // 10, [100_000], 8000, 79_999),
    "pairs": (lambda u, i: u * 100 + i, [30_000, 1000], 100_000, 999),
}


@pytest.mark.parametrize(("function", "rows", "more", "largest"), LARGE_TABLES.values(), ids=LARGE_TABLES)
def test_ids_of_large_tables_are_found_in_few_runs(
    function: Callable[..., Any], rows: list[int], more: int, largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    w, are_met = Weights(), Demands.are_met
    runs: list[bool] = []

    def counted(demands: Demands, arrays: Sequence[Array], sizes: Mapping[str, int]) -> bool:
        runs.append(are_met(demands, arrays, sizes))
        return runs[-1]

    inputs = [ir.input_value(f"x{i}", "int64", (BATCH, TIME)) for i in range(len(rows))]
    ids = list(zip([*rows, more], [*inputs, function(*inputs)], strict=True))
    found = [look_up(w(f"w{i}", n, 1), x) for i, (n, x) in enumerate(ids)]
    sampler = Sampler(Graph(tuple(inputs), tuple(found), tuple(f"y{i}" for i in range(len(found)))))
    monkeypatch.setattr(Demands, "are_met", counted)
    drawn = [sampler.draw({"batch": b, "time": t}, seed) for seed, (b, t) in enumerate([(1, 4), (2, 4), (7, 9)] * 4)]
    assert len(runs) <= 80
    assert [int(x.max()) for x, *_ in drawn] == [largest] * 12


def test_a_table_of_few_places_bounds_lengths() -> None:
    ids = ir.input_value("ids", "int32", (BATCH, TIME))
    w = Weights()
    y = look_up(w("table", 9, 2), ids) + look_up(w("places", 3, 2), ops.arange(ops.shape(ids)[1]))
    assert {s["time"] for s in verify(graph(ids, y)).sizes} == {2, 3, 1}


EMPTY_WHEN_SHORT: dict[str, Callable[[Any], Any]] = {
    "a mean but for the first": lambda x: ops.mean(x[:, 1:], 1),
    "a mean of differences": lambda x: ops.mean(ops.abs(x[:, 1:] - x[:, :-1]), 1),
    "a mean inside a frame": lambda x: ops.mean(x[:, 2:-2], 1),
}


@pytest.mark.parametrize("name", EMPTY_WHEN_SHORT)
def test_lengths_are_tried_that_leave_something(name: str) -> None:
    x = sequence(2)
    report = verify(graph(x, EMPTY_WHEN_SHORT[name](x)))
    assert report.passed
    assert min(s["time"] for s in report.sizes) > 1


def test_a_graph_of_which_a_part_is_always_empty_has_sizes() -> None:
    x = sequence(2)
    assert verify(graph(x, ops.concatenate([x, x[:, :0]], 1))).passed


def test_masks_of_every_kind_are_tried() -> None:
    (ids,) = draw_inputs(GRAPHS["masked_text"](), {"batch": 7, "time": 8}, 0)
    assert not ids[1, 4:].any()
    assert ids[1, :4].any()
    assert not ids[2, :4].any()
    assert ids[2, 4:].any()
    assert not ids[6].any()


def test_images_of_bytes_use_all_of_them() -> None:
    x = ir.input_value("image", "uint8", (BATCH, 32, 32, 3))
    g = graph(x, ops.cast(x, "float32") / 255.0)
    (drawn,) = draw_inputs(g, {"batch": 3}, 0)
    assert drawn.dtype == np.uint8
    assert (drawn.min(), drawn.max()) == (0, 255)
    assert verify(g).passed


def test_samples_are_the_same_every_time() -> None:
    g = GRAPHS["bn_cnn"]()
    for seed in (0, 1):
        first, again = (draw_inputs(g, {"batch": 3}, seed)[0] for _ in range(2))
        np.testing.assert_array_equal(first, again)
    assert np.any(draw_inputs(g, {"batch": 3}, 0)[0] != draw_inputs(g, {"batch": 3}, 1)[0])


DOUBLES: dict[str, Callable[[Any], Any]] = {
    "moved": lambda x: ops.reshape(x, (-1, 2, 2)),
    "rectified": ops.relu,
    "the largest": lambda x: ops.max(x, 1),
    "joined": lambda x: ops.concatenate([x, x], 1),
}


@pytest.mark.parametrize("name", DOUBLES)
def test_doubles_are_rounded_where_they_come_in(name: str) -> None:
    x = ir.input_value("x", "float64", (BATCH, 4))
    report = verify(graph(x, DOUBLES[name](ops.cast(x, "float32"))))
    assert report.passed
    assert report.outputs[0].most is None or report.outputs[0].most > 0


def test_agreement_of_the_largest_element_is_reported() -> None:
    (check,) = verify(GRAPHS["mlp"]()).outputs
    assert check.argmax_agreement == 1
    (check,) = verify(GRAPHS["text"]()).outputs
    assert check.argmax_agreement is None


def test_the_layer_is_found_where_only_the_whole_model_is_wrong() -> None:
    """The file is what is checked, not what the graph would be written as again."""
    g, other = GRAPHS["mlp"](), GRAPHS["mlp"]()
    wrong = content(Graph(other.inputs, (other.outputs[0] * 1.5,), other.output_names))
    with pytest.raises(VerificationError, match="Layer 'softmax' computes other numbers"):
        verification.verify(g, wrong, compile_with_names(g, onnx_target()))


def test_states_of_recurrent_layers_are_followed() -> None:
    w, x = Weights(), sequence(3)
    assert verify(graph(x, lstm(w, "lstm", x, 2, True), lstm(w, "back", x, 2, reverse=True))).passed


def test_probabilities_that_are_all_near_zero_are_not_refused() -> None:
    x = ir.input_value("x", "float32", (BATCH, 4))
    rare = ops.sigmoid(x * np.full(4, 0.5, "float32") - np.float32(9.0))
    report = verify(graph(x, rare))
    assert report.passed
    assert report.worst.scale < 0.01


def test_two_roundings_of_one_weight_may_add_up() -> None:
    """What a layer makes of one number of its own is rounded twice there, and once in the file."""
    for number in (0.3, 2.0, 3.0, 7.0):
        x = image(2)
        verify(graph(x, x / ops.maximum(ops.sqrt(ir.constant(np.float32(number))), ir.constant(np.float32(1e-7)))))


def test_vectors_that_are_multiplied_are_no_sizes() -> None:
    """Following numbers, onnx takes them for sizes, and refuses those of different lengths."""
    x, y = ir.input_value("x", "float32", (4,)), ir.input_value("y", "float32", (3,))
    outer = ops.expand_dims(x / ops.mean(x, 0, keepdims=True), 1) * ops.expand_dims(y + 1.0, 0)
    assert verify(Graph((x, y), (outer,), ("outer",))).passed


LARGE_IMAGES = [pytest.param(*sizes, marks=pytest.mark.slow) for sizes in ((150, 224), (300, 224), (224, 96))]


@pytest.mark.parametrize(("before", "after"), [(28, 32), (28, 128), *LARGE_IMAGES])
def test_images_brought_to_another_size_pass_although_onnxruntime_counts_in_float32(before: int, after: int) -> None:
    x = image(before, before, 1)
    g = graph(x, ops.image.resize(x, (after, after)))
    assert verify(g).passed
    moved = content(g).replace(b"half_pixel", b"asymmetric")
    with pytest.raises(VerificationError, match="the largest error is"):
        verification.verify(g, moved, threads=1)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "bool"])
def test_an_operation_that_is_none_at_some_sizes_is_judged_by_its_own_operand(dtype: str) -> None:
    x = ir.input_value("x", dtype, (BATCH, 4, 4, 3))
    assert verify(graph(x, ops.image.resize(ops.cast(x, "float32"), (4, 4), "nearest"))).passed
