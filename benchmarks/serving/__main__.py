"""Compares seqc-runtime with other servers, and writes benchmarks/SERVING.md: `python -m serving --help`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from report import machine
from serving import environments, models
from serving.load import Failed
from serving.measure import Plan, bare_run_us, measure, measure_batching
from serving.peers import PEERS
from serving.processes import adopt_orphans
from serving.results import Results
from serving.tables import Facts, report

HERE = Path(__file__).parent
REPORT = HERE.parent / "SERVING.md"
NOTES = "## Notes"
# The choice of an HTTP server is a matter of what a request costs at least.
FOR_THE_CHOICE = ("uvicorn", "granian", "fixed-uvicorn", "fixed")
SMALLEST, BATCHED = "mlp-8", "mlp-784"


def main(arguments: Sequence[str]) -> int:
    """Runs the comparison; returns 1 if a server failed."""
    options = _parse(arguments)
    results, facts = Results(options.results), options.results.with_suffix(".json")
    names = [name for name in options.only if environments.is_complete(PEERS[name].environment)]
    for name in options.only:
        if name not in names:
            print(f"{name}: left out, it has no environment", flush=True)
    if options.fresh:
        results.forget([*names, "onnxruntime"])
    failures: dict[str, str] = {}
    if not options.report:
        _check_tools()
        adopt_orphans()
        for environment in sorted({PEERS[name].environment for name in names}):
            if environments.ENVIRONMENTS[environment].ours is not None:
                environments.make(environment)
        plan = Plan(options.seconds, options.rounds, options.concurrency)
        for name in names:
            _measure(name, options.models, plan, results, failures)
        _keep_facts(facts, arguments, plan, names)
    _write(results, facts, failures)
    return 1 if failures else 0


def _check_tools() -> None:
    missing = [tool for tool in ("h2load", "taskset", "curl") if shutil.which(tool) is None]
    if missing:
        sys.exit(f"the comparison needs {', '.join(missing)}: of Debian's nghttp2-client, util-linux and curl")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("the comparison needs two cores: one for the server, one for the load")


def _measure(name: str, wanted: Sequence[str], plan: Plan, results: Results, failures: dict[str, str]) -> None:
    peer = PEERS[name]
    folder = environments.folder()
    log = folder / "logs" / f"{name}.log"
    log.parent.mkdir(exist_ok=True)
    began = time.perf_counter()
    for model in wanted:
        if name in FOR_THE_CHOICE and model != SMALLEST:
            continue
        served = models.export(model, folder / "models")
        if results.rounds("onnxruntime", model, "run") == 0:
            results.add("onnxruntime", model, "run", p50_us=bare_run_us(served, peer.environment))
        try:
            measure(name, peer, served, plan, results, log)
            if model == BATCHED:
                measure_batching(name, peer, served, plan, results, log)
        except Failed as error:
            failures[f"{name} with {model}"] = str(error)
            print(f"{name} with {model} failed: {error}", file=sys.stderr, flush=True)
    print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)


def _keep_facts(path: Path, arguments: Sequence[str], plan: Plan, measured: Sequence[str]) -> None:
    """Writes what the figures belong to; of peers that were measured earlier it stays."""
    made = sorted({PEERS[name].environment for name in measured})
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"versions": {}, "megabytes": {}}
    facts = Facts(
        command=shlex.join(["python", "-m", "serving", *arguments]),
        date=datetime.now(UTC).date().isoformat(),
        machine=machine(),
        python=platform.python_version(),
        seconds=plan.seconds,
        rounds=plan.rounds,
        versions=before["versions"] | {name: environments.versions(name) for name in made},
        megabytes=before["megabytes"] | {name: environments.megabytes(name) for name in made},
    )
    path.write_text(json.dumps(asdict(facts), indent=1) + "\n", encoding="utf-8")


def _write(results: Results, facts: Path, failures: dict[str, str]) -> None:
    """Writes the report, and keeps the notes below it, which are written by hand."""
    before = REPORT.read_text(encoding="utf-8") if REPORT.exists() else ""
    notes = before[before.index(NOTES) :] if NOTES in before else f"{NOTES}\n"
    known = Facts(**json.loads(facts.read_text(encoding="utf-8")))
    REPORT.write_text(f"{report(results, known, failures)}\n\n{notes}", encoding="utf-8")
    print(f"written: {REPORT}")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    def names(text: str) -> list[str]:
        return text.split(",")

    def numbers(text: str) -> list[int]:
        return [int(each) for each in text.split(",")]

    parser = argparse.ArgumentParser(prog="python -m serving", description=__doc__)
    parser.add_argument("--seconds", type=float, default=Plan.seconds, help="of each load (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=Plan.rounds, help="loads of each kind (default: %(default)s)")
    parser.add_argument("--only", type=names, default=list(PEERS), metavar="PEER,...", help=", ".join(PEERS))
    parser.add_argument("--models", type=names, default=list(models.TITLES), metavar="MODEL,...")
    parser.add_argument("--concurrency", type=numbers, default=list(Plan.concurrency), metavar="N,...")
    parser.add_argument("--results", type=Path, default=HERE / "results.csv", help="the figures; what is there is kept")
    parser.add_argument("--fresh", action="store_true", help="forget the figures of the peers that are measured")
    parser.add_argument("--report", action="store_true", help="only write the report of the figures there are")
    options = parser.parse_args(arguments)
    for given, known in ((options.only, PEERS), (options.models, models.TITLES)):
        for name in given:
            if name not in known:
                parser.error(f"there is no {name!r}; there are {', '.join(known)}")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
