"""What stands for TensorFlow in scripts written for Keras, where TensorFlow is not installed.

It has what such scripts use around a model: `tf.keras`, gradients in a `train_step`, datasets, functions.
"""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import seqc
from seqc._tensorflow_functions import functions, missing
from seqc.training.tape import GradientTape, UnconnectedGradients
from seqc.utils.absent import refuse
from seqc.utils.dataset import Dataset
from seqc.utils.elements import TensorSpec

_ONE_MACHINE = "Leave it out: seqc computes on the processors of one machine."
_FILES = "Take model.save and keras.models.load_model for files, model.export for ONNX."
# What to take for names that are no functions.
_INSTEAD = {
    "Tensor": "Take keras.ops.is_tensor to ask, and keras.ops.convert_to_tensor to make one.",
    "Module": "Take keras.Layer.",
    **dict.fromkeys(("device", "distribute", "tpu"), _ONE_MACHINE),
    **dict.fromkeys(("saved_model", "lite", "train", "compat", "estimator"), _FILES),
    **dict.fromkeys(("strings", "lookup", "feature_column"), "Take keras.layers.TextVectorization, StringLookup, ..."),
    **dict.fromkeys(("io", "audio"), "Take Python's files, keras.utils.load_img, and the data sets of keras.utils."),
    "summary": "Take keras.callbacks.TensorBoard.",
}


def stand_in() -> ModuleType:
    """Returns a module `tensorflow` with the few things of it that there are, and a reason for each of the others."""
    made = ModuleType("tensorflow", "seqc stands here for tensorflow.keras; TensorFlow is not installed.")
    made.__path__ = []
    made.__dict__.update(functions())
    made.__dict__.update(
        __version__=seqc.__version__,  # which scripts print at their beginning
        keras=seqc,
        GradientTape=GradientTape,
        UnconnectedGradients=UnconnectedGradients,
        data=_Data(
            Dataset=Dataset,
            Options=_Options,
            AUTOTUNE=-1,
            INFINITE_CARDINALITY=-1,
            UNKNOWN_CARDINALITY=-2,
            experimental=_Data(
                AUTOTUNE=-1,
                INFINITE_CARDINALITY=-1,
                UNKNOWN_CARDINALITY=-2,
                cardinality=Dataset.cardinality,
                get_single_element=Dataset.get_single_element,
                sample_from_datasets=Dataset.sample_from_datasets,
                choose_from_datasets=Dataset.choose_from_datasets,
            ),
        ),
        TensorSpec=TensorSpec,
        TensorShape=_shape,
        function=_function,
        newaxis=None,
        __getattr__=_absent,
    )
    return made


class _Data(SimpleNamespace):
    """A module of datasets."""

    def __getattr__(self, name: str) -> Any:
        text = f"tf.data.{name} is not there. Take tf.data.Dataset, which can be made of a generator, or the data sets "
        refuse("tensorflow.data", name, text + "of keras.utils.")


class _Options:
    """Settings of datasets, which change nothing here."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Options()


def _shape(dims: Any = None) -> Any:
    """Returns a shape: a tuple, or None for any."""
    return None if dims is None else tuple(dims)


def _function(func: Any = None, **options: Any) -> Any:
    """Returns a function as it is: steps are traced whatever they are marked with."""
    return func if func is not None else lambda given: given


def _absent(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module 'tensorflow' has no attribute '{name}'", name=name)
    refuse("tensorflow", name, missing(name, _INSTEAD.get(name)))
