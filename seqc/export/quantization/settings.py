"""What is asked of a quantization, checked before any work."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from typing import Any

from seqc.errors import ArgumentTypeError, ConfigError
from seqc.export.options import check_flags

PURPOSES = ("speed", "size")
MEASURES = ("auto", "argmax", "error")
# Of samples that ranges of activations are taken from: more hardly changes them.
CALIBRATION_SAMPLES = 256
# A result counts as faster, or as smaller, from this ratio on: less is within what timings vary, or not worth a change.
LEAST_GAIN = 1.05


@dataclass(frozen=True)
class Settings:
    """What is asked.

    Attributes:
        purpose: what the result has to be, "speed" or "size". max_drop: how much of the score it may lose, 0.005 for
        half a percentage point. batch_size: samples per run. threads: for one operation; None leaves the choice to
        onnxruntime. measure: how outputs without labels are compared: "argmax", "error", or "auto" to tell by what
        they look like. calibration: how many samples ranges are taken from. plain: whether only operators of ONNX
        itself may be used, none of onnxruntime's own.
    """

    purpose: str = "speed"
    max_drop: float = 0.005
    batch_size: int = 1
    threads: int | None = None
    measure: str = "auto"
    calibration: int = CALIBRATION_SAMPLES
    plain: bool = False

    def __post_init__(self) -> None:
        _one_of("purpose", self.purpose, PURPOSES)
        _one_of("measure", self.measure, MEASURES)
        check_flags(plain=self.plain)
        for name in ("batch_size", "calibration", "threads"):
            value = getattr(self, name)
            if value is None and name == "threads":
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                raise ArgumentTypeError(f"{name} must be a whole number; got {value!r}.")
            if value < 1:
                raise ConfigError(f"{name} must be at least 1; got {value}.")
        drop = self.max_drop
        if isinstance(drop, bool) or not isinstance(drop, int | float):
            raise ArgumentTypeError(f"max_drop must be a number, 0.005 for half a percentage point; got {drop!r}.")
        if not math.isfinite(drop) or not 0 <= drop < 1:
            raise ConfigError(f"max_drop must be at least 0 and below 1, 0.005 for half a percent; got {drop}.")

    def to_dict(self) -> dict[str, Any]:
        """Returns the settings as JSON can hold them."""
        return asdict(self)


def parse_drop(text: str) -> float:
    """Returns the number that a text such as "0.5%" or "0.005" says.

    Raises:
        ConfigError: it says none.
    """
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*(%?)\s*", text)
    if found is None:
        raise ConfigError(f"--max-drop takes a share, such as 0.5% or 0.005; got '{text}'.")
    number = float(found[1])
    if not found[2] and number >= 1:
        raise ConfigError(f"--max-drop {text} is all there is to lose; for {text} percentage points write {text}%.")
    return number / 100 if found[2] else number


def _one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{name} must be one of {', '.join(known)}; got {value!r}.")
