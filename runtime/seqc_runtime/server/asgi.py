"""The application as an ASGI 3 callable: for uvicorn, granian, hypercorn, or mounted in another application."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import TYPE_CHECKING, Any

from seqc_runtime.server.app import App, Exchange
from seqc_runtime.server.jobs import Blocking, Job, Pending
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import Buffer, Client, Head, Refusal, Response
from seqc_runtime.server.scheduling import Scheduler

if TYPE_CHECKING:
    from seqc_runtime.inputs import Array
    from seqc_runtime.server.guard import Link
    from seqc_runtime.server.observe import Observer, Watch

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LOG = logging.getLogger("seqc_runtime.server")
PIECE = 1 << 20
# Under a server that tells nothing of its connections, a client is looked after only when its job takes this long.
PATIENCE = 0.02
# Bodies from this size on are read beside the event loop, so that others are answered meanwhile; a compressed one can
# become so many times larger. In text an element of an answer takes about so many times its bytes.
LARGE, INFLATED, TEXT = 1 << 20, 1032, 4


class Disconnected(Exception):
    """The client went away before its request was complete."""


class Asgi:
    """`app` for an ASGI server. Mounted elsewhere it needs no lifespan.

    scheduler: runs the jobs; one of its own when None. observer: is told of every request.
    identify: the name in a client's certificate, as `ssl` gives it; it raises Refusal. origins: the origin an answer
    names for a browser, so that its page sees it.
    held: bytes of bodies under way, counted by the guard.
    """

    def __init__(
        self,
        app: App,
        scheduler: Scheduler | None = None,
        observer: Observer | None = None,
        identify: Callable[[Any], str | None] | None = None,
        origins: Callable[[Head], str | None] | None = None,
    ) -> None:
        self.app = app
        self.limits: Limits = app.limits
        self.scheduler = scheduler or Scheduler(app.limits)
        self.observer = observer
        self.identify = identify
        self.origins = origins
        self.held = 0

    @property
    def draining(self) -> bool:
        """Whether every answer closes its connection."""
        return self.app.draining

    def drain(self) -> None:
        """Be ready no more, and let every answer close its connection."""
        self.app.draining = True

    def refused(self, refusal: Refusal, address: str) -> Response:
        """The answer to what was refused before it was a request; whoever is told of requests is told of it, too."""
        response = refusal.response()
        if self.observer is not None:
            self.observer.begin(Head("", "", client=Client(address))).end(response)
        return response

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            link = (scope.get("extensions") or _NONE).get("seqc_runtime")
            if link is not None:
                await self._answer_link(scope, link)
            else:
                await self._answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000, "reason": "there are no websockets here"})
        else:
            raise ValueError(f"this application answers http requests; got {scope['type']!r}")

    async def _answer_link(self, scope: Message, link: Link) -> None:
        """Under the server of this package: bodies and answers in one go."""
        head = _head(scope, link.certificate)
        watch = self.observer.begin(head) if self.observer is not None else None
        exchange = self._open(head)
        if isinstance(exchange, Response):
            answer = exchange
        else:
            body = await link.read()
            if body is None:
                return
            large = _is_large(head, body)
            started = await self.scheduler.aside(exchange.start, body) if large else exchange.start(body)
            if isinstance(started, Pending):
                started.job.gone = link.gone
            answer = await self._complete(exchange, started, watch, self.scheduler.submit)
        self._finish(head, watch, answer)
        await link.write(answer)

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        """Under any other server."""
        head = _head(scope)
        watch = self.observer.begin(head) if self.observer is not None else None
        exchange = self._open(head)
        if isinstance(exchange, Response):
            answer = exchange
        else:
            started: Response | Pending | Blocking
            try:
                body = await _body(receive, self.limits.body)
                large = _is_large(head, body)
                started = await self.scheduler.aside(exchange.start, body) if large else exchange.start(body)
            except Disconnected:
                return
            except Refusal as refusal:
                started = refusal.response()
            answer = await self._complete(exchange, started, watch, partial(self._watched, receive))
        self._finish(head, watch, answer)
        await _send(send, answer)

    def _open(self, head: Head) -> Exchange | Response:
        length = head.headers.get("content-length", "0")
        opened = self.app.open(head)
        if isinstance(opened, Exchange) and length.isdigit() and int(length[:20]) > self.limits.body:
            return Refusal(413, f"the body is larger than {self.limits.body} bytes: {length[:20]}").response()
        return opened

    def _finish(self, head: Head, watch: Watch | None, answer: Response) -> None:
        if self.origins is not None:
            origin = self.origins(head)
            if origin is not None and answer.status != 204:
                answer.headers += [("access-control-allow-origin", origin), ("vary", "origin")]
        if watch is not None:
            watch.end(answer)

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
            if sum(result.nbytes for result in results) * TEXT > LARGE:
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


_NONE: dict[str, Any] = {}


def _is_large(head: Head, body: Buffer) -> bool:
    size = len(body)
    return size > LARGE or (size > LARGE // INFLATED and "content-encoding" in head.headers)


def _head(scope: Message, certificate: str | None = None) -> Head:
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
    client = Client(address[0] if address else "", certificate)
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
