"""Models that say themselves what a step does, against what real Keras logged and learned."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc
from kit.step_programs import PROGRAMS, run
from seqc import layers, ops
from seqc.errors import ConfigError, DataError, ShapeError, TraceError

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "cases" / "own_steps.json").read_text())
X = np.linspace(-1, 1, 24, dtype="float32").reshape(8, 3)
Y = X[:, :1] ** 2


def test_a_loop_outside_of_a_step_is_told_where_it_belongs() -> None:
    model = seqc.Sequential([seqc.Input((2,)), seqc.layers.Dense(1)])
    with seqc.GradientTape() as tape:
        loss = seqc.ops.mean(model(np.ones((3, 2), "float32")))
    with pytest.raises(TraceError, match=r"train_step\(self, data\) of a subclass.*docs/from-keras.md"):
        tape.gradient(loss, model.trainable_variables)


def _check(found: Any, expected: Any, where: str) -> None:
    if isinstance(expected, dict):
        assert sorted(found) == sorted(expected), where
        for key, value in expected.items():
            _check(found[key], value, f"{where}/{key}")
    else:
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5, err_msg=where)


@pytest.mark.parametrize("executor", ["tiled", "naive"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_steps_of_a_models_own_give_the_numbers_of_keras(
    program: Any, executor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQC_EXECUTOR", executor)
    _check(run(seqc, seqc.GradientTape, program), RECORDED[program.__name__], program.__name__)


def made(kind: Any, **options: Any) -> Any:
    x = seqc.Input((3,))
    model = kind(x, layers.Dense(1, kernel_initializer="ones")(x))
    model.compile(**({"optimizer": seqc.optimizers.SGD(0.1), "loss": "mse"} | options))
    return model


class Halved(seqc.Model):
    def __init__(self, *ends: Any, **named: Any) -> None:
        super().__init__(*ends, **named)

    def train_step(self, data: Any) -> Any:
        x, y = data
        return super().train_step((x, y / 2.0))


def test_a_subclass_made_of_symbols_is_copied_saved_and_loaded(tmp_path: Path) -> None:
    model, twin = made(Halved), made(Halved)
    plain = made(seqc.Model)
    model.fit(X, Y, verbose=0)
    plain.fit(X, Y / 2, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], plain.get_weights()[0], rtol=1e-6)
    assert isinstance(model, Halved)
    assert isinstance(model, seqc.Functional)
    model.save(tmp_path / "m.keras")
    loaded = seqc.models.load_model(tmp_path / "m.keras", custom_objects={"Halved": Halved})
    assert type(loaded) is Halved
    copied = pickle.loads(pickle.dumps(model))
    twin.set_weights(model.get_weights())
    for other in (loaded, copied, twin):
        np.testing.assert_array_equal(other.predict(X, verbose=0), model.predict(X, verbose=0))
        other.fit(X, Y, shuffle=False, verbose=0)
    np.testing.assert_array_equal(loaded.get_weights()[0], copied.get_weights()[0])


class Sized(seqc.Model):
    def __init__(self, units: int, **named: Any) -> None:
        x = seqc.Input((3,))
        super().__init__(x, layers.Dense(units)(x), **named)
        self.units = units


def test_a_subclass_with_other_arguments_is_described_by_these() -> None:
    model = Sized(4, name="sized")
    assert model.get_config()["units"] == 4
    assert "layers" not in model.get_config()
    again = Sized.from_config(model.get_config())
    assert (again.name, again.output_shape, len(again.layers)) == ("sized", (None, 4), 2)


def test_a_tape_and_a_step_work_in_a_step_only() -> None:
    model = made(Halved)
    with pytest.raises(TraceError, match="GradientTape"), seqc.GradientTape() as tape:
        tape.gradient(ops.sum(ops.square(model.weights[0])), model.weights)
    with pytest.raises(TraceError, match="train_step"):
        model.train_step((X, Y))


class Silent(seqc.Model):
    def train_step(self, data: Any) -> Any:
        super().train_step(data)
        return {}


class Nothing(seqc.Model):
    def train_step(self, data: Any) -> Any:
        super().train_step(data)


def test_a_step_may_log_nothing_and_must_say_so(recwarn: pytest.WarningsRecorder) -> None:
    model = made(Silent)
    assert dict(model.fit(X, Y, epochs=2, verbose=0).history) == {}
    assert not recwarn.list
    assert not np.allclose(model.get_weights()[0], 1)
    with pytest.raises(ConfigError, match=r"Nothing\.train_step must return a dictionary"):
        made(Nothing).fit(X, Y, verbose=0)


class Noisy(seqc.Model):
    def train_step(self, x: Any) -> Any:
        return {"drawn": ops.mean(seqc.random.normal((ops.shape(x)[0], 2)))}


def test_random_numbers_of_a_step_that_trains_nothing_differ_from_batch_to_batch() -> None:
    model = Noisy()
    model.compile()
    with pytest.warns(UserWarning, match="nothing to train"):
        drawn = [model.train_on_batch(X, return_dict=True)["drawn"] for _ in range(4)]
    assert len(set(drawn)) == 4


class Meta(seqc.Model):
    def train_step(self, data: Any) -> Any:
        x, y = data
        weights = self.trainable_weights
        for _ in range(2):  # the second update sees the first
            with seqc.GradientTape() as tape:
                loss = self.compute_loss(x, y, self(x, training=True))
            self.optimizer.apply(tape.gradient(loss, weights), weights)
        return {"loss": loss}


def test_two_updates_in_one_step_are_two_steps() -> None:
    """The gradient of the second does not go through the first, and is that of the new weights alone."""
    model, plain = made(Meta), made(seqc.Model)
    losses = [plain.train_on_batch(X, Y) for _ in range(2)]
    assert model.train_on_batch(X, Y) == pytest.approx(losses[1], rel=1e-5)


def test_gradients_reach_every_value_that_a_variable_had() -> None:
    class Both(seqc.Model):
        def train_step(self, data: Any) -> Any:
            w, b = self.trainable_weights
            with seqc.GradientTape() as tape:
                before = ops.sum(w * 3.0)
                w.assign(w * 0.0 + 2.0)
                loss = before + ops.sum(ops.square(w))
            return {"slope": ops.sum(tape.gradient(loss, w)), "none": ops.sum(tape.gradient(loss, [b])[0])}

    assert made(Both).train_on_batch(X, Y, return_dict=True) == {"slope": 3 * 3.0 + 3 * 4.0, "none": 0.0}


class ByTape(seqc.Model):
    """The step of Keras's guide: it returns what `compute_metrics` gives."""

    def train_step(self, data: Any) -> Any:
        x, y, weight = seqc.utils.unpack_x_y_sample_weight(data)
        with seqc.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=weight)
        weights = self.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
        return self.compute_metrics(x, y, y_pred, sample_weight=weight)


