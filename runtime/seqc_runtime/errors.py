"""Every error this package raises on purpose: one tree, whose members are also the built-in type a user would catch."""

from __future__ import annotations

import re

# What a terminal acts on instead of showing it, and halves of characters, which cannot be written.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """A text as it can be shown: names in a file may hold escape sequences."""
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


class SeqcRuntimeError(Exception):
    """Base of all errors of seqc_runtime. Messages quote names from files, so they are made safe to show."""

    def __str__(self) -> str:
        return printable(super().__str__())


class RuntimeArgumentError(SeqcRuntimeError, ValueError):
    """An argument of load() has a value that is not allowed."""


class RuntimeArgumentTypeError(RuntimeArgumentError, TypeError):
    """An argument of load() is of a kind that cannot be one."""


class RuntimeModelError(SeqcRuntimeError, ValueError):
    """The model cannot be loaded: not ONNX, damaged, unsafe, or not supported by the installed onnxruntime."""


class RuntimeModelNotFoundError(RuntimeModelError, FileNotFoundError):
    """There is no model file at the path."""


class RuntimeInputError(SeqcRuntimeError, ValueError):
    """An input has a wrong name, number, shape or value."""


class RuntimeInputTypeError(RuntimeInputError, TypeError):
    """An input's dtype cannot become the declared one without changing its meaning."""


class RuntimeDependencyError(SeqcRuntimeError, ImportError):
    """A package that is needed is missing or broken: onnxruntime, or what an extra brings."""


class RuntimeDeviceError(SeqcRuntimeError, RuntimeError):
    """The device asked for cannot be used."""


class RuntimeExecutionError(SeqcRuntimeError, RuntimeError):
    """onnxruntime failed while running the model, or the model was closed."""


class RuntimeStoppedError(RuntimeExecutionError):
    """A run was ended through its RunControl before it was done."""
