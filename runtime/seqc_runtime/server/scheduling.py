"""When and where jobs run, on an event loop."""

from __future__ import annotations

from seqc_runtime.inputs import Array
from seqc_runtime.server.jobs import Job


class Scheduler:
    """Runs jobs. One scheduler belongs to one event loop."""

    async def submit(self, job: Job) -> list[Array]:
        """The results of a job. Raises Refusal (503, 504), RuntimeExecutionError."""
        return job.run()
