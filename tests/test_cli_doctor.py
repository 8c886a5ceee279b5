"""`seqc doctor`: what it finds, and what it calls a problem."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from typing import Any

import pytest

from kit.cli_models import seqc, seqc_json
from seqc.cli._blas import _measured, kernel_name

pytest.importorskip("onnxruntime", reason="needs onnxruntime")


@pytest.fixture
def _runtime() -> None:
    pytest.importorskip("seqc_runtime", reason="needs seqc-runtime")


def pretend(monkeypatch: pytest.MonkeyPatch, **versions: str | None) -> None:
    """Lets distributions have other versions, or none."""
    honest = importlib.metadata.version
    given = {name.replace("_", "-"): version for name, version in versions.items()}

    def version(name: str) -> str:
        found = given[name] if name in given else honest(name)
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr("importlib.metadata.version", version)


@pytest.mark.usefixtures("_runtime")
def test_a_healthy_installation_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, onnxruntime="1.30.0", onnxruntime_gpu=None)
    text = seqc("doctor").stdout
    assert "\ncpu           works\n" in text
    assert "CPUs in the affinity mask" in text
    assert "(BLAS: " in text
    assert text.endswith("\nAll is well.\n")


@pytest.mark.usefixtures("_runtime")
def test_the_report_as_json_has_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, onnxruntime="1.30.0", onnxruntime_gpu=None)
    report = seqc_json("doctor")
    assert set(report) == {
        "ok", "python", "platform", "packages", "blas", "blas_kernel", "onnxruntime_wheels", "wheels_clash",
        "providers", "threads", "devices",
    }  # fmt: skip
    assert report["ok"] is True
    assert "CPUExecutionProvider" in report["providers"]
    assert report["threads"]["used"] >= 1
    assert report["devices"]["cpu"] == {"works": True, "detail": "works"}
    assert set(report["packages"]) >= {"seqc", "seqc-runtime", "numpy", "onnx", "h5py", "typer"}


def test_two_wheels_of_onnxruntime_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, onnxruntime="1.30.0", onnxruntime_gpu="1.30.0")
    text = seqc("doctor", code=1).stdout
    assert "PROBLEM: onnxruntime and onnxruntime-gpu are installed together and overwrite each other's files." in text
    assert "pip uninstall -y onnxruntime onnxruntime-gpu, then" in text


def test_a_missing_onnxruntime_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, onnxruntime=None, onnxruntime_gpu=None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    text = seqc("doctor", code=1).stdout
    assert "\nonnxruntime   not installed\n" in text
    assert "\ncpu           does not work: " in text
    assert text.endswith("PROBLEM: models do not run on the CPU, see above.\n")


def test_a_missing_runtime_is_told_and_the_cpu_tried_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, onnxruntime="1.30.0", onnxruntime_gpu=None, seqc_runtime=None)
    monkeypatch.setitem(sys.modules, "seqc_runtime", None)
    monkeypatch.setitem(sys.modules, "seqc_runtime.threads", None)
    text = seqc("doctor").stdout
    assert "works, but train, verify and predict need seqc-runtime: pip install" in text
    assert "not known without seqc-runtime" in text


@pytest.mark.usefixtures("_runtime")
def test_a_cuda_device_that_does_not_work_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    import seqc_runtime

    pretend(monkeypatch, onnxruntime="1.30.0", onnxruntime_gpu=None)
    honest = seqc_runtime.load

    def load(model: Any, device: Any) -> Any:
        if device == "cuda":
            raise seqc_runtime.RuntimeDeviceError("there is no driver")
        return honest(model, device=device)

    monkeypatch.setattr(seqc_runtime, "load", load)
    monkeypatch.setattr("seqc.cli.doctor._providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    assert seqc_json("doctor")["devices"]["cuda"] == {"works": False, "detail": "does not work: there is no driver"}


@pytest.mark.usefixtures("_runtime")
def test_a_device_that_computes_wrong_numbers_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    import seqc_runtime

    pretend(monkeypatch, onnxruntime="1.30.0", onnxruntime_gpu=None)
    monkeypatch.setattr(seqc_runtime.Model, "predict", lambda self, x: x)
    text = seqc("doctor", code=1).stdout
    assert "gives wrong numbers: relu([-1.0, 2.0]) = [-1.0, 2.0]" in text


def measuring(monkeypatch: pytest.MonkeyPatch, rates: dict[bool, list[float]]) -> None:
    """Lets processes with a forced kernel, and those without, be as fast as given, in the order of their starts."""

    def measured(environment: dict[str, str]) -> tuple[str, float]:
        kernel = environment.get("OPENBLAS_CORETYPE", "SkylakeX")
        return kernel, rates["OPENBLAS_CORETYPE" in environment].pop(0)

    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.delenv("OPENBLAS_L2_SIZE", raising=False)
    monkeypatch.setattr("seqc.cli._blas._measured", measured)


@pytest.mark.usefixtures("_runtime")
def test_a_slow_kernel_that_the_environment_forces_is_told_with_its_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, onnxruntime="1.30.0", onnxruntime_gpu=None)
    measuring(monkeypatch, {True: [50e9, 80e9], False: [160e9, 90e9]})
    text = seqc("doctor").stdout
    assert "\nblas kernel   Haswell, by OPENBLAS_CORETYPE; without: SkylakeX, 2.00 times as fast\n" in text
    assert "WARNING: with OPENBLAS_CORETYPE set, NumPy takes 2.0 times as long for a product" in text
    assert text.endswith("To train faster: unset OPENBLAS_CORETYPE\n")


@pytest.mark.usefixtures("_runtime")
def test_a_forced_kernel_that_costs_nothing_is_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, onnxruntime="1.30.0", onnxruntime_gpu=None)
    measuring(monkeypatch, {True: [80e9, 80e9], False: [84e9, 79e9]})
    report = seqc_json("doctor")
    assert report["blas_kernel"]["forced_by"] == ["OPENBLAS_CORETYPE"]
    assert report["blas_kernel"]["factor"] == 1.05
    measuring(monkeypatch, {True: [80e9, 80e9], False: [84e9, 79e9]})
    assert seqc("doctor").stdout.endswith("\nAll is well.\n")


@pytest.mark.slow
def test_a_process_measures_with_the_kernel_of_its_environment() -> None:
    kernel, rate = _measured(dict(os.environ))
    assert kernel == kernel_name()
    assert rate > 1e8
