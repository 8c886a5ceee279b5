"""What a version of the ONNX operators can say."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
import onnx
from onnx import helper

from seqc.errors import ExportError, NoLoweringError

OLDEST_OPSET, NEWEST_OPSET = 13, 21


def check_opset(opset: int) -> None:
    """Raises ExportError for an opset that no lowering was written for."""
    if not OLDEST_OPSET <= opset <= NEWEST_OPSET:
        raise ExportError(f"seqc writes opset {OLDEST_OPSET} to {NEWEST_OPSET}; got {opset}. Leave it at 18 if unsure.")


def lowest_ir_version(opset: int) -> int:
    """The oldest file format that may carry the opset, at least 8: an older runtime can read an older format."""
    versions = [row[1] for row in helper.VERSION_TABLE if row[2] == opset]
    return max(8, min(versions))


def element_type(dtype: str) -> int:
    """Returns ONNX's number for a NumPy dtype name."""
    if dtype == "bfloat16":
        return int(onnx.TensorProto.BFLOAT16)
    try:
        return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
    except (KeyError, TypeError, ValueError) as error:
        raise ExportError(f"ONNX has no element type for {dtype}.") from error


def check_supported(op_type: str, attributes: Iterable[str], opset: int, scope: str) -> None:
    """Raises NoLoweringError where the opset lacks an operator or one of its attributes."""
    wanted = frozenset(attributes)
    if _has(op_type, wanted, opset):
        return
    able = [version for version in range(OLDEST_OPSET, NEWEST_OPSET + 1) if _has(op_type, wanted, version)]
    where = f"Layer '{scope}'" if scope else "The model"
    needed = f"Export with opset={able[0]}." if able else "No opset that seqc writes has it."
    raise NoLoweringError(f"{where} needs {op_type}({', '.join(sorted(wanted))}), which opset {opset} lacks. {needed}")


@cache
def _has(op_type: str, attributes: frozenset[str], opset: int) -> bool:
    try:
        schema = onnx.defs.get_schema(op_type, opset, "")
    except onnx.defs.SchemaError:
        return False
    return not schema.deprecated and attributes <= set(schema.attributes)
