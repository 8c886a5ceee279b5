"""Models on a local Ray cluster of two CPUs: datasets, files, and Ray Serve."""

from __future__ import annotations

import gc
import http.client
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from runtime_kit.effort import thorough_only

import seqc_runtime

# Ray asks its own settings in ways that it finds outdated.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

X = np.random.default_rng(5).standard_normal((2048, 4)).astype(np.float32)
Build = Callable[..., bytes]


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        # On a busy machine the process that answers HTTP takes longer to begin than the five seconds it is given.
        patch.setenv("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "120")
        patch.setenv("RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S", "120")
        ray = pytest.importorskip("ray", reason="the tests start a Ray cluster of their own")
        pytest.importorskip("ray.serve", reason="the tests serve with Ray Serve")
        ray.init("local", num_cpus=2, include_dashboard=False, logging_level="error", log_to_driver=False)
        yield ray
        ray.serve.shutdown()
        ray.shutdown()


@pytest.fixture
def external(gemm: bytes, tmp_path: Path) -> Path:
    """The model of `gemm` with its weights in a file of their own, in a folder below."""
    folder = tmp_path / "external"
    folder.mkdir()
    model = onnx.load_from_string(gemm)
    onnx.save_model(model, folder / "gemm.onnx", save_as_external_data=True, location="gemm.weights", size_threshold=0)
    assert (folder / "gemm.weights").is_file()
    return folder / "gemm.onnx"


def bare(model: bytes, feeds: dict[str, np.ndarray]) -> np.ndarray:
    result: np.ndarray = ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, feeds)[0]
    return result


def test_a_dataset_gets_the_models_numbers_with_the_columns_kept(ray: Any, gemm: bytes) -> None:
    from seqc_runtime.ray import predict

    rows = [{"id": i, "x": x} for i, x in enumerate(X)]
    made = predict(ray.data.from_items(rows), gemm, keep=["id"], batch_size=300, actors=1)
    results = made.take_all()
    y = np.stack([row["y"] for row in sorted(results, key=lambda row: row["id"])])
    assert set(results[0]) == {"id", "y"}
    assert np.allclose(y, bare(gemm, {"x": X}), atol=1e-6)


def test_weights_in_a_file_of_their_own_travel_with_the_model(ray: Any, external: Path, gemm: bytes) -> None:
    from seqc_runtime.ray import predict

    table = {f"x_{i}": X[:100, i] for i in range(4)}
    made = predict(ray.data.from_items([{name: row[name] for name in table} for row in _rows(table)]), external)
    for path in external.parent.iterdir():
        path.unlink()  # as on a machine that does not have them
    y = np.stack([row["y"] for row in made.take_all()])
    assert np.allclose(sorted(y.tolist()), sorted(bare(gemm, {"x": X[:100]}).tolist()), atol=1e-6)


def _rows(table: dict[str, np.ndarray]) -> list[dict[str, float]]:
    return [dict(zip(table, map(float, values), strict=True)) for values in zip(*table.values(), strict=True)]


