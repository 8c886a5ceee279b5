"""Serve with uvicorn: one process, or a supervisor and its workers."""

from __future__ import annotations

import time

from seqc_runtime.errors import RuntimeDependencyError
from seqc_runtime.server.listen import address, listen, listen_uds
from seqc_runtime.server.settings import Settings


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or Ctrl-C; the exit status. Raises SeqcRuntimeError for what is wrong before that."""
    began = time.perf_counter()
    settings.check()
    listener = listen_uds(settings.uds) if settings.uds else listen(settings.host, settings.port)
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise RuntimeDependencyError('serving needs uvicorn: pip install "seqc-runtime[cpu,server]"') from error
    from seqc_runtime.server.asgi import Asgi
    from seqc_runtime.server.build import build_app, describe

    app = build_app(settings)
    config = uvicorn.Config(
        Asgi(app),
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    print(f"serving {describe(app)} on {address(listener)}, ready in {time.perf_counter() - began:.2f} s", flush=True)
    uvicorn.Server(config).run([listener])
    return 0
