"""Variables, metrics and layers that are kept as plain attributes; numbers are those of Keras 3.15.1."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc
from seqc import layers, ops
from seqc.serialization import register_keras_serializable

X = np.cos(np.arange(24.0)).reshape(12, 2).astype("float32")
Y = np.sin(np.arange(12.0)).reshape(12, 1).astype("float32")
TRAINED = [[0.11399], [-0.19228]]


def _variable(value: float, *shape: int, name: str = "v", trainable: bool = True) -> seqc.Variable:
    return seqc.Variable(np.full(shape, value, "float32"), name=name, trainable=trainable)


@register_keras_serializable("test_attributes")
class Many(seqc.layers.Layer):
    """Keeps variables in all ways at once."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.late: list[Any] = []
        self.scale = {"a": _variable(2.0, 1, name="a")}

    def build(self, _: Any) -> None:
        self.kernels: list[Any] = []
        self.biases: list[Any] = []
        for i in range(2):
            self.kernels.append(_variable(1.0 + i, 2, 2, name=f"k{i}"))
            self.biases.append(_variable(0.5 * i, 2, name=f"b{i}"))
        self.nest: Any = ({"q": [_variable(0.25, 2, 1, name="q")]}, 7)
        self.seen = [_variable(0.0, name="seen", trainable=False)]
        self.bias = self.add_weight(shape=(1,), initializer="zeros", name="bias")
        self.late.append(_variable(0.125, 1, name="late"))

    def call(self, x: Any) -> Any:
        self.seen[0].assign_add(1.0)
        for kernel, bias in zip(self.kernels, self.biases, strict=True):
            x = ops.tanh(x @ kernel + bias)
        return x @ self.nest[0]["q"][0] * self.scale["a"] + self.bias + self.late[0]


def _model(optimizer: Any = None) -> Any:
    model = seqc.Sequential([seqc.Input((2,)), Many(name="many")])
    model.compile(seqc.optimizers.SGD(0.1) if optimizer is None else optimizer, "mse")
    return model


def _fit(model: Any, epochs: int = 3) -> list[float]:
    history = model.fit(X, Y, batch_size=4, epochs=epochs, shuffle=False, verbose=0).history["loss"]
    return [round(float(loss), 5) for loss in history]


def test_variables_in_containers_of_a_layer_are_its_weights_in_the_order_in_which_they_came() -> None:
    model = _model()
    assert _fit(model) == [1.59711, 0.68938, 0.68189]
    assert [v.name for v in model.weights] == ["a", "k0", "b0", "k1", "b1", "q", "bias", "late", "seen"]
    assert model.count_params() == 18
    assert len(model.trainable_weights) == 8
    np.testing.assert_allclose(model.get_weights()[2], [0.0391, 0.0391], atol=5e-5)
    np.testing.assert_allclose(model.get_weights()[7], [0.0428], atol=5e-5)
    np.testing.assert_allclose(model.predict(X[:2], verbose=0), TRAINED, atol=1e-5)
    model.layers[0].trainable = False
    assert (len(model.trainable_weights), len(model.non_trainable_weights)) == (0, 9)
    clone = seqc.models.clone_model(model)
    np.testing.assert_allclose(clone.predict(X[:2], verbose=0), [[1.1245], [-0.87049]], atol=1e-5)


def _saved(ending: str) -> Callable[[Any, Path], Any]:
    def through(model: Any, folder: Path) -> Any:
        path = folder / f"model{ending}"
        if ending == ".keras":
            model.save(path)
            return seqc.models.load_model(path)
        model.save_weights(path)
        other = _model()
        other.load_weights(path)
        return other

    return through


@pytest.mark.parametrize(
    "through",
    [
        _saved(".keras"),
        _saved(".weights.h5"),
        _saved(".npz"),
        _saved(".safetensors"),
        lambda model, _: copy.deepcopy(model),
        lambda model, _: pickle.loads(pickle.dumps(model)),
    ],
    ids=[".keras", ".weights.h5", ".npz", ".safetensors", "deepcopy", "pickle"],
)
def test_variables_in_containers_are_in_files_and_copies(through: Any, tmp_path: Path) -> None:
    model = _model()
    _fit(model)
    other = through(model, tmp_path)
    np.testing.assert_allclose(other.predict(X[:2], verbose=0), TRAINED, atol=1e-5)
    assert len(other.trainable_weights) == 8
    before = model.get_weights()
    assert _fit(other, 1)[0] < 0.682
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert any(not np.array_equal(v, w) for v, w in zip(other.get_weights(), before, strict=True))


