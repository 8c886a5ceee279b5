"""Combinations of what training is made of, small enough to run all of them, for seqc and for Keras alike.

A combination is one choice per axis: an optimizer, how gradients are clipped, what else the optimizer does, and a
model. Everything is made by functions of the library that is given, so that the same code runs under both.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from kit.covering import covering

Combination = tuple[str, str, str, str]
SIZES = (4, 4, 2)  # samples in each batch; the last is a partial one

RATES: dict[str, float] = {
    "SGD": 0.05, "Momentum": 0.05, "RMSprop": 0.02, "Adam": 0.02, "AdamW": 0.02, "Adadelta": 1.0, "Adagrad": 0.05,
    "Adamax": 0.02, "Nadam": 0.02, "Ftrl": 0.05, "Lion": 0.01, "Lamb": 0.02,
    "Adafactor": 0.02, "Muon": 0.02, "ScheduleFreeAdamW": 0.02,
    "LossScaled": 0.02, "Several": 0.02,
}  # fmt: skip
OPTIMIZERS: dict[str, dict[str, Any]] = {name: {} for name in RATES} | {
    "Momentum": {"momentum": 0.9, "nesterov": True},
    "RMSprop": {"centered": True},
    "Adam": {"amsgrad": True},
    "ScheduleFreeAdamW": {"warmup_steps": 3},
}
CLASSES = {"Momentum": "SGD"}
CLIPPING: dict[str, dict[str, float]] = {
    "unclipped": {},
    "clipnorm": {"clipnorm": 0.3},
    "global_clipnorm": {"global_clipnorm": 0.5},
    "clipvalue": {"clipvalue": 0.05},
}
_DECAY, _ACCUMULATION, _AVERAGE = (
    {"weight_decay": 0.02},
    {"gradient_accumulation_steps": 2},
    {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 2},
)
EXTRAS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "decay": _DECAY,
    "accumulation": _ACCUMULATION,
    "average": _AVERAGE,
    "decay, accumulation": _DECAY | _ACCUMULATION,
    "decay, average": _DECAY | _AVERAGE,
    "accumulation, average": _ACCUMULATION | _AVERAGE,
}


def twice(keras: Any) -> Any:
    """Returns a layer that uses its one matrix twice, so that its gradient has two parts."""

    class Twice(keras.layers.Layer):  # type: ignore[misc]
        def build(self, input_shape: Any) -> None:
            size = input_shape[-1]
            self.kernel = self.add_weight(shape=(size, size), initializer="glorot_uniform", name="kernel")
            self.bias = self.add_weight(shape=(size,), initializer="zeros", name="bias")

        def call(self, x: Any) -> Any:
            h = keras.ops.tanh(keras.ops.matmul(x, self.kernel) + self.bias)
            return keras.ops.matmul(h, self.kernel) + self.bias

        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape

    return Twice()


# Shape and dtype of a sample, and the layers.
_MODELS: dict[str, tuple[tuple[int, ...], str, Callable[[Any, Any], list[Any]]]] = {
    "plain": ((3,), "float32", lambda k, L: [L.Dense(4, activation="tanh"), L.Dense(2)]),
    "l2": (
        (3,),
        "float32",
        lambda k, L: [
            L.Dense(4, activation="tanh", kernel_regularizer=k.regularizers.L2(0.05)),
            L.Dense(2, kernel_regularizer=k.regularizers.L2(0.05), bias_regularizer=k.regularizers.L2(0.02)),
        ],
    ),
    "constraint": (
        (3,),
        "float32",
        lambda k, L: [
            L.Dense(4, kernel_constraint=k.constraints.MaxNorm(0.8), bias_constraint=k.constraints.NonNeg()),
            L.Dense(2, kernel_constraint=k.constraints.UnitNorm()),
        ],
    ),
    # A bias before it would have gradients of nothing but rounding errors.
    "batch_norm": (
        (3,),
        "float32",
        lambda k, L: [L.Dense(4, use_bias=False), L.BatchNormalization(momentum=0.7), L.Activation("tanh"), L.Dense(2)],
    ),
    "shared": ((3,), "float32", lambda k, L: [twice(k), L.Dense(2)]),
    "lstm": ((3, 2), "float32", lambda k, L: [L.LSTM(2), L.Dense(2)]),
    "embedding": ((3,), "int32", lambda k, L: [L.Embedding(5, 2), L.Flatten(), L.Dense(2)]),
    "conv": (
        (4, 3, 1),
        "float32",
        lambda k, L: [L.Conv2D(2, 2, activation="relu"), L.MaxPooling2D((2, 1)), L.Flatten(), L.Dense(2)],
    ),
}
AXES: tuple[tuple[str, ...], ...] = (tuple(RATES), tuple(CLIPPING), tuple(EXTRAS), tuple(_MODELS))


def every_combination() -> list[Combination]:
    """Returns all of them."""
    return list(product(*AXES))  # type: ignore[arg-type]


def covering_combinations() -> list[Combination]:
    """Returns few combinations in which every two choices meet."""
    return covering(every_combination())


def triple_combinations() -> list[Combination]:
    """Returns the fewest combinations in which every three choices of different axes meet, in a drawn order.

    There is one for each choice of the other axes; the way to clip is the sum of their places, so that each of its
    choices, of which no axis has fewer, comes with every two of theirs.
    """
    names, clips, extras, models = (list(enumerate(axis)) for axis in AXES)
    found = [
        (name, clips[(i + j + k) % len(clips)][1], extra, model)
        for (i, name), (j, extra), (k, model) in product(names, extras, models)
    ]
    # What goes by the number of a combination shall not go by its choices.
    random.Random(0).shuffle(found)
    return found


def make_optimizer(keras: Any, combination: Combination) -> Any:
    """Returns the optimizer of a combination."""
    name, clipping, extra, model = combination
    if name == "LossScaled":
        inner = make_optimizer(keras, ("Adam", clipping, extra, model))
        return keras.optimizers.LossScaleOptimizer(inner, initial_scale=8.0, dynamic_growth_steps=2)
    if name == "Several":
        others, kernels = (make_optimizer(keras, (one, clipping, extra, model)) for one in ("Momentum", "Adam"))
        return keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(others, {".*kernel": kernels}))
    made = getattr(keras.optimizers, CLASSES.get(name, name))
    return made(RATES[name], **OPTIMIZERS[name], **CLIPPING[clipping], **EXTRAS[extra])


def make_model(keras: Any, name: str) -> Any:
    """Returns a model with fixed weights."""
    shape, dtype, stack = _MODELS[name]
    model = keras.Sequential([keras.Input(shape, dtype=dtype), *stack(keras, keras.layers)])
    rng = np.random.default_rng(13)
    # Positive, as a variance has to be; not all alike, so that no gradient vanishes.
    model.set_weights([rng.uniform(0.05, 0.95, w.shape).astype("float32") for w in model.get_weights()])
    return model


def make_data(name: str) -> tuple[Any, Any]:
    """Returns what the model of that name trains on."""
    shape, dtype, _ = _MODELS[name]
    rng = np.random.default_rng(17)
    x = rng.integers(0, 5, (sum(SIZES), *shape)) if dtype == "int32" else rng.normal(size=(sum(SIZES), *shape))
    return x.astype(dtype), rng.normal(size=(sum(SIZES), 2)).astype("float32")
