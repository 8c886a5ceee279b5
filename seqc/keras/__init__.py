"""seqc under the name of Keras: `from seqc.keras.layers import Dense` is `from seqc.layers import Dense`."""

from __future__ import annotations

from typing import Any

import seqc
from seqc._aliases import add_alias

add_alias("seqc.keras", "seqc")


def __getattr__(name: str) -> Any:
    return getattr(seqc, name)


def __dir__() -> list[str]:
    return dir(seqc)
