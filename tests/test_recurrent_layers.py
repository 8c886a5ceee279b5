"""Recurrent layers beyond the recorded cases: the two ways they run, their states, and dropout inside them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from kit.layer_runs import trace_model
from seqc import Input, Sequential, activations, layers, ops
from seqc.graph.autodiff import gradients
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Graph, as_value
from seqc.graph.tracing import Trace, tracing
from seqc.layers._cells import gate_name
from seqc.ops._recurrent import Recurrent


def same_tanh(x: Any) -> Any:
    """tanh under a name that the fused operation does not know, so that the layer runs step by step."""
    return ops.tanh(x)


KINDS: dict[str, Callable[..., layers.Layer]] = {
    "lstm": layers.LSTM,
    "gru": layers.GRU,
    "gru_before": partial(layers.GRU, reset_after=False),
    "simple_rnn": layers.SimpleRNN,
}
every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


def pair(make: Callable[..., layers.Layer], time: int, **arguments: Any) -> tuple[Sequential, Sequential]:
    """The same layer in the fused and in the unrolled form, with the same weights."""
    made = [
        Sequential([Input((time, 2)), make(3, activation=activation, bias_initializer="random_normal", **arguments)])
        for activation in ("tanh", same_tanh)
    ]
    made[1].set_weights(made[0].get_weights())
    return made[0], made[1]


def is_fused(model: Sequential) -> bool:
    return any(isinstance(v.op, Recurrent) for v in model.graph()[0].walk())


MASKS = {
    "no_mask": None,
    "right": [[1, 1, 1, 0], [1, 0, 0, 0]],
    "left": [[0, 0, 1, 1], [0, 1, 1, 1]],
    "holes": [[1, 0, 1, 0], [0, 1, 0, 1]],
    "nothing": [[0, 0, 0, 0], [1, 1, 1, 1]],
}


@pytest.mark.one_in(3)
@every_kind
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("zeros", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["carry", "zeros"])
@pytest.mark.parametrize("sequences", [False, True], ids=["last", "all"])
def test_fused_and_unrolled_forms_agree(
    make: Any, mask: str, backwards: bool, zeros: bool, sequences: bool, rng: np.random.Generator
) -> None:
    arguments = {"go_backwards": backwards, "zero_output_for_mask": zeros, "return_sequences": sequences}
    fused, unrolled = pair(make, 4, **arguments)
    assert (is_fused(fused), is_fused(unrolled)) == (True, False)
    x = rng.normal(size=(2, 4, 2)).astype("float32")
    given = None if MASKS[mask] is None else np.array(MASKS[mask], bool)
    results = []
    for model in (fused, unrolled):
        layer = model.layers[0]
        weights = layer.trainable_weights
        masked = Sequential([Input(batch_shape=(2, 4, 2)), Masked(layer, given)])
        traced = trace_model(masked, (2, 4, 2), "float32", training=True)
        loss = ops.sum(ops.square(traced.y))
        results.append(traced.run([traced.y, *gradients(loss, [traced.trace.reads[w] for w in weights])], x))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)


class Masked(layers.Layer):
    """Calls a layer with a fixed mask."""

    def __init__(self, layer: layers.Layer, given: np.ndarray | None) -> None:
        super().__init__()
        self.layer, self.given = layer, given

    def call(self, x: Any, training: bool = False) -> Any:
        return self.layer(x, mask=self.given, training=training)


def test_activation_without_a_fused_form_runs_and_learns(rng: np.random.Generator) -> None:
    model = Sequential([Input((3, 2)), layers.LSTM(2, activation="gelu", recurrent_activation="hard_silu")])
    assert not is_fused(model)
    x = rng.normal(size=(4, 3, 2)).astype("float32")
    traced = trace_model(model, (None, 3, 2), "float32", training=True)
    wrt = [traced.trace.reads[w] for w in model.trainable_weights]
    assert all(np.abs(g).max() > 0 for g in traced.run(gradients(ops.sum(traced.y), wrt), x))


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "relu", "linear", "softsign", "softplus", "hard_sigmoid", "elu"])
def test_fused_operation_knows_the_usual_activations(name: str) -> None:
    assert gate_name(activations.get(name)) == name


def test_a_users_function_of_a_known_name_is_not_mistaken_for_it() -> None:
    def tanh(x: Any) -> Any:
        return x

    assert gate_name(tanh) is None


def test_any_number_of_steps_runs_in_one_graph(rng: np.random.Generator) -> None:
    model = Sequential([Input((None, 2)), layers.LSTM(3)])
    traced = trace_model(model, (None, None, 2), "float32", training=False)
    fixed = layers.LSTM(3)
    fixed.build((None, 7, 2))
    fixed.set_weights(model.get_weights())
    for steps in (1, 7):
        x = rng.normal(size=(2, steps, 2)).astype("float32")
        np.testing.assert_allclose(traced.run([traced.y], x)[0], np.asarray(fixed(x)), atol=1e-6)


@every_kind
def test_states_carry_a_sequence_over_two_calls(make: Any, rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 6, 2)).astype("float32")
    layer = make(3, return_state=True)
    whole, *last = layer(x)
    _, *states = layer(x[:, :4])
    y, *again = layer(x[:, 4:], initial_state=states)
    for a, b in zip((whole, *last), (y, *again), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-6)


@every_kind
def test_cell_does_one_step_of_the_layer(make: Any, rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 2, 2)).astype("float32")
    layer = make(3, bias_initializer="random_normal")
    y = np.asarray(layer(x))
    states = [np.zeros((2, 3), "float32")] * (2 if isinstance(layer, layers.LSTM) else 1)
    for t in range(2):
        out, states = layer.cell(x[:, t], states)
    np.testing.assert_allclose(np.asarray(out), y, atol=1e-6)
    assert layer.units == layer.cell.units == 3


@every_kind
def test_dropping_all_inputs_leaves_the_bias(make: Any, rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 2)).astype("float32")
    layer = make(3, dropout=1.0, bias_initializer="random_normal")
    np.testing.assert_allclose(np.asarray(layer(x, training=True)), np.asarray(layer(np.zeros_like(x))), atol=1e-6)


@every_kind
def test_dropping_all_states_removes_the_recurrent_kernel(make: Any, rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 2)).astype("float32")
    layer = make(3, recurrent_dropout=1.0, bias_initializer="random_normal")
    dropped = np.asarray(layer(x, training=True))
    kernel, recurrent, bias = layer.get_weights()
    layer.set_weights([kernel, np.zeros_like(recurrent), bias])
    np.testing.assert_allclose(dropped, np.asarray(layer(x)), atol=1e-6)


@pytest.mark.parametrize("seed", [None, 3])
def test_every_gate_drops_other_states(seed: int | None) -> None:
    for kind, gates in ((layers.LSTMCell, 4), (layers.GRUCell, 3), (layers.SimpleRNNCell, 1)):
        cell = kind(50, recurrent_dropout=0.5, seed=seed)
        with tracing(Trace(training=True)) as trace:
            kept = cell.recurrent_factors(as_value(np.ones((1, 50), "float32")))
        assert trace is not None
        leaves = (trace.seed, trace.step)
        drawn = Interpreter(Graph(leaves, tuple(kept), tuple("abcd"[:gates]))).run(
            [np.array(1, np.int64), np.array(2, np.int64)]
        )
        assert len({mask.tobytes() for mask in drawn}) == gates
        assert all(set(np.unique(mask)) == {0, 2} for mask in drawn)


def test_input_dropout_is_the_same_at_every_step() -> None:
    layer = layers.LSTM(1, dropout=0.5, seed=2, return_sequences=True, activation="linear", use_bias=False)
    layer.build((None, 5, 1))
    kernel, recurrent, *_ = layer.get_weights()
    layer.set_weights([np.array([[0, 0, 1, 0]], "float32"), np.zeros_like(recurrent)])
    y = np.asarray(layer(np.ones((40, 5, 1), "float32"), training=True))
    steps = np.diff(y[..., 0], axis=1) > 0
    assert (steps.all(axis=1) | (~steps).all(axis=1)).all()
    assert steps.any()
    assert not steps.all()


def test_forget_gate_starts_open() -> None:
    layer = layers.LSTM(2)
    layer.build((None, 3, 4))
    np.testing.assert_array_equal(layer.get_weights()[2], [0, 0, 1, 1, 0, 0, 0, 0])
    layer = layers.LSTM(2, unit_forget_bias=False, bias_initializer="ones")
    layer.build((None, 3, 4))
    np.testing.assert_array_equal(layer.get_weights()[2], np.ones(8))
