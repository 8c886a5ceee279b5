"""What seqc-runtime is to reach, and whether it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from serving.models import TITLES
from serving.peers import PEERS
from serving.protocols import BINARY, JSON
from serving.results import Results

OURS = "seqc"
# How many times the requests per second of others.
AHEAD = {"litserve": 5, "bentoml": 5, "mlserver": 8, "kserve": 8, "ray": 8, "ray-fast": 8}
ADDED_P50_US, TOGETHER, START_S, MEMORY_MB, INSTALLED_MB = 100, 3, 0.5, 100, 200


def checklist(results: Results, megabytes: Mapping[str, float]) -> str:
    """Returns the targets, a line each, with what was measured."""
    lines = [*_ahead(results), _added(results), _together(results), *_footprint(results, megabytes)]
    return "\n".join(lines)


def _line(met: bool | None, text: str) -> str:
    if met is None:
        return f"- not measured: {text}"
    return f"- [{'x' if met else ' '}] {text}"


def _ahead(results: Results) -> Iterator[str]:
    for name, factor in AHEAD.items():
        ratios = {}
        for model, title in TITLES.items():
            for encoding in (JSON, BINARY):
                ours, theirs = results.best(OURS, model, encoding), results.best(name, model, encoding)
                if ours and theirs:
                    ratios[f"{title} {encoding}"] = ours / theirs
        text = f"{factor}x the requests per second of {PEERS[name].title}"
        shown = ", ".join(f"{case} {ratio:.1f}x" for case, ratio in ratios.items())
        yield _line(min(ratios.values()) >= factor if ratios else None, f"{text}: {shown}" if shown else text)


def _added(results: Results) -> str:
    added = {}
    for model, title in TITLES.items():
        bare = results.median("p50_us", "onnxruntime", model, "run")
        for encoding in (JSON, BINARY):
            p50 = results.median("p50_us", OURS, model, "closed", encoding, 1)
            if bare is not None and p50 is not None:
                added[f"{title} {encoding}"] = p50 - bare
    return _at_most(f"p50 at most {ADDED_P50_US} us over `run`, one connection", added, ADDED_P50_US, "us")


def _together(results: Results) -> str:
    gains = {}
    for encoding in (JSON, BINARY):
        cell = (OURS, "mlp-784", encoding, 64)
        alone = results.median("requests_per_s", *cell[:2], "closed", *cell[2:])
        together = results.median("requests_per_s", *cell[:2], "together", *cell[2:])
        if alone and together:
            gains[encoding] = together / alone
    text = f"batching at 64 connections {TOGETHER}x, {TITLES['mlp-784']}"
    shown = ", ".join(f"{encoding} {gain:.1f}x" for encoding, gain in gains.items())
    return _line(min(gains.values()) >= TOGETHER if gains else None, f"{text}: {shown}" if shown else text)


def _footprint(results: Results, megabytes: Mapping[str, float]) -> Iterator[str]:
    starts = [row for row in results.rows if row.peer == OURS and row.kind == "start"]
    by_model: Sequence[tuple[str, float | None, float | None]] = [
        (TITLES[row.model], row.start_s, row.busy_mb) for row in starts
    ]
    seconds = {title: start for title, start, _ in by_model if start is not None}
    memory = {title: used for title, _, used in by_model if used is not None}
    size = {"all": megabytes[OURS]} if OURS in megabytes else {}
    yield _at_most(f"first answer {START_S} s after the start", seconds, START_S, "s")
    yield _at_most(f"memory at most {MEMORY_MB} MB, model included", memory, MEMORY_MB, "MB")
    yield _at_most(f"installed at most {INSTALLED_MB} MB", size, INSTALLED_MB, "MB")


def _at_most(text: str, found: Mapping[str, float], bound: float, unit: str) -> str:
    shown = ", ".join(f"{case} {value:.3g} {unit}" for case, value in found.items())
    return _line(max(found.values()) <= bound if found else None, f"{text}: {shown}" if shown else text)
