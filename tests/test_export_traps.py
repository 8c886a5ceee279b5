"""What has broken other exporters: one test per trap, named after the rule that keeps seqc out of it."""

from __future__ import annotations

from collections.abc import Sequence
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
    batch_norm,
    conv,
    dense,
    graph,
    image,
    lstm,
    named,
    sequence,
)
from seqc import ops
from seqc.errors import ExportError
from seqc.export.samples import draw_inputs
from seqc.graph import ir
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph
from seqc.ops.random import Dropout, RandomUniform
from seqc.ops.shape import Reshape
from seqc.passes.precision import promote_floats

onnx_models = pytest.importorskip("kit.onnx_models", reason="needs onnx")
backend = pytest.importorskip("seqc.backends.onnxruntime")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")


def run(g: Graph, arrays: Sequence[Array], model: Any = None) -> list[Array]:
    """The graph's outputs from onnxruntime."""
    shown = onnx_models.content(onnx_models.compiled(g) if model is None else model)
    results = backend.Session(shown, threads=1).run(dict(zip(g.input_names, arrays, strict=True)))
    return [results[name] for name in g.output_names]


def truth(g: Graph, arrays: Sequence[Array]) -> list[Array]:
    wide = [a.astype("float64") if a.dtype == np.float32 else a for a in arrays]
    return [np.asarray(a) for a in Interpreter(promote_floats(g)).run(wide)]


def assert_agrees(g: Graph, *arrays: Array, tolerance: float = 3e-6) -> None:
    for got, exact in zip(run(g, arrays), truth(g, arrays), strict=True):
        assert got.shape == exact.shape
        np.testing.assert_allclose(got, exact, rtol=tolerance, atol=tolerance)


def drawn(g: Graph, **sizes: int) -> list[Array]:
    return draw_inputs(g, sizes, seed=sum(sizes.values()))


# -- padding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pads"),
    [(7, 3, 2, (1, 1)), (8, 3, 2, (0, 1)), (8, 5, 2, (1, 2)), (9, 5, 3, (1, 1)), (8, 2, 1, (0, 1)), (5, 1, 2, (0, 0))],
)
def test_same_padding_with_stride_is_asymmetric(size: int, kernel: int, stride: int, pads: tuple[int, int]) -> None:
    w, x = Weights(), image(size, size, 2)
    g = graph(x, conv(w, "conv", x, 3, (kernel, kernel), (stride, stride)))
    written = onnx_models.attributes(onnx_models.only(onnx_models.compiled(g), "Conv"))
    assert written.get("pads", [0, 0, 0, 0]) == [pads[0], pads[0], pads[1], pads[1]]
    assert_agrees(g, *drawn(g, batch=2))


@pytest.mark.parametrize("name", ["flat_cnn", "bn_cnn", "depthwise_cnn", "sequence_cnn", "decoder"])
def test_auto_pad_is_never_written_for_known_sizes(name: str) -> None:
    for node in onnx_models.compiled(GRAPHS[name]()).graph.node:
        assert "auto_pad" not in onnx_models.attributes(node)


@pytest.mark.parametrize("height", [5, 6, 7, 8])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_padding_of_free_sizes_follows_each_size(height: int, stride: int) -> None:
    w, x = Weights(), image(HEIGHT, WIDTH, 2)
    y = conv(w, "conv", x, 3, (3, 2), (stride, stride))
    pools = (ops.max_pool, ops.average_pool)
    g = graph(x, *(named(pool, f"pool{i}", y, (2, 2), (stride, stride), "same") for i, pool in enumerate(pools)))
    assert_agrees(g, *drawn(g, batch=2, height=3 * height, width=3 * height + 1))


