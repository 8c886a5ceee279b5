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
from seqc.training.own_steps import GradientTape
from seqc.utils.absent import absent
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


_STATELESS = "A step is a graph of its own: model.stateless_call(...) and layer.stateless_call(...) give new states."
_REMAT = "A step's memory is planned by the executor."
_ONE = "seqc trains on the processor of one machine."
_REASONS = {
    "applications": "Define the network, or load a .keras file with seqc.models.load_model.",
    "device": _ONE,
    "distribution": _ONE,
    "export": "Models are written with model.export(path), of one call; keras.export.ExportArchive collects several "
    "for TensorFlow's servers: export a model for each.",
    "quantizers": dtype_policies.NOT_QUANTIZED,
    "Quantizer": dtype_policies.NOT_QUANTIZED,
    "wrappers": "Call fit and predict of the model itself.",
    "StatelessScope": _STATELESS,
    "SymbolicScope": _STATELESS,
    "Function": "Make a seqc.Model of symbols.",
    "Operation": "Write a seqc.layers.Layer.",
    "name_scope": "Layers are called by their `name`, which ONNX files keep.",
    "remat": _REMAT,
    "RematScope": _REMAT,
    "distillation": "Write `train_step` or `compute_loss` of a Model: the teacher is another model that it calls.",
    "visualization": "Draw with matplotlib; seqc.utils.plot_model draws models.",
    "legacy": "It is of Keras 2; model files of its time load with seqc.models.load_model.",
}
# What few scripts ask for, and importing seqc need not load.
_LATER = ("backend", "preprocessing")
_absent = absent(__name__, (*__all__, *_LATER, "version"), **_REASONS)


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return import_module(f"{__name__}.{name}")
    return _absent(name)


def version() -> str:
    """Returns the version of seqc."""
    return __version__
