"""What the HTTP parser reports of one connection, with every limit counted while it does, made into requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httptools

from seqc_runtime.server.messages import Buffer, Client, Head, Refusal

if TYPE_CHECKING:
    from seqc_runtime.server.service import Service

BETWEEN, HEAD, BODY = range(3)
# Bytes of a chunk's size line; more are extensions, of which nobody needs many.
CHUNK_LINE, CHUNK_EXTRA = 32, 64 << 10
# Header lines that must not be there twice, and that say where a request ends.
_ONCE = {"host", "content-length", "transfer-encoding", "expect"}
_FRAMING = {"content-length", "transfer-encoding"}


class Known:
    """A head that was read, and allowed, for when the same bytes come again.

    text: its bytes. size: of the whole request. exchange: what was opened for it, None until then.
    """

    __slots__ = ("exchange", "head", "size", "text")

    def __init__(self, text: bytes, size: int, head: Head) -> None:
        self.text = text
        self.size = size
        self.head = head
        self.exchange: Any = None


class Request:
    """One request of a connection, from its head to its answer.

    keep_alive: whether another one may follow. complete: whether its body is whole. started: whether its answer is
    being made or written. answered: whether it is written. gone: whether nobody waits for it any more.
    expects: whether its client waits to be told that it may send the body. known: its head, where that came before.
    held: bytes of its body that are counted as under way.
    """

    __slots__ = (
        "answered",
        "body",
        "complete",
        "exchange",
        "expects",
        "gone",
        "head",
        "held",
        "keep_alive",
        "known",
        "started",
        "watch",
    )

    def __init__(self, head: Head, keep_alive: bool, expects: bool) -> None:
        self.head = head
        self.keep_alive = keep_alive
        self.expects = expects
        self.body: Buffer = b""
        self.held = 0
        self.complete = self.started = self.answered = self.gone = False
        self.exchange: Any = None
        self.known: Known | None = None
        self.watch: Any = None

    def is_gone(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.gone

    def give_up(self) -> None:
        """Let go of the body, and let whoever works on the answer know that nobody waits for it."""
        self.gone = True
        self.body = b""


class Reader:
    """Feeds the parser and keeps count. What breaks a limit, or is not HTTP, is a Refusal.

    service: its limits, and the bytes that all connections hold together. begun: called when the first byte of a
    request is there. received: told of each request when its head is complete. phase: what comes next.
    body_size: of the request that is being read. held: bytes of bodies that this connection holds.
    """

    def __init__(self, service: Service, begun: Callable[[], None], received: Callable[[Request], None]) -> None:
        self.service = service
        self.limits = service.limits
        self.client = Client()
        self.phase = BETWEEN
        self.reading: Request | None = None
        self.body_size = 0
        self.held = 0
        self._begun = begun
        self._received = received
        self._parser = _parser(self)
        self._resumed = False
        self._known: Known | None = None
        self._url = b""
        self._fields: dict[str, str] = {}
        self._heads = self._lines = self._head_size = self._raw_size = self._chunks = 0

    def feed(self, data: bytes) -> None:
        """Read bytes of the client. Raises Refusal."""
        known = self._known
        begins = self.phase == BETWEEN
        if known is not None and begins and len(data) == known.size and data.startswith(known.text):
            self._read_known(known, data)
            return
        self._heads = 0
        self._parse(data)
        if begins and self._heads == 1 and self.phase == BETWEEN:
            self._learn(data)

    def _read_known(self, known: Known, data: bytes) -> None:
        """A whole request whose head is known: the parser has nothing to find out about it."""
        request = Request(known.head, True, False)
        request.known = known
        self.body_size = 0
        self.phase = BODY
        self.reading = request
        self._received(request)
        self.on_body(data[len(known.text) :])
        self.phase = BETWEEN
        request.complete = True

    def _learn(self, data: bytes) -> None:
        """Remember the head of a whole request, if it is certain where its body begins."""
        request, fields = self.reading, self._fields
        if request is None or not request.keep_alive or request.expects or "transfer-encoding" in fields:
            return
        text = data[: len(data) - self.body_size]
        # Every line of the head ends here, and none of the body: nothing lay in front of the request, or behind it.
        if text.endswith(b"\r\n\r\n") and text.count(b"\n") == self._lines + 2:
            self._known = Known(text, len(data), request.head)

    def _parse(self, data: bytes) -> None:
        self._raw_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            found = error.__context__
            if isinstance(found, Refusal):
                raise found from None
            raise Refusal(400, f"this is not HTTP: {error}") from error
        else:
            if self.phase == HEAD and self._raw_size > self.limits.header:
                raise _too_long(self.limits.header)
            if self.phase == BODY and self._raw_size > self.body_size + self._chunks * CHUNK_LINE + CHUNK_EXTRA:
                raise Refusal(400, "the chunks of the body have too many extensions")

    def release(self, request: Request) -> None:
        """Hold the body of a request no more."""
        self.service.held -= request.held
        self.held -= request.held
        request.held = 0

    def release_all(self) -> None:
        """Hold no body any more."""
        self.service.held -= self.held
        self.held = 0

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Go on as if another protocol had not been offered, as Java's client does with every first request.

        The parser stops after the header of such a request, so another one reads its body and what follows.
        """
        self._parser = _parser(self)
        self._resumed = True
        fields = "".join(f"{name}: {value}\r\n" for name, value in self._fields.items() if name in _FRAMING)
        self._parse(b"POST / HTTP/1.1\r\n%s\r\n" % fields.encode("latin-1") + rest)

    # --- What the parser reports.

    def on_message_begin(self) -> None:
        if self._resumed:
            return
        self._begun()
        self.phase = HEAD
        self._url = b""
        self._fields = {}
        self._lines = self._head_size = self._raw_size = self._chunks = self.body_size = 0

    def on_url(self, url: bytes) -> None:
        if self._resumed:
            return
        self._url += url
        if len(self._url) > self.limits.url:
            raise Refusal(414, f"the address is longer than {self.limits.url} bytes")

    def on_header(self, raw_name: bytes, raw_value: bytes) -> None:
        if self._resumed:
            return
        self._head_size += len(raw_name) + len(raw_value) + 4
        if self._head_size > self.limits.header:
            raise _too_long(self.limits.header)
        if self.phase == BODY:
            return  # trailers, which nothing here reads
        self._lines += 1
        if self._lines > self.limits.headers:
            raise Refusal(431, f"there are more than {self.limits.headers} header lines")
        name = raw_name.decode("latin-1").lower()
        value = raw_value.decode("latin-1")
        fields = self._fields
        if name in fields:
            if name in _ONCE:
                raise Refusal(400, f"the header has {name} twice")
            value = f"{fields[name]}, {value}"
        fields[name] = value
        if name == "transfer-encoding" and value.lower() != "chunked":
            raise Refusal(400, "the only transfer coding understood is chunked")
        if name == "expect" and value.lower() != "100-continue":
            raise Refusal(417, "the only expectation that can be met is 100-continue")

    def on_headers_complete(self) -> None:
        if self._resumed:
            self._resumed = False
            return
        fields, parser = self._fields, self._parser
        if "transfer-encoding" in fields and "content-length" in fields:
            raise Refusal(400, "the header has both content-length and transfer-encoding")
        version = parser.get_http_version()
        if version == "1.1":
            if "host" not in fields:
                raise Refusal(400, "the header has no host")
        elif version != "1.0":
            raise Refusal(505, "HTTP/1.1 and HTTP/1.0 are understood")
        elif "transfer-encoding" in fields:
            raise Refusal(400, "HTTP/1.0 has no transfer-encoding")
        self._heads += 1
        path, query = _split(self._url)
        head = Head(parser.get_method().decode("ascii"), path, query, fields, self.client)
        # HTTP/1.0 knows of no interim answers: a client of it would take one for the answer.
        newer = version == "1.1"
        self.phase = BODY
        self.reading = request = Request(head, newer and parser.should_keep_alive(), newer and "expect" in fields)
        self._received(request)

    def on_chunk_header(self) -> None:
        self._chunks += 1
        if self._chunks > self.limits.chunks:
            raise Refusal(413, f"the body has more than {self.limits.chunks} chunks")

    def on_body(self, piece: bytes) -> None:
        self.body_size += len(piece)
        request, service = self.reading, self.service
        if request is None or request.answered:
            return
        if self.body_size > self.limits.body:
            raise Refusal(413, f"the body is larger than {self.limits.body} bytes")
        if not request.body:
            request.body = piece
        elif isinstance(request.body, bytearray):
            request.body += piece
        else:
            request.body = bytearray(request.body) + piece
        request.held += len(piece)
        self.held += len(piece)
        service.held += len(piece)
        if service.held > self.limits.bodies:
            raise Refusal(503, "too many bodies are under way at the same time", {"retry-after": "1"})

    def on_message_complete(self) -> None:
        if self._parser.should_upgrade():
            return  # its body comes yet
        self.phase = BETWEEN
        self._raw_size = 0
        if self.reading is not None:
            self.reading.complete = True


def _parser(reader: Reader) -> Any:
    parser = httptools.HttpRequestParser(reader)
    # What comes after a request that is the last one is read, too, instead of called an error: nobody looks at it.
    if hasattr(parser, "set_dangerous_leniencies"):
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def _split(url: bytes) -> tuple[str, str]:
    """The path, with percent escapes decoded, and the query of an address. Raises Refusal."""
    if not url.startswith((b"/", b"http://", b"https://")):
        raise Refusal(400, "the address of a request starts with a slash")
    try:
        if not url.startswith(b"/") or b"#" in url:
            parsed = httptools.parse_url(url)
            url = (parsed.path or b"/") + (b"?" + parsed.query if parsed.query else b"")
        path, _, query = url.decode("ascii").partition("?")
    except (UnicodeDecodeError, httptools.HttpParserInvalidURLError) as error:
        raise Refusal(400, "the address of a request is not one") from error
    return unquote(path) if "%" in path else path, query


def _too_long(limit: int) -> Refusal:
    return Refusal(431, f"the header is longer than {limit} bytes")
