"""A model looked at as the server does before its samples run together."""

from __future__ import annotations

from typing import Any

import seqc_runtime
from seqc_runtime.server.probe import Wishes, probe


def probed(data: bytes, **wishes: Any) -> tuple[Any, str]:
    batching, notes = probe(seqc_runtime.load(data, device="cpu", threads=1), Wishes(**wishes))
    return batching, " / ".join(notes)
