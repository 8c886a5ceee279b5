"""Times one framework on one workload in a fresh process and prints one JSON object.

python worker.py seqc|keras WORKLOAD
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()


def main(framework: str, name: str) -> None:
    """Trains three epochs, the first to warm up, and measures inference."""
    if framework == "seqc":
        import seqc as keras
    else:
        import keras  # type: ignore[no-redef]
    imported = time.perf_counter() - STARTED
    from workloads import WORKLOADS

    workload = WORKLOADS[name]
    model = workload.build(keras)
    x, y = workload.data()
    model.fit(x[: workload.batch], y[: workload.batch], batch_size=workload.batch, verbose=0)
    first_step = time.perf_counter() - STARTED
    epochs = []
    for _ in range(3):
        start = time.perf_counter()
        model.fit(x, y, batch_size=workload.batch, epochs=1, verbose=0)
        epochs.append(time.perf_counter() - start)
    result: dict[str, Any] = {
        "import_s": imported,
        "first_step_s": first_step,
        "step_ms": min(epochs[1:]) / workload.steps * 1e3,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    if framework == "seqc":
        result |= inference(model, x, workload.batch)
    print(json.dumps(result))


def inference(model: Any, x: Any, batch: int) -> dict[str, float]:
    """Returns milliseconds per batch of `predict` in NumPy and in onnxruntime."""
    import seqc_runtime

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        model.export(path)
        session = seqc_runtime.load(path, device="cpu")
        runs = {
            "numpy_ms": lambda: model.predict_on_batch(x[:batch]),
            "onnxruntime_ms": lambda: session.predict(x[:batch]),
        }
        return {name: best(run) for name, run in runs.items()}


def best(run: Any, repeats: int = 7) -> float:
    """Returns the milliseconds of the fastest of several runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


if __name__ == "__main__":
    os.environ.setdefault("KERAS_BACKEND", "jax")
    main(*sys.argv[1:3])
