"""What a version of the ONNX operators can say."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
import onnx
from onnx import helper

from seqc.errors import ExportError, NoLoweringError
from seqc.export.options import NEWEST_OPSET, OLDEST_OPSET


def element_type(dtype: str) -> int:
    """Returns ONNX's number for a NumPy dtype name."""
    if dtype == "string":
        return int(onnx.TensorProto.STRING)
    if dtype == "bfloat16":
        return int(onnx.TensorProto.BFLOAT16)
    try:
        return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
    except (KeyError, TypeError, ValueError) as error:
        raise ExportError(f"ONNX has no element type for {dtype}.") from error


# The operand whose element type an operator is asked for, where it is not the first.
_ASKED_FOR = {"Where": 1}
# The version of each domain of operators beside ONNX's own.
DOMAINS = {"ai.onnx.ml": 2}


def split_name(op_type: str) -> tuple[str, str]:
    """Returns the domain of an operator, which is "" for ONNX's own, and its name there."""
    domain, _, name = op_type.rpartition(".")
    return domain, name


def check_supported(op_type: str, attributes: Iterable[str], opset: int, scope: str) -> None:
    """Raises NoLoweringError where the opset lacks an operator or one of its attributes."""
    wanted = frozenset(attributes)
    if has(op_type, wanted, opset):
        return
    able = [version for version in range(OLDEST_OPSET, NEWEST_OPSET + 1) if has(op_type, wanted, version)]
    where = f"Layer '{scope}'" if scope else "The model"
    needed = f"Export with opset={able[0]}." if able else "No opset that seqc writes has it."
    lacking = f"{where} needs {op_type}({', '.join(sorted(wanted))}), which opset {opset} lacks. {needed}"
    raise NoLoweringError(lacking, able[0] if able else None)


@cache
def has(op_type: str, attributes: frozenset[str], opset: int, dtype: str | None = None) -> bool:
    """Tells whether an opset has an operator with some attributes, and for operands of an element type."""
    domain, name = split_name(op_type)
    try:
        schema = onnx.defs.get_schema(name, DOMAINS.get(domain, opset), domain)
    except onnx.defs.SchemaError:
        return False
    if schema.deprecated or not attributes <= set(schema.attributes):
        return False
    asked = _ASKED_FOR.get(name, 0)
    return dtype is None or (asked < len(schema.inputs) and _type_name(dtype) in schema.inputs[asked].types)


def _type_name(dtype: str) -> str:
    """Returns what schemas call tensors of an element type."""
    return f"tensor({_OTHER_NAMES.get(dtype, dtype)})"


_OTHER_NAMES = {"float32": "float", "float64": "double"}
