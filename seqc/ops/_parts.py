"""What operations say that are computed in parts of a batch, and for which the parts are not side by side or added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqc.graph.ir import Array, BatchRule, Op, Value


class Merged(Op):
    """An op whose results are made of what is kept of parts of the batch."""

    def partial(self, x: Array) -> Array:
        """Returns what is kept of a part of the batch."""
        raise NotImplementedError(f"{self.name}.partial")

    def part_shape(self, x: Array) -> tuple[int, ...]:
        """Returns the shape of what `partial` gives."""
        raise NotImplementedError(f"{self.name}.part_shape")

    def part_size(self, x: Array) -> int:
        """Returns how much a part counts."""
        raise NotImplementedError(f"{self.name}.part_size")

    def merge(self, parts: Sequence[Array], counts: Sequence[int]) -> tuple[Array, ...]:
        """Returns the results for the whole batch; `counts` has the `part_size` of each part."""
        raise NotImplementedError(f"{self.name}.merge")

    def batch_rule(self, y: Value) -> tuple[BatchRule, ...]:
        whole: BatchRule = "combine"
        return (whole,) * (len(y.result) if isinstance(y.result, tuple) else 1)


class Positional(Op):
    """An op whose numbers depend on where they stand in the whole batch."""

    def eval_from(self, first: int, *arrays: Any) -> Any:
        """Computes the part of the result whose first element is number `first` of the whole."""
        raise NotImplementedError(f"{self.name}.eval_from")
