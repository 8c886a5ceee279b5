"""Optimizers under Keras's names."""

from __future__ import annotations

from typing import Any

from seqc import serialization
from seqc.errors import ConfigError
from seqc.known_classes import classes
from seqc.optimizers import schedules
from seqc.optimizers.adafactor import Adafactor
from seqc.optimizers.adam import Adam, Adamax, AdamW, Lamb, Nadam
from seqc.optimizers.adaptive import Adadelta, Adagrad, Ftrl, Lion, RMSprop
from seqc.optimizers.base import Optimizer
from seqc.optimizers.loss_scale import LossScaleOptimizer
from seqc.optimizers.muon import Muon
from seqc.optimizers.schedule_free import ScheduleFreeAdamW
from seqc.optimizers.several import MultiOptimizer, OptimizerMap
from seqc.optimizers.sgd import SGD
from seqc.utils.absent import absent

__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "LossScaleOptimizer",
    "MultiOptimizer",
    "Muon",
    "Nadam",
    "Optimizer",
    "OptimizerMap",
    "RMSprop",
    "ScheduleFreeAdamW",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]

# Those that need another one are made from a configuration, not from a name.
_WRAPPERS = ("LossScaleOptimizer", "MultiOptimizer", "OptimizerMap")
_CLASSES = {name.lower(): cls for name, cls in classes("optimizers").items() if name not in _WRAPPERS}


def get(identifier: Any) -> Any:
    """Returns the optimizer that a name (in any case), a configuration or an object stands for.

    Raises:
        ConfigError: it stands for none.
    """
    if isinstance(identifier, str):
        identifier = identifier.lower()
    elif isinstance(identifier, dict):
        identifier = _named_as_here(identifier)
    found = serialization.get(identifier, "optimizers", "optimizer", _CLASSES)
    if found is None or isinstance(found, Optimizer):
        return found
    raise ConfigError(f"Could not interpret optimizer identifier: {identifier}")


def serialize(optimizer: Any) -> Any:
    """Returns an optimizer as plain data."""
    return serialization.serialize(optimizer)


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
    """Returns the optimizer that plain data describe; the name of its class counts in any case."""
    return serialization.deserialize(_named_as_here(config), custom_objects)


def _named_as_here(config: dict[str, Any]) -> dict[str, Any]:
    """Returns a configuration with the name of a class of seqc.optimizers as it is written there."""
    own = {name.lower(): name for name in classes("optimizers")}
    name = config.get("class_name")
    return {**config, "class_name": own.get(name.lower(), name)} if isinstance(name, str) else config


__getattr__ = absent(
    __name__,
    __all__,
    "A subclass of Optimizer with update_step(gradient, variable, learning_rate) can do what none of them does.",
)
