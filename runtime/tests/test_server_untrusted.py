"""Serving what nobody vouches for: no way into the server goes around the gate."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("orjson", reason="the server speaks JSON with orjson")

import orjson
from onnx import TensorProto, helper
from runtime_kit.gate_models import model_of
from runtime_kit.server_process import serving
from runtime_kit.serving_models import mlp

from seqc_runtime import RuntimeModelError
from seqc_runtime.server.app import App
from seqc_runtime.server.build import build_app
from seqc_runtime.server.settings import Settings
from seqc_runtime.server.testing import TestClient

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing can be tried")
EVIL = model_of([helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft")]).SerializeToString()
X = {"inputs": [{"name": "x", "shape": [1, 8], "datatype": "FP32", "data": [0.5] * 8}]}


def save(root: Path, name: str, version: int, data: bytes) -> Path:
    file = root / name / str(version) / "model.onnx"
    file.parent.mkdir(parents=True)
    file.write_bytes(data)
    return file


def served(root: Path, **settings: Any) -> App:
    return build_app(Settings(paths=(str(root),), untrusted=True, device="cpu", **settings))


def post(app: App, path: str, content: object) -> tuple[int, dict[str, Any]]:
    answer = TestClient(app).post(path, json=content)
    return answer.status, orjson.loads(b"".join(answer.body))


@pytest.mark.slow
def test_what_is_served_is_the_copy_that_was_looked_at(tmp_path: Path) -> None:
    file = save(tmp_path, "m", 1, mlp(8, 3))
    app = served(tmp_path)
    model = app.repository.get("m").model
    assert model.admission is not None
    before = model.predict(np.full((1, 8), 0.5, "f"))
    file.write_bytes(b"something else")
    status, answer = post(app, "/v2/models/m/infer", X)
    assert status == 200
    np.testing.assert_array_equal(np.float32(answer["outputs"][0]["data"]), before[0])


@pytest.mark.slow
def test_a_new_version_that_is_not_let_in_leaves_the_old_one(tmp_path: Path) -> None:
    save(tmp_path, "m", 1, mlp(8, 3))
    app = served(tmp_path)
    save(tmp_path, "m", 2, EVIL)
    app.repository.poll()
    app.repository.poll()
    assert app.repository.versions("m") == [1]
    (reason,) = [row["reason"] for row in app.repository.index() if row["version"] == "2"]
    assert "is not let in: it has operator 'EPContext'" in reason
    assert post(app, "/v2/models/m/infer", X)[0] == 200


@pytest.mark.slow
def test_loading_over_the_network_goes_through_the_gate_and_takes_no_model_from_the_request(tmp_path: Path) -> None:
    save(tmp_path, "m", 1, EVIL)
    save(tmp_path, "good", 1, mlp(8, 3))
    app = served(tmp_path, model_control="explicit")
    status, answer = post(app, "/v2/repository/models/m/load", {})
    assert status == 400
    assert "is not let in" in answer["error"]
    for parameters in ({"file:1/model.onnx": "AAAA"}, {"config": "{}"}):
        status, answer = post(app, "/v2/repository/models/good/load", {"parameters": parameters})
        assert status == 400
    assert post(app, "/v2/repository/models/good/load", {})[0] == 200
    assert app.repository.get("good").model.admission is not None


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_a_link_in_a_folder_leads_to_nobody_elses_model(tmp_path: Path, kind: str) -> None:
    root, secret = tmp_path / "root", tmp_path / "secret.onnx"
    secret.write_bytes(mlp(8, 3))
    file = save(root, "m", 1, b"")
    file.unlink()
    if kind == "soft":
        file.symlink_to(secret)
    else:
        os.link(secret, file)
    with pytest.raises(RuntimeModelError, match="is not let in: the file is one, which (is a link|has 2 names)"):
        served(root)
    # A path that whoever runs the server gave himself may be a link.
    link = tmp_path / "mine.onnx"
    link.symlink_to(secret)
    assert served(link).repository.names() == ["mine"]


@pytest.mark.slow
def test_workers_that_end_leave_no_copies(tmp_path: Path) -> None:
    save(tmp_path / "repository", "m", 1, mlp(8, 3))
    (tmp_path / "temporary").mkdir()
    arguments = [tmp_path / "repository", "--untrusted", "--workers", 2]
    with serving(*arguments, TMPDIR=str(tmp_path / "temporary")) as server:
        copies = [path.name for path in (tmp_path / "temporary").iterdir() if path.name.startswith("seqc-model-")]
        assert len(copies) == 2
        assert server.stop() == 0
    left = [path.name for path in (tmp_path / "temporary").iterdir() if path.name.startswith("seqc-model-")]
    assert left == []


def words(keys: list[str], values: list[float]) -> bytes:
    """A model that gives a number for each of some words, and -1 for others."""
    look_up = helper.make_node(
        "LabelEncoder",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        keys_strings=keys,
        values_floats=values,
        default_float=-1.0,
    )
    graph = helper.make_graph(
        [look_up],
        "words",
        [helper.make_tensor_value_info("x", TensorProto.STRING, ["batch", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 2)]
    result: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return result


@pytest.mark.slow
def test_a_model_that_takes_strings_is_let_in_and_answers(tmp_path: Path) -> None:
    save(tmp_path, "m", 1, words(["a", "\u00e9"], [1.0, 2.0]))
    app = served(tmp_path)
    tensor = {"name": "x", "shape": [2, 2], "datatype": "BYTES", "data": ["a", "\u00e9", "", "b"]}
    status, answer = post(app, "/v2/models/m/infer", {"inputs": [tensor]})
    assert status == 200
    assert answer["outputs"][0]["data"] == [1.0, 2.0, -1.0, -1.0]
