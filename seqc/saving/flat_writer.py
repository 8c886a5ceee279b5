"""Weights side by side under names, as NumPy's `.npz` and as safetensors, for programs that are not Keras."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from seqc._version import __version__
from seqc.model import Model
from seqc.saving.flat import weight_arrays
from seqc.saving.safetensors_file import pack_safetensors


def write_npz(model: Model, _: bool, file: BinaryIO) -> None:
    """Writes the weights of a model so that `numpy.load(file)` reads them, by the names that `weight_names` gives."""
    np.savez(file, allow_pickle=False, **weight_arrays(model))


def write_safetensors(model: Model, _: bool, file: BinaryIO) -> None:
    """Writes the weights of a model as safetensors, by the names that `weight_names` gives."""
    file.write(pack_safetensors(weight_arrays(model), {"written_by": f"seqc {__version__}", "model": model.name}))