def test_an_exported_file_has_variables_in_containers(tmp_path: Path) -> None:
    ort = pytest.importorskip("onnxruntime")
    model = _model()
    _fit(model)
    model.export(tmp_path / "model.onnx", format="onnx")
    session = ort.InferenceSession(tmp_path / "model.onnx")
    found = session.run(None, {session.get_inputs()[0].name: X[:2]})[0]
    np.testing.assert_allclose(found, TRAINED, atol=1e-5)


def test_a_model_keeps_variables_in_containers_too() -> None:
    class Own(seqc.Model):
        def __init__(self) -> None:
            super().__init__()
            self.w = [_variable(1.0, 2, 1)]
            self.d = _variable(1.0, 2, 1)

        def call(self, x: Any) -> Any:
            return x @ self.w[0] + x @ self.d

    model = Own()
    model.compile(seqc.optimizers.SGD(0.1), "mse")
    losses = model.fit(X, Y, epochs=3, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(losses, [6.7697, 3.378, 1.8202], atol=5e-5)


def test_what_is_taken_out_of_a_list_is_no_weight_and_what_another_list_replaces_is() -> None:
    class Changing(seqc.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.w = [_variable(0.0, 1, name=name) for name in "abc"]

    layer = Changing()
    layer.w.pop(1)
    assert [v.name for v in layer.weights] == ["a", "c"]
    layer.w = [_variable(0.0, 1, name="d")]
    assert [v.name for v in layer.weights] == ["a", "c", "d"]


def test_a_build_that_fails_leaves_no_variables_in_lists_behind() -> None:
    class Failing(seqc.layers.Layer):
        def build(self, shape: Any) -> None:
            self.w = [_variable(1.0, shape[-1], 1)]
            if shape[-1] == 3:
                raise ValueError("not this one")

        def call(self, x: Any) -> Any:
            return x @ self.w[0]

    layer = Failing()
    with pytest.raises(ValueError, match="not this one"):
        layer(np.ones((2, 3), "float32"))
    assert layer.weights == []
    layer(np.ones((2, 2), "float32"))
    assert [v.shape for v in layer.weights] == [(2, 1)]


def test_a_list_of_variables_before_super_init_is_refused() -> None:
    class Early(seqc.layers.Layer):
        def __init__(self) -> None:
            self.w = [_variable(0.0, 1)]
            super().__init__()

    with pytest.raises(seqc.errors.ConfigError, match="keeps a layer or weight as 'w' before its __init__"):
        Early()


class Counting(seqc.metrics.Metric):
    """Counts batches in what it is given to keep, and gives the sum."""

    def __init__(self, kept: Any, name: str = "counted") -> None:
        super().__init__(name=name)
        self.kept = kept() if callable(kept) else kept

    def update_state(self, *_: Any, **__: Any) -> None:
        for one in self._parts():
            one.update_state(ops.ones(())) if isinstance(one, seqc.metrics.Metric) else one.assign_add(1.0)

    def result(self) -> Any:
        return sum(one.result() if isinstance(one, seqc.metrics.Metric) else one * 1.0 for one in self._parts())

    def _parts(self) -> list[Any]:
        return list(self.kept.values()) if isinstance(self.kept, dict) else list(seqc.tree.flatten([self.kept]))


STATES = {
    "variable": lambda: _variable(0.0),
    "list": lambda: [_variable(0.0), _variable(0.0)],
    "dict": lambda: {"a": _variable(0.0)},
    "metrics": lambda: [seqc.metrics.Sum(name="a"), seqc.metrics.Sum(name="b")],
    "metric dict": lambda: {"a": seqc.metrics.Sum(name="a")},
}


@pytest.mark.parametrize("kind", STATES)
def test_a_metric_of_ones_own_starts_each_epoch_anew(kind: str) -> None:
    metric = Counting(STATES[kind])
    parts = len(metric._parts())
    model = seqc.Sequential([seqc.Input((2,)), seqc.layers.Dense(1)])
    model.compile(seqc.optimizers.SGD(0.1), "mse", metrics=[metric])
    logs = model.fit(X, Y, batch_size=4, epochs=2, verbose=0, validation_data=(X[:8], Y[:8]), validation_batch_size=4)
    assert logs.history["counted"] == [3.0 * parts, 3.0 * parts]
    assert logs.history["val_counted"] == [2.0 * parts, 2.0 * parts]
    assert len(metric.variables) == parts
    metric.reset_state()
    metric.update_state(Y, Y)
    assert float(metric.result()) == parts
    ahead = metric.stateless_update_state([np.float32(5.0)] * parts, Y, Y)
    assert [float(v) for v in ahead] == [6.0] * parts
    assert float(metric.result()) == parts
    assert float(copy.deepcopy(metric).result()) == parts


def test_a_macro_f1_of_metrics_in_lists() -> None:
    class MacroF1(seqc.metrics.Metric):
        def __init__(self) -> None:
            super().__init__(name="f1")
            self.ps = [seqc.metrics.Precision(class_id=i) for i in range(3)]
            self.rs = [seqc.metrics.Recall(class_id=i) for i in range(3)]

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            for metric in self.ps + self.rs:
                metric.update_state(y_true, y_pred, sample_weight)

        def result(self) -> Any:
            pairs = [(p.result(), r.result()) for p, r in zip(self.ps, self.rs, strict=True)]
            return sum(2 * p * r / (p + r + 1e-7) for p, r in pairs) / 3

    x = np.cos(np.arange(60.0)).reshape(30, 2).astype("float32")
    y = np.eye(3)[(x.sum(1) > 0).astype(int) + (x[:, 0] > 0.7)].astype("float32")
    model = seqc.Sequential([seqc.Input((2,)), seqc.layers.Dense(3, "softmax")])
    model.set_weights([np.sin(np.arange(6.0)).reshape(2, 3), np.zeros(3)])
    model.compile(seqc.optimizers.SGD(0.5), "categorical_crossentropy", metrics=[MacroF1()])
    logs = model.fit(x, y, batch_size=10, epochs=5, shuffle=False, verbose=0, validation_data=(x[:10], y[:10])).history
    np.testing.assert_allclose(logs["f1"], [0.1389, 0.4347, 0.6344, 0.6262, 0.6262], atol=5e-5)
    np.testing.assert_allclose(logs["val_f1"], [0.2222, 0.6364, 0.619, 0.619, 0.619], atol=5e-5)
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0), [0.4625, 0.6262], atol=5e-5)


