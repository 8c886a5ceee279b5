"""The application as an ASGI 3 callable: for uvicorn, granian, hypercorn, or mounted in another application."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import TYPE_CHECKING, Any

from seqc_runtime.server.app import Exchange
from seqc_runtime.server.jobs import Blocking, Job, Pending
from seqc_runtime.server.messages import Buffer, Client, Head, Refusal, Response
from seqc_runtime.server.service import Service, becomes_large, is_large

if TYPE_CHECKING:
    from seqc_runtime.inputs import Array
    from seqc_runtime.server.observe import Watch

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LOG = logging.getLogger("seqc_runtime.server")
PIECE = 1 << 20
# Under a server that tells nothing of its connections, a client is looked after only when its job takes this long.
PATIENCE = 0.02


class Disconnected(Exception):
    """The client went away before its request was complete."""


class Asgi(Service):
    """A service for an ASGI server. Mounted elsewhere it needs no lifespan.

    It answers in one event loop after the other, as tests have them, and not in several at a time.
    """

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.scheduler.move()
            await self._answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000, "reason": "there are no websockets here"})
        else:
            raise ValueError(f"this application answers http requests; got {scope['type']!r}")

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        head = _head(scope)
        watch = self.observer.begin(head) if self.observer is not None else None
        exchange = self.open(head)
        if isinstance(exchange, Response):
            answer = exchange
        else:
            started: Response | Pending | Blocking
            try:
                body = await _body(receive, self.limits.body)
                large = is_large(head, body)
                started = await self.scheduler.aside(exchange.start, body) if large else exchange.start(body)
            except Disconnected:
                return
            except Refusal as refusal:
                started = refusal.response()
            answer = await self._complete(exchange, started, watch, partial(self._watched, receive))
        self.finish(head, watch, answer)
        await _send(send, answer)

    async def _complete(
        self,
        exchange: Exchange,
        started: Response | Pending | Blocking,
        watch: Watch | None,
        run: Callable[[Job], Awaitable[list[Array]]],
    ) -> Response:
        if isinstance(started, Response):
            return started
        if isinstance(started, Blocking):
            return await self.scheduler.call(exchange.complete, started)
        if watch is not None:
            watch.job(started.job)
        try:
            results = await run(started.job)
            if becomes_large(results):
                return await self.scheduler.aside(exchange.finish, started, results)
            return exchange.finish(started, results)
        except Exception as error:
            return exchange.fail(error)

    async def _watched(self, receive: Receive, job: Job) -> list[Array]:
        """Run a job, and know whether the client is still there if that takes a while."""
        task = asyncio.ensure_future(self.scheduler.submit(job))
        gone = False
        job.gone = lambda: gone
        done, _ = await asyncio.wait([task], timeout=PATIENCE)
        if done:
            return task.result()
        watcher = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait([task, watcher], return_when=asyncio.FIRST_COMPLETED)
            gone = watcher.done()
            return await task
        finally:
            watcher.cancel()

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return


def _head(scope: Message) -> Head:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    address = scope.get("client")
    root = scope.get("root_path", "")
    path = scope["path"]
    # As the specification has it, the path includes the root; some servers leave it out.
    if root and path.startswith(root):
        rest = path[len(root) :]
        if root.endswith("/") or not rest or rest.startswith("/"):
            path = rest if rest.startswith("/") else f"/{rest}"
    client = Client(address[0] if address else "")
    return Head(scope["method"], path, scope["query_string"].decode("latin-1"), headers, client)


async def _body(receive: Receive, limit: int) -> Buffer:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        piece = message.get("body", b"")
        size += len(piece)
        if size > limit:
            raise Refusal(413, f"the body is larger than {limit} bytes")
        if not message.get("more_body", False):
            return b"".join([*pieces, piece]) if pieces else piece
        pieces.append(piece)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, response: Response) -> None:
    length = sum(len(piece) for piece in response.body)
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    if response.status not in (204, 304):
        headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if length > PIECE:
        for part in response.body:
            view = memoryview(part)
            for start in range(0, len(view), PIECE):
                await send(
                    {"type": "http.response.body", "body": bytes(view[start : start + PIECE]), "more_body": True}
                )
        await send({"type": "http.response.body", "body": b""})
    else:
        await send({"type": "http.response.body", "body": response.content})
