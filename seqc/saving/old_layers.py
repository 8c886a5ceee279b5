"""The arguments of layers that Keras 1 and 2 spelled in another way, or that say nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

# Classes that are today's under another name.
RENAMED = {
    "CuDNNLSTM": "LSTM",
    "CuDNNGRU": "GRU",
    "ThresholdedReLU": "ReLU",
    "SyncBatchNormalization": "BatchNormalization",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
}
# Arguments that change no number at these values, whatever layer has them; any value where there is None.
_INERT: dict[str, tuple[Any, ...] | None] = {
    "batch_input_shape": None,
    "input_dtype": None,
    "input_length": None,
    "implementation": None,
    "fused": None,
    "rng_type": None,
    "query_shape": None,
    "key_shape": None,
    "value_shape": None,
    "softmax_robust_masking": None,
    "time_major": (False,),
    "rms_scaling": (False,),
    "renorm": (False,),
    "causal": (False,),
    "sparse": (False,),
    "ragged": (False,),
    "optional": (False,),
    "zero_output_for_mask": (False,),
    "synchronized": (False,),
}
Config = dict[str, Any]


def layer_config(cls: str, config: Mapping[str, Any], major: int) -> Config:
    """Returns the arguments of a layer in the words of Keras 3.

    Args:
        cls: the class of the layer, by its name of today.
        config: its arguments, whose values are translated already.
        major: the version of Keras that they come from.
    """
    shape = config.get("batch_input_shape")
    given = {k: v for k, v in config.items() if k not in _INERT or not _is_inert(_INERT[k], v)}
    change = _CHANGES.get(cls)
    if change is not None:
        given = change(given, major)
    if cls == "InputLayer" and shape is not None:
        given.setdefault("batch_shape", shape)
    if isinstance(given.get("batch_shape"), list):
        given["batch_shape"] = [int(s) if isinstance(s, float) and s.is_integer() else s for s in given["batch_shape"]]
    return given


def _is_inert(values: tuple[Any, ...] | None, value: Any) -> bool:
    return values is None or value is None or value in values


def mapped(value: Any, change: Callable[[Config], Config]) -> Any:
    """Returns plain data with every described object changed, from the inside out."""
    if isinstance(value, Mapping):
        made = {key: mapped(inner, change) for key, inner in value.items()}
        return change(made) if "class_name" in made and "config" in made else made
    return [mapped(inner, change) for inner in value] if isinstance(value, list) else value


def _without(config: Config, **inert: Any) -> Config:
    """Returns arguments without those that are as given, or None."""
    return {k: v for k, v in config.items() if k not in inert or (v is not None and v != inert[k])}


def _leaky_relu(config: Config, _: int) -> Config:
    return {("negative_slope" if key == "alpha" else key): value for key, value in config.items()}


def _relu(config: Config, _: int) -> Config:
    return {("threshold" if key == "theta" else key): value for key, value in config.items()}


def _one_group(config: Config, _: int) -> Config:
    return _without(config, groups=1)


def _separable(config: Config, _: int) -> Config:
    unused = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")
    return {k: v for k, v in _without(config, groups=1).items() if k not in unused}


def _gru(config: Config, major: int) -> Config:
    if "recurrent_activation" not in config:
        return {**_CUDNN, "reset_after": True, **config}
    # Before TensorFlow 2, the reset gate came before the product, and nobody said so.
    return {"reset_after": False, **config} if major < 3 else config


def _lstm(config: Config, _: int) -> Config:
    return config if "recurrent_activation" in config else {**_CUDNN, **config}


# The layers of cuDNN had no choice of activations.
_CUDNN = {"activation": "tanh", "recurrent_activation": "sigmoid"}
_CHANGES: dict[str, Callable[[Config, int], Config]] = {
    "LeakyReLU": _leaky_relu,
    "ReLU": _relu,
    "DepthwiseConv2D": _one_group,
    "DepthwiseConv1D": _one_group,
    "SeparableConv2D": _separable,
    "SeparableConv1D": _separable,
    "Conv1DTranspose": _one_group,
    "Conv2DTranspose": _one_group,
    "Conv3DTranspose": _one_group,
    "GRU": _gru,
    "LSTM": _lstm,
}
