"""A graph for each pass: what it is applied to where it is looked at."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kit.rewritten_graphs import (
    with_activations,
    with_gelus,
    with_groups,
    with_heads,
    with_mean_squares,
    with_parts,
    with_pixels,
    with_slopes,
    with_steps,
)
from kit.small_graphs import (
    BATCH,
    GRAPHS,
    Weights,
    batch_norm,
    conv,
    dense,
    graph,
    image,
    look_up,
    lstm,
    named,
    transposed,
)
from seqc import ops
from seqc.export.activations.gelu import spread_gelu
from seqc.export.activations.recognition import recognize_activations
from seqc.export.activations.slopes import recognize_slopes
from seqc.export.bodies import prepare_bodies
from seqc.export.images.bias import fuse_channel_bias
from seqc.export.normalization.recognition import recognize_groups, recognize_mean_squares
from seqc.export.pipelines import FOR_INFERENCE
from seqc.export.recurrent.directions import join_directions
from seqc.export.recurrent.gradients import scan_recurrent_gradients
from seqc.export.recurrent.lowering import lower_recurrent
from seqc.export.recurrent.masking import join_masked_layers, take_ids
from seqc.export.splitting import join_slices
from seqc.export.target import onnx_target
from seqc.graph import ir
from seqc.graph.autodiff import gradients
from seqc.graph.ir import Graph, Value
from seqc.ops.random import Dropout, RandomUniform
from seqc.ops.rnn import gru, simple_rnn
from seqc.ops.shape import Reshape
from seqc.ops.steps import Scan
from seqc.passes.affine import fold_affine
from seqc.passes.bias import fuse_bias
from seqc.passes.constants import fold_constants
from seqc.passes.decomposition import decompose_ops
from seqc.passes.dropout import remove_dropout
from seqc.passes.duplicates import merge_duplicates
from seqc.passes.flattening import flatten_pixels
from seqc.passes.integers import cast_to_truth, widen_integers
from seqc.passes.layout_plan import plan_layout
from seqc.passes.limits import join_limits
from seqc.passes.padding import fold_padding
from seqc.passes.pipeline import Pass, run_passes
from seqc.passes.precision import promote_floats
from seqc.passes.projections import pack_projections
from seqc.passes.scaling import fold_scale
from seqc.passes.shapes import simplify_shapes
from seqc.passes.strides import fold_strides

TARGET = onnx_target()


def vector(n: int = 4) -> Value:
    return ir.input_value("x", "float32", (BATCH, n))


def with_dropout() -> Graph:
    x, seed, step = vector(), ir.input_value("seed", "int64", ()), ir.input_value("step", "int64", ())
    with ir.scope("dropout"):
        kept = ir.apply(Dropout(0.5), x, ir.apply(RandomUniform(1), x, seed, step))
    return Graph((x, seed, step), (ops.tanh(kept),), ("y",))


def with_averages() -> Graph:
    """A gradient that ONNX has no operator for."""
    x = image(5, 4, 2)
    loss = ops.sum(ops.square(ops.average_pool(x, (2, 2), padding="same")))
    return graph(x, gradients(loss, [x])[0])


def with_constants() -> Graph:
    w, x = Weights(), vector()
    scale = ops.exp(w("scale", 4)) * 2.0
    return graph(x, x * scale + ops.transpose(w("shift", 4, 1)))


def with_duplicates() -> Graph:
    x = vector()
    return graph(x, ops.tanh(x + 1.0) * ops.tanh(x + 1.0))


def with_biases() -> Graph:
    w, x = Weights(), image(4, 4, 2)
    y = named(ops.relu, "relu", conv(w, "conv", x, 3))
    per_pixel = dense(w, "per_pixel", y, 2)
    flat = named(ops.mean, "average", per_pixel, (1, 2))
    return graph(x, dense(w, "dense", flat, 4))


def with_batch_norms() -> Graph:
    """Batch normalizations after what they can become part of, and after what they cannot.

    After a convolution with a bias, a matrix product, a product of higher rank, an activation, and transposed
    convolutions with and without groups.
    """
    w, x = Weights(), image(4, 4, 2)
    y = batch_norm(w, "bn", conv(w, "conv", x, 3))
    y = batch_norm(w, "bn_1", dense(w, "per_pixel", y, 4))
    y = batch_norm(w, "bn_2", named(ops.relu, "relu", y))
    y = batch_norm(w, "bn_4", transposed(w, "transposed", y, 2))
    y = batch_norm(w, "bn_5", transposed(w, "grouped", y, 2, groups=2))
    y = named(ops.mean, "average", y, (1, 2))
    return graph(x, batch_norm(w, "bn_3", dense(w, "dense", y, 2, bias=False)))


def with_padding(size: int = 8) -> Graph:
    """In front of convolutions that do not pad, pad already, and pad by their size; around channels; of ones."""
    w, x = Weights(), image(size, size, 2)
    edges = ((0, 0), (1, 2), (0, 1), (0, 0))
    y = conv(w, "conv", ops.pad(x, edges), 3, padding="valid")
    y = conv(w, "conv_1", ops.pad(y, edges), 3, padding=((1, 0), (0, 1)))
    y = conv(w, "conv_2", ops.pad(y, edges), 3, padding="same", strides=(2, 2))
    y = conv(w, "conv_3", ops.pad(y, ((0, 0), (0, 0), (0, 0), (1, 0))), 3, padding="valid")
    return graph(x, conv(w, "conv_4", ops.pad(y, edges, constant_values=1), 3, padding="valid"))


def with_scales(size: int = 8) -> Graph:
    """Scales and offsets before padded, grouped and depthwise convolutions and a product; offsets; one of space."""
    w, x = Weights(), image(size, size, 2)
    y = conv(w, "conv", (x * 0.5 - np.array([1.0, 2.0], "f")) / np.array([4.0, 0.25], "f"), 4)
    y = conv(w, "conv_1", 1.5 - y * np.arange(1, 5, dtype="f"), 4, groups=2)
    y = conv(w, "conv_2", y * np.arange(1, 5, dtype="f"), 8, groups=4)
    y = conv(w, "conv_3", (y + 3.0) * 1.0, 3)
    y = conv(w, "conv_4", y + 1.0, 3)
    y = conv(w, "conv_5", y * np.arange(1, size + 1, dtype="f").reshape(1, size, 1), 3)
    nothing = conv(w, "conv_6", y * 0.0, 3)
    return graph(x, dense(w, "dense", (ops.max(nothing, (1, 2)) * 3.0 + 1.0) / 2.0, 3), y)


def with_shapes() -> Graph:
    w, ids = Weights(), ir.input_value("ids", "int32", (BATCH, 6))
    rows = ops.transpose(look_up(w("table", 9, 4), ids), (1, 0, 2))
    split = ir.apply(Reshape((0, 0, 2, 2)), rows)
    turned = ops.transpose(ops.transpose(split, (1, 0, 3, 2)), (1, 0, 3, 2))
    return graph(ids, ops.flip(ops.flip(ir.apply(Reshape((0, 0, 4)), turned), 0), 0) * ops.ones_like(rows))


def with_masks() -> Graph:
    w, ids = Weights(), ir.input_value("ids", "int32", (BATCH, 6))
    rows, mask = look_up(w("table", 9, 3), ids), ops.not_equal(ids, 0)
    y = lstm(w, "lstm_1", lstm(w, "lstm", rows, 2, True, mask=mask), 2, mask=mask)
    before = FOR_INFERENCE[: FOR_INFERENCE.index(plan_layout)]
    return run_passes(graph(ids, y), before, TARGET)


def with_taken_rows() -> Graph:
    w, ids = Weights(), ir.input_value("ids", "int32", (BATCH, 6))
    y = lstm(w, "lstm", look_up(w("table", 9, 3), ids), 2, True, mask=ops.not_equal(ids, 0))
    return run_passes(graph(ids, y), (lower_recurrent, merge_duplicates, simplify_shapes), TARGET)


def with_states() -> Graph:
    x, mask, start = (
        ir.input_value(n, k, d)
        for n, k, d in (("x", "float32", (BATCH, 4, 3)), ("mask", "bool", (BATCH, 4)), ("start", "float32", (BATCH, 2)))
    )
    w = Weights()
    weights = (w("kernel", 3, 6), w("recurrent_kernel", 2, 6), w("bias", 2, 6))
    return Graph((x, mask, start), gru(x, *weights, (start,), mask, reverse=True), ("outputs", "last"))


def with_recurrent_gradients() -> Graph:
    x, mask = ir.input_value("x", "float32", (BATCH, 4, 3)), ir.input_value("mask", "bool", (BATCH, 4))
    w = Weights()
    weights = (w("kernel", 3, 2), w("recurrent_kernel", 2, 2), w("bias", 2))
    outputs, _ = simple_rnn(x, *weights, mask=mask, reverse=True)
    return Graph((x, mask), (*gradients(ops.sum(outputs), [x, *weights]),), ("dx", "dw", "dr", "db"))


def with_directions() -> Graph:
    before = FOR_INFERENCE[: FOR_INFERENCE.index(join_directions)]
    return run_passes(GRAPHS["bidirectional_gru"](), before, TARGET)


def with_bodies() -> Graph:
    """A step that reads a weight, takes a constant apart, and says what ONNX has no operator for."""
    w = Weights()
    state, step, kernel = (ir.input_value(n, "float32", d) for n, d in (("s", (2, 3)), ("x", (2, 3)), ("k", (3, 6))))
    first, second = ops.split(kernel, 2, axis=1)
    new = ops.matmul(state, first) + ops.matmul(step, second)
    body = Graph((state, step, kernel), (new, ops.mean(new, 1, True) + new), ("next", "output"))
    x, start = ir.input_value("x", "float32", (4, 2, 3)), ir.input_value("start", "float32", (2, 3))
    return Graph((x, start), ir.apply_many(Scan(body, 1, 1), start, x, w("kernel", 3, 6)), ("last", "outputs"))


def with_limits() -> Graph:
    """A relu up to six, limits that do not meet, and one that has another user and so stays."""
    x = ir.input_value("x", "float32", (2, 3))
    low = ops.clip(x, -2.0, -1.0)
    return graph(x, ops.clip(ops.relu(x), 0.0, 6.0), ops.relu(low), ops.clip(low, -1.5, None))


def with_narrow_integers() -> Graph:
    """What ONNX has for wider integers only, for these as well, and for none so wide."""
    small, large = (ir.input_value(n, n, (2, 3)) for n in ("int16", "uint64"))
    results = [ops.max(small, 1), ops.cumsum(small, 1), small + small, ops.power(large, large), ops.max(large, 1)]
    return Graph((small, large), tuple(results), tuple("abcde"))


def with_comparisons() -> Graph:
    """Integers other than zero, and what looks like that: with floats, another number, or more rows."""
    ids, x = ir.input_value("ids", "int32", (BATCH, 6)), ir.input_value("x", "float32", (BATCH, 6))
    zeros = ir.constant(np.zeros((1, 1, 1), "int32"))
    results = [ops.not_equal(ids, 0), ops.not_equal(ids, 1), ops.not_equal(ids, zeros), ops.not_equal(x, 0.0)]
    return Graph((ids, x), (*results, ops.equal(ids, 0)), tuple("abcde"))


CASES: dict[str, tuple[Callable[[], Graph], Pass]] = {
    "remove_dropout": (with_dropout, remove_dropout),
    "widen_integers": (with_narrow_integers, widen_integers),
    "cast_to_truth": (with_comparisons, cast_to_truth),
    "decompose_ops": (with_averages, decompose_ops),
    "fold_constants": (with_constants, fold_constants),
    "merge_duplicates": (with_duplicates, merge_duplicates),
    "fuse_bias": (with_biases, fuse_bias),
    "fold_padding": (with_padding, fold_padding),
    "fold_scale": (with_scales, fold_scale),
    "fold_affine": (lambda: fuse_bias(with_batch_norms(), TARGET), fold_affine),
    "fold_strides": (with_steps, fold_strides),
    "flatten_pixels": (with_pixels, flatten_pixels),
    "recognize_activations": (with_activations, recognize_activations),
    "recognize_slopes": (with_slopes, recognize_slopes),
    "recognize_groups": (lambda: run_passes(with_groups(), (merge_duplicates,), TARGET), recognize_groups),
    "recognize_mean_squares": (with_mean_squares, recognize_mean_squares),
    "spread_gelu": (lambda: run_passes(with_gelus(), (recognize_activations, fuse_bias), TARGET), spread_gelu),
    "simplify_shapes": (with_shapes, simplify_shapes),
    "join_directions": (with_directions, join_directions),
    "prepare_bodies": (with_bodies, prepare_bodies),
    "join_limits": (with_limits, join_limits),
    "pack_projections": (with_heads, pack_projections),
    "join_slices": (with_parts, join_slices),
    "lower_recurrent": (with_states, lower_recurrent),
    "take_ids": (with_taken_rows, take_ids),
    "scan_recurrent_gradients": (with_recurrent_gradients, scan_recurrent_gradients),
    "join_masked_layers": (with_masks, join_masked_layers),
    "plan_layout": (with_biases, plan_layout),
    "fuse_channel_bias": (
        lambda: run_passes(with_biases(), (plan_layout, fold_constants), TARGET),
        fuse_channel_bias,
    ),
    "promote_floats": (with_biases, lambda g, _: promote_floats(g)),
}
