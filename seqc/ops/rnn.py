"""Recurrent layers as one operation over time each, and their gradients.

Kernels are as in Keras: one block of columns per gate, in Keras's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from seqc.graph.ir import Array, Value, apply_many
from seqc.ops._cell_steps import Activation, gru_step, lstm_step
from seqc.ops._gates import GATES, activate
from seqc.ops._recurrent import Recurrent
from seqc.ops._recurrent_grad import RecurrentGrad
from seqc.ops.linalg import matmul
from seqc.ops.slicing import split


@dataclass(frozen=True, repr=False, eq=False)
class SimpleRNN(Recurrent):
    """The fully connected recurrence (Elman, 1990): h = activation(x W + h R + b). It keeps h."""

    gates, states, parts, mixing = 1, 1, 1, 3
    onnx, onnx_gates = "RNN", (0,)

    def step(self, z: Array, states: Any, r: Array, b: Array, kept: Array) -> tuple[Array, ...]:
        kept[0] = activate(self.activation, z + states[0] @ r + b)
        return (kept[0],)

    def step_values(
        self, z: Value, states: Sequence[Value], weights: Sequence[Value], functions: Sequence[Activation]
    ) -> list[Value]:
        return [functions[0](z + matmul(states[0], weights[0]))]

    def gradient(self, given: tuple[bool, ...]) -> RecurrentGrad:
        return SimpleRNNGrad(self, given)


@dataclass(frozen=True, repr=False, eq=False)
class SimpleRNNGrad(RecurrentGrad):
    """Gradients of SimpleRNN."""

    def step(self, kept: Array, h: Array, gs: list[Array], r: Array, dz: Array) -> list[Array]:
        dz[:] = gs[0] * GATES[self.forward.activation].slope(kept[0])
        return [dz @ r.T]


@dataclass(frozen=True, repr=False, eq=False)
class Gated(Recurrent):
    """A recurrence with gates, whose activation is `recurrent_activation`."""

    recurrent_activation: str = "sigmoid"


@dataclass(frozen=True, repr=False, eq=False)
class LSTM(Gated):
    """The long short-term memory (Hochreiter and Schmidhuber, 1997); gates: input, forget, cell, output.

    It keeps the gates as input, forget, output, cell, then the cell state before the step, and the activated cell state
    after it.
    """

    gates, states, parts, mixing = 4, 2, 6, 17
    onnx, onnx_gates = "LSTM", (0, 3, 1, 2)

    @property
    def functions(self) -> tuple[str, ...]:
        return self.recurrent_activation, self.activation, self.activation

    def step(self, z: Array, states: Any, r: Array, b: Array, kept: Array) -> tuple[Array, ...]:
        h, c = states
        inner, outer = partial(activate, self.recurrent_activation), partial(activate, self.activation)
        i, f, g, o = np.split(z + h @ r + b, 4, axis=1)
        i, f, o, g = inner(i), inner(f), inner(o), outer(g)
        new_c = f * c + i * g
        shown = outer(new_c)
        kept[:] = i, f, o, g, c, shown
        return o * shown, new_c

    def step_values(
        self, z: Value, states: Sequence[Value], weights: Sequence[Value], functions: Sequence[Activation]
    ) -> list[Value]:
        h, c = states
        return lstm_step(split(z + matmul(h, weights[0]), 4, -1), c, *functions[:2])

    def gradient(self, given: tuple[bool, ...]) -> RecurrentGrad:
        return LSTMGrad(self, given)


@dataclass(frozen=True, repr=False, eq=False)
class LSTMGrad(RecurrentGrad):
    """Gradients of LSTM."""

    forward: LSTM

    def step(self, kept: Array, h: Array, gs: list[Array], r: Array, dz: Array) -> list[Array]:
        (i, f, o, g, c, shown), (g_h, g_c) = kept, gs
        inner, outer = GATES[self.forward.recurrent_activation].slope, GATES[self.forward.activation].slope
        g_c = g_c + g_h * o * outer(shown)
        parts = (g_c * g * inner(i), g_c * c * inner(f), g_c * i * outer(g), g_h * shown * inner(o))
        np.concatenate(parts, axis=1, out=dz)
        return [dz @ r.T, g_c * f]


@dataclass(frozen=True, repr=False, eq=False)
class GRU(Gated):
    """The gated recurrent unit (Cho et al., 2014); gates: update, reset, candidate.

    `reset_after` says where the reset gate acts: on the candidate's product of state and recurrent kernel, which then
    has a bias of its own, so that the bias is (2, 3 · units), or on the state before that product, with a bias of
    (3 · units,). It keeps what the gate is multiplied with and gives (that product after, the product of gate and state
    before), then update gate, reset gate and candidate.
    """

    reset_after: bool = True

    gates, states, parts, mixing = 3, 1, 4, 14
    onnx, onnx_gates = "GRU", (0, 1, 2)

    @property
    def functions(self) -> tuple[str, ...]:
        return self.recurrent_activation, self.activation

    def bias_shape(self, units: int) -> tuple[int, ...]:
        return (2, 3 * units) if self.reset_after else (3 * units,)

    def onnx_attributes(self) -> dict[str, Any]:
        return {"linear_before_reset": 1} if self.reset_after else {}

    def step(self, z: Array, states: Any, r: Array, b: Array, kept: Array) -> tuple[Array, ...]:
        (h,) = states
        units = r.shape[0]
        inner, outer = partial(activate, self.recurrent_activation), partial(activate, self.activation)
        if self.reset_after:
            z, recurrent = z + b[0], h @ r + b[1]
            gates = inner(z[:, : 2 * units] + recurrent[:, : 2 * units])
            update, reset = gates[:, :units], gates[:, units:]
            at_reset = recurrent[:, 2 * units :]
            candidate = outer(z[:, 2 * units :] + reset * at_reset)
        else:
            z = z + b
            gates = inner(z[:, : 2 * units] + h @ r[:, : 2 * units])
            update, reset = gates[:, :units], gates[:, units:]
            at_reset = reset * h
            candidate = outer(z[:, 2 * units :] + at_reset @ r[:, 2 * units :])
        kept[:] = at_reset, update, reset, candidate
        return (update * h + (1 - update) * candidate,)

    def step_values(
        self, z: Value, states: Sequence[Value], weights: Sequence[Value], functions: Sequence[Activation]
    ) -> list[Value]:
        (h,), (r, *bias) = states, weights
        of_x = split(z, 3, -1)
        if self.reset_after:
            *of_h, product = split(matmul(h, r) + bias[0], 3, -1)
            return gru_step(of_x, of_h, h, lambda reset: reset * product, *functions)
        *gates, candidate = split(r, 3, 1)
        of_h = [matmul(h, w) for w in gates]
        return gru_step(of_x, of_h, h, lambda reset: matmul(reset * h, candidate), *functions)

    def gradient(self, given: tuple[bool, ...]) -> RecurrentGrad:
        return GRUGrad(self, given)


@dataclass(frozen=True, repr=False, eq=False)
class GRUGrad(RecurrentGrad):
    """Gradients of GRU.

    A step's gradients are those of update gate, reset gate and candidate and, with `reset_after`, of the candidate's
    product of state and recurrent kernel.
    """

    forward: GRU

    @property
    def blocks(self) -> int:
        return 4 if self.forward.reset_after else 3

    def step(self, kept: Array, h: Array, gs: list[Array], r: Array, dz: Array) -> list[Array]:
        (at_reset, update, reset, candidate), (g_h,) = kept, gs
        units = len(r)
        inner, outer = GATES[self.forward.recurrent_activation].slope, GATES[self.forward.activation].slope
        d_update = g_h * (h - candidate) * inner(update)
        d_candidate = g_h * (1 - update) * outer(candidate)
        if self.forward.reset_after:
            d_product = d_candidate * reset
            d_reset = d_candidate * at_reset * inner(reset)
            np.concatenate((d_update, d_reset, d_candidate, d_product), axis=1, out=dz)
            return [g_h * update + np.concatenate((d_update, d_reset, d_product), axis=1) @ r.T]
        d_at_reset = d_candidate @ r[:, 2 * units :].T
        d_reset = d_at_reset * h * inner(reset)
        np.concatenate((d_update, d_reset, d_candidate), axis=1, out=dz)
        return [g_h * update + d_at_reset * reset + dz[:, : 2 * units] @ r[:, : 2 * units].T]

    def finish(self, fed: Array, dz: Array, kept: Array, w: Array) -> tuple[Array, Array, Array, Array]:
        features, units = len(w), kept.shape[-1]
        of_x = dz[:, : 3 * units]
        weights = fed.T @ of_x
        dx, dw = of_x @ w.T, weights[:features]
        if not self.forward.reset_after:
            at_reset = kept[:, 0].reshape(-1, units)
            dr = np.concatenate((weights[features:-1, : 2 * units], at_reset.T @ dz[:, 2 * units :]), axis=1)
            return dx, dw, dr, weights[-1]
        # The candidate's column of the recurrent kernel acts before the reset gate, the others as for x.
        product = fed[:, features:].T @ dz[:, 3 * units :]
        recurrent = np.concatenate((weights[features:, : 2 * units], product), axis=1)
        return dx, dw, recurrent[:-1], np.stack((weights[-1], recurrent[-1]))


def recurrent(kind: type[Recurrent], x: Value, kernel: Value, recurrent_kernel: Value, bias: Value,
              state: Sequence[Value] | None = None, mask: Value | None = None,
              **attributes: Any) -> tuple[Value, ...]:  # fmt: skip
    """Returns outputs of all steps (batch, time, units) and the last states of a recurrent operation."""
    op = kind(has_state=state is not None, has_mask=mask is not None, **attributes)
    extra = [*(state or ()), *([] if mask is None else [mask])]
    return apply_many(op, x, kernel, recurrent_kernel, bias, *extra)


def lstm(x: Value, kernel: Value, recurrent_kernel: Value, bias: Value, state: Sequence[Value] | None = None,
         mask: Value | None = None, **attributes: Any) -> tuple[Value, Value, Value]:  # fmt: skip
    """Returns outputs of all steps (batch, time, units), last hidden state and last cell state."""
    outputs, h, c = recurrent(LSTM, x, kernel, recurrent_kernel, bias, state, mask, **attributes)
    return outputs, h, c


def gru(x: Value, kernel: Value, recurrent_kernel: Value, bias: Value, state: Sequence[Value] | None = None,
        mask: Value | None = None, **attributes: Any) -> tuple[Value, Value]:  # fmt: skip
    """Returns outputs of all steps (batch, time, units) and the last state."""
    outputs, h = recurrent(GRU, x, kernel, recurrent_kernel, bias, state, mask, **attributes)
    return outputs, h


def simple_rnn(x: Value, kernel: Value, recurrent_kernel: Value, bias: Value, state: Sequence[Value] | None = None,
               mask: Value | None = None, **attributes: Any) -> tuple[Value, Value]:  # fmt: skip
    """Returns outputs of all steps (batch, time, units) and the last state."""
    outputs, h = recurrent(SimpleRNN, x, kernel, recurrent_kernel, bias, state, mask, **attributes)
    return outputs, h
