"""A model's files on the disk: the .onnx file and, where they are large or asked for, its weights in one beside it.

Both are made in a folder of their own, where they are verified, and come to their place together. The name of the file
with weights says what is in it, `m.onnx.0123456789abcdef.data`: it comes first and disturbs nothing that is there; then
the model respans the old one in a single step; then the old weights go, unless another file beside it names them.
Whatever ends this between two steps, the path has a model with its own weights.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx

from seqc.errors import PathError, SeqcError
from seqc.export import wire
from seqc.export.emitter import Emission
from seqc.export.record import file_hash, is_of_another, record_path
from seqc.graph.ir import Array
from seqc.utils.files import beside, check_target, reason, take_mode
from seqc.utils.working import Tell, nobody

HASH = "seqc.data_sha256"
# Smaller arrays stay in the model, shapes and axes among them, which onnxruntime looks for there.
LEAST = 1024
# Where arrays begin: large ones where a page of memory may, as ONNX advises for those who map the file.
_PAGE, _LINE = 4096, 64
_LARGE = 2**16
# What is written between two looks at how far it is.
_CHUNK = 2**24
# Of a model whose weights are somewhere else; a larger file holds its own.
_MOST_READ = 2**26
# Of all files beside a model in which its weights are looked for, before they go.
_MOST_SEARCHED = 2**28
_DIGITS = 16


class NewFiles:
    """The files of an export before they are in their place.

    Attributes:
        target: the place of the model. model: where it is until then. data: the name of the file with weights, if there
        is one. hash: SHA-256 of the model, once it is written. sizes: bytes written, by file name.
    """

    def __init__(self, target: Path, folder: Path, given: str | os.PathLike[str]) -> None:
        self.target, self.folder = target, folder
        self.model = folder / target.name
        self.data: str | None = None
        self.hash = ""
        self._size, self._came = 1, False
        self._record: Path | None = None
        # Where records of what was there may be: a path may be a link.
        self._records = {Path(record_path(path)) for path in (target, given)}
        self.sizes: dict[str, int] = {}
        self._new_record, self._old_record = folder / "record", folder / "old record"
        # What was not there before the files came, and what nobody needs after.
        self._placed: list[Path] = []
        self._old: list[Path] = []

    def write(self, emission: Emission, outside: bool, tell: Tell = nobody) -> None:
        """Writes a model.

        Args:
            outside: whether its weights lie beside it, where some are not small. tell: is told how far it is.

        Raises:
            OSError: the disk is full, or fails.
        """
        self._size = max(emission.size, 1)
        frame, arrays, spans = emission.frame, emission.arrays, {}
        offsets = place(arrays) if outside else {}
        if offsets:
            digest = self._write("weights", _data(arrays, offsets), tell)
            self.data = data_name(self.target, digest)
            os.rename(self.folder / "weights", self.folder / self.data)
            self.sizes[self.data] = self.sizes.pop("weights")
            spans = {label: wire.Span(self.data, at, arrays[label].nbytes) for label, at in offsets.items()}
            frame = onnx.ModelProto()
            frame.CopyFrom(emission.frame)
            frame.metadata_props.add(key=HASH, value=digest)
        self.hash = self._write(self.target.name, wire.pieces(frame, arrays, spans), tell)

    def write_bytes(self, content: bytes) -> None:
        """Writes a model that is there as a whole.

        Raises:
            OSError: the disk is full, or fails.
        """
        self.hash = self._write(self.target.name, iter((content,)), nobody)

    def add(self, path: str | os.PathLike[str], content: bytes) -> None:
        """Writes one more file, a record of the model, that is to lie beside it."""
        self._record = check_target(path)
        with open(self._new_record, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def _write(self, name: str, pieces: Iterator[bytes | memoryview], tell: Tell) -> str:
        """Writes one file, through to the disk, and returns the SHA-256 of what is in it."""
        digest, done = hashlib.sha256(), 0
        with open(self.folder / name, "xb") as file:
            for piece in pieces:
                view = memoryview(piece)
                for start in range(0, view.nbytes, _CHUNK):
                    part = view[start : start + _CHUNK]
                    digest.update(part)
                    file.write(part)
                    done += part.nbytes
                    tell("writing", done, self._size)
            file.flush()
            os.fsync(file.fileno())
            self.sizes[name] = file.tell()
        return digest.hexdigest()

    def come(self) -> None:
        """Brings the files to their place, the model last."""
        before = [file for file in own_data(self.target) if file.name != self.data]
        self._old = [file for file in before if not _is_shared(file, self.target)]
        if self.data is not None:
            self._place(self.folder / self.data, self.target.with_name(self.data))
            _sync(self.target.parent)
        if self._record is not None:
            if self._record.exists():
                os.rename(shutil.copy2(self._record, self.folder / "copy"), self._old_record)  # whole, or not there
            self._place(self._new_record, self._record)
        self._old += [record for record in self._records if is_of_another(record, self.hash)]
        take_mode(self.model, self.target)
        os.replace(self.model, self.target)
        self._came = True

    def end(self) -> None:
        """Removes what is not in its place; if that is the model, what came before it as well."""
        # It may have gone otherwise, if somebody tidied up.
        came = self._came or (
            bool(self.hash) and not self.model.exists() and self.target.exists() and file_hash(self.target) == self.hash
        )
        if not came and self._record is not None and self._old_record.exists():
            with contextlib.suppress(OSError):
                os.replace(self._old_record, self._record)
        for path in self._old if came else self._placed:
            with contextlib.suppress(OSError):
                path.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _place(self, file: Path, place: Path) -> None:
        take_mode(file, self.target)
        if not place.exists():
            self._placed.append(place)
        os.replace(file, place)


@contextlib.contextmanager
def new_files(path: str | os.PathLike[str]) -> Iterator[NewFiles]:
    """Gives a place for an export's files, and brings them to a path once everything inside went well.

    Raises:
        MissingFolderError: the folder does not exist. PathError: see `check_target`; or the disk is full or fails.
        Nothing is left behind then, and what was there is as it was.
    """
    target = check_target(path)
    files = NewFiles(target, beside(target), path)
    try:
        files.folder.mkdir(0o700)
        yield files
        files.come()
        files.end()
    except BaseException as error:
        files.end()
        if isinstance(error, OSError) and not isinstance(error, SeqcError):
            raise PathError(f"Cannot write '{os.fspath(path)}': {reason(error)}.") from error
        raise


def check_beside(path: str | os.PathLike[str]) -> None:
    """Finds out, before any work is done for it, whether other files can lie beside a model's.

    Raises:
        PathError: the path is a link to another folder, where they would not be found; or the name is too long.
    """
    target = Path(os.path.realpath(path))
    if target.parent != Path(os.path.realpath(os.path.dirname(os.path.abspath(path)))):
        raise PathError(
            f"Cannot write '{os.fspath(path)}' and another file beside it: it is a link to '{target}', and whoever "
            "loads it looks beside the link. Give the path that it leads to."
        )
    name = data_name(target, "0" * _DIGITS)
    if len(os.fsencode(name)) > 255:
        raise PathError(f"Cannot write '{name}': the name is too long. Choose a shorter one for the model.")


def data_name(target: Path, digest: str) -> str:
    """Returns the name of the file with a model's weights, of which the SHA-256 is known."""
    return f"{target.name}.{digest[:_DIGITS]}.data"


