"""Files that another file says its weights are in: they lie beside it, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

from seqc.errors import PathError, SavingError
from seqc.utils.files import open_file


def open_beside(path: str | Path, name: Any) -> BinaryIO:
    """Opens a file in the folder of another.

    Args:
        path: the file that names it. name: what it says.

    Raises:
        SavingError: that is no name of a file beside it, or there is none.
    """
    if not isinstance(name, str) or Path(name).name != name or "\\" in name or name in ("", ".", ".."):
        raise SavingError(f"'{path}' says that its weights are in {name!r}, which is no file beside it. Refused.")
    try:
        return open_file(Path(path).parent / name)
    except FileNotFoundError as error:
        raise SavingError(f"'{path}' keeps weights in '{name}', which is missing: put it beside the file.") from error
    except PathError as error:
        raise SavingError(str(error)) from error
