"""The report of the comparison, in Markdown."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from frameworks import FRAMEWORKS, NAIVE, ONE_THREAD, PEERS, SEQC, Framework, Outcome
from workloads import BATCHES, DEPTHS, WORKLOADS

KERAS = [f.name for f in PEERS if f.module == "keras"]
TENSORFLOW, TORCH = "keras-tensorflow", "torch"
# Whom a training step is held against, and how sentences call them; see `Ratios`.
COMPARED = {"keras": "the best Keras", TORCH: "PyTorch", "torch-compiled": "PyTorch with torch.compile"}


@dataclass
class Results:
    """What was measured.

    Attributes:
        asked: names of the frameworks that were asked for. training: by framework and workload; what is absent has no
        entry. predict: of seqc, by workload. versions: of the frameworks that are there.
    """

    rounds: int
    command: str
    asked: Sequence[str] = tuple(f.name for f in (*PEERS, SEQC))
    training: dict[tuple[str, str], Outcome] = field(default_factory=dict)
    predict: dict[str, Outcome] = field(default_factory=dict)
    versions: dict[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def columns(self) -> list[Framework]:
        """The frameworks that have columns of their own."""
        return [f for f in (*PEERS, SEQC) if f.name in self.asked]

    def figure(self, framework: str, workload: str, name: str) -> float | None:
        """Returns one figure, None where it is absent or failed."""
        found = self.training.get((framework, workload))
        return found.get(name) if isinstance(found, dict) else None

    def cell(self, framework: str, workload: str, name: str, digits: int) -> str:
        """Returns one figure as text, or what became of it."""
        if (framework, workload) not in self.training:
            return "absent"
        found = self.figure(framework, workload, name)
        return "failed" if found is None else f"{found:.{digits}f}"

    def workloads(self) -> list[str]:
        """Returns the workloads of which anything was measured."""
        measured = {workload for _, workload in self.training}
        return [name for name in WORKLOADS if name in measured]

    def curve(self, names: Iterable[str]) -> dict[str, float]:
        """Returns seqc's milliseconds per step for those of the workloads that were measured."""
        found = {name: self.figure(SEQC.name, name, "step_ms") for name in names}
        return {name: value for name, value in found.items() if value is not None}


def report(results: Results) -> str:
    """Returns the report; it ends where the notes begin."""
    parts = [f"# Results\n\n{conditions(results)}", steps(results), memory(results), starts(results)]
    return "\n\n".join(part for part in (*parts, inference(results), scaling(results), failures(results)) if part)


def conditions(results: Results) -> str:
    """Returns what was measured, on what, and how."""
    lines = [f"`{results.command}` on {machine()}.", "", "| framework | versions |", "|---|---|"]
    for one in results.columns:
        found = results.versions.get(one.name)
        text = "absent" if found is None else ", ".join(f"{name} {version}" for name, version in found.items())
        lines.append(f"| {one.title} | {text} |")
    lines += [
        "",
        f"Every figure is the median over {results.rounds} fresh processes (rounds). For each workload, and in each",
        "round, frameworks run in turn, in an order of that round; each may use all cores. A step is an epoch of `fit`",
        "(in PyTorch: of a plain loop) by its number of steps, the median of all epochs but the first. Compare ratios",
        "rather than single figures: machines drift. Above 1x seqc is faster.",
    ]
    return "\n".join(lines)


