"""Sizes as values: what a function computes does not depend on whether it was traced with known or unknown sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seqc as keras
from kit.graph_runs import step_file
from seqc import layers, ops
from seqc.backends.numpy.executor import Executor
from seqc.errors import ShapeError
from seqc.export import compile_graph
from seqc.graph import dims, ir
from seqc.graph.autodiff import gradients
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph, Value

onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")

BATCH, TIME = dims.symbol("batch"), dims.symbol("time")
SIZES = ((1, 4), (3, 5), (2, 8))

# Functions of a tensor (batch, time, 3), as a user writes them.
FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {
    "times its length": lambda x: x * ops.cast(ops.shape(x)[1], "float32"),
    "times its length, not cast": lambda x: x * ops.shape(x)[1] - ops.shape(x)[0],
    "mean by hand": lambda x: ops.sum(x, axis=1) / ops.shape(x)[1],
    "mean over everything by hand": lambda x: x - ops.sum(x) / ops.size(x),
    "positions": lambda x: x + ops.arange(ops.shape(x)[1], dtype="float32")[None, :, None],
    "positions from one": lambda x: x + ops.cast(ops.arange(1, ops.shape(x)[1] + 1), "float32")[:, None],
    "positions backwards": lambda x: x * ops.arange(ops.shape(x)[1] - 1, -1, -1, dtype="float32")[:, None],
    "every second position": lambda x: ops.arange(0, ops.shape(x)[1], 2),
    "positions as fractions": lambda x: x * ops.linspace(-1.0, 1.0, ops.shape(x)[1])[:, None],
    "fractions without the end": lambda x: x * ops.linspace(0.0, 1.0, ops.shape(x)[1], endpoint=False)[:, None],
    "tiled row": lambda x: x + ops.tile(ops.reshape(ops.arange(3, dtype="float32"), (1, 3)), (ops.shape(x)[1], 1)),
    "tiled for each sample": lambda x: x * ops.tile(ops.ones((1, 1, 3)) * 2, (ops.shape(x)[0], ops.shape(x)[1], 1)),
    "tiled along two axes": lambda x: ops.tile(x, (1, ops.shape(x)[1], 2)),
    "identity matrix": lambda x: ops.matmul(ops.eye(ops.shape(x)[1]), x),
    "shifted identity matrix": lambda x: ops.matmul(ops.eye(ops.shape(x)[1], k=1), x),
    "causal mask": lambda x: ops.matmul(ops.tri(ops.shape(x)[1]), x),
    "lower triangle": lambda x: ops.tril(ops.matmul(x, ops.transpose(x, (0, 2, 1)))),
    "upper triangle": lambda x: ops.triu(ops.matmul(x, ops.transpose(x, (0, 2, 1))), 1),
    "broadcast to its shape": lambda x: x + ops.broadcast_to(ops.arange(3, dtype="float32"), ops.shape(x)),
    "broadcast of its own": lambda x: ops.broadcast_to(x[:, :1], ops.shape(x)) - x,
    "zeros beside it": lambda x: ops.concatenate([x, ops.zeros((*ops.shape(x)[:2], 1))], -1),
    "ones before it": lambda x: ops.concatenate([ops.ones((ops.shape(x)[0], 2, 3)), x], 1),
    "full of its length": lambda x: x + ops.full((ops.shape(x)[1], 1), ops.shape(x)[1], "float32"),
    "first half": lambda x: x[:, : ops.shape(x)[1] // 2],
    "second half": lambda x: x[:, ops.shape(x)[1] // 2 :],
    "last half, from the end": lambda x: x[:, -(ops.shape(x)[1] // 2) :],
    "all but a quarter": lambda x: x[:, ops.shape(x)[1] // 4 : -1],
    "middle, every second": lambda x: x[:, 1 : ops.shape(x)[1] // 2 + 1 : 2],
    "first half backwards": lambda x: x[:, ops.shape(x)[1] // 2 :: -1],
    "second half backwards": lambda x: x[:, : ops.shape(x)[1] // 2 : -1],
    "beyond the end": lambda x: x[:, : ops.shape(x)[1] + 3],
    "from the end on": lambda x: ops.sum(x[:, ops.shape(x)[1] :], axis=1),
    "last element": lambda x: x[:, ops.shape(x)[1] - 1],
    "middle element": lambda x: x[:, ops.shape(x)[1] // 2],
    "first samples": lambda x: x[: (ops.shape(x)[0] + 1) // 2],
    "element by its number": lambda x: x[:, ops.argmax(ops.sum(x, axis=(0, 2)))],
    "a block": lambda x: ops.slice(x, (0, 1, 0), (ops.shape(x)[0], ops.shape(x)[1] // 2, 2)),
    "a block somewhere": lambda x: ops.slice(x, (0, ops.shape(x)[1] // 2, 1), (ops.shape(x)[0], 2, 2)),
    "halves": lambda x: ops.split(x, [ops.shape(x)[1] // 2], axis=1)[0],
    "taken from the end": lambda x: ops.take(x, ops.shape(x)[1] - 2, axis=1),
    "one of as many classes": lambda x: ops.one_hot(ops.arange(ops.shape(x)[1]) // 2, ops.shape(x)[1]),
    "rows of one axis": lambda x: ops.reshape(x, (ops.shape(x)[0] * ops.shape(x)[1], 3)),
    "several unknown sizes": lambda x: ops.reshape(x, (ops.shape(x)[1], ops.shape(x)[0], 3)),
    "unknown sizes and the rest": lambda x: ops.reshape(x, (ops.shape(x)[0] * ops.shape(x)[1], -1)),
    "the rest of unknown sizes": lambda x: ops.reshape(x, (ops.shape(x)[1], -1, ops.shape(x)[0])),
    "reshaped there and back": lambda x: ops.reshape(ops.reshape(x, (-1, 3)) * 2, ops.shape(x)),
    "repeated as often as long": lambda x: ops.repeat(x, ops.shape(x)[1], axis=2),
    "rolled by half": lambda x: ops.roll(x, ops.shape(x)[1] // 2, axis=1),
    "padded by its length": lambda x: ops.pad(x, ((0, 0), (ops.shape(x)[1] // 2, 1), (0, 0)), constant_values=2.0),
    "product of a shape": lambda x: x / ops.cast(ops.prod(ops.shape(x)[1:]), "float32"),
    "largest of its sizes": lambda x: x * ops.max(ops.shape(x)),
    "sizes as an array": lambda x: ops.cast(ops.convert_to_tensor(ops.shape(x)), "float32") * x,
    "sum of a list": lambda x: ops.sum([x, 2 * x], axis=0),
    "odd lengths": lambda x: x * (ops.shape(x)[1] % 2),
    "longer than wide": lambda x: ops.where(ops.shape(x)[1] > 4, x, -x),
    "at least five": lambda x: x * ops.maximum(ops.shape(x)[1], 5),
    "scaled by the root of its length": lambda x: x / ops.sqrt(ops.cast(ops.shape(x)[1], x.dtype)),
    "distances": lambda x: ops.arange(ops.shape(x)[1])[None] - ops.arange(ops.shape(x)[1])[:, None],
}  # fmt: skip


def numbers(batch: int, time: int) -> Array:
    return np.random.default_rng(batch * 100 + time).normal(size=(batch, time, 3)).astype("float32")


def traced(function: Callable[[Any], Any], *shape: dims.Dim) -> Graph:
    x = ir.input_value("x", "float32", shape)
    return Graph((x,), (ir.as_value(function(x)),), ("y",))


def on_onnxruntime(graph: Graph) -> Callable[[Array], Array]:
    session = onnxruntime.InferenceSession(compile_graph(graph).SerializeToString())
    return lambda x: session.run(None, {"x": x})[0]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_unknown_sizes_give_the_numbers_of_known_ones(name: str) -> None:
    function = FUNCTIONS[name]
    unknown = traced(function, BATCH, TIME, 3)
    interpreter, run = Interpreter(unknown), on_onnxruntime(unknown)
    for batch, time in SIZES:
        x = numbers(batch, time)
        wanted = np.asarray(function(ops.convert_to_tensor(x)))  # every size known, at once
        (known,) = Interpreter(traced(function, batch, time, 3)).run([x])
        (got,) = interpreter.run([x])
        assert got.dtype == wanted.dtype
        assert got.shape == wanted.shape
        said = tuple(dims.evaluate(d, {"batch": batch, "time": time}) for d in unknown.outputs[0].type.shape)
        assert got.shape == said
        np.testing.assert_allclose(known, wanted, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(run(x), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_executor_knows_the_size_of_the_whole_batch_in_every_tile(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqc.backends.numpy.machine.tile_bytes", lambda share: 1)  # tiles of one sample
    graph = traced(FUNCTIONS[name], BATCH, 5, 3)
    runs = Executor(graph, [], [])
    for batch in (1, 4, 3):
        x = numbers(batch, 5)
        np.testing.assert_allclose(runs.run([x])[0], Interpreter(graph).run([x])[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "name", [n for n in FUNCTIONS if n not in ("every second position", "one of as many classes", "distances")]
)
def test_gradients_are_those_of_known_sizes(name: str) -> None:
    def gradient(*shape: dims.Dim) -> Graph:
        x = ir.input_value("x", "float32", shape)
        y = ops.convert_to_tensor(FUNCTIONS[name](x))
        return Graph((x,), tuple(gradients(ops.sum(ops.square(y)), [x])), ("g",))

    unknown = gradient(BATCH, TIME, 3)
    session = onnxruntime.InferenceSession(step_file(unknown))
    for batch, time in SIZES:
        x = numbers(batch, time)
        (wanted,) = Interpreter(gradient(batch, time, 3)).run([x])
        np.testing.assert_allclose(Interpreter(unknown).run([x])[0], wanted, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(session.run(None, {"x": x})[0], wanted, rtol=1e-4, atol=1e-5)


# -- programs that are put together at random --------------------------------------------------------------------------

# Each step takes a tensor (batch, any length, 3) and gives one.
STEPS: tuple[Callable[[Any], Any], ...] = (
    lambda x: x[:, : (ops.shape(x)[1] + 1) // 2],
    lambda x: x[:, ops.shape(x)[1] // 3 :],
    lambda x: x[:, -((ops.shape(x)[1] + 1) // 2) :],
    lambda x: x[:, ::-1],
    lambda x: ops.concatenate([x, x[:, :1]], 1),
    lambda x: ops.repeat(x, 2, axis=1),
    lambda x: x + ops.arange(ops.shape(x)[1], dtype="float32")[:, None],
    lambda x: x * ops.shape(x)[1],
    lambda x: x - ops.shape(x)[0],
    lambda x: ops.matmul(ops.tri(ops.shape(x)[1]), x) / ops.shape(x)[1],
    lambda x: ops.concatenate([ops.zeros((ops.shape(x)[0], ops.shape(x)[1] // 2, 3)), x], 1),
    lambda x: x + ops.tile(ops.ones((1, 3)), (ops.shape(x)[1], 1)),
    lambda x: ops.transpose(ops.reshape(ops.transpose(x, (1, 0, 2)), (ops.shape(x)[1], ops.shape(x)[0], 3)), (1, 0, 2)),
    lambda x: x * ops.one_hot(ops.shape(x)[1] % 3, 3),
    lambda x: ops.broadcast_to(x[:, ops.shape(x)[1] // 2][:, None], ops.shape(x)),
    lambda x: ops.roll(x, ops.shape(x)[1] // 2, axis=1),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(range(len(STEPS))), min_size=1, max_size=5))
def test_any_program_of_sizes_gives_the_same_numbers(chosen: list[int]) -> None:
    def program(x: Any) -> Any:
        for i in chosen:
            x = STEPS[i](x)
        return x

    unknown = traced(program, BATCH, TIME, 3)
    interpreter, run = Interpreter(unknown), on_onnxruntime(unknown)
    for batch, time in ((2, 5), (1, 6)):
        x = numbers(batch, time)
        wanted = np.asarray(program(ops.convert_to_tensor(x)))
        tolerance: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}
        np.testing.assert_allclose(Interpreter(traced(program, batch, time, 3)).run([x])[0], wanted, **tolerance)
        np.testing.assert_allclose(interpreter.run([x])[0], wanted, **tolerance)
        np.testing.assert_allclose(run(x), wanted, **tolerance)


# -- in models ---------------------------------------------------------------------------------------------------------


class Positions(layers.Layer):
    """Adds where a step is and how many there are, and looks at the first half only."""

    def build(self, input_shape: Any) -> None:
        self.w = self.add_weight((input_shape[-1], 2), "glorot_uniform")

    def call(self, x: Any) -> Any:
        batch, time, features = ops.shape(x)
        x = x + ops.arange(time, dtype="float32")[None, :, None] / ops.cast(time, "float32")
        x = ops.concatenate([x, ops.zeros((batch, 1, features))], axis=1)
        return ops.matmul(x[:, : time // 2 + 1], self.w) * batch


@pytest.mark.slow
def test_a_layer_of_sizes_trains_predicts_and_exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = numbers(7, 6), np.zeros((7, 2), "float32")
    results = []
    for executor in ("tiled", "naive"):
        monkeypatch.setenv("SEQC_EXECUTOR", executor)
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((None, 3)), Positions(), layers.GlobalAveragePooling1D()])
        model.compile(keras.optimizers.SGD(0.001), "mse")
        history = model.fit(x, y, epochs=2, batch_size=4, shuffle=False, verbose=0)
        results.append((history.history["loss"], *model.get_weights(), model.predict(x, batch_size=7, verbose=0)))
    for ours, naive in zip(*results, strict=True):
        np.testing.assert_allclose(ours, naive, rtol=1e-5, atol=1e-6)
    model.export(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    for batch, time in SIZES:
        given = numbers(batch, time)
        (got,) = session.run(None, {session.get_inputs()[0].name: given})
        np.testing.assert_allclose(got, model(given), rtol=1e-4, atol=1e-5)


def test_losses_and_metrics_may_read_sizes() -> None:
    def loss(y_true: Any, y_pred: Any) -> Any:
        return ops.sum(ops.square(y_true - y_pred)) / ops.cast(ops.shape(y_pred)[0], "float32")

    def samples(y_true: Any, y_pred: Any) -> Any:
        return ops.cast(ops.shape(y_true)[0], "float32") * ops.ones((ops.shape(y_true)[0],))

    x, y = numbers(6, 1)[:, 0], np.ones((6, 2), "float32")
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    model.compile("sgd", loss, metrics=[samples])
    found = model.evaluate(x, y, batch_size=6, verbose=0)
    wanted = np.sum((y - model.predict(x, verbose=0)) ** 2) / 6
    np.testing.assert_allclose(found, [wanted, 6.0], rtol=1e-5)
    model.fit(x, y, batch_size=6, verbose=0)


def test_a_size_meets_narrow_numbers_as_a_python_number_does() -> None:
    def function(x: Any) -> Any:
        return ops.cast(x, "uint8") + ops.shape(x)[1]

    assert traced(function, BATCH, TIME, 3).outputs[0].dtype == traced(function, 2, 4, 3).outputs[0].dtype == "uint8"


def test_no_message_shows_the_inside_of_a_size() -> None:
    """'Sym' is a class of seqc's that nobody outside has heard of."""
    x = ir.input_value("x", "float32", (BATCH, TIME, 3))
    t: Any = ops.shape(x)[1]
    wrong: list[Callable[[], Any]] = [
        lambda: range(t), lambda: np.zeros((t, 2)), lambda: x + np.zeros(3)[: t // 2], lambda: int(t), lambda: float(t),
        lambda: ops.zeros((t / 2,)), lambda: ops.reshape(x, (t + 1, 3)), lambda: ops.broadcast_to(x, (t, 3)),
        lambda: layers.Dense(t), lambda: ops.arange(0.5, t), lambda: ops.split(x, t, axis=1), lambda: x[:, t / 2],
        lambda: ops.matmul(x, ops.zeros((t, t))), lambda: [1, 2, 3][t], lambda: ops.unstack(x, axis=1),
    ]  # fmt: skip
    for call in wrong:
        with pytest.raises(Exception) as caught:  # noqa: PT011  (of any class: what matters is the text)
            call()
        assert "Sym" not in str(caught.value), str(caught.value)
        assert isinstance(caught.value, keras.errors.SeqcError), caught.value


def test_long_division_of_sizes() -> None:
    b, t = BATCH, TIME
    assert dims.exact_quotient(b * t * 6, t * 3) == b * 2
    assert dims.exact_quotient(b * t + t * t, b + t) == t
    assert dims.exact_quotient((t // 2) * b * 4, t // 2) == b * 4
    assert dims.exact_quotient(b * t + 1, t) is None
    assert dims.exact_quotient(b * t, 2 * t) is None


def test_sizes_in_onnx_are_read_once(tmp_path: Path) -> None:
    file = compile_graph(
        traced(lambda x: x * ops.shape(x)[1] + ops.arange(ops.shape(x)[1], dtype="float32")[:, None], BATCH, TIME, 3)
    )
    assert [n.op_type for n in file.graph.node].count("Shape") == 1


def test_values_of_sizes_are_known_where_they_can_be() -> None:
    x = ir.input_value("x", "float32", (BATCH, TIME, 3))
    t: Any = ops.shape(x)[1]
    known: dict[str, Value] = {
        "time + 1": t + 1, "-time + 1": 1 - t, "2*time - 2": (t - 1) * 2, "floor(time/2)": t // 2, "time*time": t**2,
        "-time": -t, "time + 3": ops.maximum(t, t + 3), "time - 2*floor(time/2)": t % 2, "time": ops.cast(t, "int64"),
    }  # fmt: skip
    assert {str(v.type.size) for v in known.values()} == set(known)
    for unknown in (ops.abs(t), ops.minimum(t, 4), ops.sum(ops.cast(x, "int32")), ops.sign(t), t / 2, t > 1):
        assert unknown.type.size is None


def test_every_step_of_time_may_have_sizes_of_its_own(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((None, None, 4)), layers.TimeDistributed(layers.LSTM(2))])
    receipt = model.export(tmp_path / "m.onnx")
    assert receipt.inputs[0].shape == ("batch", "time", "step", 4)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype("float32")
    np.testing.assert_allclose(session.run(None, {session.get_inputs()[0].name: x})[0], model(x), atol=1e-5)


def test_time_is_called_time_in_front_of_layers_over_time(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((None, 6, 6, 1)), layers.TimeDistributed(layers.Conv2D(2, 3))])
    assert model.export(tmp_path / "m.onnx").inputs[0].shape == ("batch", "time", 6, 6, 1)
    x = keras.Input((None, 6, 6, 1), name="video")
    seen = layers.TimeDistributed(layers.Flatten())(layers.TimeDistributed(layers.Conv2D(2, 3))(x))
    functional = keras.Model(x, layers.LSTM(3)(seen))
    assert functional.export(tmp_path / "f.onnx").inputs[0].shape == ("batch", "time", 6, 6, 1)


def test_time_is_called_time_in_front_of_cells_of_any_rank(tmp_path: Path) -> None:
    class Sums(layers.Layer):
        """A cell over images: its state is the sum of their pixels."""

        state_size = 2

        def call(self, x: Any, states: Any) -> tuple[Any, list[Any]]:
            new = states[0] + ops.sum(x, (1, 2))
            return new, [new]

    for model in (
        keras.Sequential([keras.Input((None, 4, 5, 2)), layers.RNN(Sums())]),
        (lambda x: keras.Model(x, layers.RNN(Sums())(x)))(keras.Input((None, 4, 5, 2))),
    ):
        assert model.export(tmp_path / "m.onnx").inputs[0].shape == ("batch", "time", 4, 5, 2)
        x = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 2)).astype("float32")
        np.testing.assert_allclose(model.predict(x, verbose=0), x.sum((1, 2, 3)), rtol=1e-4, atol=1e-5)


