"""Small functional models: shared layers, operations, several results of a call, models inside."""

from __future__ import annotations

from typing import Any

import seqc as keras
from seqc import layers, ops


def shared() -> Any:
    image, words = keras.Input((4,), name="image"), keras.Input((4,), name="text")
    dense = layers.Dense(8, name="shared")
    joined = layers.Concatenate(name="join")([dense(image), dense(words)])
    p = layers.Dense(1, name="p")(joined)
    q = layers.Dense(2, name="q")(layers.Dropout(0.5, name="drop")(joined))
    return keras.Model([image, words], [p, q], name="twoinone")


def operations() -> Any:
    x = keras.Input((4,), name="x")
    h = ops.relu(layers.Dense(4, name="d")(x) * 2 + x)
    return keras.Model(x, layers.LayerNormalization(name="ln")(h), name="resid")


def states() -> Any:
    s = keras.Input((5, 3), name="s")
    out, h, c = layers.LSTM(4, return_state=True, return_sequences=True, name="enc")(s)
    d = layers.LSTM(4, name="dec")(out, initial_state=[h, c])
    return keras.Model(s, [d, layers.MultiHeadAttention(2, 3, name="mha")(out, out)], name="s2s")


def nested() -> Any:
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="i1"), layers.Dense(4, name="i2")], name="inner")
    a = keras.Input((4,), name="i2in")
    added = keras.Model(a, layers.Add(name="fa")([a, layers.Dense(4, name="fd")(a)]), name="fmod")
    x = keras.Input((4,), name="x")
    return keras.Model(x, layers.Dense(1, name="o")(added(inner(x))), name="nested")
