"""Records what programs with steps of their own log and learn in real Keras: `python -m kit.record_steps` in tests/.

Run it with a Python that has Keras 3 and TensorFlow; nothing of seqc is needed. It writes `tests/cases/own_steps.json`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

from kit.step_programs import PROGRAMS, run

CASES = Path(__file__).resolve().parents[1] / "cases"


def main() -> None:
    """Writes the cases."""
    found = {program.__name__: run(keras, tf.GradientTape, program) for program in PROGRAMS}
    lines = [f'  "{name}": {json.dumps(case)}' for name, case in found.items()]
    (CASES / "own_steps.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
