"""Inference between its request and its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter_ns

from seqc_runtime.errors import SeqcRuntimeError
from seqc_runtime.inputs import Array
from seqc_runtime.server.messages import Response
from seqc_runtime.server.servable import Servable


@dataclass(slots=True)
class Job:
    """A checked inference: `feeds` have the declared names, dtypes and shapes.

    rows: samples along the batch axis; None when the inputs have no such axis in common, so that it runs alone.
    nbytes: of the inputs. deadline: on the clock `time.monotonic`, in seconds; None for no other than the server's.
    gone: tells whether the client has gone away, so that nobody waits for the answer.
    begun: when the request came, on the clock `time.perf_counter_ns`; 0 for when its job is run.
    queued: nanoseconds it has waited for its run, or in vain.
    """

    servable: Servable
    feeds: Mapping[str, Array]
    wanted: Sequence[str]
    rows: int | None = None
    nbytes: int = 0
    deadline: float | None = None
    gone: Callable[[], bool] | None = None
    begun: int = 0
    queued: int = 0

    def run(self) -> list[Array]:
        """Run it alone, now, in this thread, and count it."""
        counters = self.servable.counters
        start = perf_counter_ns()
        begun = self.begun or start
        try:
            results = self.servable.run(self.feeds, self.wanted)
        except SeqcRuntimeError:
            counters.failed("failed", perf_counter_ns() - begun)
            raise
        counters.alone(1 if self.rows is None else self.rows, start - begun, perf_counter_ns() - start)
        return results


@dataclass(slots=True)
class Pending:
    """A request that waits for a job, and how its answer is made."""

    job: Job
    respond: Callable[[list[Array]], Response]


@dataclass(slots=True)
class Blocking:
    """A request whose answer takes long to make, such as loading a model: not on an event loop.

    brief: it takes a moment of CPU time, and others of its kind can wait for it.
    """

    answer: Callable[[], Response]
    brief: bool = False
