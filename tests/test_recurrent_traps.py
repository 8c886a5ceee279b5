"""What has broken other exporters of recurrent layers: one test per trap, for every class and for both directions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.small_graphs import Weights, graph, gru, sequence
from seqc import layers
from seqc.errors import ExportError, SavingError
from seqc.graph.ir import Array
from seqc.serialization import deserialize

onnx = pytest.importorskip("onnx", reason="needs onnx")
onnx_models = pytest.importorskip("kit.onnx_models", reason="needs onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")

KINDS: dict[str, Any] = {
    "LSTM": layers.LSTM,
    "GRU": layers.GRU,
    "GRU-before": lambda units, **more: layers.GRU(units, reset_after=False, **more),
    "SimpleRNN": layers.SimpleRNN,
    "both-LSTM": lambda units, **more: layers.Bidirectional(layers.LSTM(units, **more)),
    "both-GRU": lambda units, **more: layers.Bidirectional(layers.GRU(units, **more)),
    "both-SimpleRNN": lambda units, **more: layers.Bidirectional(layers.SimpleRNN(units, **more), merge_mode="sum"),
}
OPERATORS = {"LSTM", "GRU", "RNN"}
every_kind = pytest.mark.parametrize("kind", KINDS)


def exported(model: keras.Model, path: Path) -> Any:
    """The ONNX model, which has been compared with double precision at several sizes of every free axis."""
    for weight in model.weights:
        weight.assign(np.random.default_rng(len(weight.shape)).normal(0, 0.5, weight.shape))
    model.export(path)
    return onnx.load(path)


def run(path: Path, x: Array) -> Array:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0])


def assert_agrees(model: keras.Sequential, path: Path, x: Array) -> Array:
    y = run(path, x)
    np.testing.assert_allclose(y, np.asarray(model(x)), atol=3e-6)
    return y


def recurrent_nodes(model: Any) -> list[Any]:
    return [node for node in model.graph.node if node.op_type in OPERATORS]


def of_steps(*stack: Any, time: int | None = None) -> keras.Sequential:
    return keras.Sequential([keras.Input((time, 3)), *stack])


# Trap 16


@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("use_bias", [True, False])
def test_gru_reset_after_is_linear_before_reset(batch: int, use_bias: bool, tmp_path: Path) -> None:
    for reset_after in (True, False):
        model = of_steps(layers.GRU(4, reset_after=reset_after, use_bias=use_bias, return_sequences=True))
        (node,) = recurrent_nodes(exported(model, tmp_path / "m.onnx"))
        assert onnx_models.attributes(node).get("linear_before_reset", 0) == int(reset_after)
        assert node.input[3], "onnxruntime has been wrong without a bias"
        assert_agrees(model, tmp_path / "m.onnx", np.random.default_rng(0).normal(size=(batch, 5, 3)).astype("float32"))


def test_gru_gates_keep_their_order_and_both_biases() -> None:
    w, x = Weights(), sequence(2)
    model = onnx_models.compiled(graph(x, gru(w, "gru", x, 1)))
    fresh = Weights()
    kernel, _, bias = fresh("k", 2, 3).numpy(), fresh("r", 1, 3), fresh("b", 2, 3).numpy()
    np.testing.assert_array_equal(onnx_models.initializer(model, "gru/kernel")[0], kernel.T)
    np.testing.assert_array_equal(onnx_models.initializer(model, "gru/bias")[0], bias.ravel())


# Trap 17


@pytest.mark.parametrize("name", ["CuDNNLSTM", "CuDNNGRU"])
def test_layers_with_another_order_of_weights_are_refused_by_name(name: str) -> None:
    with pytest.raises(SavingError, match=f"needs the class '{name}'"):
        deserialize({"class_name": name, "config": {"units": 2}, "module": "keras.layers", "registered_name": None})


# Trap 18


@pytest.mark.parametrize("kind", [k for k in KINDS if "SimpleRNN" not in k])
def test_hard_sigmoid_gates_say_their_slope_for_each_direction(kind: str, tmp_path: Path) -> None:
    model = of_steps(KINDS[kind](4, recurrent_activation="hard_sigmoid"))
    (node,) = recurrent_nodes(exported(model, tmp_path / "m.onnx"))
    written = onnx_models.attributes(node)
    directions = 1 + kind.startswith("both")
    assert written["activations"] == (["HardSigmoid", "Tanh"] + ["Tanh"] * ("LSTM" in kind)) * directions
    assert written["activation_alpha"] == pytest.approx([1 / 6] * directions)
    assert written["activation_beta"] == pytest.approx([0.5] * directions)
    assert_agrees(model, tmp_path / "m.onnx", np.ones((3, 5, 3), "float32"))


# Trap 19


@pytest.mark.parametrize("kind", [k for k in KINDS if not k.startswith("both")])
def test_backwards_outputs_stay_reversed(kind: str, tmp_path: Path, rng: np.random.Generator) -> None:
    model = of_steps(KINDS[kind](4, go_backwards=True, return_sequences=True))
    exported(model, tmp_path / "m.onnx")
    x = rng.normal(size=(2, 5, 3)).astype("float32")
    y = assert_agrees(model, tmp_path / "m.onnx", x)
    changed = x.copy()
    changed[:, 0] += 1  # the step that is read last
    np.testing.assert_array_equal(run(tmp_path / "m.onnx", changed)[:, :-1], y[:, :-1])


@pytest.mark.one_in(3)
@pytest.mark.parametrize("sequences", [False, True], ids=["last", "all"])
@pytest.mark.parametrize("merge_mode", ["concat", "sum", "mul", "ave"])
@pytest.mark.parametrize("cell", [layers.LSTM, layers.GRU, layers.SimpleRNN])
def test_two_directions_are_one_node_however_they_are_merged(
    cell: Any, merge_mode: str, sequences: bool, tmp_path: Path, rng: np.random.Generator
) -> None:
    model = of_steps(layers.Bidirectional(cell(4, return_sequences=sequences), merge_mode=merge_mode))
    (node,) = recurrent_nodes(exported(model, tmp_path / "m.onnx"))
    assert onnx_models.attributes(node)["direction"] == b"bidirectional"
    assert_agrees(model, tmp_path / "m.onnx", rng.normal(size=(3, 6, 3)).astype("float32"))


@pytest.mark.parametrize("sequences", [False, True], ids=["last", "all"])
def test_two_directions_of_different_layers_are_two_nodes(
    sequences: bool, tmp_path: Path, rng: np.random.Generator
) -> None:
    back = layers.GRU(4, activation="relu", go_backwards=True, return_sequences=sequences)
    both = layers.Bidirectional(layers.LSTM(4, return_sequences=sequences), "sum", backward_layer=back)
    model = of_steps(both)
    nodes = recurrent_nodes(exported(model, tmp_path / "m.onnx"))
    assert [node.op_type for node in nodes] == ["LSTM", "GRU"]
    assert_agrees(model, tmp_path / "m.onnx", rng.normal(size=(3, 6, 3)).astype("float32"))


# Trap 20


@every_kind
def test_recurrent_nodes_have_no_layout_attribute(kind: str, tmp_path: Path) -> None:
    (node,) = recurrent_nodes(exported(of_steps(KINDS[kind](4)), tmp_path / "m.onnx"))
    assert set(onnx_models.attributes(node)) <= {"hidden_size", "direction", "linear_before_reset"}


# Traps 21 and 22

MASKS = {
    "right": [[5, 3, 2, 0, 0], [1, 0, 0, 0, 0], [4, 4, 4, 4, 4]],
    "left": [[0, 0, 3, 1, 2], [0, 0, 0, 0, 9], [1, 2, 3, 4, 5]],
    "holes": [[3, 0, 2, 0, 1], [0, 4, 0, 4, 0], [1, 0, 0, 0, 2]],
    "everything": [[0, 0, 0, 0, 0], [1, 2, 3, 4, 5], [0, 0, 0, 0, 0]],
}


def of_ids(*stack: Any) -> keras.Sequential:
    embedding = layers.Embedding(10, 3, mask_zero=True)
    return keras.Sequential([keras.Input((None,), dtype="int32"), embedding, *stack])


@pytest.mark.one_in(3)
@every_kind
@pytest.mark.parametrize("sequences", [False, True], ids=["last", "all"])
def test_a_mask_of_any_shape_is_kept_by_every_class(kind: str, sequences: bool, tmp_path: Path) -> None:
    model = of_ids(KINDS[kind](4, return_sequences=sequences))
    exported(model, tmp_path / "m.onnx")
    for ids in MASKS.values():
        assert_agrees(model, tmp_path / "m.onnx", np.array(ids, "int32"))


@pytest.mark.slow
@every_kind
def test_masked_layers_in_a_stack(kind: str, tmp_path: Path) -> None:
    model = of_ids(KINDS[kind](4, return_sequences=True), KINDS[kind](3, return_sequences=True), KINDS[kind](2))
    nodes = exported(model, tmp_path / "m.onnx").graph.node
    for ids in MASKS.values():
        assert_agrees(model, tmp_path / "m.onnx", np.array(ids, "int32"))
    assert not {node.op_type for node in nodes} & {"Loop", "Scan"}


@every_kind
def test_a_masked_step_repeats_the_output_before_it_but_in_two_directions_it_is_zero(kind: str, tmp_path: Path) -> None:
    model = of_ids(KINDS[kind](4, return_sequences=True))
    exported(model, tmp_path / "m.onnx")
    y = run(tmp_path / "m.onnx", np.array([[0, 3, 0, 0, 2]], "int32"))[0]
    np.testing.assert_array_equal(y[0], 0)
    for masked in (2, 3):
        np.testing.assert_array_equal(y[masked], 0 if kind.startswith("both") else y[1])


# Trap 23


@every_kind
@pytest.mark.parametrize("sequences", [False, True], ids=["last", "all"])
def test_a_dynamic_time_axis_is_not_baked_in(
    kind: str, sequences: bool, tmp_path: Path, rng: np.random.Generator
) -> None:
    model = of_steps(KINDS[kind](4, return_sequences=sequences))
    exported(model, tmp_path / "m.onnx")
    for time in (1, 4, 9):
        assert_agrees(model, tmp_path / "m.onnx", rng.normal(size=(2, time, 3)).astype("float32"))


# Trap 24


@every_kind
def test_a_stateful_layer_is_refused_not_exported_as_a_stateless_one(kind: str, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input(batch_shape=(2, 4, 3)), KINDS[kind](2, stateful=True)])
    with pytest.raises(ExportError, match="rnn_state in a prediction"):
        model.export(tmp_path / "m.onnx")


@every_kind
@pytest.mark.parametrize("sequences", [False, True], ids=["last", "all"])
@pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])
def test_sequences_of_which_a_slice_leaves_nothing(kind: str, sequences: bool, masked: bool, tmp_path: Path) -> None:
    """Over no steps onnxruntime's GRU ends the process, and the others forget the first states."""
    x = keras.Input((None, 3))
    cut = (layers.Masking()(x) if masked else x)[:, 2:]
    mask = keras.ops.any(cut != 0, -1) if masked else None
    states = {} if kind.startswith("both") else {"initial_state": [x[:, 0] + 1] * (2 if "LSTM" in kind else 1)}
    model = keras.Model(x, KINDS[kind](3, return_sequences=sequences)(cut, mask=mask, **states))
    exported(model, tmp_path / "m.onnx")
    rng = np.random.default_rng(0)
    for time in (3, 6) if kind.startswith("both") else (2, 3, 6) if masked else (1, 2, 3, 6):
        data = rng.normal(size=(2, time, 3)).astype("float32")
        data[0, 3:5] = 0
        expected = model(data).numpy()
        np.testing.assert_allclose(run(tmp_path / "m.onnx", data), expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(
            model.predict(data, backend="onnxruntime", verbose=0), expected, rtol=1e-4, atol=1e-5
        )


def test_nothing_is_predicted_of_sequences_without_steps() -> None:
    model = keras.Sequential([keras.Input((None, 3)), layers.GRU(2)])
    nothing = np.zeros((2, 0, 3), "float32")
    np.testing.assert_array_equal(model.predict(nothing, backend="onnxruntime", verbose=0), np.zeros((2, 2)))


@pytest.mark.parametrize("before", [layers.Conv1D(3, 3), layers.MaxPooling1D(2)], ids=["Conv1D", "MaxPooling1D"])
def test_windows_that_always_leave_a_step_add_no_node_to_a_gru(before: Any, tmp_path: Path) -> None:
    written = exported(keras.Sequential([keras.Input((None, 3)), before, layers.GRU(2)]), tmp_path / "m.onnx")
    assert not {"Pad", "Slice", "Where"} & {node.op_type for node in written.graph.node}
