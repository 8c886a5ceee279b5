"""Verifying a file without the model it was made from: by the record beside it, or against another file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqc.cli._narrowed import fits, narrowed
from seqc.cli._onnx import read_model
from seqc.cli._output import number
from seqc.cli._runtime import Provider, load_runtime, providers
from seqc.cli._self_check import BATCHES, Check, batch_axis, check_shapes, draw_inputs, open_lengths, vocabularies
from seqc.errors import ExportError
from seqc.export.record import file_hash, read_record, record_path, repeat
from seqc.export.report import OutputCheck

if TYPE_CHECKING:
    import onnx

    from seqc.graph.ir import Array

# Of the largest number of an output, where nothing is said: two files of float32, and ones that round on purpose.
SAME, ROUNDED = 1e-4, 1e-2
# Enough of a hash to tell files apart by eye.
_SHOWN = 16


def check_record(path: Path, record: Path | None, provider: Provider) -> list[Check]:
    """Returns the checks of a file by the record of its verification; none where there is no record and none was named.

    Raises:
        DataError: the record is none, or damaged. ExportError: onnxruntime does not run the file.
    """
    beside = record or Path(record_path(path))
    if record is None and not beside.exists():
        return []
    held = read_record(beside)
    found = file_hash(path)
    same = found == held.model_hash
    detail = f"SHA-256 {found[:_SHOWN]}..." + ("" if same else f"; the record is of {held.model_hash[:_SHOWN]}...")
    checks = [Check("hash", "the file that was verified", same, detail)]
    what = f"the record's numbers, {provider}, onnxruntime {_version()} (verified with {held.runtime})"
    try:
        outputs = repeat(held, path, providers(provider))
    except ExportError as error:
        return [*checks, Check("record", what, False, str(error))]
    return checks + [Check(f"record:{o.name}", f"{what}: {o.name}", o.passed, verdict(o)) for o in outputs]


def compare_files(
    path: Path, other: Path, budget: float | None, sizes: Mapping[str, int], provider: Provider
) -> tuple[list[OutputCheck], float, str]:
    """Compares two files on the same inputs: those of the other's record, where it has one, and generated ones.

    Args:
        budget: how far outputs may be apart, as a part of the largest number of each. sizes: of open axes, by name.

    Returns:
        A check for each output, the budget, and a text that says on what.

    Raises:
        ExportError: their inputs or outputs differ. DataError and its kin: one does not run.
    """
    runtime = load_runtime("seqc verify")
    providers(provider)
    files = read_model(path), read_model(other)
    allowed = budget if budget is not None else ROUNDED if any(map(_rounds, files)) else SAME
    try:
        mine, theirs = (runtime.load(file, device=provider.value) for file in (path, other))
        return _side_by_side(mine, theirs, other, sizes, allowed)
    except runtime.SeqcRuntimeError as error:
        raise ExportError(f"One does not run: {error}") from error


def _side_by_side(
    mine: Any, theirs: Any, other: Path, sizes: Mapping[str, int], allowed: float
) -> tuple[list[OutputCheck], float, str]:
    inputs, outputs = _paired("inputs", theirs.inputs, mine.inputs), _paired("outputs", theirs.outputs, mine.outputs)
    held = read_record(record_path(other)) if Path(record_path(other)).exists() else None
    declared = {x.name: x for x in (*mine.inputs, *mine.outputs)}
    both = narrowed(theirs, {name: declared[of] for name, of in (*inputs.items(), *outputs.items())})
    recorded = [] if held is None else [dict(zip(held.inputs, case.inputs, strict=True)) for case in held.cases]
    shared = [feeds for feeds in recorded if fits(feeds, both.inputs)]
    drawn = _drawn(both, both.open_sizes(sizes), other)
    checks = [OutputCheck(name) for name in outputs]
    filled: set[str] = set()
    for feeds in [*shared, *drawn]:
        expected, got = _outputs(theirs, feeds), _outputs(mine, {inputs[name]: x for name, x in feeds.items()})
        checks = [_compared(check, got[outputs[check.name]], expected[check.name], allowed) for check in checks]
        filled |= {name for name, array in expected.items() if array.size}
    # One that is empty in both is the same, if there are others.
    held_against = filled if any(c.compared for c in checks) else set(outputs)
    lost = "no number of it is finite in both"
    checks = [c if c.compared or c.wrong or c.name not in held_against else replace(c, wrong=lost) for c in checks]
    kept = f"{len(shared)} inputs of the record and " if shared else ""
    return checks, allowed, f"{kept}{len(drawn)} generated ones"


def _paired(what: str, theirs: Any, mine: Any) -> dict[str, str]:
    """Returns which input or output of one file is which of the other: by name, else by order.

    Raises:
        ExportError: they are not as many, or of other sizes.
    """
    names = {x.name: x for x in mine}
    same = {x.name for x in theirs} == set(names)
    pairs = [(x, names[x.name]) for x in theirs] if same else list(zip(theirs, mine, strict=False))
    fit = len(theirs) == len(mine) and all(
        len(a.shape) == len(b.shape)
        and all(m == n for m, n in zip(a.shape, b.shape, strict=True) if isinstance(m, int) and isinstance(n, int))
        for a, b in pairs
    )
    if not fit:
        shown = "; and ".join(", ".join(f"{x.name} {x}" for x in ports) for ports in (mine, theirs))
        raise ExportError(f"They have other {what}: {shown}.")
    return {a.name: b.name for a, b in pairs}


def verdict(check: OutputCheck) -> str:
    """Returns what there is to say of an output."""
    if not check.compared and not check.wrong:
        return "empty in both"
    said = check.wrong or f"largest error {check.error:.3g}, {check.allowed:.3g} allowed"
    share = check.argmax_agreement
    same = "" if share is None else f", largest element at the same place in {share:.1%} of rows"
    size = f" (numbers up to {number(check.scale)})" if check.scale else ""
    return f"{said}{size}{same}"


def _drawn(model: Any, sizes: Mapping[str, int], path: Path) -> list[dict[str, Array]]:
    check_shapes(path)
    tokens = vocabularies(path)
    batch, lengths = batch_axis(model), open_lengths(model, sizes, tokens)
    counts = ((sizes[batch],) if batch in sizes else BATCHES) if batch else (1,)
    return [draw_inputs(model.inputs, n, lengths, seed=n, tokens=tokens) for n in counts]


def _outputs(model: Any, feeds: Mapping[str, Array]) -> dict[str, Array]:
    cast = {x.name: feeds[x.name] if x.dtype == "str" else feeds[x.name].astype(x.dtype) for x in model.inputs}
    found: dict[str, Array] = model.predict(cast, named=True)
    return found


def _compared(check: OutputCheck, got: Array, expected: Array, allowed: float) -> OutputCheck:
    """Returns the check with one more pair of results taken in."""
    from seqc.export.compare import compare_arrays, scale_of

    floats = expected.dtype.kind == "f"
    wide = expected.astype(np.float64) if floats else expected
    if not floats and got.shape == expected.shape:
        apart = float(np.mean(got != expected)) if got.size else 0.0
        wrong = f"differs in {apart:.1%} of the values" if apart > allowed else check.wrong
        scale = max(check.scale, scale_of(expected, expected))
        error, compared = max(check.error, apart), check.compared + got.size
        return replace(check, error=error, budget=allowed, scale=scale, compared=compared, wrong=wrong)
    found = compare_arrays(check, got.astype(np.float64) if floats and got.dtype.kind == "f" else got, wide, expected)
    return replace(found, budget=allowed * found.scale)


def _rounds(file: onnx.ModelProto) -> bool:
    """Tells whether a file holds numbers that are rounded on purpose."""
    rough = {file_type for name, file_type in _types().items() if name in ("FLOAT16", "BFLOAT16", "INT8", "UINT8")}
    words = ("Quantize", "Integer", "NBits")
    return any(t.data_type in rough for t in file.graph.initializer) or any(
        word in node.op_type for node in file.graph.node for word in words
    )


def _types() -> dict[str, int]:
    from onnx import TensorProto

    return {str(name): int(number) for name, number in TensorProto.DataType.items()}


def _version() -> str:
    from seqc.backends.onnxruntime import version

    return version()
