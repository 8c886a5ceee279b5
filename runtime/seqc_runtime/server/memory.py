"""Memory of versions that are not served any more, given back to the system."""

from __future__ import annotations

import ctypes
import threading
import time

# Seconds for what refers to a version to let go of it, and for other versions that go at the same time.
PAUSE = 0.5

_due = threading.Event()


def give_back_soon() -> None:
    """Have the C library give back, in a moment and in a thread, what it keeps for later.

    glibc keeps what a thread has freed in a pool of that thread's. Loading takes several times a model's size in
    several threads, so that a server that reloads often would come to hold many models' worth of nothing.
    """
    if _trim is None or _due.is_set():
        return
    _due.set()
    threading.Thread(target=_give_back, name="seqc-memory", daemon=True).start()


def _give_back() -> None:
    time.sleep(PAUSE)
    _due.clear()
    if _trim is not None:
        _trim(0)


try:
    _trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
except (OSError, TypeError):  # where the C library is no shared object, or of another kind
    _trim = None
