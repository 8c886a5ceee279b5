"""uvicorn's HTTP protocol with every limit a server needs that strangers can reach.

uvicorn parses strictly and limits nothing: neither sizes, nor counts, nor how long a client takes. This protocol counts
while the parser reports, answers what it refuses in JSON, and hands the application a `Link`, by which it reads a whole
body, writes a whole answer and learns whether the client is still there, without a task or a copy for any of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from seqc_runtime.server.messages import Refusal, Response

if TYPE_CHECKING:
    from seqc_runtime.server.asgi import Asgi

EXTENSION = "seqc_runtime"
# Answers are written in pieces of this many bytes, each once the piece before it is on its way.
PIECE = 128 << 10
# What is still read, and for how many seconds, of a request that was refused, so that the client sees the answer.
LINGER_BYTES, LINGER_SECONDS = 4 << 20, 2.0
# Bytes of a chunk's size line; more are extensions, of which nobody needs many.
CHUNK_LINE, CHUNK_EXTRA = 32, 64 << 10

BETWEEN, HEAD, BODY = range(3)
_WATCHED = {b"host", b"content-length", b"transfer-encoding", b"expect", b"upgrade"}


class Link:
    """What an application needs of the connection its request came by."""

    __slots__ = ("cycle", "guard")

    def __init__(self, guard: Guard, cycle: RequestResponseCycle) -> None:
        self.guard = guard
        self.cycle = cycle

    @property
    def certificate(self) -> str | None:
        """The name in the client's certificate, when it has shown one."""
        return self.guard.certificate

    def gone(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return bool(self.cycle.disconnected)

    async def read(self) -> bytearray | None:
        """The whole body, None when the client went away before it was complete."""
        cycle = self.cycle
        while cycle.more_body and not cycle.disconnected:
            if cycle.waiting_for_100_continue:
                cycle.waiting_for_100_continue = False
                self.guard.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.guard.flow.resume_reading()
            await cycle.message_event.wait()
            cycle.message_event.clear()
        if cycle.disconnected:
            return None
        body, cycle.body = cycle.body, bytearray()
        return body

    async def write(self, response: Response) -> None:
        """Write the answer, waiting for a client that reads slowly."""
        await self.guard.write(self.cycle, response)


class Guard(HttpToolsProtocol):
    """One connection. uvicorn makes it; the limits are those of the application it serves."""

    app: Asgi

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.limits = self.app.limits
        self.certificate: str | None = None
        self.phase = BETWEEN
        self.since = self.loop.time()
        self.head_size = 0
        self.body_size = 0
        self.raw_size = 0
        self.chunks = 0
        self.held = 0
        self.resumed = False
        self.refused = False
        self.lingered = 0
        self.deferred: Refusal | None = None
        self.running: RequestResponseCycle | None = None
        self.stalled_since: float | None = None
        self.ends_at: float | None = None

    # --- The connection.

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and self.app.identify is not None:
            try:
                self.certificate = self.app.identify(tls.getpeercert())
            except Refusal as refusal:
                self._refuse(refusal)
                return
        if len(self.connections) > self.limits.connections:
            self._refuse(Refusal(503, "too many connections are open", {"retry-after": "1"}))

    def connection_lost(self, exc: Exception | None) -> None:
        for cycle in [self.cycle, self.running, *(cycle for cycle, _ in self.pipeline)]:
            if cycle is not None and not cycle.response_complete:
                _give_up(cycle)
        self.pipeline.clear()
        self._release()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.refused:
            self.lingered += len(data)
            if self.lingered > LINGER_BYTES:
                self.transport.abort()
            return
        if self.phase == BETWEEN:
            self.since = self.loop.time()
        self.raw_size += len(data)
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            found = error.__context__
            self._refuse(found if isinstance(found, Refusal) else Refusal(400, f"this is not HTTP: {error}"))
        else:
            if self.phase == HEAD and self.raw_size > self.limits.header:
                self._refuse(_too_long(self.limits.header))
            elif self.phase == BODY and self.raw_size > self.body_size + self.chunks * CHUNK_LINE + CHUNK_EXTRA:
                self._refuse(Refusal(400, "the chunks of the body have too many extensions"))

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Go on as if another protocol had not been offered, as Java's client does with every first request.

        The parser stops after the header of such a request, so another one reads its body and what follows.
        """
        self.parser = httptools.HttpRequestParser(self)
        self.resumed = True
        fields = [
            b"%s: %s\r\n" % field for field in self.headers if field[0] in (b"content-length", b"transfer-encoding")
        ]
        self.data_received(b"POST / HTTP/1.1\r\n%s\r\n" % b"".join(fields) + rest)

    def check(self, now: float) -> None:
        """Close the connection, or refuse its request, if the client takes too long; called about once a second."""
        if self.ends_at is not None:
            if now > self.ends_at:
                self.transport.abort()
            return
        if self.transport.is_closing() or self.flow.write_paused:
            self.stalled_since = self.stalled_since or now
            if now - self.stalled_since > self.limits.body_grace:
                self.transport.abort()
        elif self.phase == HEAD and now - self.since > self.limits.header_time:
            self._refuse(Refusal(408, f"the header took longer than {self.limits.header_time:g} s"))
        elif self.phase == BODY and not self.cycle.response_complete:
            self._check_body(now)
        elif self.phase == BETWEEN and self.cycle is None and now - self.since > self.limits.header_time:
            self.transport.close()

    def _check_body(self, now: float) -> None:
        if self.flow.read_paused:
            self.since = now
        late = now - self.since - self.limits.body_grace
        if late > 0 and self.body_size < late * self.limits.body_rate:
            self._refuse(Refusal(408, f"the body came slower than {self.limits.body_rate} bytes a second"))

    def resume_writing(self) -> None:
        self.stalled_since = None
        super().resume_writing()

    # --- What the parser reports.

    def on_message_begin(self) -> None:
        if self.resumed:
            return
        super().on_message_begin()
        self.phase = HEAD
        self.head_size = self.raw_size = self.body_size = self.chunks = 0

    def on_url(self, url: bytes) -> None:
        if self.resumed:
            return
        self.url += url
        if len(self.url) > self.limits.url:
            raise Refusal(414, f"the address is longer than {self.limits.url} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.resumed:
            return
        self.head_size += len(name) + len(value) + 4
        if self.head_size > self.limits.header:
            raise _too_long(self.limits.header)
        if self.phase == BODY:
            return  # trailers, which nothing here reads
        name = name.lower()
        if name in _WATCHED:
            self._watch(name, value)
        self.headers.append((name, value))
        if len(self.headers) > self.limits.headers:
            raise Refusal(431, f"there are more than {self.limits.headers} header lines")

    def _watch(self, name: bytes, value: bytes) -> None:
        seen = {given for given, _ in self.headers}
        if name == b"expect":
            if value.lower() != b"100-continue":
                raise Refusal(417, "the only expectation that can be met is 100-continue")
            self.expect_100_continue = True
        elif name in seen and name != b"upgrade":
            raise Refusal(400, f"the header has {name.decode()} twice")
        elif name == b"transfer-encoding" and value.lower() != b"chunked":
            raise Refusal(400, "the only transfer coding understood is chunked")
        if {name, *seen} >= {b"content-length", b"transfer-encoding"}:
            raise Refusal(400, "the header has both content-length and transfer-encoding")

    def on_headers_complete(self) -> None:
        if self.resumed:
            self.resumed = False
            return
        version = self.parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise Refusal(505, "HTTP/1.1 and HTTP/1.0 are understood")
        names = {name for name, _ in self.headers}
        if version == "1.1" and b"host" not in names:
            raise Refusal(400, "the header has no host")
        if version == "1.0" and b"transfer-encoding" in names:
            raise Refusal(400, "HTTP/1.0 has no transfer-encoding")
        if len(self.pipeline) >= self.limits.pipeline:
            raise Refusal(429, f"more than {self.limits.pipeline} requests wait on one connection")
        if not self.url.startswith((b"/", b"http://", b"https://")):
            raise Refusal(400, "the address of a request starts with a slash")
        self.phase = BODY
        super().on_headers_complete()
        if self.app.draining:
            self.cycle.keep_alive = False
        extensions: dict[str, Any] = {EXTENSION: Link(self, self.cycle)}
        self.scope["extensions"] = extensions

    def on_chunk_header(self) -> None:
        self.chunks += 1
        if self.chunks > self.limits.chunks:
            raise Refusal(413, f"the body has more than {self.limits.chunks} chunks")

    def on_body(self, body: bytes) -> None:
        self.body_size += len(body)
        cycle = self.cycle
        if cycle.response_complete:
            return
        if self.body_size > self.limits.body:
            raise Refusal(413, f"the body is larger than {self.limits.body} bytes")
        cycle.body += body
        self.held += len(body)
        self.app.held += len(body)
        if self.app.held > self.limits.bodies:
            raise Refusal(503, "too many bodies are under way at the same time", {"retry-after": "1"})

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # its body comes yet
        self.phase = BETWEEN
        self.raw_size = 0
        self.cycle.more_body = False
        self.cycle.message_event.set()

    # --- Answers.

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.running = cycle
        super()._start_asgi_task(cycle, app)

    async def write(self, cycle: RequestResponseCycle, response: Response) -> None:
        """Write a whole answer; a big one in pieces, waiting for a client that reads slowly."""
        if self.flow.write_paused:
            await self.flow.drain()
        if cycle.disconnected:
            return
        cycle.response_started = True
        unread = cycle.more_body
        if unread or self.app.draining:
            cycle.keep_alive = False
        length = sum(len(piece) for piece in response.body)
        lines = self._head(response, length, cycle.keep_alive)
        body = response.body if cycle.scope["method"] != "HEAD" else ()
        if length <= PIECE:
            self.transport.write(b"".join([*lines, *body]))
        else:
            self.transport.write(b"".join(lines))
            for piece in body:
                await self._write_pieces(cycle, memoryview(piece))
            if cycle.disconnected:
                return
        cycle.response_complete = True
        if unread:
            self._linger()
        elif not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    async def _write_pieces(self, cycle: RequestResponseCycle, data: memoryview) -> None:
        for start in range(0, len(data), PIECE):
            if self.flow.write_paused:
                await self.flow.drain()
            if cycle.disconnected:
                return
            self.transport.write(data[start : start + PIECE])

    def _head(self, response: Response, length: int, keep_alive: bool) -> list[bytes]:
        lines = [STATUS_LINE[response.status]]
        for raw_name, raw_value in self.server_state.default_headers:
            lines += (raw_name, b": ", raw_value, b"\r\n")
        for name, value in response.headers:
            if "\n" in value or "\r" in value:
                raise ValueError(f"a header of an answer spans lines: {name}")
            lines.append(f"{name}: {value}\r\n".encode("latin-1", "replace"))
        if response.status not in (204, 304):
            lines.append(b"content-length: %d\r\n" % length)
        lines.append(b"\r\n" if keep_alive else b"connection: close\r\n\r\n")
        return lines

    def on_response_complete(self) -> None:
        self.running = None
        self._release()
        if self.deferred is not None and not self.pipeline:
            deferred, self.deferred = self.deferred, None
            self._send_refusal(deferred)
            self.server_state.total_requests += 1
            return
        super().on_response_complete()

    def _release(self) -> None:
        if self.held and not self.pipeline:
            self.app.held -= self.held
            self.held = 0

    def _refuse(self, refusal: Refusal) -> None:
        """Answer what the parser or a limit says, after the answers to what came before it on this connection."""
        self.refused = True
        cycle = self.cycle
        if self.phase == BODY and not cycle.response_complete:
            # The request is under way, and its application waits for the rest of its body.
            _give_up(cycle)
            if self.pipeline and self.pipeline[0][0] is cycle:
                self.pipeline.popleft()
            if self.running is cycle:
                self.running = None
            if cycle.response_started:
                self.transport.abort()
                return
        if self.running is not None and not self.running.response_complete:
            self.deferred = refusal
        else:
            self._send_refusal(refusal)

    def _send_refusal(self, refusal: Refusal) -> None:
        response = self.app.refused(refusal, self.client[0] if self.client else "")
        if not self.transport.is_closing():
            self.transport.write(b"".join([*self._head(response, len(response.content), False), response.content]))
            self._linger()

    def _linger(self) -> None:
        """Read on for a while before closing: a connection closed with unread data takes the answer with it."""
        self.refused = True
        self.ends_at = self.loop.time() + LINGER_SECONDS
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def shutdown(self) -> None:
        """Close when nothing is under way."""
        if self.phase == BETWEEN and self.running is None and not self.pipeline:
            self.transport.close()


def _give_up(cycle: RequestResponseCycle) -> None:
    """Let the application of a request know that nobody waits, and let go of the body.

    Requests and connections refer to each other: without this, a body would stay until the garbage is collected.
    """
    cycle.disconnected = True
    cycle.body = bytearray()
    cycle.message_event.set()


def _too_long(limit: int) -> Refusal:
    return Refusal(431, f"the header is longer than {limit} bytes")
