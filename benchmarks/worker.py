"""Times one framework on one workload in this process and prints one JSON object.

    python worker.py FRAMEWORK WORKLOAD [--started SECONDS] [--steps N] [--epochs N]
    python worker.py predict WORKLOAD
    python worker.py versions NAME,NAME

FRAMEWORK is "torch", "torch-compiled" (by `torch.compile`), or what to import as Keras: "keras" (with KERAS_BACKEND
set) or "seqc".
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

ALIVE = time.time()


def main() -> None:
    """Runs what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("framework")
    parser.add_argument("workload")
    parser.add_argument("--started", type=float, default=ALIVE, help="when the process was started")
    parser.add_argument("--steps", type=int, default=0, help="steps in an epoch instead of the workload's")
    parser.add_argument("--epochs", type=int, default=4)
    options = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    if options.framework == "versions":
        result: dict[str, Any] = versions(options.workload.split(","))
    elif options.framework == "predict":
        result = predict(options.workload)
    else:
        run = run_torch if options.framework.startswith("torch") else run_keras
        result = run(options.framework, options.workload, options)
    print(json.dumps(result))


def versions(names: list[str]) -> dict[str, str]:
    """Returns the versions of Python and of those distributions that are installed, and the kernel of NumPy's BLAS."""
    found = {"python": platform.python_version()}
    for name in names:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    if "seqc" in found:
        from seqc.cli._blas import kernel_name

        found["BLAS kernel"] = kernel_name()
    return found


def run_keras(module: str, name: str, options: Any) -> dict[str, float]:
    """Trains with `fit`, as a user would, in Keras or in seqc."""
    start = time.perf_counter()
    keras: Any = import_module(module)
    imported = time.perf_counter() - start
    if os.environ.get("KERAS_BACKEND") == "torch":
        use_all_cores()
    workload = sized(name, options.steps)

    class Clock(keras.callbacks.Callback):
        """Measures epochs."""

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            epochs.append(time.perf_counter() - self.start)

    epochs: list[float] = []
    model = workload.build(keras)
    model.fit(*workload.data(steps=1), batch_size=workload.batch, verbose=0)
    first = time.time() - options.started
    x, y = workload.data()
    model.fit(x, y, batch_size=workload.batch, epochs=options.epochs, verbose=0, callbacks=[Clock()])
    return {"import_s": imported, **figures(epochs, workload.steps, first)}


def run_torch(kind: str, name: str, options: Any) -> dict[str, float]:
    """Trains with a plain loop, as PyTorch's own tutorials do: eager, or with the model compiled."""
    start = time.perf_counter()
    import torch

    import torch_models

    imported = time.perf_counter() - start
    use_all_cores()
    workload = sized(name, options.steps)
    model = torch_models.build(name)
    if workload.is_image:
        model = model.to(memory_format=torch.channels_last)
    if kind == "torch-compiled":
        model = torch.compile(model)
    optimizer, loss = torch.optim.Adam(model.parameters()), torch_models.LOSSES[workload.loss]()

    def epoch(x: Any, y: Any) -> float:
        start = time.perf_counter()
        order = torch.randperm(len(x))
        for i in range(0, len(x), workload.batch):
            rows = order[i : i + workload.batch]
            result = loss(model(x[rows]), y[rows])
            optimizer.zero_grad()
            result.backward()
            optimizer.step()
        return time.perf_counter() - start

    epoch(*torch_models.data(workload, steps=1))
    first = time.time() - options.started
    x, y = torch_models.data(workload)
    return {"import_s": imported, **figures([epoch(x, y) for _ in range(options.epochs)], workload.steps, first)}


def sized(name: str, steps: int) -> Any:
    """Returns the workload, with other steps in an epoch if there are any."""
    from workloads import find_workload

    workload = find_workload(name)
    return replace(workload, steps=steps) if steps else workload


def use_all_cores() -> None:
    """Gives PyTorch every core, which it does not take by itself where cores are halves of others."""
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def figures(epochs: list[float], steps: int, first: float) -> dict[str, float]:
    """Returns what counts: a step from whole epochs but the first, the time to the first step, memory at its peak."""
    return {
        "step_ms": statistics.median(epochs[1:]) / steps * 1e3,
        "first_step_s": first,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def predict(name: str) -> dict[str, float]:
    """Returns milliseconds of `predict` for one batch, in NumPy and in onnxruntime."""
    import seqc
    import seqc_runtime

    workload = sized(name, 0)
    model, (x, _) = workload.build(seqc), workload.data(steps=1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        model.export(path)
        session = seqc_runtime.load(path, device="cpu")
        return {
            "numpy_ms": median_ms(lambda: model.predict_on_batch(x)),
            "onnxruntime_ms": median_ms(lambda: session.predict(x)),
        }


def median_ms(run: Callable[[], Any], repeats: int = 11, seconds: float = 1.0) -> float:
    """Returns the median milliseconds of so many runs and of as many more as the time allows, after one to warm up."""
    times: list[float] = []
    run()
    while len(times) < repeats or sum(times) < seconds:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


if __name__ == "__main__":
    main()
