"""Identity, and Lambda: a function as a layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from seqc import activations, serialization
from seqc.errors import ArgumentTypeError, ConfigError, SavingError
from seqc.known_classes import known
from seqc.layers.base import Layer

# What Keras 2 wrote beside a function.
_OLD = ("module", "function_type", "output_shape_module", "output_shape_type", "mask_module", "mask_type")


@known("layers")
class Identity(Layer):
    """Gives back its input."""

    supports_masking = True
    takes_several = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.built = True

    def call(self, x: Any) -> Any:
        return x


@known("layers")
class Lambda(Layer):
    """Applies a function, written with `seqc.ops`.

    A file holds the name of a function and never its code. One that is registered with
    `@seqc.saving.register_keras_serializable()` is found again by that, another one written with `def` is given to
    `load_model` in `custom_objects`. A model with a Python lambda trains, exports and is cloned, and is not saved.

    Args:
        function: called with the input, and with `mask` and `training` where it takes them.
        output_shape: kept for Keras's sake; the shape follows from the function.
        mask: what the mask of the result is: a mask, or a function (inputs, mask). None drops it, as Keras does.
        arguments: more arguments for the function, by name.
    """

    supports_masking = True
    takes_several = True

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise ArgumentTypeError(f"Lambda needs a function; got {function!r}.")
        self.function, self.mask, self._output_shape = function, mask, output_shape
        self.arguments = dict(arguments or {})
        parameters = inspect.signature(function).parameters.values()
        names = {p.name for p in parameters}
        self._takes = {"mask", "training"} & names
        self.built = True

    def call(self, x: Any, mask: Any = None, training: bool = False) -> Any:
        offered = {"mask": mask, "training": training}
        return self.function(x, **self.arguments, **{name: offered[name] for name in self._takes})

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def get_config(self) -> dict[str, Any]:
        said = {"function": self.function, "output_shape": self._output_shape, "mask": self.mask}
        try:
            own = {key: _described(value) for key, value in said.items() if value is not None}
            base = super().get_config()
        except SavingError as error:
            raise ConfigError(
                f"Layer '{self.name}' is a Lambda, whose function no file can hold: {error} Give it one that is "
                "written with `def` and registered, write a layer of your own, or use one that does the same "
                "(Rescaling for scaling)."
            ) from error
        return {key: value for key, value in base.items() if key not in said} | own

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Lambda:
        """Returns a layer of a described function, which is looked up by its name.

        Raises:
            SavingError: nobody has the function.
        """
        given = {key: value for key, value in config.items() if key not in _OLD}
        given["function"] = _found(given["function"])
        for key in ("output_shape", "mask"):
            if serialization.is_object(given.get(key)):
                given[key] = _found(given[key])
        shape = given.get("output_shape")
        if isinstance(shape, list) and all(size is None or isinstance(size, int) for size in shape):
            given["output_shape"] = tuple(shape)
        return super().from_config(given)


# Functions of seqc that files may name, by the place where Keras finds them.
_HOMES = {"builtins": activations.FUNCTIONS, "keras.ops": activations.ELEMENTWISE}


def _described(value: Any) -> Any:
    """Returns a function as plain data, with where Keras finds those of its own; other values as any layer does."""
    described = serialization.serialize(value)
    if not callable(value) or not isinstance(described, str):
        return described
    for module, functions in _HOMES.items():
        if functions.get(described) is value:
            return {"module": module, "class_name": "function", "config": described, "registered_name": "function"}
    raise SavingError(f"Of seqc's own functions files name activations and element-wise ones, and not {described}.")


def _found(described: Any) -> Any:
    """Returns the function, or whatever else, that `_described` describes.

    Raises:
        SavingError: there is none of that name.
    """
    found = serialization.get_registered_object(described) if isinstance(described, str) else None
    found = serialization.revive(described) if found is None else found
    if not isinstance(found, str):
        return found
    module = described.get("module") if isinstance(described, dict) else "builtins"
    functions = _HOMES.get(str(module), activations.FUNCTIONS)
    if found not in functions:
        raise serialization.lacks_function(found, str(module))
    return functions[found]
