"""Folders of texts, one for each class, as data to train with."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np

from seqc.errors import DataError
from seqc.graph.ir import Array
from seqc.utils.folders import Folder


def text_dataset_from_directory(
    directory: str | PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """Returns the texts in a folder, batch by batch, as strings (batch,); `fit` takes them.

    Args:
        directory: the folder; texts are in files `.txt`, in UTF-8.
        max_length: bytes after which a text is cut off.
        labels, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset, follow_links, format,
        verbose: see `image_dataset_from_directory`.

    Raises:
        ConfigError: an argument makes no sense. DataError: there are no texts, or one is not in UTF-8.
    """
    folder = Folder(
        str(directory), (".txt",), labels, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset,
        follow_links, format, verbose,
    )  # fmt: skip
    return folder.datasets(lambda paths: _together([_text(path, max_length) for path in paths]))


def _together(texts: list[str]) -> Array:
    # NumPy's own texts lose NUL characters at their end.
    return np.array(texts, object if any(text.endswith("\0") for text in texts) else str)


def _text(path: str, max_length: int | None) -> str:
    with open(path, "rb") as file:
        content = file.read() if max_length is None else file.read(max_length)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        if max_length is not None and error.end == len(content) and error.reason == "unexpected end of data":
            return content[: error.start].decode("utf-8")  # cut off within a letter
        raise DataError(f"'{path}' is not a text in UTF-8 ({error}).") from error
