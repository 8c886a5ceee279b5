"""Models from strangers: what a file may not be is refused before anything loads it, and says why."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from runtime_kit.gate_models import MATMUL, WEIGHT, external, model_of, value

import seqc_runtime
from seqc_runtime import RuntimeArgumentError, RuntimeModelError, RuntimeModelNotFoundError
from seqc_runtime.gate import Limits, admit
from seqc_runtime.gate.copy import PrivateCopy
from seqc_runtime.gate.limits import DEFAULT

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no Landlock")
X = np.ones((3, 4), np.float32)


def plain() -> onnx.ModelProto:
    return model_of([MATMUL], [numpy_helper.from_array(WEIGHT, "w")])


def refused(model: onnx.ModelProto | bytes | Path, message: str, limits: Limits = DEFAULT) -> None:
    """By the scan, soon, and without a word of the model reaching a terminal."""
    data = model.SerializeToString() if isinstance(model, onnx.ModelProto) else model
    with pytest.raises(RuntimeModelError, match=message) as caught:
        admit(data, limits)
    assert "\x1b" not in str(caught.value)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[TensorProto], Path]:
    """Save a model whose weight is external; gives its path."""
    folder = tmp_path / "model"
    folder.mkdir()

    def save(tensor: TensorProto) -> Path:
        (folder / "m.onnx").write_bytes(model_of([MATMUL], [tensor]).SerializeToString())
        return folder / "m.onnx"

    return save


# Let in


@pytest.mark.slow
@linux
def test_a_model_that_is_let_in_computes_the_same(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(plain().SerializeToString())
    for given in (tmp_path / "m.onnx", plain().SerializeToString()):
        model = seqc_runtime.load(given, device="cpu", untrusted=True)
        np.testing.assert_array_equal(model.predict(X), X @ WEIGHT)
        assert model.admission is not None
        assert set(model.admission.protection) >= {"rlimits", "no_new_privs", "landlock"}
    assert seqc_runtime.load(tmp_path / "m.onnx", device="cpu").admission is None


@pytest.mark.slow
@linux
def test_what_is_loaded_is_a_private_copy_that_goes_with_the_model(saved: Callable[[TensorProto], Path]) -> None:
    path = saved(external("w.bin", offset=4, length=32))
    path.with_name("w.bin").write_bytes(b"1234" + WEIGHT.tobytes())
    model = seqc_runtime.load(path, device="cpu", untrusted=True)
    assert model.admission is not None
    assert model.admission.held is not None
    held = model.admission.held.path
    assert held.parent != path.parent
    assert stat.S_IMODE(held.stat().st_mode) == 0o700
    assert sorted(p.name for p in held.iterdir()) == sorted(model.admission.digests) == ["m.onnx", "w.bin"]
    assert {stat.S_IMODE(p.stat().st_mode) for p in held.iterdir()} == {0o400}
    path.write_bytes(b"something else")
    path.with_name("w.bin").write_bytes(bytes(36))
    np.testing.assert_array_equal(model.predict(X), X @ WEIGHT)
    model.close()
    del model
    assert not held.exists()


@pytest.mark.slow
@linux
def test_a_forked_child_neither_loses_nor_removes_the_copy(
    tmp_path: Path, run_python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (tmp_path / "m.onnx").write_bytes(plain().SerializeToString())
    done = run_python(
        "import os, sys, numpy as np, seqc_runtime\n"
        "model = seqc_runtime.load('m.onnx', device='cpu', untrusted=True)\n"
        "x = np.ones((1, 4), np.float32)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    model.predict(x); sys.exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "assert model.admission.held.path.exists()\n"
        "print(model.predict(x), model.admission.held.path)\n"
    )
    assert done.returncode == 0, done.stderr
    assert not os.path.exists(done.stdout.split()[-1])


@pytest.mark.skipif(sys.platform == "win32", reason="directories have no locks there")
def test_the_copy_of_a_process_that_was_killed_goes_with_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    held = PrivateCopy(DEFAULT)
    done = run_python(
        "import os, signal\nfrom seqc_runtime.gate.copy import PrivateCopy\nfrom seqc_runtime.gate import DEFAULT\n"
        "copy = PrivateCopy(DEFAULT)\ncopy.write('m.onnx', iter([b'weights']))\nprint(copy.path, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    left = Path(done.stdout.strip())
    assert left.parent == tmp_path
    assert (left / "m.onnx").exists()
    (tmp_path / "seqc-model-link").symlink_to(tmp_path)
    new = PrivateCopy(DEFAULT)
    assert not left.exists()
    assert held.path.exists()
    assert new.path.exists()
    held.close()
    new.close()
    assert [path.name for path in tmp_path.iterdir()] == ["seqc-model-link"]


@pytest.mark.slow
def test_a_link_is_followed_only_where_the_path_is_the_callers_own(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(plain().SerializeToString())
    (tmp_path / "soft.onnx").symlink_to("m.onnx")
    os.link(tmp_path / "m.onnx", tmp_path / "hard.onnx")
    refused(tmp_path / "soft.onnx", "the file is one, which is a link", Limits(links=False))
    refused(tmp_path / "hard.onnx", "the file is one, which has 2 names", Limits(links=False))
    admission = admit(tmp_path / "soft.onnx", Limits(require=frozenset())).admission
    assert admission is not None
    assert admission.held is not None
    admission.held.close()


@pytest.mark.slow
@linux
def test_a_model_that_needs_larger_inputs_than_one_is_let_in() -> None:
    kernel = numpy_helper.from_array(np.ones((1, 1, 5), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "g",
        [value("x", ["batch", 1, "time"])],
        [value("y", ["batch", 1, "steps"])],
        [kernel],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    loaded = seqc_runtime.load(model.SerializeToString(), device="cpu", untrusted=True)
    np.testing.assert_array_equal(loaded.predict(np.ones((1, 1, 6), np.float32)), [[[5, 5]]])


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(RuntimeArgumentError, match=r"limits needs a seqc_runtime.gate.Limits; got str"):
        seqc_runtime.load(plain().SerializeToString(), untrusted="yes")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a path or the bytes of an ONNX model are needed; got int"):
        admit(7)  # type: ignore[arg-type]
    with pytest.raises(RuntimeModelNotFoundError, match="there is no model file at"):
        admit(tmp_path / "none.onnx")
    refused(b"", "the model given as 0 bytes is empty")
