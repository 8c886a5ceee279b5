"""`serve`: from settings to a server that answers."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import time

from seqc_runtime.errors import RuntimeDependencyError
from seqc_runtime.server.listen import address, listen, listen_uds
from seqc_runtime.server.settings import Settings


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or Ctrl-C; the exit status. Raises SeqcRuntimeError for what is wrong before that."""
    began = time.perf_counter()
    settings.check()
    _check_packages()
    _check_secrets(settings)
    with contextlib.ExitStack() as stack:
        sockets = {name: stack.enter_context(listener) for name, listener in _listen(settings).items()}
        places = _places(settings, sockets)

        def announce(models: str) -> None:
            print(f"serving {models} on {places}, ready in {time.perf_counter() - began:.2f} s", flush=True)

        if settings.workers > 1:
            from seqc_runtime.server.supervisor import supervise

            return supervise(settings, sockets, announce)
        from seqc_runtime.server.build import build_app, describe
        from seqc_runtime.server.worker import Worker, set_logging

        set_logging(settings)
        app = build_app(settings)
        Worker(settings, app, sockets, lambda: announce(describe(app))).run()
    return 0


def _check_packages() -> None:
    for name in ("uvicorn", "httptools", "orjson"):
        if importlib.util.find_spec(name) is None:
            raise RuntimeDependencyError(f'serving needs {name}: pip install "seqc-runtime[cpu,server]"')


def _check_secrets(settings: Settings) -> None:
    """What each worker will read, read once before there is any."""
    from seqc_runtime.server.auth import make_admission, warn_of_readers
    from seqc_runtime.server.tls import Tls

    make_admission(settings)
    for path in (settings.token_file, settings.tls_key):
        if path is not None:
            warn_of_readers(path)
    if settings.tls_cert is not None:
        Tls(settings)


def _listen(settings: Settings) -> dict[str, socket.socket]:
    sockets: dict[str, socket.socket] = {}
    try:
        sockets["http"] = listen_uds(settings.uds) if settings.uds else listen(settings.host, settings.port)
        if settings.admin_port is not None:
            sockets["admin"] = listen(settings.admin_host, settings.admin_port, "--admin-port")
    except BaseException:
        for listener in sockets.values():
            listener.close()
        raise
    return sockets


def _places(settings: Settings, sockets: dict[str, socket.socket]) -> str:
    scheme = "https" if settings.tls_cert else "http"
    places = [address(sockets["http"], scheme)]
    if "admin" in sockets:
        places.append(f"{address(sockets['admin'], scheme)} (admin)")
    if settings.workers > 1:
        places.append(f"{settings.workers} workers")
    return ", ".join(places)
