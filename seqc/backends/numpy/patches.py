"""What a window sees at each of its places, as rows of a matrix: convolution becomes a matrix product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc.graph import dims
from seqc.graph.batch import batch_axis
from seqc.graph.ir import Array, BatchRule, Op, Type, Value
from seqc.ops._windows import Padding, Window


@dataclass(frozen=True, repr=False, eq=False)
class Patches(Op):
    """The elements of x (batch, *space, channels) under a window at each of its places, padding as zeros.

    One row per place, (batch, *places, window * channels): what a kernel (*window, channels, filters) is multiplied
    with. With `ones` a column of ones follows, which carries the bias, and the bias's gradient, through the product.
    With `taps_first` the same is stored the other way round, (window * channels, batch * places), which keeps runs of
    memory long where there is one channel only.
    """

    kind = "move"
    size: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: Padding
    ones: bool = False
    taps_first: bool = False

    @property
    def window(self) -> Window:
        return Window(self.size, self.strides, self.dilations, self.padding)

    def columns(self, channels: int) -> int:
        """Returns the number of elements under the window, with the one."""
        return int(np.prod(self.size)) * channels + self.ones

    def infer(self, x: Type) -> Type:
        places = self.window.out_sizes("Conv", x.shape[1:-1])
        (channels,) = dims.known(x.shape[-1:])
        columns = self.columns(channels)
        if self.taps_first:
            return x.with_shape((columns, dims.product((x.shape[0], *places))))
        return x.with_shape((x.shape[0], *places, columns))

    def batch_rule(self, y: Value) -> BatchRule:
        # Stored the other way round, places and samples come last.
        return "parallel" if batch_axis(y.inputs[0].type) == 0 else "whole"

    def eval(self, x: Array) -> Any:
        seen = self.window.patches(self.window.padded(x))
        rank = len(self.size)
        rows = seen.reshape(*seen.shape[: rank + 1], -1)
        if self.ones:
            rows = np.concatenate([rows, np.ones((*rows.shape[:-1], 1), x.dtype)], -1)
        if self.taps_first:
            return np.ascontiguousarray(rows.reshape(-1, rows.shape[-1]).T)
        return rows
