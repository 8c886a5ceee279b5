"""--workers N: a small process that holds the listening sockets and looks after the processes that serve.

Workers inherit the sockets, so a connection waits in the kernel for whichever worker takes it, and none is lost when
one of them ends. They are started as new programs and told what to do in JSON: nothing is forked with a model inside,
and nothing is pickled. This process loads no model and imports nothing that could.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from seqc_runtime.errors import SeqcRuntimeError
from seqc_runtime.server.control import Channel, Message, ending_signals
from seqc_runtime.server.listen import LINGER, refuse_new
from seqc_runtime.server.settings import Settings

# A worker that ends is replaced after 0.1 s, 0.2 s, ... 10 s. That starts anew once one has served for a minute; after
# this many that never did, in a row, somebody must look at it.
FIRST_WAIT, LONGEST_WAIT, LONG_LIFE, MOST_CRASHES = 0.1, 10.0, 60.0, 8


# A worker finds packages where this process does: a file in the folder it was started in is not one of them.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); from seqc_runtime.server.worker import start; start()"
)


class WorkersError(SeqcRuntimeError, RuntimeError):
    """The workers cannot serve."""


class Worker:
    """One place for a worker, and the process that fills it now."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.process: subprocess.Popen[bytes] | None = None
        self.channel: Channel | None = None
        self.ready = False
        self.crashes = 0
        self.error: str | None = None
        # Told to end, so that another takes its place.
        self.replaced = False

    def send(self, message: Message) -> None:
        """Tell the process, if there is one."""
        if self.channel is not None:
            self.channel.send(message)


class Supervisor:
    """Runs `settings.workers` processes until a signal.

    sockets: listening, by name; every worker serves all of them. announce: called with what worker says of its models
    when all are ready for the first time.
    """

    def __init__(self, settings: Settings, sockets: dict[str, socket.socket], announce: Callable[[str], None]) -> None:
        self.settings = settings
        self.sockets = sockets
        self.announce: Callable[[str], None] | None = announce
        self.workers = [Worker(index) for index in range(settings.workers)]
        self.folder = _make_folder()
        self.stopping = asyncio.Event()
        self.forced = False
        self.failure: str | None = None
        # The models that clients have had loaded, in order, so that a worker that starts later is like the others.
        self.loaded: dict[str, None] = {}
        # What clients have asked for and not every worker has done.
        self.orders: dict[int, _Order] = {}
        self._numbers = itertools.count()

    async def run(self) -> int:
        """Serve; the exit status."""
        loop = asyncio.get_running_loop()
        for number in ending_signals():
            loop.add_signal_handler(number, self._stop)
        try:
            keepers = [asyncio.create_task(self._keep(worker)) for worker in self.workers]
            await self.stopping.wait()
            await self._end(keepers)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
        if self.failure is not None:
            raise WorkersError(self.failure)
        return 0

    def _stop(self) -> None:
        if self.stopping.is_set():
            self.forced = True
            self._tell_all({"do": "end"})
        self.stopping.set()

    def _fail(self, message: str) -> None:
        self.failure = self.failure or message
        self.stopping.set()

    async def _end(self, keepers: list[asyncio.Task[None]]) -> None:
        # The last worker that stops accepting must find the sockets held by nobody else, to take what still waits.
        if not self.failure:
            self._tell_all({"do": "leave"})
            await self._sleep_unless_forced(LINGER)
        for listener in self.sockets.values():
            refuse_new(listener)
            listener.close()
        self._tell_all({"do": "end" if self.failure or self.forced else "drain"})
        # Workers end by themselves in time; one that hangs does not keep the rest.
        _, late = await asyncio.wait(keepers, timeout=self.settings.drain + 5.0)
        for worker in self.workers:
            if worker.process is not None and worker.process.poll() is None:
                worker.process.kill()
        if late:
            await asyncio.wait(late, timeout=5.0)

    async def _sleep_unless_forced(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.forced and time.monotonic() < end:
            await asyncio.sleep(0.02)

    def _tell_all(self, message: Message) -> None:
        for worker in self.workers:
            worker.send(message)

    # --- One worker.

    async def _keep(self, worker: Worker) -> None:
        """Start it, and again whenever it ends."""
        while not self.stopping.is_set():
            began = time.monotonic()
            status = await self._live(worker)
            if self.stopping.is_set():
                return
            lived = time.monotonic() - began
            if self.announce is not None and worker.error is not None:
                self._fail(worker.error)
                return
            if worker.replaced and status == 0:
                print(
                    f"worker {worker.index} is replaced: it could not load what others did", file=sys.stderr, flush=True
                )
                continue
            worker.crashes = 1 if lived > LONG_LIFE else worker.crashes + 1
            print(f"worker {worker.index} ended ({_how(status)}) after {lived:.1f} s", file=sys.stderr, flush=True)
            if worker.crashes >= MOST_CRASHES:
                why = f": {worker.error}" if worker.error else ""
                self._fail(f"{worker.crashes} workers ended in a row within {LONG_LIFE:g} s of their start{why}")
                return
            wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (worker.crashes - 1))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), wait)

    async def _live(self, worker: Worker) -> int:
        ours, theirs = socket.socketpair()
        fds = {name: listener.fileno() for name, listener in self.sockets.items()}
        command = [*_python(), "-c", _START, json.dumps(sys.path), str(theirs.fileno())]
        with contextlib.ExitStack() as unless_open:
            unless_open.enter_context(ours)
            with theirs:
                worker.process = subprocess.Popen(
                    command, pass_fds=(theirs.fileno(), *fds.values()), stdin=subprocess.DEVNULL
                )
            worker.error, worker.replaced = None, False
            worker.channel = channel = await Channel.open(ours)
            unless_open.pop_all()
        start: dict[str, Any] = {"settings": self.settings.to_json(), "sockets": fds, "stats": self.folder}
        channel.send({**start, "index": worker.index, "loaded": self._will_be_loaded()})
        try:
            while (message := await channel.receive()) is not None:
                self._hear(worker, channel, message)
        finally:
            worker.channel = None
            channel.close()
        self._set_ready(worker, False)
        for number in list(self.orders):
            self._done(channel, number)
        return await self._reap(worker.process)

    async def _reap(self, process: subprocess.Popen[bytes]) -> int:
        """The exit status of a worker whose end of the channel is closed; one that does not end is killed."""
        end = time.monotonic() + self.settings.drain + 5.0
        while process.poll() is None:
            if time.monotonic() > end:
                process.kill()
            await asyncio.sleep(0.02)
        return process.returncode

    def _hear(self, worker: Worker, channel: Channel, message: Message) -> None:
        kind = message.get("is")
        if kind == "ready":
            self._set_ready(worker, True, message["models"])
            if self.stopping.is_set():
                worker.send({"do": "drain"})
        elif kind == "failed":
            worker.error = message["error"]
        elif kind == "order":
            self._order(channel, message)
        elif kind == "done":
            self._done(channel, message["order"], [message["error"]])

    def _set_ready(self, worker: Worker, ready: bool, models: str = "") -> None:
        worker.ready = ready
        together = all(one.ready for one in self.workers)
        self._tell_all({"do": "ready", "ready": together})
        if together and self.announce is not None:
            announce, self.announce = self.announce, None
            announce(models)

    # --- Orders of an administrator, who asked one worker and means all. A channel stands for the process at its other
    # end: the one that takes the place of a worker that died was neither told nor asked.

    def _order(self, asker: Channel, message: Message) -> None:
        told = {worker.channel for worker in self.workers if worker.channel is not None}
        number = next(self._numbers)
        self.orders[number] = _Order(asker, message, told)
        self._tell_all({"do": "order", "order": number, "what": message["what"]})

    def _done(self, channel: Channel, number: int, outcome: Sequence[Message | None] = ()) -> None:
        """A worker has carried out an order, and its error or None is the outcome; or it has died, and has none."""
        order = self.orders.get(number)
        if order is None or channel not in order.waiting:
            return
        order.waiting.discard(channel)
        order.outcomes += [(channel, error) for error in outcome]
        if not order.waiting:
            del self.orders[number]
            self._settle(order)

    def _settle(self, order: _Order) -> None:
        """Keep what an order came to, the same in all workers, and answer."""
        failed = {channel: error for channel, error in order.outcomes if error is not None}
        error = next(iter(failed.values()), None)
        if not order.outcomes:
            error = {"status": 503, "message": "the workers ended before they had done it: ask again"}
        elif len(failed) < len(order.outcomes):
            order.apply(self.loaded)
            if error is not None and order.loads:
                # They cannot do what others can, and are replaced by workers that start with what is loaded.
                self._replace(failed)
                error = {"status": 503, "message": f"in some workers; they are replaced: {error['message']}"}
            else:
                error = None  # nothing was loaded in those that failed
        order.asker.send({"do": "answer", "id": order.message["id"], "error": error})

    def _replace(self, channels: Collection[Channel]) -> None:
        for worker in self.workers:
            if worker.channel in channels:
                worker.replaced = True
                worker.send({"do": "drain"})

    def _will_be_loaded(self) -> list[str]:
        """The models that are loaded once all that was asked for is done."""
        loaded = dict(self.loaded)
        for order in self.orders.values():
            order.apply(loaded)
        return list(loaded)


