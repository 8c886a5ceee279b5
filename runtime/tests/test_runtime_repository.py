"""`seqc-runtime repository`: folders for Triton, resources for KServe."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

pytest.importorskip("click", reason="the command reads its options with click")
pytest.importorskip("orjson", reason="the server speaks JSON with orjson")

import orjson
from onnx import TensorProto, helper
from runtime_kit.client_environment import clean_environment, environment
from runtime_kit.kserve_schema import NOT_ON_KNATIVE, SCHEMAS

import seqc_runtime
from seqc_runtime.cli.commands import run
from seqc_runtime.deploy.kserve import resources, to_yaml
from seqc_runtime.deploy.triton import TritonOptions, config_text
from seqc_runtime.server.build import build_app
from seqc_runtime.server.config import read_config
from seqc_runtime.server.settings import Settings

Build = Callable[..., bytes]
# What Triton calls the types of ONNX.
TYPES: dict[int, str] = {
    TensorProto.FLOAT: "FP32",
    TensorProto.DOUBLE: "FP64",
    TensorProto.FLOAT16: "FP16",
    TensorProto.INT8: "INT8",
    TensorProto.INT64: "INT64",
    TensorProto.UINT16: "UINT16",
    TensorProto.BOOL: "BOOL",
    TensorProto.STRING: "STRING",
}
X = np.random.default_rng(1).standard_normal((6, 4)).astype(np.float32)


@pytest.fixture
def path(gemm: bytes, tmp_path: Path) -> str:
    (tmp_path / "flowers.onnx").write_bytes(gemm)
    return str(tmp_path / "flowers.onnx")


def said(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().err
    assert text.startswith("Error: "), text
    assert text.count("\n") == 1
    return text


def test_what_is_written_for_triton_is_served_here_with_the_same_numbers(
    path: str, gemm: bytes, tmp_path: Path
) -> None:
    root = tmp_path / "models"
    assert run(["repository", path, "--triton", str(root), "--max-batch", "16", "--max-delay", "2"]) == 0
    assert sorted(str(p.relative_to(root)) for p in root.rglob("*")) == [
        "flowers", "flowers/1", "flowers/1/model.onnx", "flowers/config.pbtxt",
    ]  # fmt: skip
    config = read_config(root / "flowers")
    assert (config.max_batch, config.max_delay) == (16, 0.002)
    request = {"inputs": [{"name": "x", "shape": [6, 4], "datatype": "FP32", "data": X.ravel().tolist()}]}
    app = build_app(Settings(paths=(str(root),), threads=1))
    answer = app.handle("POST", "/v2/models/flowers/infer", {}, orjson.dumps(request))
    y = np.reshape(orjson.loads(answer.content)["outputs"][0]["data"], (6, 3))
    assert np.allclose(y, seqc_runtime.load(gemm).predict(X), atol=1e-6)


def test_the_configuration_says_what_triton_must_know(gemm: bytes) -> None:
    text, about = config_text("m", seqc_runtime.load(gemm), TritonOptions(max_batch=8, instances=2, threads=3))
    assert text == (
        'name: "m"\n'
        'backend: "onnxruntime"\n'
        'platform: "onnxruntime_onnx"\n'
        "max_batch_size: 8\n"
        'input [ { name: "x", data_type: TYPE_FP32, dims: [ 4 ] } ]\n'
        'output [ { name: "y", data_type: TYPE_FP32, dims: [ 3 ] } ]\n'
        "instance_group [ { count: 2, kind: KIND_CPU } ]\n"
        "dynamic_batching { max_queue_delay_microseconds: 0 }\n"
        'parameters { key: "intra_op_thread_count", value: { string_value: "3" } }\n'
    )
    assert about == "up to 8 rows run together"


@pytest.mark.slow
def test_tritons_own_messages_read_what_every_option_writes(
    gemm: bytes, two_inputs: bytes, identity: Build, relu: Build, tmp_path: Path
) -> None:
    """model_config.proto as Triton's client has it: what it does not know is an error there."""
    python = environment("triton", "tritonclient[http,grpc]==2.73.0")
    everything = ["--instances", "3", "--max-batch", "9", "--max-delay", "1.5", "--threads", "2"]
    wanted = {
        "flowers": (gemm, [], 64),
        "all": (gemm, everything, 9),
        "gpu": (gemm, ["--device", "cuda"], 64),
        "python": (two_inputs, ["--triton-backend", "python", *everything], 9),
        "alone": (gemm, ["--max-batch", "1"], 0),
        "fixed": (relu([3, 2], [3, 2]), everything, 0),
        **{f"type-{dtype}": (identity(dtype, ("n", "t", 2)), [], None) for dtype in TYPES},
    }
    for name, (model, options, _) in wanted.items():
        (tmp_path / f"{name}.onnx").write_bytes(model)
        assert run(["repository", str(tmp_path / f"{name}.onnx"), "--triton", str(tmp_path / "models"), *options]) == 0
    command = [python, Path(__file__).parent / "runtime_kit" / "triton_config.py"]
    files = [tmp_path / "models" / name / "config.pbtxt" for name in wanted]
    done = subprocess.run([*command, *files], env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    configs = [json.loads(line) for line in done.stdout.splitlines()]
    for (name, (model, options, max_batch)), config in zip(wanted.items(), configs, strict=True):
        loaded = seqc_runtime.load(model)
        assert config["name"] == name
        assert config["backend"] == ("python" if "python" in options else "onnxruntime")
        if max_batch is not None:
            assert config.get("max_batch_size", 0) == max_batch, name
        for role, infos in (("input", loaded.inputs), ("output", loaded.outputs)):
            assert [tensor["name"] for tensor in config[role]] == [info.name for info in infos]
            whole = [[int(size) for size in tensor["dims"]] for tensor in config[role]]
            shapes = [[size if isinstance(size, int) else -1 for size in info.shape] for info in infos]
            assert [[-1, *dims] if config.get("max_batch_size") else dims for dims in whole] == shapes, name
        if name.startswith("type-"):
            assert config["input"][0]["data_type"] == f"TYPE_{TYPES[int(name[5:])]}"
        (group,) = config["instance_group"]
        assert group["count"] == (3 if options[-8:] == everything else 1)
        assert group["kind"] == ("KIND_GPU" if "cuda" in options else "KIND_CPU")
        if max_batch == 9:
            assert config["dynamic_batching"]["max_queue_delay_microseconds"] == "1500"
            assert config["parameters"]["intra_op_thread_count"]["string_value"] == "2"


def test_requests_run_together_only_where_samples_are_independent(make: Build, relu: Build, identity: Build) -> None:
    mixing = make(
        [helper.make_node("Softmax", ["x"], ["y"], axis=0)],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
    )
    for model, dims in (
        (mixing, "dims: [ -1, 2 ]"),
        (relu([3, 2], [3, 2]), "dims: [ 3, 2 ]"),
        (identity(TensorProto.FLOAT), "dims: [ -1 ]"),
    ):
        text, about = config_text("m", seqc_runtime.load(model), TritonOptions())
        assert "max_batch_size: 0\n" in text
        assert dims in text
        assert "dynamic_batching" not in text
        assert about.startswith("requests run alone: ")


def test_a_tensor_without_a_shape_is_refused(identity: Build) -> None:
    with pytest.raises(seqc_runtime.RuntimeModelError, match="Triton needs the number of axes"):
        config_text("m", seqc_runtime.load(identity(TensorProto.FLOAT, ())), TritonOptions())


def test_versions_and_configurations_that_are_there_stay(
    path: str, relu: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "models"
    arguments = ["repository", path, "--triton", str(root)]
    assert run(arguments) == 0
    (root / "flowers" / "config.pbtxt").write_text("# mine\n")
    first = (root / "flowers" / "1" / "model.onnx").read_bytes()
    Path(path).write_bytes(relu(["n", 4], ["n", 4]))
    capsys.readouterr()
    assert run(arguments) == 2
    assert "--replace" in said(capsys)
    assert (root / "flowers" / "1" / "model.onnx").read_bytes() == first
    assert run([*arguments, "--version", "2"]) == 0
    assert "was there and stays as it is" in capsys.readouterr().err
    assert (root / "flowers" / "config.pbtxt").read_text() == "# mine\n"
    assert run([*arguments, "--replace"]) == 0
    assert (root / "flowers" / "1" / "model.onnx").read_bytes() != first
    assert "dims: [ 4 ]" in (root / "flowers" / "config.pbtxt").read_text()
    assert sorted(os.listdir(root / "flowers")) == ["1", "2", "config.pbtxt"]


def test_weights_beside_a_model_go_along_and_folders_keep_their_versions(gemm: bytes, tmp_path: Path) -> None:
    source = tmp_path / "source" / "flowers"
    for version in ("1", "7"):
        (source / version / "weights").mkdir(parents=True)
        model = onnx.load_from_string(gemm)
        place = f"weights/{version}.bin"
        onnx.save_model(
            model, source / version / "model.onnx", save_as_external_data=True, location=place, size_threshold=0
        )
    (source / "config.pbtxt").write_text("version_policy { all { } }")
    root = tmp_path / "models"
    assert run(["repository", str(source.parent), "--triton", str(root), "--triton-backend", "python"]) == 0
    for version in ("1", "7"):
        written = root / "flowers" / version
        assert np.allclose(
            seqc_runtime.load(written / "model.onnx").predict(X), seqc_runtime.load(gemm).predict(X), atol=1e-6
        )
        assert sorted(os.listdir(written)) == ["model.onnx", "model.py", "weights"]
    assert 'backend: "python"' in (root / "flowers" / "config.pbtxt").read_text()


def test_what_cannot_be_written_is_said_in_a_line(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = str(tmp_path / "models")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    for arguments, message in (
        ([path], "say what to write"),
        (["--triton", root], "needs the path of an .onnx file"),
        ([str(tmp_path / "none.onnx"), "--triton", root], "there is no file or folder"),
        ([str(tmp_path / "bad.onnx"), "--triton", root], "is not an ONNX model"),
        ([str(tmp_path), "--triton", root, "--name", "a"], "which has both"),
        ([path, "--triton", root, "--name", "../up"], "is no name for a model"),
        ([path, "--kserve", "-"], "needs --storage-uri"),
        ([path, "--kserve", "-", "--name", "Big", "--image", "i"], "a name as Kubernetes has them"),
        ([path, "--kserve", str(tmp_path / "no" / "x.yaml"), "--image", "i"], "there is no folder"),
    ):
        assert run(["repository", *arguments]) == 2
        assert message in said(capsys), arguments
    assert not Path(root).exists()


KSERVE: dict[str, list[str]] = {
    "storage": ["--storage-uri", "s3://bucket/flowers.onnx"],
    "runtime": ["--storage-uri", "s3://bucket/flowers.onnx", "--image", "registry/models:1", "--namespace", "prod"],
    "runtime of a folder": ["--storage-uri", "pvc://claim/models", "--image", "registry/models@sha256:0123"],
    "container": ["--image", "registry/models:1", "--name", "a-name"],
    "long": ["--image", "i", "--storage-uri", "https://host/m.onnx?key=%2F", "--name", "a" + "-b" * 31],
}


@pytest.fixture(params=KSERVE)
def manifests(request: pytest.FixtureRequest, path: str, capsys: pytest.CaptureFixture[str]) -> list[Any]:
    """What the command writes, read by somebody else's reader of YAML."""
    yaml = pytest.importorskip("yaml", reason="an independent reader of YAML")
    assert run(["repository", path, "--kserve", "-", *KSERVE[request.param]]) == 0
    return list(yaml.safe_load_all(capsys.readouterr().out))


def test_manifests_fit_the_schemas_of_kserves_definitions(manifests: list[Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="an independent checker of schemas")
    for document in manifests:
        jsonschema.Draft202012Validator(SCHEMAS[document["kind"]]).validate(document)
        assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", document["metadata"]["name"])
        broken = json.loads(json.dumps(document).replace('"image": ', '"imaje": ').replace('"storageUri"', '"uri"'))
        assert not jsonschema.Draft202012Validator(SCHEMAS[document["kind"]]).is_valid(broken)


def test_manifests_are_such_that_knative_takes_them(manifests: list[Any]) -> None:
    def names(value: Any) -> set[str]:
        if isinstance(value, dict):
            return set(value) | {name for inner in value.values() for name in names(inner)}
        return {name for inner in value for name in names(inner)} if isinstance(value, list) else set()

    assert not names(manifests) & set(NOT_ON_KNATIVE)


def test_containers_are_called_and_probed_as_kserve_needs_and_drain_in_the_time_they_are_given(
    manifests: list[Any],
) -> None:
    assert manifests[-1]["kind"] == "InferenceService"
    if len(manifests) == 2:
        assert manifests[1]["spec"]["predictor"]["model"]["runtime"] == manifests[0]["metadata"]["name"]
        assert manifests[1]["metadata"].get("namespace") == manifests[0]["metadata"].get("namespace")
    for document in manifests:
        for container in document["spec"].get(
            "containers", document["spec"].get("predictor", {}).get("containers", [])
        ):
            assert container["name"] == "kserve-container"
            (port,) = container["ports"]
            assert container["args"][container["args"].index("--port") + 1] == str(port["containerPort"])
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                assert container[probe]["httpGet"]["port"] == port["containerPort"]
            # A pod has 30 seconds from SIGTERM to SIGKILL unless something says otherwise.
            assert float(container["args"][container["args"].index("--drain-timeout") + 1]) < 30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--storage-uri", "flowers.onnx"], "needs where the model lies as KServe says it, such as s3://"),
        (["--storage-uri", "s3://"], "needs where the model lies as KServe says it, such as s3://"),
        (["--storage-uri", "pvc://claim/flowers.onnx", "--image", "i"], "KServe mounts a folder of a volume"),
        (["--image", ""], "--image needs the name of an image"),
        (["--image", "two words"], "--image needs the name of an image"),
    ],
)
def test_manifests_that_kserve_could_not_use_are_refused(
    path: str, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(["repository", path, "--kserve", "-", *arguments]) == 2
    assert message in said(capsys)


@pytest.mark.parametrize(
    ("storage_uri", "start"),
    [
        ("s3://bucket/flowers.onnx", ["/mnt/models/flowers.onnx", "--name", "{{.Name}}"]),
        ("https://host/f.onnx?key=a/b", ["/mnt/models/f.onnx", "--name", "{{.Name}}"]),
        ("pvc://claim/models", ["/mnt/models", "--name", "{{.Name}}"]),
    ],
)
def test_the_arguments_of_the_container_are_the_commands(storage_uri: str, start: list[str]) -> None:
    from seqc_runtime.cli.commands import app

    (runtime, _) = resources("flowers", storage_uri, "registry/models:1")
    arguments = runtime["spec"]["containers"][0]["args"]
    assert arguments[: len(start) + 1] == [*start, "--host"]
    serve = app.commands["serve"]
    # As KServe's templates leave them.
    filled = [argument.replace("{{.Name}}", "flowers") for argument in arguments]
    assert serve.make_context("serve", filled).params["port"] == 8080


def test_yaml_says_what_was_meant() -> None:
    yaml = pytest.importorskip("yaml", reason="an independent reader of YAML")
    made = resources("flowers", "s3://bucket/flowers.onnx", "registry/models:1", "prod")
    assert list(yaml.safe_load_all(to_yaml(made))) == made
    odd = [{"a": {"b": ["true", "no", "1", 1, True, "a: b", "ü", "{{.Name}}", ""], "c": [{"d": [{"e": "-"}]}]}}]
    assert list(yaml.safe_load_all(to_yaml(odd))) == odd


def test_resources_are_written_to_a_file_or_shown(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["repository", path, "--storage-uri", "s3://bucket/flowers.onnx", "--kserve"]
    assert run([*arguments, "-"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(
        "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata:\n  name: flowers\n"
    )
    assert run([*arguments, str(tmp_path / "out.yaml")]) == 0
    assert (tmp_path / "out.yaml").read_text() == shown