def test_a_shape_may_be_a_vector_that_was_put_together_of_sizes() -> None:
    class Causal(keras.layers.Layer):  # as a widely read text generator has it
        def call(self, x: Any) -> Any:
            rows, steps = ops.shape(x)[0], ops.shape(x)[1]
            mask = ops.cast(ops.arange(steps)[:, None] >= ops.arange(steps), "float32")
            counts = ops.concatenate([ops.expand_dims(rows, -1), ops.convert_to_tensor([1, 1])], 0)
            mask = ops.tile(ops.reshape(mask, ops.stack([1, steps, steps])), counts)
            again = ops.broadcast_to(ops.ones((1, 1, 2)), ops.convert_to_tensor([rows, steps, 2]))
            return ops.matmul(mask, x) + again * ops.reshape(x, np.array([-1, 3, 2]))

    x = keras.Input((3, 2))
    model = keras.Model(x, Causal()(x))
    given = np.arange(24, dtype="float32").reshape(4, 3, 2)
    np.testing.assert_allclose(model.predict(given, verbose=0), given.cumsum(1) + given)

    class Unknown(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return ops.tile(x, ops.cast(x[0], "int32"))

    with pytest.raises(ShapeError, match="put together of them by concatenate or stack"):
        Unknown()(keras.Input((3,)))
