"""seqc.wrappers without scikit-learn or skl2onnx, or with releases that do not go together."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from typing import Any

import pytest

from seqc import wrappers
from seqc.errors import MissingDependencyError
from seqc.wrappers import dependency


@pytest.mark.slow
def test_importing_seqc_and_the_module_loads_no_scikit_learn() -> None:
    code = (
        "import sys, seqc, seqc.wrappers; dir(seqc.wrappers); seqc.wrappers.__all__; "
        "print(*[m for m in ('sklearn', 'skl2onnx', 'scipy', 'onnx') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ}, check=True)
    assert run.stdout.split() == []


@pytest.mark.parametrize("name", ["SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer", "export_pipeline"])
def test_without_scikit_learn_each_name_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.delitem(vars(wrappers), name, raising=False)
    with pytest.raises(MissingDependencyError, match=r'needs scikit-learn. Install it: pip install "seqc\[sklearn\]"'):
        getattr(wrappers, name)


def test_an_old_scikit_learn_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    old: Any = types.ModuleType("sklearn")
    old.__version__ = "1.5.2"
    monkeypatch.setitem(sys.modules, "sklearn", old)
    with pytest.raises(MissingDependencyError, match="needs scikit-learn 1.6 or newer; 1.5.2 is installed"):
        dependency.check_sklearn()
    old.__version__ = "1.10.dev0"
    dependency.check_sklearn()


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(AttributeError, match="Did you mean SKLearnClassifier"):
        wrappers.SKLearnClasifier  # noqa: B018


def _fake_sklearn(monkeypatch: pytest.MonkeyPatch) -> None:
    fake: Any = types.ModuleType("sklearn")
    fake.__version__ = "1.9.1"
    monkeypatch.setitem(sys.modules, "sklearn", fake)


def test_without_skl2onnx_an_export_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_sklearn(monkeypatch)
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(MissingDependencyError, match=r'needs skl2onnx. Install it: pip install "seqc\[skl2onnx\]"'):
        dependency.import_skl2onnx()


@pytest.mark.parametrize(
    "line", ["from onnx.mapping import TENSOR_TYPE_MAP", "import onnx; onnx.helper.split_complex_to"]
)
def test_a_skl2onnx_that_does_not_go_with_onnx_is_named(
    line: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake_sklearn(monkeypatch)
    for name in [m for m in sys.modules if m.partition(".")[0] == "skl2onnx"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "skl2onnx").mkdir()
    (tmp_path / "skl2onnx" / "__init__.py").write_text(line)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        MissingDependencyError, match=r"does not go with onnx [\d.]+\w* and scikit-learn 1.9.1.*pip install -U"
    ):
        dependency.import_skl2onnx()
