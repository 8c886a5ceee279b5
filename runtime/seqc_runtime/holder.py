"""One onnxruntime session per process, also after a fork."""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Callable

from seqc_runtime.errors import RuntimeExecutionError
from seqc_runtime.runs import Runner


class SessionHolder:
    """Owns a session and, in a forked child, opens a new one at first use.

    A session's worker threads do not exist in a forked child: running it there can wait for them for ever, and
    destroying it there ends the child with SIGSEGV. So the child drops the inherited session without destroying it.
    """

    def __init__(self, session: Runner, reopen: Callable[[], Runner]) -> None:
        self._session: Runner | None = session
        self._reopen = reopen
        self._lock = threading.Lock()
        self._closed = False
        _HOLDERS.add(self)

    def get(self) -> Runner:
        """The session of this process. Raises RuntimeExecutionError after close()."""
        session = self._session
        if session is not None:
            return session
        with self._lock:
            if self._closed:
                raise RuntimeExecutionError("the model is closed: load it again")
            if self._session is None:
                self._session = self._reopen()
            return self._session

    def close(self) -> None:
        """Let go of the session; runs already started end normally."""
        with self._lock:
            self._closed = True
            self._session = None

    def forget(self) -> None:
        """Drop the session without destroying it, and the lock, which may be held by a thread that is gone."""
        if self._session is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._session))
            self._session = None
        self._lock = threading.Lock()


_HOLDERS: weakref.WeakSet[SessionHolder] = weakref.WeakSet()


def _forget_all() -> None:
    for holder in list(_HOLDERS):
        holder.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