@register_keras_serializable("test_attributes")
class Heavy(seqc.optimizers.Optimizer):
    """Slows down by a count that it keeps itself."""

    def __init__(self, learning_rate: Any = 0.05, name: str = "heavy", **kwargs: Any) -> None:
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        self.ms = [self.add_variable_from_reference(reference_variable=v, name="m") for v in variables]
        self.count = _variable(0.0, name="count", trainable=False)
        self.scale = self.add_variable(shape=(), initializer="ones", name="scale")
        self.more = {"steps": [_variable(0.0, name="steps", trainable=False)]}

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        m = self.ms[self._get_variable_index(variable)]
        self.assign(m, m * 0.9 - gradient * learning_rate)
        self.assign_add(variable, m / (1 + 0.1 * self.count + 0.1 * self.more["steps"][0]))
        self.assign_add(self.count, 1.0)
        self.assign_add(self.more["steps"][0], 1.0)


@pytest.mark.parametrize("how", ["file", "deepcopy", "pickle"])
def test_an_optimizers_own_variables_are_saved_and_copied(how: str, tmp_path: Path) -> None:
    model = _model(Heavy())
    _fit(model, 2)
    names = [v.name for v in model.optimizer.variables]
    assert (len(names), names[-3:]) == (13, ["count", "scale", "steps"])
    if how == "file":
        model.save(tmp_path / "model.keras")
        other = seqc.models.load_model(tmp_path / "model.keras")
    else:
        other = copy.deepcopy(model) if how == "deepcopy" else pickle.loads(pickle.dumps(model))
    assert float(other.optimizer.count) == float(other.optimizer.more["steps"][0]) == 48.0
    assert _fit(other) == _fit(model)