def test_the_files_of_a_model_go_with_who_uses_them(ray: Any, external: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import seqc_runtime.ray as on_ray

    output = seqc_runtime.load(external).outputs[0].name
    monkeypatch.setattr(tempfile, "tempdir", str(external.parent))
    predictor = on_ray.Predictor(on_ray.bundle(external), device="cpu", threads=1)
    (folder,) = external.parent.glob("seqc-runtime-*")
    assert sorted(file.name for file in folder.iterdir()) == ["gemm.onnx", "gemm.weights"]
    del predictor
    gc.collect()
    assert not folder.exists()
    with pytest.raises(seqc_runtime.RuntimeArgumentError):
        on_ray.Predictor(on_ray.bundle(external), device="cpu", keep=[output], threads=1)
    gc.collect()
    assert not list(external.parent.glob("seqc-runtime-*"))


@thorough_only
def test_the_predictor_is_a_class_for_map_batches(ray: Any, two_inputs: bytes, tmp_path: Path) -> None:
    from seqc_runtime.ray import Predictor

    path = tmp_path / "m.onnx"
    path.write_bytes(two_inputs)
    dataset = ray.data.from_items([{"p": x[:2], "b": x[2:]} for x in X[:64]])
    made = dataset.map_batches(
        Predictor,
        fn_constructor_args=(str(path), {"a": ["p"], "b": ["b"]}),
        batch_size=16,
        compute=ray.data.ActorPoolStrategy(size=1),
        num_cpus=1,
    )
    y = np.stack([row["y"] for row in made.take_all()])
    expected = bare(two_inputs, {"a": X[:64, :2], "b": X[:64, 2:]})
    assert np.allclose(sorted(y.tolist()), sorted(expected.tolist()))


@thorough_only
def test_an_actor_uses_the_cpus_it_was_given(ray: Any, gemm: bytes) -> None:
    from seqc_runtime.ray import Predictor

    class Asked(Predictor):
        def threads(self) -> int:
            return self._model.threads

    for cpus in (1, 2):
        actor = ray.remote(num_cpus=cpus)(Asked).remote(gemm)
        assert ray.get(actor.threads.remote()) == cpus
        ray.kill(actor)


@pytest.mark.parametrize("actors", [pytest.param(1, marks=thorough_only), 2])
def test_a_file_scored_by_actors_is_the_file_scored_here(ray: Any, gemm: bytes, tmp_path: Path, actors: int) -> None:
    from seqc_runtime.ray import ordered
    from seqc_runtime.score import score

    model = seqc_runtime.load(gemm)
    np.save(tmp_path / "x.npy", X)
    kind = {1: "csv", 2: "parquet"}[actors]
    here, there = tmp_path / f"here.{kind}", tmp_path / f"there.{kind}"
    score(model, tmp_path / "x.npy", here, batch_size=100)
    score(model, tmp_path / "x.npy", there, batch_size=100, engine=ordered(gemm, actors=actors))
    assert there.read_bytes() == here.read_bytes()


def test_blocks_of_any_size_and_none_give_the_bits_they_give_here(ray: Any, gemm: bytes) -> None:
    pa = pytest.importorskip("pyarrow")
    from seqc_runtime.ray import predict

    ends = np.cumsum([0, 0, 1, 7, 300, 0, 692])
    blocks = [
        pa.table({"id": np.arange(start, end), **{f"x_{i}": X[start:end, i] for i in range(4)}})
        for start, end in itertools.pairwise(ends)
    ]
    rows = predict(ray.data.from_arrow(blocks), gemm, keep=["id"], batch_size=64, actors=2).take_all()
    y = np.stack([row["y"] for row in sorted(rows, key=lambda row: row["id"])])
    assert np.array_equal(y, seqc_runtime.load(gemm).predict(X[:1000]))


def test_texts_and_whole_numbers_keep_every_digit_on_the_way(make: Build) -> None:
    pytest.importorskip("ray")
    from seqc_runtime.ray import Predictor

    helper, types = onnx.helper, onnx.TensorProto
    value = helper.make_tensor_value_info
    model = make(
        [helper.make_node("Identity", ["k"], ["i"]), helper.make_node("Identity", ["t"], ["s"])],
        [value("k", types.INT64, ["n", 2]), value("t", types.STRING, ["n"])],
        [value("i", types.INT64, ["n", 2]), value("s", types.STRING, ["n"])],
    )
    numbers = 2**53 + np.arange(20)
    texts = np.array([f"é{i}" for i in range(20)], object)
    found = Predictor(model, threads=1)({"t": texts, "k_1": numbers + 1, "k_0": numbers})
    assert np.array_equal(found["i"], np.stack([numbers, numbers + 1], axis=1))
    assert found["s"].tolist() == texts.tolist()


def test_what_fails_in_an_actor_is_the_error_it_is_here(ray: Any, relu: Build, tmp_path: Path) -> None:
    from seqc_runtime.ray import ordered
    from seqc_runtime.score import score

    model = relu(["n", 3], ["n", 3])
    np.save(tmp_path / "x.npy", X)
    messages = []
    for engine in (None, ordered(model)):
        with pytest.raises(seqc_runtime.RuntimeInputError) as caught:
            score(seqc_runtime.load(model), tmp_path / "x.npy", tmp_path / "y.npy", engine=engine)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    with pytest.raises(seqc_runtime.RuntimeArgumentError, match="which are too few for 3 actors of 1 each"):
        score(seqc_runtime.load(model), tmp_path / "x.npy", tmp_path / "y.npy", engine=ordered(model, actors=3))


def call(url: str, content: object = None, **headers: str) -> tuple[int, Any]:
    body = None if content is None else json.dumps(content).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.fixture(scope="module")
def serving(ray: Any) -> str:
    """Where Ray Serve listens."""
    import socket

    from ray import serve

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    return f"http://127.0.0.1:{port}"


@thorough_only
def test_the_command_starts_a_ray_of_its_own_and_ends_it(gemm: bytes, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    (tmp_path / "m.onnx").write_bytes(gemm)
    np.save(tmp_path / "x.npy", X)
    command = [sys.executable, "-m", "seqc_runtime", "score", "m.onnx", "x.npy", "-o", "y.npy", "--engine", "ray"]
    ended = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "RAY_ADDRESS": "local"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "2048 samples in" in ended.stderr
    assert np.allclose(np.load(tmp_path / "y.npy"), bare(gemm, {"x": X}), atol=1e-6)


def test_every_answer_is_byte_for_byte_the_servers(
    serving: str, external: Path, make: Build, identity: Build, tmp_path: Path
) -> None:
    """All requests of the comparison with Triton, good and bad, in JSON and binary.

    The replica has nothing but what travelled, the weights of one model in a file of their own among it.
    """
    from ray import serve
    from runtime_kit.triton_probes import LENGTH, PROBES

    from seqc_runtime.ray import app
    from seqc_runtime.server.build import build_app
    from seqc_runtime.server.settings import Settings

    value = onnx.helper.make_tensor_value_info
    floats = [value(name, onnx.TensorProto.FLOAT, ["n", 2]) for name in "aby"]
    sub = make([onnx.helper.make_node("Sub", ["a", "b"], ["y"])], floats[:2], floats[2:])
    models = {"sub": sub, "whole": identity(onnx.TensorProto.INT64, ("n", 3))}
    for name, model in models.items():
        (external.parent / f"{name}.onnx").write_bytes(model)
    external.rename(external.with_name("m.onnx"))
    paths = [str(external.with_name(f"{name}.onnx")) for name in ("m", *models)]
    ours, made = build_app(Settings(paths=tuple(paths), threads=1)), app(*paths)
    for path in external.parent.iterdir():
        path.unlink()
    serve.run(made, name="default")
    host = urlsplit(serving).netloc
    for probe in PROBES:
        answer = ours.handle(
            probe.method, probe.path, {**probe.headers, "content-length": str(len(probe.body))}, probe.body
        )
        headers = {name.lower(): value for name, value in answer.headers}
        connection = http.client.HTTPConnection(host, timeout=60)
        connection.request(probe.method, probe.path, probe.body, probe.headers)
        found = connection.getresponse()
        assert (found.status, found.read()) == (answer.status, bytes(answer.content)), probe.name
        for name in ("content-type", LENGTH):
            assert found.getheader(name) == headers.get(name), probe.name
        connection.close()
    serve.delete("default")


def test_a_new_model_takes_the_place_of_the_old_and_survives_bad_ones_and_a_kill(
    serving: str, gemm: bytes, relu: Build, tmp_path: Path
) -> None:
    from ray import serve

    from seqc_runtime.ray import app

    def shape() -> list[int]:
        result: list[int] = call(f"{serving}/v2/models/m")[1]["inputs"][0]["shape"]
        return result

    path = tmp_path / "file.onnx"
    path.write_bytes(gemm)
    serve.run(app(path, name="m"), name="default")
    assert shape() == [-1, 4]
    path.write_bytes(relu(["n", 7], ["n", 7]))
    serve.run(app(path, name="m"), name="default")
    assert shape() == [-1, 7]
    path.write_bytes(b"no model")
    with pytest.raises(seqc_runtime.RuntimeModelError):
        app(path)
    with pytest.raises(seqc_runtime.RuntimeArgumentError, match="there is no file or folder"):
        app(tmp_path / "none.onnx")
    assert shape() == [-1, 7]
    # A replica that is killed comes back with the model that it had, although the file is another now.
    replicas = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _is_replica(pid)]
    assert len(replicas) == 1
    os.kill(replicas[0], signal.SIGKILL)
    limit = time.monotonic() + 90
    status = 0
    while status != 200 and time.monotonic() < limit:
        time.sleep(0.5)
        status = _status(f"{serving}/v2/models/m")
    assert shape() == [-1, 7]
    serve.delete("default")


def _is_replica(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::ServeReplica:default:seqc-runtime")
    except OSError:
        return False


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            result: int = answer.status
            return result
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
