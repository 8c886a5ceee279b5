"""seqc: define a Sequential model as in Keras, train it with NumPy, hand over a verified ONNX file.

`import seqc as keras` runs an ordinary Sequential script.
"""

from typing import Any

from seqc import (
    activations,
    callbacks,
    constraints,
    datasets,
    errors,
    initializers,
    layers,
    losses,
    metrics,
    models,
    ops,
    optimizers,
    random,
    regularizers,
    saving,
    utils,
)
from seqc._version import __version__
from seqc.layers import Input, InputSpec, Layer
from seqc.sequential import Sequential
from seqc.tracing import Variable

__all__ = [
    "Input",
    "InputSpec",
    "Layer",
    "Sequential",
    "Variable",
    "__version__",
    "activations",
    "callbacks",
    "constraints",
    "datasets",
    "errors",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "random",
    "regularizers",
    "saving",
    "utils",
]


def __getattr__(name: str) -> Any:
    if name in ("Model", "Functional"):
        return models.Model  # raises with the reason
    raise AttributeError(f"module 'seqc' has no attribute '{name}'")
