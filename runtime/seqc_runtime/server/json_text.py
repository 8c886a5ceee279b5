"""JSON of strangers to Python objects, with the limits that a JSON parser does not have."""

from __future__ import annotations

import codecs
import json
from typing import Any, NamedTuple

import numpy as np
import orjson

from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import Buffer, Refusal

# What numbers are made of. Without it a text keeps its brackets, quotes, backslashes, colons, and its words.
_NUMBERS = b"0123456789.,-+ \t\r\n"
_OPENING, _CLOSING = b"[{", b"]}"
_CHUNK = 1 << 20
# Larger texts are not read a second time to say which key is there twice.
_NAMED_KEYS = 1 << 20

_STEP = np.zeros(256, np.int8)
_STEP[list(_OPENING)] = 1
_STEP[list(_CLOSING)] = -1
_QUOTE, _COLON = ord('"'), ord(":")


class Parsed(NamedTuple):
    """value: what a text says. booleans: whether it may hold true or false, which Python takes for numbers."""

    value: Any
    booleans: bool


def parse(body: Buffer, limits: Limits, what: str = "the body") -> Parsed:
    """Parse JSON of UTF-8.

    body: the text. limits: of depth and of the number of lists and objects. what: how messages call the text.

    Raises Refusal (400): not JSON, too deep, too many lists, the same key twice in one object.
    """
    text = bytes(body) if isinstance(body, memoryview) else body
    if text[:3] == codecs.BOM_UTF8:  # some editors put it in front, and parsers may ignore it
        text = text[3:]
    # What the limits are about is in the little that is left without the numbers.
    skeleton = text.translate(None, _NUMBERS)
    opened = skeleton.count(b"[") + skeleton.count(b"{")
    if opened > limits.json_depth:
        _check_depth(skeleton, opened, limits, what)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"{what} is not JSON: {error}") from error
    # Brackets and colons may be in strings, too: only then it is worth while to look where they are.
    if not _has_keys(value, skeleton.count(b":")):
        _, _, colons = _measure(skeleton)
        if not _has_keys(value, colons):
            raise Refusal(400, f"{what} has an object with the same key twice{_repeated(text)}")
    return Parsed(value, b"true" in skeleton or b"false" in skeleton)


def _check_depth(skeleton: bytes | bytearray, opened: int, limits: Limits, what: str) -> None:
    """Refuse before the parser makes objects of it."""
    depth, lists, _ = _measure(skeleton)
    if depth > limits.json_depth:
        raise Refusal(400, f"{what} has lists and objects {depth} deep inside each other; at most {limits.json_depth}")
    if lists > limits.json_lists:
        raise Refusal(
            400, f"{what} has {lists} lists and objects; at most {limits.json_lists}: send data flat or binary"
        )


def _measure(skeleton: bytes | bytearray) -> tuple[int, int, int]:
    """The depth of a text without its numbers, its lists and objects, and its colons, all outside of strings."""
    if b"\\" in skeleton:
        # From left to right, so that what stays behind a backslash is not escaped by it.
        skeleton = skeleton.replace(b"\\\\", b"").replace(b'\\"', b"")
    depth = deepest = lists = colons = 0
    inside = False
    for start in range(0, len(skeleton), _CHUNK):
        chunk = np.frombuffer(skeleton, np.uint8, min(_CHUNK, len(skeleton) - start), start)
        within = np.logical_xor.accumulate(chunk == _QUOTE) ^ inside
        inside = bool(within[-1])
        outside = chunk[~within]
        colons += int(np.count_nonzero(outside == _COLON))
        steps = _STEP[outside]
        steps = steps[steps != 0]
        if len(steps):
            levels = depth + np.cumsum(steps, dtype=np.int64)
            depth, deepest = int(levels[-1]), max(deepest, int(levels.max()))
            lists += int(np.count_nonzero(steps > 0))
    return deepest, lists, colons


def _has_keys(value: object, colons: int) -> bool:
    """Whether the objects have as many keys as the text has colons: then none was there twice.

    It goes level by level, and ends where the last object is: long lists of numbers lie deeper.
    """
    level = [value]
    while level:
        below: list[object] = []
        for node in level:
            if type(node) is dict:
                colons -= len(node)
                below += node.values()
        if not colons:
            return True
        for node in level:
            if type(node) is list:
                below += [item for item in node if type(item) is dict or type(item) is list]
        level = below
    return False


def _repeated(text: bytes | bytearray) -> str:
    found: list[str] = []

    def note(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                found.append(key)
            seen.add(key)

    if len(text) > _NAMED_KEYS:
        return ""
    try:
        json.loads(text, object_pairs_hook=note)
    except ValueError:  # this parser refuses integers of thousands of digits
        return ""
    return f": {found[0][:100]!r}" if found else ""
