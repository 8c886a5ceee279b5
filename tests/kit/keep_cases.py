"""Copies recorded layer cases, with their weights, into the repository: `python -m kit.keep_cases ID ...` in tests/.

They are added to those kept before, or take the place of those of the same names.
"""

from __future__ import annotations

import json
import sys

import numpy as np

from kit.oracle import KEPT, Case, cases, kept_cases
from seqc import saving

FACTS = ("id", "class", "layers", "input_shape", "input_dtype", "tol", "weights")


def keep(ids: list[str]) -> None:
    kept = {case.id: (case, dict(case.arrays)) for case in kept_cases("layer_cases")}
    kept |= {case.id: (case, _with_weights(case)) for case in cases("layers") if case.id in ids}
    if unknown := sorted(set(ids) - set(kept)):
        sys.exit(f"no case {', '.join(unknown)} is recorded")
    facts = [{key: case.facts[key] for key in FACTS} for case, _ in kept.values()]
    lines = ",\n".join(json.dumps(one, sort_keys=True) for one in facts)
    (KEPT / "layer_cases.json").write_text(f"[\n{lines}\n]\n")
    stored = {f"{name}/{key}": array for name, (_, arrays) in kept.items() for key, array in arrays.items()}
    np.savez_compressed(KEPT / "layer_cases.npz", **stored)


def _with_weights(case: Case) -> dict[str, np.ndarray]:
    weights = saving.load_model(case.file(".keras")).get_weights()
    return {**case.arrays, **{f"w{i}": w for i, w in enumerate(weights)}}


if __name__ == "__main__":
    keep(sys.argv[1:])
