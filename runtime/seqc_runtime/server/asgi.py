"""The application as an ASGI 3 callable: for uvicorn, granian, hypercorn, or mounted in another application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from seqc_runtime.errors import SeqcRuntimeError
from seqc_runtime.server.app import App
from seqc_runtime.server.messages import Buffer, Client, Head, Refusal, Response
from seqc_runtime.server.scheduling import Scheduler

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Disconnected(Exception):
    """The client went away before its request was complete."""


class Asgi:
    """`app` for an ASGI server. Mounted elsewhere it needs no lifespan."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.scheduler = Scheduler()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            raise ValueError(f"this application answers http requests; got {scope['type']!r}")

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        exchange = self.app.open(_head(scope))
        if isinstance(exchange, Response):
            await _send(send, exchange)
            return
        try:
            body = await _body(receive, self.app.limits.body)
        except Disconnected:
            return
        except Refusal as refusal:
            await _send(send, refusal.response())
            return
        answer = exchange.start(body)
        if not isinstance(answer, Response):
            try:
                answer = exchange.finish(answer, await self.scheduler.submit(answer.job))
            except (Refusal, SeqcRuntimeError) as error:
                answer = exchange.fail(error)
        await _send(send, answer)

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
    if root and path.startswith(root):
        path = path[len(root) :]
    return Head(
        scope["method"],
        path,
        scope["query_string"].decode("latin-1"),
        headers,
        Client(address[0] if address else ""),
    )


async def _body(receive: Receive, limit: int) -> Buffer:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        piece = message.get("body", b"")
        if not message.get("more_body", False):
            if size + len(piece) > limit:
                raise Refusal(413, f"the body is larger than {limit} bytes")
            return b"".join([*pieces, piece]) if pieces else piece
        size += len(piece)
        if size > limit:
            raise Refusal(413, f"the body is larger than {limit} bytes")
        pieces.append(piece)


async def _send(send: Send, response: Response) -> None:
    length = sum(len(piece) for piece in response.body)
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.content})
