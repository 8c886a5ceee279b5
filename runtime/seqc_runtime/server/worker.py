"""One process that serves: alone, or one of several that a supervisor looks after."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from seqc_runtime.server.app import App
from seqc_runtime.server.asgi import Asgi
from seqc_runtime.server.http_server import SIGNALS, HttpServer, raise_file_limit
from seqc_runtime.server.settings import Settings


def serve_process(settings: Settings, app: App, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until a signal. ready: called when requests are answered."""
    raise_file_limit(app.limits.connections)
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    server = HttpServer(Asgi(app), log_level=settings.log_level)
    asyncio_run(_serve(server, listener, ready))


async def _serve(server: HttpServer, listener: socket.socket, ready: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, server.stop)
    serving = asyncio.ensure_future(server.serve([listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0)
    if server.started:
        ready()
    await serving


def asyncio_run(main: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop where it is installed."""
    factory: Callable[[], asyncio.AbstractEventLoop]
    try:
        from uvloop import new_event_loop as factory
    except ModuleNotFoundError:
        factory = asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)
