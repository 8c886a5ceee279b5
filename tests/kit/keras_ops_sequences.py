"""Calls of functions of connectionist temporal classification of `keras.ops` for `keras_ops_cases`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

# Two samples of six steps and four classes, in which some best classes follow themselves.
LOGITS = (2 * np.sin(np.arange(48) * 1.7 + np.arange(48) // 9)).astype("float32").reshape(2, 6, 4)
LABELS = np.array([[1, 1, 3], [2, 0, 0]], np.int32)
LABEL_LENGTHS, LENGTHS = np.array([3, 1], np.int32), np.array([6, 4], np.int32)


def _beam(k: Any, part: int, **options: Any) -> Any:
    return k.ctc_decode(LOGITS, LENGTHS, "beam_search", **options)[part]


SEQUENCES: dict[str, Callable[[Any], Any]] = {
    "ctc_loss": lambda k: k.ctc_loss(LABELS, LOGITS, LABEL_LENGTHS, LENGTHS),
    "ctc_loss with another mask": lambda k: k.ctc_loss(LABELS % 3, LOGITS, LABEL_LENGTHS, LENGTHS, mask_index=3),
    "ctc_decode": lambda k: k.ctc_decode(LOGITS, LENGTHS)[0],
    "ctc_decode scores": lambda k: k.ctc_decode(LOGITS, LENGTHS)[1],
    "ctc_decode with repetitions": lambda k: k.ctc_decode(LOGITS, LENGTHS, merge_repeated=False)[0],
    "ctc_decode with another mask": lambda k: k.ctc_decode(LOGITS, LENGTHS, mask_index=2)[0],
    "ctc_decode of beams": lambda k: _beam(k, 0, beam_width=4, top_paths=3),
    "ctc_decode of beams, scores": lambda k: _beam(k, 1, beam_width=4, top_paths=3),
    "ctc_decode of wide beams": lambda k: _beam(k, 0, top_paths=5, mask_index=3),
    "ctc_decode of wide beams, scores": lambda k: _beam(k, 1, top_paths=5, mask_index=3),
}
