"""How much memory an export takes on top of the model, each in a fresh process: `python benchmarks/export_memory.py`.

With --write, the table replaces the one in EXPORT.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MARK = "<!-- what export_memory.py writes -->"
MODELS = {
    "three Dense of 8192": "[K.Input((8192,)), L.Dense(8192), L.Dense(8192), L.Dense(8192)]",
    "Conv2D 2048 to 8192, Dense": "[K.Input((4, 4, 2048)), L.Conv2D(8192, 3), L.GlobalMaxPooling2D(), L.Dense(6144)]",
    "LSTM of 6800": "[K.Input((4, 512)), L.LSTM(6800)]",
    "Embedding of 1.6 million": "[K.Input((4,), dtype='int32'), L.Embedding(1_600_000, 128), L.Flatten(), L.Dense(2)]",
    "nine Dense of 8192, 2.25 GiB": "[K.Input((8192,)), *[L.Dense(8192) for _ in range(9)]]",
}
SMALL = tuple(MODELS)[:4]


def _adding_zeros(plain: Callable[..., Any]) -> Callable[..., Any]:
    """`add_weight` without the time and memory of an initializer."""
    return lambda self, shape, initializer=None, **options: plain(self, shape, "zeros", **options)


def measure(stack: str, path: str, verify: bool, external: bool) -> dict[str, float]:
    """Exports a model in this process; returns sizes in bytes and the time in seconds.

    The weights are written in place, so that nothing larger than the model was ever held before the export.
    """
    import numpy as np

    import seqc as K
    from seqc import layers as L

    for kind in (L.Dense, L.Conv2D, L.LSTM, L.Embedding):
        kind.add_weight = _adding_zeros(kind.add_weight)  # type: ignore[method-assign]
    L.LSTM.cell_class.add_weight = _adding_zeros(L.Layer.add_weight)  # type: ignore[method-assign]
    K.Sequential([K.Input((4,)), L.Dense(3)]).export(path)  # what is loaded once is no part of it
    model = K.Sequential(eval(stack, {"K": K, "L": L}))
    rng = np.random.default_rng(0)
    for variable in model.weights:
        flat = variable.array.reshape(-1)
        for start in range(0, flat.size, 1 << 20):
            part = flat[start : start + (1 << 20)]
            part[...] = (rng.random(part.shape, dtype="float32") - 0.5) * 0.04
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    receipt = model.export(path, verify=verify, external_data=external or None)
    size = receipt.file_bytes + getattr(receipt, "data_bytes", 0)
    return {"bytes": size, "factor": (memory("VmHWM") - before) / size, "seconds": receipt.seconds}


def memory(kind: str) -> int:
    """Returns bytes of this process as Linux counts them: VmRSS now, VmHWM at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(kind))


def table(names: list[str]) -> list[str]:
    rows = ["| model | MiB | written | verified | verified, weights beside it |", "|---|---:|---:|---:|---:|"]
    for name in names:
        found = []
        for verify, external in ((False, False), (True, False), (True, True)):
            with tempfile.TemporaryDirectory() as folder:
                asked = [sys.executable, __file__, "--one", MODELS[name], folder, str(int(verify)), str(int(external))]
                done = subprocess.run(asked, capture_output=True, text=True, check=True)
            found.append(json.loads(done.stdout.splitlines()[-1]))
            print(name, verify, external, found[-1], file=sys.stderr)
        cells = " | ".join(f"{one['factor']:.2f}, {one['seconds']:.0f} s" for one in found)
        rows.append(f"| {name} | {found[0]['bytes'] / 2**20:,.0f} | {cells} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace the table in EXPORT.md")
    parser.add_argument("--models", nargs="*", default=list(SMALL), choices=MODELS)
    parser.add_argument("--one", nargs=4, metavar="X", help="STACK FOLDER VERIFY BESIDE: one export in this process")
    options = parser.parse_args()
    if options.one:
        stack, folder, verify, external = options.one
        print(json.dumps(measure(stack, str(Path(folder) / "m.onnx"), verify == "1", external == "1")))
        return
    rows = "\n".join([f"Python {platform.python_version()}, {platform.machine()}.", "", *table(options.models)])
    print(rows)
    if options.write:
        page = HERE / "EXPORT.md"
        page.write_text(f"{page.read_text().split(MARK)[0]}{MARK}\n{rows}\n")


if __name__ == "__main__":
    main()
