"""What the server counts, as Prometheus reads it.

The numbers are plain integers that every process keeps in a file of its own; they are added up when somebody asks.
prometheus_client only writes them down: nothing of it runs for a request.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from seqc_runtime import __version__
from seqc_runtime.server.jobs import Blocking
from seqc_runtime.server.messages import Buffer, Head, Refusal, Response
from seqc_runtime.server.routes import Route
from seqc_runtime.server.stats import BUCKETS, Snapshot, bucket_end

if TYPE_CHECKING:
    from seqc_runtime.server.app import App

Snapshots = Mapping[tuple[str, int], Snapshot]

# Triton's names, which dashboards know. It calls them counters without the suffix that prometheus_client insists on for
# counters, so they go without a type.
_TRITON = {
    "nv_inference_request_success": ("Requests that were answered", lambda s: s.success),
    "nv_inference_count": ("Samples that were answered", lambda s: s.rows),
    "nv_inference_exec_count": ("Runs of the model", lambda s: s.executions),
    "nv_inference_request_duration_us": ("From arrival to answer, all together", lambda s: s.total_ns // 1000),
    "nv_inference_queue_duration_us": ("Waiting, all together", lambda s: s.queue_ns // 1000),
    "nv_inference_compute_input_duration_us": ("Reading inputs, all together", lambda s: s.input_ns // 1000),
    "nv_inference_compute_infer_duration_us": ("Running the model, all together", lambda s: s.infer_ns // 1000),
    "nv_inference_compute_output_duration_us": ("Writing outputs, all together", lambda s: s.output_ns // 1000),
    "nv_inference_pending_request_count": ("Requests that wait now", lambda s: s.pending),
}
_REASONS = {
    "invalid": "OTHER",
    "rejected": "REJECTED",
    "late": "REJECTED",
    "cancelled": "CANCELED",
    "failed": "BACKEND",
}
_LABELS = ("model", "version")
# Every octave of the latencies.
_STEP = 4


class Collector:
    """The metrics of some snapshots, for a registry of prometheus_client."""

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots

    def collect(self) -> Iterator[Any]:
        """Every metric with a sample for every version of every model."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

        yield InfoMetricFamily("seqc_runtime", "The server", {"version": __version__})
        for name, (text, value) in _TRITON.items():
            yield self._plain(name, text, value)
        yield self._failures()
        requests = CounterMetricFamily("seqc_runtime_requests", "Requests by outcome", labels=(*_LABELS, "outcome"))
        waiting = GaugeMetricFamily("seqc_runtime_waiting_rows", "Samples that wait now", labels=_LABELS)
        for labels, one in self._each():
            requests.add_metric((*labels, "answered"), one.success)
            for reason, count in one.fail.items():
                requests.add_metric((*labels, reason), count)
            waiting.add_metric(labels, one.pending_rows)
        yield requests
        yield waiting
        yield self._latencies()
        yield self._batches()

    def _each(self) -> Iterator[tuple[tuple[str, str], Snapshot]]:
        for (name, version), one in sorted(self._snapshots.items()):
            yield (name, str(version)), one

    def _plain(self, name: str, text: str, value: Any) -> Any:
        from prometheus_client.core import UntypedMetricFamily

        metric = UntypedMetricFamily(name, text, labels=_LABELS)
        for labels, one in self._each():
            metric.add_metric(labels, value(one))
        return metric

    def _failures(self) -> Any:
        from prometheus_client.core import UntypedMetricFamily

        name, text = "nv_inference_request_failure", "Requests that were not answered"
        metric = UntypedMetricFamily(name, text, labels=(*_LABELS, "reason"))
        for labels, one in self._each():
            sums = dict.fromkeys(("REJECTED", "CANCELED", "BACKEND", "OTHER"), 0)
            for reason, count in one.fail.items():
                sums[_REASONS[reason]] += count
            for reason, count in sums.items():
                metric.add_metric((*labels, reason), count)
        return metric

    def _latencies(self) -> Any:
        from prometheus_client.core import HistogramMetricFamily

        metric = HistogramMetricFamily(
            "seqc_runtime_request_duration_seconds", "From arrival to answer", labels=_LABELS
        )
        for labels, one in self._each():
            sums = list(itertools.accumulate(one.latency))
            ends = range(_STEP - 1, BUCKETS - 1, _STEP)
            buckets: list[Any] = [(repr(bucket_end(number) / 1e9), sums[number]) for number in ends]
            metric.add_metric(labels, [*buckets, ("+Inf", sums[-1])], one.total_ns / 1e9)
        return metric

    def _batches(self) -> Any:
        from prometheus_client.core import HistogramMetricFamily

        metric = HistogramMetricFamily("seqc_runtime_batch_rows", "Samples of one run of the model", labels=_LABELS)
        bounds = [1 << power for power in range(13)]
        for labels, one in self._each():
            counted = [sum(b.count for size, b in one.batches.items() if size <= bound) for bound in bounds]
            buckets: list[Any] = [(f"{bound}.0", count) for bound, count in zip(bounds, counted, strict=True)]
            total = sum(b.count for b in one.batches.values())
            metric.add_metric(labels, [*buckets, ("+Inf", total)], one.rows)
        return metric


def render(snapshots: Snapshots, accept: str = "") -> tuple[bytes, str]:
    """The text for Prometheus and its content type: OpenMetrics for who accepts that."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(snapshots))
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type


def metrics(app: App, head: Head, body: Buffer) -> Blocking:
    """With hundreds of versions it is megabytes of text."""
    # Threads that take turns would each keep the memory it takes.
    return Blocking(partial(_answer, app, head), brief=True)


def _answer(app: App, head: Head) -> Response:
    try:
        text, content_type = render(app.stats.read_all(), head.headers.get("accept", ""))
    except ModuleNotFoundError as error:
        raise Refusal(501, "metrics need prometheus-client, which the extra [server] brings") from error
    return Response(200, [("content-type", content_type)], (text,))


ROUTES = [Route("/metrics", {"GET": metrics}, "metrics")]
