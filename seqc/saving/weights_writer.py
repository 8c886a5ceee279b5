"""`.weights.h5` files: the weights of a model and the state of its optimizer, without its layers."""

from __future__ import annotations

from typing import BinaryIO

from seqc.model import Model
from seqc.saving.h5 import pack_store
from seqc.saving.state import model_arrays


def write_weights(model: Model, with_optimizer: bool, file: BinaryIO) -> None:
    """Writes the weights of a model, and perhaps the state of its optimizer, as Keras 3 does."""
    file.write(pack_store(model_arrays(model, with_optimizer)))
