"""How long the nodes of a file take in onnxruntime, by its own profile."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seqc.cli._self_check import check_shapes, draw_inputs, open_lengths, vocabularies
from seqc.errors import DataError, ExportError

# Runs whose times count, after some that warm up.
RUNS, WARM_UP = 50, 5
# What comes after a name in those of onnxruntime's own nodes and of its measurements.
# and before it, since onnxruntime 1.32.
_FUSED = "fused "
_ADDED = ("_kernel_time", "_nchwc")


def node_seconds(path: Path, sizes: Mapping[str, int], batch: int) -> tuple[dict[str, float], float]:
    """Returns the median seconds of each node that onnxruntime runs, and those of a whole run.

    It joins nodes: such a one has the name of one of them, or of the tensor that it makes. Conversions between layouts
    have names of their own.

    Args:
        path: the .onnx file. sizes: of open axes by name. batch: the size of the first axis, where it is open.

    Raises:
        DataError: it cannot be run. MissingDependencyError: onnxruntime or seqc-runtime is not installed.
    """
    from seqc.cli._runtime import load_runtime

    runtime = load_runtime("seqc inspect --time")
    from seqc.backends.onnxruntime import profile

    try:
        model = runtime.load(path, device="cpu")
        check_shapes(path)
        tokens = vocabularies(path)
        lengths = open_lengths(model, sizes, tokens)
        feeds = draw_inputs(model.inputs, batch, lengths, seed=0, tokens=tokens)
        return _medians(profile(path, feeds, WARM_UP + RUNS))
    except (runtime.SeqcRuntimeError, ExportError) as error:
        raise DataError(f"{path} cannot be run, so that there is no time to show: {error}") from error


def _medians(events: Any) -> tuple[dict[str, float], float]:
    spent: dict[str, list[float]] = {}
    whole: list[float] = []
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            name = str(event["name"]).removeprefix(_FUSED)
            for added in _ADDED:
                name = name.removesuffix(added)
            spent.setdefault(name, []).append(event["dur"] * 1e-6)
        elif event.get("name") == "model_run":
            whole.append(event["dur"] * 1e-6)
    return {name: _median(times) for name, times in spent.items()}, _median(whole)


def _median(times: list[float]) -> float:
    """Returns the median of the last runs; a node inside a loop runs several times in each."""
    per_run = max(1, len(times) // (WARM_UP + RUNS))
    runs = np.add.reduceat(np.asarray(times), np.arange(0, len(times), per_run))
    return float(np.median(runs[WARM_UP:])) if len(runs) > WARM_UP else float(np.median(runs))
