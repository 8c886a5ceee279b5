"""Copies recorded layer cases, with their weights, into the repository: python -m kit.keep_cases ID ...

Run from the repository root; the cases named take the place of those kept before.
"""

from __future__ import annotations

import json
import sys

import numpy as np

from kit.oracle import KEPT, cases
from seqc import saving

FACTS = ("id", "class", "layers", "input_shape", "input_dtype", "tol", "weights")


def keep(ids: list[str]) -> None:
    chosen = {case.id: case for case in cases("layers") if case.id in ids}
    arrays: dict[str, np.ndarray] = {}
    for name in ids:
        case = chosen[name]
        weights = saving.load_model(case.file(".keras")).get_weights()
        for key, array in {**case.arrays, **{f"w{i}": w for i, w in enumerate(weights)}}.items():
            arrays[f"{name}/{key}"] = array
    facts = [json.dumps({key: chosen[name].facts[key] for key in FACTS}, sort_keys=True) for name in ids]
    (KEPT / "layer_cases.json").write_text("[\n" + ",\n".join(facts) + "\n]\n")
    np.savez_compressed(KEPT / "layer_cases.npz", **arrays)


if __name__ == "__main__":
    keep(sys.argv[1:])
