"""How many threads NumPy's matrix products use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import get_ident
from typing import Any


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keeps matrix products to one thread meanwhile.

    Threads of our own share the samples of a batch. BLAS threads on top would wait for each other: beside other work
    they made a step up to eight times slower (benchmarks/RESULTS.md).
    """
    # What `threadpoolctl`'s own context does, without its bookkeeping, which costs more than a small step.
    me = get_ident()
    try:
        for library in _libraries():
            count = library.get_num_threads()
            if count != 1:
                _limited[me, library] = count
                library.set_num_threads(1)
        yield
    finally:
        # Also what this thread had limited earlier, if an interruption kept it from getting here.
        for key, count in list(_limited.items()):
            if key[0] == me:
                key[1].set_num_threads(count)
                _limited.pop(key, None)


# By thread and library, how many threads the library used before they were limited to one.
_limited: dict[tuple[int, Any], int] = {}


@cache
def _libraries() -> list[Any]:
    # Looks through the loaded libraries once; NumPy has brought its BLAS by now.
    from threadpoolctl import ThreadpoolController

    return list(ThreadpoolController().select(user_api="blas").lib_controllers)
