"""How many threads NumPy's matrix products use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keeps matrix products to one thread meanwhile.

    Threads of our own share the samples of a batch. BLAS threads on top would wait for each other: beside other work
    they made a step up to eight times slower (benchmarks/RESULTS.md).
    """
    # What `threadpoolctl`'s own context does, without its bookkeeping, which costs more than a small step.
    before = [(library, library.get_num_threads()) for library in _libraries()]
    for library, count in before:
        if count != 1:
            library.set_num_threads(1)
    try:
        yield
    finally:
        for library, count in before:
            if count != 1:
                library.set_num_threads(count)


@cache
def _libraries() -> list[Any]:
    # Looks through the loaded libraries once; NumPy has brought its BLAS by now.
    from threadpoolctl import ThreadpoolController

    return list(ThreadpoolController().select(user_api="blas").lib_controllers)
