"""Arrays of a model's inputs and outputs in NumPy's files: one in .npy, several by name in .npz."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqc.cli._kinds import ARCHIVE, NUMPY, kind_of, refuse_other_kinds, require_file
from seqc.cli._tables import is_table, read_table
from seqc.errors import ConfigError, DataError

if TYPE_CHECKING:
    from seqc.graph.ir import Array
    from seqc.training.arrange import Port


def read_inputs(
    x: Path | None, named: Sequence[str], ports: Sequence[Port], model: Path, missing: float | None = None
) -> dict[str, Array]:
    """Returns the array of each input of a model.

    Args:
        x: a .npy file for the one input, a .npz file, or a table. named: NAME=FILE.npy for each. ports: the model's
        inputs. model: its file, for messages. missing: what to put where a table has no number.

    Raises:
        ConfigError: nothing is given, or both, or something that names no file. DataError: a file is damaged, an input
        is missing, or an array is for none.
    """
    names = [port.name for port in ports]
    if missing is not None and not (x is not None and is_table(x)):
        raise ConfigError("--missing is for tables, .csv and .parquet; arrays have a number everywhere.")
    if x is not None and named:
        raise ConfigError("Give either X or --input NAME=FILE.npy for each input, not both.")
    if x is None and not named:
        raise ConfigError(f"Nothing to run {model} on. {_how(names)}")
    if x is not None and is_table(x):
        return read_table(x, ports, missing=missing).x
    if x is None:
        found, where = {name: read_array(path) for name, path in _parsed(named, names, model).items()}, "--input names"
    elif x.suffix == ".npz" or (x.is_file() and kind_of(x) == ARCHIVE):
        found, where = read_archive(x), f"{x} holds"
    else:
        array = read_array(x)
        if len(names) != 1:
            raise DataError(f"{model} has {len(names)} inputs, and {x} holds one array. {_how(names)}")
        return {names[0]: array}
    absent, unknown = [n for n in names if n not in found], [n for n in found if n not in names]
    if absent or unknown:
        what = [f"{_quoted(absent)} missing"] if absent else []
        what += [f"{_quoted(unknown)} no input of it"] if unknown else []
        held = _quoted(list(found)) or "nothing"
        raise DataError(f"{model} takes {_quoted(names)}; {where} {held}: {', '.join(what)}. {_how(names)}")
    return {name: found[name] for name in names}


def _how(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"Name a .npy file as X, or --input {names[0]}=FILE.npy."
    each = " ".join(f"--input {name}=FILE.npy" for name in names)
    return f"Give a .npz file with arrays of the names {_quoted(names)}, or {each}."


def _parsed(given: Sequence[str], names: Sequence[str], model: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for text in given:
        # Names and paths may hold "=" too; a name of the model's goes first.
        name = max((n for n in names if text.startswith(f"{n}=")), key=len, default=text.partition("=")[0])
        path = text[len(name) + 1 :]
        if not path:
            raise ConfigError(f"--input takes NAME=FILE.npy; got '{text}'. {_how(names)}")
        if name in found:
            raise ConfigError(f"--input names '{name}' twice: {found[name]} and {path}.")
        found[name] = Path(path)
    return found


def read_array(path: Path) -> Array:
    """Returns the array of a .npy file; its elements are read when they are needed.

    Raises:
        DataError: it is not there, not a .npy file, cut off, or holds Python objects, which are never loaded.
    """
    import numpy as np

    require_file(path)
    refuse_other_kinds(path, NUMPY)
    with path.open("rb") as file:
        if file.read(6) != np.lib.format.MAGIC_PREFIX:
            raise DataError(f'{path} is not a .npy file. Write one with numpy.save("x.npy", x).')
    try:
        # Mapped, a file that promises more elements than it has is refused before any memory is taken for them.
        array: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged header ends in errors of many kinds, SyntaxError among them
        raise _damaged(str(path), error) from error
    return np.asarray(array)


def read_archive(path: Path) -> dict[str, Array]:
    """Returns the arrays of a .npz file by name.

    Raises:
        DataError: it is not there, no .npz file, damaged, or holds Python objects, which are never loaded.
    """
    require_file(path)
    refuse_other_kinds(path, ARCHIVE)
    try:
        with zipfile.ZipFile(path) as archive:
            return {info.filename.removesuffix(".npy"): _member(archive, info, path) for info in archive.infolist()}
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(
            f'{path} is no .npz file, or damaged: {error}. Write one with numpy.savez("x.npz", a=a).'
        ) from error


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> Array:
    import numpy as np

    where = f"'{info.filename}' in {path}"
    try:
        with archive.open(info) as file:
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = header(file)
            needed = prod(shape) * dtype.itemsize + file.tell()
        # What is promised but not there would be memory taken for nothing.
        if not dtype.hasobject and needed != info.file_size:
            raise DataError(f"{where} is damaged: its header promises {needed:,} bytes, and it has {info.file_size:,}.")
        with archive.open(info) as file:
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
    except (ValueError, SyntaxError, TypeError, ArithmeticError) as error:
        if isinstance(error, DataError):
            raise
        raise _damaged(where, error) from error


def _damaged(where: str, error: Exception) -> DataError:
    if "Python objects" in str(error) or "Object arrays" in str(error):
        return DataError(f"{where} holds Python objects, which are never loaded; save an array of numbers.")
    early = "mmap length" in str(error) or isinstance(error, ArithmeticError)
    return DataError(
        f"{where} is damaged: {'it ends before its last number' if early else 'its header makes no sense'}."
    )


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
