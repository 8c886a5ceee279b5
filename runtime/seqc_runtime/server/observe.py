"""What is told of requests that were answered: to the access log, to OpenTelemetry."""

from __future__ import annotations

from typing import Any

from seqc_runtime.server.access_log import AccessLog, Observation
from seqc_runtime.server.jobs import Job
from seqc_runtime.server.messages import Head, Response
from seqc_runtime.server.settings import Settings
from seqc_runtime.server.tracing import Spans


class Observer:
    """Watches requests. log: where lines go; spans: where spans go; None for nowhere."""

    def __init__(self, log: AccessLog | None, spans: Spans | None) -> None:
        self.log = log
        self.spans = spans

    def begin(self, head: Head) -> Watch:
        """Watch a request."""
        seen = Observation(head)
        return Watch(self, seen, self.spans.begin(seen) if self.spans is not None else None)

    def close(self) -> None:
        """Send what has not been sent."""
        if self.spans is not None:
            self.spans.close()


class Watch:
    """One request that is watched."""

    __slots__ = ("_observer", "_seen", "_span")

    def __init__(self, observer: Observer, seen: Observation, span: Any) -> None:
        self._observer = observer
        self._seen = seen
        self._span = span

    def job(self, job: Job) -> None:
        """The request needs a model."""
        self._seen.job = job

    def end(self, response: Response) -> None:
        """The request is answered."""
        seen = self._seen
        response.headers.append(("traceresponse", seen.trace.header))
        if self._observer.log is not None:
            self._observer.log.write(seen, response)
        if self._observer.spans is not None:
            self._observer.spans.end(self._span, seen, response)


def make_observer(settings: Settings) -> Observer | None:
    """What the settings ask for; None when nothing is to be told."""
    log = AccessLog(settings.access_log) if settings.access_log is not None else None
    spans = Spans() if settings.tracing else None
    return Observer(log, spans) if log is not None or spans is not None else None
