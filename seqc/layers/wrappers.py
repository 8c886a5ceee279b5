"""Layers around other layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from seqc import activations, file_scope, ops, tree
from seqc.errors import ArgumentTypeError, ConfigError, ShapeError
from seqc.graph.ir import Type, Value, as_value
from seqc.known_classes import known
from seqc.layers._cell_states import count_states
from seqc.layers._common import KerasShape
from seqc.layers._states import WithStates, first_mask
from seqc.layers.base import Layer
from seqc.layers.core import Dense
from seqc.ops.shape import merge_leading, split_leading
from seqc.serialization import deserialize, serialize_object


@known("layers")
class TimeDistributed(Layer):
    """Applies a layer to every step of a sequence on its own.

    Args:
        layer: the layer.

    Shapes: (batch, time, ...) to (batch, time, ...), where the layer takes and gives (batch, ...).
    """

    supports_masking = True
    over_time = True

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        if not isinstance(layer, Layer):
            raise ConfigError(
                f"Please initialize `TimeDistributed` layer with a `seqc.layers.Layer` instance. Received: {layer}"
            )
        super().__init__(**kwargs)
        self.layer: Any = layer  # so that what its class alone has can be asked for

    def build(self, input_shape: KerasShape) -> None:
        if len(input_shape) < 3:
            raise ShapeError(
                "`TimeDistributed` Layer should be passed an `input_shape` with at least 3 dimensions, "
                f"received: {tuple(input_shape)}"
            )
        if not self.layer.built:
            self.layer.build_for((input_shape[0], *input_shape[2:]))

    def call(self, x: Any, training: bool | None = None, mask: Value | None = None) -> Value:
        y = self._applied(as_value(x), training, mask)
        return ops.cast(y, self.compute_dtype) if y.type.is_float else y

    def _applied(self, value: Value, training: bool | None, mask: Value | None) -> Value:
        """Returns what the layer gives for all steps."""
        if mask is not None:
            _check_steps(mask.shape, value.shape)
        if _works_along_steps(self.layer):
            return self.layer(value, training=training)  # type: ignore[no-any-return]
        if training and mixes_samples(self.layer):
            return self._step_by_step(value, mask)
        inner = None if mask is None or mask.type.rank < 3 else merge_leading(mask)
        return split_leading(self.layer(merge_leading(value), training=training, mask=inner), value)

    def _step_by_step(self, x: Value, mask: Value | None) -> Value:
        """Gives each step a batch of its own, for layers whose result depends on the whole batch."""
        steps = x.shape[1]
        if steps is None:
            raise ShapeError(
                f"TimeDistributed around {type(self.layer).__name__} needs to know the number of steps in training; "
                f"got {x.type}. Give Input(shape=(steps, ...))."
            )
        file_scope.count_calls(steps, self.name)
        masks = [None if mask is None else mask[:, t] for t in range(steps)]
        return ops.stack([self.layer(x[:, t], training=True, mask=m) for t, m in enumerate(masks)], 1)


def _works_along_steps(layer: Layer) -> bool:
    """Tells whether a layer gives for a whole sequence what it gives for its steps: a Dense that nobody changed."""
    return type(layer) is Dense and layer.activation in (
        *activations.FUNCTIONS.values(),
        *activations.ELEMENTWISE.values(),
    )


def _check_steps(mask: KerasShape, x: KerasShape) -> None:
    """Raises ShapeError where a mask is not one of the steps of an input, given the shapes of both."""
    if len(mask) < 2:
        raise ShapeError(
            "The `mask` passed to the `TimeDistributed` layer must be at least 2D (e.g., `(batch_size, timesteps)`), "
            f"but it has {len(mask)} dimension(s) with shape {mask}."
        )
    if any(None not in pair and pair[0] != pair[1] for pair in zip(mask[:2], x, strict=False)):
        raise ShapeError(
            f"The `mask` passed to the `TimeDistributed` layer has a shape {mask} that is incompatible with the input "
            f"shape {x}. The first two dimensions of the mask (batch size and timesteps) must match the input's first "
            f"two dimensions. Expected mask shape prefix: ({x[0]}, {x[1]})."
        )


@known("layers")
class Bidirectional(WithStates):
    """Runs a recurrent layer over a sequence in both directions.

    Args:
        layer: the recurrent layer; copies of it, with weights of their own, run forwards and backwards.
        merge_mode: how the two outputs become one: "concat" (along the last axis), "sum", "mul", "ave" (their mean), or
        None to give both; not inside Sequential. weights: to start with, those of the forward layer first.
        backward_layer: the layer that runs backwards, where it is not to be like `layer`.

    Shapes: as of the layer; twice as many units with "concat". Outputs of all steps are in the order of time in both
    directions, and zero at masked steps.
    """

    supports_masking = True

    _MERGE: ClassVar[dict[str, Callable[[Value, Value], Value]]] = {
        "concat": lambda a, b: ops.concatenate([a, b], axis=-1),
        "sum": lambda a, b: a + b,
        "mul": lambda a, b: a * b,
        "ave": lambda a, b: (a + b) / 2,
    }

    def __init__(
        self,
        layer: Layer,
        merge_mode: str | None = "concat",
        weights: Sequence[Any] | None = None,
        backward_layer: Layer | None = None,
        **kwargs: Any,
    ) -> None:
        _check_directions(layer, backward_layer)
        if merge_mode is not None and merge_mode not in tuple(self._MERGE):
            raise ConfigError(
                f"Invalid merge mode. Received: {merge_mode}. Merge mode should be one of "
                '{"sum", "mul", "ave", "concat", None}'
            )
        super().__init__(**kwargs)
        self.merge_mode = merge_mode
        self.forward_layer: Any = _copied(layer, "forward_")
        self.backward_layer: Any = backward_layer or _copied(layer, "backward_", go_backwards=True)
        _check_pair(self.forward_layer, self.backward_layer)
        self.input_rank = self.forward_layer.input_rank
        self.return_sequences: bool = self.forward_layer.return_sequences
        self.return_state: bool = self.forward_layer.return_state
        self.stateful = bool(getattr(self.forward_layer, "stateful", False))
        for one in (self.forward_layer, self.backward_layer):
            one.zero_output_for_mask = self.return_sequences
        if weights is not None and not isinstance(weights, list | tuple):
            raise ArgumentTypeError(f"Bidirectional needs a list of arrays as `weights`. Received: {weights!r}")
        # What it starts with is no part of the configuration.
        self._arguments.pop("weights", None)
        self._start_weights = None if weights is None else list(weights)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        parts = {"layer": self.forward_layer, "backward_layer": self.backward_layer}
        return config | {name: serialize_object(part) for name, part in parts.items()}

    def build(self, input_shape: KerasShape) -> None:
        for one in (self.forward_layer, self.backward_layer):
            if not one.built:
                one.build_for(input_shape)
        if self._start_weights:
            self.set_weights(self._start_weights)

    @property
    def states(self) -> tuple[Any, ...] | None:
        """The states that both layers will start the next batch with; None where they are not stateful."""
        if not self.stateful or self.forward_layer.states is None or self.backward_layer.states is None:
            return None
        return (*self.forward_layer.states, *self.backward_layer.states)

    def reset_state(self) -> None:
        """Lets stateful layers start from zeros again.

        Raises:
            AttributeError: they are not stateful.
        """
        if not self.stateful:
            raise AttributeError("Layer must be stateful.")
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    def call(
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool | None = None
    ) -> Value | tuple[Any, ...]:
        pair, mask = (self.forward_layer, self.backward_layer), first_mask(mask)
        results = [
            one(sequences, initial_state=start, mask=mask, training=training)
            for one, start in zip(pair, self._states_of_each(initial_state), strict=True)
        ]
        (y, *states), (back, *back_states) = (r if isinstance(r, tuple) else (r,) for r in results)
        y, back = ops.cast(y, self.compute_dtype), ops.cast(back, self.compute_dtype)
        if self.return_sequences:
            back = ops.flip(back, 1)
        merged = (y, back) if self.merge_mode is None else (self._MERGE[self.merge_mode](y, back),)
        given = (*merged, *states, *back_states)
        return given if len(given) > 1 else given[0]

    def _states_of_each(self, given: Any) -> tuple[Any, Any]:
        """Returns the initial states of both layers.

        Raises:
            ShapeError: they are not as many as both have together.
        """
        if given is None:
            return None, None
        states = tree.flatten(given)
        forward, back = (count_states(one.cell) for one in (self.forward_layer, self.backward_layer))
        if len(states) != forward + back:
            raise ShapeError(
                f"Bidirectional '{self.name}' has {forward + back} states, {forward} of the forward layer and then "
                f"{back} of the backward layer; got {len(states)} in initial_state. Give what a Bidirectional layer "
                "around one with return_state=True returns behind its output."
            )
        return states[:forward], states[forward:]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        known = first_mask(mask) if self.return_sequences else None
        return (known, known) if self.merge_mode is None else known

    def input_hint(self, x: Type) -> str:
        return str(self.forward_layer.input_hint(x))


def _check_directions(layer: Any, backward_layer: Any) -> None:
    if not isinstance(layer, Layer):
        raise ConfigError(
            f"Please initialize `Bidirectional` layer with a `seqc.layers.Layer` instance. Received: {layer}"
        )
    if backward_layer is not None and not isinstance(backward_layer, Layer):
        raise ConfigError(f"`backward_layer` need to be a `seqc.layers.Layer` instance. Received: {backward_layer}")
    for one in (layer, backward_layer):
        if one is not None and not hasattr(one, "go_backwards"):
            raise ConfigError(
                f"`Bidirectional` runs a recurrent layer, such as LSTM(8), in both directions; {one!r} has no "
                "`go_backwards`."
            )


def _check_pair(forward: Any, backward: Any) -> None:
    if forward.go_backwards == backward.go_backwards:
        raise ConfigError(
            "Forward layer and backward layer should have different `go_backwards` value. Received: "
            f"forward_layer.go_backwards {forward.go_backwards}, backward_layer.go_backwards={backward.go_backwards}"
        )
    for name in ("stateful", "return_sequences", "return_state"):
        one, other = (getattr(layer, name, False) for layer in (forward, backward))
        if one != other:
            raise ConfigError(
                f'Forward layer and backward layer are expected to have the same value for attribute "{name}", got '
                f'"{one}" for forward layer and "{other}" for backward layer'
            )


def _copied(layer: Layer, prefix: str, **changed: Any) -> Any:
    """Returns an unbuilt copy of a layer, named after it."""
    described = serialize_object(layer)
    described.pop("shared_object_id", None)
    described["config"] |= {"name": prefix + layer.name.removeprefix(prefix), **changed}
    return deserialize(described)


def mixes_samples(layer: Layer) -> bool:
    """Tells whether a layer, or one inside it, computes with statistics of its batch."""
    inside = any(mixes_samples(child) for child in layer.sublayers() if isinstance(child, Layer))
    return inside or getattr(layer, "mixes_samples", False)
