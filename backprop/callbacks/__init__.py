"""Callbacks: what may look at a training run, and change its course, between its steps."""

from backprop.absent import face
from backprop.callbacks.activation_statistics import ActivationStatistics
from backprop.callbacks.backup import BackupAndRestore
from backprop.callbacks.callback import Callback
from backprop.callbacks.callback_list import CallbackList
from backprop.callbacks.checkpoint import ModelCheckpoint
from backprop.callbacks.early_stopping import EarlyStopping
from backprop.callbacks.ema import SwapEMAWeights
from backprop.callbacks.gradient_flow import GradientFlow
from backprop.callbacks.history import History
from backprop.callbacks.html_report import HTMLReport
from backprop.callbacks.learning_rate_finder import LearningRateFinder
from backprop.callbacks.logging import CSVLogger, LambdaCallback, TerminateOnNaN
from backprop.callbacks.monitor import MonitorCallback
from backprop.callbacks.progbar import Progbar, ProgbarLogger
from backprop.callbacks.schedules import LearningRateScheduler, ReduceLROnPlateau
from backprop.callbacks.tensorboard import TensorBoard

__all__ = [
    "ActivationStatistics",
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "GradientFlow",
    "HTMLReport",
    "History",
    "LambdaCallback",
    "LearningRateFinder",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "MonitorCallback",
    "Progbar",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]

__getattr__, __dir__ = face(__name__, __all__)
