"""How many threads NumPy's matrix products use."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any


def one_blas_thread() -> AbstractContextManager[Any]:
    """Keeps matrix products to one thread meanwhile.

    A graph of small and middle-sized layers gains a quarter from a second thread at best, and BLAS threads that wait
    for each other beside other work make it up to eight times slower (benchmarks/RESULTS.md).
    """
    limited: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return limited


@cache
def _controller() -> Any:
    # Looks through the loaded libraries once; NumPy has brought its BLAS by now.
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
