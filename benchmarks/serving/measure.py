"""Measures one server with one model: started, compared with onnxruntime, loaded in every way."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from serving import environments, load
from serving.models import Served
from serving.peers import Peer
from serving.processes import NOT_PASSED_ON, Tree
from serving.protocols import Request
from serving.results import Results

START_LIMIT_S = 120.0
# Of load that is not measured, before each kind of it.
WARM_UP_S = 0.2
# An answer may differ by the kernels that other builds of onnxruntime choose, not by more.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        seconds: of each load. rounds: loads of each kind. concurrency: connections with one request at a time each.
        rate: share of what a server can take at most, for the load at a fixed rate.
    """

    seconds: float = 0.5
    rounds: int = 5
    concurrency: Sequence[int] = (1, 4, 16, 64)
    rate: float = 0.7


def cores() -> tuple[int, int]:
    """Returns the core of servers and that of the load."""
    first, second, *_ = sorted(os.sched_getaffinity(0))
    return first, second


@dataclass
class Running:
    """A server that runs, and where its figures go.

    Attributes:
        name: of the peer among the results. start_s: from its start to its first right answer.
    """

    name: str
    peer: Peer
    served: Served
    tree: Tree
    port: int
    start_s: float = 0.0

    def request(self, encoding: str) -> Request:
        """Returns the request of an encoding, when the server answers it as onnxruntime does.

        Raises:
            load.Failed: it answers something else. OSError: it does not answer.
        """
        request, expected = self.peer.requests[encoding](self.served), self.served.expected
        found = load.ask(request, self.port_of(request))
        if found.shape != expected.shape or not np.allclose(found, expected, rtol=0, atol=TOLERANCE):
            raise load.Failed(f"{encoding}: answered {found!r}, onnxruntime {expected!r}")
        return request

    def port_of(self, request: Request) -> int:
        """Returns the port that takes a request."""
        return self.port + self.peer.grpc_offset if request.over_http2 else self.port

    def closed(self, results: Results, plan: Plan, kind: str, encoding: str, concurrency: int) -> None:
        """Adds what is missing of one kind of load, with so many connections.

        Raises:
            load.Failed: the server failed.
        """
        done = results.rounds(self.name, self.served.name, kind, encoding, concurrency)
        if done >= plan.rounds:
            return
        request, core = self.request(encoding), cores()[1]
        load.closed(request, self.port_of(request), concurrency, WARM_UP_S, core)
        for number in range(done, plan.rounds):
            before = self.tree.cpu_seconds()
            found = load.closed(request, self.port_of(request), concurrency, plan.seconds, core)
            cpu_us = 1e6 * (self.tree.cpu_seconds() - before) / found.answered
            figures = {"concurrency": concurrency, "round": number, "cpu_us": cpu_us}
            results.add(self.name, self.served.name, kind, encoding, load=found, **figures)

    def at_rate(self, results: Results, plan: Plan, encoding: str) -> None:
        """Adds what is missing of the load at a fixed rate; twice as long, since few requests are among the slowest.

        Raises:
            load.Failed: the server failed.
        """
        request, best = self.request(encoding), results.best(self.name, self.served.name, encoding)
        if request.over_http2 or best is None:
            return
        for number in range(results.rounds(self.name, self.served.name, "rate", encoding), plan.rounds):
            found = load.at_rate(request, self.port, plan.rate * best, 2 * plan.seconds, cores()[1])
            results.add(self.name, self.served.name, "rate", encoding, round=number, load=found)


@contextlib.contextmanager
def serving(name: str, peer: Peer, served: Served, batch: bool, log: Path) -> Iterator[Running]:
    """Runs a server until the block ends, from its first right answer on.

    Raises:
        load.Failed: it ended, answered something else than onnxruntime, or did not answer in time.
    """
    port = _free_port()
    start = peer.start(served, port, batch)
    began = time.perf_counter()
    tree = Tree(start.words(), cores()[0], start.variables, log)
    try:
        running = Running(name, peer, served, tree, port)
        while True:
            try:
                running.request(next(iter(peer.requests)))
                break
            except (OSError, load.Failed) as error:
                if tree.ended() or time.perf_counter() > began + START_LIMIT_S:
                    said = log.read_text("utf-8", "replace").strip()[-2000:]
                    raise load.Failed(f"no right answer: {error}; it said: {said}") from error
            time.sleep(0.01)
        running.start_s = time.perf_counter() - began
        yield running
    finally:
        tree.stop()


def measure(name: str, peer: Peer, served: Served, plan: Plan, results: Results, log: Path) -> None:
    """Measures what is not yet among the results, and adds it to them.

    Args:
        name: of the peer among the results.

    Raises:
        load.Failed: the server failed.
    """
    if results.rounds(name, served.name, "start") > 0:
        return
    with serving(name, peer, served, False, log) as running:
        idle_mb = running.tree.megabytes()
        for encoding in peer.requests:
            for concurrency in plan.concurrency:
                running.closed(results, plan, "closed", encoding, concurrency)
        for encoding in peer.requests:
            running.at_rate(results, plan, encoding)
        busy_mb, processes = running.tree.megabytes(), running.tree.count()
    # Last, since it says that the rest is there.
    figures: dict[str, Any] = {
        "start_s": running.start_s,
        "idle_mb": idle_mb,
        "busy_mb": busy_mb,
        "processes": processes,
    }
    results.add(name, served.name, "start", **figures)


def measure_batching(name: str, peer: Peer, served: Served, plan: Plan, results: Results, log: Path) -> None:
    """Measures a server that runs requests together, at the greatest concurrency.

    Raises:
        load.Failed: the server failed.
    """
    concurrency = max(plan.concurrency)
    done = [results.rounds(name, served.name, "together", each, concurrency) for each in peer.requests]
    if not peer.batches or min(done) >= plan.rounds:
        return
    with serving(name, peer, served, True, log) as running:
        for encoding in peer.requests:
            running.closed(results, plan, "together", encoding, concurrency)


BARE = """
import json, sys, time, numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
feeds = {session.get_inputs()[0].name: numpy.array(json.load(sys.stdin), "float32")}
took = []
for _ in range(5001):
    began = time.perf_counter()
    session.run(None, feeds)
    took.append(time.perf_counter() - began)
print(1e6 * sorted(took)[2500])
"""


def bare_run_us(served: Served, environment: str) -> float:
    """Returns the median microseconds of onnxruntime's own `run`, on the servers' core, in an environment."""
    command = ["taskset", "-c", str(cores()[0]), str(environments.python(environment)), "-c", BARE, str(served.path)]
    variables = {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON}
    given = json.dumps(served.sample.tolist())
    done = subprocess.run(command, input=given, env=variables, check=True, capture_output=True, text=True)
    return float(done.stdout)


def _free_port() -> int:
    """Returns a port that is free, with the next one."""
    while True:
        with socket.socket() as one, socket.socket() as next_one:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            with contextlib.suppress(OSError, OverflowError):
                next_one.bind(("127.0.0.1", port + 1))
                return port
