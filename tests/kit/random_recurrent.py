"""Layers over the steps of sequences for random models."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from seqc import Layer, layers

Shape = tuple[int, ...]
Draw = Callable[[Shape, st.DrawFn], Layer]
_SIZES = st.integers(1, 4)
_PADDING = st.sampled_from(["valid", "same"])
_CELLS = (layers.LSTMCell, layers.GRUCell, layers.SimpleRNNCell)


def draw_rnn(_: Shape, draw: st.DrawFn) -> Layer:
    """A cell, or a stack of some, over the steps."""
    cells = [draw(st.sampled_from(_CELLS))(draw(_SIZES)) for _ in range(draw(st.integers(1, 2)))]
    flags = {name: draw(st.booleans()) for name in ("return_sequences", "go_backwards")}
    return layers.RNN(cells[0] if len(cells) == 1 else layers.StackedRNNCells(cells), **flags)


def draw_recurrent(_: Shape, draw: st.DrawFn, *names: str) -> Layer:
    kind = draw(st.sampled_from([layers.LSTM, layers.GRU, layers.SimpleRNN]))
    flags = {name: draw(st.booleans()) for name in ("return_sequences", "use_bias", *names)}
    if kind is layers.GRU:
        flags["reset_after"] = draw(st.booleans())
    result: Layer = kind(draw(_SIZES), **flags)
    return result


def draw_conv_lstm(kind: Callable[..., Layer]) -> Draw:
    def make(shape: Shape, draw: st.DrawFn) -> Layer:
        flags = {name: draw(st.booleans()) for name in ("return_sequences", "use_bias", "go_backwards")}
        rates = {"dropout": 0.3, "recurrent_dropout": 0.3} if draw(st.integers(0, 3)) == 0 else {}
        window = tuple(draw(st.integers(1, min(3, d))) for d in shape[1:-1])
        return kind(draw(_SIZES), window, draw(st.integers(1, 2)), draw(_PADDING), **flags, **rates)

    return make


def draw_bidirectional(shape: Shape, draw: st.DrawFn) -> Layer:
    return layers.Bidirectional(draw_recurrent(shape, draw), draw(st.sampled_from(["concat", "sum", "mul", "ave"])))
