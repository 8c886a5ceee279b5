"""Trainings of models with several inputs and outputs in which features meet; the same code runs in Keras and in seqc.

A meeting is one choice per axis: a model, who says what a step does, an optimizer, the form of the data, weights of
samples, and a callback. `python -m kit.meeting_programs FILE`, run where Keras and TensorFlow are installed, records
what Keras gives for meetings in which every two choices come together.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from kit.covering import covering

Meeting = tuple[str, str, str, str, str, str]
ROWS, SIZE = 24, 8
CLASSES = ("kind", "size")

MODELS = ("heads", "shared", "nested", "masked", "subclass", "lists")
STEPS = ("usual", "tape", "more", "added")
OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "momentum": lambda o: o.SGD(0.1, momentum=0.9),
    "decay": lambda o: o.AdamW(0.02, weight_decay=0.05),
    "accumulated": lambda o: o.SGD(0.1, momentum=0.5, gradient_accumulation_steps=2),
    "averaged": lambda o: o.Adam(0.02, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=2),
    "averaged at the end": lambda o: o.SGD(0.1, use_ema=True, ema_momentum=0.7),
    "clipped": lambda o: o.SGD(0.2, clipnorm=0.1),
    "clipped together": lambda o: o.RMSprop(0.02, global_clipnorm=0.1),
    "scaled": lambda o: o.SGD(0.1, loss_scale_factor=8.0),
}
DATA = ("arrays", "split", "generator", "sequence", "batches")
WEIGHTS = ("none", "each", "all")
CALLBACKS = ("none", "stop", "plateau", "best")
AXES = (MODELS, STEPS, tuple(OPTIMIZERS), DATA, WEIGHTS, CALLBACKS)


def every_meeting() -> Iterator[Meeting]:
    """Yields all that make sense: single steps have no callbacks, and Keras has no weight of samples for all steps."""
    for meeting in product(*AXES):
        model, _, _, data, weights, callback = meeting
        if data == "batches" and callback != "none":
            continue
        if weights == "all" and model == "masked":
            continue
        yield meeting


def covering_meetings() -> list[Meeting]:
    """Returns few meetings in which every two choices come together."""
    everything = list(every_meeting())
    random.Random(0).shuffle(everything)
    return covering(everything)


def _model_class(keras: Any, tape_of: Any, step: str) -> Any:
    """Returns the class of a model that does its step in that way."""
    if step not in ("tape", "more"):
        return keras.Model

    class ByTape(keras.Model):  # type: ignore[misc]
        def train_step(self, data: Any) -> Any:
            x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
            with tape_of() as tape:
                y_pred = self(x, training=True)
                loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=weight)
                scaled = self.optimizer.scale_loss(loss)
            weights = self.trainable_weights
            self.optimizer.apply_gradients(zip(tape.gradient(scaled, weights), weights, strict=True))
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
            return self.compute_metrics(x, y, y_pred, sample_weight=weight)

    class More(keras.Model):  # type: ignore[misc]
        def train_step(self, data: Any) -> Any:
            logs = super().train_step(data)
            return {**logs, "largest": keras.ops.max(keras.ops.abs(self.trainable_weights[0]))}

    return ByTape if step == "tape" else More


def _penalty(keras: Any) -> Any:
    class Penalty(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            self.add_loss(0.05 * keras.ops.mean(keras.ops.square(x)))
            return x

        def compute_output_shape(self, shape: Any) -> Any:
            return shape

    return Penalty(name="penalty")


def _make(keras: Any, base: Any, kind: str, step: str) -> Any:
    layers = keras.layers
    options = {"kernel_regularizer": "l2"} if step == "added" else {}
    added = _penalty(keras) if step == "added" else (lambda x: x)
    head, tail = layers.Dense(3, activation="softmax", name="kind"), layers.Dense(2, name="size")
    if kind == "subclass":

        class Net(base):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__(name="net")
                self.trunk = layers.Dense(5, activation="tanh", name="trunk", **options)
                self.both = layers.Concatenate(name="both")
                self.added, self.head, self.tail = added, head, tail

            def call(self, inputs: Any, training: bool = False) -> Any:
                h = self.added(self.both([self.trunk(inputs["left"]), inputs["right"]]))
                return {"size": self.tail(h), "kind": self.head(h)}

        model = Net()
        model({"left": np.zeros((2, 4), "float32"), "right": np.zeros((2, 4), "float32")})
        return model
    right = keras.Input((4,), name="right")
    if kind == "masked":
        left = keras.Input((4, 2), name="left")
        h = layers.Masking(name="masking")(left)  # an Embedding's gradients are clipped in another way on TensorFlow
        h = added(layers.SimpleRNN(4, return_sequences=True, name="rnn", **options)(h))
        last = layers.GRU(3, name="gru")(h)
        return base(
            {"left": left, "right": right},
            {"kind": head(h), "size": tail(layers.Concatenate(name="both")([last, right]))},
        )
    left = keras.Input((4,), name="left")
    trunk = layers.Dense(5, activation="tanh", name="trunk", **options)
    if kind == "nested":
        a = keras.Input((4,), name="a")
        h = layers.BatchNormalization(momentum=0.5, name="frozen")(layers.Dense(4, name="below")(a))
        inner = keras.Model(a, layers.BatchNormalization(momentum=0.5, name="free")(h), name="inner")
        inner.get_layer("below").trainable = inner.get_layer("frozen").trainable = False
        outer = keras.Sequential([keras.Input((4,)), inner, trunk], name="outer")
        h = added(layers.Add(name="sum")([outer(left), outer(right)]))
        return base({"left": left, "right": right}, {"kind": head(h), "size": tail(h)})
    if kind == "heads":
        h = added(trunk(layers.Concatenate(name="both")([left, right])))
        return base({"left": left, "right": right}, {"kind": head(h), "size": tail(h)})
    once, again = trunk(left), trunk(right)
    h = added(layers.Subtract(name="apart")([once, again]))
    ends = (head(h), tail(layers.Concatenate(name="both")([once, again])))
    if kind == "shared":
        return base({"left": left, "right": right}, {"kind": ends[0], "size": ends[1]})
    return base([left, right], list(ends))


def made(keras: Any, tape_of: Any, kind: str, step: str) -> Any:
    """Returns a model with weights that only their places tell."""
    model = _make(keras, _model_class(keras, tape_of, step), kind, step)
    rng = np.random.default_rng(zlib.crc32(kind.encode()))

    def drawn(shape: Any) -> Any:
        if len(shape) < 2:
            return rng.uniform(0.1, 0.5, shape).astype("float32")
        return rng.uniform(0.05, 0.8, shape).astype("float32") * rng.choice([1.0, 1.0, -1.0])

    model.set_weights([drawn(w.shape) for w in model.get_weights()])
    return model


def _numbers(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).normal(size=(ROWS, *shape)).astype("float32")


def _data(kind: str, seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x = {"left": _numbers(seed, 4), "right": _numbers(seed + 1, 4)}
    y: dict[str, Any] = {"kind": rng.integers(0, 3, ROWS), "size": _numbers(seed + 2, 2)}
    if kind == "masked":
        length = 1 + np.arange(ROWS)[:, None] % 4
        x["left"] = np.where(np.arange(4) < length, 1, 0)[..., None] * _numbers(seed + 5, 4, 2)
        y["kind"] = rng.integers(0, 3, (ROWS, 4))
    return x, y


def _weights(kind: str, weights: str) -> Any:
    some = (np.arange(ROWS) % 4 / 2).astype("float32")
    other = (1 + np.arange(ROWS) % 3).astype("float32")
    steps = some[:, None] * np.array([1, 0, 2, 1], "float32") if kind == "masked" else some
    return {"none": None, "each": {"kind": steps, "size": other}, "all": other}[weights]


def _in_form(kind: str, tree: Any) -> Any:
    """Returns a dictionary in the order of the model, where that has lists."""
    return list(tree.values()) if kind == "lists" and isinstance(tree, dict) else tree


def _rows(tree: Any, take: slice) -> Any:
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {name: array[take] for name, array in tree.items()}
    return tuple(array[take] for array in tree) if isinstance(tree, list | tuple) else tree[take]


def _batches(*data: Any) -> list[Any]:
    cuts = [slice(start, start + SIZE) for start in range(0, ROWS, SIZE)]
    return [tuple(_rows(part, cut) for part in data if part is not None) for cut in cuts]


def _given(kind: str, weights: str) -> tuple[Any, Any, Any]:
    return tuple(_in_form(kind, part) for part in (*_data(kind, 3), _weights(kind, weights)))


def per_batch(kind: str, weights: str) -> list[Any]:
    """Returns (x, y) or (x, y, weights) for each batch."""
    return _batches(*_given(kind, weights))


def _per_output(kind: str, by_name: dict[str, Any]) -> Any:
    return list(by_name.values()) if kind == "lists" else by_name


def compiled(keras: Any, model: Any, kind: str, optimizer: str) -> None:
    metrics = keras.metrics
    model.compile(
        OPTIMIZERS[optimizer](keras.optimizers),
        loss=_per_output(kind, {"kind": "sparse_categorical_crossentropy", "size": "mse"}),
        loss_weights=_per_output(kind, {"kind": 1.0, "size": 0.5}),
        metrics=_per_output(kind, {"kind": ["accuracy"], "size": ["mae"]}),
        weighted_metrics=_per_output(
            kind,
            {
                "kind": [metrics.SparseCategoricalCrossentropy(name="ce")],
                "size": [metrics.MeanSquaredError(name="mse")],
            },
        ),
    )


def _callbacks(keras: Any, callback: str, folder: str) -> list[Any]:
    own = keras.callbacks
    if callback == "stop":
        return [own.EarlyStopping("val_kind_accuracy", mode="max", patience=1, restore_best_weights=True)]
    if callback == "plateau":
        return [own.ReduceLROnPlateau("val_size_mae", mode="min", factor=0.3, patience=1, min_delta=0.05)]
    if callback == "best":
        path = f"{folder}/best.weights.h5"
        return [own.ModelCheckpoint(path, "val_size_loss", mode="min", save_best_only=True, save_weights_only=True)]
    return []


def run(keras: Any, tape_of: Any, meeting: Meeting) -> dict[str, Any]:
    """Returns what training logs, what evaluation and prediction give, and the weights at the end."""
    kind, step, optimizer, form, weights, callback = meeting
    keras.utils.clear_session()
    model = made(keras, tape_of, kind, step)
    compiled(keras, model, kind, optimizer)
    x, y, weight = _given(kind, weights)
    validation = tuple(_in_form(kind, part) for part in _data(kind, 11))
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        options = {"epochs": 4, "verbose": 0, "shuffle": False, "callbacks": _callbacks(keras, callback, folder)}
        if form == "batches":
            found["logs"] = [
                model.train_on_batch(*(part for part in batch), return_dict=True)
                for batch in 2 * _batches(x, y, weight)
            ]
        elif form == "split":
            found["history"] = model.fit(x, y, SIZE, sample_weight=weight, validation_split=1 / 3, **options).history
        else:
            given: Any = (x, y, SIZE)
            if form == "generator":
                options["steps_per_epoch"] = ROWS // SIZE
                given = ((batch for _ in range(4) for batch in _batches(x, y, weight)),)
            elif form == "sequence":
                given = (_sequence(keras, _batches(x, y, weight)),)
            else:
                options["sample_weight"] = weight
            found["history"] = model.fit(*given, validation_data=validation, **options).history
        if callback == "best":
            model.load_weights(f"{folder}/best.weights.h5")
    found["evaluation"] = model.evaluate(x, y, SIZE, 0, weight, return_dict=True)
    predicted = model.predict(x, verbose=0)
    parts = predicted if isinstance(predicted, dict) else dict(zip(CLASSES, predicted, strict=True))
    found["predictions"] = {name: _sum(part) for name, part in parts.items()}
    found["weights"] = [_sum(w) for w in model.get_weights()]
    return _plain(found)  # type: ignore[no-any-return]


def _sequence(keras: Any, batches: list[Any]) -> Any:
    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return len(batches)

        def __getitem__(self, index: int) -> Any:
            return batches[index]

    return Batches()


def _sum(array: Any) -> float:
    return float(np.sum(array * np.cos(np.arange(np.size(array))).reshape(np.shape(array))))


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items()}
    return [_plain(value) for value in node] if isinstance(node, list) else float(f"{float(node):.7g}")


def record(path: str) -> None:
    import keras
    import tensorflow as tf

    lines = []
    for meeting in covering_meetings():
        found = run(keras, tf.GradientTape, meeting)
        lines.append(f"{json.dumps(', '.join(meeting))}: {json.dumps(found)}")
        Path(path).write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    record(sys.argv[1])
