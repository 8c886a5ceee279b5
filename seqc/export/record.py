"""The record of a verification: what another machine needs to repeat it, in a small file beside the model.

`m.onnx.verified.npz` holds inputs, what the model computes of them in float64 and in its own precision, how far the
file may be off, and hashes. NumPy reads it: `numpy.load` shows the arrays, and under "record" a text of JSON.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from seqc._version import __version__
from seqc.errors import DataError, ExportError, SeqcError
from seqc.export.compare import argmax_agreement, compare_arrays
from seqc.export.options import RECORD_ENDING
from seqc.export.report import OutputCheck, Report
from seqc.export.samples import Sampler
from seqc.export.ties import Ends, Ties
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph
from seqc.passes.precision import promote_floats
from seqc.utils.files import open_file

FORMAT = 1
# Of arrays in a record, which is to be small: the smallest sizes come first, and one is always there.
MOST_BYTES = 2**20
# How arrays are called in a record, after the number of the case and before that of the input or output.
_KINDS = ("input", "float64", "own")
# The same of `Case.near`, which few have.
_ENDS = ("lowest", "highest")
# Of a record that is read.
MOST_READ = 2**28


@dataclass(frozen=True)
class Case:
    """Inputs, in the order of the file's, and the outputs in float64 and in the file's own precision.

    `near` has, by the number of the output, between what numbers whole ones may lie where a rounding decides.
    """

    inputs: tuple[Array, ...]
    truth: tuple[Array, ...]
    single: tuple[Array, ...]
    near: Mapping[int, Ends] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """What a verification compared.

    Attributes:
        model_hash: SHA-256 of the model's file. inputs: their names. outputs: what was found, with the budgets.
        runtime: version of onnxruntime that was used. cases: what was compared.
    """

    model_hash: str
    inputs: tuple[str, ...]
    outputs: tuple[OutputCheck, ...]
    runtime: str
    cases: tuple[Case, ...]


def record_path(path: str | os.PathLike[str]) -> str:
    """Returns where the record of a model's file lies."""
    return os.fspath(path) + RECORD_ENDING


def is_of_another(record: str | os.PathLike[str], model_hash: str) -> bool:
    """Whether a file is a record, and of another model's file than the one with this hash."""
    try:
        return read_record(record).model_hash != model_hash
    except (OSError, SeqcError):
        return False


def make_record(reference: Graph, single: Graph | None, report: Report, model_hash: str, seed: int = 0) -> bytes:
    """Returns the file of a record.

    Args:
        reference: the graph before any pass. single: what the file computes, where its precision is another one.
        report: of the file's verification. model_hash: SHA-256 of the file. seed: with which the verification drew
        inputs.
    """
    return pack_record(
        _cases(reference, single or reference, report.sizes, seed), reference.input_names, report, model_hash
    )


def pack_record(cases: Iterable[Case], inputs: Sequence[str], report: Report, model_hash: str) -> bytes:
    """Returns the file of a record of what was compared, the smallest first; `inputs` are the names of inputs."""
    from seqc.backends.onnxruntime import version

    cases = _some(cases)
    arrays: dict[str, Any] = {
        f"{i}/{kind}/{k}": _plain(array)
        for i, case in enumerate(cases)
        for kind, held in zip(_KINDS, (case.inputs, case.truth, case.single), strict=True)
        for k, array in enumerate(held)
    }
    arrays |= {
        f"{i}/{end}/{k}": array
        for i, case in enumerate(cases)
        for k, ends in case.near.items()
        for end, array in zip(_ENDS, ends, strict=True)
    }
    said = {
        "format": FORMAT,
        "seqc": __version__,
        "onnxruntime": version(),
        "model_sha256": model_hash,
        "arrays_sha256": _arrays_hash(arrays),
        "inputs": list(inputs),
        "outputs": [check.to_dict() for check in report.outputs],
        "cases": len(cases),
    }
    arrays["record"] = np.array(json.dumps(said, sort_keys=True))
    with io.BytesIO() as file:
        np.savez_compressed(file, **arrays)
        return file.getvalue()


def _cases(reference: Graph, own: Graph, sizes: Sequence[Mapping[str, int]], seed: int) -> Iterator[Case]:
    """Yields what a verification compared, the smallest inputs first."""
    sampler, single, double = Sampler(reference), Interpreter(own), Interpreter(promote_floats(reference))
    ties = Ties(reference, None if own is reference else own)
    drawn = [sampler.draw(size, seed + i) for i, size in enumerate(sizes)]
    for inputs in sorted(drawn, key=_bytes):
        wide = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in inputs]
        truth = tuple(np.asarray(y) for y in double.run(wide))
        near = {k: ends for k in range(len(truth)) if (ends := ties.near(k, inputs)) is not None}
        yield Case(tuple(inputs), truth, tuple(np.asarray(y) for y in single.run(inputs)), near)


