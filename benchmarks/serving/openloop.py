"""Sends one HTTP/1.1 request again and again at a fixed rate: `openloop.py REQUEST-FILE PORT RATE SECONDS`.

A closed loop waits while a server is slow, and so leaves out the requests that would have suffered most. Here every
request has a time at which it is due, and its latency counts from then on, also while it waits for a connection. It
keeps its core busy, rather than sleep and wake up late. Prints JSON.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
import time
from collections import deque
from contextlib import ExitStack
from pathlib import Path

CONNECTIONS = 128
# What is due before this is sent but not measured.
WARM_UP_S = 0.2
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
LAST_CHUNK = b"\r\n0\r\n\r\n"


class Connection:
    """One connection, with the request under way on it."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self.received = b""

    def complete(self) -> bool:
        """Reads what there is; returns whether that completes an answer."""
        piece = self.socket.recv(1 << 18)
        if not piece:
            raise ConnectionError("the server closed a connection")
        received = self.received = self.received + piece if self.received else piece
        head = received.find(b"\r\n\r\n")
        if head < 0:
            return False
        length = LENGTH.search(received, 0, head)
        if not received.startswith(b"HTTP/1.1 200") or (length is None and not CHUNKED.search(received, 0, head)):
            raise ConnectionError(f"not an answer to measure: {received[:200]!r}")
        if not (received.endswith(LAST_CHUNK) if length is None else len(received) >= head + 4 + int(length[1])):
            return False
        self.received = b""
        return True


def run(request: bytes, port: int, rate: float, seconds: float) -> dict[str, float]:
    """Returns the latencies, in microseconds, of requests sent `rate` times a second, and how many were answered."""
    with ExitStack() as opened, select.epoll() as poll:
        connections: dict[int, Connection] = {}
        for _ in range(CONNECTIONS):
            one = Connection(port)
            opened.callback(one.socket.close)
            connections[one.socket.fileno()] = one
            poll.register(one.socket.fileno(), select.EPOLLIN)
        return _measured(request, connections, poll, rate, seconds)


def _measured(
    request: bytes, connections: dict[int, Connection], poll: select.epoll, rate: float, seconds: float
) -> dict[str, float]:
    free, waiting, took = list(connections.values()), deque[float](), list[float]()
    clock, total = time.perf_counter, round(rate * (seconds + WARM_UP_S))
    begin = clock()
    sent_by, give_up = begin + WARM_UP_S, begin + WARM_UP_S + 3 * seconds + 5
    planned = answered = 0
    now = begin
    while answered < total and now < give_up:
        now = clock()
        while planned < total and (due := begin + planned / rate) <= now:
            waiting.append(due)
            planned += 1
        while waiting and free:
            one = free.pop()
            one.due = waiting.popleft()
            one.socket.sendall(request)
        for number, _ in poll.poll(0):
            one = connections[number]
            if one.complete():
                answered += 1
                free.append(one)
                if one.due >= sent_by:
                    took.append(clock() - one.due)
    took.sort()
    if not took:
        raise ConnectionError("no answer came")
    p50, p99 = (took[min(len(took) - 1, int(len(took) * share))] * 1e6 for share in (0.5, 0.99))
    return {"requests_per_s": answered / (clock() - begin), "p50_us": p50, "p99_us": p99, "answered": answered}


if __name__ == "__main__":
    file, port, rate, seconds = sys.argv[1:]
    print(json.dumps(run(Path(file).read_bytes(), int(port), float(rate), float(seconds))))
