"""Writing a compiled model: into files that are verified before they come to their place."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from seqc.export.disk import NewFiles, check_beside, new_files
from seqc.export.emitter import Emission
from seqc.export.record import make_record
from seqc.export.report import Report
from seqc.graph.ir import Graph
from seqc.passes.lower_precision import rounded
from seqc.utils.files import check_room
from seqc.utils.working import Tell, working

# Bytes up to which a verification looks inside every file, which takes some ten times their memory. Of larger ones the
# outputs alone are compared, within a few times the memory of the weights, unless they hardly depend on the input.
INSIDE_LIMIT = 2**26


@dataclass(frozen=True)
class Manner:
    """How a model is written.

    Attributes:
        verify: whether it is compared with its graph first. functions: whether each layer is a function of the file's.
        record: where what was compared is kept, None for nowhere. least: from how many bytes of weights on these lie
        beside the model. allow_nonfinite: whether outputs may lack any finite number.
    """

    verify: bool
    functions: bool
    record: str | None
    least: float
    allow_nonfinite: bool


@dataclass(frozen=True)
class Written:
    """What was written: how many nodes of each type, the files' sizes by name, and what a verification saw."""

    nodes: Mapping[str, int]
    files: NewFiles
    report: Report | None


def write_model(
    path: str | os.PathLike[str],
    reference: Graph,
    first: list[Emission],
    again: Callable[[], Emission],
    manner: Manner,
) -> Written:
    """Writes a model, and brings it to its place when it computes what its graph computes.

    Args:
        path: the place. reference: the graph before any pass. first: holds the model, which is taken out of it, as its
        arrays are another copy of the weights. again: makes it once more. manner: how it is written.

    Raises:
        VerificationError, ExportError: see `seqc.export.verify.verify`. PathError: it cannot be written there.
    """
    emission = first.pop()
    nodes = dict(sorted(Counter(node.op_type for node in emission.frame.graph.node).items()))
    large, outside = emission.size > INSIDE_LIMIT, emission.size >= manner.least
    if outside:
        check_beside(path)
    check_room(path, emission.size)
    with working("Export") as tell, new_files(path) as files:
        files.write(emission.in_layers() if manner.functions else emission, outside, tell)
        inside = None if large else emission
        single = rounded(emission.graph) if emission.single is not None else None
        del emission
        if large:
            gc.collect()  # passes leave functions that call themselves, and hold what they have seen
        report = None
        if manner.verify:
            report = _verified(reference, files, inside, again if large else None, single, manner, tell)
        if manner.record and report:
            files.add(manner.record, make_record(reference, single, report, files.hash))
    return Written(nodes, files, report)


def _verified(
    reference: Graph,
    files: NewFiles,
    inside: Emission | None,
    again: Callable[[], Emission] | None,
    single: Graph | None,
    manner: Manner,
    tell: Tell,
) -> Report:
    from seqc.export.verify import verify

    def checked(model: bytes | os.PathLike[str], emission: Emission | None) -> Report:
        return verify(
            reference,
            model,
            emission,
            if_blind=again,
            single=single,
            allow_nonfinite=manner.allow_nonfinite,
            reorder=again is None,
            tell=tell,
        )

    if manner.functions and inside is not None:
        # Single operations are compared in the same file without functions, whose outputs have the same bounds.
        report, plain = checked(files.model, None), checked(inside.content, inside)
        outputs = [replace(a, most=b.most, into=b.into) for a, b in zip(report.outputs, plain.outputs, strict=True)]
        return replace(report, values=plain.values, outputs=tuple(outputs))
    return checked(files.model, inside)