def _some(cases: Iterable[Case]) -> list[Case]:
    found: list[Case] = []
    size = 0
    for case in cases:
        size += _bytes((*case.inputs, *case.truth, *case.single, *chain(*case.near.values())))
        if found and size > MOST_BYTES:
            break
        found.append(case)
    return found


def _bytes(arrays: Sequence[Array]) -> int:
    return sum(a.nbytes for a in arrays)


def read_record(path: str | os.PathLike[str]) -> Record:
    """Reads the record of a verification.

    Raises:
        DataError: it is no such record, or damaged.
    """
    try:
        with open_file(path) as file, zipfile.ZipFile(file) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MOST_READ:
                raise DataError(f"{os.fspath(path)} is too large for the record of a verification.")
            file.seek(0)
            with np.load(file, allow_pickle=False) as held:
                arrays = {name: held[name] for name in held.files}
        said = json.loads(str(arrays.pop("record")))
        if said["format"] != FORMAT:
            raise DataError(f"{os.fspath(path)} has format {said['format']}; this seqc reads {FORMAT}.")
        if _arrays_hash(arrays) != said["arrays_sha256"]:
            raise DataError(f"{os.fspath(path)} is damaged: its arrays are not those that were written.")
        inputs, outputs = tuple(said["inputs"]), tuple(_check(one) for one in said["outputs"])
        counts = dict(zip(_KINDS, (len(inputs), len(outputs), len(outputs)), strict=True))
        cases = tuple(_case(arrays, i, counts) for i in range(int(said["cases"])))
        return Record(str(said["model_sha256"]), inputs, outputs, str(said["onnxruntime"]), cases)
    except SeqcError:
        raise
    except FileNotFoundError:
        raise DataError(f"There is no record of a verification at {os.fspath(path)}.") from None
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, OSError, EOFError) as error:
        raise DataError(f"{os.fspath(path)} is no record of a verification, or is damaged: {error}") from error


def _case(arrays: Mapping[str, Array], i: int, counts: Mapping[str, int]) -> Case:
    inputs, truth, single = (tuple(_own(arrays[f"{i}/{kind}/{k}"]) for k in range(n)) for kind, n in counts.items())
    near: dict[int, Ends] = {}
    for k in range(len(truth)):
        low, high = (arrays.get(f"{i}/{end}/{k}") for end in _ENDS)
        if low is not None and high is not None:
            near[k] = low, high
    return Case(inputs, truth, single, near)


def repeat(
    record: Record, model: bytes | os.PathLike[str], providers: Sequence[Any], threads: int | None = None
) -> list[OutputCheck]:
    """Runs the model's file on the inputs of a record and compares as the verification did, within its budgets.

    Args:
        providers: of onnxruntime, see `Session`.

    Raises:
        ExportError: onnxruntime does not load or run the model, or it has other inputs or outputs.
    """
    from seqc.backends.onnxruntime import Session

    session = Session(model, threads=threads, providers=providers)
    names = tuple(check.name for check in record.outputs)
    for what, theirs, ours in (
        ("inputs", session.input_names, record.inputs),
        ("outputs", session.output_names, names),
    ):
        if sorted(theirs) != sorted(ours):
            raise ExportError(f"The file has the {what} {sorted(theirs)}, the record those of {sorted(ours)}.")
    checks = [OutputCheck(check.name, budget=check.budget) for check in record.outputs]
    agreements: list[list[float]] = [[] for _ in checks]
    for case in record.cases:
        got = session.run(dict(zip(record.inputs, case.inputs, strict=True)))
        for i, (name, truth, single) in enumerate(zip(names, case.truth, case.single, strict=True)):
            near = partial(case.near.get, i)
            checks[i] = compare_arrays(checks[i], np.asarray(got[name]), truth, single, near)
            agreements[i] += argmax_agreement(np.asarray(got[name]), truth)
    shares = [float(np.mean(found)) if found else None for found in agreements]
    return [replace(check, argmax_agreement=share) for check, share in zip(checks, shares, strict=True)]


def file_hash(path: str | os.PathLike[str]) -> str:
    """Returns what stands for a file: the SHA-256 of its bytes."""
    digest = hashlib.sha256()
    with open_file(path) as file:
        while part := file.read(2**24):
            digest.update(part)
    return digest.hexdigest()


def _arrays_hash(arrays: Mapping[str, Array]) -> str:
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        total.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def _check(said: Mapping[str, Any]) -> OutputCheck:
    names = ("name", "error", "budget", "scale", "compared", "argmax_agreement")
    # Records of older versions say nothing of what errors can come to.
    return OutputCheck(**{name: said[name] for name in names}, most=said.get("most"), into=str(said.get("into", "")))


def _plain(array: Array) -> Array:
    """Returns an array that a file can hold without Python's objects: of texts."""
    return array.astype(str) if array.dtype == object else array


def _own(array: Array) -> Array:
    return array.astype(object) if array.dtype.kind == "U" else array
