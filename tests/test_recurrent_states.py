"""States of recurrent layers: given, returned, kept; and the models that are made of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import seqc as keras
from kit import state_runs
from kit.oracle import KEPT, Stored
from kit.own_cells import MeanSoFar, OneStateRNNCell
from seqc import layers, models, ops
from seqc.errors import ConfigError, ExportError, SeqcError, ShapeError

MADE = {"SimpleRNN": layers.SimpleRNN, "GRU": layers.GRU, "LSTM": layers.LSTM}
every_kind = pytest.mark.parametrize("make", MADE.values(), ids=MADE)


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def close(found: Any, wanted: Any, **more: Any) -> None:
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), **{"rtol": 1e-5, "atol": 1e-6, **more})


def run(path: Path, fed: dict[str, Any]) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert {i.name for i in session.get_inputs()} == set(fed)
    result: list[np.ndarray] = session.run(None, fed)
    return result


# -- beside Keras -----------------------------------------------------------------------------------------------------


@pytest.mark.one_in(3)
@pytest.mark.parametrize("case", state_runs.CASES, ids=state_runs.IDS)
def test_outputs_states_and_their_gradients_are_those_of_keras(case: dict[str, Any]) -> None:
    state_runs.check(case)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("case", state_runs.CASES, ids=state_runs.IDS)
def test_a_file_takes_and_gives_the_states(case: dict[str, Any], tmp_path: Path) -> None:
    model, fed, recorded = state_runs.as_model(case)
    close(model.predict(fed, verbose=0), recorded, rtol=1e-4, atol=1e-5)
    model.export(tmp_path / "m.onnx")
    close(run(tmp_path / "m.onnx", fed), recorded, rtol=1e-4, atol=1e-5)


# -- sequences to sequences -------------------------------------------------------------------------------------------


def recorded(kind: str = "plain") -> Any:
    return Stored(KEPT / "seq2seq.npz", f"{kind}/")


def loaded() -> Any:
    return models.load_model(KEPT / "seq2seq.keras")


def made() -> Any:
    """The same model as Keras recorded it, with the encoder under a mask."""
    source, target = keras.Input((None,), dtype="int32", name="source"), keras.Input((None, 3), name="target")
    _, *states = layers.LSTM(5, return_state=True, name="encoder")(layers.Embedding(7, 4, mask_zero=True)(source))
    y = layers.LSTM(5, return_sequences=True, name="decoder")(target, initial_state=states)
    model = keras.Model([source, target], layers.Dense(4, activation="softmax")(y))
    model.set_weights(state_runs.numbered(recorded("masked"), "start"))
    model.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize("executor", ["tiled", "naive"])
@pytest.mark.parametrize("kind", ["plain", "masked"])
def test_an_encoder_decoder_trains_as_in_keras(kind: str, executor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "SEQC_EXECUTOR", executor)
    model, facts = loaded() if kind == "plain" else made(), recorded(kind)
    data = [facts["source"], facts["target"]]
    close([model.predict(data, verbose=0)], [facts["predicted"]])
    losses = [model.train_on_batch(data, facts["labels"]) for _ in facts["losses"]]
    np.testing.assert_allclose(losses, facts["losses"], rtol=1e-5)
    close(model.get_weights(), state_runs.numbered(facts, "w"), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("executor", ["tiled", "naive"])
def test_a_mask_that_is_an_input_trains_and_is_exported_as_in_keras(
    executor: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(os.environ, "SEQC_EXECUTOR", executor)
    facts = Stored(KEPT / "mask_input.npz")
    x, mask = keras.Input((None, 3), name="x"), keras.Input((None,), dtype="bool", name="mask")
    one, two = layers.Bidirectional(layers.GRU(3, return_sequences=True), merge_mode=None)(x, mask=mask)
    model = keras.Model([x, mask], layers.Dense(1)(layers.LSTM(4)(layers.Add()([one, two]), mask=mask)))
    model.set_weights(state_runs.numbered(facts, "start"))
    fed = {"x": facts["x"], "mask": facts["mask"]}
    close([model.predict(fed, verbose=0)], [facts["predicted"]])
    model.export(tmp_path / "m.onnx")
    close(run(tmp_path / "m.onnx", fed), [facts["predicted"]], rtol=1e-4, atol=1e-5)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    losses = [model.train_on_batch(fed, facts["labels"]) for _ in facts["losses"]]
    np.testing.assert_allclose(losses, facts["losses"], rtol=1e-5)
    close(model.get_weights(), state_runs.numbered(facts, "w"), rtol=1e-4, atol=1e-5)
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.predict(fed, verbose=0), model.predict(fed, verbose=0))


def parts(model: Any) -> tuple[Any, Any]:
    """The encoder, which gives states, and the decoder, which takes and gives them; with the model's own layers."""
    source, target = model.inputs
    layer = model.get_layer
    _, *states = layer("encoder")(layer("table")(source))
    given = [keras.Input((5,), name=name) for name in ("h", "c")]
    y, *after = layer("decoder")(target, initial_state=given)
    return keras.Model(source, states), keras.Model([target, *given], [layer("letters")(y), *after])


