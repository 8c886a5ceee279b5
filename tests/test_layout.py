"""The layout plan: where tensors are moved, where they need not be, and that moving keeps every number in place."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.golden_text import check_golden
from kit.small_graphs import GRAPHS, Weights, conv, graph, image, named
from seqc import ops
from seqc.errors import ExportError, NoLoweringError
from seqc.export.images import FORMS
from seqc.export.pipelines import FOR_INFERENCE
from seqc.export.samples import draw_inputs
from seqc.export.target import onnx_target
from seqc.graph import ir
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph, Type
from seqc.graph.layout import Layout, LayoutRule, Merged, natural
from seqc.ops.elementwise import Unary
from seqc.ops.shape import Reshape, Transpose
from seqc.ops.transcendental import Tanh
from seqc.passes._cut import near_side
from seqc.passes._moves import arranged_shape, move
from seqc.passes.borders import accept_channels_first, give_channels_first
from seqc.passes.layout_plan import plan_layout
from seqc.passes.pipeline import run_passes
from seqc.passes.precision import promote_floats

SIZES = {"batch": 3, "time": 5, "height": 6, "width": 9}
# How many Transposes each graph may have: one at a border whose order of axes differs, none inside but where two
# directions become one axis. Of the seven of masked_sequences, four are at its outputs, two are of the ids, taken in
# either direction, and one is of the mask that zeroes outputs; masked_bidirectional has one output, and two more for
# the order in which either direction takes what the first layer gives.
TRANSPOSES = {
    "mlp": 0, "flat_cnn": 0, "flat_cnn_rgb": 1, "bn_cnn": 1, "depthwise_cnn": 1, "free_cnn": 0, "segmentation": 2,
    "sequence_cnn": 1, "lstm_stack": 2, "bidirectional": 2, "bidirectional_gru": 3, "bidirectional_outputs": 3,
    "masked_bidirectional": 6, "text": 1, "masked_text": 1, "masked_sequences": 7,
    "recurrent_norm": 2, "decoder": 0, "growing": 1, "growing_sequence": 2, "residual": 2,
}  # fmt: skip

TARGET = onnx_target()


def transposes(planned: Graph) -> int:
    return Counter(type(v.op) for v in planned.walk())[Transpose]


@pytest.mark.parametrize("name", GRAPHS)
def test_the_planned_graph_has_this_structure(name: str) -> None:
    check_golden(f"layout_{name}", str(run_passes(GRAPHS[name](), FOR_INFERENCE, TARGET)))


@pytest.mark.parametrize("name", GRAPHS)
def test_tensors_are_transposed_at_the_borders_only(name: str) -> None:
    assert transposes(run_passes(GRAPHS[name](), FOR_INFERENCE, TARGET)) == TRANSPOSES[name]


@pytest.mark.parametrize("name", ["flat_cnn", "flat_cnn_rgb", "bn_cnn", "depthwise_cnn", "free_cnn", "sequence_cnn"])
def test_no_transpose_is_left_when_the_input_comes_channels_first(name: str) -> None:
    assert transposes(run_passes(accept_channels_first(GRAPHS[name]()), FOR_INFERENCE, TARGET)) == 0


def test_channels_first_inputs_say_so_in_their_shape() -> None:
    (x,) = accept_channels_first(GRAPHS["flat_cnn_rgb"]()).inputs
    assert str(x.type) == "float32[batch, 3, 9, 8]"


def test_channels_first_inputs_give_the_same_numbers() -> None:
    whole = promote_floats(GRAPHS["flat_cnn_rgb"]())
    (x,) = draw_inputs(whole, SIZES, 0)
    (expected,) = Interpreter(whole).run([x])
    (shown,) = Interpreter(accept_channels_first(whole)).run([x.transpose(0, 3, 1, 2)])
    np.testing.assert_allclose(shown, expected, rtol=1e-12)


def test_no_transpose_is_left_when_both_ends_are_channels_first() -> None:
    both = give_channels_first(accept_channels_first(GRAPHS["segmentation"]()))
    assert str(both.outputs[0].type) == "float32[batch, 2, height, width]"
    assert transposes(run_passes(both, FOR_INFERENCE, TARGET)) == 0


@pytest.mark.parametrize("name", GRAPHS)
def test_nothing_is_left_that_onnx_has_channels_first_only(name: str) -> None:
    planned = run_passes(GRAPHS[name](), FOR_INFERENCE, TARGET)
    assert not {type(v.op) for v in planned.walk()} & {op for op in FORMS if op.lower is ir.Op.lower}


def test_a_convolution_that_was_not_planned_says_so() -> None:
    from seqc.export.emitter import write

    w, x = Weights(), image(6, 6, 2)
    for target in (TARGET, onnx_target(layout="channels_last")):
        unplanned = plan_layout(graph(x, conv(w, "conv", x, 3)), onnx_target(layout="channels_last"))
        with pytest.raises(NoLoweringError, match="Layer 'conv': Conv reaches ONNX channels-first: plan the layout"):
            write(unplanned, target)


def test_a_transpose_of_the_user_is_read_not_carried_out() -> None:
    w, x = Weights(), image(3, 6, 5)
    moved = named(ops.transpose, "permute", x, (0, 2, 3, 1))
    planned = run_passes(graph(x, named(ops.mean, "average", conv(w, "conv", moved, 4), (1, 2))), FOR_INFERENCE, TARGET)
    assert transposes(planned) == 0


def test_a_conversion_that_two_layers_want_is_made_once() -> None:
    w, x = Weights(), image(6, 6, 3)
    both = named(ops.add, "add", conv(w, "a", x, 4), conv(w, "b", x, 4, (1, 1)))
    planned = run_passes(graph(x, named(ops.mean, "average", both, (1, 2))), FOR_INFERENCE, TARGET)
    assert transposes(planned) == 1


def test_a_kernel_is_not_reordered_twice_when_its_product_has_two_users() -> None:
    w, x = Weights(), ir.input_value("code", "float32", (3, 4))
    flat = ops.matmul(x, w("kernel", 4, 24))
    picture = ops.reshape(flat, (-1, 3, 4, 2))
    planned = run_passes(graph(x, conv(w, "conv", picture, 2), flat), FOR_INFERENCE, TARGET)
    assert sum(type(v.op).__name__ == "MatMul" for v in planned.walk()) == 1


class Liar(Unary):
    """An op whose `layout_rule` says something else than it does."""

    function = np.tanh

    def layout_rule(self, y: ir.Value, x: Layout) -> LayoutRule | None:
        return LayoutRule(((1, 0),), Tanh(), natural(2))


def test_a_wrong_arrangement_is_refused() -> None:
    x = ir.input_value("x", "float32", (2, 3))
    with pytest.raises(ExportError, match=r"says it gives float32\[2, 3\] as \(0, 1\), and gives float32\[3, 2\]"):
        plan_layout(graph(x, ir.apply(Liar(), x)), TARGET)


@st.composite
def layouts(draw: st.DrawFn, sizes: tuple[int, ...]) -> Layout:
    """Any layout of a tensor of these sizes: axes in any order, the last one perhaps merged, units put in."""
    axes = list(draw(st.permutations(range(len(sizes)))))
    entries: list[int | Merged | None] = list(axes)
    if sizes[-1] == 12 and draw(st.booleans()):
        order = tuple(draw(st.permutations(range(3))))
        entries[axes.index(len(sizes) - 1)] = Merged(len(sizes) - 1, order, (2, 1, 6))
    for _ in range(draw(st.integers(0, 2))):
        entries.insert(draw(st.integers(0, len(entries))), None)
    return tuple(entries)


def arranged(x: Array, layout: Layout) -> Array:
    """What `move` must give, said with NumPy."""
    axes = [e.axis if isinstance(e, Merged) else e for e in layout if e is not None]
    moved = x
    for entry in layout:
        if isinstance(entry, Merged):
            parts = moved.reshape(*moved.shape[:-1], *entry.sizes)
            front = list(range(moved.ndim - 1))
            moved = parts.transpose(*front, *(len(front) + o for o in entry.order)).reshape(moved.shape)
    shape: Any = arranged_shape(layout, Type("float64", x.shape))
    return moved.transpose(axes).reshape(shape)


@given(st.data())
def test_moving_keeps_every_number_in_its_place(data: st.DataObject) -> None:
    shape = (*data.draw(st.lists(st.sampled_from([1, 2, 3]), min_size=1, max_size=3)), 12)
    have, want = data.draw(layouts(shape)), data.draw(layouts(shape))
    x = np.arange(float(np.prod(shape))).reshape(shape)
    source = ir.constant(arranged(x, have))
    np.testing.assert_array_equal(move(source, Type("float64", shape), have, want).numpy(), arranged(x, want))


@given(st.data())
def test_moving_is_a_view_where_the_elements_keep_their_order(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.sampled_from([1, 2, 3]), min_size=2, max_size=4)))
    x = ir.input_value("x", "float32", shape)
    order = data.draw(st.permutations(range(len(shape))))
    moved = move(x, x.type, natural(len(shape)), tuple(order))
    kept = [a for a in order if shape[a] != 1]
    nodes = [v for v in Graph((x,), (moved,), ("y",)).walk() if v.inputs]
    assert any(isinstance(v.op, Transpose) for v in nodes) == (kept != sorted(kept))


def test_flattening_keeps_a_merged_layout_for_the_dense_layer() -> None:
    flat = Reshape((0, -1))
    x = ir.input_value("x", "float32", (2, 3, 4, 5))
    given = flat.layout_rule(ir.apply(flat, x), (0, 3, 1, 2))
    assert given is not None
    assert given.gives == (0, Merged(1, (2, 0, 1), (3, 4, 5)))


@given(st.lists(st.sets(st.sampled_from(["near", "far", *range(5)]), min_size=2, max_size=4), max_size=8))
def test_the_cut_costs_no_more_than_any_other(nets: list[set[Any]]) -> None:
    def cost(side: set[Any]) -> int:
        return sum(bool(net & side) and not net <= side for net in nets)

    inner = [node for node in range(5) if any(node in net for net in nets)]
    sides: list[set[Any]] = [
        {"near", *some} for count in range(len(inner) + 1) for some in itertools.combinations(inner, count)
    ]
    least = min(map(cost, sides))
    found = near_side(nets, "near", "far") | {"near"}
    assert "far" not in found
    assert cost(found) == least
    # Of all cuts as cheap, the one with the least on the near side, so that tensors are moved where they come in.
    assert all(found <= side for side in sides if cost(side) == least)
