"""`serve`: from settings to a server that answers."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import time
from dataclasses import replace
from pathlib import Path

from seqc_runtime.errors import RuntimeDependencyError
from seqc_runtime.server.listen import address, keep_port, listen, listen_uds
from seqc_runtime.server.settings import Settings


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or Ctrl-C; the exit status. Raises SeqcRuntimeError for what is wrong before that."""
    settings.check()
    _check_packages(settings)
    _check_files(settings)
    with contextlib.ExitStack() as stack:
        sockets = {name: stack.enter_context(listener) for name, listener in _listen(settings).items()}
        if settings.grpc_port is not None:
            kept = stack.enter_context(keep_port(settings.host, settings.grpc_port, "--grpc-port"))
            if settings.workers > 1:
                # Workers listen for gRPC each by itself; this keeps the port for them, and finds a free one.
                settings = replace(settings, grpc_port=kept.getsockname()[1])
            else:
                kept.close()  # it is free, which is worth to know before the models are loaded

        def announce(models: str, grpc_port: int | None = settings.grpc_port) -> None:
            places = _places(settings, sockets, grpc_port)
            print(f"serving {models} on {places}, ready in {_age():.2f} s", flush=True)

        if settings.workers > 1:
            from seqc_runtime.server.supervisor import supervise

            return supervise(settings, sockets, announce)
        from seqc_runtime.server.build import build_app, describe
        from seqc_runtime.server.worker import Worker, set_logging

        set_logging(settings)
        app = build_app(settings)
        worker = Worker(settings, app, sockets, lambda port: announce(describe(app), port))
        worker.run()
    worker.leave()
    return 0


_IMPORTED = time.monotonic()


def _age() -> float:
    """Seconds since this process was started; where the system does not tell, since this module was imported."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError):
        return time.monotonic() - _IMPORTED


def _check_packages(settings: Settings) -> None:
    needs = {"uvicorn": "server", "httptools": "server", "orjson": "server"}
    if settings.grpc_port is not None:
        needs |= {"grpc": "grpc", "google.protobuf": "grpc"}
    if settings.tracing:
        needs |= {"opentelemetry.sdk.trace": "tracing", "opentelemetry.exporter.otlp.proto.http": "tracing"}
    for name, extra in needs.items():
        try:
            found = importlib.util.find_spec(name) is not None
        except ModuleNotFoundError:  # what it is a part of
            found = False
        if not found:
            extras = ",".join(dict.fromkeys(["cpu", "server", extra]))
            raise RuntimeDependencyError(f'serving needs {name}: pip install "seqc-runtime[{extras}]"')


def _check_files(settings: Settings) -> None:
    """What each worker will open, opened once before there is any."""
    from seqc_runtime.server.access_log import AccessLog
    from seqc_runtime.server.auth import make_admission, warn_of_readers
    from seqc_runtime.server.tls import Tls

    make_admission(settings)
    if settings.access_log is not None:
        AccessLog(settings.access_log).close()
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


def _places(settings: Settings, sockets: dict[str, socket.socket], grpc_port: int | None) -> str:
    scheme = "https" if settings.tls_cert else "http"
    places = [address(sockets["http"], scheme)]
    if "admin" in sockets:
        places.append(f"{address(sockets['admin'], scheme)} (admin)")
    if grpc_port is not None:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        places.append(f"grpc://{host}:{grpc_port}")
    if settings.workers > 1:
        places.append(f"{settings.workers} workers")
    return ", ".join(places)
