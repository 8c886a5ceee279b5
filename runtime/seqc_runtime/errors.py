"""Every error this package raises on purpose: one tree, whose members are also the built-in type a user would catch."""

from __future__ import annotations


class SeqcRuntimeError(Exception):
    """Base of all errors of seqc_runtime."""


class RuntimeModelError(SeqcRuntimeError, ValueError):
    """The model cannot be loaded: not ONNX, damaged, unsafe, or not supported by the installed onnxruntime."""


class RuntimeModelNotFoundError(RuntimeModelError, FileNotFoundError):
    """There is no model file at the path."""


class RuntimeInputError(SeqcRuntimeError, ValueError):
    """An input has a wrong name, number, shape or value."""


class RuntimeInputTypeError(RuntimeInputError, TypeError):
    """An input's dtype cannot become the declared one without changing its meaning."""


class RuntimeDependencyError(SeqcRuntimeError, ImportError):
    """onnxruntime is missing or broken."""


class RuntimeDeviceError(SeqcRuntimeError, RuntimeError):
    """The device asked for cannot be used."""


class RuntimeExecutionError(SeqcRuntimeError, RuntimeError):
    """onnxruntime failed while running the model, or the model was closed."""
