"""Starting, draining and stopping the gRPC server."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import grpc

from seqc_runtime.errors import RuntimeArgumentError
from seqc_runtime.server.app import App
from seqc_runtime.server.grpc.handlers import Ending, generic
from seqc_runtime.server.grpc.health import Health
from seqc_runtime.server.grpc.reflection import NAMES, Reflection
from seqc_runtime.server.grpc.service import InferenceService
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.scheduling import Scheduler

if TYPE_CHECKING:
    from seqc_runtime.server.observe import Observer

# Extra for what is around the tensors in a message.
_FRAME = 1 << 16
_NO_LIMIT = (1 << 31) - 1
# Of connections: gRPC ends the process where more are to be let in.
_MOST_CONNECTIONS = _NO_LIMIT - 1
LINGER = 0.2
POLL = 0.02


class GrpcServer:
    """The inference service with health and reflection, on the running event loop.

    app, scheduler, observer, identify: see InferenceService. reuse_port: whether other processes may listen on the same
    port.
    """

    def __init__(
        self,
        app: App,
        scheduler: Scheduler,
        observer: Observer | None = None,
        identify: Callable[[Any], str | None] | None = None,
        *,
        reuse_port: bool = False,
    ) -> None:
        self._app = app
        self._ending = Ending()
        self._asked = asyncio.Event()
        self._forced = asyncio.Event()
        limits = app.limits
        most = min(limits.connections, _MOST_CONNECTIONS)
        self._server = grpc.aio.server(options=_options(limits, reuse_port), maximum_concurrent_rpcs=most)
        inference = InferenceService(app, scheduler, observer, identify)
        names = [inference.DESCRIPTION.full_name]
        health = Health(names, self._ready, self._ending.draining)
        reflection = Reflection([*names, health.DESCRIPTION.full_name, *NAMES])
        self._server.add_generic_rpc_handlers(
            [
                generic(inference, self._ending),
                generic(health, self._ending),
                *(generic(reflection, self._ending, name) for name in NAMES),
            ]
        )

    async def start(self, host: str, port: int, credentials: Any = None) -> int:
        """Listen, and return the port. Raises RuntimeArgumentError when that cannot be."""
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if credentials is None:
                bound = self._server.add_insecure_port(address)
            else:
                bound = self._server.add_secure_port(address, credentials)
        except RuntimeError:
            bound = 0
        if not bound:
            raise RuntimeArgumentError(
                f"cannot listen on {host} port {port}: --grpc-port takes another port, 0 a free one"
            )
        await self._server.start()
        return int(bound)

    async def serve(self) -> None:
        """Return when `stop` was called and everything under way is answered, after `limits.drain` seconds at most."""
        await self._asked.wait()
        await self.end(self._app.limits.drain)

    def drain(self) -> None:
        """Be ready no more, for whoever asks or watches, and end streams of requests after what is under way."""
        self._ending.draining.set()

    def stop(self) -> None:
        """Let `serve` end; called again, end at once."""
        if self._asked.is_set():
            self._forced.set()
        self._asked.set()

    async def end(self, grace: float) -> None:
        """End when everything under way is answered, or after `grace` seconds.

        gRPC cancels calls that arrive while it ends, which clients take for their own doing. So calls are answered for
        another moment, in which balancers learn that this server is not ready, and then refused as unavailable.
        """
        ends = time.monotonic() + grace
        self.drain()
        await self._pause(min(LINGER, grace))
        self._ending.closed = True
        await self._pause(min(LINGER, grace))
        while self._ending.under_way and time.monotonic() < ends and not self._forced.is_set():
            await self._pause(POLL)
        await self._server.stop(0.0 if self._forced.is_set() else max(0.0, ends - time.monotonic()))

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._forced.wait(), seconds)

    def _ready(self) -> bool:
        return self._app.repository.ready() and not self._app.draining and not self._app.waiting


def _options(limits: Limits, reuse_port: bool) -> list[tuple[str, int]]:
    milliseconds = int(1000 * limits.keep_alive)
    options = [
        # gRPC would let two servers have the same port without a word.
        ("grpc.so_reuseport", int(reuse_port)),
        ("grpc.max_receive_message_length", limits.body + _FRAME),
        # As over HTTP, answers are as large as the model makes them.
        ("grpc.max_send_message_length", _NO_LIMIT),
        ("grpc.max_allowed_incoming_connections", min(limits.connections, _MOST_CONNECTIONS)),
        ("grpc.max_concurrent_streams", limits.streams),
        ("grpc.max_metadata_size", limits.header),
        ("grpc.absolute_max_metadata_size", limits.header),
        ("grpc.server_handshake_timeout_ms", int(1000 * limits.header_time)),
        # Find out about clients that are gone without a word, and let go of those that ask nothing.
        ("grpc.keepalive_time_ms", milliseconds),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.max_connection_idle_ms", 10 * milliseconds),
        # Clients may look after their connections themselves, without calls and every ten seconds, as many do.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ]
    return [(name, min(value, _NO_LIMIT)) for name, value in options]
