"""Layers around each other that say what mode they are in, as scripts write them.

`python -m kit.training_modes keras` records what Keras makes of them. An inner layer doubles its input in training.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np

# What `call` takes besides its input, by what the tables say of it.
TAKES = {
    "nothing": "",
    "None": ", training=None",
    "True": ", training=True",
    "False": ", training=False",
    "by name": ", *, training=True",
}
SAYS = {
    "nothing": "",
    "what it takes": ", training=training",
    "True": ", training=True",
    "False": ", training=False",
    "None": ", training=None",
}
ONE = np.ones((1, 2), "float32")


def cases() -> Iterator[tuple[str, str, str]]:
    """Yields what the inner layer has for its default, what the outer one takes, and what it says to the inner one."""
    for inner, takes, says in itertools.product(("True", "None", "False"), TAKES, SAYS):
        if (takes, says) != ("nothing", "what it takes"):
            yield inner, takes, says


def seen(keras: Any, inner: str, takes: str, says: str) -> list[float]:
    """Returns by what factor the layers make ones larger, in all the ways in which they can be called."""
    outer = _outer(keras, inner, takes, says)
    x = keras.Input((2,))
    functional = keras.Model(x, outer()(x))
    stack = keras.Sequential([keras.Input((2,)), outer()])
    own, bare = _model(keras, outer, "training=None"), _model(keras, outer, "")
    found = [outer()(ONE), outer()(ONE, training=True), outer()(ONE, training=False)]
    for model in (functional, stack, own, bare):
        found += [model(ONE), model(ONE, training=True), model(ONE, training=False)]
        model.compile(keras.optimizers.SGD(0.0), _mean_output(keras))
        found += [model.predict(ONE, verbose=0), model.evaluate(ONE, ONE, verbose=0)]
        found.append(model.fit(ONE, ONE, verbose=0).history["loss"][0])
    step = _own_steps(keras, outer)
    step.compile(keras.optimizers.SGD(0.0))
    step(ONE)
    found.append(step.fit(ONE, ONE, verbose=0).history["m"][0])
    found.append(step.evaluate(ONE, ONE, verbose=0, return_dict=True)["m"])
    return [float(np.asarray(keras.ops.convert_to_numpy(y)).ravel()[0]) for y in found]


def _mean_output(keras: Any) -> Any:
    class MeanOutput(keras.losses.Loss):  # type: ignore[misc]
        def call(self, y: Any, y_pred: Any) -> Any:
            return keras.ops.mean(y_pred)

    return MeanOutput()


def _outer(keras: Any, inner: str, takes: str, says: str) -> Any:
    parts: dict[str, Any] = {}
    exec(f"def call(self, x{TAKES[inner]}): return x * 2 if training else x", parts)
    doubling = type("Inner", (keras.layers.Layer,), {"call": parts["call"]})
    exec(f"def call(self, x{TAKES[takes]}): return self.inner(x * self.scale{SAYS[says]})", parts)

    def init(self: Any, **named: Any) -> None:
        keras.layers.Layer.__init__(self, **named)
        self.inner = doubling()
        self.scale = self.add_weight(shape=(1,), initializer="ones", name="scale")  # something to train

    return type("Outer", (keras.layers.Layer,), {"__init__": init, "call": parts["call"]})


def _model(keras: Any, outer: Any, takes: str) -> Any:
    parts: dict[str, Any] = {}
    exec(f"def call(self, x, {takes}): return self.outer(x)", parts)

    def init(self: Any) -> None:
        keras.Model.__init__(self)
        self.outer = outer()

    return type("Own", (keras.Model,), {"__init__": init, "call": parts["call"]})()


def _own_steps(keras: Any, outer: Any) -> Any:
    class Steps(keras.Model):  # type: ignore[misc]
        """Says nothing in a step of training, and `training=True` in one of evaluation."""

        def __init__(self) -> None:
            super().__init__()
            self.outer, self.seen = outer(), keras.metrics.Mean(name="m")

        def call(self, x: Any, training: Any = None) -> Any:
            return self.outer(x)

        @property
        def metrics(self) -> list[Any]:
            return [self.seen]

        def train_step(self, data: Any) -> Any:
            self.seen.update_state(keras.ops.mean(self(data[0])))
            return {"m": self.seen.result()}

        def test_step(self, data: Any) -> Any:
            self.seen.update_state(keras.ops.mean(self(data[0], training=True)))
            return {"m": self.seen.result()}

    return Steps()


if __name__ == "__main__":
    module = import_module(sys.argv[1])
    print(
        json.dumps(
            {" | ".join(case): "".join(str(round(x)) for x in seen(module, *case)) for case in cases()}, indent=0
        )
    )