@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_causal_padding_is_on_the_left_and_grows_with_dilation(dilation: int) -> None:
    w, x = Weights(), sequence(2)
    with ir.scope("conv"):
        y = ops.conv(x, w("conv/kernel", 3, 2, 4), 1, ((2 * dilation, 0),), dilation_rate=dilation)
    g = graph(x, y)
    assert onnx_models.attributes(onnx_models.only(onnx_models.compiled(g), "Conv"))["pads"] == [0, 2 * dilation, 0, 0]
    (steps,) = drawn(g, batch=2, time=9)
    assert_agrees(g, steps)
    changed = steps.copy()
    changed[:, 5:] += 1
    np.testing.assert_array_equal(run(g, [steps])[0][:, :5], run(g, [changed])[0][:, :5])


def test_average_pooling_does_not_count_padding() -> None:
    x = image(5, 5, 1)
    g = graph(x, named(ops.average_pool, "pool", x, (3, 3), (2, 2), "same"))
    assert onnx_models.attributes(onnx_models.only(onnx_models.compiled(g), "AveragePool"))["count_include_pad"] == 0
    np.testing.assert_allclose(run(g, [np.ones((1, 5, 5, 1), "float32")])[0], 1, rtol=1e-6)


def test_max_pooling_of_negative_numbers_does_not_see_padding() -> None:
    x = image(5, 5, 1)
    g = graph(x, named(ops.max_pool, "pool", x, (3, 3), (2, 2), "same"))
    assert run(g, [np.full((1, 5, 5, 1), -3, "float32")])[0].max() == -3


# -- kernels ---------------------------------------------------------------------------------------------------------


