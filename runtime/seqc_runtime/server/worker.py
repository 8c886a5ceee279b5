"""One process that serves: alone, or one of several that a supervisor looks after."""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping
from importlib import import_module
from typing import Any, NoReturn

from seqc_runtime.errors import SeqcRuntimeError
from seqc_runtime.server.admin import Everywhere, Orders, carry_out, poll, say_missing
from seqc_runtime.server.app import App
from seqc_runtime.server.asgi import Asgi
from seqc_runtime.server.auth import Admission, guard, make_admission
from seqc_runtime.server.build import build_app, describe
from seqc_runtime.server.control import Channel, Message, ending_signals, read_first, send_now
from seqc_runtime.server.http_server import HttpServer, raise_file_limit
from seqc_runtime.server.observe import Observer, make_observer
from seqc_runtime.server.scheduling import Scheduler
from seqc_runtime.server.settings import Settings
from seqc_runtime.server.tls import Tls

LOG = logging.getLogger("seqc_runtime.server")


class Worker:
    """Serves an application on sockets.

    sockets: listening, by name: "http", and "admin" when there is a listener for administrators.
    ready: called when requests are answered, with the port of gRPC. end: of the channel to the supervisor, if there is
    one. missing: models that others may have and this one could not load, and why.
    """

    def __init__(
        self,
        settings: Settings,
        app: App,
        sockets: dict[str, socket.socket],
        ready: Callable[[int | None], None],
        end: socket.socket | None = None,
        missing: Mapping[str, str] | None = None,
    ) -> None:
        self.settings = settings
        self.app = app
        self.sockets = sockets
        self.ready = ready
        self.end = end
        self.missing = missing
        self.channel: Channel | None = None
        self.servers: list[HttpServer] = []
        self.observer: Observer | None = None
        self.scheduler: Scheduler | None = None
        self.grpc: Any = None
        self.obeying: set[asyncio.Future[None]] = set()

    def run(self) -> None:
        """Serve until a signal, or until the supervisor says so or is gone."""
        raise_file_limit(self.app.limits.connections)
        _run(self._serve())

    def leave(self) -> None:
        """End the process here if a model is still being loaded: Python would wait for that."""
        if self.scheduler is not None and self.scheduler.calling:
            self.app.repository.remove_copies()
            end_now(0)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        for number in ending_signals():
            try:
                loop.add_signal_handler(number, self._signalled)
            except NotImplementedError:  # on Windows
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(self._signalled))
        tasks: set[asyncio.Task[None]] = set()
        if self.end is not None:
            self.channel = channel = await Channel.open(self.end)
            self.orders = Orders(loop, channel, self.app.repository, self.missing)
            self.app.repository = Everywhere(self.app.repository, self.orders)
            tasks.add(asyncio.create_task(self._listen(channel)))
        scheduler = self.scheduler = Scheduler(self.app.limits)
        if self.settings.poll:
            tasks.add(asyncio.create_task(poll(self.app.repository, self.settings.poll, scheduler)))
        port = await self._make_servers(scheduler)
        serving = asyncio.gather(*(server.serve() for server in self._all()))
        for server in self.servers:
            await server.wait_started()
        self.ready(port)
        if self.channel is not None:
            tasks.add(asyncio.create_task(self._say_ready(self.channel)))
        await serving
        scheduler.close()
        if self.observer is not None:
            self.observer.close()
        for task in tasks:
            task.cancel()

    async def _say_ready(self, channel: Channel) -> None:
        """Tell the supervisor, once this worker has what others have."""
        await self.orders.catch_up()
        channel.send({"is": "ready", "models": describe(self.app)})

    async def _make_servers(self, scheduler: Scheduler) -> int | None:
        """Make what listens; the port of gRPC, if that is asked for."""
        settings = self.settings
        tls = Tls(settings) if settings.tls_cert is not None else None
        observer = self.observer = make_observer(settings)
        apps = {"http": self.app}
        if "admin" in self.sockets:
            apps["admin"] = admin = copy.copy(self.app)
            admin.admit = make_admission(settings, admin=True)
        for name, app in apps.items():
            if isinstance(app.admit, Admission):
                guard(app.admit, settings, admin=name == "admin")
            asgi = Asgi(app, scheduler, observer, tls.identify if tls is not None else None)
            level, alone = settings.log_level, self.end is None
            self.servers.append(HttpServer(asgi, self.sockets[name], tls, level, alone))
        return await self._start_grpc(scheduler, observer, tls) if settings.grpc_port is not None else None

    async def _start_grpc(self, scheduler: Scheduler, observer: Observer | None, tls: Tls | None) -> int:
        settings, credentials = self.settings, None
        if tls is not None:
            make = import_module("seqc_runtime.server.grpc.credentials").server_credentials
            credentials = make(settings.tls_cert or "", settings.tls_key or "", settings.tls_client_ca)
        identify = tls.identify if tls is not None else None
        # Imported only when asked for: it needs an extra.
        kind = import_module("seqc_runtime.server.grpc.serve").GrpcServer
        self.grpc = kind(self.app, scheduler, observer, identify, reuse_port=self.end is not None)
        return int(await self.grpc.start(settings.host, settings.grpc_port or 0, credentials))

    def _all(self) -> list[Any]:
        return [*self.servers, *([self.grpc] if self.grpc is not None else [])]

    def _signalled(self) -> None:
        # Under a supervisor, whoever signals the whole group has told the supervisor, too; that one decides.
        if self.channel is None or not self.servers[0].should_exit:
            self._stop()

    def _stop(self) -> None:
        for server in self._all():
            server.stop()

    async def _listen(self, channel: Channel) -> None:
        try:
            while (message := await channel.receive()) is not None:
                self._hear(message)
        except Exception:  # a worker that hears nothing more must not stay
            LOG.exception("what the supervisor says cannot be done")
        self.orders.close()
        if not self.servers[0].should_exit:
            self._stop()  # the supervisor is gone

    def _hear(self, message: Message) -> None:
        kind = message.get("do")
        if kind == "ready":
            for server in self.servers:
                server.application.app.waiting = not message["ready"]
        elif kind == "order":
            task = asyncio.ensure_future(self.orders.obey(message))
            self.obeying.add(task)
            task.add_done_callback(self.obeying.discard)
        elif kind == "answer":
            self.orders.answered(message)
        elif kind == "leave":
            for one in self._all():
                one.drain()
        elif kind == "drain" and not self.servers[0].should_exit:
            self._stop()
        elif kind == "end":
            for one in self._all():
                one.stop()
                one.stop()


