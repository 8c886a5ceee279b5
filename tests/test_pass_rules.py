"""Single rules of the passes: what they do to small graphs, and where they leave things as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kit.graph_numbers import ops_of
from kit.small_graphs import (
    BATCH,
    GRAPHS,
    Weights,
    batch_norm,
    conv,
    graph,
    image,
    look_up,
    lstm,
    named,
)
from seqc import ops
from seqc.errors import ExportError, ShapeError
from seqc.export.pipelines import FOR_INFERENCE
from seqc.export.target import onnx_target
from seqc.graph import ir
from seqc.graph.ir import Graph, Value
from seqc.graph.target import Target
from seqc.ops.conv import Conv
from seqc.ops.normalization import BatchNormalization
from seqc.ops.random import RandomUniform
from seqc.ops.shape import Transpose, Unsqueeze, repeat_new_axis
from seqc.passes.affine import fold_affine
from seqc.passes.bias import fuse_bias
from seqc.passes.binding import bind_constants
from seqc.passes.constants import fold_constants
from seqc.passes.dropout import remove_dropout
from seqc.passes.duplicates import merge_duplicates
from seqc.passes.pipeline import run_passes
from seqc.passes.precision import promote_floats
from seqc.passes.shapes import simplify_shapes

TARGET = onnx_target()


def vector(n: int = 4) -> Value:
    return ir.input_value("x", "float32", (BATCH, n))


def test_batch_norm_folds_backwards_only() -> None:
    w, x = Weights(), image(4, 4, 2)
    y = batch_norm(w, "bn", x)
    after = fold_affine(graph(x, conv(w, "conv", named(ops.relu, "relu", y), 3)), TARGET)
    assert "BatchNormalization" in ops_of(after)


def test_batch_norm_stays_where_its_product_is_used_twice() -> None:
    w, x = Weights(), image(4, 4, 2)
    y = conv(w, "conv", x, 3, bias=False)
    assert "BatchNormalization" in ops_of(fold_affine(graph(x, batch_norm(w, "bn", y), ops.relu(y)), TARGET))


def test_batch_norm_over_another_axis_stays() -> None:
    w, x = Weights(), image(3, 4, 2)
    y = conv(w, "conv", x, 3, bias=False)
    norm = ir.apply(BatchNormalization(1, 1e-3), y, *(w.positive(n, 3) for n in "abcd"))
    assert "BatchNormalization" in ops_of(fold_affine(graph(x, norm), TARGET))


def test_batch_norm_is_folded_in_double_precision() -> None:
    w, x = Weights(), image(2, 2, 1)
    kernel = ir.constant(np.full((1, 1, 1, 1), 1 / 3, "float32"))
    small = ir.constant(np.full(1, 1e-7, "float32"))
    norm = ir.apply(BatchNormalization(3, 1e-3), ir.apply(Conv((1, 1)), x, kernel), small, small, small, small)
    (folded,) = fold_affine(graph(x, norm), TARGET).outputs
    expected = (
        np.float64(np.float32(1 / 3)) * np.float64(np.float32(1e-7)) / np.sqrt(np.float64(np.float32(1e-7)) + 1e-3)
    )
    assert isinstance(folded.op, Conv)
    assert folded.inputs[1].numpy().item() == np.float32(expected)
    assert w is not None


def test_folded_weights_keep_their_names() -> None:
    folded = run_passes(GRAPHS["bn_cnn"](), FOR_INFERENCE, TARGET)
    labels = {v.op.label for v in folded.walk() if isinstance(v.op, ir.Constant)}
    assert {"conv/kernel", "bn/beta", "conv_1/kernel", "conv_1/bias", "dense/kernel", "dense/bias"} <= labels


def test_a_bias_is_not_fused_into_a_product_with_another_user() -> None:
    w, x = Weights(), vector()
    product = ops.matmul(x, w("kernel", 4, 3))
    assert "Gemm" not in ops_of(fuse_bias(graph(x, product + w("bias", 3), ops.relu(product)), TARGET))


def test_a_bias_that_widens_the_product_is_not_fused() -> None:
    w, x = Weights(), ir.input_value("x", "float32", (1, 4))
    assert "Gemm" not in ops_of(fuse_bias(graph(x, ops.matmul(x, w("kernel", 4, 3)) + w("bias", 2, 3)), TARGET))


def test_a_bias_is_fused_from_either_side() -> None:
    w, x = Weights(), vector()
    assert ops_of(fuse_bias(graph(x, w("bias", 3) + ops.matmul(x, w("kernel", 4, 3))), TARGET)) == ["Gemm"]


def test_a_constant_that_would_grow_stays_a_computation() -> None:
    x, row = ir.input_value("x", "float32", (64, 64)), ir.constant(np.ones(64, "float32"))
    assert "Repeat" in ops_of(fold_constants(graph(x, x + repeat_new_axis(row, 64, 0)), TARGET))
    wide = ops.broadcast_like(row, ir.constant(np.zeros((64, 64), "float32")))
    assert "BroadcastLike" in ops_of(fold_constants(graph(x, x + wide), TARGET))


def test_large_weights_are_taken_apart_and_joined_once() -> None:
    w, x = Weights(), ir.input_value("x", "float32", (BATCH, 5, 64))
    planned = run_passes(graph(x, lstm(w, "lstm", x, 64)), FOR_INFERENCE, TARGET)
    assert ops_of(planned) == ["Transpose", "OnnxRecurrent", "Item", "Squeeze"]


def test_scalars_are_folded() -> None:
    x = vector()
    assert ops_of(fold_constants(graph(x, x * (ir.constant(np.float32(2)) + np.float32(3))), TARGET)) == ["Mul"]


def test_duplicates_are_merged_by_what_they_compute_not_by_where() -> None:
    x = vector()
    first, second = named(ops.tanh, "a", x), named(ops.tanh, "b", x)
    (y,) = merge_duplicates(graph(x, first + second), TARGET).outputs
    assert y.inputs[0] is y.inputs[1]
    assert y.inputs[0].scope == "a"


def test_inputs_of_the_same_kind_are_not_merged() -> None:
    a, b = vector(), vector()
    merged = merge_duplicates(Graph((a, b), (a + b,), ("y",)), TARGET)
    assert merged.outputs[0].inputs == (a, b)


def test_random_numbers_of_two_layers_are_not_merged() -> None:
    x, seed, step = vector(), ir.input_value("seed", "int64", ()), ir.input_value("step", "int64", ())
    y = ir.apply(RandomUniform(1), x, seed, step) + ir.apply(RandomUniform(2), x, seed, step)
    assert ops_of(merge_duplicates(Graph((x, seed, step), (y,), ("y",)), TARGET)).count("RandomUniform") == 2


def test_random_numbers_at_inference_are_refused() -> None:
    x, seed, step = vector(), ir.input_value("seed", "int64", ()), ir.input_value("step", "int64", ())
    with ir.scope("noise"):
        y = x + ir.apply(RandomUniform(1), x, seed, step)
    with pytest.raises(ExportError, match="Layer 'noise' draws random numbers at inference"):
        remove_dropout(Graph((x, seed, step), (y,), ("y",)), TARGET)


def test_ids_are_transposed_not_the_rows_they_look_up() -> None:
    ids = ir.input_value("ids", "int32", (BATCH, 6))
    rows = ops.transpose(look_up(Weights()("table", 9, 4), ids), (1, 0, 2))
    simple = simplify_shapes(graph(ids, rows), TARGET)
    assert ops_of(simple) == ["Transpose", "Gather"]
    assert simple.outputs[0].inputs[1].type.dtype == "int32"


def test_a_transpose_that_moves_features_stays_behind_the_look_up() -> None:
    ids = ir.input_value("ids", "int32", (BATCH, 6))
    rows = ops.transpose(look_up(Weights()("table", 9, 4), ids), (0, 2, 1))
    assert ops_of(simplify_shapes(graph(ids, rows), TARGET)) == ["Gather", "Transpose"]


def test_a_transpose_of_axes_of_size_one_is_a_reshape() -> None:
    x = image(5, 4, 1)
    assert ops_of(simplify_shapes(graph(x, ir.apply(Transpose((0, 3, 1, 2)), x)), TARGET)) == ["Reshape"]


def test_putting_an_axis_in_and_out_again_is_nothing() -> None:
    x = vector()
    y = ops.squeeze(ir.apply(Unsqueeze((1,)), x), 1)
    assert ops_of(simplify_shapes(graph(x, ops.relu(y)), TARGET)) == ["Relu"]


def test_a_broadcast_that_decides_the_shape_stays() -> None:
    x, scale = vector(), ir.input_value("scale", "float32", (4,))
    y = ops.broadcast_like(scale, x) * 2.0
    assert "BroadcastLike" in ops_of(simplify_shapes(Graph((x, scale), (y,), ("y",)), TARGET))


def test_binding_gives_constants_with_the_names_of_their_inputs() -> None:
    x, kernel = vector(), ir.input_value("dense/kernel", "float32", (4, 3))
    g = Graph((x, kernel), (ops.matmul(x, kernel),), ("y",))
    bound = bind_constants(g, {kernel: np.ones((4, 3), "float32")})
    assert bound.input_names == ("x",)
    assert "dense/kernel:float32[4, 3]" in str(bound)


def test_binding_another_shape_is_refused() -> None:
    x, kernel = vector(), ir.input_value("dense/kernel", "float32", (4, 3))
    g = Graph((x, kernel), (ops.matmul(x, kernel),), ("y",))
    with pytest.raises(ShapeError, match=r"'dense/kernel' is float32\[4, 3\]; got float64\[3, 4\]."):
        bind_constants(g, {kernel: np.ones((3, 4))})


def test_double_precision_reaches_every_part_of_a_graph() -> None:
    for name, build in GRAPHS.items():
        dtypes = {v.type.dtype for v in promote_floats(build()).walk() if not isinstance(v.result, tuple)}
        assert "float32" not in dtypes, name


def test_a_pass_that_fails_is_named() -> None:
    def break_everything(graph: Graph, _: Target) -> Graph:
        raise ShapeError("no")

    x = ir.input_value("x", "float32", (2,))
    graph = Graph((x,), (ops.exp(x),), ("y",))
    with pytest.raises(ShapeError, match="no") as caught:
        run_passes(graph, (merge_duplicates, break_everything), TARGET)
    assert caught.value.__notes__ == ["This happened in pass 2 of 2, break_everything."]


def test_the_graph_after_each_pass_is_shown_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQC_DUMP_IR", str(tmp_path / "ir"))
    x = ir.input_value("x", "float32", (2,))
    graph = Graph((x,), (ops.exp(x) + ops.exp(x),), ("y",))
    seen: list[tuple[int, str, str]] = []
    result = run_passes(graph, (merge_duplicates,), TARGET, lambda number, name, g: seen.append((number, name, str(g))))
    assert [(number, name) for number, name, _ in seen] == [(0, "start"), (1, "merge_duplicates")]
    assert seen[1][2] == str(result)
    (folder,) = (tmp_path / "ir").iterdir()
    written = {path.name: path.read_text() for path in folder.iterdir()}
    assert written == {f"{number:02}-{name}.txt": f"{text}\n" for number, name, text in seen}
