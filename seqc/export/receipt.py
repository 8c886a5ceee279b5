"""What an export did, in numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from seqc.export.places.rules import Unfit
from seqc.export.report import Report
from seqc.graph.ir import Type, Value
from seqc.text import rows_text, terminal_width


@dataclass(frozen=True)
class Port:
    """An input or output of the file: its name, element type, and axis sizes, symbolic ones by name."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype}[{', '.join(map(str, self.shape))}]"


_BOUNDS = {
    "exact": "exact, against float64: nothing may differ",
    "rigorous": "rigorous, against float64: no order of adding in float32 goes beyond it on these inputs",
    "statistical": "statistical, against float64: a multiple of what NumPy loses in the file's precision",
}


@dataclass(frozen=True)
class Receipt:
    """The result of an export. `report` is None where verification was turned off.

    Attributes:
        path: the file. layers: of the model, None where the caller did not say. parameters: numbers in its weights.
        nodes: how many nodes of each type. file_bytes: size of the file. data_file, data_bytes: the file beside it with
        the weights, None and 0 where they are in the model's own. seconds: time of the whole export.
        nonfinite: a sentence for each weight with numbers that are not finite. record: the file that holds what the
        verification compared, None where none was asked for.
        place: where the file is to run, "" where nothing was asked for. elsewhere: a sentence for each layer that runs
        there, but on another processor. not_for: where a file for no place but onnxruntime would give other numbers
        without saying so.
    """

    path: str
    layers: int | None
    parameters: int
    nodes: Mapping[str, int]
    opset: int
    ir_version: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    file_bytes: int
    seconds: float
    report: Report | None
    nonfinite: tuple[str, ...] = ()
    record: str | None = None
    place: str = ""
    elsewhere: tuple[str, ...] = ()
    not_for: tuple[Unfit, ...] = ()
    data_file: str | None = None
    data_bytes: int = 0

    @property
    def transposes(self) -> int:
        """How many nodes only move elements about."""
        return self.nodes.get("Transpose", 0)

    def to_dict(self) -> dict[str, object]:
        """Returns the receipt as JSON can hold it."""
        return {
            "path": self.path,
            "layers": self.layers,
            "parameters": self.parameters,
            "nodes": dict(self.nodes),
            "transposes": self.transposes,
            "place": self.place,
            "elsewhere": list(self.elsewhere),
            "not_for": [asdict(unfit) for unfit in self.not_for],
            "opset": self.opset,
            "ir_version": self.ir_version,
            "inputs": [{"name": p.name, "dtype": p.dtype, "shape": list(p.shape)} for p in self.inputs],
            "outputs": [{"name": p.name, "dtype": p.dtype, "shape": list(p.shape)} for p in self.outputs],
            "file_bytes": self.file_bytes,
            "data_file": self.data_file,
            "data_bytes": self.data_bytes,
            "seconds": self.seconds,
            "nonfinite": list(self.nonfinite),
            "record": self.record,
            "verification": None if self.report is None else self.report.to_dict(),
        }

    def __str__(self) -> str:
        return rows_text(self._rows(), terminal_width())

    def _rows(self) -> list[tuple[str, str]]:
        layers = "" if self.layers is None else f"{self.layers} layers, "
        kinds = ", ".join(f"{n} {kind}" for kind, n in self.nodes.items())
        return [
            ("file", f"{self.path} ({self.file_bytes:,} bytes)"),
            *([("weights", f"{self.data_file} beside it ({self.data_bytes:,} bytes)")] if self.data_file else ()),
            ("model", f"{layers}{self.parameters:,} parameters"),
            (
                "ONNX",
                f"opset {self.opset}, IR version {self.ir_version}" + (f", for {self.place}" if self.place else ""),
            ),
            ("nodes", f"{sum(self.nodes.values())} ({kinds})"),
            ("transposes", str(self.transposes)),
            *(("input", str(p)) for p in self.inputs),
            *(("output", str(p)) for p in self.outputs),
            ("verified", self._verdict()),
            *self._bounds(),
            *([("record", self.record)] if self.record else []),
            *(("beware", sentence) for sentence in (*self.nonfinite, *self.elsewhere)),
            *(("not for", str(unfit)) for unfit in self.not_for),
            ("time", f"{self.seconds:.2f} s"),
        ]

    def _bounds(self) -> list[tuple[str, str]]:
        if self.report is None or not self.report.compared:
            return []
        worst = self.report.worst
        rows = [("bound", _BOUNDS[worst.bound])]
        if worst.bound == "statistical" and worst.most is not None:
            what = f"what goes into the {worst.into}" if worst.into else "it"
            rows.append(
                ("at most", f"{what} is {worst.most:.2g} off on these inputs, in any order of adding (rigorous)")
            )
        return rows

    def _verdict(self) -> str:
        if self.report is None:
            return "no"
        if not self.report.compared:
            return "nothing: the outputs have no finite number that could be compared"
        worst = self.report.worst
        agreement = "" if worst.argmax_agreement is None else f", argmax agrees in {worst.argmax_agreement:.1%}"
        runs = "; ".join(" ".join(f"{n}={v}" for n, v in size.items()) for size in self.report.sizes) or "fixed sizes"
        return f"largest error {worst.error:.2g} of {worst.allowed:.2g} allowed{agreement} ({runs})"


def ports(values: Sequence[Value], names: Sequence[str]) -> tuple[Port, ...]:
    """Returns the inputs or outputs of a graph, under the names of the file."""

    def shape(t: Type) -> tuple[int | str, ...]:
        return tuple(d if isinstance(d, int) else str(d) for d in t.shape)

    return tuple(Port(name, v.type.dtype, shape(v.type)) for v, name in zip(values, names, strict=True))
