"""Texts without some characters, said in ONNX, which has no operator for that: split at each, and joined again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from seqc.graph.dims import symbol
from seqc.graph.ir import Array, Emitter, Graph, Op, Type, Value, apply, input_value
from seqc.graph.strings import STRING

_TEXTS, _PARTS = symbol("texts"), symbol("parts")


@dataclass(frozen=True)
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