def test_models_cut_out_of_the_trained_one_decode_step_by_step(tmp_path: Path) -> None:
    model, (source, target, labels) = loaded(), (recorded()[name] for name in ("source", "target", "labels"))
    model.fit([source, target], labels, epochs=2, verbose=0)
    whole = model.predict([source, target], verbose=0)
    encoder, decoder = parts(model)
    encoder.export(tmp_path / "encoder.onnx")
    decoder.export(tmp_path / "decoder.onnx", output_name=["letters", "next_h", "next_c"])
    states = encoder.predict(source, verbose=0)
    from_file = run(tmp_path / "encoder.onnx", {"source": source})
    close(from_file, states)
    for t in range(target.shape[1]):
        x = target[:, t : t + 1]
        y, *states = decoder.predict([x, *states], verbose=0)
        close([y[:, 0]], [whole[:, t]])
        found, *from_file = run(tmp_path / "decoder.onnx", {"target": x, "h": from_file[0], "c": from_file[1]})
        close([found[:, 0]], [whole[:, t]])


def test_a_decoder_in_a_file_is_one_lstm_from_the_states_to_the_states(tmp_path: Path) -> None:
    _, decoder = parts(loaded())
    receipt = decoder.export(tmp_path / "decoder.onnx")
    assert receipt.nodes == {
        "Add": 1, "LSTM": 1, "MatMul": 1, "Softmax": 1, "Squeeze": 3, "Transpose": 2, "Unsqueeze": 2
    }  # fmt: skip
    (node,) = [n for n in onnx.load(tmp_path / "decoder.onnx").graph.node if n.op_type == "LSTM"]
    assert all(node.input[5:7])
    assert all(node.output)


def test_states_go_from_one_lstm_to_the_next_as_they_are(tmp_path: Path) -> None:
    x, given = keras.Input((4, 3), name="x"), keras.Input((2, 3), name="given")
    _, *states = layers.LSTM(5, return_state=True)(x)
    model = keras.Model([x, given], layers.LSTM(5)(given, initial_state=states))
    receipt = model.export(tmp_path / "m.onnx")
    assert receipt.nodes == {"LSTM": 2, "Squeeze": 1, "Transpose": 2}


def test_an_encoder_decoder_comes_back_from_a_file(tmp_path: Path) -> None:
    model, data = loaded(), [recorded()["source"], recorded()["target"]]
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.predict(data, verbose=0), model.predict(data, verbose=0))


# -- giving states ----------------------------------------------------------------------------------------------------


@every_kind
def test_a_list_is_the_input_and_the_states(make: Any) -> None:
    layer, x = make(3, return_state=True), numbers(2, 4, 5)
    _, *states = layer(x)
    close(layer([x, *states]), layer(x, initial_state=states), rtol=0, atol=0)
    close(layer([x]), layer(x), rtol=0, atol=0)
    symbols = [keras.Input((4, 5)), *(keras.Input((3,)) for _ in states)]
    model = keras.Model(symbols, layer(symbols))
    close(model.predict([x, *states], verbose=0), layer(x, initial_state=states))
    with pytest.raises(ConfigError, match="Give the states once"):
        layer([x, *states], initial_state=states)


def test_states_come_second_as_in_keras() -> None:
    layer, x = layers.GRU(3), numbers(2, 4, 5)
    np.testing.assert_array_equal(np.asarray(layer(x, numbers(2, 3))), layer(x, initial_state=numbers(2, 3)))


