"""The convolution kernels work on a few samples at a time; where they cut changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from seqc.ops import _conv_kernels as kernels
from seqc.ops._windows import Window


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("batch", [0, 1, 5])
@pytest.mark.parametrize("tile_bytes", [1, 3000, 1 << 30], ids=["one sample", "some", "all"])
def test_tiles_of_any_size_give_the_same(
    groups: int, batch: int, tile_bytes: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = Window((3, 2), (2, 1), (1, 2), "valid")
    x, w = rng.normal(size=(batch, 9, 8, 4)), rng.normal(size=(3, 2, 4 // groups, 8))
    out = (batch, 4, 6, 8)
    g = rng.normal(size=out)
    expected = np.zeros(out)
    g_x, g_w = np.zeros_like(x), np.zeros_like(w)
    depth, filters = 4 // groups, 8 // groups
    for n, i, j, f in np.ndindex(out):
        first = f // filters * depth
        for a, b, c in np.ndindex(3, 2, depth):
            at = (n, 2 * i + a, j + 2 * b, first + c)
            expected[n, i, j, f] += x[at] * w[a, b, c, f]
            g_x[at] += g[n, i, j, f] * w[a, b, c, f]
            g_w[a, b, c, f] += g[n, i, j, f] * x[at]
    monkeypatch.setattr(kernels, "TILE_BYTES", tile_bytes)
    np.testing.assert_allclose(kernels.correlate(x, w, window, groups), expected, atol=1e-12)
    np.testing.assert_allclose(kernels.input_gradient(g, w, x.shape, window, groups), g_x, atol=1e-12)
    np.testing.assert_allclose(kernels.kernel_gradient(x, g, w.shape, window, groups), g_w, atol=1e-12)


def test_a_window_of_one_is_a_plain_product(rng: np.random.Generator) -> None:
    x, w = rng.normal(size=(3, 4, 5, 6)), rng.normal(size=(1, 1, 6, 7))
    window = Window((1, 1), (1, 1), (1, 1), "valid")
    np.testing.assert_allclose(kernels.correlate(x, w, window, 1), x @ w[0, 0], atol=1e-12)
