"""The one tree of errors.

Every member is also the built-in type that a Keras user would catch, so `except ValueError` keeps working in ported
scripts. Messages say who needs what, what came, and what to do.
"""

from __future__ import annotations

from typing import Any

from seqc.text import message


class SeqcError(Exception):
    """Root of everything seqc raises on purpose. Messages quote names from files, so they are made safe to show."""

    def __str__(self) -> str:
        return message(super().__str__())


class ShapeError(SeqcError, ValueError):
    """A tensor's shape or rank does not fit the operation or layer that receives it."""


class AxisError(ShapeError, IndexError):
    """A tensor has no such axis."""


class DTypeError(SeqcError, TypeError):
    """A tensor's element type does not fit the operation or layer that receives it."""


class ConfigError(SeqcError, ValueError):
    """An argument has a value that is not allowed."""


class ArgumentTypeError(ConfigError, TypeError):
    """An argument is of a type that is not allowed."""


class LayerError(SeqcError, ValueError):
    """Something that is not a layer, or that gives no single tensor, stands where a layer must."""


class EmptyModelError(SeqcError, IndexError):
    """A layer was taken from a model that has none."""


class NotBuiltError(SeqcError, ValueError):
    """Weights, shapes or a graph were asked for before the input shape was known."""


class NotCompiledError(NotBuiltError, AttributeError):
    """What `compile` sets was asked for before it was called."""


class DataError(SeqcError, ValueError):
    """Data do not fit the model, the loss or each other, or a data file is broken."""


class NonFiniteError(SeqcError, ArithmeticError, RuntimeError):
    """Training or evaluation produced NaN or infinity."""


class NoGradientError(SeqcError, NotImplementedError):
    """An operation has no gradient with respect to an input that needs one."""


class NoLoweringError(SeqcError, NotImplementedError):
    """An operation cannot be expressed in stock ONNX.

    Attributes:
        opset: the first version of ONNX's operators that can, where there is one and the version lacked is all.
    """

    def __init__(self, message: str = "", opset: int | None = None) -> None:
        super().__init__(message)
        self.opset = opset


class ExportError(SeqcError, RuntimeError):
    """A model cannot be exported as asked."""


class VerificationError(ExportError):
    """An exported model computes other numbers than the reference; nothing was written."""


class QuantizationError(VerificationError):
    """No quantized model was as good as asked; nothing was written.

    Args:
        text: what was asked and not reached. result: the figures, a `seqc.export.quantization.report.Quantization`.
    """

    def __init__(self, text: str, result: Any = None) -> None:
        super().__init__(text)
        self.result = result


class SavingError(SeqcError, ValueError):
    """A model file cannot be written or read."""


class MissingDependencyError(SeqcError, ImportError):
    """An optional package is needed and not installed."""


class TraceError(SeqcError, RuntimeError):
    """A value was used outside the computation it belongs to."""


class MissingFolderError(SeqcError, FileNotFoundError):
    """A file is to be written into a folder that does not exist."""


class PathError(SeqcError, OSError):
    """A path cannot be read or written: it leads to no regular file, is read-only, or the system does not allow it."""


def in_layer(error: Exception, scope: str) -> Exception:
    """Returns an error of a layer's operation as one that names the layer: seqc's own first, others in a note.

    Args:
        error: what was raised.
        scope: the path of the layer; "" for none.
    """
    if not scope or scope in str(error):
        return error
    if isinstance(error, SeqcError):
        named = type(error)(f"In layer '{scope}': {error}")
        named.__cause__ = error
        return named
    error.add_note(f"This happened in layer '{scope}'.")
    return error
