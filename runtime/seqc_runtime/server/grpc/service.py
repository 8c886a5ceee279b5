"""The inference service: every method is asked of the application as the HTTP request it stands for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import orjson
from google.protobuf.json_format import ParseDict

from seqc_runtime.server.app import App, Exchange
from seqc_runtime.server.grpc.calls import head, problem, refuse
from seqc_runtime.server.grpc.inference import Inference
from seqc_runtime.server.grpc.questions import QUESTIONS, Question, model_path
from seqc_runtime.server.grpc.schema import ModelStreamInferResponse, message, service
from seqc_runtime.server.jobs import Blocking
from seqc_runtime.server.messages import Buffer, Head, Refusal, Response
from seqc_runtime.server.scheduling import Scheduler

if TYPE_CHECKING:
    from seqc_runtime.server.observe import Observer, Watch

DESCRIPTION = service("inference.GRPCInferenceService")


class InferenceService:
    """The service inference.GRPCInferenceService.

    app: what answers. scheduler: runs the jobs, on this event loop. observer: is told of every request.
    identify: the name in a client's certificate, as `ssl` gives it; it raises Refusal.
    """

    DESCRIPTION = DESCRIPTION

    def __init__(
        self,
        app: App,
        scheduler: Scheduler,
        observer: Observer | None = None,
        identify: Callable[[Any], str | None] | None = None,
    ) -> None:
        self._app = app
        self._scheduler = scheduler
        self._observer = observer
        self._identify = identify

    async def ModelInfer(self, request: Any, context: Any, raw: bytes) -> Any:
        """Run a model; the answer is serialized already."""
        response = await self._infer(request, context, raw)
        if response.status != 200:
            await refuse(context, response)
        return response.content

    async def ModelStreamInfer(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        """One answer for each request, in their order; a request that is refused does not end the stream."""
        async for request in requests:
            response = await self._infer(request, context)
            answer = ModelStreamInferResponse()
            if response.status == 200:
                answer.infer_response.MergeFromString(response.content)
            else:
                answer.error_message = problem(response)
                # By its id the client knows which request it was.
                answer.infer_response.id = request.id
            yield answer

    async def _infer(self, request: Any, context: Any, raw: bytes = b"") -> Response:
        remaining = context.time_remaining()
        inference = Inference(request, raw, None if remaining is None else time.monotonic() + remaining)
        try:
            asked = self._head(context, "POST", f"{model_path(request.model_name, request.model_version)}/infer")
            return await self._ask(asked, b"", inference.handler)
        except Refusal as refusal:
            return refusal.response()
        except asyncio.CancelledError:
            # What gRPC does when the client cancels, or its deadline is over; the context does not tell.
            inference.gone = True
            raise

    async def _plain(self, question: Question, kind: Any, request: Any, context: Any) -> Any:
        """Answer a method that is no inference with a message of class `kind`."""
        try:
            asked = self._head(context, question.method, question.path(request))
            response = await self._ask(asked, question.body(request), question.handler)
        except Refusal as refusal:
            response = refusal.response()
        if response.status != 200 and response.status not in question.told:
            await refuse(context, response)
        fields = question.fields(orjson.loads(response.content or b"null"))
        return ParseDict(fields, kind(), ignore_unknown_fields=True)

    def _head(self, context: Any, method: str, path: str) -> Head:
        return head(context, method, path, self._identify)

    async def _ask(self, asked: Head, body: Buffer, handler: Callable[..., Any] | None) -> Response:
        watch = self._observer.begin(asked) if self._observer is not None else None
        exchange = self._app.open(asked)
        answer = exchange if isinstance(exchange, Response) else await self._answer(exchange, body, handler, watch)
        if watch is not None:
            watch.end(answer)
        return answer

    async def _answer(
        self, exchange: Exchange, body: Buffer, handler: Callable[..., Any] | None, watch: Watch | None
    ) -> Response:
        exchange.handler = handler or exchange.handler
        started = exchange.start(body)
        if isinstance(started, Response):
            return started
        if isinstance(started, Blocking):
            return await self._scheduler.call(exchange.complete, started)
        if watch is not None:
            watch.job(started.job)
        try:
            return exchange.finish(started, await self._scheduler.submit(started.job))
        except Exception as error:
            return exchange.fail(error)


def _asking(name: str, question: Question) -> Any:
    kind = message(DESCRIPTION.methods_by_name[name].output_type.full_name)

    async def method(self: InferenceService, request: Any, context: Any, raw: bytes) -> Any:
        return await self._plain(question, kind, request, context)

    return method


for _name, _question in QUESTIONS.items():
    setattr(InferenceService, _name, _asking(_name, _question))
