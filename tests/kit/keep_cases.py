"""Copies recorded cases into the repository: `python -m kit.keep_cases ID ...` in tests/, of layers with their weights.

They are added to those kept before, or take the place of those of the same names.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

from kit.oracle import KEPT, Case, cases, kept_cases
from seqc import saving

FACTS_OF_LAYERS = ("id", "class", "layers", "input_shape", "input_dtype", "tol", "weights", "vocabulary")


def keep(ids: list[str]) -> None:
    found = {kind: [case for case in cases(kind) if case.id in ids] for kind in ("layers", "losses", "optimizers")}
    if unknown := sorted(set(ids) - {case.id for listed in found.values() for case in listed}):
        sys.exit(f"no case {', '.join(unknown)} is recorded")
    for kind, file in (("layers", "layer_cases"), ("losses", "loss_cases"), ("optimizers", "optimizer_cases")):
        if found[kind]:
            _add(file, found[kind], layers=kind == "layers")


def _add(file: str, new: list[Case], layers: bool) -> None:
    kept = {case.id: (case, dict(case.arrays)) for case in kept_cases(file)}
    kept |= {case.id: (case, _with_weights(case) if layers else dict(case.arrays)) for case in new}
    facts = [_facts(case) if layers else case.facts for case, _ in kept.values()]
    lines = ",\n".join(json.dumps(one, sort_keys=True) for one in facts)
    (KEPT / f"{file}.json").write_text(f"[\n{lines}\n]\n")
    stored = {f"{name}/{key}": array for name, (_, arrays) in kept.items() for key, array in arrays.items()}
    np.savez_compressed(KEPT / f"{file}.npz", **stored)  # type: ignore[arg-type]


def _facts(case: Case) -> dict[str, Any]:
    """Facts of a layer's case; a vocabulary only where the configuration has none."""
    given = any(layer["config"].get("vocabulary") for layer in case.facts["layers"])
    names = [name for name in FACTS_OF_LAYERS if name in case.facts and not (given and name == "vocabulary")]
    return {name: case.facts[name] for name in names}


def _with_weights(case: Case) -> dict[str, np.ndarray]:
    weights = saving.load_model(case.file(".keras")).get_weights()
    return {**case.arrays, **{f"w{i}": w for i, w in enumerate(weights)}}


if __name__ == "__main__":
    keep(sys.argv[1:])
