"""Installs the wheels in a folder into an environment of their own, and uses them away from the checkout.

python tools/try_wheels.py dist
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

PROGRAM = """
import pathlib, sys
import numpy as np
import seqc as keras
import seqc_runtime
from seqc import layers

home = pathlib.Path(sys.prefix).resolve()
assert home in pathlib.Path(keras.__file__).resolve().parents, keras.__file__
assert home in pathlib.Path(seqc_runtime.__file__).resolve().parents, seqc_runtime.__file__
keras.utils.set_random_seed(1)
(x, y), (x_test, y_test) = keras.datasets.digits.load_data()
x, x_test = (a.reshape(-1, 64).astype("float32") / 16 for a in (x, x_test))
model = keras.Sequential([keras.Input((64,)), layers.Dense(32, activation="relu"), layers.Dense(10)])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile("adam", loss, metrics=["accuracy"])
model.fit(x, y, epochs=10, verbose=0)
model.save("digits.keras")
print(model.export("digits.onnx"))
assert model.evaluate(x_test, y_test, verbose=0)[1] > 0.85
expected = keras.saving.load_model("digits.keras").predict(x_test, verbose=0)
np.testing.assert_allclose(seqc_runtime.load("digits.onnx").predict(x_test), expected, 1e-4, 1e-4)
"""


def main(folder: str) -> int:
    wheels = sorted(Path(folder).resolve().glob("*.whl"))
    if len(wheels) != 2:
        print(f"{folder} should hold the wheels of seqc and of seqc-runtime; it holds {[w.name for w in wheels]}.")
        return 1
    with tempfile.TemporaryDirectory() as away:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        venv.create(Path(away, "env"), with_pip=True)
        scripts = Path(away, "env", "Scripts" if os.name == "nt" else "bin")

        def run(program: str, *arguments: str) -> None:
            subprocess.run([scripts / program, *arguments], cwd=away, env=environment, check=True)

        run("python", "-m", "pip", "install", "--quiet", *(f"{wheel}[cpu]" for wheel in wheels))
        run("python", "-c", PROGRAM)
        run("seqc", "doctor")
        run("seqc", "verify", "digits.onnx", "--against", "digits.keras")
    print("Both wheels work.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
