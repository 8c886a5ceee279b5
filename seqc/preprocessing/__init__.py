"""Where Keras keeps what prepares data; everything is in `seqc.utils`, too."""

from __future__ import annotations

from seqc.preprocessing import image, sequence
from seqc.utils.absent import absent, late

_SETS = ("image_dataset_from_directory", "text_dataset_from_directory", "timeseries_dataset_from_array")
__all__ = ["image", "sequence", *_SETS]

__getattr__ = late(__name__, dict.fromkeys(_SETS, "seqc.utils"), absent(__name__, __all__))


def __dir__() -> list[str]:
    return __all__
