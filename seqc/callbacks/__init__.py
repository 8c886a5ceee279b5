"""Callbacks: what happens at the borders of batches and epochs, under Keras's names."""

from typing import TYPE_CHECKING

from seqc.callbacks.base import Callback, CallbackList, History, LambdaCallback
from seqc.utils.absent import absent, late, places_in

if TYPE_CHECKING:
    from seqc.callbacks.backup import BackupAndRestore
    from seqc.callbacks.board import TensorBoard
    from seqc.callbacks.files import CSVLogger, ModelCheckpoint
    from seqc.callbacks.monitor import EarlyStopping, ReduceLROnPlateau
    from seqc.callbacks.rates import LearningRateScheduler, SwapEMAWeights, TerminateOnNaN
    from seqc.callbacks.reports import ProgbarLogger, RemoteMonitor

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


# What a program has no use for is not loaded.
_LATE = {
    "backup": "BackupAndRestore",
    "board": "TensorBoard",
    "files": "CSVLogger ModelCheckpoint",
    "monitor": "EarlyStopping ReduceLROnPlateau",
    "rates": "LearningRateScheduler SwapEMAWeights TerminateOnNaN",
    "reports": "ProgbarLogger RemoteMonitor",
}
__getattr__ = late(
    __name__,
    places_in(__name__, _LATE),
    absent(__name__, __all__, "A subclass of Callback can do what none of them does."),
)
