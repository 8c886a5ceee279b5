"""Requests over HTTP in every way that its standard allows, drawn by chance, and the reading of their answers."""

from __future__ import annotations

import gzip
import socket
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from runtime_kit.odd_models import Feeds
from runtime_kit.protocol_forms import LENGTH, binary_of, oip

PACKED: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}
UNPACKED: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.decompress, "deflate": zlib.decompress}
Framing = Literal["length", "chunked", "expect"]


@dataclass
class Ask:
    """One request.

    method, path: of its first line. headers, body: as the application shall see them. packing: of the body.
    framing: how the body's end is told. old: whether it is HTTP/1.0, after which the connection ends.
    """

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    packing: str = ""
    framing: Framing = "length"
    old: bool = False

    def parts(self, random: np.random.Generator) -> tuple[bytes, bytes]:
        """What goes over the connection: the header and the body."""
        body = PACKED[self.packing](self.body) if self.packing else self.body
        lines = [f"{self.method} {self.path} HTTP/1.{0 if self.old else 1}", "Host: localhost"]
        lines += [f"{name.title() if random.random() < 0.5 else name}: {text}" for name, text in self.headers.items()]
        if self.packing:
            lines.append(f"Content-Encoding: {self.packing}")
        if self.framing == "expect":
            lines.append("Expect: 100-continue")
        if self.method == "POST":
            lines.append("Transfer-Encoding: chunked" if self.framing == "chunked" else f"Content-Length: {len(body)}")
        if self.framing == "chunked":
            body = chunked(body, random)
        return "\r\n".join([*lines, "", ""]).encode(), body


@dataclass
class Got:
    """One answer. headers: by lower-case names. body: unpacked."""

    status: int
    headers: dict[str, str]
    body: bytes


def chunked(body: bytes, random: np.random.Generator) -> bytes:
    """The body in chunks of any size, some with extensions, perhaps with a trailer."""
    pieces, position = [], 0
    while position < len(body):
        size = int(random.integers(1, 200))
        piece = body[position : position + size]
        position += len(piece)
        extension = b";a=b" if random.random() < 0.2 else b""
        pieces.append(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece))
    trailer = b"x-sum: 1\r\n" if random.random() < 0.2 else b""
    return b"".join([*pieces, b"0\r\n", trailer, b"\r\n"])


def draw_infer(random: np.random.Generator, path: str, feeds: Feeds) -> Ask:
    """A request for the outputs of `feeds`."""
    form = random.choice(["json", "nested", "binary", "raw"])
    binary_out = bool(random.integers(2))
    if form == "raw":
        (array,) = feeds.values()
        body, headers = binary_of(array), {LENGTH: "0"}
    else:
        body, headers = oip(feeds, form == "binary", binary_out, form == "nested", id="i" * int(random.integers(9)))
    ask = Ask("POST", path, headers, body)
    ask.packing = str(random.choice(["", "", "gzip", "deflate"]))
    if random.random() < 0.5:
        ask.headers["accept-encoding"] = str(random.choice(["gzip", "deflate", "br, gzip;q=0.5", "identity"]))
    ask.framing = random.choice(["length", "length", "chunked", "expect"])
    return ask


class Wire:
    """A connection on which requests are written, and answers read, byte by byte as the standard has them."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.held = b""

    def send(self, data: bytes, random: np.random.Generator) -> None:
        """The bytes, cut wherever it happens to be."""
        while data:
            size = int(random.integers(1, 2000))
            self.connection.sendall(data[:size])
            data = data[size:]

    def read(self, method: str) -> Got:
        """The next answer that is not an interim one."""
        while True:
            while b"\r\n\r\n" not in self.held:
                self._more()
            head, _, self.held = self.held.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            status = int(first.split(" ")[1])
            if status != 100:
                break
        headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
        assert len(headers) == len(lines), lines
        size = 0 if method == "HEAD" or status in (204, 304) else int(headers["content-length"])
        while len(self.held) < size:
            self._more()
        body, self.held = self.held[:size], self.held[size:]
        packing = headers.get("content-encoding")
        return Got(status, headers, UNPACKED[packing](body) if packing and body else body)

    def await_continue(self) -> bool:
        """Whether the server wants the body; if not, its answer is there."""
        while b"\r\n\r\n" not in self.held:
            self._more()
        return self.held.startswith(b"HTTP/1.1 100 ")

    def at_end(self) -> bool:
        """Whether the server has closed the connection, and said nothing more."""
        return not self.held and not self.connection.recv(1)

    def _more(self) -> None:
        piece = self.connection.recv(65536)
        assert piece, f"the connection ended early, after {self.held!r}"
        self.held += piece


def converse(connection: socket.socket, asks: list[Ask], random: np.random.Generator) -> list[Got]:
    """The answers to requests that are sent together, where none of them waits for leave to send its body."""
    wire, answers, waiting = Wire(connection), [], []
    buffered = b""
    for ask in asks:
        head, body = ask.parts(random)
        waiting.append(ask)
        if ask.framing != "expect":
            buffered += head + body
            continue
        wire.send(buffered + head, random)
        buffered = b""
        answers += [wire.read(before.method) for before in waiting[:-1]]
        waiting = waiting[-1:]
        if wire.await_continue():
            wire.send(body, random)
    wire.send(buffered, random)
    answers += [wire.read(ask.method) for ask in waiting]
    if asks[-1].old:
        assert wire.at_end()
    return answers


def same_but_body(one: dict[str, str], other: dict[str, str]) -> bool:
    """Whether the headers of two answers are the same."""
    ignored: set[Any] = {"date", "connection"}
    return {k: v for k, v in one.items() if k not in ignored} == {k: v for k, v in other.items() if k not in ignored}
