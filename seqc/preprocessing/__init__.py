"""Where Keras keeps what prepares data; everything is in `seqc.utils`, too."""

from __future__ import annotations

from typing import Any

from seqc import utils
from seqc.preprocessing import image, sequence
from seqc.utils.absent import absent

_SETS = ("image_dataset_from_directory", "text_dataset_from_directory", "timeseries_dataset_from_array")
__all__ = ["image", "sequence", *_SETS]

_absent = absent(__name__, __all__)


def __getattr__(name: str) -> Any:
    return getattr(utils, name) if name in _SETS else _absent(name)


def __dir__() -> list[str]:
    return __all__