def _run(main: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop where it is installed."""
    factory: Callable[[], asyncio.AbstractEventLoop]
    try:
        from uvloop import new_event_loop as factory
    except ModuleNotFoundError:
        factory = asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)


def set_logging(settings: Settings) -> None:
    """Let what goes wrong be said on standard error."""
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")


def main() -> int:
    """What the supervisor starts, with the number of a connected socket as argument."""
    # Ctrl-C in a terminal reaches the whole group; the supervisor says what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end = socket.socket(fileno=int(sys.argv[1]))
    try:
        start = read_first(end)
    except EOFError:
        return 0
    settings = Settings.from_json(start["settings"])
    set_logging(settings)
    sockets = {name: socket.socket(fileno=fd) for name, fd in start["sockets"].items()}
    try:
        app = build_app(settings, start["stats"])
    except SeqcRuntimeError as error:
        send_now(end, {"is": "failed", "error": str(error)})
        return 2
    errors = {name: carry_out(app.repository, {"load": name}) for name in start["loaded"]}
    missing = {name: say_missing(error) for name, error in errors.items() if error is not None}
    app.waiting = True
    Worker(settings, app, sockets, lambda port: None, end, missing).run()
    # The process ends without what Python does at the end.
    app.repository.remove_copies()
    return 0


def start() -> None:
    """Run as a process of its own, and end it."""
    end_now(main())


def end_now(status: int) -> NoReturn:
    """End the process without what Python does at the end."""
    sys.stdout.flush()
    sys.stderr.flush()
    # Sessions of onnxruntime need not be taken down one by one.
    os._exit(status)
