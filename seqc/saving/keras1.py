"""What Keras 1 called the arguments of layers, in the words of Keras 2. Its API guide of release 1.2 lists them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Config = dict[str, Any]

_ARGUMENTS = {
    "W_regularizer": "kernel_regularizer",
    "U_regularizer": "recurrent_regularizer",
    "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint",
    "U_constraint": "recurrent_constraint",
    "b_constraint": "bias_constraint",
    "init": "kernel_initializer",
    "inner_init": "recurrent_initializer",
    "gamma_init": "gamma_initializer",
    "beta_init": "beta_initializer",
    "bias": "use_bias",
    "dropout_W": "dropout",
    "dropout_U": "recurrent_dropout",
    "inner_activation": "recurrent_activation",
    "output_dim": "units",
    "nb_filter": "filters",
    "filter_length": "kernel_size",
    "subsample_length": "strides",
    "subsample": "strides",
    "border_mode": "padding",
    "atrous_rate": "dilation_rate",
    "pool_length": "pool_size",
    "stride": "strides",
    "length": "size",
    "p": "rate",
    "sigma": "stddev",
}
_EMBEDDING = {
    "init": "embeddings_initializer",
    "W_regularizer": "embeddings_regularizer",
    "W_constraint": "embeddings_constraint",
}
# Arguments of layers that decided how to compute and not what.
_UNUSED = ("consume_less", "forget_bias_init", "input_length")
_CLASSES = {
    "TimeDistributedDense": "Dense",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
}
_MERGES = {"sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum", "concat": "Concatenate"}
_SIGNS = ("nb_filter", "border_mode", "W_regularizer", "init", "inner_activation", "dim_ordering")


def is_keras1(config: Any) -> bool:
    """Tells whether a description has arguments that only Keras 1 had."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            if any(sign in value for sign in _SIGNS):
                return True
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return False


def from_keras1(entry: Config) -> Config:
    """Returns a layer in the words of Keras 2."""
    cls, config = entry["class_name"], entry["config"]
    if not isinstance(config, dict) or "layers" in config:
        return entry
    if cls == "Merge" and config.get("mode") in _MERGES:
        axis = {"axis": config.get("concat_axis", -1)} if config["mode"] == "concat" else {}
        return {**entry, "class_name": _MERGES[config["mode"]], "config": {"name": config.get("name"), **axis}}
    names = {**_ARGUMENTS, **_EMBEDDING, "output_dim": "output_dim"} if cls == "Embedding" else _ARGUMENTS
    made = {names.get(key, key): _value(value) for key, value in config.items() if key not in _UNUSED}
    if cls == "Embedding":
        made = {k: v for k, v in made.items() if (k, v) != ("dropout", 0.0)}
    else:
        made.pop("input_dim", None)
    for rows in ("nb_row", "kernel_dim1"):
        if rows in made:
            sizes = ("nb_row", "nb_col") if rows == "nb_row" else ("kernel_dim1", "kernel_dim2", "kernel_dim3")
            made["kernel_size"] = [made.pop(size, None) for size in sizes]
    if "dim_ordering" in made:
        made["data_format"] = {"th": "channels_first"}.get(made.pop("dim_ordering"), "channels_last")
    if made.get("mode") == 0:  # of BatchNormalization; the others normalize something else
        del made["mode"]
    return {**entry, "class_name": _CLASSES.get(cls, cls), "config": made}


def _value(value: Any) -> Any:
    """Returns the value of an argument: Keras 1 had initializers by other names, and objects without a class."""
    if isinstance(value, str):
        return {"zero": "zeros", "one": "ones"}.get(value, value)
    if not isinstance(value, dict) or "class_name" in value or "name" not in value:
        return value
    if "l1" in value or "l2" in value:
        return {"class_name": "L1L2", "config": {"l1": value.get("l1", 0.0), "l2": value.get("l2", 0.0)}}
    config = {("max_value" if key == "m" else key): inner for key, inner in value.items() if key != "name"}
    return {"class_name": value["name"], "config": config}