class _Order:
    """A load or unload: who asked for it, which workers were told and have not said how it went, and how it went."""

    def __init__(self, asker: Channel, message: Message, waiting: set[Channel]) -> None:
        self.asker = asker
        self.message = message
        self.waiting = waiting
        self.outcomes: list[tuple[Channel, Message | None]] = []

    @property
    def loads(self) -> bool:
        """Whether it loads."""
        return "load" in self.message["what"]

    def apply(self, loaded: dict[str, None]) -> None:
        """Change what is loaded as this order does."""
        for verb, name in self.message["what"].items():
            if verb == "load":
                loaded[name] = None
            else:
                loaded.pop(name, None)


def _make_folder() -> str:
    """Where the workers count. In memory where no disk can be written, as in containers that are read-only."""
    try:
        return tempfile.mkdtemp(prefix="seqc-runtime-")
    except OSError as error:
        with contextlib.suppress(OSError):
            return tempfile.mkdtemp(prefix="seqc-runtime-", dir="/dev/shm")
        raise WorkersError(
            f"the workers count in a temporary folder, and none can be made ({error}): set TMPDIR to one that can"
        ) from error


def _python() -> list[str]:
    """Python as it runs here: -W, -X, -O and the like, and never with the current folder to import from."""
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return [sys.executable, "-P", *flags]


def _how(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-status).name
    return f"exit status {status}"


def supervise(settings: Settings, sockets: dict[str, socket.socket], announce: Callable[[str], None]) -> int:
    """Run a supervisor; the exit status. Raises WorkersError."""

    async def run() -> int:
        return await Supervisor(settings, sockets, announce).run()

    return asyncio.run(run())