H = np.zeros((2, 3), "float32")


@pytest.mark.parametrize(
    ("make", "states", "message"),
    [
        (layers.LSTM, H, r"LSTM 'lstm.*' has 2 states of shape \(2, 3\), \(2, 3\); got 1 in initial_state"),
        (layers.GRU, [H, H], r"has 1 state of shape \(2, 3\); got 2"),
        (layers.LSTM, [H, H[:, :2]], r"initial_state 1 has shape \(2, 2\)"),
        (layers.SimpleRNN, np.tile(H, (2, 1)), r"initial_state 0 has shape \(4, 3\)"),
        (layers.SimpleRNN, H[:, None], r"initial_state 0 has shape \(2, 1, 3\)"),
        (layers.LSTM, [H, None], "None among them"),
        (lambda units: layers.Bidirectional(layers.LSTM(units)), [H, H], "has 4 states, 2 of the forward layer"),
        (lambda units: layers.RNN([layers.GRUCell(2), layers.LSTMCell(units)]), [H, H], "has 3 states of shape"),
    ],
)
def test_states_that_do_not_fit_are_refused(make: Any, states: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        make(3)(numbers(2, 4, 5), initial_state=states)


def test_a_layer_of_a_stack_says_that_it_returns_more() -> None:
    with pytest.raises(SeqcError, match="several outputs do not fit into a stack"):
        keras.Sequential([keras.Input((4, 3)), layers.LSTM(2, return_state=True), layers.Dense(1)])


@pytest.mark.parametrize("mode", [None, "concat"])
def test_both_directions_come_with_the_mask(mode: str | None) -> None:
    ids = keras.Input((4,), dtype="int32")
    h = layers.Embedding(5, 3, mask_zero=True)(ids)
    both = layers.Bidirectional(layers.GRU(2, return_sequences=True), merge_mode=mode)(h)
    found = keras.Model(ids, [layers.LSTM(2)(y) for y in (both if mode is None else [both])])
    padded, short = np.array([[1, 2, 3, 0]]), np.array([[1, 2, 3]])
    free = keras.Input((None,), dtype="int32")
    layer = found.layers[1:]
    again = layer[1](layer[0](free))
    same = keras.Model(free, [one(y) for one, y in zip(layer[2:], again if mode is None else [again], strict=True)])
    close(np.atleast_2d(*found.predict(padded, verbose=0)), np.atleast_2d(*same.predict(short, verbose=0)))


def test_an_encoder_of_both_directions_gives_its_states_to_a_decoder(tmp_path: Path) -> None:
    x, given = keras.Input((None, 3), name="x"), keras.Input((None, 2), name="given")
    _, h, c, back_h, back_c = layers.Bidirectional(layers.LSTM(3, return_state=True))(x)
    states = [layers.Concatenate()([h, back_h]), layers.Concatenate()([c, back_c])]
    model = keras.Model([x, given], layers.LSTM(6, return_sequences=True)(given, initial_state=states))
    receipt = model.export(tmp_path / "m.onnx")
    assert receipt.nodes["LSTM"] == 2
    fed = {"x": numbers(2, 5, 3), "given": numbers(2, 4, 2)}
    close(run(tmp_path / "m.onnx", fed), [model.predict(fed, verbose=0)])


# -- keeping states ---------------------------------------------------------------------------------------------------


def stateful(make: Any, **more: Any) -> Any:
    return keras.Sequential(
        [keras.Input(batch_shape=(2, 3, 5)), make(4, stateful=True, return_sequences=True, **more), layers.Dense(1)]
    )


@every_kind
@pytest.mark.parametrize("executor", ["tiled", "naive"])
def test_a_stateful_layer_goes_on_where_the_last_batch_ended(
    make: Any, executor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "SEQC_EXECUTOR", executor)
    model, x = stateful(make), numbers(2, 9, 5)
    free = keras.Sequential([keras.Input((None, 5)), make(4, return_sequences=True), layers.Dense(1)])
    free.set_weights(model.get_weights())
    whole = free.predict(x, verbose=0)
    pieces = [model.predict(x[:, t : t + 3], verbose=0) for t in (0, 3)]
    pieces.append(np.asarray(model(x[:, 6:])))
    close([np.concatenate(pieces, 1)], [whole])
    model.layers[0].reset_state()
    close([model.predict(x[:, :3], verbose=0)], [whole[:, :3]])
    model.layers[0].reset_states()
    # Two batches of one call are one after the other, too.
    batches = np.concatenate([x[:, :3], x[:, 3:6]])
    close([model.predict(batches, batch_size=2, verbose=0)], [np.concatenate([whole[:, :3], whole[:, 3:6]])])


def test_a_stateful_layer_trains_from_the_states_before() -> None:
    model, x, y = stateful(layers.GRU), numbers(2, 6, 5), numbers(2, 6, 1, seed=1)
    start = model.get_weights()
    model.compile(keras.optimizers.SGD(0.1), "mse")
    losses = [model.train_on_batch(x[:, t : t + 3], y[:, t : t + 3]) for t in (0, 3)]
    # By hand: the second step starts with the state that the first weights gave, and knows no gradient through it.
    given, h = keras.Input((3, 5)), keras.Input((4,))
    out, last = layers.GRU(4, return_state=True, return_sequences=True)(given, initial_state=h)
    by_hand = keras.Model([given, h], [layers.Dense(1)(out), last])
    by_hand.set_weights(start)
    by_hand.compile(keras.optimizers.SGD(0.1), ["mse", None])
    state, expected = np.zeros((2, 4), "float32"), []
    for t in (0, 3):
        piece = [x[:, t : t + 3], state]
        new = by_hand.predict_on_batch(piece)[1]
        expected.append(np.ravel(by_hand.train_on_batch(piece, [y[:, t : t + 3], None]))[0])
        state = new
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    close(model.get_weights(), by_hand.get_weights())
    close(model.layers[0].states, [state])


def test_states_that_are_kept_are_no_weights(tmp_path: Path) -> None:
    model = stateful(layers.LSTM)
    model.predict(numbers(2, 3, 5), verbose=0)
    assert len(model.layers[0].weights) == 3
    assert model.layers[0].get_config()["stateful"] is True
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras")
    assert all(not np.any(v.numpy()) for v in again.layers[0].states)
    assert any(np.any(v.numpy()) for v in model.layers[0].states)


def test_a_stateful_layer_wants_batches_of_one_size() -> None:
    with pytest.raises(ShapeError, match=r"the batch size must be static.*batch_shape=\(batch, steps, features\)"):
        keras.Sequential([keras.Input((3, 5)), layers.LSTM(2, stateful=True)])
    model = stateful(layers.LSTM)
    with pytest.raises(ShapeError, match="Expected batch size: 2. Received batch size: 3"):
        model.predict(numbers(3, 3, 5), verbose=0)


def test_a_graph_of_a_fixed_batch_says_what_to_give() -> None:
    x = keras.Input(batch_shape=(2, 3, 5))
    model = keras.Model(x, layers.LSTM(1, stateful=True)(x))
    model.compile("sgd", "mse")
    with pytest.raises(ShapeError, match=r"got \(1, 3, 5\).*whole batches, with batch_size=2"):
        model.fit(numbers(5, 3, 5), numbers(5, 1), batch_size=2, verbose=0)


def test_a_stateful_model_is_not_exported_as_if_it_forgot(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="changes gru.*/rnn_state in a prediction.*initial_state=h"):
        stateful(layers.GRU).export(tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_both_directions_may_keep_their_states() -> None:
    layer, x = layers.Bidirectional(layers.LSTM(2, stateful=True)), numbers(2, 3, 5)
    first, second = np.asarray(layer(x)), np.asarray(layer(x))
    assert np.abs(first - second).max() > 1e-3
    close([layer(x, initial_state=[np.zeros((2, 2), "float32")] * 4)], [first])
    assert layer.states is not None
    assert len(layer.states) == 4
    layer.reset_state()
    close([layer(x)], [first])
    with pytest.raises(AttributeError, match="Layer must be stateful"):
        layers.Bidirectional(layers.LSTM(2)).reset_states()


# -- cells ------------------------------------------------------------------------------------------------------------


def test_a_stack_of_cells_is_a_stack_of_layers(tmp_path: Path) -> None:
    x = keras.Input((None, 3), name="x")
    stack = layers.RNN([layers.LSTMCell(4), layers.GRUCell(2)], return_state=True)
    y, (h, c), last = stack(x)
    model = keras.Model(x, [y, h, c, last])
    one, two = layers.LSTM(4, return_sequences=True, return_state=True), layers.GRU(2, return_state=True)
    out, *states = one(x)
    apart = keras.Model(x, [*two(out)[:1], *states, two(out)[1]])
    apart.set_weights(model.get_weights())
    close(model.predict(numbers(2, 5, 3), verbose=0), apart.predict(numbers(2, 5, 3), verbose=0))
    receipt = model.export(tmp_path / "m.onnx")
    assert {name: n for name, n in receipt.nodes.items() if name in ("LSTM", "GRU", "Scan")} == {"LSTM": 1, "GRU": 1}


def test_a_stack_steps_as_its_cells_do() -> None:
    stack, x = layers.StackedRNNCells([layers.GRUCell(4), layers.LSTMCell(2)]), numbers(2, 3, 5)
    layer = layers.RNN(stack)
    whole, states = np.asarray(layer(x)), [numbers(2, 4) * 0, [numbers(2, 2) * 0] * 2]
    for t in range(3):
        y, states = stack(x[:, t], states)
    close([y], [whole])


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_a_cell_of_ones_own_runs_along_the_sequence(masked: bool, training: bool) -> None:
    x = numbers(2, 4, 3)
    mask = np.array([[0, 1, 1, 0], [1, 0, 1, 1]], bool) if masked else np.ones((2, 4), bool)
    layer = layers.RNN(MeanSoFar(3), return_sequences=True, return_state=True)
    y, count, total = layer(x, mask=mask, training=training)
    expected, seen = np.zeros((2, 4, 4)), np.cumsum(mask, 1)
    for row in range(2):
        for t in range(4):
            if seen[row, t]:
                mean = x[row, : t + 1][mask[row, : t + 1]].mean(0)
                expected[row, t] = [*mean, seen[row, t]]
    close([y, count, total], [expected, mask.sum(1)[:, None], (x * mask[..., None]).sum(1)])


def test_a_model_with_a_cell_of_ones_own_trains_and_is_exported(tmp_path: Path) -> None:
    x = keras.Input((4, 3), name="x")
    model = keras.Model(x, layers.Dense(1)(layers.RNN(OneStateRNNCell(2))(x)))
    model.compile(keras.optimizers.SGD(0.01), "mse")
    a, b = numbers(8, 4, 3), numbers(8, 1, seed=1)
    before = model.evaluate(a, b, verbose=0)
    model.fit(a, b, epochs=3, verbose=0)
    assert model.evaluate(a, b, verbose=0) < before
    model.export(tmp_path / "m.onnx")
    close(run(tmp_path / "m.onnx", {"x": a}), [model.predict(a, verbose=0)])


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (layers.LSTMCell, "It is a class: write it with parentheses"),
        (layers.Dense(2), "state_size must be specified as property on the RNN cell"),
        ([layers.LSTMCell(2), 3], "got 3"),
        ([], "at least one cell"),
    ],
)
def test_what_is_no_cell_is_refused(cell: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        layers.RNN(cell)


# -- models in every step ---------------------------------------------------------------------------------------------


def test_a_model_runs_in_every_step(tmp_path: Path) -> None:
    inner_x = keras.Input((6,))
    inner = keras.Model(inner_x, layers.Dense(2, activation="tanh")(inner_x) + ops.mean(inner_x, -1, keepdims=True))
    words = keras.Sequential([keras.Input((4, 6)), layers.LSTM(3)])
    x = keras.Input((None, 4, 6), name="x")
    each = layers.TimeDistributed(layers.TimeDistributed(inner))(x)
    said = layers.TimeDistributed(words)(x)
    model, a = keras.Model(x, [each, said]), numbers(2, 5, 4, 6)
    found = model.predict(a, verbose=0)
    close(found, [inner.predict(a.reshape(40, 6), verbose=0).reshape(2, 5, 4, 2),
                  words.predict(a.reshape(10, 4, 6), verbose=0).reshape(2, 5, 3)])  # fmt: skip
    model.compile("sgd", "mse")
    model.train_on_batch(a, [np.ones_like(y) for y in found])
    assert len(model.trainable_weights) == 5
    model.export(tmp_path / "m.onnx")
    close(run(tmp_path / "m.onnx", {"x": a}), model.predict(a, verbose=0))
