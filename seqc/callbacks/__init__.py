"""Callbacks: what happens at the borders of batches and epochs, under Keras's names."""

from seqc.callbacks.backup import BackupAndRestore
from seqc.callbacks.base import Callback, CallbackList, History, LambdaCallback
from seqc.callbacks.board import TensorBoard
from seqc.callbacks.files import CSVLogger, ModelCheckpoint
from seqc.callbacks.monitor import EarlyStopping, ReduceLROnPlateau
from seqc.callbacks.rates import LearningRateScheduler, SwapEMAWeights, TerminateOnNaN
from seqc.callbacks.reports import ProgbarLogger, RemoteMonitor
from seqc.utils.absent import absent

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]


__getattr__ = absent(
    __name__,
    __all__,
    "A subclass of Callback can do what none of them does.",
)