def test_a_backup_has_an_optimizers_own_variables(tmp_path: Path) -> None:
    class Cut(seqc.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                raise RuntimeError("cut")

    def run(*callbacks: Any) -> list[Any]:
        model = _model(Heavy())
        kept = [seqc.callbacks.BackupAndRestore(tmp_path / "backup"), *callbacks]
        model.fit(X, Y, batch_size=4, epochs=4, shuffle=False, verbose=0, callbacks=kept)
        return list(model.get_weights())

    whole = run()
    with pytest.raises(RuntimeError, match="cut"):
        run(Cut())
    for found, wanted in zip(run(), whole, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_an_optimizer_keeps_no_variable_of_the_model() -> None:
    optimizer = seqc.optimizers.Adam()
    model = _model(optimizer)
    _fit(model, 1)
    optimizer.learning_rate = seqc.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    names = [v.name for v in optimizer.variables]
    assert (names[0], "learning_rate" in names, len(names)) == ("iteration", False, 17)


def test_a_step_of_ones_own_trains_variables_in_containers() -> None:
    class Own(seqc.Sequential):
        def train_step(self, data: Any) -> Any:
            x, y = data
            with seqc.GradientTape() as tape:
                loss = ops.mean(ops.square(self(x, training=True) - y))
            weights = self.trainable_weights
            self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
            return {"loss": loss}

    model = Own([seqc.Input((2,)), Many()])
    model.compile(seqc.optimizers.SGD(0.1))
    model.fit(X, Y, batch_size=4, epochs=3, shuffle=False, verbose=0)
    np.testing.assert_allclose(model.predict(X[:2], verbose=0), TRAINED, atol=1e-5)


# -- weights that several layers keep, and that were frozen before --------------------------------------------------


class Tied(layers.Layer):
    """Keeps a weight of another layer, alone or in a list, beside one of its own."""

    def __init__(self, weight: Any, listed: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.kept = [weight] if listed else weight
        self.own = self.add_weight(shape=(1,), name="own")

    def call(self, x: Any) -> Any:
        weight = self.kept[0] if isinstance(self.kept, list) else self.kept
        return ops.matmul(x, ops.transpose(weight)) + self.own


def names(weights: Any) -> list[str]:
    return [v.name for v in weights]


@pytest.mark.parametrize("listed", [False, True])
def test_a_frozen_layer_leaves_weights_alone_that_it_was_given(listed: bool) -> None:
    table = layers.Embedding(5, 3)
    ids = seqc.Input((2,), dtype="int32")
    hidden = layers.Dense(3)(layers.Flatten()(table(ids)))
    made = seqc.Model(ids, Tied(table.embeddings, listed, trainable=False)(hidden))
    assert names(made.trainable_weights) == ["embeddings", "kernel", "bias"]
    before = table.embeddings.numpy()
    made.compile("sgd", "mse")
    made.fit(np.array([[1, 2], [3, 4]]), np.ones((2, 5)), verbose=0)
    assert np.all(np.abs(table.embeddings.numpy() - before).max(1)[1:] > 0)
    assert not made.layers[-1].trainable_weights


@pytest.mark.parametrize("listed", [False, True])
def test_a_layer_does_not_unfreeze_what_was_frozen_when_it_came(listed: bool) -> None:
    base = layers.Dense(2)
    base.build((None, 3))
    base.trainable = False
    layer = Tied(base.kernel, listed)
    assert names(layer.weights) == ["own", "kernel"]
    for value in (True, False, True):
        layer.trainable = value
        assert names(layer.trainable_weights) == ["own"] * value
        assert base.kernel.trainable is False
    base.trainable = True
    assert names(layer.trainable_weights) == ["own", "kernel"]
    assert names(layer.weights) == ["own", "kernel"]


def test_a_weight_that_was_not_to_be_learned_keeps_what_is_said_of_it() -> None:
    layer = Tied(seqc.Variable(np.ones((5, 3)), name="w"))
    scale = layer.add_weight(shape=(1,), name="scale", trainable=False)
    scale.trainable = True
    assert names(layer.weights) == ["w", "own", "scale"]
    layer.trainable = False
    assert scale.trainable is True
    assert layer.trainable_weights == []
    layer.trainable = True
    assert names(layer.trainable_weights) == ["w", "own", "scale"]


def test_what_is_taken_out_of_a_layer_is_free_and_not_pickled() -> None:
    layer = Tied(_variable(1.0, 5, 3, name="w"), listed=True)
    size = len(pickle.dumps(layer))
    layer.kept.append(_variable(1.0, 100, 100, name="more"))
    assert names(layer.weights) == ["w", "own", "more"]
    seen = weakref.ref(layer.kept.pop())
    assert names(layer.weights) == ["w", "own"]
    gc.collect()
    assert seen() is None
    assert len(pickle.dumps(layer)) < size + 100
