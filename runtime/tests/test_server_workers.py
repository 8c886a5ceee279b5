"""--workers N: processes that share a socket, and the supervisor that looks after them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

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
