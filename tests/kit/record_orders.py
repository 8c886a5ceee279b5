"""Records in which order real Keras lists layers and weights: `python -m kit.record_orders` in tests/.

Run it with a Python that has Keras 3; nothing of seqc is needed. It writes `tests/cases/layer_orders.json`, one
model whose file names layers by that order, `tests/cases/layer_orders.keras`, and the orders of graphs with masks,
`tests/cases/masked_orders.json`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from kit.layer_orders import BUILDERS, SEEDS, facts, made, nested, order_at_random

CASES = Path(__file__).resolve().parents[1] / "cases"


def main() -> None:
    """Writes the cases."""
    found = {builder.__name__: facts(*made(keras, builder)) for builder in BUILDERS}
    lines = [f'  "{name}": {json.dumps(case)}' for name, case in found.items()]
    (CASES / "layer_orders.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    made(keras, nested)[0].save(CASES / "layer_orders.keras")
    orders = [order_at_random(keras, seed) for seed in range(SEEDS)]
    (CASES / "masked_orders.json").write_text(json.dumps(orders, indent=0) + "\n")


if __name__ == "__main__":
    main()
