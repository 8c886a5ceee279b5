"""Run a model over a file of samples and write the results to another, holding only a few samples at a time."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from seqc_runtime.batches import Batch, check_batch_size
from seqc_runtime.errors import RuntimeArgumentError, RuntimeInputError
from seqc_runtime.files.columns import Choice, check_rows
from seqc_runtime.files.places import check_target, naming, replacing
from seqc_runtime.inputs import Array
from seqc_runtime.model import Model
from seqc_runtime.tensors import UNNAMED, TensorInfo

STANDARD = "-"
KINDS = (".csv", ".npy", ".npz", ".parquet")
BATCH_SIZE = 1024

Feeds = dict[str, Array]
# Runs chunk after chunk and gives their outputs in order, each a list.
Engine = Callable[[Iterator[Feeds]], Generator[list[Array]]]
# Told how many samples are done, and how many there seem to be, None when nothing tells.
Told = Callable[[int, int | None], None]


class Reader(Protocol):
    """Samples of a file."""

    def chunks(self, step: int) -> Iterator[Feeds]:
        """Inputs of up to `step` samples each; at least one, which may be empty."""

    def expected(self, done: int) -> int | None:
        """How many samples there are, or seem to be after `done` of them; None when nothing tells."""


class Writer(Protocol):
    """Takes results in order."""

    def write(self, results: Sequence[tuple[TensorInfo, Array]]) -> None:
        """Append rows."""

    def close(self) -> None:
        """Finish the file."""

    def discard(self) -> None:
        """Let go of the file, which nobody will see."""


@dataclass(frozen=True)
class Reading:
    """How a file of samples is to be read.

    columns: which hold which input (csv, parquet). header: whether the first line of a csv file holds names, None to
    find out. missing: what to put where a number is missing; None makes that an error.
    """

    columns: Choice | None = None
    header: bool | None = None
    missing: float | None = None


def score(
    model: Model,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    batch_size: int | None = None,
    reading: Reading | None = None,
    engine: Engine | None = None,
    told: Told | None = None,
) -> int:
    """Run a model over the samples of a file; the number of them.

    source: a .csv, .npy, .npz or .parquet file; "-" is a csv table on standard input.
    target: a file of one of these kinds, which appears when it is whole; "-" is a csv table on standard output.
    batch_size: samples per run. Default: 1024, or what the model is fixed to; the last are then filled up with one of
    theirs, whose outputs are left out.
    engine: what runs the model on each chunk; this process, unless told. told: called after each chunk.

    Raises RuntimeArgumentError and RuntimeInputError for what cannot be read, run or written, and what predict raises.
    """
    source, target = os.fspath(source), os.fspath(target)
    _check_names(source, target)
    if not model.inputs:
        raise RuntimeInputError("the model has no inputs, so there are no samples to run it on")
    batch = model.batch or Batch(UNNAMED, (model.inputs[0].name,))
    step, fixed = _step(model, batch, batch_size), batch.size if isinstance(batch.size, int) else 0
    run = engine or partial(_run_here, model)
    done = 0
    with _open_reader(source, model.inputs, batch, reading or Reading()) as reader, _open_writer(target) as writer:
        counts: list[int] = []
        with contextlib.closing(run(_counted(reader.chunks(step), batch, counts, fixed))) as running:
            for results in running:
                count = counts.pop(0)
                made = check_rows(results, model.outputs, max(count, fixed))
                rows = [(info, result[:count]) for info, result in made]
                with naming(Path(target)):
                    writer.write(rows)
                done += count
                if told is not None:
                    told(done, reader.expected(done))
    return done


def _run_here(model: Model, chunks: Iterator[Feeds]) -> Generator[list[Array]]:
    for feeds in chunks:
        results = model.predict(feeds)
        yield results if isinstance(results, list) else [results]


def _counted(chunks: Iterator[Feeds], batch: Batch, counts: list[int], least: int) -> Iterator[Feeds]:
    """The chunks, with their samples counted. least: how many samples each is filled up to, with its last."""
    for feeds in chunks:
        count = len(feeds[batch.inputs[0]])
        counts.append(count)
        yield {name: _filled(array, least) if name in batch.inputs else array for name, array in feeds.items()}


def _filled(array: Array, least: int) -> Array:
    """An array of samples with its last as often more as it takes; of none, with some made up."""
    count = len(array)
    if count >= least:
        return array
    if not count:
        return np.full((least, *array.shape[1:]), "0" if array.dtype.kind in "OU" else 0, array.dtype)
    return array[np.minimum(np.arange(least), count - 1)]


def _step(model: Model, batch: Batch, batch_size: int | None) -> int:
    fixed = batch.size if isinstance(batch.size, int) else None
    if batch_size is None:
        return fixed or BATCH_SIZE
    step = check_batch_size(batch_size)
    if fixed is not None and step != fixed:
        first = next(info for info in model.inputs if info.name == batch.inputs[0])
        raise RuntimeArgumentError(
            f"--batch-size {step}: input {first.name!r} is {first}, so the model runs on {fixed} samples at a time"
        )
    return step


def _check_names(source: str, target: str) -> None:
    for role, name in (("the input", source), ("--output", target)):
        if name != STANDARD and Path(name).suffix.lower() not in KINDS:
            raise RuntimeArgumentError(f"{role} needs a file that ends in {', '.join(KINDS)}, or -; got {name!r}")
    for role, name, stream in (("the input", source, sys.stdin), ("--output", target, sys.stdout)):
        # The command puts this there where nothing was; what a shell was told to throw away has another name.
        if name == STANDARD and (stream is None or getattr(stream, "name", "") == os.devnull):
            raise RuntimeArgumentError(f"{role} is -, and this process was started with that closed")
    if source != STANDARD and not Path(source).is_file():
        raise RuntimeArgumentError(f"there is no file {source!r}")
    if target != STANDARD:
        check_target(Path(target))
        if source != STANDARD and os.path.exists(target) and os.path.samefile(source, target):
            raise RuntimeArgumentError(f"--output {target!r} is the input: give another name")


@contextlib.contextmanager
def _open_reader(source: str, infos: Sequence[TensorInfo], batch: Batch, reading: Reading) -> Iterator[Reader]:
    path, kind = Path(source), Path(source).suffix.lower()
    if kind in (".npy", ".npz"):
        from seqc_runtime.files.arrays import open_npy, open_npz

        if reading != Reading():
            raise RuntimeArgumentError(f"--columns, --header and --missing are for tables; {source!r} holds arrays")
        with (open_npy if kind == ".npy" else open_npz)(path, infos, batch.inputs) as arrays:
            yield arrays
    elif kind == ".parquet":
        from seqc_runtime.files.parquet import open_parquet

        if reading.header is not None:
            raise RuntimeArgumentError("--header and --no-header are for csv; Parquet files name their columns")
        with open_parquet(path, infos, reading.columns, reading.missing) as table:
            yield table
    else:
        from seqc_runtime.files.csv_files import CsvReader

        with _open_text(source) as stream:
            yield CsvReader(stream, source, infos, reading.columns, reading.header, reading.missing)


def _open_text(source: str) -> Any:
    # Spreadsheets put a byte order mark in front.
    if source == STANDARD:
        return contextlib.nullcontext(io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", newline=""))
    return open(source, encoding="utf-8-sig", newline="")


@contextlib.contextmanager
def _open_writer(target: str) -> Iterator[Writer]:
    if target == STANDARD:
        from seqc_runtime.files.csv_files import CsvWriter

        yield CsvWriter(sys.stdout)
        sys.stdout.flush()
        return
    with replacing(Path(target)) as part:
        writer = _writer(Path(target).suffix.lower(), part)
        try:
            yield writer
        except BaseException:
            writer.discard()
            raise
        with naming(Path(target)):
            writer.close()


def _writer(kind: str, part: Path) -> Writer:
    if kind == ".csv":
        from seqc_runtime.files.csv_files import CsvWriter

        return CsvWriter(open(part, "w", encoding="utf-8", newline=""))
    if kind == ".parquet":
        from seqc_runtime.files.parquet import ParquetWriter

        return ParquetWriter(part)
    from seqc_runtime.files.arrays import NpyWriter, NpzWriter

    return NpyWriter(part) if kind == ".npy" else NpzWriter(part)
