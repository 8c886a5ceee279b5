"""A line of JSON for every request, and the trace it belongs to."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import secrets
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from seqc_runtime.errors import RuntimeArgumentError
from seqc_runtime.server.jobs import Job
from seqc_runtime.server.messages import Head, Response

LOG = logging.getLogger("seqc_runtime.server")
# Seconds between looks at where the path leads.
LOOK = 1.0
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

    __slots__ = ("began", "head", "job", "trace")

    def __init__(self, head: Head) -> None:
        self.head = head
        self.trace = trace_of(head)
        self.began = time.perf_counter()
        self.job: Job | None = None


class AccessLog:
    """Appends a line a request to a file, "-" for standard output. Several processes may write to the same file.

    A file that was renamed or removed, as rotating logs does, is begun anew. Lines that cannot be written are lost,
    and the first of them is told of; requests are answered all the same. Raises RuntimeArgumentError.
    """

    def __init__(self, path: str) -> None:
        self._path = None if path == "-" else path
        self._looked = time.monotonic()
        self._lost = 0
        try:
            self._fd = sys.__stdout__.fileno() if path == "-" and sys.__stdout__ else _append_to(path)
        except OSError as error:
            raise RuntimeArgumentError(f"--access-log: {path!r} cannot be written: {error.strerror}") from error

    def write(self, seen: Observation, response: Response) -> None:
        """Write the line of a request that was answered."""
        head, job = seen.head, seen.job
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
            "model": job and job.servable.name,
            "version": job and job.servable.version,
            "rows": job and job.rows,
            "queue_ms": job and round(job.queued / 1e6, 3),
        }
        line = orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE)
        try:
            self._follow()
            # One write, so that lines of several processes do not mix.
            if os.write(self._fd, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            if not self._lost:
                LOG.error("the access log cannot be written, its lines are lost: %s", error.strerror)
            self._lost += 1
        else:
            if self._lost:
                LOG.error("the access log can be written again; %d lines were lost", self._lost)
                self._lost = 0

    def close(self) -> None:
        """Close the file."""
        if self._path is not None:
            os.close(self._fd)

    def _follow(self) -> None:
        """Once a second, see whether the path is still that of the open file."""
        now = time.monotonic()
        if self._path is None or now - self._looked < LOOK:
            return
        self._looked = now
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(self._path), os.fstat(self._fd)):
                return
        fresh = _append_to(self._path)
        os.close(self._fd)
        self._fd = fresh


def _append_to(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
