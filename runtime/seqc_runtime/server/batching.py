"""Joining the inputs of several jobs, and cutting their results apart."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from seqc_runtime.errors import RuntimeExecutionError
from seqc_runtime.inputs import Array
from seqc_runtime.runs import RunControl
from seqc_runtime.server.jobs import Job
from seqc_runtime.server.servable import Servable


def key_of(job: Job) -> Hashable:
    """Jobs of one model with equal keys can be joined: their samples have the same shapes. Padding is never added."""
    servable = job.servable
    if servable.fixed_trailing or job.rows is None:
        return None
    return tuple(job.feeds[info.name].shape[1:] for info in servable.inputs)


def run_joined(servable: Servable, jobs: Sequence[Job], control: RunControl | None = None) -> list[list[Array]]:
    """The results of each job of a run of all of them together: rows of the joint results, not copies.

    jobs: with equal keys, and rows that are known.

    Raises RuntimeExecutionError, also when an output does not have one row for each row of input.
    """
    wanted = list(dict.fromkeys(name for job in jobs for name in job.wanted))
    feeds = {name: np.concatenate([job.feeds[name] for job in jobs]) for name in jobs[0].feeds}
    results = dict(zip(wanted, servable.run(feeds, wanted, control), strict=True))
    counts = [job.rows or 0 for job in jobs]
    total = sum(counts)
    for name, array in results.items():
        if not array.ndim or array.shape[0] != total:
            raise RuntimeExecutionError(
                f"output {name!r} of {servable.name!r} has shape {list(array.shape)} for {total} rows of input"
            )
    cut: list[list[Array]] = []
    start = 0
    for job, count in zip(jobs, counts, strict=True):
        cut.append([results[name][start : start + count] for name in job.wanted])
        start += count
    return cut
