"""What becomes of a network that is taken over, frozen and let go: the same program for Keras and seqc.

`python tests/kit/transferred.py`, with the interpreter of a Keras 3.15.1, records in tests/cases/transferred.json what
Keras computes in double precision.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from kit.keras_applications import structured_images
from kit.made_applications import rule

RECORDED = Path(__file__).resolve().parents[1] / "cases" / "transferred.json"
# With smaller images, normalization of the few pixels at the end makes much of rounding errors.
SIDE, CLASSES = 64, 4
# What is let go after the first training, and what the network is told when it is called.
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "all but normalization": ("all but normalization", {}),
    "all": ("all", {}),
    # Keras 3.15 forgets this as soon as the model around it trains, see docs/differences.md: it is not recorded.
    "all, called with training=False": ("all", {"training": False}),
}
Found = dict[str, list[float]]


def run(keras: Any, way: str) -> Found:
    """Trains a head on a frozen network, then both; returns losses, statistics and answers after each."""
    let_go, options = WAYS[way]
    keras.utils.clear_session()
    base = keras.applications.MobileNet(
        weights=None, include_top=False, input_shape=(SIDE, SIDE, 3), alpha=0.25, pooling="avg"
    )
    base.set_weights(rule(base, 5))
    base.trainable = False
    image = keras.Input((SIDE, SIDE, 3))
    head = keras.layers.Dense(CLASSES)
    model = keras.Model(image, head(base(image, **options)))
    kernel = np.random.RandomState(0).uniform(-0.5, 0.5, (256, CLASSES))
    head.set_weights([kernel, np.zeros(CLASSES)])
    found: Found = {}
    for when in ("frozen", "let go"):
        if when == "let go":
            base.trainable = True
            for layer in base.layers:
                if let_go != "all" and isinstance(layer, keras.layers.BatchNormalization):
                    layer.trainable = False
        # Two steps, then one: what more of them make of rounding errors is no matter of either library.
        _train(keras, model, *((0.25, 4) if when == "frozen" else (2.0**-10, 8)), found, when)
        found[f"{when}: trained weights"] = [float(len(model.trainable_weights))]
        found[f"{when}: statistics"] = [
            float(np.sum(np.asarray(w, "float64"))) for w in base.weights if "moving" in w.path
        ]
    return found


def _train(keras: Any, model: Any, rate: float, batch: int, found: Found, when: str) -> None:
    x = structured_images(SIDE) / np.float32(127.5) - 1
    y = np.arange(len(x)) % CLASSES
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    eager = {"run_eagerly": True} if keras.__name__ == "keras" else {}
    model.compile(keras.optimizers.SGD(rate), loss, **eager)
    history = model.fit(x, y, batch_size=batch, epochs=1, shuffle=False, verbose=0).history
    found[f"{when}: losses"] = [float(one) for one in history["loss"]]
    found[f"{when}: answers"] = np.asarray(model.predict(x, verbose=0), "float64").ravel().tolist()


def main() -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    os.environ.setdefault("JAX_ENABLE_X64", "1")
    import keras  # type: ignore[import-not-found,import-untyped,unused-ignore]

    found = {}
    for precision in ("float32", "float64"):
        keras.config.set_floatx(precision)
        keras.config.set_dtype_policy(precision)
        found[precision] = {way: run(keras, way) for way, (_, options) in WAYS.items() if not options}
        print(precision, flush=True)
    for way in found["float64"]:
        for part, numbers in found["float64"][way].items():
            off = np.abs(np.subtract(found["float32"][way][part], numbers)).max() / np.abs(numbers).max()
            print(f"{way}: {part}: by rounding {off:.1e}")
    rows = [
        f"  {json.dumps(way)}: {json.dumps({part: [float(f'{n:.9g}') for n in ns] for part, ns in parts.items()})}"
        for way, parts in found["float64"].items()
    ]
    RECORDED.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