def test_a_step_may_return_what_compute_metrics_gives() -> None:
    own, usual = (made(kind, metrics=["mae"]) for kind in (ByTape, seqc.Model))
    found, expected = (one.fit(X, Y, 4, 2, shuffle=False, verbose=0).history for one in (own, usual))
    _check(found, expected, "history")
    assert list(own.train_on_batch(X, Y, return_dict=True)) == ["loss", "mae"]


class Drops(seqc.layers.Layer):
    """A layer that does not pass `training` on."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = layers.Dropout(0.5)

    def call(self, x: Any) -> Any:
        return self.drop(x)


class Asks(seqc.Model):
    def __init__(self) -> None:
        super().__init__()
        self.drops, self.out = Drops(), layers.Dense(1)

    def call(self, x: Any) -> Any:
        return self.out(self.drops(x))

    def train_step(self, data: Any) -> Any:
        x, _ = data
        modes = {"unsaid": {}, "false": {"training": False}, "true": {"training": True}}
        return {name: ops.mean(ops.abs(self.drops(x, **mode) - x)) for name, mode in modes.items()}


def test_a_call_in_a_step_trains_where_it_says_so() -> None:
    model = Asks()
    model.compile("sgd")
    got = model.fit(np.ones((4, 8), "float32"), np.ones(4), verbose=0).history
    # Recorded from Keras 3.15.1 on TensorFlow: of ones, dropped and doubled, each is off by one.
    assert got == {"unsaid": [0.0], "false": [0.0], "true": [1.0]}


class SizedStep(seqc.Model):
    """Writes the size of its batches into its step."""

    def __init__(self) -> None:
        super().__init__()
        self.dense, self.seen = layers.Dense(1, kernel_initializer="ones"), seqc.metrics.Mean(name="seen")

    def call(self, x: Any) -> Any:
        return self.dense(x)

    @property
    def metrics(self) -> list[Any]:
        return [self.seen]

    def train_step(self, data: Any) -> Any:
        self.seen.update_state(ops.mean(self(data + ops.reshape(ops.arange(4, dtype="float32"), (4, 1)))))
        return {"seen": self.seen.result()}


def test_a_step_may_be_written_for_batches_of_one_size() -> None:
    model = SizedStep()
    model.compile("sgd")
    assert model.fit(np.ones((12, 2), "float32"), batch_size=4, verbose=0).history["seen"] == [5.0]
    assert model.predict(np.ones((3, 2)), verbose=0).shape == (3, 1)  # which is not written for one
    with pytest.raises(ShapeError, match="sizes 2 and 4 differ"):
        model.fit(np.ones((6, 2), "float32"), batch_size=4, verbose=0)
    assert model.fit(np.ones((4, 2), "float32"), batch_size=4, verbose=0).history["seen"] == [5.0]


@pytest.mark.parametrize(
    "compute",
    [
        lambda p: seqc.losses.BinaryCrossentropy(from_logits=True)(ops.ones((4, 1)), p),
        lambda p: seqc.losses.SparseCategoricalCrossentropy(from_logits=True)(ops.zeros((4,), "int32"), p),
        lambda p: seqc.losses.MeanSquaredError()(ops.concatenate([ops.ones((4, 1)), ops.zeros((4, 1))], 0),
                                                 ops.concatenate([p, p], 0)),
        lambda p: seqc.losses.Huber()(ops.zeros_like(p), p, sample_weight=ops.arange(4.0)),
    ],
    ids=["binary", "sparse", "both kinds", "weights"],
)  # fmt: skip
def test_a_step_may_make_labels_for_batches_of_one_size(compute: Any) -> None:
    class Made(SizedStep):
        def train_step(self, data: Any) -> Any:
            self.seen.update_state(compute(self(data)))
            return {"seen": self.seen.result()}

    model = Made()
    model.compile("sgd")
    x = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")
    found = model.fit(x, batch_size=4, shuffle=False, verbose=0).history["seen"][0]
    expected = np.mean([np.asarray(compute(model(x[i : i + 4]))) for i in (0, 4)])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_labels_of_a_wrong_shape_are_refused_whatever_the_size_of_a_batch() -> None:
    model = seqc.Sequential([layers.Input((2,)), layers.Dense(4)])
    model.compile("sgd", "mse")
    with pytest.raises(DataError, match="needs labels of the output's shape"):
        model.fit(np.ones((4, 2)), np.ones(4), batch_size=4, verbose=0)


def test_sizes_that_differ_for_another_reason_are_told_as_they_were() -> None:
    class Wrong(SizedStep):
        def train_step(self, data: Any) -> Any:
            return {"seen": ops.mean(data + ops.ones((3, 2)))}

    model = Wrong()
    model.compile("sgd")
    with pytest.raises(ShapeError, match=r"'batch' may be any; ops.shape\(x\) gives it"):
        model.fit(np.ones((8, 2), "float32"), batch_size=4, verbose=0)


def waves(shape: Any, dtype: Any = None) -> Any:
    return ops.convert_to_tensor(np.float32(np.sin(np.arange(np.prod(shape)) * 1.7) * 0.5).reshape(shape))


def convolution(filters: int, size: int, **options: Any) -> Any:
    return layers.Conv2D(filters, size, activation="tanh", kernel_initializer=waves, **options)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (
            [convolution(3, 3), layers.BatchNormalization(), convolution(2, 3)],
            [0.3679317, 0.1044339, 0.08160254, 0.06809599],
        ),
        (
            [convolution(3, 3, padding="same"), layers.MaxPooling2D(3, 2, "same"), convolution(2, 2)],
            [0.00239362, 0.002375952, 0.002358514, 0.002341305],
        ),
    ],
    ids=["BatchNormalization", "MaxPooling2D"],
)
def test_gradients_of_gradients_go_through_statistics_and_pooling(parts: list[Any], expected: list[float]) -> None:
    """The numbers are those of Keras 3.15.1 on TensorFlow."""

    class Penalized(seqc.Model):
        def __init__(self) -> None:
            super().__init__()
            self.parts = seqc.Sequential(
                [seqc.Input((6, 6, 2)), *parts, layers.Flatten(), layers.Dense(1, kernel_initializer=waves)]
            )

        def train_step(self, x: Any) -> Any:
            with seqc.GradientTape() as outer:
                with seqc.GradientTape() as inner:
                    inner.watch(x)
                    y = self.parts(x, training=True)
                slope = ops.mean(ops.square(inner.gradient(y, x)))
            weights = self.parts.trainable_variables
            self.optimizer.apply_gradients(zip(outer.gradient(slope, weights), weights, strict=True))
            return {"slope": slope}

    model = Penalized()
    model.compile(seqc.optimizers.SGD(0.05))
    x = np.cos(np.arange(8 * 6 * 6 * 2) * 0.73).reshape(8, 6, 6, 2).astype("float32")
    found = model.fit(x, batch_size=8, epochs=4, verbose=0).history["slope"]
    np.testing.assert_allclose(found, expected, rtol=2e-5)