def own_data(target: Path) -> list[Path]:
    """Returns the files beside a model of seqc's with its weights; of other models and of no model none."""
    pattern = re.compile(re.escape(target.name) + rf"\.[0-9a-f]{{{_DIGITS}}}\.data")
    try:
        if not 0 < target.stat().st_size <= _MOST_READ:
            return []
        model = onnx.ModelProto()
        model.ParseFromString(target.read_bytes())
        named = {entry.value for t in model.graph.initializer for entry in t.external_data if entry.key == "location"}
    except Exception:  # what was there may be anything; protobuf's error types differ between its implementations
        return []
    return [target.with_name(name) for name in sorted(named) if pattern.fullmatch(name)]


def _is_shared(data: Path, target: Path) -> bool:
    """Tells whether another file beside a model may need its weights, such as a copy of it under another name.

    Where there is too much to look through, it may.
    """
    name, left = os.fsencode(data.name), _MOST_SEARCHED
    try:
        for file in data.parent.iterdir():
            # What leads to the model is the new one afterwards.
            if ".onnx" not in file.name or file.suffix == ".data" or file.resolve() == target or not file.is_file():
                continue
            size = file.stat().st_size
            if size <= _MOST_READ:
                left -= size
                if left < 0 or name in file.read_bytes():
                    return True
    except (OSError, RuntimeError):
        return True
    return False


def place(arrays: Mapping[str, Array]) -> dict[str, int]:
    """Returns where each array begins in a file of those that are not small."""
    offsets, end = {}, 0
    for label, array in arrays.items():
        if array.dtype != object and array.nbytes >= LEAST:
            step = _PAGE if array.nbytes >= _LARGE else _LINE
            offsets[label] = -(-end // step) * step
            end = offsets[label] + array.nbytes
    return offsets


def _data(arrays: Mapping[str, Array], offsets: Mapping[str, int]) -> Iterator[bytes | memoryview]:
    end = 0
    for label, at in offsets.items():
        yield bytes(at - end)
        yield wire.raw(arrays[label])
        end = at + arrays[label].nbytes


def _sync(folder: Path) -> None:
    """Has the names in a folder on the disk, where the system can do that."""
    with contextlib.suppress(OSError):
        handle: Any = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
