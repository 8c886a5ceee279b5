"""Functions of TensorFlow between the layers of functional models of Keras 2, as functions of `seqc.ops`.

tf.keras made a layer of each such call, a TFOpLambda or SlicingOpLambda that names the function; its arguments stand
with the call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from seqc.errors import SavingError
from seqc.operations import OWN

CLASSES = ("TFOpLambda", "SlicingOpLambda")


@dataclass(frozen=True)
class _Function:
    """A function of `seqc.ops` that does what one of TensorFlow's does.

    Attributes:
        name: of the function.
        arguments: by TensorFlow's name its own, or what makes of a value its own by name.
        inert: the values at which an argument changes no number, by TensorFlow's name.
        defaults: what TensorFlow takes where nothing is given, and seqc does not.
    """

    name: str
    arguments: Mapping[str, str | Callable[[Any], dict[str, Any]]] = field(default_factory=dict)
    inert: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)


def _same(names: str, **arguments: str) -> dict[str, _Function]:
    """Returns functions that seqc has under the last part of TensorFlow's name, all with the same further arguments."""
    return {name: _Function(name.rpartition(".")[2], arguments) for name in names.split()}


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


def _mode(mode: Any) -> dict[str, Any]:
    return {"mode": str(mode).lower()}


def _root(epsilon: Any) -> dict[str, Any]:
    """Returns the smallest length: TensorFlow is told its square."""
    return {"epsilon": float(epsilon) ** 0.5}


_REDUCED = {"axis": "axis", "keepdims": "keepdims"}
_INTEGERS = {"output_type": ("int32", "int64")}
_FUNCTIONS: dict[str, _Function] = {
    **_same(
        "math.abs math.negative math.sqrt math.rsqrt math.square math.exp math.expm1 math.log math.log1p math.sin "
        "math.cos math.tan math.tanh math.sigmoid math.log_sigmoid math.softplus math.sign math.floor math.ceil "
        "math.round math.erf math.reciprocal math.logical_not nn.relu nn.relu6 nn.selu nn.softplus nn.softsign "
        "nn.sigmoid nn.tanh nn.elu ones_like zeros_like stop_gradient"
    ),
    **_same(
        "math.add __operators__.add math.subtract math.multiply math.maximum math.minimum math.greater "
        "math.greater_equal math.less math.less_equal math.equal math.not_equal math.logical_and math.logical_or "
        "math.divide_no_nan",
        y="x2",
    ),
    "math.truediv": _Function("divide", {"y": "x2"}),
    "math.divide": _Function("divide", {"y": "x2"}),
    "math.floordiv": _Function("floor_divide", {"y": "x2"}),
    "math.floor_div": _Function("floor_divide", {"y": "x2"}),
    "math.floormod": _Function("mod", {"y": "x2"}),
    "math.pow": _Function("power", {"y": "x2"}),
    "math.is_nan": _Function("isnan"),
    **{
        f"math.reduce_{name}": _Function(name, _REDUCED)
        for name in ("sum", "mean", "max", "min", "prod", "all", "any", "logsumexp", "std")
    },
    "math.reduce_variance": _Function("var", _REDUCED),
    "math.argmax": _Function("argmax", {"axis": "axis"}, _INTEGERS, {"axis": 0}),
    "math.argmin": _Function("argmin", {"axis": "axis"}, _INTEGERS, {"axis": 0}),
    "math.cumsum": _Function("cumsum", {"axis": "axis"}, {"exclusive": (False,), "reverse": (False,)}, {"axis": 0}),
    "math.l2_normalize": _Function(
        "normalize", {"axis": "axis", "epsilon": _root}, {}, {"axis": None, "epsilon": 1e-6}
    ),
    "nn.silu": _Function("silu", {}, {"beta": (1.0,)}),
    "nn.gelu": _Function("gelu", {"approximate": "approximate"}, {}, {"approximate": False}),
    "nn.leaky_relu": _Function("leaky_relu", {"alpha": "negative_slope"}),
    "nn.softmax": _Function("softmax", {"axis": "axis"}),
    "nn.log_softmax": _Function("log_softmax", {"axis": "axis"}),
    "linalg.matmul": _Function("matmul", {"b": "x2"}),
    "reshape": _Function("reshape", {"shape": "newshape"}),
    "expand_dims": _Function("expand_dims", {"axis": "axis"}),
    "squeeze": _Function("squeeze", {"axis": "axis"}),
    "transpose": _Function("transpose", {"perm": "axes"}, {"conjugate": (False,)}),
    "concat": _Function("concatenate", {"axis": "axis"}),
    "stack": _Function("stack", {"axis": "axis"}),
    "unstack": _Function("unstack", {"axis": "axis", "num": "num"}),
    "split": _Function("split", {"axis": "axis", "num_or_size_splits": _cuts}),
    "tile": _Function("tile", {"multiples": "repeats"}),
    "repeat": _Function("repeat", {"repeats": "repeats", "axis": "axis"}),
    "reverse": _Function("flip", {"axis": "axis"}),
    "pad": _Function("pad", {"paddings": "pad_width", "mode": _mode}, {"constant_values": (0,)}),
    "cast": _Function("cast", {"dtype": "dtype"}),
    "clip_by_value": _Function("clip", {"clip_value_min": "x_min", "clip_value_max": "x_max"}),
    "where": _Function("where", {"x": "x1", "y": "x2"}),
    "gather": _Function("take", {"indices": "indices", "axis": "axis"}, {"batch_dims": (0,)}, {"axis": 0}),
    "one_hot": _Function(
        "one_hot",
        {"depth": "num_classes", "axis": "axis"},
        {"on_value": (1,), "off_value": (0,), "dtype": ("float32",)},
    ),
    "identity": _Function("convert_to_tensor"),
    "__operators__.getitem": _Function("get_item", {"slice_spec": _key}),
}
# Any value of these, and None for any other argument, says nothing.
_NOTHING = ("name", "validate_indices")


