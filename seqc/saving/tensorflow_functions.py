"""What each function of TensorFlow is among those of `seqc.ops`, for models that call them between layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Function:
    """A function of `seqc.ops` that does what one of TensorFlow's does.

    Attributes:
        name: of the function.
        arguments: by TensorFlow's name its own, or what makes of a value its own by name.
        inert: the values at which an argument changes no number, by TensorFlow's name.
        defaults: what TensorFlow takes where nothing is given, and seqc does not.
        together: makes all arguments of all of TensorFlow's, where one of its own follows from several.
        after: another function that takes the result, and its arguments.
    """

    name: str
    arguments: Mapping[str, str | Callable[[Any], dict[str, Any]]] = field(default_factory=dict)
    inert: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    together: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    after: tuple[str, Mapping[str, Any]] | None = None


def _same(names: str, **arguments: str) -> dict[str, Function]:
    """Returns functions that seqc has under the last part of TensorFlow's name, all with the same further arguments."""
    return {name: Function(name.rpartition(".")[2], arguments) for name in names.split()}


def _cuts(sizes: Any) -> dict[str, Any]:
    """Returns where to cut: TensorFlow is told the number of parts, or the size of each."""
    if isinstance(sizes, list):
        sizes = [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)]
    return {"indices_or_sections": sizes}


def _key(parts: Any) -> dict[str, Any]:
    """Returns the index of a SlicingOpLambda."""

    def one(part: Any) -> Any:
        if isinstance(part, Mapping) and part.get("class_name") == "__ellipsis__":
            return {"class_name": "__ellipsis__", "config": {}}
        if isinstance(part, Mapping) and set(part) == {"start", "stop", "step"}:
            return {"class_name": "__slice__", "config": dict(part)}
        return part

    return {"key": [one(part) for part in parts] if isinstance(parts, list) else one(parts)}


def _root(epsilon: Any) -> dict[str, Any]:
    """Returns the smallest length: TensorFlow is told its square."""
    return {"epsilon": float(epsilon) ** 0.5}


