"""Compares the training speed of seqc with its peers and prints the report.

    python benchmarks/run.py [--rounds 3] [--workloads cnn,lstm] [--frameworks seqc,torch] [--variants] [--write]

SEQC_PEER_TENSORFLOW, SEQC_PEER_JAX and SEQC_PEER_TORCH name Python interpreters that have Keras 3 and one of the three;
`benchmarks/install_peers.sh FOLDER` makes them. Peers that are not there are left out. Every measurement is a fresh
process; for each workload, and in each round, frameworks run in turn. Let nothing else run meanwhile.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from frameworks import FRAMEWORKS, NAIVE, NAIVE_WORKLOADS, ONE_THREAD, PEERS, SEQC, Outcome, train  # noqa: E402
from report import Results, report  # noqa: E402
from workloads import BATCHES, DEPTHS, WORKLOADS  # noqa: E402


def main() -> None:
    """Runs the comparison."""
    options = parse()
    command = " ".join(["benchmarks/run.py", *sys.argv[1:]])
    results = Results(options.rounds, command, options.frameworks)
    present = []
    for name in options.frameworks:
        found = (SEQC if name.startswith("seqc") else FRAMEWORKS[name]).versions()
        if found is not None:
            results.versions[name] = found
            present.append(name)
    for workload in options.workloads:
        measure(results, workload, [*present, *variants(workload, options)], options)
        if SEQC.name in present:
            note(f"{workload}: predict")
            results.predict[workload] = median([SEQC.run("predict", workload) for _ in range(options.rounds)])
    if options.variants:
        for name in (*(f"cnn@{batch}" for batch in BATCHES), *(f"depth@{depth}" for depth in DEPTHS)):
            measure(results, name, [SEQC.name], options)
    text = report(results)
    print(text)
    if options.write:
        write(HERE / "RESULTS.md", text)


def parse() -> Any:
    """Returns the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = ",".join(f.name for f in (*PEERS, SEQC))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workloads", default=",".join(WORKLOADS), help="default: %(default)s")
    parser.add_argument("--frameworks", default=default, help="default: %(default)s")
    parser.add_argument("--variants", action="store_true", help="seqc on one thread and naive, and how it scales")
    parser.add_argument("--steps", type=int, help="steps in an epoch, for a quick trial")
    parser.add_argument("--epochs", type=int, default=4, help="epochs, the first of which does not count")
    parser.add_argument("--write", action="store_true", help="write the report to benchmarks/RESULTS.md")
    options = parser.parse_args()
    options.workloads, options.frameworks = options.workloads.split(","), options.frameworks.split(",")
    for kind, names, known in (
        ("workload", options.workloads, WORKLOADS),
        ("framework", options.frameworks, FRAMEWORKS),
    ):
        if unknown := [name for name in names if name not in known]:
            parser.error(f"there is no {kind} {', '.join(unknown)}; there are {', '.join(known)}")
    if options.rounds < 1 or options.epochs < 2:
        parser.error("--rounds must be at least 1 and --epochs at least 2")
    return options


def variants(workload: str, options: Any) -> list[str]:
    """Returns the other ways of seqc to run a workload, if they were asked for."""
    if not options.variants:
        return []
    wanted = [ONE_THREAD.name, *([NAIVE.name] if workload in NAIVE_WORKLOADS else [])]
    return [name for name in wanted if name not in options.frameworks]


def measure(results: Results, workload: str, names: Sequence[str], options: Any) -> None:
    """Runs the frameworks in turn, round by round, and keeps the median of every figure.

    Each round has an order of its own, the same whenever the command is repeated: whoever follows half a minute of work
    on all cores may be slower for it, and should not do so in every round.
    """
    arguments = ["--epochs", str(options.epochs), *(["--steps", str(options.steps)] if options.steps else [])]
    taken: dict[str, list[Outcome]] = {name: [] for name in names}
    for number in range(options.rounds):
        for name in random.Random(f"{workload} {number}").sample(names, len(names)):
            outcomes = taken[name]
            if any(isinstance(outcome, str) for outcome in outcomes):
                continue  # what failed once is not tried again
            note(f"{workload}, round {number + 1} of {options.rounds}: {name}")
            outcomes.append(train(FRAMEWORKS[name], workload, arguments))
            if isinstance(outcomes[-1], str):
                note(f"  failed: {outcomes[-1]}")
    results.training |= {(name, workload): median(outcomes) for name, outcomes in taken.items()}


def median(outcomes: Sequence[Outcome]) -> Outcome:
    """Returns the median of every figure, or why one of them failed."""
    failures = [outcome for outcome in outcomes if isinstance(outcome, str)]
    if failures:
        return failures[0]
    figures = [outcome for outcome in outcomes if isinstance(outcome, dict)]
    return {name: statistics.median(one[name] for one in figures) for name in figures[0]}


def write(path: Path, text: str) -> None:
    """Replaces the report; what stands from the heading "Notes" on is kept."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    _, heading, notes = old.partition("\n## Notes\n")
    path.write_text(f"{text}\n{heading}{notes}", encoding="utf-8")


def note(text: str) -> None:
    """Says on standard error what is going on."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
