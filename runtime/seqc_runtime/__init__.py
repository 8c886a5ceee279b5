"""Run ONNX models with onnxruntime: `seqc_runtime.load("model.onnx").predict(x)`.

Importing this package imports NumPy only; onnxruntime is imported when the first model is loaded.
"""

from seqc_runtime.errors import (
    RuntimeArgumentError,
    RuntimeArgumentTypeError,
    RuntimeDependencyError,
    RuntimeDeviceError,
    RuntimeExecutionError,
    RuntimeInputError,
    RuntimeInputTypeError,
    RuntimeModelError,
    RuntimeModelNotFoundError,
    RuntimeStoppedError,
    SeqcRuntimeError,
)
from seqc_runtime.model import Model, load
from seqc_runtime.placement import PlacedNode
from seqc_runtime.runs import RunControl
from seqc_runtime.tensors import TensorInfo

__version__ = "0.2.0"

__all__ = [
    "Model",
    "PlacedNode",
    "RunControl",
    "RuntimeArgumentError",
    "RuntimeArgumentTypeError",
    "RuntimeDependencyError",
    "RuntimeDeviceError",
    "RuntimeExecutionError",
    "RuntimeInputError",
    "RuntimeInputTypeError",
    "RuntimeModelError",
    "RuntimeModelNotFoundError",
    "RuntimeStoppedError",
    "SeqcRuntimeError",
    "TensorInfo",
    "__version__",
    "load",
]
