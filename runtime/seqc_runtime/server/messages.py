"""Requests and answers as plain data, whatever carries them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import orjson

from seqc_runtime.errors import printable

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks: an address, and the name in a certificate that was checked, if there was one."""

    address: str = ""
    certificate: str | None = None


LOCAL = Client()


@dataclass(slots=True)
class Head:
    """A request without its body.

    method: upper case. path: with percent escapes decoded. query: undecoded, without "?".
    headers: values by lower-case name; those of a repeated header joined with ", ".
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    client: Client = LOCAL


@dataclass(slots=True)
class Response:
    """An answer. `body` is sent piece after piece; content-length is the carrier's to add."""

    status: int
    headers: list[tuple[str, str]]
    body: tuple[Buffer, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of the whole body."""
        return sum(map(len, self.body))

    @property
    def content(self) -> bytes:
        """The whole body."""
        return b"".join(self.body)

    def json(self) -> Any:
        """The whole body, read as JSON."""
        return orjson.loads(self.content)

    def header(self, name: str) -> str | None:
        """The value of a header, None when it is not there. name: lower case."""
        return next((value for key, value in self.headers if key == name), None)


class Refusal(Exception):
    """A request that cannot be granted: `status` and a message that says what was needed, what came, what to do."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = printable(message)
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """As every client of the protocol expects it: {"error": message}."""
        return json_response({"error": self.message}, self.status, self.headers)


JSON_HEADER = ("content-type", "application/json")


def json_response(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`content` as JSON."""
    return Response(status, [JSON_HEADER, *(headers or {}).items()], (orjson.dumps(content),))


class Usual:
    """The headers that every answer of the moment has, and their lines."""

    __slots__ = ("headers", "lines")

    def __init__(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self.headers = headers
        self.lines = b"".join(b"%b: %b\r\n" % header for header in headers)


def head_of(response: Response, usual: Usual, keep_alive: bool) -> bytes:
    """What HTTP/1.1 writes in front of the body of an answer."""
    lines = [_STATUS[response.status], usual.lines]
    for name, value in response.headers:
        lines.append(_line(name, value))
    if response.status not in (204, 304):
        lines.append(b"content-length: %d\r\n" % response.size)
    lines.append(b"\r\n" if keep_alive else b"connection: close\r\n\r\n")
    return b"".join(lines)


@lru_cache(256)
def _line(name: str, value: str) -> bytes:
    if "\n" in value or "\r" in value:
        raise ValueError(f"a header of an answer spans lines: {name}")
    return f"{name}: {value}\r\n".encode("latin-1", "replace")


_STATUS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
