"""What a file says beside the values of its graph: attributes of nodes, and constants that a lowering adds.

Values compared on some inputs do not show all of these: of a hundred words in a list, or the limits of numbers that are
seldom so large.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import AttributeProto, NodeProto, TensorProto, numpy_helper

from seqc.export.emitter import Emission
from seqc.export.report import Fault, OutputCheck
from seqc.graph.ir import Array, Constant
from seqc.graph.strings import STRING, type_name


def other_part(emission: Emission, file: onnx.ModelProto) -> Fault | None:
    """Returns the first attribute or constant of a file that is another than the one that is written for its graph.

    Only where both have the same nodes: in a file that was written in another way, a name may stand for something else.
    """
    ours, theirs = emission.frame.graph.node, file.graph.node
    if not _alike(ours, theirs):
        return None
    # Those that are values of the graph are compared as such.
    known = {n for value in emission.graph.walk() if isinstance(value.op, Constant) for n in emission.names[value]}
    held = {t.name: t for t in file.graph.initializer if t.name not in known}
    for name, array in emission.arrays.items():
        if name in held and not _same(array, numpy_helper.to_array(held[name])):
            return _fault(name, f"has other numbers in '{name}'")
    for a, b in zip(ours, theirs, strict=True):
        if (different := _other_attribute(a, b)) is not None:
            return _fault(a.name or a.output[0], f"has another '{different}' of its {a.op_type}")
    return None


def _alike(ours: Sequence[NodeProto], theirs: Sequence[NodeProto]) -> bool:
    """Tells whether nodes are the same but for their attributes."""
    return len(ours) == len(theirs) and all(
        (a.op_type, a.domain, a.input, a.output) == (b.op_type, b.domain, b.input, b.output)
        for a, b in zip(ours, theirs, strict=True)
    )


def _other_attribute(a: NodeProto, b: NodeProto) -> str | None:
    """Returns the name of the first attribute that both nodes say, each otherwise: one left out may be the default."""
    found = {attribute.name: attribute for attribute in b.attribute}
    return next((x.name for x in a.attribute if x.name in found and not _same_attribute(x, found[x.name])), None)


def _same_attribute(a: AttributeProto, b: AttributeProto) -> bool:
    if a.type != b.type:
        return False
    if a.type == AttributeProto.TENSOR:
        return _same_tensor(a.t, b.t)
    if a.type != AttributeProto.GRAPH:
        return bool(a.SerializeToString(deterministic=True) == b.SerializeToString(deterministic=True))
    if not _alike(a.g.node, b.g.node):
        return True  # as of the whole file
    held = {t.name: t for t in b.g.initializer}
    return all(t.name not in held or _same_tensor(t, held[t.name]) for t in a.g.initializer) and all(
        _other_attribute(x, y) is None for x, y in zip(a.g.node, b.g.node, strict=True)
    )


def _same_tensor(a: TensorProto, b: TensorProto) -> bool:
    return _same(numpy_helper.to_array(a), numpy_helper.to_array(b))


def _same(a: Array, b: Array) -> bool:
    if type_name(a) != type_name(b) or a.shape != b.shape:
        return False
    return bool(np.all(a == b)) if type_name(a) == STRING else a.tobytes() == b.tobytes()


def _fault(name: str, wrong: str) -> Fault:
    layer = name.rpartition("/")[0]
    who = f"Layer '{layer}'" if layer else f"'{name}'"
    return Fault(who, OutputCheck(name, wrong=wrong), "in the file than in the model")
