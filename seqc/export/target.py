"""ONNX as a target of the passes. Nothing here imports onnx before it is asked for an operator."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial

from seqc.export.images import FORMS
from seqc.export.normalization.forms import GroupNormalization, channels_second
from seqc.export.options import check_opset
from seqc.export.places.rules import Place
from seqc.graph.target import DTYPES, DataFormat, Target

_NARROW, _UNSIGNED = frozenset(("int16", "uint16")), frozenset(("uint32", "uint64"))
# The element types that ONNX has and onnxruntime (1.32) has not, by operator. It has none at all for int4 and the like.
LACKING: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("Max", "Min", "Clip", "Pad"), _NARROW),
    "Where": _NARROW | {"bool", "uint64"},
    **dict.fromkeys(("ReduceSum", "ReduceProd", "ReduceMax", "ReduceMin", "CumSum"), _UNSIGNED),
    **dict.fromkeys(("ArgMax", "ArgMin"), _NARROW | _UNSIGNED),
    "Resize": _NARROW | _UNSIGNED | {"bool", "int64"},
    "Relu": frozenset(("int16", "int64")),
}


def onnx_target(
    opset: int = 18,
    layout: DataFormat = "channels_first",
    place: Place | None = None,
    *,
    stops_at_lengths: bool = True,
) -> Target:
    """Returns a version of the ONNX operators as a target.

    Args:
        opset: version of the ai.onnx operators, 13 to 28.
        layout: the order of axes that images are brought into. ONNX's own convolutions work channels-first only.
        place: where the file is to run; None says nothing about it.
        stops_at_lengths: whether recurrent operators do, as onnxruntime's. OpenVINO's and OpenCV's run on.

    Raises:
        ExportError: seqc does not write the opset.
    """
    stops = stops_at_lengths and (place is None or place.stops_at_lengths)
    return _target(check_opset(opset), layout, place, stops)


@cache
def _target(opset: int, layout: DataFormat, place: Place | None, stops_at_lengths: bool) -> Target:
    forms = {**FORMS, GroupNormalization: channels_second, **(place.forms if place else {})}
    dtypes = place.dtypes if place else DTYPES
    return Target(opset, layout, dtypes, partial(_supports, opset, place), forms, stops_at_lengths)


def _supports(opset: int, place: Place | None, op_type: str, *attributes: str, dtype: str | None = None) -> bool:
    from seqc.export._schema import has

    if dtype in LACKING.get(op_type, ()):
        return False
    return (place is None or place.has(op_type, *attributes)) and has(op_type, frozenset(attributes), opset, dtype)
