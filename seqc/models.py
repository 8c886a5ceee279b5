"""Models, under the name of Keras's module."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from seqc.errors import ConfigError, SavingError
from seqc.functional import Functional
from seqc.ir import Value
from seqc.layers import InputLayer, Layer
from seqc.layers.calls import ModelInput
from seqc.model import Model
from seqc.saving import load_model, save_model
from seqc.sequential import Sequential
from seqc.serialization import custom_object_scope, revive
from seqc.utils.absent import absent

__all__ = ["Functional", "Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]


def clone_model(
    model: Sequential,
    input_tensors: Any = None,
    clone_function: Callable[[Layer], Layer] | None = None,
    call_function: Any = None,
    recursive: bool = False,
) -> Sequential:
    """Returns a model of the same layers with weights of its own, freshly made, compiled alike if the model is.

    Args:
        model: what to clone.
        input_tensors: an `Input` to take the place of the model's.
        clone_function: makes the new layer from an old one; by default from its configuration.
        call_function: for models that are no stack of layers; not taken.
        recursive: whether `clone_function` makes the layers of nested models too, instead of the models themselves.

    Raises:
        ConfigError: an argument is none of these.
    """
    if not isinstance(model, Sequential):
        raise ConfigError(f"clone_model clones Sequential models; got {model!r}.")
    if call_function is not None:
        raise ConfigError(
            "clone_model takes no call_function: the layers of a Sequential model are listed, not called."
        )
    if clone_function is not None and not callable(clone_function):
        raise ConfigError(f"clone_function must be a function from a layer to a layer; got {clone_function!r}.")
    clone = _like(
        model, clone_function, recursive, model._input_layer if input_tensors is None else _one(input_tensors)
    )
    settings = model._compiled
    if settings is not None:
        clone.compile(**settings.anew())
    return clone


def _like(
    model: Sequential, function: Callable[[Layer], Layer] | None, recursive: bool, given: InputLayer | None = None
) -> Sequential:
    """Returns a new stack. A nested one gets no input: it learns its shape where it stands."""
    made: dict[int, Layer] = {}
    for layer in model.layers:
        if id(layer) in made:  # it stands in several places
            continue
        if isinstance(layer, Sequential) and (function is None or recursive):
            made[id(layer)] = _like(layer, function, recursive)
        else:
            made[id(layer)] = (function or _from_configuration)(layer)
    clone = type(model)(name=model.name)
    if given is not None:
        clone.add(_from_configuration(given))
    for layer in model.layers:
        clone.add(made[id(layer)])
    clone._trainable = model._trainable
    return clone


def _from_configuration(layer: Layer) -> Layer:
    return type(layer).from_config(layer.get_config())


def _one(given: Any) -> InputLayer:
    only = given[0] if isinstance(given, list | tuple) and len(given) == 1 else given
    if isinstance(only, Value) and isinstance(only.op, ModelInput):
        only = only.op.layer
    if not isinstance(only, InputLayer):
        raise ConfigError(f"input_tensors must be one seqc.Input(shape); got {given!r}.")
    return only


def model_from_json(json_string: str, custom_objects: dict[str, Any] | None = None) -> Model:
    """Returns the model that `Model.to_json` described, with fresh weights.

    Raises:
        SavingError: the text does not describe a model.
    """
    try:
        config = json.loads(json_string)
    except (ValueError, RecursionError) as error:
        raise SavingError(f"This is not the JSON of a model: {error}.") from None
    with custom_object_scope(custom_objects or {}):
        model = revive(config)
    if not isinstance(model, Model):
        raise SavingError(f"This JSON describes no model; it describes {type(model).__name__}.")
    return model


__getattr__ = absent(__name__, __all__)
