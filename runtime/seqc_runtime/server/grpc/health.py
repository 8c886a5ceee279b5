"""gRPC's health checking: whether the server is ready, asked once or watched."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from seqc_runtime.server.grpc.schema import message, service

_Response = message("grpc.health.v1.HealthCheckResponse")
_States = message("grpc.health.v1.HealthListResponse")
_POLL_SECONDS = 0.5


class Health:
    """The service grpc.health.v1.Health.

    services: those it answers for, besides the server as a whole. ready: whether they can be used.
    draining: set when the server ends; watches end then, after they have told it.
    """

    DESCRIPTION = service("grpc.health.v1.Health")

    def __init__(self, services: list[str], ready: Callable[[], bool], draining: asyncio.Event) -> None:
        self._services = {"", *services}
        self._ready = ready
        self._draining = draining

    async def Check(self, request: Any, context: Any, raw: bytes) -> Any:
        """The state of a service now."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no service {request.service[:200]!r}")
        return self._state()

    async def List(self, request: Any, context: Any, raw: bytes) -> Any:
        """The state of every service now."""
        state = self._state()
        return _States(statuses=dict.fromkeys(self._services, state))

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """The state of a service now, and again whenever it changes."""
        last = None
        while True:
            # Before the state, so that the last one is told.
            over = self._draining.is_set()
            state = self._state() if request.service in self._services else _Response(status="SERVICE_UNKNOWN")
            if state != last:
                yield state
                last = state
            if over:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._draining.wait(), _POLL_SECONDS)

    def _state(self) -> Any:
        ready = self._ready() and not self._draining.is_set()
        return _Response(status="SERVING" if ready else "NOT_SERVING")
