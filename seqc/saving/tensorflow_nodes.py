"""Nodes of TensorFlow's graph as its versions 2.0 to 2.3 put them between layers, as the functions that made them.

Such a layer holds the node as JSON, or as the text of its protocol buffer, and the constants among its operands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seqc.errors import SavingError
from seqc.saving.node_text import attribute_value, parsed_node

# Attributes that say of which types operands are, how many there are, or how to compute.
_SAID_OTHERWISE = re.compile(
    r"_.*|T|TI|U|N|T[a-z]\w*|SrcT|DstT|Index|Truncate|num_split|num|out_type|output_type|dtype|index_type|shape"
    r"|incompatible_shape_error|explicit_paddings|use_cudnn_on_gpu"
)


@dataclass(frozen=True)
class Node:
    """How a node is called.

    Attributes:
        function: of TensorFlow, that makes such nodes. operands: the names of its arguments after the first, in order;
        "*" in front gathers all but those that are named after it. attributes: names of arguments by that of the
        attribute; or of a value, what makes of it arguments.
        constants: the numbers of operands that are constant, with their values.
    """

    function: str
    operands: tuple[str, ...]
    attributes: Mapping[str, str]
    constants: Mapping[int, Any]
    given: Mapping[str, Any]


def _all(
    names: str, function: str, operands: str = "", **attributes: str
) -> dict[str, tuple[str, str, dict[str, str]]]:
    return {
        part.partition("=")[0]: (function + (part.partition("=")[2] or _snake(part)), operands, attributes)
        for part in names.split()
    }


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


# By the kind of a node: the function, its operands after the first, and its attributes that are arguments.
_NODES = {
    **_all("Abs Sqrt Rsqrt Square Exp Expm1 Log Log1p Sin Cos Tan Sinh Cosh Asin Acos Atan Tanh Sigmoid Sign Floor "
           "Ceil Round=round Rint=round Erf Reciprocal Inv=reciprocal LogicalNot Neg=negative IsNan IsInf IsFinite "
           "Softplus",
           "math."),
    **_all("Relu Relu6 Elu Selu Softsign Softmax LogSoftmax", "nn."),
    **_all("LeakyRelu", "nn.", alpha="alpha"),
    **_all("AddV2=add Add=add Sub=subtract Mul=multiply RealDiv=truediv Div=truediv DivNoNan Maximum Minimum Pow "
           "FloorMod=floormod FloorDiv=floordiv SquaredDifference Greater GreaterEqual Less LessEqual Equal NotEqual "
           "LogicalAnd LogicalOr", "math.", "y"),
    **_all("Atan2", "math.", "x"),
    **_all("Mean Sum Max Min Prod All Any", "math.reduce_", "axis", keep_dims="keepdims"),
    **_all("ArgMax=argmax ArgMin=argmin", "math.", "axis", output_type="output_type"),
    **_all("Cumsum=cumsum Cumprod=cumprod", "math.", "axis", exclusive="exclusive", reverse="reverse"),
    **_all("AddN", "math.", "*"),
    **_all("TopKV2=top_k", "math.", "k", sorted="sorted"),
    **_all("MatMul=matmul", "linalg.", "b", transpose_a="transpose_a", transpose_b="transpose_b"),
    **_all("BatchMatMul=matmul BatchMatMulV2=matmul", "linalg.", "b", adj_x="transpose_a", adj_y="transpose_b"),
    **_all("BiasAdd", "nn.", "bias", data_format="data_format"),
    **_all("SpaceToDepth DepthToSpace", "nn.", "", block_size="block_size", data_format="data_format"),
    **_all("MaxPool=max_pool2d AvgPool=avg_pool2d", "nn.", "", ksize="ksize", strides="strides", padding="padding",
           data_format="data_format"),
    **_all("Conv2D=conv2d", "nn.", "filters", strides="strides", padding="padding", dilations="dilations",
           data_format="data_format"),
    **_all("Identity ZerosLike OnesLike StopGradient Shape", ""),
    **_all("Reshape BroadcastTo", "", "shape"),
    **_all("ExpandDims=expand_dims ReverseV2=reverse", "", "axis"),
    **_all("Squeeze", "", squeeze_dims="axis"),
    **_all("Transpose", "", "perm"),
    **_all("Tile", "", "multiples"),
    **_all("Pack=stack", "", "*", axis="axis"),
    **_all("ConcatV2=concat", "", "* axis"),
    **_all("Unpack=unstack", "", "", axis="axis", num="num"),
    **_all("SplitV=split", "", "num_or_size_splits axis"),
    **_all("Slice", "", "begin size"),
    **_all("StridedSlice", "", "begin end strides", **{f"{name}_mask": f"{name}_mask" for name in (
        "begin", "end", "ellipsis", "new_axis")}, shrink_axis_mask="shrink_axis_mask"),
    **_all("Pad", "", "paddings"),
    **_all("PadV2=pad", "", "paddings constant_values"),
    **_all("MirrorPad=pad", "", "paddings", mode="mode"),
    **_all("Cast", "", DstT="dtype"),
    **_all("GatherV2=gather", "", "indices axis", batch_dims="batch_dims"),
    **_all("Select=where SelectV2=where", "", "x y"),
    **_all("ClipByValue=clip_by_value", "", "clip_value_min clip_value_max"),
    **_all("OneHot", "", "depth on_value off_value", axis="axis"),
    **_all("Fill", "", "value"),
    **_all("Range", "", "limit delta"),
    **_all("Roll", "", "shift axis"),
    **_all("ResizeBilinear=image.resize ResizeNearestNeighbor=image.resize", "", "size"),
}  # fmt: skip
_METHODS = {"ResizeBilinear": "bilinear", "ResizeNearestNeighbor": "nearest"}


def as_function(entry: Mapping[str, Any]) -> tuple[dict[str, Any], Node]:
    """Returns the layer that a later TensorFlow would have written in place of one around a node, and the node.

    Args:
        entry: as a file has it.

    Raises:
        SavingError: the node cannot be read, or is of a kind for which there is nothing in seqc.
    """
    config, name = entry.get("config"), entry.get("name")
    config = config if isinstance(config, Mapping) else {}
    described = parsed_node(config.get("node_def"), name)
    kind = described.get("op")
    attributes = described.get("attr")
    given = {str(k): attribute_value(v) for k, v in attributes.items()} if isinstance(attributes, Mapping) else {}
    constants = config.get("constants") or {}
    if not isinstance(constants, Mapping) or not all(str(index).isdigit() for index in constants):
        raise SavingError(f"The constants of the TensorFlowOpLayer '{name}' are {constants!r}, which makes no sense.")
    numbered = {int(index): _constant(value) for index, value in constants.items()}
    if kind == "Einsum":
        node = Node("einsum", ("*",), {"equation": "equation"}, numbered, given)
    elif kind == "Split":  # the axis comes first
        node = Node("split", ("axis",), {"num_split": "num_or_size_splits"}, numbered, given)
    elif kind in _NODES:
        function, operands, named = _NODES[str(kind)]
        node = Node(function, tuple(operands.split()), named, numbered, given)
    else:
        node = Node(f"raw_ops.{kind}", (), {}, numbered, given)
    if kind in _METHODS:
        if given.get("half_pixel_centers") is not True or given.get("align_corners") is True:
            node = Node(f"raw_ops.{kind} with corners or pixels aligned as in TensorFlow 1", (), {}, numbered, given)
        else:
            node = Node(node.function, node.operands, {"method": "method"}, numbered, {"method": _METHODS[str(kind)]})
    made = {"class_name": "TFOpLambda", "config": {"function": node.function}, "name": name}
    return {**entry, **made}, node


def called_on(node: Node, call: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Returns how the function of a node is called.

    Args:
        node: the node. call: of the layer around it, with the tensors alone. name: of that layer.

    Raises:
        SavingError: there are too few or too many operands, or attributes say what seqc does not know.
    """
    first = call["args"][0]
    tensors = list(first if isinstance(first, list) and len(call["args"]) == 1 else call["args"])
    for index, value in sorted(node.constants.items()):
        tensors.insert(index, value)
    named = {}
    for key, value in node.given.items():
        argument = node.attributes.get(key)
        if argument is not None:
            named[argument] = value
        elif not _SAID_OTHERWISE.fullmatch(key) and value not in (None, False, 0, [], "") and key != "data_format":
            raise SavingError(f"TensorFlow's '{node.function}' (as '{name}') is a node with {key}={value!r}: unknown.")
    operands = list(node.operands)
    if node.function == "split" and operands == ["axis"]:
        return {"args": tensors[1:], "kwargs": {**named, "axis": tensors[0]}}
    if node.function == "einsum":
        return {"args": [named.pop("equation"), *tensors], "kwargs": {}}
    if operands[:1] == ["*"]:
        many = len(tensors) - len(operands) + 1
        named |= dict(zip(operands[1:], tensors[many:], strict=True))
        return {"args": [tensors[:many]], "kwargs": named}
    if not 1 <= len(tensors) <= 1 + len(operands):
        raise SavingError(f"TensorFlow's '{node.function}' (as '{name}') is called on {len(tensors)} things.")
    named |= dict(zip(operands, tensors[1:], strict=False))
    if node.function == "squeeze" and named.get("axis") == []:
        del named["axis"]
    return {"args": tensors[:1], "kwargs": named}


def _constant(value: Any) -> Any:
    """Returns a constant as numbers in lists; the last versions wrote arrays as objects."""
    config = value.get("config") if isinstance(value, Mapping) else None
    return config.get("value") if isinstance(config, Mapping) else value
