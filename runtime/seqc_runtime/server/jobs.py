"""Inference between its request and its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from seqc_runtime.inputs import Array
from seqc_runtime.server.messages import Response
from seqc_runtime.server.servable import Servable


@dataclass(slots=True)
class Job:
    """A checked inference: `feeds` have the declared names, dtypes and shapes.

    rows: samples along the batch axis; None when the inputs have no such axis in common, so that it runs alone.
    deadline: on the clock `time.monotonic`, in seconds; None for no other than the server's.
    gone: tells whether the client has gone away, so that nobody waits for the answer.
    """

    servable: Servable
    feeds: Mapping[str, Array]
    wanted: Sequence[str]
    rows: int | None = None
    nbytes: int = 0
    deadline: float | None = None
    gone: Callable[[], bool] | None = None

    def run(self) -> list[Array]:
        """Run it alone, now, in this thread."""
        return self.servable.run(self.feeds, self.wanted)


@dataclass(slots=True)
class Pending:
    """A request that waits for a job, and how its answer is made."""

    job: Job
    respond: Callable[[list[Array]], Response]
