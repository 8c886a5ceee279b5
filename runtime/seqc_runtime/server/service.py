"""The application with what carries it needs beside it: where jobs run, who is told, which bodies are held."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from seqc_runtime.server.app import App, Exchange
from seqc_runtime.server.auth import Admission
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import Buffer, Client, Head, Refusal, Response, Usual
from seqc_runtime.server.scheduling import Scheduler

if TYPE_CHECKING:
    from seqc_runtime.inputs import Array
    from seqc_runtime.server.observe import Observer, Watch

# Bodies from this size on are read beside the event loop, so that others are answered meanwhile; a compressed one can
# become so many times larger. In text an element of an answer takes about so many times its bytes.
LARGE, INFLATED, TEXT = 1 << 20, 1032, 4

# What a page of another origin may read of an answer's headers, beside those that every page may.
_EXPOSED = "inference-header-content-length, retry-after, traceresponse, www-authenticate"


class Service:
    """`app`, ready to be carried by connections or by ASGI.

    scheduler: runs the jobs; one of its own when None. observer: is told of every request.
    identify: the name in a client's certificate, as `ssl` gives it; it raises Refusal.
    held: bytes of bodies under way on all connections.
    """

    def __init__(
        self,
        app: App,
        scheduler: Scheduler | None = None,
        observer: Observer | None = None,
        identify: Callable[[Any], str | None] | None = None,
    ) -> None:
        self.app = app
        self.limits: Limits = app.limits
        self.scheduler = scheduler or Scheduler(app.limits)
        self.observer = observer
        self.identify = identify
        # The origin that an answer names for a browser, so that its page sees it.
        admit = app.admit
        self.origins = admit.allowed_origin if isinstance(admit, Admission) and admit.origins else None
        self.held = 0
        self.turn = self.scheduler.turn
        self.usual = Usual([])

    @property
    def draining(self) -> bool:
        """Whether every answer closes its connection."""
        return self.app.draining

    def drain(self) -> None:
        """Be ready no more, and let every answer close its connection."""
        self.app.draining = True

    def open(self, head: Head, before: Exchange | None = None) -> Exchange | Response:
        """Look at a request before its body is read: an Exchange to go on with, or the answer that refuses it.

        before: what was opened for an earlier request with the same head; who may ask is looked at again.
        """
        if before is not None:
            return self.app.open_again(before)
        length = head.headers.get("content-length")
        opened = self.app.open(head)
        if (
            length is None
            or not length.isdecimal()
            or int(length[:20]) <= self.limits.body
            or isinstance(opened, Response)
        ):
            return opened
        return Refusal(413, f"the body is larger than {self.limits.body} bytes: {length[:20]}").response()

    def finish(self, head: Head, watch: Watch | None, answer: Response) -> None:
        """Complete an answer before it is written, and tell whoever watches."""
        if self.origins is not None:
            origin = self.origins(head)
            if origin is not None and answer.status != 204:
                answer.headers += [
                    ("access-control-allow-origin", origin),
                    ("access-control-expose-headers", _EXPOSED),
                    ("vary", "origin"),
                ]
        if watch is not None:
            watch.end(answer)

    def refused(self, refusal: Refusal, address: str) -> Response:
        """The answer to what was refused before it was a request; whoever is told of requests is told of it, too."""
        response = refusal.response()
        if self.observer is not None:
            self.observer.begin(Head("", "", client=Client(address))).end(response)
        return response


def is_large(head: Head, body: Buffer) -> bool:
    """Whether a request is to be read beside the event loop."""
    size = len(body)
    return size > LARGE or (size > LARGE // INFLATED and "content-encoding" in head.headers)


def becomes_large(results: Sequence[Array]) -> bool:
    """Whether an answer is to be made beside the event loop."""
    size = 0
    for result in results:
        size += result.nbytes
    return size * TEXT > LARGE
