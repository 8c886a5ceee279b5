"""`seqc.utils.Config`, and learning rate schedules as plain data."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

import seqc
from seqc.optimizers import schedules
from seqc.utils import Config


def test_values_are_read_and_set_in_both_ways() -> None:
    config = Config(units=3, rate=0.1)
    config.activation = "relu"
    config["seed"] = 5
    assert (config.units, config["activation"], config.seed, len(config)) == (3, "relu", 5, 4)
    assert list(config) == ["activation", "rate", "seed", "units"]  # sorted, as in Keras
    assert list(config.keys()) == ["units", "rate", "activation", "seed"]
    assert dict(config.items()) == config.as_dict() == json.loads(config.to_json())
    config.update({"units": 4}, seed=6)
    assert config.pop("units") == 4
    assert config.pop("units", None) is None
    assert config.get("units", 9) == 9
    del config["seed"], config.rate
    assert "seed" not in config
    assert list(config.values()) == ["relu"]
    assert repr(config) == "<Config {'activation': 'relu'}>"


def test_a_frozen_config_refuses_changes() -> None:
    config = Config(rate=0.1)
    config.freeze()
    assert config.frozen
    for change in (
        lambda: setattr(config, "rate", 1),
        lambda: config.update(rate=1),
        lambda: config.pop("rate"),
        lambda: config.__setitem__("rate", 1),
        lambda: config.__delitem__("rate"),
        lambda: delattr(config, "rate"),
    ):
        with pytest.raises(ValueError, match="frozen"):
            change()
    config.unfreeze()
    config.rate = 1
    assert config.as_dict() == {"rate": 1}


def test_names_that_are_not_there_are_said_and_copies_are_whole() -> None:
    config = Config(learning_rate=0.1)
    with pytest.raises(AttributeError, match="Did you mean 'learning_rate'"):
        config.learning_rat  # noqa: B018
    with pytest.raises(ValueError, match="method of every Config"):
        config.items = 1  # type: ignore[method-assign, assignment]
    for other in (copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert other.as_dict() == config.as_dict()


def test_schedules_are_plain_data_and_back() -> None:
    schedule = schedules.ExponentialDecay(0.1, 10, 0.9, staircase=True)
    described = schedules.serialize(schedule)
    # Recorded from Keras 3.15.
    assert described == {
        "module": "keras.optimizers.schedules",
        "class_name": "ExponentialDecay",
        "config": {
            "initial_learning_rate": 0.1,
            "decay_steps": 10,
            "decay_rate": 0.9,
            "staircase": True,
            "name": "ExponentialDecay",
        },
        "registered_name": None,
    }
    for config in (described, {"class_name": "ExponentialDecay", "config": described["config"]}):
        assert schedules.deserialize(config).get_config() == schedule.get_config()
    assert schedules.deserialize(0.1) == 0.1
    own = {"class_name": "Own", "config": {}}
    kind = type("Own", (schedules.LearningRateSchedule,), {})
    assert type(schedules.deserialize(own, custom_objects={"Own": kind})) is kind
    with pytest.raises(ValueError, match="schedule: 'cosine'"):
        schedules.deserialize("cosine")
    with pytest.raises(ValueError, match="Could not interpret learning rate schedule"):
        schedules.deserialize(seqc.optimizers.serialize(seqc.optimizers.SGD()))
