"""Sequences as arrays, under the name that Keras has here."""

from seqc.utils.absent import absent
from seqc.utils.sequences import pad_sequences

__all__ = ["pad_sequences"]

__getattr__ = absent(__name__, __all__)
