"""What workers are told to load and unload: the supervisor's orders, and what becomes of them when workers end."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any, cast

import pytest
from runtime_kit.server_process import (
    ServerProcess,
    alive,
    children,
    serving,
    until,
    write_gemm,
)

from seqc_runtime.server.admin import Orders
from seqc_runtime.server.messages import Refusal
from seqc_runtime.server.repository import Repository
from seqc_runtime.server.settings import Settings
from seqc_runtime.server.supervisor import Supervisor, Worker


def ready(server: ServerProcess) -> bool:
    return server.get("/v2/health/ready")[0] == 200


class End:
    """The supervisor's end of the channel to a worker that is not there."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def take(self, kind: str) -> list[dict[str, Any]]:
        """What was sent of a kind since the last time."""
        found = [message for message in self.sent if message["do"] == kind]
        self.sent = [message for message in self.sent if message["do"] != kind]
        return found


class Told:
    """A supervisor of workers that are not there."""

    def __init__(self, workers: int = 2) -> None:
        self.supervisor = Supervisor(Settings(paths=(), workers=workers), {}, lambda models: None)
        Path(self.supervisor.folder).rmdir()
        self.ends = [self.start(index) for index in range(workers)]
        self.asked = 0

    def start(self, index: int) -> End:
        end = End()
        self.supervisor.workers[index].channel = cast(Any, end)
        return end

    def hear(self, index: int, end: End, message: dict[str, Any]) -> None:
        self.supervisor._hear(self.supervisor.workers[index], cast(Any, end), message)

    def ask(self, index: int, **what: str) -> int:
        self.asked += 1
        self.hear(index, self.ends[index], {"is": "order", "id": self.asked, "what": what})
        number: int = self.ends[index].sent[-1]["order"]
        return number

    def done(self, index: int, number: int, status: int = 200) -> None:
        error = None if status == 200 else {"status": status, "message": "why"}
        self.hear(index, self.ends[index], {"is": "done", "order": number, "error": error})

    def die(self, index: int) -> None:
        for number in list(self.supervisor.orders):
            self.supervisor._done(cast(Any, self.ends[index]), number)
        self.ends[index] = self.start(index)

    def answers(self, index: int) -> list[tuple[int, int]]:
        return [(m["id"], (m["error"] or {"status": 200})["status"]) for m in self.ends[index].take("answer")]

    def loaded(self) -> list[str]:
        return self.supervisor._will_be_loaded()


def test_the_worker_in_the_place_of_one_that_asked_gets_no_answer() -> None:
    told = Told()
    number = told.ask(0, load="m")
    asker = told.ends[0]
    told.die(0)
    assert told.loaded() == ["m"]  # what the next one starts with
    told.done(0, number)  # it was not told this order, and has no say in it
    assert told.supervisor.orders
    told.done(1, number)
    assert (told.answers(0), told.answers(1), asker.take("answer")[0]["id"]) == ([], [], 1)
    assert told.loaded() == ["m"]


def test_a_load_is_kept_that_one_worker_did_not_live_to_answer() -> None:
    told = Told()
    number = told.ask(1, load="m")
    told.die(0)
    told.done(1, number)
    assert (told.answers(1), told.loaded()) == ([(1, 200)], ["m"])


@pytest.mark.parametrize(
    ("what", "statuses", "status", "loaded", "replaced"),
    [
        ("load", (200, 200), 200, ["k", "m"], []),
        ("load", (400, 400), 400, ["k"], []),
        ("load", (200, 400), 503, ["k", "m"], [1]),
        ("load", (400, 200), 503, ["k", "m"], [0]),
        ("load", (None, None), 503, ["k"], []),
        ("unload", (200, 200), 200, [], []),
        ("unload", (404, 200), 200, [], []),
        ("unload", (404, 404), 404, ["k"], []),
    ],
)
def test_what_workers_do_otherwise_than_others_leaves_one_state(
    what: str, statuses: tuple[int | None, ...], status: int, loaded: list[str], replaced: list[int]
) -> None:
    told = Told()
    first = told.ask(1, load="k")
    for index in range(2):
        told.done(index, first)
    told.answers(1)
    number = told.ask(1, **{what: "m" if what == "load" else "k"})
    asker = told.ends[1]
    for index, one in enumerate(statuses):
        if one is None:
            told.die(index)
        else:
            told.done(index, number, one)
    ((_, answer),) = [(m["id"], (m["error"] or {"status": 200})["status"]) for m in asker.take("answer")]
    assert (answer, told.loaded()) == (status, loaded)
    assert [index for index, end in enumerate(told.ends) if end.take("drain")] == replaced
    assert [worker.index for worker in told.supervisor.workers if worker.replaced] == replaced


