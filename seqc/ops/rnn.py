"""The long short-term memory (Hochreiter and Schmidhuber, 1997) as one operation over time.

Keras's order of gates is kept: input, forget, cell, output, as columns of kernel (features, 4 units) and recurrent
kernel (units, 4 units).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc.errors import ConfigError, NoGradientError, ShapeError
from seqc.ir import Array, Op, Type, Value, apply_many, items
from seqc.ops._common import check_count, check_float, check_rank, check_same_dtype
from seqc.ops._gates import GATES
from seqc.ops.shape import zeros_like


@dataclass(frozen=True, repr=False)
class LSTM(Op):
    """Operands: x (batch, time, features), kernel, recurrent kernel, bias (4 units), then initial hidden and cell state
    (batch, units) if `has_state`, then a boolean mask (batch, time) if `has_mask`.

    Results: outputs (batch, time, units) in the order of processing, last hidden state, last cell state, and what the
    gradient needs: gates (batch, time, 4 units), cell and hidden states after each step (batch, time, units). A masked
    step keeps the state and repeats the output before it (zeros at the start), or gives zeros if `zero_output`.
    """

    activation: str = "tanh"
    recurrent_activation: str = "sigmoid"
    reverse: bool = False
    has_state: bool = False
    has_mask: bool = False
    zero_output: bool = False

    def infer(self, *types: Type) -> tuple[Type, ...]:
        for name in (self.activation, self.recurrent_activation):
            if name not in GATES:
                raise ConfigError(f"LSTM has no fused activation {name!r}; it knows {', '.join(GATES)}.")
        check_count(self, types, 4 + 2 * self.has_state + self.has_mask)
        x, w, r, b, h, c, mask = self.unpack(types)
        check_rank(self, x, 3)
        check_float(self, x)
        check_same_dtype(self, *(t for t in (x, w, r, b, h, c) if t is not None))
        units = r.shape[0]
        if w.shape != (x.shape[2], 4 * units) or r.shape != (units, 4 * units) or b.shape != (4 * units,):
            raise ShapeError(f"LSTM of {units} units cannot apply {w}, {r}, {b} to {x}.")
        batch, time = x.shape[:2]
        steps, last = x.with_shape((batch, time, units)), x.with_shape((batch, units))
        if any(state is not None and state != last for state in (h, c)):
            raise ShapeError(f"LSTM needs initial states {last}; got {h} and {c}.")
        if mask is not None and mask != Type("bool", (batch, time)):
            raise ShapeError(f"LSTM needs a mask bool[{batch}, {time}]; got {mask}.")
        return steps, last, last, x.with_shape((batch, time, 4 * units)), steps, steps

    def unpack(self, operands: Sequence[Any]) -> tuple[Any, ...]:
        """Returns x, kernel, recurrent kernel, bias, hidden, cell, mask; None for absent ones."""
        state = tuple(operands[4:6]) if self.has_state else (None, None)
        return (*operands[:4], *state, operands[-1] if self.has_mask else None)

    def eval(self, *arrays: Array) -> Any:
        x, w, r, b, h, c, mask = self.unpack(arrays)
        batch, time, features = x.shape
        units = r.shape[0]
        inner, outer = GATES[self.recurrent_activation].function, GATES[self.activation].function
        # Time first, so that each step reads and writes contiguous memory.
        gates = (np.swapaxes(x, 0, 1).reshape(-1, features) @ w + b).reshape(time, batch, 4 * units)
        outputs, hiddens, cells = (np.zeros((time, batch, units), x.dtype) for _ in range(3))
        h = np.zeros((batch, units), x.dtype) if h is None else h
        c = np.zeros((batch, units), x.dtype) if c is None else c
        out = np.zeros((batch, units), x.dtype)
        for step, t in enumerate(self._order(time)):
            z = gates[t]
            z += h @ r
            z[:, : 2 * units] = inner(z[:, : 2 * units])
            z[:, 2 * units : 3 * units] = outer(z[:, 2 * units : 3 * units])
            z[:, 3 * units :] = inner(z[:, 3 * units :])
            new_c = z[:, units : 2 * units] * c + z[:, :units] * z[:, 2 * units : 3 * units]
            new_h = z[:, 3 * units :] * outer(new_c)
            if mask is None:
                h, c, out = new_h, new_c, new_h
            else:
                m = mask[:, t, None]
                h, c = np.where(m, new_h, h), np.where(m, new_c, c)
                out = np.where(m, new_h, 0 if self.zero_output else out).astype(x.dtype)
            outputs[step], hiddens[t], cells[t] = out, h, c
        return tuple(np.swapaxes(a, 0, 1) if a.ndim == 3 else a for a in (outputs, h, c, gates, cells, hiddens))

    def _order(self, time: int) -> range:
        return range(time - 1, -1, -1) if self.reverse else range(time)

    def vjp(self, g: Any, y: Value, *xs: Value) -> Sequence[Value | None]:
        results = items(y)
        if any(part is not None for part in g[3:]):
            raise NoGradientError("The inner values of LSTM are not differentiated again.")
        upstream = tuple(zeros_like(v) if part is None else part for part, v in zip(g[:3], results, strict=False))
        grads = apply_many(LSTMGrad(self), *xs, *results[3:], *upstream)
        return (*grads, None) if self.has_mask else grads

    def decompose(self, y: Value, *xs: Value) -> Value | tuple[Value, ...] | None:
        from seqc.ops.onnx_rnn import lstm_for_onnx

        return lstm_for_onnx(self, *self.unpack(xs))


@dataclass(frozen=True, repr=False)
class LSTMGrad(Op):
    """Gradients of LSTM's operands but the mask: (operands, gates, cells, hiddens, gradients of the three results)."""

    forward: LSTM

    def infer(self, *types: Type) -> tuple[Type, ...]:
        return types[: 6 if self.forward.has_state else 4]

    def eval(self, *arrays: Array) -> Any:
        op = self.forward
        x, w, r, _, h0, c0, mask = op.unpack(arrays[:-6])
        gates, cells, hiddens, g_out, g_h, g_c = arrays[-6:]
        batch, time, _ = x.shape
        units = r.shape[0]
        inner, outer = GATES[op.recurrent_activation].slope, GATES[op.activation]
        dz = np.empty((time, batch, 4 * units), x.dtype)
        previous_h = np.empty((time, batch, units), x.dtype)
        order = list(op._order(time))
        zero = np.zeros((batch, units), x.dtype)
        g_carry = zero
        for step in reversed(range(time)):
            t = order[step]
            first = step == 0
            h_before = (zero if h0 is None else h0) if first else hiddens[:, order[step - 1]]
            c_before = (zero if c0 is None else c0) if first else cells[:, order[step - 1]]
            previous_h[t] = h_before
            i, f, z, o = np.split(gates[:, t], 4, axis=1)
            g_y = g_out[:, step] + g_carry
            if mask is not None:
                m = mask[:, t, None]
                g_carry = zero if op.zero_output else np.where(m, 0, g_y).astype(x.dtype)
                g_y, keep_h, keep_c = np.where(m, g_y, 0), np.where(m, 0, g_h), np.where(m, 0, g_c)
                g_h, g_c = np.where(m, g_h, 0), np.where(m, g_c, 0)
            g_h = g_h + g_y
            shown = outer.function(cells[:, t])
            g_c = g_c + g_h * o * outer.slope(shown)
            part = dz[t]
            part[:, :units] = g_c * z * inner(i)
            part[:, units : 2 * units] = g_c * c_before * inner(f)
            part[:, 2 * units : 3 * units] = g_c * i * outer.slope(z)
            part[:, 3 * units :] = g_h * shown * inner(o)
            g_h, g_c = part @ r.T, g_c * f
            if mask is not None:
                g_h, g_c = g_h + keep_h, g_c + keep_c
        flat = dz.reshape(-1, 4 * units)
        dx = np.swapaxes((flat @ w.T).reshape(time, batch, x.shape[2]), 0, 1)
        dw = np.swapaxes(x, 0, 1).reshape(-1, x.shape[2]).T @ flat
        dr = previous_h.reshape(-1, units).T @ flat
        grads = (dx, dw, dr, flat.sum(0))
        return (*grads, g_h, g_c) if op.has_state else grads


def lstm(x: Value, kernel: Value, recurrent_kernel: Value, bias: Value, state: Sequence[Value] | None = None,
         mask: Value | None = None, **attributes: Any) -> tuple[Value, Value, Value]:  # fmt: skip
    """Returns outputs of all steps (batch, time, units), last hidden state and last cell state."""
    op = LSTM(has_state=state is not None, has_mask=mask is not None, **attributes)
    extra = [*(state or ()), *([] if mask is None else [mask])]
    outputs, h, c = apply_many(op, x, kernel, recurrent_kernel, bias, *extra)[:3]
    return outputs, h, c
