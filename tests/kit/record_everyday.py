"""Records what everyday programs log and learn in real Keras: `python -m kit.record_everyday` in tests/.

Run it with a Python that has Keras 3 and JAX or, with KERAS_BACKEND=tensorflow, TensorFlow; nothing of seqc is needed.
It writes a part of `tests/cases/everyday.json`. Each is recorded where Keras does what it says: on TensorFlow,
whose batches have no size in advance, the losses of outputs are logged as means over batches of any size; on JAX, masks
do not reach losses and metrics, penalties on what a shared layer gives count for one of its calls, and states are
forgotten after a batch.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras

from kit.everyday_programs import (
    PROGRAMS,
    mixed_regularizers,
    run,
    sequences_with_masks,
    states_and_gradients_that_add_up,
    states_that_go_on,
)

ON_TENSORFLOW = (mixed_regularizers, sequences_with_masks, states_that_go_on, states_and_gradients_that_add_up)

CASES = Path(__file__).resolve().parents[1] / "cases"


def main() -> None:
    """Writes the cases."""
    on_tensorflow = keras.backend.backend() == "tensorflow"
    path = CASES / "everyday.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    for program in PROGRAMS:
        if (program in ON_TENSORFLOW) == on_tensorflow:
            found[program.__name__] = run(keras, program)
    lines = [f'  "{name}": {json.dumps(case)}' for name, case in found.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
