"""How random models begin: with strings, integers or numbers, and layers that make floats of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from kit.random_images import TONES
from kit.random_recurrent import draw_conv_lstm
from seqc import Input, Layer, layers
from seqc.graph.ir import Array

IDS = 6  # how many there are
WORDS = ("a", "b", "do re", "mi fa", "sol la", "ti")
# Samples of an input of strings: some words that vocabularies have, and some that they lack.
TEXTS = (*WORDS, "re mi do", "", "x", "Do, re!", "a-b")
Draw = Callable[[st.DrawFn], Sequence[Layer]]
_SIZES = st.integers(1, 4)
_VECTORS = st.sampled_from(["one_hot", "multi_hot", "count"])


def samples(input_shape: Sequence[int | None], dtype: str, batch: int, steps: int) -> Array:
    """Returns samples for an input; axes of no given size are `steps` long."""
    rng = np.random.default_rng(batch)
    shape = (batch, *(d or steps for d in input_shape[1:]))
    if dtype == "string":
        return np.array(TEXTS)[rng.integers(0, len(TEXTS), shape)]
    if dtype.startswith("int"):
        return rng.integers(0, IDS, shape, dtype=dtype)
    return rng.normal(size=shape).astype(dtype)


def _embedding(draw: st.DrawFn) -> Layer:
    return layers.Embedding(IDS, draw(_SIZES), mask_zero=draw(st.booleans()))


def _string_lookup(draw: st.DrawFn) -> list[Layer]:
    mask, oov, words = draw(st.sampled_from([None, ""])), draw(st.integers(1, 2)), list(WORDS[:3])
    mode = draw(st.sampled_from(["int", "one_hot", "multi_hot", "count", "tf_idf"]))
    weights: dict[str, Any] = {"idf_weights": [0.5, 1.0, 2.0]} if mode == "tf_idf" else {}
    made = layers.StringLookup(None, oov, mask, vocabulary=words, output_mode=mode, **weights)
    return [made, _embedding(draw)] if mode == "int" else [made]


def _integer_lookup(draw: st.DrawFn) -> list[Layer]:
    mask, oov = draw(st.sampled_from([None, 0])), draw(st.integers(1, 2))
    mode = draw(st.sampled_from(["int", "one_hot", "multi_hot", "count"]))
    made = layers.IntegerLookup(None, oov, mask, vocabulary=[3, 1, 5], output_mode=mode)
    return [made, _embedding(draw)] if mode == "int" else [made]


def _text(draw: st.DrawFn) -> list[Layer]:
    mode = draw(st.sampled_from(["int", "multi_hot", "count", "tf_idf"]))
    words, standardize = ["do", "re", "a"], draw(st.sampled_from([None, "lower", "lower_and_strip_punctuation"]))
    options: dict[str, Any] = {"ngrams": draw(st.sampled_from([None, 2])), "standardize": standardize}
    if mode == "int":
        made = layers.TextVectorization(output_sequence_length=draw(_SIZES), vocabulary=words, **options)
        return [made, _embedding(draw)]
    weights: dict[str, Any] = {"idf_weights": [0.5, 1.0, 2.0]} if mode == "tf_idf" else {}
    return [layers.TextVectorization(output_mode=mode, vocabulary=words, **weights, **options)]


def _hashing(draw: st.DrawFn) -> list[Layer]:
    mode = draw(st.sampled_from(["int", "one_hot", "multi_hot", "count"]))
    made = layers.Hashing(IDS, draw(st.sampled_from([None, "a"])), draw(st.sampled_from([None, 7])), mode)
    return [made, _embedding(draw)] if mode == "int" else [made]


def _discretization(draw: st.DrawFn) -> list[Layer]:
    mode = draw(st.sampled_from(["int", "one_hot", "multi_hot", "count"]))
    made = layers.Discretization([-0.5, 0.3, 1.0], output_mode=mode)
    return [made, _embedding(draw)] if mode == "int" else [made]


def _normalization(draw: st.DrawFn) -> list[Layer]:
    invert = draw(st.booleans())
    return [layers.Normalization(None, 0.3, 2.0, invert) if draw(st.booleans()) else layers.Normalization(-1)]


def _tones(draw: st.DrawFn) -> list[Layer]:
    return [TONES[draw(st.sampled_from(sorted(TONES)))]((4, 4, 3), draw)]


def _mel(draw: st.DrawFn) -> list[Layer]:
    stride, decibels = draw(st.integers(2, 4)), draw(st.booleans())
    return [layers.MelSpectrogram(8, stride, 8, "hann", 16, draw(_SIZES), 1.0, power_to_db=decibels)]


# By what they begin with: the shape and the element type of an input, and the layers that may come first.
BEGINNINGS: dict[str, tuple[tuple[int | None, ...], str, Draw]] = {
    "category_encoding": ((4,), "int32", lambda draw: [layers.CategoryEncoding(IDS, draw(_VECTORS))]),
    "discretization": ((4,), "float32", _discretization),
    "embedding": ((4,), "int32", lambda draw: [_embedding(draw)]),
    "hashing": ((3,), "string", _hashing),
    "integer_lookup": ((4,), "int64", _integer_lookup),
    "mel": ((40,), "float32", _mel),
    "normalization": ((4, 3), "float32", _normalization),
    "reversible": ((4,), "int32", lambda draw: [layers.ReversibleEmbedding(IDS, draw(_SIZES), draw(st.booleans()))]),
    "string_lookup": ((4,), "string", _string_lookup),
    "text": ((1,), "string", _text),
    "volumes": ((2, 3, 2, 2, 1), "float32", lambda draw: [draw_conv_lstm(layers.ConvLSTM3D)((2, 3, 2, 2, 1), draw)]),
    "tones": ((4, 4, 3), "float32", _tones),
}


def draw_beginning(draw: st.DrawFn, numbers: bool = False) -> list[Any]:
    """Draws an input and the layers behind it.

    Args:
        draw: of hypothesis. numbers: whether the input is no strings.
    """
    names = [name for name, (_, dtype, _) in BEGINNINGS.items() if not numbers or dtype != "string"]
    shape, dtype, make = BEGINNINGS[draw(st.sampled_from(names))]
    return [Input(shape, dtype=dtype), *make(draw)]
