"""Models on a local Ray cluster of two CPUs: datasets, files, and Ray Serve."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import seqc_runtime

pytestmark = pytest.mark.slow

X = np.random.default_rng(5).standard_normal((2048, 4)).astype(np.float32)
Build = Callable[..., bytes]


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
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
    return ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, feeds)[0]


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


def test_an_actor_uses_the_cpus_it_was_given(ray: Any, gemm: bytes) -> None:
    from seqc_runtime.ray import Predictor

    class Asked(Predictor):
        def threads(self) -> int:
            return self._model.threads

    for cpus in (1, 2):
        actor = ray.remote(num_cpus=cpus)(Asked).remote(gemm)
        assert ray.get(actor.threads.remote()) == cpus
        ray.kill(actor)


@pytest.mark.parametrize("actors", [1, 2])
def test_a_file_scored_by_actors_is_the_file_scored_here(ray: Any, gemm: bytes, tmp_path: Path, actors: int) -> None:
    from seqc_runtime.ray import ordered
    from seqc_runtime.score import score

    model = seqc_runtime.load(gemm)
    np.save(tmp_path / "x.npy", X)
    score(model, tmp_path / "x.npy", tmp_path / "here.csv", batch_size=100)
    score(model, tmp_path / "x.npy", tmp_path / "there.csv", batch_size=100, engine=ordered(gemm, actors=actors))
    assert (tmp_path / "there.csv").read_bytes() == (tmp_path / "here.csv").read_bytes()


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


@pytest.fixture
def served(ray: Any, external: Path) -> Iterator[str]:
    """The address of the application on Ray Serve, whose replica has nothing but what travelled."""
    import socket

    from ray import serve

    from seqc_runtime.ray import app

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    made = app(external, name="flowers")
    for path in external.parent.iterdir():
        path.unlink()
    serve.run(made, name="default")
    yield f"http://127.0.0.1:{port}"
    serve.delete("default")


def test_ray_serve_speaks_the_protocol(served: str, gemm: bytes) -> None:
    assert call(f"{served}/v2/health/ready")[0] == 200
    status, about = call(f"{served}/v2/models/flowers")
    assert (status, about["inputs"]) == (200, [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}])
    x = X[:5]
    request = {"inputs": [{"name": "x", "shape": [5, 4], "datatype": "FP32", "data": x.ravel().tolist()}]}
    status, answer = call(f"{served}/v2/models/flowers/infer", request)
    assert status == 200
    assert np.allclose(np.reshape(answer["outputs"][0]["data"], (5, 3)), bare(gemm, {"x": x}), atol=1e-6)
    status, answer = call(f"{served}/v2/models/none/infer", request)
    assert (status, list(answer)) == (404, ["error"])
    request["inputs"][0]["shape"] = [5, 5]
    status, answer = call(f"{served}/v2/models/flowers/infer", request)
    assert (status, list(answer)) == (400, ["error"])


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
