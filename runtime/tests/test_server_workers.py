"""--workers N: processes that share a socket, and the supervisor that looks after them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from runtime_kit.server_process import (
    WEIGHT,
    ServerProcess,
    alive,
    children,
    gemm_answer,
    gemm_request,
    serving,
    until,
    write_gemm,
)
from runtime_kit.serving_models import looped

import seqc_runtime
from seqc_runtime.server.admin import Orders
from seqc_runtime.server.messages import Refusal
from seqc_runtime.server.repository import Repository
from seqc_runtime.server.settings import Settings
from seqc_runtime.server.supervisor import Supervisor, Worker


def ask(server: ServerProcess) -> None:
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    status, body = server.post("/v2/models/gemm/infer", gemm_request(x))
    assert status == 200
    assert np.allclose(gemm_answer(body), x @ WEIGHT, atol=1e-5)


def ready(server: ServerProcess) -> bool:
    return server.get("/v2/health/ready")[0] == 200


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    with serving(write_gemm(tmp_path), "--workers", 2) as server:
        first = children(server.process.pid)
        assert len(first) == 2
        ask(server)
        os.kill(first[0], signal.SIGKILL)
        until(lambda: not alive(first[0]), "the worker to end")
        ask(server)  # the other one answers
        until(lambda: len(children(server.process.pid)) == 2, "another worker")
        until(lambda: ready(server), "all workers to be ready")
        second = children(server.process.pid)
        assert first[1] in second
        assert first[0] not in second
        for _ in range(20):
            ask(server)
        assert server.stop() == 0
        assert any("SIGKILL" in line for line in server.complaints)
        until(lambda: not any(map(alive, second)), "the workers to end")


@pytest.mark.slow
def test_workers_end_with_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    with serving(write_gemm(tmp_path), "--workers", 2) as server:
        workers = children(server.process.pid)
        server.process.kill()
        until(lambda: not any(map(alive, workers)), "the workers to end")


@pytest.mark.slow
def test_workers_import_nothing_from_the_folder_the_server_was_started_in(tmp_path: Path) -> None:
    planted = [tmp_path / f"{name}.py" for name in ("orjson", "numpy", "json", "seqc_runtime", "sitecustomize")]
    for file in planted:
        file.write_text(f"open({str(tmp_path / 'found')!r}, 'a').write(__name__)")
    path = write_gemm(tmp_path)
    # As the installed command: -P keeps the current folder out.
    command = [sys.executable, "-P", "-W", "error::UserWarning", "-m", "seqc_runtime", "serve", str(path)]
    process = subprocess.Popen(
        [*command, "--workers", "2", "--port", "0"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(seqc_runtime.__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert "2 workers" in process.stdout.readline()
            for pid in children(process.pid):
                assert b"error::UserWarning" in Path(f"/proc/{pid}/cmdline").read_bytes()
        finally:
            process.terminate()
    assert not (tmp_path / "found").exists()


@pytest.mark.slow
def test_the_supervisor_loads_no_model(tmp_path: Path) -> None:
    with serving(write_gemm(tmp_path), "--workers", 2) as server:
        pids = [server.process.pid, *children(server.process.pid)]
        loaded = ["onnxruntime" in Path(f"/proc/{pid}/maps").read_text() for pid in pids]
        assert loaded == [False, True, True]
        folder = [
            line.split()[-1]
            for line in Path(f"/proc/{pids[0]}/maps").read_text().splitlines()
            if "seqc-runtime-" in line
        ]
        assert all(Path(name).parent.stat().st_mode & 0o77 == 0 for name in folder)


@pytest.mark.slow
def test_a_model_no_worker_can_load_is_one_line_and_not_a_loop(tmp_path: Path) -> None:
    path = write_gemm(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    command = [sys.executable, "-m", "seqc_runtime", "serve", str(path), "--port", "0", "--workers", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert "gemm.onnx" in done.stderr


@pytest.mark.slow
def test_a_server_whose_workers_always_end_gives_up_and_says_so(tmp_path: Path) -> None:
    with serving(write_gemm(tmp_path), "--workers", 2) as server:
        end = time.monotonic() + 120
        while server.process.poll() is None:
            assert time.monotonic() < end
            for pid in children(server.process.pid)[:1]:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        assert server.process.returncode == 2
        assert "ended in a row" in server.complaints[-1]


@pytest.mark.slow
def test_a_new_version_is_found_by_all_workers(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "gemm" / "1"
    folder.mkdir(parents=True)
    write_gemm(folder, "model")
    with serving(tmp_path / "models", "--workers", 2, "--poll", 0.1) as server:
        x = np.ones((1, 4), np.float32)

        def answers() -> set[float]:
            found = [server.post("/v2/models/gemm/infer", gemm_request(x)) for _ in range(8)]
            assert {status for status, _ in found} == {200}
            return {float(gemm_answer(body)[0, 0] - (x @ WEIGHT)[0, 0]) for _, body in found}

        assert all(abs(value) < 1e-5 for value in answers())
        (tmp_path / "models" / "gemm" / "2").mkdir()
        write_gemm(tmp_path / "models" / "gemm" / "2", "model", bias=5.0)
        until(lambda: all(value > 4 for value in answers()), "the new version everywhere")
        assert server.stop() == 0


@pytest.mark.slow
def test_a_model_is_loaded_and_unloaded_in_all_workers_also_in_those_that_start_later(tmp_path: Path) -> None:
    write_gemm(tmp_path, "one")
    write_gemm(tmp_path, "two", bias=1.0)
    files = tmp_path / "one.onnx", tmp_path / "two.onnx"
    with serving(*files, "--workers", 2, "--model-control", "explicit", "--admin-port", 0) as server:
        main = server.port
        admin = int(server.lines[0].partition(" (admin)")[0].rpartition(":")[2])
        x = np.ones((1, 4), np.float32)

        def statuses(name: str) -> set[int]:
            return {server.post(f"/v2/models/{name}/infer", gemm_request(x))[0] for _ in range(12)}

        assert statuses("two") <= {404, 503}
        assert server.post("/v2/repository/models/two/load", b"")[0] == 404
        server.port = admin
        assert server.post("/v2/repository/models/two/load", b"")[0] == 200
        assert server.post("/v2/repository/models/none/load", b"")[0] in (400, 404)
        server.port = main
        assert statuses("two") == {200}
        victim = children(server.process.pid)[0]
        os.kill(victim, signal.SIGKILL)
        until(lambda: not alive(victim), "the worker to end")
        until(lambda: ready(server), "another worker")
        assert statuses("two") == {200}
        assert statuses("one") <= {404, 503}
        server.port = admin
        assert server.post("/v2/repository/models/two/unload", b"")[0] == 200
        server.port = main
        assert statuses("two") <= {404, 503}
        assert server.stop() == 0


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


@pytest.mark.slow
@pytest.mark.parametrize("asked", [True, False])
def test_workers_are_alike_after_one_was_killed_during_a_load(tmp_path: Path, asked: bool) -> None:
    (tmp_path / "slow.onnx").write_bytes(looped(3_000_000))  # seconds of probing
    write_gemm(tmp_path)
    with serving(tmp_path, "--workers", 2, "--model-control", "explicit") as server:
        answers: list[object] = []

        def load() -> None:
            with contextlib.suppress(Exception):
                answers.append(server.post("/v2/repository/models/slow/load", b"")[0])

        workers = children(server.process.pid)
        thread = threading.Thread(target=load)
        thread.start()
        time.sleep(0.5)
        asker = next(pid for pid in workers if connected(pid))
        os.kill(asker if asked else next(pid for pid in workers if pid != asker), signal.SIGKILL)
        thread.join(60)
        assert answers == ([] if asked else [200])
        time.sleep(0.2)
        until(lambda: ready(server), "all workers to be ready")
        until(lambda: {server.get("/v2/models/slow/ready")[0] for _ in range(16)} == {200}, "the model everywhere")
        for name, verb, after in (("gemm", "load", {200}), ("slow", "unload", {404}), ("gemm", "unload", {404})):
            assert server.post(f"/v2/repository/models/{name}/{verb}", b"")[0] == 200
            assert {server.get(f"/v2/models/{name}/ready")[0] for _ in range(16)} == after
        assert server.stop() == 0


def connected(pid: int) -> bool:
    """Whether a process has a connection of TCP, by how many sockets it has."""
    established = {
        line.split()[9] for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "01"
    }
    links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    return any(link.removeprefix("socket:[").rstrip("]") in established for link in links)


def private(pid: int) -> int:
    """Bytes that only this process has."""
    found = re.findall(r"Private_(?:Clean|Dirty):\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text())
    return 1024 * sum(map(int, found))


@pytest.mark.slow
def test_workers_share_the_weights_that_lie_beside_a_model(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = np.random.default_rng(0).standard_normal((4096, 4096)).astype(np.float32)  # 64 MiB
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4096])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4096])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    path = tmp_path / "big.onnx"
    onnx.save(model, path, save_as_external_data=True, location="big.data")
    x = np.random.default_rng(1).standard_normal((2, 4096)).astype(np.float32)
    body = gemm_request(x)
    used = {}
    for option in ("--share-weights", "--copy-weights"):
        with serving(path, "--workers", 2, option) as server:
            for _ in range(8):
                status, answer = server.post("/v2/models/big/infer", body)
                assert status == 200
            assert np.allclose(gemm_answer(answer), x @ weight, atol=1e-2)
            used[option] = sum(map(private, children(server.process.pid)))
    # Without sharing, each of the two has 64 MiB of its own.
    assert used["--copy-weights"] - used["--share-weights"] > 100 << 20


def test_workers_count_in_memory_where_no_disk_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    from seqc_runtime.server.supervisor import WorkersError, _make_folder

    plain, memory = tempfile.mkdtemp, Path("/dev/shm")
    full_too = not memory.exists()

    def full(prefix: str = "", dir: str | None = None) -> str:
        if dir is None or full_too:
            raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")
        return plain(prefix=prefix, dir=dir)

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    if not full_too:
        folder = Path(_make_folder())
        assert (folder.parent, folder.stat().st_mode & 0o77) == (memory, 0)
        folder.rmdir()
    full_too = True
    with pytest.raises(WorkersError, match="set TMPDIR"):
        _make_folder()
