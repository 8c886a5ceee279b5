"""Running tickets, in whatever thread: what comes out of each, and when it ran."""

from __future__ import annotations

import logging
from time import perf_counter_ns

from seqc_runtime.errors import RuntimeStoppedError
from seqc_runtime.runs import RunControl
from seqc_runtime.server.batching import run_joined
from seqc_runtime.server.lane import Outcome, Run, Ticket
from seqc_runtime.server.servable import Servable

LOG = logging.getLogger("seqc_runtime.server")


def execute(servable: Servable, run: Run) -> list[Outcome]:
    """Run tickets together; each alone when that fails, so that none fails because of another."""
    run.started = perf_counter_ns()
    for ticket in run.tickets:
        ticket.job.queued = run.started - ticket.arrived
    if len(run.tickets) > 1:
        try:
            return _together(servable, run)
        except RuntimeStoppedError as error:
            return [error] * len(run.tickets)
        except Exception as error:  # whatever it is, it must not stay with one of them only
            LOG.info("a run of %d requests together failed; each runs alone: %s", len(run.tickets), error)
    return [_alone(servable, ticket, run.control) for ticket in run.tickets]


def _together(servable: Servable, run: Run) -> list[Outcome]:
    results = run_joined(servable, [ticket.job for ticket in run.tickets], run.control)
    _ran(servable, run.tickets, run.started)
    return list(results)


def _alone(servable: Servable, ticket: Ticket, control: RunControl) -> Outcome:
    if ticket.settled:
        return []
    start = perf_counter_ns()
    try:
        results = servable.run(ticket.job.feeds, ticket.job.wanted, control)
    except Exception as error:
        return error
    _ran(servable, [ticket], start)
    return results


def _ran(servable: Servable, tickets: list[Ticket], start: int) -> None:
    """Count a run, and note in its tickets when it was. Requests are counted when they are answered."""
    end = perf_counter_ns()
    for ticket in tickets:
        ticket.started, ticket.ended = start, end
    reading = sum(ticket.arrived - ticket.begun for ticket in tickets)
    servable.counters.executed(sum(ticket.rows for ticket in tickets), reading, end - start, 0)
