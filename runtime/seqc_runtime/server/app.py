"""The server without its sockets: a request goes in, an answer comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from seqc_runtime.errors import SeqcRuntimeError
from seqc_runtime.inputs import Array
from seqc_runtime.server.endpoints import ROUTES
from seqc_runtime.server.jobs import Pending
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import LOCAL, Buffer, Client, Head, Refusal, Response
from seqc_runtime.server.repository import Repository
from seqc_runtime.server.routes import Route, Router

ROUTER = Router(ROUTES)


class App:
    """Answers requests to the models of a repository. It reads no socket and no clock of an event loop.

    repository: the models. limits: what clients may ask for.
    admit: called with the head and the route of every request before anything is done; it raises Refusal, or answers
    itself with a Response.
    """

    def __init__(
        self,
        repository: Repository,
        limits: Limits | None = None,
        admit: Callable[[Head, Route], Response | None] | None = None,
    ) -> None:
        self.repository = repository
        self.limits = limits or Limits()
        self.admit = admit
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

        path: with its query, if any. headers: lower-case names.
        """
        path, _, query = path.partition("?")
        exchange = self.open(Head(method, path, query, headers or {}, client))
        if isinstance(exchange, Response):
            return exchange
        answer = exchange.start(body)
        if isinstance(answer, Response):
            return answer
        try:
            results = answer.job.run()
        except (Refusal, SeqcRuntimeError) as error:
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
            handler = route.methods.get(head.method)
            if handler is None:
                allowed = ", ".join(sorted(route.methods))
                raise Refusal(405, f"{head.path[:200]!r} needs {allowed}; got {head.method[:20]!r}", {"allow": allowed})
            return Exchange(self, head, handler, values)
        except Refusal as refusal:
            return refusal.response()


class Exchange:
    """One request under way: `start` it with its body; if that gives a Pending, run its job, `finish` or `fail`."""

    __slots__ = ("app", "handler", "head", "values")

    def __init__(
        self, app: App, head: Head, handler: Callable[..., Response | Pending], values: Mapping[str, str]
    ) -> None:
        self.app = app
        self.head = head
        self.handler = handler
        self.values = values

    def start(self, body: Buffer) -> Response | Pending:
        """The answer, or what must be run for it."""
        try:
            return self.handler(self.app, self.head, body, **self.values)
        except (Refusal, SeqcRuntimeError) as error:
            return self.fail(error)

    def finish(self, pending: Pending, results: list[Array]) -> Response:
        """The answer made of a job's results."""
        try:
            return pending.respond(results)
        except (Refusal, SeqcRuntimeError) as error:
            return self.fail(error)

    def fail(self, error: Refusal | SeqcRuntimeError) -> Response:
        """The answer that says what went wrong."""
        if isinstance(error, Refusal):
            return error.response()
        return Refusal(500, str(error)).response()
