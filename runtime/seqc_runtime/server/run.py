"""Serve with uvicorn, in this process."""

from __future__ import annotations

from seqc_runtime.errors import RuntimeDependencyError
from seqc_runtime.server.app import App
from seqc_runtime.server.asgi import Asgi


def run(app: App, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise RuntimeDependencyError('serving needs uvicorn: pip install "seqc-runtime[cpu,server]"') from error
    uvicorn.run(
        Asgi(app),
        host=host,
        port=port,
        http="httptools",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
    )
