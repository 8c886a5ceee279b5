"""Records weights that Keras 3 puts into several files, in an environment that has Keras:

    python tests/kit/record_sharded.py tests/cases/sharded.zip

The archive holds the model as `.keras`, a `.weights.json` with the files it names, and what is predicted.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from pathlib import Path

import keras
import numpy as np

# Bytes; the largest variable of the model has 128.
SHARD = 200


def main(target: str) -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(6, 4)).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, "tanh", name="first"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3, name="last"),
        ]
    )
    model.compile("adam", "mse")
    model.fit(x, rng.normal(size=(6, 3)), epochs=2, verbose=0)
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        model.save(Path(folder) / "model.keras")
        model.save_weights(Path(folder) / "model.weights.json", max_shard_size=SHARD / 2**30)
        np.savez(Path(folder) / "model.npz", x=x, y=model.predict(x, verbose=0))
        for path in sorted(Path(folder).iterdir()):
            archive.write(path, path.name)


if __name__ == "__main__":
    main(sys.argv[1])
