"""What supervisor and workers say to each other: JSON, one object a line, over a pair of connected sockets."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from typing import Any

Message = dict[str, Any]


def ending_signals() -> list[signal.Signals]:
    """Those on which a server ends well: also SIGHUP, of a terminal that closes, unless `nohup` keeps it out."""
    hup = getattr(signal, "SIGHUP", None)
    found = [signal.SIGTERM, signal.SIGINT]
    return [*found, hup] if hup is not None and signal.getsignal(hup) != signal.SIG_IGN else found


# Longer than any message here, such as the names of 100,000 models; shorter than what would fill a memory.
LONGEST = 1 << 24


class Channel:
    """One end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, end: socket.socket) -> Channel:
        """Take over a connected socket."""
        end.setblocking(False)
        return cls(*await asyncio.open_unix_connection(sock=end, limit=LONGEST))

    def send(self, message: Message) -> None:
        """Send, or nothing if the other side is gone."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")

    async def receive(self) -> Message | None:
        """The next message; None when the other side is gone."""
        try:
            line = await self._reader.readline()
        except (ConnectionError, ValueError):
            return None
        return json.loads(line) if line.endswith(b"\n") else None

    def close(self) -> None:
        """Close this end."""
        self._writer.close()


def read_first(end: socket.socket) -> Message:
    """The first message, before there is an event loop. Raises EOFError."""
    line = bytearray()
    while not line.endswith(b"\n"):
        # What follows the line is for those that read after this.
        there = end.recv(1 << 16, socket.MSG_PEEK)
        piece = end.recv(there.find(b"\n") + 1 or len(there)) if there else b""
        if not piece or len(line) > LONGEST:
            raise EOFError("the supervisor is gone")
        line += piece
    content: Message = json.loads(line)
    return content


def send_now(end: socket.socket, message: Message) -> None:
    """Send before there is an event loop."""
    end.sendall(json.dumps(message).encode() + b"\n")
