"""One version of one model, loaded and ready to run."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import finalize

from seqc_runtime.inputs import Array
from seqc_runtime.model import Model
from seqc_runtime.runs import RunControl
from seqc_runtime.server.config import ModelConfig
from seqc_runtime.server.memory import give_back_soon
from seqc_runtime.server.signature import Signature
from seqc_runtime.server.stats import Counters, Stats
from seqc_runtime.tensors import TensorInfo

if TYPE_CHECKING:
    from seqc_runtime.server.repeats import Form

# These repeat or make as much as the numbers they are given say, not as the size of those numbers.
REPEATING = frozenset({"Loop"})
GROWING = frozenset(
    {
        *("AffineGrid", "BeamSearch", "BlackmanWindow", "CenterCropPad", "Col2Im", "ConstantOfShape"),
        *("DFT", "Expand", "GreedySearch", "HammingWindow", "HannWindow", "MaxUnpool"),
        *("MelWeightMatrix", "NonMaxSuppression", "OneHot", "Pad", "Range"),
        *("Resize", "STFT", "Sampling", "Tile", "Upsample"),
    }
)


@dataclass(frozen=True, slots=True)
class Batching:
    """How samples of different requests may run together.

    max_rows: at most so many; 1 for never. sizes: only these numbers of rows, where answers must be equal bit for
    bit; None for any. max_delay: seconds the first of a batch may wait for others.
    fixed, per_byte: what a run costs, in seconds: fixed + per_byte * bytes of input, as measured; 0 when unknown.
    tolerance: how far an answer may be from the one given alone, relative to the largest number of its output; 0 for
    the same bits.
    """

    max_rows: int = 1
    sizes: frozenset[int] | None = None
    max_delay: float = 0.0
    fixed: float = 0.0
    per_byte: float = 0.0
    tolerance: float = 0.0

    def __str__(self) -> str:
        if self.max_rows == 1:
            return "requests run one by one"
        apart = f"within {self.tolerance:g} of the largest number of an output" if self.tolerance else "bit for bit"
        return f"up to {self.max_rows} rows of requests run together; answers are those given alone {apart}"

    def allows(self, rows: int) -> bool:
        """Whether so many rows may run together."""
        return rows <= self.max_rows and (self.sizes is None or rows in self.sizes)


class Servable:
    """A loaded version.

    batching: how its samples may run together; `max_batch` alone says how many, without any measurement.
    counters: where its requests are counted. bounded: whether a run is short when its request is small.
    notes: what was found out about it when it was loaded, in words. config: how its model is served.

    Its session is freed when nothing refers to it any more: jobs under way keep the version they were made for.
    """

    def __init__(
        self,
        name: str,
        version: int,
        model: Model,
        max_batch: int = 1,
        *,
        batching: Batching | None = None,
        counters: Counters | None = None,
        notes: tuple[str, ...] = (),
        config: ModelConfig | None = None,
    ) -> None:
        self.name = name
        self.version = version
        self.model = model
        self.batching = batching or Batching(max_batch)
        self.counters = counters or Stats().model(name, version)
        self.notes = notes
        self.config = config or ModelConfig()
        self.inputs: tuple[TensorInfo, ...] = model.inputs
        self.outputs: tuple[TensorInfo, ...] = model.outputs
        self.input_by_name: Mapping[str, TensorInfo] = {info.name: info for info in model.inputs}
        self.output_by_name: Mapping[str, TensorInfo] = {info.name: info for info in model.outputs}
        self.signature = Signature(model.inputs, model.outputs)
        self.bounded = _bounded(model)
        self.retired = False
        # What requests said beside their numbers, by the bytes around these: see `repeats`.
        self.forms: dict[Hashable, Form | None] = {}
        self.met: set[Hashable] = set()
        self._watchers: list[Callable[[], None]] = []
        # Jobs run together when all sizes but the first agree; most models fix them.
        self.fixed_trailing = all(isinstance(size, int) for info in model.inputs for size in info.shape[1:])

    @property
    def max_batch(self) -> int:
        """How many rows may run together."""
        return self.batching.max_rows

    def when_retired(self, watcher: Callable[[], None]) -> None:
        """Have `watcher` called, in any thread, when this version is served no more; at once when it is so already."""
        self._watchers.append(watcher)
        if self.retired:
            self.retire()

    def retire(self) -> None:
        """Say that this version is served no more. Jobs that have it go on."""
        if not self.retired:
            finalize(self, give_back_soon).atexit = False
        self.retired = True
        while self._watchers:  # they refer to this version, which nothing is to keep
            self._watchers.pop()()

    def run(self, feeds: Mapping[str, Array], wanted: Sequence[str], control: RunControl | None = None) -> list[Array]:
        """The outputs `wanted` of inputs that have the declared dtypes and shapes.

        Raises RuntimeExecutionError; RuntimeStoppedError after control.stop().
        """
        given: Any = feeds
        return self.model.run(given, wanted, control=control)


def _bounded(model: Model) -> bool:
    """Whether the size of a request tells how long its run takes: nothing in it is a number of turns, or a size."""
    numbers = any(info.dtype.lstrip("u").startswith("int") for info in model.inputs)
    return REPEATING.isdisjoint(model.operators) and not (numbers and model.operators & GROWING)
