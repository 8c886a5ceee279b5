"""Spans for OpenTelemetry, when it is installed and asked for."""

from __future__ import annotations

from typing import Any

from seqc_runtime.errors import RuntimeDependencyError
from seqc_runtime.server.access_log import Observation
from seqc_runtime.server.messages import Response


class Spans:
    """Reports each request as a span of kind server.

    provider: of OpenTelemetry's SDK; None makes one that sends to where the variables OTEL_EXPORTER_OTLP_* say.
    Raises RuntimeDependencyError.
    """

    def __init__(self, provider: Any = None) -> None:
        try:
            from opentelemetry import trace
        except ModuleNotFoundError as error:
            raise RuntimeDependencyError('--otel needs OpenTelemetry: pip install "seqc-runtime[tracing]"') from error
        self._api = trace
        self._provider = provider or _exporting()
        self._tracer = self._provider.get_tracer("seqc_runtime.server")

    def begin(self, seen: Observation) -> Any:
        """A span, the child of the request's traceparent if that was good."""
        api, context = self._api, None
        if seen.trace.parent is not None:
            parent = api.SpanContext(
                int(seen.trace.trace_id, 16),
                int(seen.trace.parent, 16),
                is_remote=True,
                trace_flags=api.TraceFlags(int(seen.trace.flags, 16)),
            )
            context = api.set_span_in_context(api.NonRecordingSpan(parent))
        attributes = {"http.request.method": seen.head.method, "url.path": seen.head.path}
        return self._tracer.start_span(seen.head.method, context, kind=api.SpanKind.SERVER, attributes=attributes)

    def end(self, span: Any, seen: Observation, response: Response) -> None:
        """Say how it went."""
        span.set_attribute("http.response.status_code", response.status)
        job = seen.job
        if job is not None:
            known = {"model": job.servable.name, "version": job.servable.version, "rows": job.rows}
            for name, value in (known | {"queue_ms": job.queued / 1e6}).items():
                if value is not None:
                    span.set_attribute(f"seqc_runtime.{name}", value)
        if response.status >= 500:
            span.set_status(self._api.StatusCode.ERROR)
        span.end()

    def close(self) -> None:
        """Send what has not been sent."""
        self._provider.shutdown()


def _exporting() -> Any:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise RuntimeDependencyError(f'--otel needs {error.name}: pip install "seqc-runtime[tracing]"') from error
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
