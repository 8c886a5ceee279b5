"""What becomes of the arguments of a layer's constructor, said once for all layers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar, TypeVar

from seqc import activations, constraints, initializers, regularizers
from seqc.argument_kinds import taken
from seqc.errors import ConfigError
from seqc.graph.tracing import Variable
from seqc.layers._weights import WeightOwner

Init = TypeVar("Init", bound=Callable[..., None])

# What stands for the objects that arguments name, by the last word of the argument.
_GET: dict[str, Callable[[Any], Any]] = {
    "activation": activations.get,
    "initializer": initializers.get,
    "regularizer": regularizers.get,
    "constraint": constraints.get,
}
# Arguments of Keras that speak of quantization, for `Layer.inert`.
UNQUANTIZED: dict[str, tuple[Any, ...]] = {"lora_rank": (None,), "lora_alpha": (None,), "quantization_config": (None,)}
# Options that Keras writes in configurations where they say nothing, for `Layer.always_written`.
NO_QUANTIZATION: dict[str, Any] = {"quantization_config": None}
NO_PENALTY: dict[str, Any] = {"activity_regularizer": None}


class KernelArguments:
    """What describes a kernel, as attributes that `keep_arguments` sets."""

    kernel_initializer: Any
    kernel_regularizer: Any
    kernel_constraint: Any


class BiasArguments:
    """What describes a bias, as attributes that `keep_arguments` sets."""

    bias_initializer: Any
    bias_regularizer: Any
    bias_constraint: Any


def keep_arguments(init: Init) -> Init:
    """Decorator of a layer's `__init__`: its arguments become attributes of the same names.

    They are there when `super().__init__` returns, some converted or checked as their names say. The class says the
    types of those that it reads, and the rest of `__init__` checks them.
    """
    signature = inspect.signature(init)
    parameters = list(signature.parameters.values())[1:]
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    defaults = {p.name: p.default for p in parameters if p.name in names and p.default is not p.empty}

    @wraps(init)
    def keeping(self: WithArguments, *given: Any, **named: Any) -> None:
        own = dict(zip(names, given, strict=False)) | {name: named[name] for name in names if name in named}
        # A base that keeps arguments, too, got what its subclass made of them.
        self.__dict__["_given"] = self.__dict__.get("_given", {}) | defaults | own
        init(self, *given, **named)

    keeping.__signature__ = signature  # type: ignore[attr-defined]  # spares finding it for each layer
    return keeping  # type: ignore[return-value]


class WithArguments(WeightOwner):
    """Owns weights as the arguments of its constructor say."""

    # Arguments that become no attribute of their name.
    not_kept: ClassVar[tuple[str, ...]] = ()
    # What `keep_arguments` saw of a layer that is being made.
    _given: dict[str, Any]

    def _keep_given(self) -> None:
        for name, value in self.__dict__.pop("_given", {}).items():
            # The base of all layers has made attributes of some, which a constructor hands on to it.
            if name not in (*self.not_kept, "name", "dtype", "trainable"):
                setattr(self, name, self._converted(name, value))

    def _converted(self, name: str, value: Any) -> Any:
        """Returns what an argument stands for.

        Raises:
            ConfigError: it stands for nothing.
        """
        last, who = name.rpartition("_")[2], type(self).__name__
        value = taken(name, value, who)
        try:
            return _GET[last](value) if last in _GET else value
        except ConfigError as error:
            raise ConfigError(f"{error} It came as `{name}` of {who}.") from None

    def _add_described_weight(
        self,
        name: str,
        shape: tuple[int | None, ...],
        described: str | None = None,
        initializer: Any = None,
        trainable: bool = True,
        autocast: bool = True,
    ) -> Variable:
        """Makes a weight as the arguments `..._initializer`, `..._regularizer` and `..._constraint` describe it.

        Args:
            name: of the weight.
            shape: of the weight.
            described: what the names of the arguments begin with; by default the first word of "first_kernel", or all
                of another name.
            initializer: in place of the one that is described.
            trainable: whether the optimizer may change it.
            autocast: whether it is read in what the layer computes in.
        """
        first = described or name.removesuffix("_kernel")
        start, regularizer, constraint = (
            getattr(self, f"{first}_{word}", None) for word in ("initializer", "regularizer", "constraint")
        )
        return self.add_weight(
            shape,
            initializer or start,
            trainable=trainable,
            autocast=autocast,
            regularizer=regularizer,
            constraint=constraint,
            name=name,
        )
