"""The figures, one measurement a row, in a CSV file that grows with every measurement, so that a run can go on."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

from serving.load import Load


@dataclass
class Row:
    """One measurement.

    Attributes:
        kind: "closed", "rate", "together" (closed, with batching), "start" or "run". cpu_us: of all processes of the
        server, for one request. load_cores: how busy the generator kept its core. Memory is PSS, in megabytes.
    """

    peer: str
    model: str
    kind: str
    encoding: str = ""
    concurrency: int = 0
    round: int = 0
    requests_per_s: float | None = None
    p50_us: float | None = None
    p99_us: float | None = None
    cpu_us: float | None = None
    load_cores: float | None = None
    start_s: float | None = None
    idle_mb: float | None = None
    busy_mb: float | None = None
    processes: int | None = None


class Results:
    """All rows in a file.

    Args:
        path: of the CSV file, there or not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[Row] = []
        if path.exists():
            with path.open(newline="", encoding="utf-8") as stream:
                self.rows = [_row(each) for each in csv.DictReader(stream)]

    def add(
        self,
        peer: str,
        model: str,
        kind: str,
        encoding: str = "",
        *,
        load: Load | None = None,
        **figures: Any,
    ) -> None:
        """Adds one row, to the file as well."""
        if load is not None:
            figures |= {"requests_per_s": load.requests_per_s, "p50_us": load.p50_us, "p99_us": load.p99_us}
            figures["load_cores"] = load.cores
        self.rows.append(Row(peer, model, kind, encoding, **figures))
        self._write(self.rows[-1:], "a" if self.path.exists() else "w")

    def forget(self, peers: Iterable[str]) -> None:
        """Removes the rows of peers, from the file as well."""
        gone = set(peers)
        self.rows = [row for row in self.rows if row.peer not in gone]
        self._write(self.rows, "w")

    def select(self, peer: str, model: str, kind: str, encoding: str = "", concurrency: int = 0) -> list[Row]:
        """Returns the rows of one cell."""
        wanted = (peer, model, kind, encoding, concurrency)
        return [row for row in self.rows if (row.peer, row.model, row.kind, row.encoding, row.concurrency) == wanted]

    def rounds(self, peer: str, model: str, kind: str, encoding: str = "", concurrency: int = 0) -> int:
        """Returns how often one cell has been measured."""
        return len(self.select(peer, model, kind, encoding, concurrency))

    def median(
        self, figure: str, peer: str, model: str, kind: str, encoding: str = "", concurrency: int = 0
    ) -> float | None:
        """Returns the median of a figure over the rounds of a cell, None where there is none."""
        found = [getattr(row, figure) for row in self.select(peer, model, kind, encoding, concurrency)]
        there = [value for value in found if value is not None]
        return median(there) if there else None

    def best(self, peer: str, model: str, encoding: str) -> float | None:
        """Returns the most requests per second over all concurrencies: the greatest of their medians."""
        levels = {row.concurrency for row in self.rows if row.kind == "closed"}
        found = [self.median("requests_per_s", peer, model, "closed", encoding, level) for level in levels]
        return max((value for value in found if value is not None), default=None)

    def _write(self, rows: Iterable[Row], mode: str) -> None:
        with self.path.open(mode, newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, [each.name for each in fields(Row)], lineterminator="\n")
            if mode == "w":
                writer.writeheader()
            writer.writerows({name: _text(value) for name, value in asdict(row).items()} for row in rows)


def _text(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.5g}"
    return "" if value is None else value


def _row(given: dict[str, str]) -> Row:
    """Returns a row of the file."""
    text = {"peer", "model", "kind", "encoding"}
    whole = {"concurrency", "round", "processes"}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name in text:
            values[name] = value
        elif value:
            values[name] = int(value) if name in whole else float(value)
    return Row(**values)
