"""Read messages of an ONNX file strictly: what no program writes is refused, so that it has one reading only.

Refused are fields that onnx.proto does not have (they might be a new place for data), fields of another wire type
(which parsers pass over), and single fields that are written twice (of which parsers take the last, or merge them).
"""

from __future__ import annotations

from typing import Any

from seqc_runtime.gate.limits import RefusedError
from seqc_runtime.gate.schema import SCHEMA
from seqc_runtime.wire import Buffer, Field, MalformedError, fields, signed, text

Span = tuple[int, int]

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_WIRE = {
    "int64": _VARINT,
    "uint64": _VARINT,
    "int32": _VARINT,
    "enum": _VARINT,
    "float": _FIXED32,
    "double": _FIXED64,
    "text": _LENGTH,
    "bytes": _LENGTH,
}


class Reader:
    """Reads messages of one buffer, at most `most` fields in all."""

    def __init__(self, buffer: Buffer, most: int) -> None:
        self.buffer = buffer
        self._most = most
        self._left = most

    def read(self, kind: str, span: Span) -> dict[str, list[Any]]:
        """The fields of a message by name.

        Texts and integers are as they are, messages and single bytes are their spans, packed numbers and single floats
        are Fields. Of repeated bytes and floats that are not packed, how many there are is all that is kept: a file may
        have millions of them.
        """
        rules = SCHEMA[kind]
        record: dict[str, list[Any]] = {}
        for f in fields(self.buffer, *span):
            self._left -= 1
            if self._left < 0:
                raise RefusedError(f"it has more than {self._most} fields, which is as many as are looked at")
            rule = rules.get(f.number)
            if rule is None:
                raise RefusedError(f"it has a field {f.number} of {kind}, which ONNX 1.23 does not know")
            name, what = rule
            repeated = what[-1] == "*"
            if name in record:
                if not repeated:
                    raise RefusedError(f"{name} of {kind}, of which there is one, is written twice")
                record[name].append(self._value(f, name, what[:-1], repeated=True))
            else:
                record[name] = [self._value(f, name, what.rstrip("*"), repeated)]
        return record

    def _value(self, f: Field, name: str, what: str, repeated: bool) -> Any:
        wire = _WIRE.get(what, _LENGTH)
        if f.wire != wire and not (repeated and wire != _LENGTH and f.wire == _LENGTH):
            raise MalformedError(f"field {f.number} has wire type {f.wire} instead of {wire}")
        if what == "text" and name != "doc_string":
            return text(self.buffer, f)
        if what == "bytes" and repeated:
            return 0
        if wire == _LENGTH:
            return f.start, f.end
        if f.wire == _LENGTH or (wire != _VARINT and not repeated):
            return f
        value = signed(f.value)
        if repeated:
            return value
        if what in ("int32", "enum") and not -(1 << 31) <= value < 1 << 31:
            raise MalformedError(f"field {f.number} is {value}, which is no number of 32 bits")
        return value
