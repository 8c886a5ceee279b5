"""Models, under the name of Keras's module."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from seqc import structures
from seqc.cloning import clone_functional
from seqc.errors import ConfigError
from seqc.functional import Functional
from seqc.graph.ir import Value
from seqc.layers import InputLayer, Layer
from seqc.layers.calls import ModelInput, is_symbolic
from seqc.model import Model
from seqc.sequential import Sequential
from seqc.serialization import keeping_functions
from seqc.utils.absent import absent, late

if TYPE_CHECKING:
    from seqc.saving import load_model, save_model
    from seqc.saving.loading import model_from_json

__all__ = ["Functional", "Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]


def clone_model(
    model: Model,
    input_tensors: Any = None,
    clone_function: Callable[[Layer], Layer] | None = None,
    call_function: Any = None,
    recursive: bool = False,
) -> Model:
    """Returns a model of the same layers with weights of its own, freshly made, compiled alike if the model is.

    Args:
        model: what to clone.
        input_tensors: an `Input`, or what a layer gives, to take the place of the model's; of several inputs, in the
        same structure. A Sequential model gets an input of its own of that shape and dtype.
        clone_function: makes the new layer from an old one; by default from its configuration. Inputs are always new.
        call_function: called with a new layer and the arguments of its call, in a functional model; by default the
        layer is called.
        recursive: whether both functions apply inside nested models too, instead of to the models themselves.

    Raises:
        ConfigError: an argument is none of these, or the model writes its own `call`.
    """
    if not isinstance(model, Sequential | Functional):
        raise ConfigError(
            f"clone_model clones Sequential and functional models; got {model!r}. A subclass that writes its own call "
            "is made anew by type(model).from_config(model.get_config())."
        )
    if call_function is not None and isinstance(model, Sequential):
        raise ConfigError(
            "clone_model takes no call_function: the layers of a Sequential model are listed, not called."
        )
    for name, function in (("clone_function", clone_function), ("call_function", call_function)):
        if function is not None and not callable(function):
            raise ConfigError(f"{name} must be a function from a layer to a layer; got {function!r}.")
    clone: Model = _Cloning(clone_function, call_function, recursive).clone(model, input_tensors)
    settings = model._trainer.settings
    if settings is not None:
        clone.compile(**settings.anew())
    return clone


class _Cloning:
    """Makes each layer once, wherever it is called. For arguments, see `clone_model`."""

    def __init__(self, function: Callable[[Layer], Layer] | None, call: Any, recursive: bool) -> None:
        self._function, self._call, self._recursive = function, call, recursive
        self._made: dict[int, Layer] = {}

    def clone(self, model: Sequential | Functional, inputs: Any = None) -> Any:
        if isinstance(model, Functional):
            return clone_functional(model, self.layer, inputs, self._call)
        return self._stack(model, model._input_layer if inputs is None else _input_for(model, inputs))

    def layer(self, layer: Layer) -> Layer:
        if id(layer) not in self._made:
            if isinstance(layer, Functional) and self._recursive:
                new = self.clone(layer)
            elif isinstance(layer, Sequential) and (self._function is None or self._recursive):
                new = self._stack(layer)
            else:
                new = (self._function or _from_configuration)(layer)
            self._made[id(layer)] = new
        return self._made[id(layer)]

    def _stack(self, model: Sequential, given: InputLayer | None = None) -> Sequential:
        """Returns a new stack. A nested one gets no input: it learns its shape where it stands."""
        clone = type(model)(name=model.name)
        if given is not None:
            clone.add(_from_configuration(given))
        for layer in model.layers:
            clone.add(self.layer(layer))
        clone._trainable = model._trainable
        clone._freeze_as_saved()
        return clone


def _from_configuration(layer: Layer) -> Layer:
    with keeping_functions():
        return type(layer).from_config(layer.get_config())


def _input_for(model: Sequential, given: Any) -> InputLayer:
    """Returns the input of a clone on what is given: that `Input`, or a new one for what a layer gives."""
    only = structures.alone(given)
    if isinstance(only, Value) and isinstance(only.op, ModelInput):
        only = only.op.layer
    if isinstance(only, InputLayer):
        return only
    if not (isinstance(only, Value) and is_symbolic(only)):
        raise ConfigError(f"input_tensors must be one seqc.Input(shape); got {given!r}.")
    own = model._input_layer
    return InputLayer(batch_shape=only.shape, dtype=only.dtype, name=own.name if own is not None else None)


_HOMES = {
    "load_model": "seqc.saving.loading",
    "model_from_json": "seqc.saving.loading",
    "save_model": "seqc.saving.storing",
}
__getattr__ = late(__name__, _HOMES, absent(__name__, __all__))


def __dir__() -> list[str]:
    return __all__
