"""What `seqc predict` writes: arrays of NumPy, tables, or JSON."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqc.cli._output import plain
from seqc.cli._tables import is_table
from seqc.errors import ConfigError, DataError
from seqc.utils.files import replace_file, write_file

if TYPE_CHECKING:
    from seqc.graph.ir import Array

ENDINGS = (".npy", ".npz", ".csv", ".parquet", ".json")


def check_fits(output: Path, names: Sequence[str], model: Path) -> None:
    """Finds out, before anything runs, whether a file can hold the results of these names.

    Raises:
        ConfigError: a .npy file is to hold several. RuntimeDependencyError: a package is missing that writes it.
    """
    kind = output.suffix.lower()
    if len(names) != 1 and kind == ".npy":
        raise ConfigError(
            f"{model} has {len(names)} outputs and a .npy file holds one array. Write a .npz file, with arrays "
            f"{', '.join(map(repr, names))}: -o {output.with_suffix('.npz')}"
        )
    if kind == ".parquet":
        from seqc_runtime.files.parquet import import_pyarrow

        import_pyarrow()


def write_results(path: Path, results: Mapping[str, Array], infos: Sequence[Any]) -> None:
    """Writes results into a file of the kind that its name says.

    A .npy file holds the only one, a .npz file arrays by name; a table has a row per sample, in .csv a column for each
    number of it; JSON is an object of nested lists by name, in which numbers that are not finite are null.

    Args:
        results: by the names of outputs; texts are objects. infos: the model's outputs, as seqc-runtime has them.

    Raises:
        DataError: a table is to hold results that have no row per sample. PathError: see `write_file`.
    """
    kind = path.suffix.lower()
    if is_table(path):
        _write_table(path, kind, results, infos)
    elif kind == ".json":
        write_file(path, (json.dumps(plain(results), ensure_ascii=False) + "\n").encode())
    else:
        write_file(path, _numpy_file(kind, results))


def _write_table(path: Path, kind: str, results: Mapping[str, Array], infos: Sequence[Any]) -> None:
    counts = {name: array.shape[:1] for name, array in results.items()}
    if len(set(counts.values())) != 1 or () in counts.values():
        shapes = ", ".join(f"'{name}' {array.shape}" for name, array in results.items())
        raise DataError(f"{path} needs one row for each sample; results have the shapes {shapes}. Write a .npz file.")
    rows = [(info, results[info.name]) for info in infos]
    with replace_file(path) as file:
        if kind == ".csv":
            from seqc_runtime.files.csv_files import CsvWriter

            text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
            CsvWriter(text).write(rows)
            text.detach()
        else:
            from seqc_runtime.files.parquet import ParquetWriter

            writer = ParquetWriter(file)
            writer.write(rows)
            writer.close()


def _numpy_file(kind: str, results: Mapping[str, Array]) -> bytes:
    import numpy as np

    known = {name: array.astype(str) if array.dtype == object else array for name, array in results.items()}
    content = io.BytesIO()
    if kind == ".npy":
        (only,) = known.values()
        np.save(content, only, allow_pickle=False)
    else:
        # Not by numpy.savez, which takes no output called "file".
        with zipfile.ZipFile(content, "w") as archive:
            for name, array in known.items():
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)
    return content.getvalue()
