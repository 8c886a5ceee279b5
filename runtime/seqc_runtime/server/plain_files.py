"""Arrays in npy, npz and CSV, from strangers: no pickles, and sizes known before memory is taken."""

from __future__ import annotations

import csv
import io
import itertools
import math
import zipfile

import numpy as np

from seqc_runtime.errors import RuntimeInputError
from seqc_runtime.files.columns import Part, only_columns
from seqc_runtime.files.csv_files import Table, read_values
from seqc_runtime.inputs import Array
from seqc_runtime.server.infer_request import check_count, shown
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import Buffer, Refusal
from seqc_runtime.server.oip_binary import aligned
from seqc_runtime.server.signature import Declared, Signature

_KINDS = "fiub"
_SAY = "text/csv; header=present or header=absent"
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npy(body: Buffer, limits: Limits, what: str = "the body") -> Array:
    """An array of NumPy's own format, over the memory of `body`. Raises Refusal (400)."""
    file = io.BytesIO(body)
    try:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"version {version}")
        shape, fortran, dtype = _HEADERS[version](file)
    except Exception as error:  # the header is a literal of Python, which fails in many ways
        raise Refusal(400, f"{what} is not npy: {str(error)[:200]}") from error
    if dtype.kind not in _KINDS:
        raise Refusal(400, f"{what} needs an array of numbers; got {dtype}"[:300])
    start, size = file.tell(), math.prod(shape) * dtype.itemsize
    if any(length < 0 for length in shape) or size != len(body) - start:
        raise Refusal(400, f"{what} has {len(body) - start} bytes of data; its shape {list(shape)} needs {size}")
    flat: Array = np.frombuffer(body, dtype, offset=start) if size else np.empty(0, dtype)
    if dtype.kind == "b" and size and flat.view(np.uint8).max() > 1:
        raise Refusal(400, f"{what} has booleans that are neither 0 nor 1")
    array = flat.reshape(shape, order="F" if fortran else "C")
    return aligned(array.astype(dtype.newbyteorder("="), order="C", copy=False))


def read_npz(body: Buffer, signature: Signature, limits: Limits) -> dict[str, Array]:
    """Arrays by name, of a zip file. signature: of the model they are for. Raises Refusal (400, 413)."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            entries = archive.infolist()
            check_count(len(entries), signature.inputs, "the body", limits)
            arrays: dict[str, Array] = {}
            room = limits.body
            for entry in entries:
                with archive.open(entry) as file:
                    content = file.read(room + 1)
                room -= len(content)
                if room < 0:
                    raise Refusal(413, f"the decompressed body is larger than {limits.body} bytes")
                name = entry.filename.removesuffix(".npy")
                if name in arrays:
                    raise Refusal(400, f"the body has the array {shown(name)} twice")
                arrays[name] = read_npy(content, limits, f"array {shown(name)}")
            return arrays
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError, EOFError, KeyError) as error:
        raise Refusal(400, f"the body is not npz: {str(error)[:200]}") from error
    except Exception as error:
        if type(error).__module__ in ("zlib", "lzma", "bz2"):
            raise Refusal(400, f"the body is not npz: {str(error)[:200]}") from error
        raise


def read_csv(body: Buffer, declared: Declared, limits: Limits, header: bool | None = None) -> Array:
    """A table, a row per sample, as `seqc-runtime score` reads it.

    header: whether its first line holds the names of columns; None finds out.

    Raises Refusal (400).
    """
    try:
        text = bytes(body).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refusal(400, f"the body is not CSV: {error}") from error
    if not text.strip():
        return np.empty((0,), declared.dtype)
    try:
        table = Table(io.StringIO(text, newline=""), "the body", (declared.info,), header, _SAY)
        rows = list(itertools.islice(table.rows, limits.rows + 1))
        if len(rows) > limits.rows:
            raise Refusal(400, f"the body has more than {limits.rows} rows")
        part = Part(declared.info, only_columns(declared.info, table.names), None)
        return read_values("the body", part, [table.names.index(name) for name in part.columns], rows, advice="")
    except RuntimeInputError as error:
        raise Refusal(400, str(error).replace(": say which with columns", "")) from error


def write_csv(names: list[str], results: list[Array], alone: bool) -> bytes:
    """A header and a row per sample, all outputs beside each other. Raises Refusal (406)."""
    columns: list[Array] = []
    header: list[str] = []
    for name, result in zip(names, results, strict=True):
        rows = result[None] if alone else result
        if not rows.ndim or (columns and len(rows) != len(columns[0])):
            raise Refusal(406, "the outputs do not have one row each per sample: accept application/json")
        flat = rows.reshape(len(rows), math.prod(rows.shape[1:]))
        columns.append(flat)
        header += [name] if rows.ndim == 1 else [f"{name}_{place}" for place in range(flat.shape[1])]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    parts = [one.tolist() for one in columns]
    writer.writerows([cell for part in row for cell in part] for row in zip(*parts, strict=True))
    return text.getvalue().encode("utf-8")
