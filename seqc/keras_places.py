"""Where Keras has what seqc describes in files, and what it does not have."""

from __future__ import annotations

# Where Keras says that models are, and the layers that it keeps beside some of its models; one has another name there.
AS_KERAS: dict[str, dict[str, str | None]] = {
    "Sequential": {"module": "keras", "registered_name": None},
    "DTypePolicy": {"module": "keras", "registered_name": None},
    "FloatDTypePolicy": {"module": "keras", "registered_name": None},
    "Functional": {"module": "keras.src.models.functional", "registered_name": "Functional"},
    "GroupedQueryAttention": {"class_name": "GroupQueryAttention", "module": "keras.layers", "registered_name": None},
    "CustomScaleLayer": {
        "module": "keras.src.applications.inception_resnet_v2",
        "registered_name": "CustomScaleLayer",
    },
    "LayerScale": {"module": "keras.src.applications.convnext", "registered_name": "LayerScale"},
    "StochasticDepth": {"module": "keras.src.applications.convnext", "registered_name": "StochasticDepth"},
}

# Functions of seqc's that Keras lacks. One that is described as those of users are it looks for among the
# `custom_objects` of whoever loads the file, which it does not for a bare name.
NOT_IN_KERAS = frozenset({"hard_sigmoid_keras2"})
