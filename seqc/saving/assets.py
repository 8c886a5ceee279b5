"""Files that layers keep in a model's file: Keras's `save_assets(dir_path)` and `load_assets(dir_path)`.

A layer writes them to a folder, and finds them in one when it is loaded. Those of layers that ask for none are never
unpacked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from seqc.errors import SavingError
from seqc.layers.base import Layer

# How deep the files of a layer may lie.
MOST_FOLDERS = 64


def written_assets(layers: Iterable[tuple[str, Layer]]) -> dict[str, bytes]:
    """Returns the files that layers write, by path; the folder of each is that of its weights.

    Raises:
        SavingError: a file has a name that no archive may hold.
    """
    asked = [(path, layer) for path, layer in layers if hasattr(layer, "save_assets")]
    if not asked:
        return {}
    with TemporaryDirectory() as root:
        for path, layer in asked:
            folder = Path(root, path)
            folder.mkdir(parents=True, exist_ok=True)
            layer.save_assets(str(folder))
        files = sorted(file for file in Path(root).rglob("*") if file.is_file())
        return {_checked(file.relative_to(root).as_posix()): file.read_bytes() for file in files}


def _checked(name: str) -> str:
    if "\\" in name or ":" in name or not name.isprintable():
        raise SavingError(
            f"A layer's save_assets() wrote a file {name!r}. Backslashes, colons and what cannot be printed have no "
            "place in the name of a file in an archive: choose another one."
        )
    return name


def give_assets(layer: Any, files: Mapping[str, bytes]) -> None:
    """Has a layer load its files from a folder, which is gone afterwards.

    Args:
        layer: has `load_assets`. files: by path in the folder; none of them leads out of it.

    Raises:
        SavingError: they cannot lie in a folder: one has a name that a folder has, or that is too long.
    """
    with TemporaryDirectory() as root:
        try:
            for name, content in files.items():
                if name.count("/") >= MOST_FOLDERS:  # they are made one inside another, and each takes a call
                    raise OSError(f"{name[:40]!r}... lies in more than {MOST_FOLDERS} folders")
                file = Path(root, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                with file.open("xb") as opened:
                    opened.write(content)
        except (OSError, ValueError) as error:
            raise SavingError(f"The files of layer '{layer.name}' cannot be unpacked: {error}.") from error
        layer.load_assets(root)
