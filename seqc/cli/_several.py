"""Commands that do the same to several files: which files are meant, a bar while they run, a table at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer

from seqc.cli._kinds import KERAS, kind_of
from seqc.cli._output import Screen, count
from seqc.errors import ConfigError, SeqcError
from seqc.text import shorten

# Names that model files usually have; in a folder, these are meant, and what holds a model under any other.
ENDINGS = (".keras", ".h5", ".hdf5")
# Of a reason in a table, in characters.
_LONGEST = 300


def expanded(sources: Sequence[Path]) -> list[Path]:
    """Returns the files that are meant by files, folders and patterns such as `models/*.h5`.

    Raises:
        ConfigError: a folder or pattern leads to no model file.
    """
    found: list[Path] = []
    for source in sources:
        inside = [source]
        if source.is_dir():
            inside = sorted(p for p in source.iterdir() if _is_meant(p))
        elif is_pattern(source):
            inside = sorted(source.parent.glob(source.name))
        if not inside:
            raise ConfigError(f"There is no model file in {source}: none ends in {', '.join(ENDINGS)} or is one.")
        found += inside
    return list(dict.fromkeys(found))


def is_pattern(source: Path) -> bool:
    """Tells whether a path is a pattern, which some shells leave alone."""
    return not source.exists() and any(sign in source.name for sign in "*?[")


def _is_meant(path: Path) -> bool:
    if path.suffix in ENDINGS or path.name == "model.json":
        return True
    return path.is_file() and path.suffix != ".py" and kind_of(path) in (KERAS, "an HDF5 file")


def targets(sources: Sequence[Path], folder: Path, ending: str) -> list[Path]:
    """Returns where in a folder the results for files go; files of one name get the folder that they are in in front.

    Args:
        sources: the files. folder: where to. ending: of the names of the results.
    """
    stems = [source.stem for source in sources]
    names = [
        stem if stems.count(stem) == 1 else f"{source.resolve().parent.name}_{source.name.replace('.', '_')}"
        for source, stem in zip(sources, stems, strict=True)
    ]
    if len(set(names)) < len(names):
        raise ConfigError("Several of these files would be written under one name. Give them apart.")
    return [folder / f"{name}{ending}" for name in names]


def each(show: Screen, sources: Sequence[Path], work: Callable[[Path], tuple[Any, Any]]) -> tuple[list[Any], int]:
    """Does something to each file, with a bar on a terminal, and prints a table of what came of it.

    Args:
        show: where to print. sources: the files. work: returns a word for the table, and the result for JSON.

    Returns:
        The results for JSON, and how many files failed.
    """
    from rich.console import Console
    from rich.progress import track

    console = Console(file=sys.stderr)
    rows: list[tuple[str, str, str]] = []
    results: list[Any] = []
    for source in track(sources, "", console=console, transient=True, disable=not console.is_terminal):
        try:
            word, result = work(source)
            rows.append((str(source), "done", word))
            results.append({"source": str(source), "done": True, "result": result})
        except (SeqcError, OSError) as error:
            text = str(error)
            rows.append((str(source), "failed", shorten(text, _LONGEST)))
            results.append({"source": str(source), "done": False, "error": text})
    failed = sum(not one["done"] for one in results)
    show.table(("file", "", "result"), rows)
    show.line()
    show.line(f"{count(len(results) - failed, 'file')} done, {failed} failed." if failed else "All done.")
    return results, failed


def finish(failed: int) -> None:
    """Ends the command with exit code 1 where files failed."""
    if failed:
        raise typer.Exit(1)
