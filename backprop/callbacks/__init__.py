"""Callbacks: what may look at a training run, and change its course, between its steps."""

from backprop.callbacks.callback import Callback, CallbackList
from backprop.callbacks.checkpoint import BackupAndRestore, ModelCheckpoint
from backprop.callbacks.early_stopping import EarlyStopping
from backprop.callbacks.ema import SwapEMAWeights
from backprop.callbacks.history import History
from backprop.callbacks.logging import CSVLogger, LambdaCallback, TerminateOnNaN
from backprop.callbacks.monitor import MonitorCallback
from backprop.callbacks.progbar import Progbar, ProgbarLogger
from backprop.callbacks.schedules import LearningRateScheduler, ReduceLROnPlateau

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
    "MonitorCallback",
    "Progbar",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "SwapEMAWeights",
    "TerminateOnNaN",
]

NOT_OFFERED = {
    "TensorBoard": "CSVLogger writes the same numbers into a file, History keeps them",
    "RemoteMonitor": "send the logs from a LambdaCallback(on_epoch_end=...)",
    "OrbaxCheckpoint": "ModelCheckpoint saves models, BackupAndRestore resumes runs",
}


def __getattr__(name: str):
    if name in NOT_OFFERED:
        raise AttributeError(
            f"backprop.callbacks does not offer Keras' {name}: {NOT_OFFERED[name]}"
        )
    raise AttributeError(f"module 'backprop.callbacks' has no attribute {name!r}")