def modern_operation(entry: Mapping[str, Any], calls: list[Any]) -> list[dict[str, Any]]:
    """Returns the operations that a function of TensorFlow becomes: itself, last, and what prepares its arguments.

    Args:
        entry: as a file has it. calls: how it is called, in the form of Keras 3.

    Raises:
        SavingError: seqc has no such function, or not with these arguments.
    """
    config = entry.get("config")
    told = str(config.get("function") if isinstance(config, Mapping) else None)
    known = told.removeprefix("compat.v1.")
    function = _FUNCTIONS.get(known, _FUNCTIONS.get(f"math.{known}"))
    name = entry.get("name")
    if function is None or not isinstance(name, str):
        raise SavingError(
            f"The model calls TensorFlow's '{told}' between its layers (as '{name}'), for which seqc has nothing in a "
            "file. Where it stands, use a layer of your own that does the same with functions of seqc.ops, and load "
            "the weights alone."
        )
    prepared: dict[str, list[Any]] = {}
    nodes = []
    for call in calls:
        if not isinstance(call, Mapping) or not call.get("args"):
            raise SavingError(
                f"The call of TensorFlow's '{told}' (as '{name}') is described by {call!r}, which is none."
            )
        args, named = list(call["args"]), dict(call["kwargs"])
        if function.name == "matmul":
            for flag, operand in (("transpose_a", None), ("transpose_b", "b")):
                if named.pop(flag, False):
                    turned = f"{name}/{flag}"
                    x = args[0] if operand is None else named[operand]
                    prepared.setdefault(turned, []).append({"args": [x], "kwargs": {"axis1": -1, "axis2": -2}})
                    history = {"keras_history": [turned, len(prepared[turned]) - 1, 0]}
                    tensor = {"class_name": "__keras_tensor__", "config": history}
                    args, named = ([tensor], named) if operand is None else (args, {**named, operand: tensor})
        nodes.append({"args": args, "kwargs": _arguments(function, named, told, name)})
    before = [_entry("swapaxes", turned, made) for turned, made in prepared.items()]
    return [*before, _entry(function.name, name, nodes)]


def _arguments(function: _Function, given: Mapping[str, Any], told: str, name: str) -> dict[str, Any]:
    made = dict(function.defaults)
    for key, value in given.items():
        if key in _NOTHING or value is None or (key in function.inert and value in function.inert[key]):
            continue
        its = function.arguments.get(key)
        if its is None:
            raise SavingError(
                f"TensorFlow's '{told}' (as '{name}') is called with {key}={value!r}: seqc has it without."
            )
        made |= {its: value} if isinstance(its, str) else its(value)
    return made


def _entry(function: str, name: str, nodes: list[Any]) -> dict[str, Any]:
    described = {"module": OWN, "class_name": function, "registered_name": None, "config": {"name": name}}
    return {**described, "name": name, "inbound_nodes": nodes}
