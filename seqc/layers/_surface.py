"""What Keras's layers have beside calls and weights: names that follow from others, and those that seqc refuses."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seqc.errors import ConfigError, TraceError
from seqc.graph.ir import Array, Value, constant
from seqc.graph.tracing import Variable, current_trace, holding
from seqc.layers._arguments import WithArguments
from seqc.utils.not_carried import QUANTIZED

_ADAPTERS = "seqc trains whole weights: freeze layers with layer.trainable = False, and add small ones beside them."
_ONE_GRAPH = "A step is one graph, which train_step, test_step and predict_step say."
# Names of Keras's layers and models that seqc does not have, and what to do.
REFUSED = {
    **dict.fromkeys(("quantize", "quantized_build", "quantized_call", "quantization_config"), QUANTIZED),
    "get_quantization_layer_structure": QUANTIZED,
    "variable_serialization_spec": QUANTIZED,
    "optimizer": "You must call `compile()` before using the model: model.compile(optimizer=..., loss=...).",
    **dict.fromkeys(("enable_lora", "lora_rank", "lora_alpha", "lora_enabled"), _ADAPTERS),
    "rematerialized_call": "What is computed again in the backward pass, the executor decides itself.",
    **dict.fromkeys(("make_train_function", "make_test_function", "make_predict_function"), _ONE_GRAPH),
    **dict.fromkeys(("train_function", "test_function", "predict_function"), _ONE_GRAPH),
    "stateless_compute_loss": f"{_ONE_GRAPH} compute_loss gives the loss of a batch.",
    **dict.fromkeys(("compiled_loss", "compiled_metrics"), "See model.loss and model.metrics."),
    **dict.fromkeys(
        ("distribute_strategy", "distribute_reduction_method"), "seqc trains on the processor of one machine."
    ),
}


class Surface(WithArguments):
    """Names of Keras's layers that say nothing new."""

    # A graph is always compiled.
    supports_jit = True
    quantization_mode = None

    # What this layer gave `add_loss` in the last call on arrays.
    _added_losses: tuple[Array, ...] = ()

    if TYPE_CHECKING:

        def call(self, *args: Any, **kwargs: Any) -> Any:
            """A layer of one's own takes what it needs: such a signature may be overridden by any."""

    else:

        def call(self, x: Any) -> Any:
            """Computes the result with functions of `seqc.ops`."""
            raise ConfigError(f"{type(self).__name__} does not define call(self, x).")

    @property
    def losses(self) -> list[Value]:
        """What this layer and those inside it added in the last call, and penalties on all weights, computed now.

        In a step that is being traced that is the last call there, elsewhere the last one on arrays.
        """
        trace = current_trace()
        owners = list(self._owners())
        if trace is None:
            added = [constant(loss) for owner in owners for loss in getattr(owner, "_added_losses", ())]
        else:
            added = trace.losses_of(owners)
        weights = self.trainable_weights
        return [*added, *(v.regularizer(v.to_value()) for v in weights if v.regularizer is not None)]

    @property
    def call_signature_parameters(self) -> list[str]:
        """The names of the arguments of `call`."""
        return list(inspect.signature(self.call).parameters)

    @property
    def metrics(self) -> list[Any]:
        """The metrics that the layer and those inside it keep as attributes."""
        return [metric for owner in self._owners() for metric in owner.own_metrics()]

    @property
    def metrics_variables(self) -> list[Variable]:
        """The states of its metrics."""
        return [variable for metric in self.metrics for variable in metric.variables]

    def add_variable(self, *arguments: Any, **named: Any) -> Variable:
        """Makes a weight, see `add_weight`."""
        return self.add_weight(*arguments, **named)

    def build_from_config(self, config: dict[str, Any] | None) -> None:
        """Makes the weights for the shape that `get_build_config` gave.

        Raises:
            ConfigError: `build` needs more than that.
        """
        if self.built or not config:
            return
        build: Any = self.build  # type: ignore[attr-defined]
        try:
            inspect.signature(build).bind(*config.values())
        except TypeError as error:
            raise ConfigError(
                f"{type(self).__name__} '{self.name}' cannot be built from {config} alone ({error}). Call it on "
                "tensors."
            ) from None
        build(*map(_as_shape, config.values()))

    # Files need no such call: their models are built by being called.
    build_from_config.follows = True  # type: ignore[attr-defined]

    def stateless_call(
        self,
        trainable_variables: Sequence[Any],
        non_trainable_variables: Sequence[Any],
        *arguments: Any,
        return_losses: bool = False,
        **named: Any,
    ) -> Any:
        """Applies the layer with other weights, and leaves its own as they are.

        Args:
            trainable_variables, non_trainable_variables: arrays in the order of the layer's own lists.
            arguments, named: what the layer is called with, arrays.
            return_losses: whether to return the penalties as well.

        Returns:
            The result, what the non-trainable variables have become, and the penalties on weights if asked for.

        Raises:
            TraceError: a graph is being traced. ShapeError: numbers or shapes do not fit.
        """
        if current_trace() is not None:
            raise TraceError(
                f"stateless_call of layer '{self.name}' takes arrays; while a graph is traced, call the layer itself: "
                "its variables change only when the graph has run."
            )
        own, kept = self.trainable_weights, self.non_trainable_weights
        with holding([*own, *kept], [*trainable_variables, *non_trainable_variables], f"layer '{self.name}'"):
            result = self(*arguments, **named)  # type: ignore[operator]
            after = [np.array(v.array) for v in kept]
            losses = [np.asarray(loss) for loss in self.losses] if return_losses else []
        return (result, after, losses) if return_losses else (result, after)


def _as_shape(given: Any) -> Any:
    """Returns a shape, or a tree of shapes, as plain data hold it, with tuples for shapes."""
    if isinstance(given, dict):
        return {key: _as_shape(one) for key, one in given.items()}
    if not isinstance(given, list | tuple) or any(isinstance(one, list | tuple | dict) for one in given):
        return [_as_shape(one) for one in given] if isinstance(given, list | tuple) else given
    return tuple(given)
