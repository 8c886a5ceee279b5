"""Callbacks: what happens at the borders of batches and epochs, under Keras's names."""

from seqc.callbacks.base import Callback, CallbackList, History, LambdaCallback
from seqc.callbacks.files import CSVLogger, ModelCheckpoint
from seqc.callbacks.rates import LearningRateScheduler, ReduceLROnPlateau
from seqc.callbacks.stopping import EarlyStopping, TerminateOnNaN

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]
