"""seqc: define a Sequential model as in Keras, train it with NumPy, hand over a verified ONNX file.

`import seqc as keras` runs an ordinary Sequential script.
"""

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
    "utils",
]


_ONE = "seqc trains on the processor of one machine."
_REASONS = {
    "applications": "Define the network, or load a .keras file with seqc.models.load_model.",
    "backend": "There is one backend, NumPy; functions on tensors are in seqc.ops.",
    "device": _ONE,
    "distribution": _ONE,
    "export": "Models are written with model.export(path), of one call; keras.export.ExportArchive collects several "
    "for TensorFlow's servers: export a model for each.",
    "preprocessing": "pad_sequences is in seqc.utils; images and text are prepared before they reach seqc.",
    "quantizers": dtype_policies.NOT_QUANTIZED,
    "Quantizer": dtype_policies.NOT_QUANTIZED,
    "wrappers": "Call fit and predict of the model itself.",
}

__getattr__ = absent(__name__, __all__, **_REASONS)