def _slice(given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the key that takes parts of some sizes from some places on; -1 is all that is left."""
    pairs = zip(given["begin"], given["size"], strict=True)
    return {"key": [_part(begin, None if size == -1 else begin + size) for begin, size in pairs]}


def _strided_slice(given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the key for where to begin, to end and how far apart; bits say what is left open, new, or a number."""
    begins, ends = given["begin"], given["end"]
    steps = given.get("strides") or [1] * len(begins)
    masks = {
        name: int(given.get(f"{name}_mask", 0)) for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    key: list[Any] = []
    for i, (begin, end, step) in enumerate(zip(begins, ends, steps, strict=True)):
        on = {name for name, mask in masks.items() if mask >> i & 1}
        if "ellipsis" in on:
            key.append({"class_name": "__ellipsis__", "config": {}})
        elif "new_axis" in on:
            key.append(None)
        elif "shrink_axis" in on:
            key.append(begin)
        else:
            key.append(_part(None if "begin" in on else begin, None if "end" in on else end, step))
    return {"key": key}


def _part(start: Any, stop: Any, step: Any = None) -> dict[str, Any]:
    return {"class_name": "__slice__", "config": {"start": start, "stop": stop, "step": step}}


def _lower(name: str) -> Callable[[Any], dict[str, Any]]:
    return lambda value: {name: str(value).lower()}


def _inner(name: str) -> Callable[[Any], dict[str, Any]]:
    """Returns what takes the two in the middle of four numbers, those of rows and columns."""
    return lambda value: {name: value[1:3] if isinstance(value, list) and len(value) == 4 else value}


_REDUCED = {"axis": "axis", "keepdims": "keepdims"}
_BY_CHANNELS = {"data_format": ("NHWC",)}
_IN_ORDER = {"data_format": "channels_last"}
_POOLED: dict[str, Any] = {
    "ksize": _inner("pool_size"),
    "strides": _inner("strides"),
    "padding": _lower("padding"),
}
_INTEGERS_OUT = {"out_type": ("int32", "int64")}
_INTEGERS = {"output_type": ("int32", "int64")}
FUNCTIONS: dict[str, Function] = {
    **_same(
        "math.abs math.negative math.sqrt math.rsqrt math.square math.exp math.expm1 math.log math.log1p math.sin "
        "math.cos math.tan math.sinh math.cosh math.tanh math.sigmoid math.log_sigmoid math.softplus math.sign "
        "math.floor math.ceil math.round math.erf math.reciprocal math.logical_not nn.relu nn.relu6 nn.selu "
        "nn.softplus nn.softsign nn.sigmoid nn.tanh nn.elu ones_like zeros_like stop_gradient"
    ),
    **_same(
        "math.add __operators__.add math.subtract math.multiply math.maximum math.minimum math.greater "
        "math.greater_equal math.less math.less_equal math.equal math.not_equal math.logical_and math.logical_or "
        "math.divide_no_nan",
        y="x2",
    ),
    "math.truediv": Function("divide", {"y": "x2"}),
    "math.divide": Function("divide", {"y": "x2"}),
    "math.floordiv": Function("floor_divide", {"y": "x2"}),
    "math.floor_div": Function("floor_divide", {"y": "x2"}),
    "math.floormod": Function("mod", {"y": "x2"}),
    "math.pow": Function("power", {"y": "x2"}),
    "math.is_nan": Function("isnan"),
    "math.is_inf": Function("isinf"),
    "math.is_finite": Function("isfinite"),
    **{f"math.{name}": Function(f"arc{name[1:]}") for name in ("asin", "acos", "atan", "asinh", "acosh", "atanh")},
    "math.atan2": Function("arctan2", {"x": "x2"}),
    "math.squared_difference": Function("subtract", {"y": "x2"}, after=("square", {})),
    "math.add_n": Function("stack", after=("sum", {"axis": 0})),
    "math.top_k": Function("top_k", {"k": "k", "sorted": "sorted"}),
    **{
        f"math.reduce_{name}": Function(name, _REDUCED)
        for name in ("sum", "mean", "max", "min", "prod", "all", "any", "logsumexp", "std")
    },
    "math.reduce_variance": Function("var", _REDUCED),
    "math.argmax": Function("argmax", {"axis": "axis"}, _INTEGERS, {"axis": 0}),
    "math.argmin": Function("argmin", {"axis": "axis"}, _INTEGERS, {"axis": 0}),
    "math.cumsum": Function("cumsum", {"axis": "axis"}, {"exclusive": (False,), "reverse": (False,)}, {"axis": 0}),
    "math.l2_normalize": Function("normalize", {"axis": "axis", "epsilon": _root}, {}, {"axis": None, "epsilon": 1e-6}),
    "nn.silu": Function("silu", {}, {"beta": (1.0,)}),
    "nn.gelu": Function("gelu", {"approximate": "approximate"}, {}, {"approximate": False}),
    "nn.leaky_relu": Function("leaky_relu", {"alpha": "negative_slope"}),
    "nn.softmax": Function("softmax", {"axis": "axis"}),
    "nn.log_softmax": Function("log_softmax", {"axis": "axis"}),
    "math.cumprod": Function("cumprod", {"axis": "axis"}, {"exclusive": (False,), "reverse": (False,)}, {"axis": 0}),
    "norm": Function("norm", {"axis": "axis", "keepdims": "keepdims"}, {"ord": ("euclidean",)}),
    "nn.bias_add": Function("add", {"bias": "x2"}, _BY_CHANNELS),
    "nn.space_to_depth": Function("space_to_depth", {"block_size": "block_size"}, _BY_CHANNELS),
    "nn.depth_to_space": Function("depth_to_space", {"block_size": "block_size"}, _BY_CHANNELS),
    "nn.max_pool2d": Function("max_pool", _POOLED, _BY_CHANNELS, _IN_ORDER),
    "nn.avg_pool2d": Function("average_pool", _POOLED, _BY_CHANNELS, _IN_ORDER),
    "nn.conv2d": Function(
        "conv",
        {
            "filter": "kernel",
            "filters": "kernel",
            "strides": _inner("strides"),
            "dilations": _inner("dilation_rate"),
            "padding": _lower("padding"),
        },
        {**_BY_CHANNELS, "use_cudnn_on_gpu": (True,)},
        _IN_ORDER,
    ),
    "nn.embedding_lookup": Function("take", {"ids": "indices"}, {"partition_strategy": ("div", "mod")}, {"axis": 0}),
    "image.resize": Function(
        "resize",
        {"size": "size", "method": _lower("interpolation"), "antialias": "antialias"},
        {"preserve_aspect_ratio": (False,)},
        _IN_ORDER,
    ),
    "einsum": Function("einsum"),
    "tensordot": Function("tensordot", {"b": "x2", "axes": "axes"}),
    "linalg.matrix_transpose": Function("swapaxes", {}, {"conjugate": (False,)}, {"axis1": -1, "axis2": -2}),
    "linalg.diag_part": Function("diagonal", {}, {"k": (0,), "padding_value": (0,)}, {"axis1": -2, "axis2": -1}),
    "shape": Function("shape", {}, _INTEGERS_OUT),
    "shape_v2": Function("shape", {}, _INTEGERS_OUT),
    "size": Function("size", {}, _INTEGERS_OUT),
    "broadcast_to": Function("broadcast_to", {"shape": "shape"}),
    "fill": Function("full", {"value": "fill_value"}),
    "zeros": Function("zeros", {"dtype": "dtype"}, {}, {"dtype": "float32"}),
    "ones": Function("ones", {"dtype": "dtype"}, {}, {"dtype": "float32"}),
    "range": Function("arange", {"limit": "stop", "delta": "step", "dtype": "dtype"}),
    "roll": Function("roll", {"shift": "shift", "axis": "axis"}),
    "sort": Function("sort", {"axis": "axis"}, {"direction": ("ASCENDING",)}),
    "argsort": Function("argsort", {"axis": "axis"}, {"direction": ("ASCENDING",), "stable": (False, True)}),
    "slice": Function("get_item", together=_slice),
    "strided_slice": Function("get_item", together=_strided_slice),
    "linalg.matmul": Function(
        "matmul",
        {"b": "x2"},
        dict.fromkeys(("adjoint_a", "adjoint_b", "a_is_sparse", "b_is_sparse"), (False,)),
    ),
    "reshape": Function("reshape", {"shape": "newshape"}),
    "expand_dims": Function("expand_dims", {"axis": "axis"}),
    "squeeze": Function("squeeze", {"axis": "axis"}),
    "transpose": Function("transpose", {"perm": "axes"}, {"conjugate": (False,)}),
    "concat": Function("concatenate", {"axis": "axis"}),
    "stack": Function("stack", {"axis": "axis"}),
    "unstack": Function("unstack", {"axis": "axis", "num": "num"}),
    "split": Function("split", {"axis": "axis", "num_or_size_splits": _cuts}),
    "tile": Function("tile", {"multiples": "repeats"}),
    "repeat": Function("repeat", {"repeats": "repeats", "axis": "axis"}),
    "reverse": Function("flip", {"axis": "axis"}),
    "pad": Function("pad", {"paddings": "pad_width", "mode": _lower("mode")}, {"constant_values": (0,)}),
    "cast": Function("cast", {"dtype": "dtype"}),
    "clip_by_value": Function("clip", {"clip_value_min": "x_min", "clip_value_max": "x_max"}),
    "where": Function("where", {"x": "x1", "y": "x2"}),
    "gather": Function("take", {"indices": "indices", "axis": "axis"}, {"batch_dims": (0,)}, {"axis": 0}),
    "one_hot": Function(
        "one_hot",
        {"depth": "num_classes", "axis": "axis"},
        {"on_value": (1,), "off_value": (0,), "dtype": ("float32",)},
    ),
    "identity": Function("convert_to_tensor"),
    "__operators__.getitem": Function("get_item", {"slice_spec": _key}),
}
