"""ONNX as a target of the passes. Nothing here imports onnx before it is asked for an operator."""

from __future__ import annotations

from functools import cache, partial

from seqc.export.images import FORMS
from seqc.export.normalization.forms import GroupNormalization, channels_second
from seqc.export.options import check_opset
from seqc.graph.target import DTYPES, DataFormat, Target


def onnx_target(opset: int = 18, layout: DataFormat = "channels_first", *, stops_at_lengths: bool = True) -> Target:
    """Returns a version of the ONNX operators as a target.

    Args:
        opset: version of the ai.onnx operators, 13 to 21.
        layout: the order of axes that images are brought into. ONNX's own convolutions work channels-first only.
        stops_at_lengths: whether recurrent operators do, as onnxruntime's. OpenVINO's and OpenCV's run on.

    Raises:
        ExportError: seqc does not write the opset.
    """
    return _target(check_opset(opset), layout, stops_at_lengths)


@cache
def _target(opset: int, layout: DataFormat, stops_at_lengths: bool) -> Target:
    forms = {**FORMS, GroupNormalization: channels_second}
    return Target(opset, layout, DTYPES, partial(_supports, opset), forms, stops_at_lengths)


def _supports(opset: int, op_type: str, *attributes: str, dtype: str | None = None) -> bool:
    from seqc.export._schema import has

    return has(op_type, frozenset(attributes), opset, dtype)
