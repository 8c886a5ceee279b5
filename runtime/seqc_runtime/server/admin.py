"""Loading and unloading in all processes of a server: whichever of them is asked, all do it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from seqc_runtime.errors import SeqcRuntimeError
from seqc_runtime.server.control import Channel, Message
from seqc_runtime.server.messages import Refusal
from seqc_runtime.server.repository import Repository
from seqc_runtime.server.scheduling import Scheduler

LOG = logging.getLogger("seqc_runtime.server")
# Seconds until a model that is missing is tried again: 0.5, 1, 2, ... 10.
FIRST_WAIT, LONGEST_WAIT = 0.5, 10.0


class Everywhere(Repository):
    """The repository of one worker, whose changes a client asks for happen in all workers.

    Answers are given once the slowest has done it. What they hold otherwise is `repository`'s.
    """

    def __init__(self, repository: Repository, orders: Orders) -> None:
        self.__dict__ = repository.__dict__
        self._orders = orders

    def load(self, name: str) -> None:
        """Load a model in all workers. Raises Refusal."""
        self._orders.give({"load": name})

    def unload(self, name: str) -> None:
        """Serve a model no more. Raises Refusal."""
        self._orders.give({"unload": name})


class Orders:
    """Sends what a client asks of this worker to the supervisor, and does what the supervisor asks of all.

    loop, channel: of the worker. repository: its own. missing: models that others may have and this worker could not
    load when it started, and why.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        channel: Channel,
        repository: Repository,
        missing: Mapping[str, str] | None = None,
    ) -> None:
        self._loop = loop
        self._channel = channel
        self._repository = repository
        self._missing = dict(missing or {})
        self._numbers = itertools.count()
        self._asked: dict[int, Future[None]] = {}
        self._closed = False
        # One after the other, as they come, so that all workers end alike; and not in the threads that wait in `give`.
        self._thread = ThreadPoolExecutor(1, "seqc-orders")

    def give(self, what: Message) -> None:
        """Have all workers do it, and wait; in any thread but the loop's. Raises Refusal."""
        number, done = next(self._numbers), Future[None]()
        self._asked[number] = done
        if self._closed:
            raise _ending()
        self._loop.call_soon_threadsafe(self._channel.send, {"is": "order", "id": number, "what": what})
        done.result()

    def answered(self, message: Message) -> None:
        """All have done it."""
        done, error = self._asked.pop(message["id"], None), message["error"]
        if done is None:
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(Refusal(error["status"], error["message"]))

    def close(self) -> None:
        """The supervisor is gone: nobody will answer."""
        self._closed = True
        while self._asked:
            self._asked.popitem()[1].set_exception(_ending())

    async def obey(self, message: Message) -> None:
        """Do what the supervisor asks of all, and say how it went."""
        error = await self._loop.run_in_executor(self._thread, self._carry_out, message["what"])
        self._channel.send({"is": "done", "order": message["order"], "error": error})

    async def catch_up(self) -> None:
        """Load what is missing, again and again, until it is there or nobody wants it any more."""
        wait = FIRST_WAIT
        while self._missing:
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)
            await self._loop.run_in_executor(self._thread, self._load_missing)

    def _load_missing(self) -> None:
        for name, said in list(self._missing.items()):
            error = self._carry_out({"load": name})
            if error is None:
                LOG.warning("model %s, which other workers had, is loaded", name)
            elif error["message"] != said:
                self._missing[name] = say_missing(error)

    def _carry_out(self, what: Message) -> Message | None:
        error = carry_out(self._repository, what)
        for verb, name in what.items():
            if verb == "unload" or error is None:
                self._missing.pop(name, None)
        return error


def say_missing(error: Message) -> str:
    """Log why this worker has not what others may have; the reason."""
    message: str = error["message"]
    LOG.error("this server is not ready: other workers may have a model that this one has not: %s", message)
    return message


def _ending() -> Refusal:
    return Refusal(503, "the server ends: ask another one")


def carry_out(repository: Repository, what: Message) -> Message | None:
    """Load or unload; what went wrong, as an answer says it."""
    try:
        for verb, name in what.items():
            (Repository.load if verb == "load" else Repository.unload)(repository, name)
    except Refusal as refusal:
        return {"status": refusal.status, "message": refusal.message}
    except SeqcRuntimeError as error:
        return {"status": 400, "message": str(error)}
    return None


async def poll(repository: Any, seconds: float, scheduler: Scheduler) -> None:
    """Look for new versions for ever, in a thread of the scheduler's."""
    said = ""
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            await asyncio.sleep(seconds)
            problem = await scheduler.call(_look, repository)
            if problem and problem != said:
                LOG.error("the models stay as they were, for they cannot be looked for: %s", problem)
            said = problem


def _look(repository: Any) -> str:
    """Look once; what went wrong, such as a disk that is not there for a while: the next look may be better."""
    try:
        repository.poll()
    except Exception as error:
        return f"{error}" if isinstance(error, OSError) else repr(error)
    return ""
