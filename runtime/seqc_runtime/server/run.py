"""`serve`: from settings to a server that answers."""

from __future__ import annotations

import time

from seqc_runtime.errors import RuntimeDependencyError
from seqc_runtime.server.listen import address, listen, listen_uds
from seqc_runtime.server.settings import Settings


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or Ctrl-C; the exit status. Raises SeqcRuntimeError for what is wrong before that."""
    began = time.perf_counter()
    settings.check()
    with listen_uds(settings.uds) if settings.uds else listen(settings.host, settings.port) as listener:
        try:
            from seqc_runtime.server.worker import serve_process
        except ModuleNotFoundError as error:
            raise RuntimeDependencyError(
                f'serving needs {error.name}: pip install "seqc-runtime[cpu,server]"'
            ) from error
        from seqc_runtime.server.build import build_app, describe

        app = build_app(settings)
        place = address(listener)

        def ready() -> None:
            print(f"serving {describe(app)} on {place}, ready in {time.perf_counter() - began:.2f} s", flush=True)

        serve_process(settings, app, listener, ready)
    return 0
