"""uvicorn's server, ended the way a service should end: nothing it accepted is lost."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import uvicorn

from seqc_runtime.server.connection import Connection
from seqc_runtime.server.listen import LINGER, refuse_new

if TYPE_CHECKING:
    from seqc_runtime.server.asgi import Asgi
    from seqc_runtime.server.tls import Tls

LAST_HANDSHAKES = 0.1
POLL = 0.02


class HttpServer(uvicorn.Server):
    """Serves `application` on a socket that listens already.

    tls: certificates, None for plain HTTP. alone: no other process serves
    the same socket.
    """

    def __init__(
        self,
        application: Asgi,
        listener: socket.socket,
        tls: Tls | None = None,
        log_level: str = "warning",
        alone: bool = True,
    ) -> None:
        limits = application.limits
        super().__init__(
            uvicorn.Config(
                application,
                http=Connection,
                ws="none",
                lifespan="on",
                log_config=None,
                log_level=log_level,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=max(1, int(limits.keep_alive)),
                ssl_context_factory=None if tls is None else lambda config, default: tls.context,
            )
        )
        self.application = application
        self.listener = listener
        self.tls = tls
        self.alone = alone
        self.limits = limits

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals belong to whoever runs the server: see `stop`."""
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `stop`."""
        await super().serve([self.listener])

    async def wait_started(self) -> None:
        """Wait until connections are accepted."""
        while not self.started:
            await asyncio.sleep(0)

    def stop(self) -> None:
        """End once everything under way is answered; called again, end at once."""
        self.force_exit = self.force_exit or self.should_exit
        self.should_exit = True

    def drain(self) -> None:
        """Be ready no more, and let every answer close its connection."""
        self.application.drain()

    async def on_tick(self, counter: int) -> bool:
        """Every tenth of a second; look after slow clients every second."""
        if counter % 10 == 0:
            if self.tls is not None:
                self.tls.refresh()
            self._check_connections()
        return await super().on_tick(counter)

    def _check_connections(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in list(self.server_state.connections):
            connection.check(now)  # type: ignore[union-attr]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say so, go on for a moment, accept what is queued, answer everything, end."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + self.limits.drain
        if not self.application.draining:
            self.application.drain()
            await self._pause(min(LINGER, self.limits.drain))
        await self._stop_accepting()
        while not self.force_exit and loop.time() < ends and self._busy():
            for connection in list(self.server_state.connections):
                connection.shutdown()
            await asyncio.sleep(POLL)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for task in list(self.server_state.tasks):
            task.cancel()
        await self.lifespan.shutdown()

    def _busy(self) -> bool:
        return bool(self.server_state.connections or self.server_state.tasks)

    async def _pause(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not self.force_exit and loop.time() < end:
            await asyncio.sleep(POLL)

    async def _stop_accepting(self) -> None:
        """Close the listener, but first take the connections that the system has already accepted for it."""
        loop = asyncio.get_running_loop()
        if self.alone:
            refuse_new(self.listener)
        rest = self.listener.dup()
        rest.setblocking(False)
        for server in self.servers:
            server.close()
        self.listener.close()
        # Handshakes under way end meanwhile, and the loop lets go of the listener.
        await self._pause(LAST_HANDSHAKES)
        with rest, contextlib.suppress(OSError):
            while True:
                connection, _ = rest.accept()
                connection.setblocking(False)
                await loop.connect_accepted_socket(self._protocol, connection, ssl=self.config.ssl)

    def _protocol(self) -> Any:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )


def raise_file_limit(connections: int) -> None:
    """Let this process hold `connections` sockets, as far as the system lets it."""
    try:
        import resource
    except ModuleNotFoundError:  # on Windows, which has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        top = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(ValueError, OSError):  # more than the kernel has
            resource.setrlimit(resource.RLIMIT_NOFILE, (top, hard))
