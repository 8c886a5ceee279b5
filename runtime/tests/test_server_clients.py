"""Clients that nobody here wrote, each in an environment of its own."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from runtime_kit.client_environment import clean_environment, environment
from runtime_kit.effort import effort
from runtime_kit.odd_cases import check_same, write_case
from runtime_kit.odd_models import expected as bare
from runtime_kit.odd_models import odd_models, write
from runtime_kit.server_process import ServerProcess, gemm_answer, gemm_request, serving, write_gemm

pytest.importorskip("grpc", reason="gRPC is an extra")

import onnxruntime
import orjson

pytestmark = pytest.mark.slow
HERE = Path(__file__).resolve().parent
X = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)


def expected(model: Path) -> np.ndarray:
    """What a bare session answers."""
    (y,) = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"]).run(None, {"x": X})
    return np.asarray(y)


def run(*command: object) -> subprocess.CompletedProcess[str]:
    """A program of `runtime_kit` in its own environment, without this one's."""
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        list(map(str, command)), cwd=HERE, env=clean, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.parametrize(
    ("script", "packages"),
    [
        ("triton_calls", ["tritonclient[http,grpc]==2.73.0"]),
        ("openapi_calls", ["open-inference-openapi==2.0.0.1", "numpy"]),
        ("protocol_calls", ["open-inference-grpc==2.0.0", "numpy", "protobuf"]),
        # More than 300 MB: where somebody wants it.
        pytest.param(
            "kserve_calls",
            ["kserve==0.21.0"],
            marks=pytest.mark.skipif("SEQC_TEST_KSERVE" not in os.environ, reason="SEQC_TEST_KSERVE=1 installs kserve"),
        ),
    ],
)
def test_clients_get_the_numbers_of_a_bare_session(tmp_path: Path, script: str, packages: list[str]) -> None:
    python = environment(script.partition("_")[0], *packages)
    model = write_gemm(tmp_path)
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", expected(model))
    with serving(model, "--grpc-port", 0) as server:
        ports = [str(server.port)]
        if script != "openapi_calls":
            ports.append(server.lines[0].partition("grpc://127.0.0.1:")[2].partition(",")[0])
        command: list[str | Path] = [
            python,
            "-m",
            f"runtime_kit.{script}",
            *ports,
            tmp_path / "x.npy",
            tmp_path / "y.npy",
        ]
        done = subprocess.run(
            command, cwd=HERE, env=clean_environment(), capture_output=True, text=True, check=False, timeout=300
        )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("script", "packages"),
    [
        ("triton_odd_calls", ["tritonclient[http,grpc]==2.73.0"]),
        ("protocol_odd_calls", ["open-inference-grpc==2.0.0", "numpy", "protobuf"]),
    ],
)
def test_clients_get_every_bit_of_odd_models(tmp_path: Path, script: str, packages: list[str]) -> None:
    """Texts, half precision, scalars, nothing, many tensors of many types; NVIDIA's client also loads the models."""
    python = environment(script.partition("_")[0], *packages)
    odds = odd_models()
    models, cases = write(tmp_path / "models", odds), tmp_path / "cases"
    cases.mkdir()
    number = 0
    for odd in odds:
        session = odd.session()
        for feeds in odd.feeds:
            write_case(cases, number, odd.name, feeds, bare(session, feeds))
            number += 1
    loads = ["--model-control", "explicit"] if script.startswith("triton") else []
    with serving(models, "--grpc-port", 0, *loads) as server:
        grpc_port = server.lines[0].partition("grpc://127.0.0.1:")[2].partition(",")[0]
        ports = [str(server.port), grpc_port] if script.startswith("triton") else [grpc_port]
        done = run(python, "-m", f"runtime_kit.{script}", *ports, cases)
    assert done.returncode == 0, done.stdout + done.stderr


