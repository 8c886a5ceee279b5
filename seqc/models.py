"""Models, under the name of Keras's module."""

from seqc.saving import load_model, save_model
from seqc.sequential import Sequential

__all__ = ["Sequential", "load_model", "save_model"]