def machine() -> str:
    """Returns what kind of machine this is."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return f"{cores} cores ({model}, {platform.machine()}, {platform.system()})"


def steps(results: Results) -> str:
    """Returns the table of training steps, with the ratios that count."""
    columns = [f.title for f in results.columns]
    rows, ratios = [], Ratios(results)
    for name in results.workloads():
        cells = [results.cell(f.name, name, "step_ms", 2) for f in results.columns]
        rows.append([name, str(WORKLOADS[name].batch), *cells, *(ratios.shown(peer, name) for peer in COMPARED)])
    means = ["" if f is SEQC else times(ratios.mean(f.name)) for f in results.columns]
    rows.append(["geometric mean, to seqc", "", *means, *(times(ratios.mean(peer)) for peer in COMPARED)])
    heading = ["workload", "batch", *columns, *(f"{title} / seqc" for title in ("best Keras", "PyTorch", "compiled"))]
    verdicts = [ratios.verdict(peer, title) for peer, title in COMPARED.items()]
    text = "\n".join(filter(None, verdicts))
    return "\n\n".join(filter(None, ["## Training step, ms", table(heading, rows), text]))


class Ratios:
    """How many times as long peers take for a step as seqc does: above 1 seqc is faster.

    Peers are called by the names of frameworks; "keras" is the fastest of Keras's for each workload.
    """

    def __init__(self, results: Results) -> None:
        self._results = results

    def ratio(self, peer: str, workload: str) -> float | None:
        """Returns the ratio, None where one of the two is missing."""
        ours = self._results.figure(SEQC.name, workload, "step_ms")
        found = [self._results.figure(f, workload, "step_ms") for f in (KERAS if peer == "keras" else [peer])]
        theirs = [value for value in found if value is not None]
        return min(theirs) / ours if theirs and ours else None

    def shown(self, peer: str, workload: str) -> str:
        """Returns the ratio as text."""
        return times(self.ratio(peer, workload))

    def by_workload(self, peer: str) -> dict[str, float]:
        """Returns the ratios that there are."""
        found = {name: self.ratio(peer, name) for name in self._results.workloads()}
        return {name: ratio for name, ratio in found.items() if ratio is not None}

    def mean(self, peer: str) -> float | None:
        """Returns the geometric mean of the ratios."""
        return geometric_mean(self.by_workload(peer).values())

    def verdict(self, peer: str, title: str) -> str:
        """Returns a sentence on the rows in which seqc is slower."""
        ratios = self.by_workload(peer)
        if not ratios:
            return ""
        slower, far = (sorted(n for n, r in ratios.items() if r < bound) for bound in (1, 0.8))
        return f"Beside {title}, of {len(ratios)} rows below 1x: {named(slower)}; below 0.8x: {named(far)}."


def memory(results: Results) -> str:
    """Returns the table of peak memory."""

    def share(name: str) -> str:
        ours, theirs = (results.figure(f, name, "peak_mib") for f in (SEQC.name, TENSORFLOW))
        return times(ours / theirs) if ours and theirs else "-"

    heading = "## Peak memory of the training process, MiB"
    return by_framework(results, heading, "peak_mib", 0, "seqc / Keras on TensorFlow", share)


def starts(results: Results) -> str:
    """Returns the table of how long it takes until something has been trained."""

    def imported(name: str) -> str:
        return results.cell(SEQC.name, name, "import_s", 2)

    heading = "## From the start of the process to the end of the first step, s"
    return by_framework(results, heading, "first_step_s", 2, "import of seqc alone", imported)


def by_framework(
    results: Results, heading: str, figure: str, digits: int, last: str, last_cell: Callable[[str], str]
) -> str:
    """Returns a table of one figure: a row per workload, a column per framework, and one more column."""
    rows = [
        [name, *(results.cell(f.name, name, figure, digits) for f in results.columns), last_cell(name)]
        for name in results.workloads()
    ]
    return f"{heading}\n\n{table(['workload', *(f.title for f in results.columns), last], rows)}"


def inference(results: Results) -> str:
    """Returns the table of predictions, or nothing."""
    rows = []
    for name, found in results.predict.items():
        if isinstance(found, str):
            rows.append([name, str(WORKLOADS[name].batch), "failed", "failed", "-"])
            continue
        ours, theirs = found["numpy_ms"], found["onnxruntime_ms"]
        rows.append([name, str(WORKLOADS[name].batch), f"{ours:.2f}", f"{theirs:.2f}", times(ours / theirs)])
    if not rows:
        return ""
    heading = ["workload", "batch", "NumPy", "onnxruntime", "NumPy / onnxruntime"]
    return f"## Prediction of one batch, ms\n\n{table(heading, rows)}"


def scaling(results: Results) -> str:
    """Returns the tables of how seqc scales with threads, batch and depth, or nothing."""
    parts = [_variants(results)]
    batches = results.curve(f"cnn@{batch}" for batch in BATCHES)
    parts.append(_curve("cnn: batch", batches, "ms per step", "us per sample", 1e3))
    depths = results.curve(f"depth@{depth}" for depth in DEPTHS)
    parts.append(_curve("MLP of 256 units, batch 128: hidden layers", depths, "ms per step", "ms per layer", 1))
    found = [part for part in parts if part]
    return "\n\n".join(["## How seqc scales", *found]) if found else ""


def _variants(results: Results) -> str:
    rows = []
    for name in results.workloads():
        one, naive, both = (results.figure(f.name, name, "step_ms") for f in (ONE_THREAD, NAIVE, SEQC))
        if both is None or (one is None and naive is None):
            continue
        shown = ["-" if value is None else f"{value:.2f}" for value in (both, one, naive)]
        rows.append([name, *shown, *(times(value / both if value else None) for value in (one, naive))])
    heading = [
        "ms per step",
        "all cores",
        "one thread",
        "naive executor",
        "one thread / all cores",
        "naive / all cores",
    ]
    return table(heading, rows) if rows else ""


def _curve(what: str, found: Mapping[str, float], unit: str, each: str, factor: float) -> str:
    sizes = {int(name.partition("@")[2]): value for name, value in found.items()}
    rows = [[str(size), f"{value:.2f}", f"{value / size * factor:.2f}"] for size, value in sizes.items()]
    return table([what, unit, each], rows) if rows else ""


def failures(results: Results) -> str:
    """Returns what failed and why, or nothing."""
    lines = [
        f"- {FRAMEWORKS[framework].title} on {workload}: {reason}"
        for (framework, workload), reason in results.training.items()
        if isinstance(reason, str)
    ]
    lines += [f"- predict on {name}: {reason}" for name, reason in results.predict.items() if isinstance(reason, str)]
    return "\n".join(["## Failures", "", *lines]) if lines else ""


def geometric_mean(values: Iterable[float]) -> float | None:
    """Returns the geometric mean of positive numbers, None of none."""
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs)) if logs else None


def times(ratio: float | None) -> str:
    """Returns a ratio as people read it."""
    return "-" if ratio is None else f"{ratio:.2f}x"


def named(names: Sequence[str]) -> str:
    """Returns how many names there are, and which."""
    return f"{len(names)} ({', '.join(names)})" if names else "none"


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table in Markdown, numbers on the right."""
    lines = ["|".join(("", *(f" {cell} " for cell in row), "")) for row in (heading, *rows)]
    lines.insert(1, "|---" + "|---:" * (len(heading) - 1) + "|")
    return "\n".join(lines)
