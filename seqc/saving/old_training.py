"""The arguments of `compile` as Keras 1 and 2 wrote them, and Keras 3 in `.h5` files, in the words of Keras 3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqc.errors import SavingError
from seqc.serialization import is_object

_ARGUMENTS = ("loss", "loss_weights", "metrics", "weighted_metrics")


def modern_training(training: Any) -> dict[str, Any]:
    """Returns arguments of `compile` from a file's `training_config`.

    Raises:
        SavingError: they are no such thing.
    """
    if not isinstance(training, Mapping):
        raise SavingError(f"they are {type(training).__name__} instead of a dictionary.")
    optimizer: Any = training.get("optimizer_config", training.get("optimizer"))
    if not is_object(optimizer) and not isinstance(optimizer, str):
        raise SavingError("they do not name an optimizer.")
    made = {key: training[key] for key in _ARGUMENTS if training.get(key) is not None}
    if "loss" in made:
        made["loss"] = _objects(made["loss"], "keras.losses")
    for key in ("metrics", "weighted_metrics"):
        if key in made:
            made[key] = _alone(_objects(made[key], "keras.metrics"))
    return {**made, "optimizer": optimizer if isinstance(optimizer, str) else _optimizer(optimizer)}


def _optimizer(described: Mapping[str, Any]) -> dict[str, Any]:
    cls = str(described["class_name"]).rpartition(">")[2]
    config = dict(described["config"])
    for name in ("is_legacy_optimizer", "jit_compile", "schedule_decay"):
        config.pop(name, None)
    if "lr" in config:
        config["learning_rate"] = config.pop("lr")
    rate: Any
    rate, decay = config.get("learning_rate"), config.pop("decay", 0.0)
    if is_object(rate):
        config["learning_rate"] = {"module": "keras.optimizers.schedules", "registered_name": None, **rate}
    elif decay:  # what Keras 2 computed of it
        inverse = {"initial_learning_rate": rate, "decay_steps": 1, "decay_rate": decay}
        config["learning_rate"] = _described("keras.optimizers.schedules", "InverseTimeDecay", inverse)
    if config.get("epsilon", 0.0) is None:
        del config["epsilon"]
    return _described("keras.optimizers", cls, config)


def _described(module: str, cls: str, config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": cls, "config": config, "registered_name": None}


def _objects(value: Any, module: str) -> Any:
    """Returns losses or metrics, which stand alone, in lists or in dictionaries by output."""
    if isinstance(value, list):
        return [_objects(inner, module) for inner in value]
    if not isinstance(value, Mapping):
        return value
    if not is_object(value):
        return {key: _objects(inner, module) for key, inner in value.items()}
    cls, config = str(value["class_name"]).rpartition(">")[2], value["config"]
    if cls == "function":
        return value
    if isinstance(config, Mapping):
        if cls in ("MeanMetricWrapper", "LossFunctionWrapper"):  # a function, by its name
            named = config.get("name")
            return named if named in ("accuracy", "acc") else config.get("fn", named)
        config = {key: inner for key, inner in config.items() if key != "fn" and (key, inner) != ("axis", -1)}
        if config.get("reduction") == "auto":
            config["reduction"] = "sum_over_batch_size"
    return {**_described(module, cls, config), **({"module": value["module"]} if value.get("module") else {})}


def _alone(metrics: Any) -> Any:
    """TensorFlow listed the metrics of one output as those of the first of all outputs."""
    if isinstance(metrics, list) and len(metrics) == 1 and isinstance(metrics[0], list):
        return metrics[0]
    return metrics
