"""seqc: define a Sequential model as in Keras, train it with NumPy, hand over a verified ONNX file.

`import seqc as keras` runs an ordinary Sequential script.
"""

from importlib import import_module
from typing import Any

from seqc import (
    activations,
    callbacks,
    config,
    constraints,
    datasets,
    dtype_policies,
    errors,
    initializers,
    layers,
    losses,
    metrics,
    mixed_precision,
    models,
    ops,
    optimizers,
    random,
    regularizers,
    saving,
    tree,
    utils,
)
from seqc._version import __version__
from seqc.dtype_policies import DTypePolicy, FloatDTypePolicy
from seqc.functional import Functional
from seqc.graph.tracing import Variable
from seqc.initializers import Initializer
from seqc.layers import Input, InputSpec, Layer
from seqc.losses import Loss
from seqc.metrics import Metric
from seqc.model import Model
from seqc.optimizers import Optimizer
from seqc.regularizers import Regularizer
from seqc.sequential import Sequential
from seqc.training.tape import GradientTape
from seqc.utils.absent import absent, late
from seqc.utils.symbols import KerasTensor

__all__ = [
    "DTypePolicy",
    "FloatDTypePolicy",
    "Functional",
    "GradientTape",
    "Initializer",
    "Input",
    "InputSpec",
    "KerasTensor",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Optimizer",
    "Regularizer",
    "Sequential",
    "Variable",
    "__version__",
    "activations",
    "callbacks",
    "config",
    "constraints",
    "datasets",
    "dtype_policies",
    "errors",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "mixed_precision",
    "models",
    "ops",
    "optimizers",
    "random",
    "regularizers",
    "saving",
    "tree",
    "utils",
]


# What few scripts ask for, and importing seqc need not load.
_LATER = ("applications", "backend", "export", "preprocessing", "wrappers")
_HOMES = dict.fromkeys(("RematScope", "device", "name_scope", "remat"), "seqc.scopes")
_found = late(__name__, _HOMES, absent(__name__, (*__all__, *_LATER, *_HOMES, "version")))


def __getattr__(name: str) -> Any:
    return import_module(f"{__name__}.{name}") if name in _LATER else _found(name)


def version() -> str:
    """Returns the version of seqc."""
    return __version__
