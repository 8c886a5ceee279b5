"""Weights side by side under names, as NumPy's `.npz` and as safetensors, for programs that are not Keras."""

from __future__ import annotations

import zipfile
from typing import BinaryIO

import numpy as np

from seqc._version import __version__
from seqc.model import Model
from seqc.saving.flat import weight_arrays
from seqc.saving.names import member_name
from seqc.saving.safetensors_file import pack_safetensors


def write_npz(model: Model, _: bool, file: BinaryIO) -> None:
    """Writes the weights of a model so that `numpy.load(file)` reads them, by the names that `weight_names` gives."""
    with zipfile.ZipFile(file, "w") as archive:  # numpy.savez takes the names as arguments, beside its own `file`
        for name, array in weight_arrays(model).items():
            with archive.open(f"{member_name(name)}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def write_safetensors(model: Model, _: bool, file: BinaryIO) -> None:
    """Writes the weights of a model as safetensors, by the names that `weight_names` gives."""
    file.write(pack_safetensors(weight_arrays(model), {"written_by": f"seqc {__version__}", "model": model.name}))