def test_depthwise_channels_come_input_by_input() -> None:
    w, x = Weights(), image(4, 4, 3)
    g = graph(x, conv(w, "depthwise", x, 6, (2, 2), groups=3, padding="valid", bias=False))
    arrays = drawn(g, batch=2)
    kernel = Weights()("depthwise/kernel", 2, 2, 1, 6).numpy().astype("float64")
    patches = np.lib.stride_tricks.sliding_window_view(arrays[0].astype("float64"), (2, 2), (1, 2))
    by_hand = np.stack([(patches[:, :, :, c // 2] * kernel[:, :, 0, c]).sum((-1, -2)) for c in range(6)], -1)
    np.testing.assert_allclose(run(g, arrays)[0], by_hand, rtol=1e-5, atol=1e-5)
    assert onnx_models.attributes(onnx_models.only(onnx_models.compiled(g), "Conv"))["group"] == 3


def test_flatten_order_permutes_the_dense_kernel() -> None:
    model = onnx_models.compiled(GRAPHS["flat_cnn_rgb"]())
    natural = next(
        v.op.array for v in GRAPHS["flat_cnn_rgb"]().walk()
        if isinstance(v.op, ir.Constant) and v.op.label == "dense/kernel"
    )  # fmt: skip
    by_hand = natural.reshape(2, 2, 5, 4).transpose(2, 0, 1, 3).reshape(20, 4)
    np.testing.assert_array_equal(onnx_models.initializer(model, "dense/kernel"), by_hand)
    assert onnx_models.counts(model)["Transpose"] == 1


def test_dense_on_more_than_two_axes_is_no_gemm() -> None:
    w, x = Weights(), sequence(3)
    assert onnx_models.counts(onnx_models.compiled(graph(x, dense(w, "dense", x, 2)))) == {"MatMul": 1, "Add": 1}


def test_dense_on_two_axes_is_one_gemm() -> None:
    w, x = Weights(), ir.input_value("x", "float32", (BATCH, 3))
    assert onnx_models.counts(onnx_models.compiled(graph(x, dense(w, "dense", x, 2)))) == {"Gemm": 1}


# -- normalization and activations -----------------------------------------------------------------------------------


def test_batch_norm_epsilon_is_written() -> None:
    w, x = Weights(), image(4, 4, 2)
    g = graph(x, batch_norm(w, "bn", named(ops.relu, "relu", conv(w, "conv", x, 3))))
    assert onnx_models.attributes(onnx_models.only(onnx_models.compiled(g), "BatchNormalization"))["epsilon"] == (
        pytest.approx(1e-3)
    )
    assert_agrees(g, *drawn(g, batch=2))


def test_batch_norm_is_not_in_training_mode() -> None:
    w, x = Weights(), image(4, 4, 2)
    node = onnx_models.only(onnx_models.compiled(graph(x, batch_norm(w, "bn", x))), "BatchNormalization")
    assert "training_mode" not in onnx_models.attributes(node)
    assert len(node.output) == 1


def test_batch_norm_is_not_folded_into_the_next_convolution() -> None:
    w, x = Weights(), image(5, 5, 2)
    g = graph(x, conv(w, "conv", batch_norm(w, "bn", x), 3))
    assert onnx_models.counts(onnx_models.compiled(g))["BatchNormalization"] == 1
    assert_agrees(g, *drawn(g, batch=2))


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_batch_norm_over_any_axis(axis: int) -> None:
    from seqc.ops.normalization import BatchNormalization

    w, x = Weights(), image(4, 5, 6)
    n = x.shape[axis]
    assert n is not None
    y = ir.apply(BatchNormalization(axis, 1e-2), x, w("a", n), w("b", n), w("c", n), w.positive("d", n))
    assert_agrees(graph(x, y), *drawn(graph(x, y), batch=2))


def test_softmax_axis_is_written() -> None:
    for name in ("mlp", "segmentation"):
        node = onnx_models.only(onnx_models.compiled(GRAPHS[name]()), "Softmax")
        assert onnx_models.attributes(node)["axis"] == 1


@pytest.mark.parametrize(("function", "op_type"), [(ops.elu, "Elu"), (ops.leaky_relu, "LeakyRelu")])
def test_alpha_is_written(function: Any, op_type: str) -> None:
    x = ir.input_value("x", "float32", (BATCH, 3))
    node = onnx_models.only(onnx_models.compiled(graph(x, function(x, 0.3))), op_type)
    assert onnx_models.attributes(node)["alpha"] == pytest.approx(0.3)


def test_exact_gelu_is_the_pattern_onnxruntime_fuses() -> None:
    from seqc import activations

    x = ir.input_value("x", "float32", (BATCH, 3))
    model = onnx_models.compiled(graph(x, activations.gelu(x)))
    assert onnx_models.node_types(model) == ["Div", "Erf", "Add", "Mul", "Mul"]
    divisor = onnx_models.initializer(model, model.graph.node[0].input[1])
    assert divisor.item() == pytest.approx(np.sqrt(2), rel=1e-6)


def test_dropout_is_gone_from_an_inference_graph() -> None:
    x, seed, step = (ir.input_value(n, d, s) for n, d, s in
                     (("x", "float32", (BATCH, 3)), ("seed", "int64", ()), ("step", "int64", ())))  # fmt: skip
    y = ops.relu(ir.apply(Dropout(0.5), x, ir.apply(RandomUniform(1), x, seed, step)))
    model = onnx_models.compiled(Graph((x,), (y,), ("y",)))
    assert onnx_models.counts(model) == {"Relu": 1}


def test_random_numbers_at_inference_are_an_error_not_a_constant() -> None:
    x, seed, step = (ir.input_value(n, d, s) for n, d, s in
                     (("x", "float32", (BATCH, 3)), ("seed", "int64", ()), ("step", "int64", ())))  # fmt: skip
    with ir.scope("noise"):
        y = x + ir.apply(RandomUniform(1), x, seed, step)
    with pytest.raises(ExportError, match="Layer 'noise' draws random numbers"):
        onnx_models.compiled(Graph((x, seed, step), (y,), ("y",)))


# -- recurrent layers ------------------------------------------------------------------------------------------------


def test_lstm_gates_are_reordered_and_the_second_bias_is_zero() -> None:
    w, x = Weights(), sequence(2)
    model = onnx_models.compiled(graph(x, lstm(w, "lstm", x, 1)))
    kernel, bias = onnx_models.initializer(model, "lstm/kernel"), onnx_models.initializer(model, "lstm/bias")
    fresh = Weights()
    keras, _ = fresh("k", 2, 4).numpy(), fresh("r", 1, 4)
    keras_bias = fresh("b", 4).numpy()
    # Keras: input, forget, cell, output. ONNX: input, output, forget, cell.
    np.testing.assert_array_equal(kernel[0], keras.T[[0, 3, 1, 2]])
    np.testing.assert_array_equal(bias[0], [*keras_bias[[0, 3, 1, 2]], 0, 0, 0, 0])


def test_lstm_is_time_first_and_has_no_layout_attribute() -> None:
    node = onnx_models.only(onnx_models.compiled(GRAPHS["text"]()), "LSTM")
    assert set(onnx_models.attributes(node)) == {"hidden_size"}


def test_lstm_backwards_keeps_its_outputs_reversed() -> None:
    w, x = Weights(), sequence(3)
    g = graph(x, lstm(w, "lstm", x, 2, True, reverse=True))
    assert_agrees(g, *drawn(g, batch=3, time=5))


def test_hard_sigmoid_gates_say_their_slope() -> None:
    w, x = Weights(), sequence(3)
    g = graph(x, lstm(w, "lstm", x, 2, recurrent_activation="hard_sigmoid"))
    written = onnx_models.attributes(onnx_models.only(onnx_models.compiled(g), "LSTM"))
    assert written["activations"] == ["HardSigmoid", "Tanh", "Tanh"]
    assert written["activation_alpha"] == pytest.approx([1 / 6])
    assert written["activation_beta"] == pytest.approx([0.5])
    assert_agrees(g, *drawn(g, batch=3, time=5))


MASKS = {
    "right": [[5, 3, 2, 0, 0], [1, 0, 0, 0, 0], [4, 4, 4, 4, 4]],
    "left": [[0, 0, 3, 1, 2], [0, 0, 0, 0, 9], [1, 2, 3, 4, 5]],
    "holes": [[3, 0, 2, 0, 1], [0, 4, 0, 4, 0], [1, 0, 0, 0, 2]],
    "everything": [[0, 0, 0, 0, 0], [1, 2, 3, 4, 5], [0, 0, 0, 0, 0]],
}


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("name", ["masked_text", "masked_sequences"])
def test_a_mask_of_any_shape_is_kept(kind: str, name: str) -> None:
    assert_agrees(GRAPHS[name](), np.array(MASKS[kind], "int32"))


def test_a_masked_step_repeats_the_output_before_it() -> None:
    g = GRAPHS["masked_sequences"]()
    forward = run(g, [np.array([[0, 3, 0, 0, 2]], "int32")])[0][0]
    np.testing.assert_array_equal(forward[0], 0)
    np.testing.assert_array_equal(forward[2], forward[1])
    np.testing.assert_array_equal(forward[3], forward[1])
    assert np.any(forward[4] != forward[3])


def test_a_masked_step_is_zero_where_that_was_asked_for() -> None:
    g = GRAPHS["masked_sequences"]()
    zero = run(g, [np.array([[0, 3, 0, 0, 2]], "int32")])[2][0]
    np.testing.assert_array_equal(zero[[0, 2, 3]], 0)
    assert np.all(zero[[1, 4]] != 0)


@pytest.mark.parametrize("name", ["lstm_stack", "bidirectional", "text", "masked_text", "sequence_cnn"])
def test_a_dynamic_time_axis_is_not_baked_in(name: str) -> None:
    g = GRAPHS[name]()
    for time in (4, 9):
        assert_agrees(g, *drawn(g, batch=2, time=time))


# -- shapes and names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GRAPHS)
def test_every_axis_of_a_border_has_a_size_or_a_name(name: str) -> None:
    model = onnx_models.compiled(GRAPHS[name]())
    for port in (*model.graph.input, *model.graph.output):
        sizes = onnx_models.shape_of(port)
        assert sizes
        assert all(size and size not in ("None", "?") for size in sizes)


def test_axes_keep_their_names_from_input_to_output() -> None:
    model = onnx_models.compiled(GRAPHS["segmentation"]())
    assert onnx_models.shape_of(model.graph.input[0]) == ["batch", "height", "width", 3]
    assert onnx_models.shape_of(model.graph.output[0]) == ["batch", "height", "width", 2]


def test_derived_sizes_are_written_as_formulas() -> None:
    w, x = Weights(), image(HEIGHT, WIDTH, 2)
    model = onnx_models.compiled(graph(x, conv(w, "conv", x, 3, strides=(2, 2))))
    assert onnx_models.shape_of(model.graph.output[0]) == ["batch", "floor((height + 1)/2)", "floor((width + 1)/2)", 3]


@pytest.mark.parametrize("name", sorted(g for g in GRAPHS if not g.startswith("masked")))
def test_a_dynamic_batch_needs_no_shape_computations(name: str) -> None:
    # Rows are looked up in a table; and where windows of odd size step by two over a free side, its size decides where
    # they lie.
    needed = {"text": {"Gather"}, "free_cnn": {"Shape"}}.get(name, set())
    written = set(onnx_models.node_types(onnx_models.compiled(GRAPHS[name]())))
    assert not written & {"Shape", "Size", "Expand", "Range", "Gather"} - needed


def test_reshape_copies_the_batch_and_solves_for_one_size() -> None:
    x = image(HEIGHT, 4, 2)
    model = onnx_models.compiled(graph(x, ops.relu(ir.apply(Reshape((0, -1, 2, 2)), x))))
    assert onnx_models.initializer(model, onnx_models.only(model, "Reshape").input[1]).tolist() == [0, -1, 2, 2]


def test_ids_reach_the_table_without_a_cast() -> None:
    assert "Cast" not in onnx_models.node_types(onnx_models.compiled(GRAPHS["text"]()))


# -- file ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("opset", "ir_version"), [(13, 8), (17, 8), (18, 8), (19, 9), (21, 10)])
def test_the_file_format_is_the_oldest_that_may_carry_the_opset(opset: int, ir_version: int) -> None:
    model = onnx_models.compiled(GRAPHS["mlp"](), opset=opset)
    assert model.ir_version == ir_version
    assert [(o.domain, o.version) for o in model.opset_import] == [("", opset)]


def test_the_default_is_what_old_runtimes_read() -> None:
    model = onnx_models.compiled(GRAPHS["mlp"]())
    assert (model.opset_import[0].version, model.ir_version) == (18, 8)


def test_weights_are_inside_the_file() -> None:
    for tensor in onnx_models.compiled(GRAPHS["bn_cnn"]()).graph.initializer:
        assert not tensor.external_data


@pytest.mark.slow
def test_only_the_standard_operators_are_used() -> None:
    for name, build in GRAPHS.items():
        assert {node.domain for node in onnx_models.compiled(build()).graph.node} == {""}, name


def test_a_time_axis_of_unknown_size_and_one_of_known_size_agree() -> None:
    w, known = Weights(), ir.input_value("steps", "float32", (BATCH, 5, 3))
    fixed = graph(known, dense(w, "dense", lstm(w, "lstm", known, 4, True), 2))
    w, free = Weights(), ir.input_value("steps", "float32", (BATCH, TIME, 3))
    loose = graph(free, dense(w, "dense", lstm(w, "lstm", free, 4, True), 2))
    arrays = drawn(loose, batch=2, time=5)
    np.testing.assert_array_equal(run(fixed, arrays)[0], run(loose, arrays)[0])


def test_remainders_of_numbers_of_any_size_are_exact() -> None:
    """Divisors of one sign, of both, and of neither: what is left of large numbers is no rounding."""
    shape = (BATCH, 6)
    x, z = (ir.input_value(name, "float32", shape) for name in ("x", "z"))
    rng = np.random.default_rng(0)
    given = [(rng.normal(size=(500, 6)) * 10.0 ** rng.integers(-20, 20, (500, 6))).astype("float32") for _ in "xz"]
    step = Graph((x, z), (ops.mod(x, z), ops.mod(x, -0.3), ops.mod(x, 7.0)), ("a", "b", "c"))
    for name, ours, theirs in zip("abc", Interpreter(step).run(given), run(step, given), strict=True):
        np.testing.assert_array_equal(theirs, ours, err_msg=name)
