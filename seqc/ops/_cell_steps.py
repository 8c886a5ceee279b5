"""One step of the gated cells in simpler operations; `rnn.py` has whole sequences of them as one operation.

`of_x` and `of_h` are what input and hidden state add to each gate, (batch, units), biases included; `inner` is the
activation of the gates, `outer` the other one. Gates come in Keras's order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seqc.graph.ir import Value

Activation = Callable[[Value], Value]


def lstm_step(gates: Sequence[Value], c: Value, inner: Activation, outer: Activation) -> list[Value]:
    """Returns the new hidden state and the new cell state.

    Args:
        gates: what input and hidden state add to input, forget, cell and output gate together. c: the cell state.
    """
    i, f, g, o = gates
    new_c = inner(f) * c + inner(i) * outer(g)
    return [inner(o) * outer(new_c), new_c]


def gru_step(
    of_x: Sequence[Value],
    of_h: Sequence[Value],
    h: Value,
    candidate: Callable[[Value], Value],
    inner: Activation,
    outer: Activation,
) -> list[Value]:
    """Returns the new hidden state; gates: update, reset, candidate.

    Args:
        h: the hidden state. candidate: from the reset gate to what the hidden state adds to the candidate.
    """
    update, reset = (inner(a + b) for a, b in zip(of_x[:2], of_h[:2], strict=True))
    return [update * h + (1 - update) * outer(of_x[2] + candidate(reset))]
