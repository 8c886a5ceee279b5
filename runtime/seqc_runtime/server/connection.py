"""A connection of HTTP/1.1: requests in, answers out, each in its turn, with every limit that strangers make needed.

uvicorn accepts connections and ends them; what is between is here, because a model may take less time than a task of
the event loop. A request that was read whole is answered before the loop's turn ends where its model is quick, with
neither a task nor a copy of the body.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.utils import get_remote_addr

from seqc_runtime.server.app import Exchange
from seqc_runtime.server.failures import refusal_of
from seqc_runtime.server.jobs import Blocking, Pending
from seqc_runtime.server.messages import Buffer, Client, Refusal, Response, Usual, head_of
from seqc_runtime.server.request import BETWEEN, BODY, HEAD, Reader, Request
from seqc_runtime.server.service import Service, becomes_large, is_large

if TYPE_CHECKING:
    from seqc_runtime.inputs import Array
    from seqc_runtime.server.lane import Outcome
    from seqc_runtime.server.limits import Limits

LOG = logging.getLogger("seqc_runtime.server")
# Answers are written in pieces of this many bytes, each once the piece before it is on its way.
PIECE = 128 << 10
# What is still read, and for how many seconds, of a request that was refused, so that the client sees the answer.
LINGER_BYTES, LINGER_SECONDS = 4 << 20, 2.0


class Connection(asyncio.Protocol):
    """One connection. uvicorn makes it; the limits are those of the service, its application.

    refused: whether nothing more is read as a request. since: when the request that is being read began, or when the
    last one was answered.
    """

    transport: Any

    def __init__(self, config: Any, server_state: Any, **ignored: Any) -> None:
        self.service: Service = config.loaded_app
        self.limits: Limits = self.service.limits
        self.loop = asyncio.get_running_loop()
        self.state = server_state
        self.reader = Reader(self.service, self._begun, self._received)
        self.waiting: deque[Request] = deque()
        self.active: Request | None = None
        self.advancing = False
        self.since = self.loop.time()
        self.used = False
        self.refused = False
        self.deferred: Refusal | None = None
        self.lingered = 0
        self.reading_paused = False
        self.writable: asyncio.Event | None = None
        self.stalled_since: float | None = None
        self.ends_at: float | None = None

    # --- The connection.

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.state.connections.add(self)
        address = get_remote_addr(transport)
        self.reader.client = Client(address[0] if address else "")
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and self.service.identify is not None:
            try:
                self.reader.client = Client(self.reader.client.address, self.service.identify(tls.getpeercert()))
            except Refusal as refusal:
                self._refuse(refusal)
                return
        if len(self.state.connections) > self.limits.connections:
            self._refuse(Refusal(503, "too many connections are open", {"retry-after": "1"}))

    def connection_lost(self, exc: Exception | None) -> None:
        self.state.connections.discard(self)
        self.refused = True
        for request in [self.active, self.reader.reading, *self.waiting]:
            if request is not None:
                request.give_up()
        self.waiting.clear()
        self.reader.release_all()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        if self.refused:
            self.lingered += len(data)
            if self.lingered > LINGER_BYTES:
                self.transport.abort()
            return
        try:
            self.reader.feed(data)
        except Refusal as refusal:
            self._refuse(refusal)
        else:
            self.service.turn.take(self)

    def eof_received(self) -> None:
        """Nothing more comes: the transport closes."""

    def pause_writing(self) -> None:
        self.writable = self.writable or asyncio.Event()

    def resume_writing(self) -> None:
        self.stalled_since = None
        if self.writable is not None:
            self.writable.set()
            self.writable = None

    def check(self, now: float) -> None:
        """Close the connection, or refuse its request, if the client takes too long; called about once a second."""
        phase = self.reader.phase
        if self.reading_paused:  # it is not the client that is waited for
            self.since = now
        if self.ends_at is not None:
            if now > self.ends_at:
                self.transport.abort()
        elif self.transport.is_closing() or self.writable is not None:
            self.stalled_since = self.stalled_since or now
            if now - self.stalled_since > self.limits.body_grace:
                self.transport.abort()
        elif phase == HEAD:
            if now - self.since > self.limits.header_time:
                self._refuse(Refusal(408, f"the header took longer than {self.limits.header_time:g} s"))
        elif phase == BODY:
            self._check_body(now)
        elif self.active is None and not self.waiting and now - self.since > self._idle_time():
            self.transport.close()

    def _idle_time(self) -> float:
        return self.limits.keep_alive if self.used else self.limits.header_time

    def _check_body(self, now: float) -> None:
        late = now - self.since - self.limits.body_grace
        if late > 0 and self.reader.body_size < late * self.limits.body_rate:
            self._refuse(Refusal(408, f"the body came slower than {self.limits.body_rate} bytes a second"))

    def shutdown(self) -> None:
        """Close when nothing is under way."""
        if self.reader.phase == BETWEEN and self.active is None and not self.waiting:
            self.transport.close()

    # --- Requests.

    def _begun(self) -> None:
        """The first byte of a request is there."""
        self.since = self.loop.time()

    def _received(self, request: Request) -> None:
        """The head of a request is complete."""
        if len(self.waiting) > self.limits.pipeline:
            raise Refusal(429, f"more than {self.limits.pipeline} requests wait on one connection")
        self.used = True
        self.waiting.append(request)

    def advance(self) -> None:
        """Go on with the request whose turn it is, and when that is answered, with the next one."""
        if self.advancing:
            return
        self.advancing = True
        try:
            while self._step():
                pass
        finally:
            self.advancing = False
        self._pause_reading(bool(self.waiting))

    def _pause_reading(self, pause: bool) -> None:
        """Read no more than one request ahead."""
        if pause == self.reading_paused or self.transport.is_closing():
            return
        self.reading_paused = pause
        if pause:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def _step(self) -> bool:
        """Whether a request was answered, so that there may be more to do."""
        request = self.active
        if request is None:
            if not self.waiting:
                if self.deferred is not None:
                    self._send_refusal(self.deferred)
                return False
            request = self.active = self.waiting.popleft()
            self._open(request)
        if request.complete and not request.started and not request.answered:
            request.started = True
            self._start(request)
        return self.active is None

    def _open(self, request: Request) -> None:
        service = self.service
        if service.observer is not None:
            request.watch = service.observer.begin(request.head)
        known = request.known
        opened = service.open(request.head, known.exchange if known is not None else None)
        if not isinstance(opened, Exchange):
            self._answer(request, opened)
            return
        request.exchange = opened
        if known is not None:
            known.exchange = opened
        if request.expects and not request.complete:
            self.service.turn.do(self.transport.write, b"HTTP/1.1 100 Continue\r\n\r\n")

    def _start(self, request: Request) -> None:
        """Its body is complete."""
        body, request.body = request.body, b""
        if is_large(request.head, body):
            self._do(self._start_aside(request, body))
        else:
            self._run(request, request.exchange.start(body))

    async def _start_aside(self, request: Request, body: Buffer) -> None:
        started = await self.service.scheduler.aside(request.exchange.start, body)
        del body
        self._run(request, started)
        self.advance()

    def _run(self, request: Request, started: Response | Pending | Blocking) -> None:
        """Its body is read."""
        if isinstance(started, Response):
            self._answer(request, started)
            return
        if isinstance(started, Blocking):
            self._do(self._complete(request, started))
            return
        job, scheduler = started.job, self.service.scheduler
        job.gone = request.is_gone
        if request.watch is not None:
            request.watch.job(job)
        try:
            results = scheduler.at_once(job)
            if results is None:
                scheduler.queue(job, partial(self._ended, request, started))
                return
        except Exception as error:
            self._answer(request, request.exchange.fail(error))
        else:
            self._finish(request, started, results)

    def _ended(self, request: Request, pending: Pending, outcome: Outcome) -> None:
        """The job of a request has run, or never will."""
        if isinstance(outcome, BaseException):
            error = outcome if isinstance(outcome, Exception) else RuntimeError(repr(outcome))
            self._answer(request, request.exchange.fail(error))
        else:
            self._finish(request, pending, outcome)
        self.advance()

    def _finish(self, request: Request, pending: Pending, results: list[Array]) -> None:
        if becomes_large(results):
            self._do(self._finish_aside(request, pending, results))
        else:
            self._answer(request, request.exchange.finish(pending, results))

    async def _finish_aside(self, request: Request, pending: Pending, results: list[Array]) -> None:
        self._answer(request, await self.service.scheduler.aside(request.exchange.finish, pending, results))
        self.advance()

    async def _complete(self, request: Request, blocking: Blocking) -> None:
        scheduler = self.service.scheduler
        run = scheduler.aside if blocking.brief else scheduler.call
        self._answer(request, await run(request.exchange.complete, blocking))
        self.advance()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        self.state.tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.state.tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            LOG.error("an answer could not be written", exc_info=task.exception())
            self.transport.abort()

    # --- Answers.

    def _answer(self, request: Request, response: Response) -> None:
        """Write a whole answer; a big one in pieces, waiting for a client that reads slowly."""
        request.started = True
        if not request.complete or self.service.draining:
            request.keep_alive = False
        try:
            self.service.finish(request.head, request.watch, response)
            lines = b"" if request.gone else self._head(response, request.keep_alive)
        except Exception as error:  # such as a log that cannot be written
            response = refusal_of(error).response()
            lines = self._head(response, request.keep_alive)
        if request.gone:
            return
        body = response.body if request.head.method != "HEAD" else ()
        if response.size <= PIECE and self.writable is None:
            self.service.turn.do(self.transport.write, b"".join([lines, *body]))
            self._answered(request)
        else:
            self._do(self._write_slowly(request, lines, body))

    async def _write_slowly(self, request: Request, lines: bytes, body: tuple[Buffer, ...]) -> None:
        for piece in (memoryview(lines), *(memoryview(part) for part in body)):
            for start in range(0, len(piece), PIECE):
                while self.writable is not None:
                    await self.writable.wait()
                if request.gone:
                    return
                self.transport.write(piece[start : start + PIECE])
        self._answered(request)
        self.advance()

    def _answered(self, request: Request) -> None:
        request.answered = True
        self.active = None
        self.state.total_requests += 1
        self.reader.release(request)
        if not request.complete:
            self._linger()
        elif not request.keep_alive:
            self.refused = True
            self.waiting.clear()
            self.service.turn.do(self.transport.close)
        if self.reader.phase == BETWEEN:
            self.since = self.loop.time()

    def _head(self, response: Response, keep_alive: bool) -> bytes:
        usual = self.service.usual
        if usual.headers is not self.state.default_headers:  # uvicorn makes them anew every second
            usual = self.service.usual = Usual(self.state.default_headers)
        return head_of(response, usual, keep_alive)

    # --- Refusals.

    def _refuse(self, refusal: Refusal) -> None:
        """Answer what the parser or a limit says, after the answers to what came before it on this connection."""
        self.refused = True
        self.deferred = refusal
        reading = self.reader.reading
        if self.reader.phase == BODY and reading is not None and not reading.answered:
            # The request is under way, and the rest of its body will not be read.
            reading.give_up()
            if reading is self.active:
                self.active = None
                if reading.started:  # its answer is on its way
                    self.transport.abort()
            elif reading in self.waiting:
                self.waiting.remove(reading)
        self.advance()

    def _send_refusal(self, refusal: Refusal) -> None:
        self.deferred = None
        response = self.service.refused(refusal, self.reader.client.address)
        self.state.total_requests += 1
        if not self.transport.is_closing():
            self.service.turn.do(self.transport.write, self._head(response, False) + response.content)
            self._linger()

    def _linger(self) -> None:
        """Read on for a while before closing: a connection closed with unread data takes the answer with it."""
        self.refused = True
        self.waiting.clear()
        self.ends_at = self.loop.time() + LINGER_SECONDS
        self._pause_reading(False)
        if self.transport.can_write_eof():
            self.service.turn.do(self.transport.write_eof)
