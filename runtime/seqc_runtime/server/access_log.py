"""A line of JSON for every request, and the trace it belongs to."""

from __future__ import annotations

import os
import re
import secrets
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from seqc_runtime.server.messages import Head, Response

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


@dataclass(frozen=True, slots=True)
class Trace:
    """Where a request stands in a distributed trace (W3C Trace Context). parent: None where a trace begins."""

    trace_id: str
    span_id: str
    parent: str | None
    flags: str

    @property
    def header(self) -> str:
        """As a traceparent or traceresponse header."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


def trace_of(head: Head) -> Trace:
    """The trace of the request's traceparent header, a new one when there is none or it is not exactly as it should."""
    found = _TRACEPARENT.fullmatch(head.headers.get("traceparent", ""))
    span_id = secrets.token_hex(8)
    if found is not None:
        version, trace_id, parent, flags, rest = found.groups()
        valid = version != "ff" and (version != "00" or not rest)
        if valid and trace_id.strip("0") and parent.strip("0"):
            return Trace(trace_id, span_id, parent, flags)
    return Trace(secrets.token_hex(16), span_id, None, "00")


class Observation:
    """One request that is watched, from its head to its answer."""

    __slots__ = ("began", "head", "model", "rows", "trace", "version")

    def __init__(self, head: Head) -> None:
        self.head = head
        self.trace = trace_of(head)
        self.began = time.perf_counter()
        self.model: str | None = None
        self.version: int | None = None
        self.rows: int | None = None


class AccessLog:
    """Appends a line a request to a file, "-" for standard output. Several processes may write to the same file."""

    def __init__(self, path: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._fd = sys.stdout.fileno() if path == "-" else os.open(path, flags, 0o640)

    def write(self, seen: Observation, response: Response) -> None:
        """Write the line of a request that was answered."""
        head = seen.head
        identity = head.headers.get("x-request-id", "")
        entry: dict[str, Any] = {
            "time": datetime.now(UTC),
            "client": head.client.certificate or head.client.address,
            "method": head.method,
            "path": head.path,
            "status": response.status,
            "bytes": sum(len(piece) for piece in response.body),
            "duration_ms": round((time.perf_counter() - seen.began) * 1e3, 3),
            "request_id": identity if _REQUEST_ID.fullmatch(identity) else None,
            "trace_id": seen.trace.trace_id,
            "span_id": seen.trace.span_id,
            "model": seen.model,
            "version": seen.version,
            "rows": seen.rows,
        }
        # One write, so that lines of several processes do not mix.
        os.write(self._fd, orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))
