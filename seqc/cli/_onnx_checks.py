"""What is checked of an ONNX file before anything else reads it: its texts, and how its functions call each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import onnx

from seqc.errors import DataError

# Nodes of a model once its functions are put where they are called; onnx and onnxruntime really do that.
MOST_NODES = 1_000_000

_Key = tuple[str, str]


def check_texts(message: Any) -> None:
    """Raises ValueError if a text is not UTF-8: protobuf gives such a text as bytes, or fails when it is read.

    Args:
        message: a protobuf message.
    """
    waiting = [message]
    while waiting:
        one = waiting.pop()
        for field, value in one.ListFields():
            several = value if _is_repeated(field) else (value,)
            if field.type == field.TYPE_MESSAGE:
                waiting.extend(several)
            elif field.type == field.TYPE_STRING and any(isinstance(text, bytes) for text in several):
                raise ValueError(f"field '{field.name}' of a {one.DESCRIPTOR.name} is not UTF-8 text")


def _is_repeated(field: Any) -> bool:
    # `label` is going away, and older releases have nothing else.
    return bool(field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED)


def inlined_nodes(model: onnx.ModelProto) -> int:
    """Returns how many nodes a model has once every call of one of its own functions is replaced by its nodes.

    They are counted as far as they are not more than MOST_NODES.

    Raises:
        DataError: a function calls itself, by itself or through others.
    """
    calls = {(f.domain, f.name): Counter(_kinds(f.node)) for f in model.functions}
    sizes: dict[_Key, int] = {}
    for key in calls:
        if key not in sizes:
            _measure(key, calls, sizes)
    return _size(Counter(_kinds(model.graph.node)), sizes)


def _measure(start: _Key, calls: dict[_Key, Counter[_Key]], sizes: dict[_Key, int]) -> None:
    """Puts the sizes of a function and of those it calls into `sizes`, the innermost first."""
    path, active = [(start, iter(calls[start]))], {start}
    while path:
        key, called = path[-1]
        inner = next((k for k in called if k in calls and k not in sizes), None)
        if inner is None:
            sizes[key] = _size(calls[key], sizes)
            active.discard(key)
            path.pop()
        elif inner in active:
            raise DataError(f"A function of the model calls itself: {inner[1]!r}.")
        else:
            active.add(inner)
            path.append((inner, iter(calls[inner])))


def _size(kinds: Counter[_Key], sizes: dict[_Key, int]) -> int:
    return min(sum(sizes.get(kind, 1) * times for kind, times in kinds.items()), MOST_NODES + 1)


def _kinds(nodes: Iterable[onnx.NodeProto]) -> Iterator[_Key]:
    """Yields domain and type of nodes, those of graphs inside them included."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield (node.domain, node.op_type)
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                waiting.extend(graph.node)
