"""What stands for TensorFlow in scripts written for Keras, where TensorFlow is not installed.

It has what such scripts use around a model: `tf.keras`, gradients in a `train_step`, and datasets.
"""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import seqc
from seqc.training.own_steps import GradientTape
from seqc.utils.dataset import Dataset

# Functions that NumPy, and with it keras.ops, has under another name.
_OTHER_NAMES = {
    "concat": "concatenate",
    "constant": "convert_to_tensor",
    "gather": "take",
    "pow": "power",
    "reverse": "flip",
    "reduce_all": "all",
    "reduce_any": "any",
    "reduce_logsumexp": "logsumexp",
    "reduce_max": "max",
    "reduce_mean": "mean",
    "reduce_min": "min",
    "reduce_prod": "prod",
    "reduce_sum": "sum",
    "clip_by_value": "clip",
    "math": "log, exp, ...",
    "linalg": "matmul, norm, ...",
    "nn": "softmax, relu, ...",
    "range": "arange",
}


def stand_in() -> ModuleType:
    """Returns a module `tensorflow` with the few things of it that there are, and a reason for each of the others."""
    made = ModuleType("tensorflow", "seqc stands here for tensorflow.keras; TensorFlow is not installed.")
    made.__path__ = []
    made.__dict__.update(
        keras=seqc,
        GradientTape=GradientTape,
        data=SimpleNamespace(Dataset=Dataset, AUTOTUNE=-1, experimental=SimpleNamespace(AUTOTUNE=-1)),
        function=_function,
        newaxis=None,
        random=SimpleNamespace(set_seed=seqc.utils.set_random_seed),
        __getattr__=_absent,
    )
    return made


def _function(func: Any = None, **options: Any) -> Any:
    """Returns a function as it is: steps are traced whatever they are marked with."""
    return func if func is not None else lambda given: given


def _absent(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module 'tensorflow' has no attribute '{name}'")
    other = _OTHER_NAMES.get(name) or (name if name in seqc.ops.__all__ else None)
    raise AttributeError(
        f"tensorflow.{name} is not there: TensorFlow is not installed, and seqc stands for tensorflow.keras, "
        f"tf.GradientTape and tf.data.Dataset alone. Take {f'keras.ops.{other}' if other else 'NumPy or keras.ops'}, "
        "which every backend of Keras has."
    )
