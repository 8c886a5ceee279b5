"""Exports the models with another exporter: `python -m exporters.peers keras|torch FOLDER`, in its own environment.

FOLDER has the weights, NAME.npz; the files go beside them, NAME.keras.onnx and NAME.torch.onnx. What cannot be exported
is said on standard error, and the others go on.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from pathlib import Path

import numpy as np

from exporters.models import SPECS, Spec


def weights(folder: Path, name: str) -> list[np.ndarray]:
    """Returns the weights of a model."""
    with np.load(folder / f"{name}.npz") as found:
        return [found[key] for key in found.files]


def export_with_keras(folder: Path, name: str, spec: Spec) -> None:
    """Writes a file with Keras's own `export`."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras

    model = spec.model(keras)
    model.set_weights(weights(folder, name))
    model(spec.batch(1))  # what was never called is not exported
    model.export(str(folder / f"{name}.keras.onnx"), format="onnx", verbose=False)


def export_with_torch(folder: Path, name: str, spec: Spec) -> None:
    """Writes a file with PyTorch's exporter, of the model as one would write it in PyTorch."""
    import torch

    from exporters import torch_models

    if name not in torch_models.MODELS:
        return
    model = torch_models.build(name, weights(folder, name))
    x = torch_models.channels_first(name, spec.batch(3))
    batch = ({0: torch.export.Dim("batch")},)
    inputs = (torch.from_numpy(x.astype(np.int64) if spec.words else x),)
    file = folder / f"{name}.torch.onnx"
    torch.onnx.export(model, inputs, str(file), dynamo=True, dynamic_shapes=batch, external_data=False, verbose=False)


EXPORTERS = {"keras": export_with_keras, "torch": export_with_torch}


def main(exporter: str, folder: str) -> int:
    """Exports all models; returns 1 if one could not be."""
    warnings.simplefilter("ignore")
    failed = 0
    for name, spec in SPECS.items():
        try:
            EXPORTERS[exporter](Path(folder), name, spec)
        except Exception:
            failed = 1
            print(f"{name} cannot be exported:", traceback.format_exc(limit=-3), file=sys.stderr)
    return failed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
