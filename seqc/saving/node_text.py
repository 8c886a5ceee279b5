"""Nodes of TensorFlow's graph as text in files: as JSON, or in protocol buffers' own form."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from seqc.errors import SavingError

_TYPES = {"DT_FLOAT": "float32", "DT_DOUBLE": "float64", "DT_HALF": "float16", "DT_INT32": "int32", "DT_INT64": "int64",
          "DT_BOOL": "bool", "DT_UINT8": "uint8", "DT_INT8": "int8"}  # fmt: skip


def parsed_node(described: Any, name: Any) -> Mapping[str, Any]:
    """Returns a node as JSON has it.

    Args:
        described: the node, or its text. name: of the layer around it.

    Raises:
        SavingError: it cannot be read.
    """
    if isinstance(described, str):
        try:
            described = json.loads(described) if described.lstrip().startswith("{") else _from_text(described)
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise SavingError(f"The node of the TensorFlowOpLayer '{name}' cannot be read: {error}.") from error
    if not isinstance(described, Mapping):
        raise SavingError(f"The TensorFlowOpLayer '{name}' has no node that can be read: {described!r}.")
    return described


def attribute_value(described: Any) -> Any:
    """Returns the value of an attribute: {"b": true}, {"i": "3"}, {"type": "DT_FLOAT"}, {"list": {"i": ["1"]}}."""
    if not isinstance(described, Mapping) or len(described) != 1:
        return described or None
    ((kind, value),) = described.items()
    if kind == "list":
        found = list(value.items()) if isinstance(value, Mapping) else []
        return (
            [attribute_value({found[0][0]: one}) for one in found[0][1]]
            if found and isinstance(found[0][1], list)
            else []
        )
    return _READ[kind](value) if kind in _READ else value


def _text(value: Any) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, TypeError, ValueError) as error:
        raise SavingError(f"An attribute of a node is {value!r}, which is no text.") from error


_READ: dict[str, Callable[[Any], Any]] = {
    "i": int, "f": float, "b": bool, "s": _text, "type": lambda name: _TYPES.get(str(name), str(name)),
}  # fmt: skip
_TOKEN = re.compile(r'\s*(?:([{}:])|"((?:[^"\\]|\\.)*)"|([^\s{}:"]+))')


def _from_text(text: str) -> dict[str, Any]:
    """Returns a node that is written in protocol buffers' own text, in the form of JSON."""
    tokens: list[tuple[Any, ...]] = []
    text, start = text.rstrip(), 0
    while start < len(text):  # one after the other: looking for the next one that fits would start over and over
        token = _TOKEN.match(text, start)
        if token is None:
            raise ValueError(f"there is {text[start : start + 20]!r} in it")
        tokens.append(token.groups())
        start = token.end()

    def message(at: int) -> tuple[dict[str, list[Any]], int]:
        fields: dict[str, list[Any]] = {}
        while at < len(tokens) and tokens[at][0] != "}":
            key = tokens[at][2]
            at += 1
            if tokens[at][0] == ":":
                at += 1
            if tokens[at][0] == "{":
                value, at = message(at + 1)
                fields.setdefault(str(key), []).append(value)
                at += 1
            else:
                quoted, plain = tokens[at][1:]
                fields.setdefault(str(key), []).append(plain if quoted is None else quoted)
                at += 1
        return fields, at

    fields, end = message(0)
    if end != len(tokens) or not fields.get("op"):
        raise ValueError("it is neither JSON nor the text of a protocol buffer")
    found = {str(one["key"][0]): _as_json(one["value"][0]) for one in fields.get("attr", [])}
    return {"op": fields["op"][0], "input": fields.get("input", []), "attr": found}


def _as_json(value: dict[str, list[Any]]) -> dict[str, Any]:
    ((kind, given),) = value.items()
    if kind == "list":
        return {"list": {inner: [_plain(inner, one) for one in ones] for inner, ones in given[0].items()}}
    return {kind: _plain(kind, given[0])}


def _plain(kind: str, value: Any) -> Any:
    if kind == "s":
        return base64.b64encode(str(value).encode()).decode()
    return value == "true" if kind == "b" else value
