"""The report of the comparison, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from report import table, times
from serving.models import TITLES
from serving.peers import PEERS, Peer
from serving.protocols import BINARY, GRPC, JSON
from serving.results import Results
from serving.targets import checklist

ENCODINGS = (JSON, BINARY, GRPC)
FOR_THE_CHOICE = ("uvicorn", "granian", "fixed-uvicorn", "fixed")
BATCHED = "mlp-784"


@dataclass(frozen=True)
class Facts:
    """What the figures belong to.

    Attributes:
        machine: its cores. python: its version. seconds, rounds: of each load. versions: of packages, by environment
        and name. megabytes: by environment.
    """

    command: str
    date: str
    machine: str
    python: str
    seconds: float
    rounds: int
    versions: Mapping[str, Mapping[str, str]]
    megabytes: Mapping[str, float]


def report(results: Results, facts: Facts, failures: Mapping[str, str]) -> str:
    """Returns the report; it ends where the notes begin."""
    parts = [
        f"# Serving\n\n{conditions(results, facts)}",
        f"## Targets\n\n{checklist(results, facts.megabytes)}",
        *(loads(results, model) for model in TITLES),
        batching(results),
        footprints(results, facts),
        choice(results),
        generator(results),
        "## Failures\n\n" + "\n".join(f"- {name}: {why}" for name, why in failures.items()) if failures else "",
    ]
    return "\n\n".join(part for part in parts if part)


def conditions(results: Results, facts: Facts) -> str:
    """Returns what was measured, on what, and how."""
    rows = []
    for name in measured(results):
        peer = PEERS[name]
        found = facts.versions.get(peer.environment, {})
        others = ("onnxruntime", "numpy", "uvicorn", "uvloop", "httptools", "orjson")
        beside = ", ".join(f"{each} {found[each]}" for each in others if each in found and each != peer.package)
        rows.append([titled(name), found.get(peer.package, "-"), beside])
    bare = [f"{TITLES[model]} {us:.1f}" for model in TITLES if (us := run_us(results, model)) is not None]
    return "\n".join(
        [
            f"`{facts.command}` on {facts.machine}, {facts.date}, Python {facts.python}.",
            "",
            table(["server", "version", "with"], rows),
            "",
            "All processes of a server share one core, the load has the other. Every server runs the same files with",
            "onnxruntime and one thread, one row a request, and was compared with onnxruntime before it was measured.",
            f"Figures are medians of {facts.rounds} loads of {facts.seconds:g} s, by h2load over connections that are",
            f"kept; latencies are the client's. onnxruntime's own `run` takes, in microseconds: {', '.join(bare)}.",
        ]
    )


def loads(results: Results, model: str) -> str:
    """Returns the table of requests per second and latencies of one model, or nothing."""
    levels = sorted({row.concurrency for row in results.rows if row.kind == "closed" and row.model == model})
    rows = []
    for encoding in ENCODINGS:
        ours = our_best(results, model, encoding)
        found = [(results.best(name, model, encoding), name) for name in measured(results)]
        for best, name in sorted(((each, name) for each, name in found if each is not None), reverse=True):
            if name not in FOR_THE_CHOICE:
                ratio = times(ours / best if ours is not None and not PEERS[name].ours else None)
                rows.append([titled(name), encoding, *_cells(results, name, model, encoding, levels), ratio])
    if not rows:
        return ""
    heading = [*_heading("server", levels), "seqc-runtime / it"]
    text = (
        "Requests per second by how many connections ask at once; CPU time of the server for one request; latencies\n"
        "in microseconds, the last at a fixed rate of 70 % of the most requests per second, since each was due.\n"
        "The ratio is that of the most requests per second."
    )
    return f"## {TITLES[model]}\n\n{table(heading, rows)}\n\n{text}"


def _cells(results: Results, name: str, model: str, encoding: str, levels: Sequence[int]) -> list[str]:
    def cell(figure: str, level: int, kind: str = "closed") -> str:
        return shown(results.median(figure, name, model, kind, encoding, level))

    speeds = [cell("requests_per_s", level) for level in levels]
    at_least, at_most = levels[0], levels[-1]
    latencies = [cell("p50_us", at_least), cell("p99_us", at_least), cell("p99_us", at_most)]
    return [*speeds, cell("cpu_us", at_most), *latencies, cell("p99_us", 0, "rate")]


def _heading(first: str, levels: Sequence[int]) -> list[str]:
    low, high = levels[0], levels[-1]
    speeds = [f"{level}" for level in levels]
    return [first, "body", *speeds, "CPU us", f"p50 at {low}", f"p99 at {low}", f"p99 at {high}", "p99 at 70 %"]


def batching(results: Results) -> str:
    """Returns the table of requests that run together, or nothing."""
    levels = [row.concurrency for row in results.rows if row.kind == "together"]
    if not levels:
        return ""
    level, rows = max(levels), []
    for encoding in ENCODINGS:
        for name in measured(results):
            alone = results.median("requests_per_s", name, BATCHED, "closed", encoding, level)
            together = results.median("requests_per_s", name, BATCHED, "together", encoding, level)
            if together is not None:
                p50, p99 = (
                    results.median(each, name, BATCHED, "together", encoding, level) for each in ("p50_us", "p99_us")
                )
                gain = times(together / alone if alone else None)
                rows.append([titled(name), encoding, shown(alone), shown(together), gain, shown(p50), shown(p99)])
    heading = ["server", "body", "each alone", "together", "gain", "p50 together", "p99 together"]
    return f"## Requests that run together: {TITLES[BATCHED]}, {level} at once\n\n{table(heading, rows)}"


def footprints(results: Results, facts: Facts) -> str:
    """Returns the table of start, memory and size."""
    rows = []
    for name in measured(results):
        found = [row for row in results.rows if row.peer == name and row.kind == "start" and row.model == "mlp-8"]
        if found and name not in FOR_THE_CHOICE:
            row = found[-1]
            size = facts.megabytes.get(PEERS[name].environment)
            start = "-" if row.start_s is None else f"{row.start_s:.2f}"
            rows.append([titled(name), start, str(row.processes), shown(row.idle_mb), shown(row.busy_mb), shown(size)])
    heading = ["server", "start to first answer, s", "processes", "memory, MB", "after the loads", "installed, MB"]
    text = "With MLP 8-32-16-3. Memory is the PSS of all processes; what is installed is counted without pip."
    return f"## Start, memory, size\n\n{table(heading, rows)}\n\n{text}"


def choice(results: Results) -> str:
    """Returns the comparison of HTTP servers for the application, or nothing."""
    there = [name for name in FOR_THE_CHOICE if name in measured(results)]
    if not there:
        return ""
    levels = sorted({row.concurrency for row in results.rows if row.peer in there and row.kind == "closed"})
    rows = [
        [PEERS[name].title, encoding, *_cells(results, name, "mlp-8", encoding, levels)]
        for encoding in (JSON, BINARY)
        for name in there
        if encoding in PEERS[name].requests
    ]
    heading = _heading("what answers", levels)
    text = "The fixed answers say what this machine can do at most with a server in Python, before there is a model."
    return f"## What HTTP costs: {TITLES['mlp-8']}\n\n{table(heading, rows)}\n\n{text}"


def generator(results: Results) -> str:
    """Returns how busy the load was, or nothing."""
    busy = [(row.load_cores, row) for row in results.rows if row.load_cores is not None and row.kind != "rate"]
    if not busy:
        return ""
    share, row = max(busy, key=lambda each: each[0])
    verdict = "so it held none of them back" if share < 0.85 else "so it may have held that one back"
    where = f"{titled(row.peer)}, {TITLES[row.model]}, {row.encoding}, {row.concurrency} at once"
    return f"## The load\n\nh2load kept its core {100 * share:.0f} % busy at most (with {where}), {verdict}."


def measured(results: Results) -> list[str]:
    """Returns the names of the peers that have figures."""
    there = {row.peer for row in results.rows}
    return [name for name in PEERS if name in there]


def titled(name: str) -> str:
    """Returns what a peer is called; ours stands out."""
    peer: Peer = PEERS[name]
    return f"**{peer.title}**" if peer.ours else peer.title


def run_us(results: Results, model: str) -> float | None:
    """Returns the microseconds of onnxruntime's `run`."""
    return results.median("p50_us", "onnxruntime", model, "run")


def our_best(results: Results, model: str, encoding: str) -> float | None:
    """Returns the most requests per second of seqc-runtime itself."""
    ours: Iterable[str] = (name for name in measured(results) if PEERS[name].ours and name not in FOR_THE_CHOICE)
    return max((best for name in ours if (best := results.best(name, model, encoding)) is not None), default=None)


def shown(value: float | None) -> str:
    """Returns a figure with three digits or all before the point."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
