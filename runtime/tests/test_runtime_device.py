from __future__ import annotations

import importlib
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import seqc_runtime
from seqc_runtime import RuntimeDependencyError, RuntimeDeviceError, RuntimeModelError, providers
from seqc_runtime.placement import left_on_cpu, read_placement

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def cuda_missing() -> str | None:
    ort = providers.import_onnxruntime()
    if CUDA not in ort.get_available_providers():
        return "this onnxruntime is built without CUDA"
    return providers._driver_problem()


def part(provider: str, op: str, domain: str = "") -> SimpleNamespace:
    """What onnxruntime says of one node."""
    node = SimpleNamespace(name="", op_type=op, domain=domain)
    return SimpleNamespace(ep_name=provider, get_nodes=lambda: [node])


gpu = [pytest.mark.gpu, pytest.mark.skipif(cuda_missing() is not None, reason=str(cuda_missing()))]


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Let providers see another onnxruntime: the real one, except that it offers CUDA and opens `opened` sessions."""

    def set_up(
        opened: tuple[str, ...] = (CPU,),
        available: tuple[str, ...] = (CUDA, CPU),
        error: Exception | None = None,
        driver: str | None = None,
        installed: tuple[str, ...] = ("onnxruntime-gpu",),
        left: tuple[str, ...] = (),
    ) -> list[Any]:
        real = providers.import_onnxruntime()
        asked = []

        def open_session(target: Any, options: Any, providers: Any, enable_fallback: int) -> Any:
            asked.append(providers)
            assert enable_fallback == 0
            wants_cuda = providers[0][0] == CUDA
            if wants_cuda and error is not None:
                raise error
            session = real.InferenceSession(target, options, providers=[CPU])
            session.get_providers = lambda: list(opened) if wants_cuda else [CPU]
            if wants_cuda:
                session.get_provider_graph_assignment_info = lambda: [
                    part(CUDA, "Conv"),
                    *(part(CPU, op) for op in left),
                ]
            return session

        fake = SimpleNamespace(
            __version__="1.99.0",
            __file__=real.__file__,
            SessionOptions=real.SessionOptions,
            InferenceSession=open_session,
            get_available_providers=lambda: list(available),
            RunOptions=real.RunOptions,
        )
        monkeypatch.setattr(providers, "import_onnxruntime", lambda: fake)
        monkeypatch.setattr(providers, "_driver_problem", lambda: driver)
        monkeypatch.setattr(providers, "_installed", lambda name: name in installed)
        return asked

    return set_up


def test_auto_uses_cuda_when_the_session_does(gemm: bytes, pretend: Callable[..., list[Any]]) -> None:
    asked = pretend(opened=(CUDA, CPU))
    assert seqc_runtime.load(gemm).device == "cuda"
    assert [name for name, _ in asked[0]] == [CUDA, CPU]
    assert asked[0][0][1]["use_tf32"] == "0"


def test_cuda_is_never_a_silent_cpu(gemm: bytes, pretend: Callable[..., list[Any]]) -> None:
    pretend(opened=(CPU,))
    with pytest.raises(
        RuntimeDeviceError, match=r'device="cuda" cannot be used: onnxruntime 1\.99\.0 does not load its CUDA'
    ):
        seqc_runtime.load(gemm, device="cuda")


def test_auto_says_why_a_gpu_build_stays_on_the_cpu(
    gemm: bytes, pretend: Callable[..., list[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    pretend(opened=(CPU,))
    with caplog.at_level(logging.WARNING, "seqc_runtime"):
        model = seqc_runtime.load(gemm)
    assert model.device == "cpu"
    assert 'using the CPU: device="cuda" cannot be used: onnxruntime 1.99.0 does not load its CUDA' in caplog.text
    assert model.predict(np.ones((2, 4))).shape == (2, 3)


@pytest.mark.parametrize("text", ["CUDA failure 2: out of memory", "BatchNormalization training mode is not supported"])
def test_auto_takes_the_cpu_when_cuda_cannot_open_the_model(
    gemm: bytes, pretend: Callable[..., list[Any]], caplog: pytest.LogCaptureFixture, text: str
) -> None:
    pretend(error=RuntimeError(text))
    assert seqc_runtime.load(gemm).device == "cpu"
    assert text in caplog.text


def test_cuda_that_fails_to_open_is_an_error_of_the_device_or_of_the_model(
    gemm: bytes, pretend: Callable[..., list[Any]]
) -> None:
    pretend(error=RuntimeError("CUDA failure 2: out of memory"))
    with pytest.raises(RuntimeDeviceError, match=r"onnxruntime 1\.99\.0 says: CUDA failure 2: out of memory"):
        seqc_runtime.load(gemm, device="cuda")
    pretend(error=RuntimeError("no kernel for Foo"))
    with pytest.raises(RuntimeModelError, match=r"cannot load the model given as .* bytes: no kernel for Foo"):
        seqc_runtime.load(gemm, device="cuda")


def test_a_missing_driver_is_named(gemm: bytes, pretend: Callable[..., list[Any]]) -> None:
    pretend(driver="there is no NVIDIA driver on this machine")
    with pytest.raises(RuntimeDeviceError, match="there is no NVIDIA driver on this machine"):
        seqc_runtime.load(gemm, device="cuda")


def test_the_cpu_wheel_is_named(gemm: bytes, pretend: Callable[..., list[Any]]) -> None:
    pretend(available=(CPU,), installed=("onnxruntime",))
    message = (
        "this onnxruntime is built without CUDA; the GPU build is another wheel: pip uninstall -y onnxruntime && pip"
    )
    with pytest.raises(RuntimeDeviceError, match=re.escape(message)):
        seqc_runtime.load(gemm, device="cuda")
    assert seqc_runtime.load(gemm).device == "cpu"


def test_clashing_wheels_are_named(gemm: bytes, pretend: Callable[..., list[Any]]) -> None:
    pretend(available=(CPU,), installed=("onnxruntime", "onnxruntime-gpu"))
    message = (
        "onnxruntime and onnxruntime-gpu are both installed and overwrite each other, and one without CUDA won: pip"
    )
    with pytest.raises(RuntimeDeviceError, match=re.escape(message)):
        seqc_runtime.load(gemm, device="cuda")


def test_two_wheels_that_lost_cuda_are_named_by_auto_too(
    gemm: bytes, pretend: Callable[..., list[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    pretend(available=(CPU,), installed=("onnxruntime", "onnxruntime-gpu"))
    with caplog.at_level(logging.WARNING, "seqc_runtime"):
        assert seqc_runtime.load(gemm).device == "cpu"
    assert "the wheels onnxruntime and onnxruntime-gpu are both installed and overwrite each other" in caplog.text


def test_cuda_that_leaves_work_to_the_cpu_is_refused_by_the_operators(
    gemm: bytes, pretend: Callable[..., list[Any]]
) -> None:
    pretend(opened=(CUDA, CPU), left=("Shape", "Resize", "Resize", "Gather", "GridSample"))
    message = "CUDA has no kernel for GridSample, Resize of the model given as"
    with pytest.raises(RuntimeDeviceError, match=re.escape(message)):
        seqc_runtime.load(gemm, device="cuda")


def test_auto_takes_cuda_for_the_rest_and_says_what_stays(
    gemm: bytes, pretend: Callable[..., list[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    pretend(opened=(CUDA, CPU), left=("Resize",))
    with caplog.at_level(logging.WARNING, "seqc_runtime"):
        model = seqc_runtime.load(gemm)
    assert model.device == "cuda"
    assert [(node.operator, node.provider) for node in model.placement] == [("Conv", CUDA), ("Resize", CPU)]
    assert "CUDA has no kernel for Resize" in caplog.text


def test_the_computation_of_shapes_may_stay_on_the_cpu(
    gemm: bytes, pretend: Callable[..., list[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    pretend(opened=(CUDA, CPU), left=("Shape", "Gather", "Concat", "Cast", "Mul"))
    assert seqc_runtime.load(gemm, device="cuda").device == "cuda"
    assert not caplog.text


def test_an_operator_of_another_domain_is_work_whatever_its_name() -> None:
    session = SimpleNamespace(get_provider_graph_assignment_info=lambda: [part(CPU, "Shape", "com.example")])
    assert left_on_cpu(read_placement(session)) == ["com.example:Shape"]


def test_a_release_that_does_not_tell_has_no_placement() -> None:
    assert read_placement(SimpleNamespace()) == ()


def test_the_placement_of_a_cpu_model_is_published(gemm: bytes) -> None:
    placement = seqc_runtime.load(gemm, device="cpu").placement
    if not hasattr(providers.import_onnxruntime().InferenceSession, "get_provider_graph_assignment_info"):
        pytest.skip("this release of onnxruntime does not tell")
    assert {node.operator for node in placement} & {"Gemm", "FusedGemm", "com.microsoft:FusedGemm"}
    assert {node.provider for node in placement} == {CPU}


def test_tf32_is_on_only_when_asked_for(gemm: bytes, pretend: Callable[..., list[Any]]) -> None:
    asked = pretend(opened=(CUDA, CPU))
    seqc_runtime.load(gemm, tf32=True)
    seqc_runtime.load(gemm, tf32=False)
    assert [options[0][1]["use_tf32"] for options in asked] == ["1", "0"]


def test_cuda_libraries_are_loaded_before_the_first_session(
    gemm: bytes, pretend: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = pretend(opened=(CUDA, CPU))
    loaded = []
    fake = providers.import_onnxruntime()
    fake.preload_dlls = lambda: loaded.append(len(asked))
    seqc_runtime.load(gemm, device="cuda")
    assert loaded == [0]


def test_cpu_never_asks_for_cuda(gemm: bytes, pretend: Callable[..., list[Any]]) -> None:
    asked = pretend(opened=(CUDA, CPU))
    assert seqc_runtime.load(gemm, device="cpu").device == "cpu"
    assert [[name for name, _ in providers] for providers in asked] == [[CPU]]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_cuda_model_in_a_forked_child_says_what_to_do(gemm: bytes, pretend: Callable[..., list[Any]]) -> None:
    pretend(opened=(CUDA, CPU))
    model = seqc_runtime.load(gemm)
    model._holder.forget()
    with pytest.raises(RuntimeDeviceError, match="CUDA does not survive a fork: load it in the child"):
        model.predict(np.ones((1, 4)))


def test_a_file_replaced_while_it_is_loaded_is_refused(
    gemm: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(gemm)
    ort = providers.import_onnxruntime()
    options = providers._options

    def replace_then_options(*arguments: Any) -> Any:
        path.write_bytes(gemm + b"\x1a\x01z")
        return options(*arguments)

    monkeypatch.setattr(providers, "_options", replace_then_options)
    with pytest.raises(RuntimeModelError, match="was changed or removed since it was checked"):
        seqc_runtime.load(path, device="cpu")
    assert ort is providers.import_onnxruntime()


def import_fails(monkeypatch: pytest.MonkeyPatch, outcome: object) -> None:
    def import_module(name: str) -> object:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(importlib, "import_module", import_module)


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (ModuleNotFoundError("no", name="onnxruntime"), 'not installed: pip install "seqc-runtime[cpu]"'),
        (ModuleNotFoundError("no", name="flatbuffers"), "onnxruntime is installed but misses 'flatbuffers'"),
        (ImportError("libfoo.so"), "onnxruntime is installed but does not import: libfoo.so"),
        (SimpleNamespace(), "onnxruntime is installed but incomplete: pip uninstall -y onnxruntime onnxruntime-gpu"),
    ],
)
def test_a_missing_or_broken_onnxruntime_is_named(
    gemm: bytes, monkeypatch: pytest.MonkeyPatch, outcome: Any, message: str
) -> None:
    import_fails(monkeypatch, outcome)
    with pytest.raises(RuntimeDependencyError, match=re.escape(message)):
        seqc_runtime.load(gemm)
    with pytest.raises(ImportError):
        seqc_runtime.load(gemm)


class TestOnGpu:
    pytestmark = gpu

    def test_auto_is_cuda(self, gemm: bytes) -> None:
        assert seqc_runtime.load(gemm).device == "cuda"

    def test_cuda_agrees_with_the_cpu(self, gemm: bytes, lstm: bytes) -> None:
        random = np.random.default_rng(4)
        for data, shape in ((gemm, (64, 4)), (lstm, (8, 12, 2))):
            x = random.normal(size=shape).astype(np.float32)
            expected = seqc_runtime.load(data, device="cpu").predict(x)
            np.testing.assert_allclose(
                seqc_runtime.load(data, device="cuda").predict(x), expected, rtol=1e-5, atol=1e-5
            )

    def test_tf32_is_off(self, make: Callable[..., bytes]) -> None:
        from onnx import TensorProto, helper

        data = make(
            [helper.make_node("MatMul", ["x", "w"], ["y"])],
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 512])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 512])],
            {"w": np.random.default_rng(5).normal(size=(512, 512)).astype(np.float32)},
        )
        x = np.random.default_rng(6).normal(size=(256, 512)).astype(np.float32)
        expected = seqc_runtime.load(data, device="cpu").predict(x)
        np.testing.assert_allclose(seqc_runtime.load(data, device="cuda").predict(x), expected, atol=2e-4)
