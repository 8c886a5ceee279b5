"""`get_config()` holds what Keras's holds, and an object made from it has the same; Keras's is recorded."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import seqc
from kit.configurations import LEFT_OUT, RECORD, made
from seqc import layers

RECORDED: dict[str, str] = json.loads(RECORD.read_text())
_LOST = "Keras does not write this argument, so that its copies have the default"
# What seqc writes beside what Keras writes. Keras's constructors take it.
MORE = {
    "layers.MaxNumBoundingBoxes": ("fill_value", _LOST),
    "layers.RandomGrayscale": ("seed", _LOST),
    "losses.CosineSimilarity": ("axis", _LOST),
    "losses.Huber": ("delta", _LOST),
    "losses.SparseCategoricalCrossentropy": ("axis", _LOST),
    "metrics.AUC": ("thresholds", "Keras writes them only where they are the caller's own"),
    "metrics.CosineSimilarity": ("axis", _LOST),
    "metrics.SparseTopKCategoricalAccuracy": ("from_sorted_ids", _LOST),
    "initializers.Identity": ("gain", _LOST),
}

# Classes that Keras has, but gives no name to.
INNER = {"LossFunctionWrapper", "CustomScaleLayer", "LayerScale", "StochasticDepth", "GroupedQueryAttention"}


@pytest.mark.parametrize("kind", sorted({key.rpartition(".")[0] for key in RECORDED}))
def test_configurations_hold_what_those_of_keras_hold(kind: str) -> None:
    rows = [key.rpartition(".")[2] for key in RECORDED if key.rpartition(".")[0] == kind]
    missing: dict[str, set[str]] = {}
    more: dict[str, set[str]] = {}
    for name in rows:
        found, expected = set(made(seqc, kind, name).get_config()), set(RECORDED[f"{kind}.{name}"].split())
        allowed = {MORE[key][0]} if (key := f"{kind}.{name}") in MORE else set()
        missing |= {name: expected - found} if expected - found else {}
        more |= {name: found - expected} if found - expected != allowed else {}
    assert (missing, more) == ({}, {})


def test_every_class_with_a_configuration_is_in_the_table() -> None:
    kinds = {"layers": layers.Layer, "optimizers": seqc.Optimizer, "losses": seqc.Loss, "metrics": seqc.Metric}
    recorded = {key.rpartition(".")[2] for key in RECORDED}
    for kind, base in kinds.items():
        place = vars(getattr(seqc, kind)).values()
        known = {cls.__name__ for cls in place if isinstance(cls, type) and issubclass(cls, base)} - LEFT_OUT - INNER
        assert known - recorded == set(), kind


def test_what_says_nothing_is_read_again_and_penalties_are_kept() -> None:
    for layer in (layers.Conv1D(2, 3), layers.Embedding(3, 2), layers.GRU(2), layers.BatchNormalization()):
        config = layer.get_config()
        assert config.get("activity_regularizer") is None
        assert type(layer).from_config(config).get_config() == config
    penalized = layers.Conv1D.from_config(layers.Conv1D(2, 3, activity_regularizer="l2").get_config())
    assert isinstance(penalized.activity_regularizer, seqc.regularizers.L2)


def test_a_wrapped_function_is_written_as_keras_writes_it() -> None:
    # As a bare name it came out of a file in Keras as a text, which cannot be called.
    metric = made(seqc, "metrics", "MeanMetricWrapper")
    wanted = {"module": "builtins", "class_name": "function", "config": "mean_squared_error"}
    config = metric.get_config()
    assert config["fn"] == wanted | {"registered_name": "function"}
    for form in (config, config | {"fn": "mean_squared_error"}):  # older files of seqc have the name
        again = type(metric).from_config(form)
        again.update_state(np.array([[1.0, 2.0]]), np.array([[0.0, 5.0]]))
        assert float(again.result()) == 5.0


class Gentle(layers.BatchNormalization):
    """Names the arguments that it takes."""

    def __init__(
        self, momentum: float = 0.5, name: str | None = None, dtype: Any = None, trainable: bool = True
    ) -> None:
        super().__init__(momentum=momentum, name=name, dtype=dtype, trainable=trainable)


def test_what_says_nothing_does_not_reach_constructors_that_lack_it() -> None:
    assert Gentle.from_config(Gentle(0.25).get_config()).momentum == 0.25
    with pytest.raises(TypeError, match="renorm"):
        Gentle.from_config(Gentle().get_config() | {"renorm": True})


class Plain(layers.Layer):
    """Has no constructor of its own."""

    def call(self, x: Any) -> Any:
        return x * 1.0


class Handing(Plain):
    """Hands on what it does not know."""

    def __init__(self, factor: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor


@pytest.mark.parametrize("cls", [Plain, Handing])
def test_copies_of_own_layers_leave_numbers_in_their_type_as_the_original_does(cls: type[layers.Layer]) -> None:
    ids = np.array([[16777217.0]])  # no float32
    for autocast in (True, False):
        layer = cls(autocast=autocast)
        copy = cls.from_config(layer.get_config())
        assert copy.autocast is autocast
        assert copy(ids).dtype == layer(ids).dtype
