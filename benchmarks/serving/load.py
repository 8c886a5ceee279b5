"""Load on a server: as much as it takes with h2load, or at a fixed rate with `serving.openloop`; both on one core."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from serving.models import Array
from serving.protocols import Request


@dataclass(frozen=True)
class Load:
    """What a load came to.

    Attributes:
        requests_per_s: answered. p50_us, p99_us: from a request to the end of its answer. cores: of its own that the
        generator was busy for, 1 at most. answered: requests in all, those after the time was over included.
    """

    requests_per_s: float
    p50_us: float
    p99_us: float
    cores: float
    answered: int


class Failed(Exception):
    """A server did not answer, or not what onnxruntime answers."""


def ask(request: Request, port: int) -> Array:
    """Returns the array that a server answers one request with.

    Raises:
        Failed: it answered anything but 200. OSError: it did not answer.
    """
    if request.over_http2:
        return _ask_over_http2(request, port)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", request.path, request.body, dict(request.headers))
        answer = connection.getresponse()
        body = answer.read()
    except http.client.HTTPException as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise Failed(f"{answer.status}: {body[:300]!r}")
    return request.read(body)


def _ask_over_http2(request: Request, port: int) -> Array:
    headers = [word for name, value in request.headers.items() for word in ("-H", f"{name}: {value}")]
    command = ["curl", "--silent", "--show-error", "--max-time", "60", "--http2-prior-knowledge", *headers]
    command += ["--data-binary", "@-", f"http://127.0.0.1:{port}{request.path}"]
    done = subprocess.run(command, input=request.body, capture_output=True, check=False)
    if done.returncode != 0:
        raise OSError(done.stderr.decode().strip())
    if len(done.stdout) < 5:
        raise Failed("the call failed: it has no message")
    return request.read(done.stdout)


def closed(request: Request, port: int, concurrency: int, seconds: float, core: int) -> Load:
    """Returns what `concurrency` connections get, each with one request at a time.

    Raises:
        Failed: an answer was not 200.
    """
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder) / "body", Path(folder) / "log"
        body.write_bytes(request.body)
        headers = [word for name, value in request.headers.items() for word in ("-H", f"{name}: {value}")]
        command = ["h2load", *([] if request.over_http2 else ["--h1"]), "--data", str(body), *headers]
        command += [f"--clients={concurrency}", f"--log-file={log}", f"--duration={round(seconds * 1000)}ms"]
        command += [f"http://127.0.0.1:{port}{request.path}"]
        cores, output = _on_core(core, command)
        rows = np.loadtxt(log, np.int64, ndmin=2) if log.exists() and log.stat().st_size else None
    if rows is None:
        raise Failed(f"h2load got no answer: {output[-300:]}")
    start, status, took = rows.T
    if (status != 200).any():
        raise Failed(f"{int((status != 200).sum())} of {len(status)} answers are not 200: {set(status.tolist())}")
    in_time = (start + took < start.min() + seconds * 1e6).sum()
    p50, p99 = np.percentile(took, [50, 99])
    return Load(float(in_time / seconds), float(p50), float(p99), cores, len(rows))


def at_rate(request: Request, port: int, rate: float, seconds: float, core: int) -> Load:
    """Returns what requests get that are sent at a fixed rate, answered or not, from the time they are due on.

    Raises:
        Failed: an answer was not 200.
    """
    lines = [f"POST {request.path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Length: {len(request.body)}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "request"
        path.write_bytes("\r\n".join([*lines, "", ""]).encode() + request.body)
        client = Path(__file__).with_name("openloop.py")
        command = [sys.executable, str(client), str(path), str(port), str(rate), str(seconds)]
        cores, output = _on_core(core, command)
    try:
        found = json.loads(output)
    except ValueError as error:
        raise Failed(output[-300:]) from error
    return Load(cores=cores, **found)


def _on_core(core: int, command: Sequence[str]) -> tuple[float, str]:
    """Runs a command on a core; returns how busy it kept it, and what it printed."""
    with tempfile.TemporaryFile() as printed:
        began = time.perf_counter()
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *command], stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        took = time.perf_counter() - began
        printed.seek(0)
        return (usage.ru_utime + usage.ru_stime) / took, printed.read().decode("utf-8", "replace")
