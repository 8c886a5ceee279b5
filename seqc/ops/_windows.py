"""The geometry of sliding windows, shared by convolution and pooling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from seqc.errors import ShapeError
from seqc.graph import dims
from seqc.graph.dims import Dim
from seqc.graph.ir import Array
from seqc.sure import present

# "valid", "same" (Keras's: as many results as strides fit, the odd element of padding at the end), or explicit pairs.
Padding = str | tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Window:
    """A window over the spatial axes: size, step, spacing and padding, one number per axis."""

    size: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: Padding

    def extent(self, i: int) -> int:
        """How many elements the window spans on axis i, gaps included."""
        return (self.size[i] - 1) * self.dilations[i] + 1

    def out_sizes(self, owner: str, spatial: tuple[Dim, ...]) -> tuple[Dim, ...]:
        """Returns the number of window positions per axis."""
        result: list[Dim] = []
        for i, size in enumerate(spatial):
            if self.padding == "same":
                result.append(dims.ceil_div(size, self.strides[i]))
                continue
            padded = size + (sum(self.padding[i]) if isinstance(self.padding, tuple) else 0)
            if isinstance(padded, int) and padded < self.extent(i):
                raise ShapeError(
                    f"{owner}: a window of {self.extent(i)} does not fit an axis of {size}"
                    f" (spatial shape {tuple(spatial)}, window {self.size}, dilation {self.dilations}). "
                    "Use padding='same', a smaller window or a larger input."
                )
            result.append((padded - self.extent(i)) // self.strides[i] + 1)
        return tuple(result)

    def pads(self, spatial: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        """Returns (before, after) per axis for actual sizes."""
        if isinstance(self.padding, tuple):
            return self.padding
        if self.padding == "valid":
            return ((0, 0),) * len(spatial)
        return present(self.static_pads(spatial))

    def static_pads(self, spatial: tuple[Dim, ...]) -> tuple[tuple[int, int], ...] | None:
        """Returns pads that serve every size of the symbolic axes, or None where there are none.

        The padding before an axis decides where its windows lie; there may be more behind it than any window reaches.
        """
        if self.padding != "same":
            return self.pads((0,) * len(spatial))
        pairs = []
        for i, size in enumerate(spatial):
            if isinstance(size, int):
                positions = -(-size // self.strides[i])
                most = least = max((positions - 1) * self.strides[i] + self.extent(i) - size, 0)
            else:
                most, least = self.extent(i) - 1, max(self.extent(i) - self.strides[i], 0)
            if most // 2 != least // 2:
                return None
            pairs.append((most // 2, most - most // 2))
        return tuple(pairs)

    def padded(self, x: Array, fill: float = 0.0) -> Array:
        """Returns a channels-last array with its padding written."""
        pads = self.pads(x.shape[1:-1])
        if not any(a or b for a, b in pads):
            return x
        shape = (x.shape[0], *(s + a + b for s, (a, b) in zip(x.shape[1:-1], pads, strict=True)), x.shape[-1])
        result = np.full(shape, fill, x.dtype)
        result[self.inside(x.shape[1:-1])] = x
        return result

    def inside(self, spatial: tuple[int, ...]) -> tuple[slice, ...]:
        """Returns where the original lies in its padded array."""
        pads = self.pads(spatial)
        return (slice(None), *(slice(a, a + s) for s, (a, _) in zip(spatial, pads, strict=True)), slice(None))

    def taps(self, out: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
        """Yields each offset in the window with the slices of a padded channels-last array that it meets."""
        for offset in np.ndindex(*self.size):
            starts = [o * d for o, d in zip(offset, self.dilations, strict=True)]
            cut = [slice(a, a + (n - 1) * s + 1, s) for a, n, s in zip(starts, out, self.strides, strict=True)]
            yield offset, (slice(None), *cut, slice(None))

    def patches(self, x: Array) -> Array:
        """Returns a view (batch, *out, *size, channels) of a padded channels-last array."""
        out = dims.known(replace(self, padding="valid").out_sizes("Conv", x.shape[1:-1]))
        step = x.strides[1:-1]
        shape = (x.shape[0], *out, *self.size, x.shape[-1])
        strides = (
            x.strides[0],
            *(st * s for st, s in zip(step, self.strides, strict=True)),
            *(st * d for st, d in zip(step, self.dilations, strict=True)),
            x.strides[-1],
        )
        return np.lib.stride_tricks.as_strided(x, shape, strides, writeable=False)


def transposed_padding(
    window: Window, output_padding: Sequence[int] | None
) -> tuple[tuple[tuple[int, int], ...], tuple[int, ...]]:
    """Returns what Keras cuts (before, after) off a transposed convolution, and how much it appends, for each axis.

    `window.padding` is "valid" or "same"; without `output_padding`, "same" gives sizes times strides, and "valid" all
    that the windows reach, but at least that.
    """
    cuts, extras = [], []
    for i, step in enumerate(window.strides):
        extent = window.extent(i)
        wanted = None if output_padding is None else output_padding[i]
        if window.padding == "valid":
            before, after = 0, -(max(step - extent, 0) if wanted is None else wanted)
        else:
            # Keras pads the spread-out input by so much in all, and slides the window over it.
            total = step + extent - 2 if wanted is None else extent + extent % 2 - 2 + wanted
            left = min(total - total // 2, extent - 1)
            before, after = extent - 1 - left, extent - 1 - (total - left)
        cuts.append((before, max(after, 0)))
        extras.append(max(-after, 0))
    return tuple(cuts), tuple(extras)
