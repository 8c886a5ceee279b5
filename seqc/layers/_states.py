"""States that recurrent layers are given: at a call, and from one batch to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc import ops, tree
from seqc.errors import ConfigError, ShapeError
from seqc.graph.ir import Value
from seqc.graph.tracing import Variable
from seqc.layers.base import Layer
from seqc.layers.calls import has_tensors


def with_states(who: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns the arguments of a call in which layer([x, *states]) is layer(x, initial_state=states).

    Raises:
        ConfigError: states are given twice.
    """
    first = arguments[0] if arguments else None
    if not isinstance(first, list | tuple) or not has_tensors(first):
        return arguments, named
    x, *states = first
    if not states:
        return (x, *arguments[1:]), named
    if len(arguments) > 1 or named.get("initial_state") is not None:
        raise ConfigError(
            f"Layer '{who.name}' was called on a list of {len(first)} tensors, the first of which is the input and the "
            "others initial states, and got initial_state too. Give the states once."
        )
    return (x,), named | {"initial_state": states}


def first_mask(mask: Any) -> Value | None:
    """Returns the mask of the sequence where there is one for each tensor that a layer was called on."""
    found: list[Value | None] = tree.flatten(mask)
    return found[0]


def checked_states(
    given: Any, x: Value, shapes: Sequence[tuple[int, ...] | None], who: str, dtype: str
) -> list[Value] | None:
    """Returns initial states one after the other, None where none were given.

    Args:
        given: a tensor, or a list of tensors, or lists of them. x: the input (batch, time, ...). shapes: of the states,
        without the batch, None for one of any shape. who: whose they are. dtype: which they are to have.

    Raises:
        ShapeError: their number or a shape is another.
    """
    if given is None:
        return None
    states, batch = tree.flatten(given), x.shape[0]
    wanted = ", ".join("any" if shape is None else str((batch, *shape)) for shape in shapes)
    if len(states) != len(shapes) or any(s is None for s in states):
        shown = f"got {len(states)}" if len(states) != len(shapes) else "got None among them"
        raise ShapeError(
            f"{who} has {len(shapes)} state{'s' * (len(shapes) > 1)} of shape {wanted}; {shown} in initial_state. Give "
            "what a layer with return_state=True returns behind its output."
        )
    values = [ops.cast(s, dtype) for s in states]
    for i, (state, shape) in enumerate(zip(values, shapes, strict=True)):
        found = state.shape
        if (shape is not None and found[1:] != shape) or (None not in (found[0], batch) and found[0] not in (1, batch)):
            raise ShapeError(
                f"{who} has {len(shapes)} state{'s' * (len(shapes) > 1)} of shape {wanted}; initial_state {i} has "
                f"shape {found} (None is any size)."
            )
        if found[0] == 1 != batch:
            # One for all sequences.
            values[i] = ops.broadcast_to(state, (ops.shape(x)[0], *found[1:]))
    return values


class Memory:
    """What a stateful layer keeps from one batch to the next. It is no weight: files do not hold it.

    Args:
        batch: how many sequences there are. start: the states of the first batch. dtype: of them. path: of the layer.
    """

    def __init__(self, batch: int, start: Sequence[Any], dtype: str, path: str) -> None:
        self.batch = batch
        self.variables = []
        for state in start:
            variable = Variable(np.array(state).astype(dtype), trainable=False, name="rnn_state")
            variable.path = f"{path}/rnn_state"
            self.variables.append(variable)

    def check(self, x: Value) -> None:
        """Checks that a batch has as many sequences.

        Raises:
            ShapeError: it has not, or may have not.
        """
        found = x.shape[0]
        if found != self.batch:
            raise ShapeError(
                "If an RNN is stateful, the batch size of the input sequences must be the same as the batch size of "
                f"the initial state. Expected batch size: {self.batch}. Received batch size: {found}. Say "
                f"Input(batch_shape=({self.batch}, ...)), give data and batch_size so that every batch is as large, or "
                "make the layer anew."
            )

    def reset(self) -> None:
        """Sets all states to zero."""
        for variable in self.variables:
            variable.assign(np.zeros(variable.shape, variable.dtype))

    def keep(self, states: Sequence[Value]) -> None:
        """Keeps the last states of a batch for the next."""
        for variable, state in zip(self.variables, states, strict=True):
            variable.assign(state)


class WithStates(Layer):
    """A layer that takes states: layer([x, *states]) is layer(x, initial_state=states)."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        arguments, named = with_states(self, arguments, named)
        return super().__call__(*arguments, **named)

    def reset_state(self) -> None:
        """Lets a layer that keeps states from one batch to the next start from zeros again."""

    def reset_states(self) -> None:
        """The older name of `reset_state`."""
        self.reset_state()
