"""Identity, and Lambda: a function as a layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from seqc.errors import ArgumentTypeError, ConfigError
from seqc.known_classes import known
from seqc.layers.base import Layer


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


class Lambda(Layer):
    """Applies a function, written with `seqc.ops`.

    A file cannot hold a function: a model with this layer trains and exports, and is neither saved to `.keras` nor
    loaded. Write a class of your own for that, or use what does the same: `Rescaling` for a factor and an offset.

    Args:
        function: called with the input, and with `mask` and `training` where it takes them.
        output_shape: taken for Keras's sake; the shape follows from the function.
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
        self.function, self.mask = function, mask
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
        raise ConfigError(
            f"Layer '{self.name}' is a Lambda, whose function no file can hold. Write a layer of your own with "
            "@seqc.saving.register_keras_serializable(), or use one that does the same (Rescaling for scaling)."
        )
