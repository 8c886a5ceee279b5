"""Checks that frameworks train the same model: from the same weights they have the same losses, step by step.

    python benchmarks/same_models.py [WORKLOAD ...]

Peers are those of benchmarks/run.py. A row has the loss of a batch before training and, where nothing is drawn at
random, those of four steps of training on it. Exits with 1 where one is off by more than a thousandth.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from frameworks import PEERS, SEQC, Framework
from workloads import find_workload

CHECKED = ("residual", "transformer", "embedding", "mlp", "mlp_1", "mlp_1024")
STEPS = 4
TOLERANCE = 1e-3


def main() -> None:
    """Compares workloads, or is one of the processes that are compared."""
    if sys.argv[1:2] == ["--one"]:
        module, name, given = sys.argv[2:]
        found = torch_losses(name, Path(given)) if module == "torch" else keras_losses(module, name, Path(given))
        print(json.dumps(found))
        return
    off = False
    for name in sys.argv[1:] or CHECKED:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "weights.npz"
            ours = losses(SEQC, name, path)
            print(f"{name}: seqc {shown(ours)}", flush=True)
            for peer in PEERS:
                if peer.interpreter is None or peer.module not in ("keras", "torch"):
                    continue
                theirs = losses(peer, name, path)
                agrees = len(ours) == len(theirs) and np.allclose(ours, theirs, rtol=TOLERANCE, atol=0)
                off |= not agrees
                print(f"  {peer.title} {shown(theirs)}{'' if agrees else '  IS OFF'}", flush=True)
    sys.exit(int(off))


def shown(found: list[float]) -> str:
    """Returns losses as text."""
    return " ".join(f"{loss:.6f}" for loss in found)


def losses(framework: Framework, name: str, path: Path) -> list[float]:
    """Returns the losses of a framework, in a process of its own."""
    command = [framework.interpreter or "", __file__, "--one", framework.module, name, str(path)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=framework.environment_of_run(), cwd=Path(__file__).parent
    )
    if done.returncode:
        raise SystemExit(f"{framework.title} on {name}: {done.stderr}")
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def is_random(model: Any) -> bool:
    """Tells whether training draws random numbers."""
    return any(type(layer).__name__ == "Dropout" for layer in model.layers)


def keras_losses(module: str, name: str, path: Path) -> list[float]:
    """Returns the losses of Keras or of seqc, which writes the weights that all others start from."""
    keras = __import__(module)
    workload = find_workload(name)
    keras.utils.set_random_seed(1)
    model = workload.build(keras)
    if module == "seqc":
        np.savez(path, *model.get_weights(), **{f"layer {key}": value for key, value in by_layer(model).items()})
    else:
        with np.load(path) as file:
            model.set_weights([file[f"arr_{i}"] for i in range(len(model.weights))])
    x, y = workload.data(steps=1)
    found = [float(np.ravel(model.test_on_batch(x, y))[0])]
    if not is_random(model):
        found += [float(np.ravel(model.train_on_batch(x, y))[0]) for _ in range(STEPS)]
    return found


def by_layer(model: Any) -> dict[str, Any]:
    """Returns the weights that train by class, number of the layer as it was made, and number of the weight."""

    def number(layer: Any) -> int:
        found = re.search(r"_(\d+)$", layer.name)
        return int(found.group(1)) if found else 0

    counts: dict[str, int] = {}
    found: dict[str, Any] = {}
    for layer in sorted(model.layers, key=number):
        kind = type(layer).__name__
        counts[kind] = counts.get(kind, -1) + 1
        found |= {f"{kind} {counts[kind]} {i}": w.numpy() for i, w in enumerate(layer.trainable_weights)}
    return found


def torch_losses(name: str, path: Path) -> list[float]:
    """Returns the losses of PyTorch."""
    import torch

    import torch_models

    workload = find_workload(name)
    model = torch_models.build(name)
    with np.load(path) as file:
        weights = {key.removeprefix("layer "): file[key] for key in file.files if key.startswith("layer ")}
    with torch.no_grad():
        torch_models.take_weights(model, weights)
    if workload.is_image:
        model = model.to(memory_format=torch.channels_last)
    optimizer, loss = torch.optim.Adam(model.parameters()), torch_models.LOSSES[workload.loss]()
    x, y = torch_models.data(workload, steps=1)
    model.eval()
    with torch.no_grad():
        found = [float(loss(model(x), y))]
    model.train()
    drawn = any(isinstance(part, torch.nn.Dropout) for part in model.modules())
    for step in range(0 if drawn else STEPS):
        # Keras adds it before the second moment is corrected, which counts where gradients are small.
        optimizer.param_groups[0]["eps"] = 1e-7 / (1 - 0.999 ** (step + 1)) ** 0.5
        result = loss(model(x), y)
        optimizer.zero_grad()
        result.backward()
        optimizer.step()
        found.append(float(result))
    return found


if __name__ == "__main__":
    main()
