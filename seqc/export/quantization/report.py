"""What a quantization came to, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seqc.text import rows_text, table_text, terminal_width

HEADER = ("recipe", "score", "drop", "bytes", "ratio", "time", "speed", "layers in float", "")
RIGHT = (1, 2, 3, 4, 5, 6)


@dataclass(frozen=True)
class Row:
    """One recipe.

    Attributes:
        recipe: its name. what: in words. score, drop: of the output that loses most; None where nothing ran. in_float:
        layers left in float because they hurt. file_bytes: of its file. seconds: of a run. speedup: times as fast as
        the float model; None where it lost too much to be timed. refused: why it was not taken; empty for what could
        be. chosen: whether this is the one.
    """

    recipe: str
    what: str
    score: float | None
    drop: float | None
    in_float: tuple[str, ...]
    file_bytes: int | None
    seconds: float | None
    speedup: float | None
    refused: str
    chosen: bool


@dataclass(frozen=True)
class Quantization:
    """The result of `quantize`.

    Attributes:
        path: the file; None where nothing was written. model: what was quantized. purpose, max_drop: what was asked.
        measured: what the score is, for each output. float_scores: of the float model. tested, calibration: how many
        samples accuracy was measured on, and ranges were taken from. batch_size, threads: of the runs that were timed.
        float_bytes, float_seconds: size of the float file, and the time of a run of it. rows: the recipes. trials,
        reused: how many trials were done, and how many the log had. log: the file of it. seconds: time of everything.
    """

    path: str | None
    model: str
    purpose: str
    max_drop: float
    measured: Mapping[str, str]
    float_scores: Mapping[str, float]
    tested: int
    calibration: int
    batch_size: int
    threads: int | None
    float_bytes: int
    float_seconds: float | None
    rows: tuple[Row, ...]
    trials: int
    reused: int
    log: str | None
    seconds: float

    @property
    def chosen(self) -> Row | None:
        """The recipe that was taken."""
        return next((row for row in self.rows if row.chosen), None)

    def to_dict(self) -> dict[str, Any]:
        """Returns the result as JSON can hold it."""
        from dataclasses import asdict

        return {**asdict(self), "accepted": self.path is not None}

    def summary(self) -> list[tuple[str, str]]:
        """Returns what was measured, and on what, as names and texts."""
        scores = "; ".join(
            f"{what}, {self.float_scores[name]:.4f} in float" + (f" ({name})" if len(self.measured) > 1 else "")
            for name, what in self.measured.items()
        )
        threads = "onnxruntime's own number of threads" if self.threads is None else f"threads {self.threads}"
        log = f", log {self.log}" if self.log else ""
        return [
            ("model", f"{self.model} ({self.float_bytes:,} bytes)"),
            ("asked", f"for {self.purpose}, losing at most {self.max_drop:.2%}"),
            ("score", scores),
            (
                "samples",
                f"{self.tested:,} tested (one is {1 / self.tested:.2%}), {self.calibration:,} others for calibration",
            ),
            ("timed", f"batch {self.batch_size}, {threads}, least of many runs beside the float model's"),
            ("trials", f"{self.trials} done, {self.reused} from before{log}"),
        ]

    def table(self) -> list[tuple[str, ...]]:
        """Returns the cells of a table of the recipes; see HEADER."""
        time = "" if self.float_seconds is None else f"{self.float_seconds * 1e3:.3f} ms"
        score = ", ".join(f"{s:.4f}" for s in self.float_scores.values())
        before = ("float", score, "", f"{self.float_bytes:,}", "", time, "", "", "")
        return [before, *(_cells(row, self.float_bytes) for row in self.rows)]

    def verdict(self) -> str:
        """Returns what came of it in a sentence or two."""
        row = self.chosen
        if row is None:
            other = "size" if self.purpose == "speed" else "speed"
            return (
                f"REFUSED: no recipe gives a file that is {_ASKED[self.purpose]} and loses at most {self.max_drop:.2%}."
                f" Nothing was written. Keep the float model, allow more with --max-drop, or try --for {other}."
            )
        kept = f" In float: {', '.join(row.in_float)}." if row.in_float else ""
        return (
            f"Wrote {self.path}: {row.what}; {row.file_bytes:,} bytes, {_share(row, self.float_bytes)} of the float "
            f"file, {row.speedup:.2f} times as fast, drop {row.drop:.2%}.{kept}"
        )

    def __str__(self) -> str:
        width = terminal_width()
        parts = rows_text(self.summary(), width), table_text(HEADER, self.table(), RIGHT, width), self.verdict()
        return "\n\n".join(parts)


_ASKED = {"speed": "faster", "size": "smaller"}


def _share(row: Row, float_bytes: int) -> str:
    return f"{(row.file_bytes or 0) / float_bytes:.0%}"


def _cells(row: Row, float_bytes: int) -> tuple[str, ...]:
    return (
        row.recipe,
        "" if row.score is None else f"{row.score:.4f}",
        "" if row.drop is None else f"{row.drop:.2%}",
        f"{row.file_bytes:,}" if row.file_bytes else "",
        _share(row, float_bytes) if row.file_bytes else "",
        "" if row.seconds is None else f"{row.seconds * 1e3:.3f} ms",
        "" if row.speedup is None else f"{row.speedup:.2f}x",
        ", ".join(row.in_float),
        "taken" if row.chosen else row.refused or "not the best",
    )
