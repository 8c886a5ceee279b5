"""Programs whose models say themselves what a step does; the same code runs in Keras on TensorFlow and in seqc."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

ROWS, WIDTH = 40, 3


def data() -> tuple[Any, Any]:
    rng = np.random.default_rng(7)
    x = rng.normal(size=(ROWS, WIDTH)).astype("float32")
    return x, np.stack([x.sum(1), x[:, 0] * x[:, 1]], 1).astype("float32")


def _ends(keras: Any, **options: Any) -> tuple[Any, Any]:
    x = keras.Input((WIDTH,), name="x")
    h = keras.layers.Dense(5, activation="tanh", name="hidden", kernel_regularizer="l2")(x)
    return x, keras.layers.Dense(2, name="out", **options)(h)


def train_step_by_hand(keras: Any, tape_of: Any) -> Any:
    class Model(keras.Model):  # type: ignore[misc]
        def train_step(self, data: Any) -> Any:
            x, y = data
            with tape_of() as tape:
                y_pred = self(x, training=True)
                loss = self.compute_loss(y=y, y_pred=y_pred)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, y_pred)
            return {metric.name: metric.result() for metric in self.metrics}

    model = Model(*_ends(keras))
    model.compile(keras.optimizers.Adam(0.05), "mse", metrics=[keras.metrics.MeanAbsoluteError(name="mae")])
    return model


def train_step_that_adds_to_the_usual(keras: Any, tape_of: Any) -> Any:
    class Model(keras.Model):  # type: ignore[misc]
        def train_step(self, data: Any) -> Any:
            logs = super().train_step(data)
            return {**logs, "size": keras.ops.sum(keras.ops.square(self.get_layer("out").kernel))}

    model = Model(*_ends(keras))
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", metrics=["mae"])
    return model


def test_step_of_its_own(keras: Any, tape_of: Any) -> Any:
    class Model(keras.Model):  # type: ignore[misc]
        def test_step(self, data: Any) -> Any:
            x, y = data
            loss = self.compute_loss(y=y, y_pred=self(x, training=False) * 2.0)
            return {"loss": loss, "twice": 2.0 * loss}

    model = Model(*_ends(keras))
    model.compile(keras.optimizers.SGD(0.1), "mae")
    return model


def predict_step_of_its_own(keras: Any, tape_of: Any) -> Any:
    class Model(keras.Model):  # type: ignore[misc]
        def predict_step(self, data: Any) -> Any:
            x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
            return {"raw": self(x, training=False), "rounded": keras.ops.round(self(x, training=False))}

    model = Model(*_ends(keras))
    model.compile("sgd", "mse")
    return model


def loss_and_metrics_of_its_own(keras: Any, tape_of: Any) -> Any:
    class Model(keras.Model):  # type: ignore[misc]
        def __init__(self, *ends: Any, **named: Any) -> None:
            super().__init__(*ends, **named)
            self.farthest = keras.metrics.Mean(name="farthest")

        def compute_loss(
            self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
        ) -> Any:
            usual = super().compute_loss(x, y, y_pred, sample_weight)
            return usual + 0.1 * keras.ops.mean(keras.ops.abs(y_pred - keras.ops.sum(x, -1, keepdims=True)))

        def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            self.farthest.update_state(keras.ops.max(keras.ops.abs(y - y_pred), -1))
            return super().compute_metrics(x, y, y_pred, sample_weight)

    model = Model(*_ends(keras))
    model.compile(keras.optimizers.RMSprop(0.01), "mse", metrics=["mae"])
    return model


def listed_metrics(keras: Any, tape_of: Any) -> Any:
    class Model(keras.Model):  # type: ignore[misc]
        def __init__(self, *ends: Any, **named: Any) -> None:
            super().__init__(*ends, **named)
            self.mine = keras.metrics.Mean(name="mine")

        def compute_loss(
            self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
        ) -> Any:
            loss = keras.ops.mean(keras.ops.square(y - y_pred)) + sum(self.losses)
            self.mine.update_state(loss)
            return loss

        @property
        def metrics(self) -> Any:
            return [self.mine]

    model = Model(*_ends(keras))
    model.compile(keras.optimizers.SGD(0.1))
    return model


def added_losses(keras: Any, tape_of: Any) -> Any:
    class Code(keras.layers.Layer):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            mean, spread = inputs
            divergence = 1 + spread - keras.ops.square(mean) - keras.ops.exp(spread)
            self.add_loss(-0.05 * keras.ops.mean(keras.ops.sum(divergence, -1)))
            return mean + keras.ops.exp(0.5 * spread) * 0.1

    x = keras.Input((WIDTH,), name="x")
    h = keras.layers.Dense(5, activation="tanh", name="hidden", activity_regularizer="l2")(x)
    z = Code(name="code")([keras.layers.Dense(2, name="mean")(h), keras.layers.Dense(2, name="spread")(h)])
    model = keras.Model(x, keras.layers.Dense(2, name="out", bias_regularizer="l1")(z))
    model.compile(keras.optimizers.Adam(0.02), "mse")
    return model


def two_optimizers(keras: Any, tape_of: Any) -> Any:
    class Model(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            dense = keras.layers.Dense
            judge = [keras.Input((2,)), dense(6, activation="tanh", name="judge_1"), dense(1, name="judge_2")]
            maker = [keras.Input((WIDTH,)), dense(6, activation="tanh", name="maker_1"), dense(2, name="maker_2")]
            self.judge, self.maker = keras.Sequential(judge, name="judge"), keras.Sequential(maker, name="maker")
            self.judged, self.made = keras.metrics.Mean(name="judged"), keras.metrics.Mean(name="made")
            self.crossentropy = keras.losses.BinaryCrossentropy(from_logits=True)

        @property
        def metrics(self) -> Any:
            return [self.judged, self.made]

        def compile(self, for_judge: Any, for_maker: Any) -> None:
            super().compile()
            self.for_judge, self.for_maker = for_judge, for_maker

        def train_step(self, data: Any) -> Any:
            x, real = data
            both = keras.ops.concatenate([self.maker(x, training=True), real], 0)
            count = keras.ops.shape(x)[0]
            labels = keras.ops.concatenate([keras.ops.ones((count, 1)), keras.ops.zeros((count, 1))], 0)
            with tape_of() as tape:
                judged = self.crossentropy(labels, self.judge(both, training=True))
            weights = self.judge.trainable_weights
            self.for_judge.apply_gradients(zip(tape.gradient(judged, weights), weights, strict=True))
            with tape_of() as tape:
                made = self.crossentropy(keras.ops.zeros((count, 1)), self.judge(self.maker(x, training=True)))
            weights = self.maker.trainable_weights
            self.for_maker.apply_gradients(zip(tape.gradient(made, weights), weights, strict=True))
            self.judged.update_state(judged)
            self.made.update_state(made)
            return {metric.name: metric.result() for metric in self.metrics}

    model = Model()
    model.compile(keras.optimizers.Adam(0.02), keras.optimizers.SGD(0.3))
    return model


def penalty_on_a_gradient(keras: Any, tape_of: Any) -> Any:
    class Model(keras.Model):  # type: ignore[misc]
        def train_step(self, data: Any) -> Any:
            x, y = data
            with tape_of() as outer:
                with tape_of() as inner:
                    inner.watch(x)
                    y_pred = self(x, training=True)
                slope = inner.gradient(y_pred, x)
                loss = self.compute_loss(x, y, y_pred) + 0.1 * keras.ops.mean(keras.ops.square(slope))
            gradients = outer.gradient(loss, self.trainable_weights)
            self.optimizer.apply(gradients, self.trainable_weights)
            return {"with_slope": loss}  # `loss` would be the mean of a tracker that this step does not update

    model = Model(*_ends(keras))
    model.compile(keras.optimizers.SGD(0.05), "mse")
    return model


PROGRAMS: list[Callable[[Any, Any], Any]] = [
    train_step_by_hand,
    train_step_that_adds_to_the_usual,
    test_step_of_its_own,
    predict_step_of_its_own,
    loss_and_metrics_of_its_own,
    listed_metrics,
    added_losses,
    two_optimizers,
    penalty_on_a_gradient,
]


def run(keras: Any, tape_of: Any, program: Callable[[Any, Any], Any]) -> dict[str, Any]:
    """Returns what training for three epochs logs, what evaluation and prediction give, and the weights at the end."""
    keras.utils.clear_session()
    model = program(keras, tape_of)
    rng = np.random.default_rng(zlib.crc32(program.__name__.encode()))
    model.set_weights([rng.normal(scale=0.5, size=w.shape).astype("float32") for w in model.get_weights()])
    x, y = data()
    found: dict[str, Any] = {"history": dict(model.fit(x, y, 16, 3, shuffle=False, verbose=0).history)}
    if program is not two_optimizers:
        found["evaluation"] = model.evaluate(x, y, 16, verbose=0, return_dict=True)
        predicted = model.predict(x[:4], verbose=0)
        found["predictions"] = (
            {key: value.tolist() for key, value in predicted.items()}
            if isinstance(predicted, dict)
            else {"": predicted.tolist()}
        )
    found["weights"] = [float(np.sum(w * np.cos(np.arange(w.size)).reshape(w.shape))) for w in model.get_weights()]
    return _rounded(found)  # type: ignore[no-any-return]


def _rounded(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _rounded(value) for key, value in node.items()}
    return [_rounded(value) for value in node] if isinstance(node, list) else float(f"{float(node):.7g}")