@pytest.mark.parametrize(("status", "crashes"), [(0, 1), (1, 2)])
def test_a_worker_that_ends_because_it_was_told_to_is_no_crash(
    monkeypatch: pytest.MonkeyPatch, status: int, crashes: int
) -> None:
    supervisor = Told().supervisor
    worker = supervisor.workers[0]
    lives = iter([(False, -9), (True, status), (True, status)][: 2 + (status == 0)])

    async def live(worker: Worker) -> int:
        worker.replaced, ended = next(lives, (False, None))
        if ended is None:
            supervisor.stopping.set()
            return 0
        return ended

    monkeypatch.setattr(supervisor, "_live", live)
    asyncio.run(asyncio.wait_for(supervisor._keep(worker), 20))
    assert worker.crashes == crashes


def test_a_model_that_could_not_be_read_when_a_worker_began_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    errors = iter([Refusal(400, "broken"), Refusal(400, "gone"), None])
    loads: list[str] = []

    def load(repository: Repository, name: str) -> None:
        loads.append(name)
        if (error := next(errors)) is not None:
            raise error

    monkeypatch.setattr(Repository, "load", load)
    monkeypatch.setattr(Repository, "unload", lambda repository, name: None)
    monkeypatch.setattr("seqc_runtime.server.admin.FIRST_WAIT", 0.01)

    async def run() -> None:
        missing = {"a": "broken", "b": "broken"}
        orders = Orders(asyncio.get_running_loop(), cast(Any, End()), Repository(), missing)
        await orders.obey({"order": 1, "what": {"unload": "b"}})
        await orders.catch_up()

    asyncio.run(asyncio.wait_for(run(), 20))
    assert loads == ["a", "a", "a"]
    assert [record.message.rpartition(": ")[2] for record in caplog.records] == [
        "gone",
        "model a, which other workers had, is loaded",
    ]


@pytest.mark.slow
def test_no_worker_is_ready_without_a_model_that_others_have(tmp_path: Path) -> None:
    path = write_gemm(tmp_path)
    content = path.read_bytes()
    with serving(tmp_path, "--workers", 2, "--model-control", "explicit") as server:
        assert server.post("/v2/repository/models/gemm/load", b"")[0] == 200
        path.write_bytes(b"broken")
        victim = children(server.process.pid)[0]
        os.kill(victim, signal.SIGKILL)
        until(lambda: not alive(victim) and len(children(server.process.pid)) == 2, "another worker")
        until(lambda: any("one has not" in line for line in server.complaints), "it to say what it lacks")
        time.sleep(0.5)
        assert not ready(server)
        path.write_bytes(content)
        until(lambda: ready(server), "all workers to be ready")
        assert {server.get("/v2/models/gemm/ready")[0] for _ in range(16)} == {200}
        assert server.stop() == 0


def test_what_was_loaded_again_and_again_is_kept_once() -> None:
    told = Told()
    for turn in range(300):
        number = told.ask(turn % 2, load=f"m{turn % 3}")
        for index in range(2):
            told.done(index, number)
    assert told.loaded() == ["m0", "m1", "m2"]


def test_orders_are_answered_or_refused_and_answers_to_nobody_are_no_error() -> None:
    async def run() -> list[int]:
        loop, sent, statuses = asyncio.get_running_loop(), End(), []
        orders = Orders(loop, cast(Any, sent), Repository(explicit=True))
        orders.answered({"id": 77, "error": None})

        def give() -> None:
            try:
                orders.give({"load": "m"})
            except Refusal as refusal:
                statuses.append(refusal.status)

        waiting = [loop.run_in_executor(None, give) for _ in range(3)]
        while len(sent.sent) < 3:
            await asyncio.sleep(0.001)
        orders.answered({"id": 1, "error": {"status": 404, "message": "why"}})
        await asyncio.wait(waiting, return_when="FIRST_COMPLETED")
        orders.close()
        await asyncio.gather(*waiting, loop.run_in_executor(None, give))
        return statuses

    assert asyncio.run(asyncio.wait_for(run(), 20)) == [404, 503, 503, 503]


def test_workers_do_what_they_are_told_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def slow(repository: Repository, name: str) -> None:
        time.sleep(0.05)
        done.append(f"load {name}")

    monkeypatch.setattr(Repository, "load", slow)
    monkeypatch.setattr(Repository, "unload", lambda repository, name: done.append(f"unload {name}"))

    async def run() -> None:
        orders = Orders(asyncio.get_running_loop(), cast(Any, End()), Repository())
        whats = [{"load": "a"}, {"unload": "a"}, {"load": "b"}, {"unload": "b"}]
        await asyncio.gather(*(orders.obey({"order": n, "what": what}) for n, what in enumerate(whats)))

    asyncio.run(run())
    assert done == ["load a", "unload a", "load b", "unload b"]
