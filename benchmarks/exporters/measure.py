"""Measures files of the same models in one process: `python -m exporters.measure FOLDER [MODEL ...]`.

Prints JSON: for each model and file its nodes and, for each batch, the microseconds of one run at best; of runs
longer than a millisecond those on the processor, which with one thread is their latency, less what other programs
hold them up. A file that computes something else than seqc's is a failure.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from exporters.models import SPECS, Spec

BATCHES = (1, 32)
# All models are gone through so often, the files of one in turns so often each time, and each for about so long a turn:
# what else a machine does then meets all files alike, and none always.
SWEEPS, ROUNDS, SECONDS = 12, 15, 0.004
# Seconds of a run from which on other programs interrupt most of them, so that only time on the processor compares.
LONG = 0.001
# Files of a model, by the part of the name behind the model's; these take channels first.
KINDS = ("seqc", "by_hand", "keras", "seqc_nchw", "torch")
CHANNELS_FIRST = ("seqc_nchw", "torch")


class Run:
    """A file that is measured on one batch.

    Attributes:
        best: seconds of one run.
    """

    def __init__(self, session: Any, x: np.ndarray) -> None:
        (port,) = session.get_inputs()
        wanted = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float)": np.float32}[port.type]
        self.session, self.feed = session, {port.name: x.astype(wanted)}
        self.best = float("inf")
        began = time.thread_time()
        for _ in range(5):
            self.once()
        each = (time.thread_time() - began) / 5
        self.count, self.clock = max(1, int(SECONDS / each)), time.thread_time if each > LONG else time.perf_counter

    def once(self) -> np.ndarray:
        """Runs once, and returns the result."""
        return np.asarray(self.session.run(None, self.feed)[0])

    def turn(self) -> None:
        """Takes its turn of a round."""
        run, feed, clock = self.session.run, self.feed, self.clock
        for _ in range(self.count):
            began = clock()
            run(None, feed)
            self.best = min(self.best, clock() - began)


def open_session(path: Path) -> Any:
    """Returns a session of onnxruntime with one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Files:
    """The files of one model, each on batches of all sizes.

    Attributes:
        found: nodes of each file, and why one does not run. runs: by the batch, and by the kind of file.
    """

    def __init__(self, folder: Path, name: str, spec: Spec) -> None:
        paths = {kind: folder / f"{name}.{kind}.onnx" for kind in KINDS}
        sessions: dict[str, Any] = {}
        self.found: dict[str, Any] = {}
        for kind, path in paths.items():
            if not path.exists():
                continue
            graph = onnx.load(path, load_external_data=False).graph
            self.found[kind] = {"nodes": sum(node.op_type != "Constant" for node in graph.node)}
            try:
                sessions[kind] = open_session(path)
            except Exception as error:
                self.found[kind]["fault"] = str(error).splitlines()[0]
        self.runs = {
            batch: {kind: Run(session, _samples(spec, batch, kind)) for kind, session in sessions.items()}
            for batch in BATCHES
        }
        for runs in self.runs.values():
            expected = runs["seqc"].once()
            for kind, run in runs.items():
                given, wrong = run.once().reshape(expected.shape), f"{name} of {kind}"
                np.testing.assert_allclose(given, expected, rtol=1e-3, atol=2e-5, err_msg=wrong)

    def sweep(self) -> None:
        """Measures all files once more."""
        for runs in self.runs.values():
            order = list(runs.values())
            for _ in range(ROUNDS):
                for run in order:
                    run.turn()
                order.reverse()  # none always comes behind the same one

    def figures(self) -> dict[str, Any]:
        """Returns what was measured of each file."""
        for batch, runs in self.runs.items():
            for kind, run in runs.items():
                self.found[kind][str(batch)] = run.best * 1e6
        return self.found


def _samples(spec: Spec, batch: int, kind: str) -> np.ndarray:
    x = spec.batch(batch)
    moved = kind in CHANNELS_FIRST and len(spec.shape) > 1 and not spec.is_sequence
    return np.ascontiguousarray(np.moveaxis(x, -1, 1)) if moved else x


def main(folder: str, names: Sequence[str]) -> None:
    """Measures the models named, or all."""
    models = {name: Files(Path(folder), name, SPECS[name]) for name in names or SPECS}
    for _ in range(SWEEPS):
        for files in models.values():
            files.sweep()
    versions = {"onnxruntime": onnxruntime.__version__}
    print(json.dumps({"versions": versions, "models": {name: files.figures() for name, files in models.items()}}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
