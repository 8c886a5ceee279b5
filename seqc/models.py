"""Models, under the name of Keras's module."""

from __future__ import annotations

import json
from typing import Any

from seqc.errors import SavingError
from seqc.saving import load_model, save_model
from seqc.sequential import Sequential
from seqc.serialization import custom_object_scope, revive

__all__ = ["Sequential", "clone_model", "load_model", "model_from_json", "save_model"]


def clone_model(model: Sequential) -> Sequential:
    """Returns a model of the same layers with weights of its own, freshly made, and not compiled."""
    return type(model).from_config(model.get_config())


def model_from_json(json_string: str, custom_objects: dict[str, Any] | None = None) -> Sequential:
    """Returns the model that `Sequential.to_json` described, with fresh weights.

    Raises:
        SavingError: the text does not describe a model.
    """
    try:
        config = json.loads(json_string)
    except ValueError as error:
        raise SavingError(f"This is not the JSON of a model: {error}.") from None
    with custom_object_scope(custom_objects or {}):
        model = revive(config)
    if not isinstance(model, Sequential):
        raise SavingError(f"This JSON describes no Sequential model; it describes {type(model).__name__}.")
    return model


def __getattr__(name: str) -> Any:
    if name == "Model":
        raise AttributeError(
            "seqc has no Model: it compiles Sequential models, a stack of layers with one input and one output. "
            "Branches go inside a Layer subclass whose call(x) uses seqc.ops; a training loop of your own can use "
            "train_on_batch."
        )
    raise AttributeError(f"module 'seqc.models' has no attribute '{name}'")
