"""The same requests to Triton and to our server: what differs is in a table, with reasons."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

pytest.importorskip("orjson", reason="the server speaks JSON with orjson")

import onnxruntime as ort
from onnx import TensorProto, helper
from runtime_kit.fixtures import GEMM_BIAS, GEMM_WEIGHT, build, value
from runtime_kit.triton_differences import DIFFERENCES
from runtime_kit.triton_probes import LENGTH, PROBES, A, N, Probe, X
from runtime_kit.triton_server import tritonserver

from seqc_runtime.cli.commands import run
from seqc_runtime.server.app import App
from seqc_runtime.server.build import build_app
from seqc_runtime.server.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.triton]
Build = Callable[..., bytes]


@dataclass(frozen=True)
class Answer:
    """What is compared. kind: of content, JSON or not. form: names and types of what the JSON holds."""

    status: int
    kind: str
    form: Any
    content: bytes
    headers: dict[str, str]

    @classmethod
    def of(cls, status: int, headers: dict[str, str], content: bytes) -> Answer:
        length = headers.get(LENGTH)
        text = content if length is None else content[: int(length)]
        try:
            form = form_of(json.loads(text))
            kind = "json" if length is None else "binary"
        except ValueError:
            form, kind = None, "empty" if not content else "other"
        return cls(status, kind, form, content, headers)

    def brief(self) -> tuple[int, str]:
        return self.status // 100, self.kind


def form_of(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: form_of(inner) for key, inner in sorted(value.items())}
    if isinstance(value, list):
        forms = [form_of(inner) for inner in value]
        return [form for place, form in enumerate(forms) if form not in forms[:place]]
    return "number" if type(value) in (int, float) else type(value).__name__


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    bias, weight = GEMM_BIAS, GEMM_WEIGHT
    gemm = [helper.make_node("Gemm", ["x", "w", "b"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    made = {
        "m": build(gemm, [value("x", ["n", 4])], [value("y", ["n", 3])], {"w": weight, "b": bias}),
        "sub": build(
            [helper.make_node("Sub", ["a", "b"], ["y"])],
            [value("a", ["n", 2]), value("b", ["n", 2])],
            [value("y", ["n", 2])],
        ),
        "whole": build(
            [helper.make_node("Identity", ["x"], ["y"])],
            [value("x", ["n", 3], TensorProto.INT64)],
            [value("y", ["n", 3], TensorProto.INT64)],
        ),
    }
    return {name: model.SerializeToString() for name, model in made.items()}


def written(models: dict[str, bytes], folder: Path, *options: str) -> Path:
    """The models in a repository that our command wrote."""
    for name, content in models.items():
        (folder / f"{name}.onnx").write_bytes(content)
        path = str(folder / f"{name}.onnx")
        assert run(["repository", path, "--triton", str(folder / "repository"), "--threads", "1", *options]) == 0
    return folder / "repository"


@pytest.fixture(scope="module")
def triton(models: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("triton")
    with tritonserver(written(models, folder, "--triton-backend", "python"), folder) as (address, _):
        yield address


@pytest.fixture(scope="module")
def ours(models: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> App:
    return build_app(Settings(paths=(str(written(models, tmp_path_factory.mktemp("ours"))),), threads=1))


def ask_triton(address: str, probe: Probe) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    try:
        connection.request(probe.method, probe.path, probe.body, probe.headers)
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Answer.of(answer.status, headers, answer.read())
    except ConnectionError:
        return Answer(0, "gone", None, b"", {})
    finally:
        connection.close()


def ask_us(app: App, probe: Probe) -> Answer:
    headers = {**probe.headers, "content-length": str(len(probe.body))}
    answer = app.handle(probe.method, probe.path, headers, probe.body)
    return Answer.of(answer.status, {name.lower(): value for name, value in answer.headers}, answer.content)


def numbers(answer: Answer, name: str) -> np.ndarray:
    """An output as an array, from JSON or from behind it."""
    length = int(answer.headers.get(LENGTH, len(answer.content)))
    content, data = json.loads(answer.content[:length]), answer.content[length:]
    dtypes = {"FP32": "<f4", "INT64": "<i8"}
    for output in content["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        part, data = (data[:size], data[size:]) if size is not None else (None, data)
        if output["name"] == name:
            dtype = dtypes[output["datatype"]]
            flat = np.array(output["data"], dtype) if part is None else np.frombuffer(part, dtype)
            return flat.reshape(output["shape"])
    raise AssertionError(f"there is no output {name!r}")


def truth(models: dict[str, bytes], probe: Probe, rows: int) -> np.ndarray:
    name = probe.path.split("/")[3]
    feeds = {"m": {"x": X[:rows]}, "sub": {"a": A * 3, "b": A}, "whole": {"x": N}}[name]
    result: np.ndarray = ort.InferenceSession(models[name], providers=["CPUExecutionProvider"]).run(None, feeds)[0]
    return result


def test_every_answer_is_tritons_or_differs_for_a_reason(triton: str, ours: App, models: dict[str, bytes]) -> None:
    assert len(PROBES) >= 104
    assert len({probe.name for probe in PROBES}) == len(PROBES)
    found: dict[str, str] = {}
    for probe in PROBES:
        theirs, our = ask_triton(triton, probe), ask_us(ours, probe)
        assert our.status < 500, (probe.name, our)
        if our.status >= 400:
            assert our.form == {"error": "str"}, (probe.name, our)
        if theirs.brief() != our.brief():
            found[probe.name] = f"{theirs.status} {theirs.kind} -> {our.status} {our.kind}"
        elif theirs.form != our.form:
            found[probe.name] = "form"
        for name in probe.expected:
            results = [numbers(answer, name) for answer in (theirs, our) if answer.status == 200]
            assert results, probe.name
            for result in results:
                assert np.allclose(result, truth(models, probe, len(result)), atol=1e-6), probe.name
    assert found == {name: what for name, (what, _) in DIFFERENCES.items()}


def test_triton_takes_the_configuration_for_its_own_backend(models: dict[str, bytes], tmp_path: Path) -> None:
    """As far as a Triton without a backend for ONNX can go: to the library that is not there."""
    with tritonserver(written(models, tmp_path), tmp_path, ready=False) as (_, log):
        said = log.read_text()
    assert "unable to find backend library for backend 'onnxruntime'" in said
    assert "failed to load all models" in said


def test_triton_starts_with_every_option_and_says_it_back(models: dict[str, bytes], tmp_path: Path) -> None:
    options = ["--instances", "2", "--max-batch", "6", "--max-delay", "3", "--triton-backend", "python"]
    with tritonserver(written(models, tmp_path, *options), tmp_path) as (address, _):
        config = {
            name: json.loads(ask_triton(address, Probe(name, "GET", f"/v2/models/{name}/config")).content)
            for name in models
        }
        # Six rows are the most, and seven are too many.
        answers = [ask_triton(address, Probe("", "POST", "/v2/models/m/infer", rows_of_m(rows))) for rows in (6, 7)]
    assert [answer.status for answer in answers] == [200, 400]
    y = np.reshape(json.loads(answers[0].content)["outputs"][0]["data"], (6, 3))
    (expected,) = ort.InferenceSession(models["m"]).run(None, {"x": np.resize(X, (6, 4))})
    assert np.allclose(y, expected, atol=1e-6)
    for name in models:
        assert config[name]["max_batch_size"] == 6
        assert config[name]["dynamic_batching"]["max_queue_delay_microseconds"] == 3000
        assert [group["count"] for group in config[name]["instance_group"]] == [2]
        assert config[name]["parameters"]["intra_op_thread_count"]["string_value"] == "1"


def rows_of_m(rows: int) -> bytes:
    data = np.resize(X, (rows, 4)).ravel().tolist()
    return json.dumps({"inputs": [{"name": "x", "shape": [rows, 4], "datatype": "FP32", "data": data}]}).encode()
