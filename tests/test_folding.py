"""Passes that say the same with fewer nodes: what each folds, what it leaves, and that the numbers are kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kit.graph_numbers import assert_same_numbers, ops_of
from kit.rewritten_graphs import with_activations
from kit.small_graphs import BATCH, HEIGHT, TIME, WIDTH, Weights, batch_norm, conv, dense, graph, image, transposed
from seqc import ops
from seqc.export.activations.recognition import recognize_activations
from seqc.export.images.bias import fuse_channel_bias
from seqc.export.target import onnx_target
from seqc.graph import ir
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Value
from seqc.ops.conv import Conv
from seqc.passes.affine import fold_affine
from seqc.passes.bias import fuse_bias
from seqc.passes.constants import fold_constants
from seqc.passes.layout_plan import plan_layout
from seqc.passes.padding import fold_padding
from seqc.passes.pipeline import run_passes
from seqc.passes.precision import promote_floats
from seqc.passes.scaling import fold_scale
from seqc.passes.strides import fold_strides

TARGET = onnx_target()


def test_activations_keep_their_numbers_however_they_are_written() -> None:
    before, at_20 = with_activations(), onnx_target(20)
    for target in (onnx_target(13), TARGET, at_20):
        after = recognize_activations(before, target)
        assert_same_numbers(promote_floats(before), promote_floats(after))
        found = ops_of(after)
        assert (found.count("HardSigmoid"), found.count("HardSwish")) == (5, 3)
        assert found.count("Gelu") == (4 if target is at_20 else 3)


def test_scales_and_offsets_behind_products_are_folded() -> None:
    w, x = Weights(), image(5, 6, 2)
    y = conv(w, "conv", x, 3, bias=False) * w("scale", 3)
    y = 1.5 - transposed(w, "transposed", y, 4) / w.positive("divisor", 1, 1, 1, 4)
    y = batch_norm(w, "bn", dense(w, "per_pixel", y, 3) * 0.25) - w("shift", 3)
    y = dense(w, "dense", ops.max(y, (1, 2)), 2, bias=False) * 2.0
    before = promote_floats(graph(x, y))
    after = fold_affine(before, TARGET)
    assert ops_of(after) == ["Conv", "ConvTranspose", "MatMul", "Add", "ReduceMax", "MatMul"]
    assert_same_numbers(before, after)


def test_a_norm_behind_joined_products_is_folded_into_each() -> None:
    w, x = Weights(), image(5, 6, 2)
    parts = [conv(w, "conv", x, 3), dense(w, "dense", x, 1), conv(w, "conv_1", x, 2, bias=False)]
    joined = batch_norm(w, "bn", ops.concatenate([ops.concatenate(parts[:2], -1), parts[2]], -1)) * 0.5
    not_all = batch_norm(w, "bn_1", ops.concatenate([conv(w, "conv_2", x, 3), x], -1))
    along_height = batch_norm(w, "bn_2", ops.concatenate([conv(w, "conv_3", x, 3), conv(w, "conv_4", x, 3)], 1))
    before = fuse_bias(promote_floats(graph(x, joined, not_all, along_height)), TARGET)
    after = fold_affine(before, TARGET)
    assert ops_of(after).count("BatchNormalization") == 2
    assert "Mul" not in ops_of(after)
    assert_same_numbers(before, after)


def test_joined_tensors_of_any_size_are_scaled_behind() -> None:
    x = ir.input_value("x", "float32", (BATCH, WIDTH))
    before = graph(x, ops.concatenate([x, ops.tanh(x)], -1) * 2.0)
    assert ops_of(fold_affine(before, TARGET)) == ["Tanh", "Concat", "Mul"]


def test_arithmetic_stays_where_it_cannot_be_folded() -> None:
    w, x = Weights(), image(5, 6, 2)
    kernel = w("kernel", 2, 3)
    shared = ops.concatenate([ops.matmul(x, kernel) * 2.0, ops.matmul(ops.relu(x), kernel)], -1)
    per_row = conv(w, "conv", x, 3) * w("rows", 5, 1, 1)
    endless = conv(w, "conv_1", x, 3) / ir.constant(np.zeros(3, "f"))
    inverse = 2.0 / conv(w, "conv_2", x, 3)
    read_twice = conv(w, "conv_3", x, 3)
    before = fuse_bias(graph(x, shared, per_row, endless, inverse, read_twice * 3.0, read_twice), TARGET)
    assert ops_of(fold_affine(before, TARGET)) == ops_of(before)


def test_weights_that_would_vanish_or_overflow_stay() -> None:
    w, x = Weights(), image(5, 6, 2)
    for factor in (1e-30, 1e30):
        y = ir.apply(Conv((1, 1)), x, ir.constant(np.full((1, 1, 2, 3), factor, "f"))) * np.full(3, factor, "f")
        assert ops_of(fold_affine(graph(x, y), TARGET)) == ["Conv", "Mul"]
    y = conv(w, "conv", x, 3) * np.array([1e-30, 0, 1], "f")
    assert ops_of(fold_affine(fuse_bias(graph(x, y), TARGET), TARGET)) == ["Conv"]


def test_convolutions_step_over_pixels_of_images_of_any_size() -> None:
    w, x = Weights(), ir.input_value("free", "float32", (BATCH, HEIGHT, WIDTH, 2))
    sampled = ops.average_pool(x, 1, 2)
    small, large = conv(w, "conv", sampled, 3, (1, 1), padding="valid"), conv(w, "conv_1", sampled, 3, padding="valid")
    before = promote_floats(graph(x, small + ops.max_pool(ops.relu(small), 1, 1), large))
    after = fold_strides(before, TARGET)
    assert "AveragePool" not in ops_of(after)
    assert_same_numbers(before, after)


def test_convolutions_pad_by_themselves_whatever_else_reads_the_padding() -> None:
    w, x = Weights(), image(4, 4, 2)
    y = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    two = [conv(w, f"conv_{i}", y, 3, padding="valid") for i in range(2)]
    for outputs, pads in ((two, 0), ([*two, ops.relu(y)], 1)):
        before = promote_floats(graph(x, *outputs))
        after = fold_padding(before, TARGET)
        assert ops_of(after).count("Pad") == pads
        assert all(y.inputs[0].inputs[0] is after.inputs[0] for y in after.outputs[:2])
        assert_same_numbers(before, after)


def test_what_is_padded_and_cut_is_padded_once() -> None:
    x, free = image(4, 5, 2), ir.input_value("free", "float32", (BATCH, HEIGHT, WIDTH, 2))

    def padded(x: Value, *pads: tuple[int, int]) -> Value:
        return ops.pad(x, ((0, 0), *pads, (0, 0)), constant_values=0.5)

    read_twice = padded(x, (1, 1), (1, 1))
    cases = {
        "shifted": (padded(x, (0, 1), (0, 1))[:, 1:, 1:], True),
        "inside": (padded(x, (2, 3), (1, 1))[:, 1:-1, :-1], True),
        "as_it_was": (padded(x, (2, 3), (0, 0))[:, 2:-3], True),
        "channels": (padded(x, (0, 1), (0, 1))[:, 1:, :, 1:], True),
        "all_but_padding": (padded(x, (0, 3), (0, 0))[:, 5:], False),
        "steps": (padded(x, (0, 1), (0, 1))[:, ::2], False),
        "read_twice": (read_twice[:, 1:] * ops.sum(read_twice), False),
        "free": (padded(free, (0, 1), (0, 1))[:, 1:, 1:], True),
        "free_end": (padded(free, (1, 1), (0, 2))[:, :-1, :-1], True),
        "free_much": (padded(free, (0, 3), (0, 0))[:, 2:], False),
    }
    for name, (y, folds) in cases.items():
        before = promote_floats(graph(free if name.startswith("free") else x, y))
        after = fold_padding(before, TARGET)
        assert ("Slice" not in ops_of(after)) == folds, name
        assert_same_numbers(before, after)


def test_what_is_truncated_padded_and_cut_keeps_its_length_where_that_is_less() -> None:
    x = ir.input_value("x", "float32", (BATCH, TIME, 3))
    for before, last in ((2, 11), (1, 10)):
        y = ops.pad(x[:, :10], ((0, 0), (before, 0), (0, 0)))[:, :last]
        g = promote_floats(graph(x, y))
        after = fold_padding(g, TARGET)
        for length in (4, 10, 12):
            array = np.arange(6 * length, dtype="float64").reshape(2, length, 3)
            (wanted,), (got,) = (Interpreter(one).run([array]) for one in (g, after))
            np.testing.assert_array_equal(got, wanted)


def test_a_bias_is_fused_into_a_product_that_became_a_convolution() -> None:
    w, x = Weights(), image(4, 5, 3)
    y = dense(w, "dense", ops.relu(conv(w, "conv", x, 4)), 6)
    before = run_passes(promote_floats(graph(x, conv(w, "conv_1", ops.tanh(y), 2))), (fuse_bias, plan_layout), TARGET)
    after = fuse_channel_bias(fold_constants(before, TARGET), TARGET)
    assert ops_of(before).count("Add") == 1
    assert ops_of(after).count("OnnxConv") == 3
    assert "Add" not in ops_of(after)
    assert_same_numbers(before, after)


# What is done alike to all pixels of a channel, and whether it goes into the weights of the product behind it.
IN_FRONT: dict[str, tuple[Callable[[Weights, Value], Value], list[str] | None]] = {
    "mean": (lambda w, x: dense(w, "d", ops.mean(batch_norm(w, "bn", x), (1, 2)), 3), ["ReduceMean", "Gemm"]),
    "flattened": (
        lambda w, x: dense(w, "d", ops.reshape(ops.max_pool(x / 2.0 - 0.5, (2, 2)), (-1, 16)), 3),
        ["MaxPool", "Reshape", "Gemm"],
    ),
    "pixels": (lambda w, x: dense(w, "d", batch_norm(w, "bn", x), 3), ["MatMul", "Add"]),
    "valid": (
        lambda w, x: conv(
            w, "c", ops.average_pool(batch_norm(w, "b", x) / 2.0, 2), 4, (2, 1), groups=2, padding="valid"
        ),
        ["AveragePool", "Conv"],
    ),
    "padded": (lambda w, x: conv(w, "c", batch_norm(w, "bn", x), 4), ["BatchNormalization", "Conv"]),
    "turned": (lambda w, x: conv(w, "c", ops.max_pool(x * -2.0, 2), 4), ["Mul", "MaxPool", "Conv"]),
    "rescaled": (lambda w, x: conv(w, "c", x / 127.5 - 1.0, 4, padding="valid"), ["Conv"]),
    "far from zero": (lambda w, x: conv(w, "c", (x - 300.0) / 2.0, 4, padding="valid"), ["Add", "Conv"]),
    "over channels": (lambda w, x: dense(w, "d", ops.mean(batch_norm(w, "bn", x), (2, 3)), 3), None),
    "read twice": (lambda w, x: dense(w, "d", ops.mean((y := batch_norm(w, "bn", x)), (1, 2)), 3) * ops.max(y), None),
}


@pytest.mark.parametrize("name", IN_FRONT)
def test_what_stands_in_front_of_a_product_goes_into_it(name: str) -> None:
    make, expected = IN_FRONT[name]
    w, x = Weights(), image(5, 5, 4)
    before = fuse_bias(promote_floats(graph(x, make(w, ops.relu(x)))), TARGET)
    after = run_passes(before, (fold_scale, fold_affine), TARGET)
    assert ops_of(after)[ops_of(after).index("Relu") + 1 :] == (
        expected or ops_of(before)[ops_of(before).index("Relu") + 1 :]
    )
    assert_same_numbers(before, after)
