"""How fast this machine multiplies matrices: what the speed of a training step is held against."""

from __future__ import annotations

import time

import numpy as np

# Large enough for the full rate, small enough for the caches: three matrices of a mebibyte.
SIDE = 512
REPEATS = 12


def gemm_rate(threads: int) -> float:
    """Returns the floating-point operations per second of the fastest of several float32 matrix products.

    Args:
        threads: how many BLAS may use.
    """
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(0)
    a, b = (rng.random((SIDE, SIDE), np.float32) for _ in range(2))
    out = np.empty((SIDE, SIDE), np.float32)
    times = []
    with threadpool_limits(threads, user_api="blas"):
        for _ in range(REPEATS):
            start = time.perf_counter()
            np.matmul(a, b, out=out)
            times.append(time.perf_counter() - start)
    return float(2 * SIDE**3 / min(times))
