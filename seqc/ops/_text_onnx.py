"""What is done with texts, said in ONNX: without some characters, as words, and as words in a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from seqc.graph.dims import symbol
from seqc.graph.ir import Array, Emitter, Graph, Op, Type, Value, apply, input_value
from seqc.graph.strings import STRING

_TEXTS, _PARTS = symbol("texts"), symbol("parts")


@dataclass(frozen=True, repr=False, eq=False)
class _JoinPart(Op):
    """Texts (n) with the parts (n, m) of a number behind them."""

    kind = "lookup"
    strings: ClassVar[bool] = True

    def infer(self, text: Type, parts: Type, number: Type) -> Type:
        return text

    def eval(self, text: Array, parts: Array, number: Array) -> Any:
        return text + parts[:, int(number)]

    def lower(self, e: Emitter, y: Value, text: str, parts: str, number: str) -> str | tuple[str, ...]:
        return e.node("StringConcat", text, e.node("Gather", parts, number, axis=1))


def without(e: Emitter, texts: str, characters: str) -> str:
    """Writes the nodes that leave characters out of texts (n); from version 20 of the operators on.

    Splitting at one gives as many parts as there are in the text that has the most; a Loop joins them.
    """
    number, on = input_value("number", "int64", ()), input_value("on", "bool", ())
    joined, parts = input_value("joined", STRING, (_TEXTS,)), input_value("parts", STRING, (_TEXTS, _PARTS))
    found = apply(_JoinPart(), joined, parts, number)
    step = Graph((number, on, joined, parts), (on, found), ("on", "joined"))
    nothing = e.node("Expand", e.constant(np.array([""], object)), e.node("Shape", texts))
    always = e.constant(np.array(True))
    for character in characters:
        split, counts = e.node_many("StringSplit", texts, outputs=2, delimiter=character)
        count = e.node("ReduceMax", counts, keepdims=0)
        body = e.body(step, [number.type, on.type, joined.type], [split])
        texts = e.node("Loop", count, always, nothing, body=body)
    return texts


def split_at_whitespace(e: Emitter, texts: str) -> str:
    """Writes the nodes that split texts (n) into words (n, words), of which a row has as many as the longest text.

    onnxruntime's operator takes spaces only for whitespace. Split at each kind of it in turn, a text is a block of
    words with "" between them, which then go behind the words. A space in front makes two parts of a text of nothing,
    which would have none.
    """
    words = e.node("StringConcat", e.constant(np.array([" "], object)), texts)
    for delimiter in ("\n", "\r", "\t", "\v", "\f", " "):
        words = e.node_many("StringSplit", words, outputs=2, delimiter=delimiter)[0]
    return _words_first(e, e.node("Flatten", words, axis=1))


def in_rows(e: Emitter, words: str, lengths: Sequence[int]) -> str:
    """Writes the nodes that make of words (n, words) those of each of some lengths in a row, with " " between them."""
    one = _size(e, 1)
    blank, nothing = (e.constant(np.array([text], object)) for text in (" ", ""))
    # Behind the last word of a text there is none, so that no row of words goes on there.
    longest = max(lengths)
    after = e.node("Expand", nothing, e.node("Concat", e.node("Shape", words, end=1), _size(e, longest - 1), axis=0))
    long = e.node("Concat", words, after, axis=1) if longest > 1 else words
    count = e.node("Shape", words, start=1)
    joined, found = words, {1: words}
    for length in range(2, longest + 1):
        start = _size(e, length - 1)
        last = e.node("Slice", long, start, e.node("Add", count, start), one)
        whole = e.node("StringConcat", e.node("StringConcat", joined, blank), last)
        joined = found[length] = e.node("Where", e.node("Equal", last, nothing), nothing, whole)
    rows = [found[length] for length in lengths]
    return _words_first(e, e.node("Concat", *rows, axis=1) if len(rows) > 1 else rows[0])


def _size(e: Emitter, number: int) -> str:
    return e.constant(np.array([number], np.int64))


def _words_first(e: Emitter, words: str) -> str:
    """Writes the nodes that put what is "" in rows (n, words) behind the words, and keep as many as the longest has.

    One at least: over no words at all onnxruntime's GRU ends the process, and a mean is 0.
    """
    one = _size(e, 1)
    is_word = e.node("Cast", e.node("Not", e.node("Equal", words, e.constant(np.array([""], object)))), to="int64")
    # Of equal elements, the first come first.
    order = e.node_many("TopK", is_word, e.node("Shape", words, start=1), outputs=2, axis=1)[1]
    longest = e.node("ReduceMax", e.node("ReduceSum", is_word, one), _size(e, 0), keepdims=0)
    kept = e.node("Max", longest, one)
    return e.node("Slice", e.node("GatherElements", words, order, axis=1), _size(e, 0), kept, one)
