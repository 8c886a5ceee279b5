"""Every limit of the server, in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client, and all together, may ask for. Sizes are bytes, times are seconds.

    body: of one request, also after decompression; bodies: of all requests that one process is reading.
    header: all header lines together. url: the request line.
    json_depth: lists and objects inside each other. json_lists: lists and objects of one text, which take many times
    the memory of their brackets. tensors: inputs, and outputs, of one request to a model that does not declare more.
    rows: samples of one request. text: elements of BYTES in one tensor. pixels: of one image.
    compress_from: answers from this size on are compressed for clients that ask for it.
    queue_rows, queue_bytes: what may wait for one model. connections: open at the same time.
    streams: calls under way at the same time on one connection of gRPC.
    header_time: from the first byte of a request to the end of its header. body_rate: least bytes per second of a body,
    after the first `body_grace` seconds. keep_alive: idle time between requests. drain: from SIGTERM to the end.
    """

    body: int = 64 << 20
    bodies: int = 1 << 30
    header: int = 64 << 10
    headers: int = 100
    url: int = 8 << 10
    chunks: int = 65_536
    json_depth: int = 100
    json_lists: int = 2_000_000
    tensors: int = 256
    rows: int = 65_536
    pixels: int = 50_000_000
    compress_from: int = 8 << 10
    text: int = 1 << 20
    queue_rows: int = 65_536
    queue_bytes: int = 256 << 20
    connections: int = 4096
    streams: int = 256
    pipeline: int = 32
    header_time: float = 10.0
    body_rate: int = 1024
    body_grace: float = 10.0
    keep_alive: float = 75.0
    request_time: float = 60.0
    drain: float = 30.0