def test_schemathesis_finds_nothing_against_the_description(tmp_path: Path) -> None:
    python = environment("schemathesis", "schemathesis==4.32.5")
    with serving(write_gemm(tmp_path)) as server:
        command: list[str | Path] = [
            python.with_name("schemathesis"),
            "run",
            f"http://127.0.0.1:{server.port}/openapi.json",
        ]
        examples = effort(3, 20)
        # What a schema says of tensors is not enough to tell whether a model takes them.
        options = [
            "--exclude-checks",
            "positive_data_acceptance,negative_data_rejection",
            "--max-examples",
            str(examples),
        ]
        done = subprocess.run(
            [*command, *options, "--seed", "1", "--no-color"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        # After all that, the numbers are still right.
        status, body = server.post("/v2/models/gemm/infer", gemm_request(X))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    passed = re.search(r"(\d+) generated, \1 passed", done.stdout)
    assert passed is not None, done.stdout[-3000:]
    assert int(passed[1]) > 25 * examples
    assert status == 200
    check_same(gemm_answer(body), expected(tmp_path / "gemm.onnx"), "y")


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_as_the_readme_has_it(tmp_path: Path) -> None:
    model = write_gemm(tmp_path)
    tensor = {"name": "x", "shape": list(X.shape), "datatype": "FP32", "data": X.ravel().tolist()}
    rows = tmp_path / "rows.csv"
    np.savetxt(rows, X, delimiter=",")
    with serving(model) as server:
        address = f"http://127.0.0.1:{server.port}"

        def curl(path: str, *options: str) -> bytes:
            return subprocess.run(["curl", "-sSf", address + path, *options], capture_output=True, check=True).stdout

        name = model.stem
        answer = orjson.loads(curl(f"/v2/models/{name}/infer", "-d", orjson.dumps({"inputs": [tensor]}).decode()))
        plain = orjson.loads(curl("/predict", "-H", "content-type: text/csv", "--data-binary", f"@{rows}"))
    y = expected(model)
    check_same(np.array(answer["outputs"][0]["data"], np.float32).reshape(y.shape), y, "tensors")
    check_same(np.array(plain["outputs"]["y"], np.float32), y, "CSV")


def test_perf_analyzer_finds_no_error(tmp_path: Path) -> None:
    """NVIDIA's load generator, of the last release that was built for the libraries of today's stable systems."""
    if not _is_there("libb64.so.0d"):
        pytest.skip("perf_analyzer needs the library libb64.so.0d: Debian has it in libb64-0d")
    python = environment("perf-analyzer", "tritonclient==2.51.0", "nvidia-cuda-runtime-cu12")
    libraries = next(python.parents[1].glob("lib/**/libcudart.so.12")).parent
    program = python.with_name("perf_analyzer")
    if not program.is_file() or "not found" in _linked(program, libraries):
        pytest.skip("perf_analyzer lacks a library: Debian has libb64.so.0d in libb64-0d")
    short = ["-p", "300", "-r", "3", "-s", "999", "--concurrency-range", "1:4:3"]
    json = ["--input-tensor-format", "json", "--output-tensor-format", "json"]
    models = write(tmp_path / "models", [odd for odd in odd_models() if odd.name in ("texts", "no-inputs")])
    write_gemm(models)
    with serving(models, "--grpc-port", 0) as server:
        grpc_port = server.lines[0].partition("grpc://127.0.0.1:")[2].partition(",")[0]
        http, grpc = ["-i", "http", "-u", f"localhost:{server.port}"], ["-i", "grpc", "-u", f"localhost:{grpc_port}"]
        for model, ways in (
            (["gemm", "--shape", "x:4"], (http, [*http, *json], grpc, [*grpc, "--streaming"])),
            (["texts", "--shape", "x:3", "--string-length", "5"], (http, grpc)),
            (["no-inputs"], (http, grpc)),
        ):
            before = 0
            for way in ways:
                done = subprocess.run(
                    [program, "-m", *model, *short, *way],
                    env={**os.environ, "LD_LIBRARY_PATH": str(libraries)},
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=300,
                )
                said = done.stdout + done.stderr
                assert done.returncode == 0, said
                assert len(re.findall(r"^Concurrency: \d+, throughput: [1-9]", said, re.MULTILINE)) == 2, said
                assert "error" not in said.lower(), said
                # What it counted is not more than what was answered, and nothing was refused.
                answered, refused = counted(server, model[0])
                sent = sum(int(number) for number in re.findall(r"^    Request count: (\d+)", said, re.MULTILINE))
                assert answered - before >= sent > 0, (said, answered, before)
                assert refused == 0
                before = answered


def counted(server: ServerProcess, model: str) -> tuple[int, int]:
    """Inferences that were answered, and that were refused or failed."""
    status, body = server.get(f"/v2/models/{model}/stats")
    assert status == 200
    (stats,) = orjson.loads(body)["model_stats"]
    return stats["inference_stats"]["success"]["count"], stats["inference_stats"]["fail"]["count"]


def _is_there(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _linked(program: Path, libraries: Path) -> str:
    environ = {**os.environ, "LD_LIBRARY_PATH": str(libraries)}
    return subprocess.run(["ldd", program], env=environ, capture_output=True, text=True, check=False).stdout
