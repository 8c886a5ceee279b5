"""The server without its sockets: a request goes in, an answer comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from time import perf_counter_ns
from urllib.parse import unquote

from seqc_runtime.errors import RuntimeInputError
from seqc_runtime.inputs import Array
from seqc_runtime.server.auth import Admission
from seqc_runtime.server.compression import compress, decompress
from seqc_runtime.server.endpoints import ROUTES
from seqc_runtime.server.failures import refusal_of
from seqc_runtime.server.jobs import Blocking, Pending
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import LOCAL, Buffer, Client, Head, Refusal, Response
from seqc_runtime.server.repository import Repository
from seqc_runtime.server.routes import Route, Router
from seqc_runtime.server.stats import Stats

ROUTER = Router(ROUTES)


class App:
    """Answers requests to the models of a repository. It reads no socket and no clock of an event loop.

    repository: the models. limits: what clients may ask for.
    admit: called with the head and the route of every request before anything is done; it raises Refusal, or answers
    itself with a Response.
    stats: where the repository's models count.
    """

    def __init__(
        self,
        repository: Repository,
        limits: Limits | None = None,
        admit: Callable[[Head, Route], Response | None] | None = None,
        stats: Stats | None = None,
    ) -> None:
        self.repository = repository
        self.limits = limits or Limits()
        self.admit = admit
        # What all processes of this server count.
        self.stats = stats or Stats()
        # Set while the server ends: it is not ready any more, and answers what still comes.
        self.draining = False
        # Set while other processes that serve the same sockets are not ready.
        self.waiting = False

    def handle(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: Buffer = b"",
        client: Client = LOCAL,
    ) -> Response:
        """Answer one request here and now, in the caller's thread.

        path: as in a request line, with percent escapes and a query. headers: lower-case names.
        """
        path, _, query = path.partition("?")
        exchange = self.open(Head(method, unquote(path) if "%" in path else path, query, headers or {}, client))
        if isinstance(exchange, Response):
            return exchange
        answer = exchange.start(body)
        if isinstance(answer, Response):
            return answer
        if isinstance(answer, Blocking):
            return exchange.complete(answer)
        try:
            results = answer.job.run()
        except Exception as error:
            return exchange.fail(error)
        return exchange.finish(answer, results)

    def open(self, head: Head) -> Exchange | Response:
        """Look at a request before its body is read: an Exchange to go on with, or the answer that refuses it."""
        try:
            route, values = ROUTER.find(head.path)
            if self.admit is not None:
                answer = self.admit(head, route)
                if answer is not None:
                    return answer
            # Whoever carries the answer to HEAD leaves its body out.
            method = "GET" if head.method == "HEAD" else head.method
            handler = route.methods.get(method)
            if handler is None:
                return _other_method(head, route)
            return Exchange(self, head, route, handler, values)
        except Exception as error:
            return refusal_of(error).response()

    def open_again(self, exchange: Exchange) -> Exchange | Response:
        """The exchange, for another request with the same head, or the answer that refuses that one."""
        admit = self.admit
        if admit is None:
            return exchange
        try:
            again = admit.again if isinstance(admit, Admission) else admit
            return again(exchange.head, exchange.route) or exchange
        except Exception as error:
            return refusal_of(error).response()


def _other_method(head: Head, route: Route) -> Response:
    allowed = ", ".join(sorted({*route.methods, "OPTIONS"} | ({"HEAD"} if "GET" in route.methods else set())))
    if head.method == "OPTIONS":
        return Response(204, [("allow", allowed)])
    raise Refusal(405, f"{head.path[:200]!r} needs {allowed}; got {head.method[:20]!r}", {"allow": allowed})


class Exchange:
    """One request under way: `start` it with its body.

    If that gives a Pending, run its job, and `finish` or `fail`; if a Blocking, `complete` it where that may take time.
    """

    __slots__ = ("app", "handler", "head", "route", "values")

    def __init__(
        self,
        app: App,
        head: Head,
        route: Route,
        handler: Callable[..., Response | Pending | Blocking],
        values: Mapping[str, str],
    ) -> None:
        self.app = app
        self.head = head
        self.route = route
        self.handler = handler
        self.values = values

    def start(self, body: Buffer) -> Response | Pending | Blocking:
        """The answer, or what must be run for it."""
        begun = perf_counter_ns()
        try:
            encoding = self.head.headers.get("content-encoding")
            if encoding is not None:
                body = decompress(body, encoding, self.app.limits)
            answer = self.handler(self.app, self.head, body, **self.values)
            if isinstance(answer, Response):
                return compress(answer, self.head.headers.get("accept-encoding"), self.app.limits)
            if isinstance(answer, Pending):
                answer.job.begun = begun
            return answer
        except Exception as error:
            self._count(error)
            return self.fail(error)

    def finish(self, pending: Pending, results: list[Array]) -> Response:
        """The answer made of a job's results."""
        try:
            return compress(pending.respond(results), self.head.headers.get("accept-encoding"), self.app.limits)
        except Exception as error:
            return self.fail(error)

    def complete(self, blocking: Blocking) -> Response:
        """The answer of a request that takes long."""
        try:
            return compress(blocking.answer(), self.head.headers.get("accept-encoding"), self.app.limits)
        except Exception as error:
            return self.fail(error)

    def fail(self, error: Exception) -> Response:
        """The answer that says what went wrong."""
        return refusal_of(error).response()

    def _count(self, error: Exception) -> None:
        """Count an inference that was refused, where it is known of which model."""
        if not isinstance(error, Refusal | RuntimeInputError) or self.route.scope != "infer":
            return
        names = self.app.repository.names()
        name = self.values.get("model") or (names[0] if len(names) == 1 else None)
        if name is not None:
            with suppress(Refusal):
                self.app.repository.get(name, self.values.get("version")).counters.failed("invalid")
