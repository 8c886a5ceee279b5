"""How fast this machine multiplies matrices: what the speed of a training step is held against."""

from __future__ import annotations

import json
import threading
import time

import numpy as np

from seqc.graph.blas_threads import one_blas_thread

# Large enough for the full rate, small enough for the caches: three matrices of a mebibyte.
SIDE = 512
REPEATS = 16


def gemm_rate(threads: int) -> float:
    """Returns the floating-point operations per second of float32 matrix products, each thread making its own.

    That is how training uses threads, and unlike products that threads share it does not collapse when something else
    runs. The fastest product of each thread counts.
    """
    rates: list[float] = []
    together = threading.Barrier(threads)

    def work() -> None:
        together.wait()
        rates.append(_fastest())

    with one_blas_thread():
        others = [threading.Thread(target=work) for _ in range(threads - 1)]
        for thread in others:
            thread.start()
        work()
        for thread in others:
            thread.join()
    return sum(rates)


def _fastest() -> float:
    rng = np.random.default_rng(0)
    a, b = (rng.random((SIDE, SIDE), np.float32) for _ in range(2))
    out = np.empty((SIDE, SIDE), np.float32)
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        np.matmul(a, b, out=out)
        times.append(time.perf_counter() - start)
    return float(2 * SIDE**3 / min(times))


def main() -> None:
    """Prints the kernel of this process and its rate on one core, for `_blas` in another process."""
    from seqc.cli._blas import kernel_name

    rate = gemm_rate(1)
    print(json.dumps({"kernel": kernel_name(), "rate": rate}))


if __name__ == "__main__":
    main()
