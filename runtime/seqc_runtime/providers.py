"""The only importer of onnxruntime: find it, choose the device, open sessions."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import io
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from seqc_runtime.errors import RuntimeDependencyError, RuntimeDeviceError, RuntimeModelError
from seqc_runtime.guards import with_guards
from seqc_runtime.placement import CPU, left_on_cpu, read_placement
from seqc_runtime.source import Source

Device = Literal["cpu", "cuda"]

# The module, which both of its wheels install.
ONNXRUNTIME = "onnxruntime"
_CPU, _CUDA = CPU, "CUDAExecutionProvider"
# Every wheel that writes the folder onnxruntime, so that of two the one installed last is there.
_WHEELS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml", "onnxruntime-migraphx")
_SILENT = 4
_LOG = logging.getLogger("seqc_runtime")


@dataclass(frozen=True)
class SessionConfig:
    """How sessions of a model are opened.

    CPU threads, whether idle ones busy-wait, whether CUDA may use TF32, whether weights are copied into the order in
    which products read them.
    """

    threads: int
    spinning: bool
    tf32: bool = False
    packing: bool = True

    @property
    def cuda_options(self) -> dict[str, str]:
        # TF32 rounds float32 products to 10 bits of mantissa: CUDA and CPU would differ at 1e-3.
        # The default convolution search times every algorithm again for each new batch size.
        return {"use_tf32": "1" if self.tf32 else "0", "cudnn_conv_algo_search": "HEURISTIC"}


def import_onnxruntime() -> Any:
    """The onnxruntime module; RuntimeDependencyError says how to install it, or why it does not import.

    Since 1.29, onnxruntime's Linux and macOS wheels send usage data to Microsoft from a thread started at import, and
    a process forked after that hangs when it exits. So that is turned off unless the user set the variable.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        ort = importlib.import_module(ONNXRUNTIME)
    except ModuleNotFoundError as error:
        if error.name != ONNXRUNTIME:
            raise RuntimeDependencyError(f"onnxruntime is installed but misses {error.name!r}: {error}") from error
        raise RuntimeDependencyError(
            'seqc_runtime needs onnxruntime, which is not installed: pip install "seqc-runtime[cpu]" '
            '(or "seqc-runtime[gpu]" for CUDA)'
        ) from error
    except ImportError as error:
        raise RuntimeDependencyError(f"onnxruntime is installed but does not import: {error}") from error
    if not hasattr(ort, "InferenceSession"):
        raise RuntimeDependencyError(f"onnxruntime is installed but incomplete: {_reinstall_hint()}")
    return ort


def open_session(source: Source, device: Device, config: SessionConfig, strict: bool = True) -> Any:
    """An onnxruntime InferenceSession whose first provider is `device`'s.

    strict: on CUDA, refuse a session that leaves more than the computation of shapes to the CPU; else that is logged.

    Raises RuntimeModelError when onnxruntime refuses the model or the file changed meanwhile, RuntimeDeviceError when
    CUDA cannot be used.
    """
    ort = import_onnxruntime()
    if device == "cuda":
        _require_cuda(ort)
    providers = [(_CUDA, config.cuda_options), (_CPU, {})] if device == "cuda" else [(_CPU, {})]
    try:
        session = _opened(ort, source, config, providers)
    except Exception as error:
        raise _session_error(ort, source, device, error) from error
    # Some releases ignore enable_fallback when opening, and all of them answer a CUDA library that does not
    # load with a CPU session.
    session.disable_fallback()
    source.check_unchanged()
    if device == "cuda":
        if session.get_providers()[0] != _CUDA:
            raise RuntimeDeviceError(f'device="cuda" cannot be used: {_library_problem(ort)}')
        _check_placement(session, source, strict)
    return session


def _opened(ort: Any, source: Source, config: SessionConfig, providers: list[Any]) -> Any:
    """A session of the model with guards; of the file as it is where that fails, so that guards refuse no model."""
    with contextlib.suppress(Exception):
        guarded = with_guards(source, ort.__version__)
        if guarded is not None:
            data, more = guarded
            options = _options(ort, config, {**source.config, **more})
            return ort.InferenceSession(data, options, providers=providers, enable_fallback=0)
    options = _options(ort, config, source.config)
    return ort.InferenceSession(source.target, options, providers=providers, enable_fallback=0)


def choose_device(source: Source, config: SessionConfig) -> tuple[Device, Any]:
    """CUDA when a session really uses it, otherwise CPU; the reason a GPU build stays on the CPU is logged."""
    if _CUDA in import_onnxruntime().get_available_providers():
        try:
            return "cuda", open_session(source, "cuda", config, strict=False)
        except (RuntimeDeviceError, RuntimeModelError) as error:
            _LOG.warning("using the CPU: %s", error)
    elif _installed("onnxruntime-gpu"):
        _LOG.warning("using the CPU: %s", _wheel_problem())
    return "cpu", open_session(source, "cpu", config)


def _check_placement(session: Any, source: Source, strict: bool) -> None:
    left = left_on_cpu(read_placement(session))
    if not left:
        return
    said = f"CUDA has no kernel for {', '.join(left)} of {source.name}, which onnxruntime put on the CPU"
    if strict:
        raise RuntimeDeviceError(f'device="cuda" cannot be used: {said}; device="auto" takes CUDA for the rest')
    _LOG.warning("%s", said)


def _options(ort: Any, config: SessionConfig, more: Mapping[str, str]) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = config.threads
    options.inter_op_num_threads = 1
    # What onnxruntime would print as an error, it also raises.
    options.log_severity_level = _SILENT
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if config.spinning else "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.add_session_config_entry("session.disable_prepacking", "0" if config.packing else "1")
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    for key, value in more.items():
        options.add_session_config_entry(key, value)
    return options


def _session_error(ort: Any, source: Source, device: Device, error: Exception) -> Exception:
    text = str(error).strip()
    if device == "cuda" and any(word in text for word in ("CUDA", "CUDNN", "cudnn", "CUBLAS")):
        return RuntimeDeviceError(f'device="cuda" cannot be used: onnxruntime {ort.__version__} says: {text}')
    hint = ""
    if "opset" in text or "IR version" in text:
        hint = " (a newer onnxruntime may load it, or export it for a lower opset)"
    return RuntimeModelError(f"onnxruntime {ort.__version__} cannot load {source.name}{hint}: {text}")


def _require_cuda(ort: Any) -> None:
    if _CUDA not in ort.get_available_providers():
        raise RuntimeDeviceError(f'device="cuda" cannot be used: {_wheel_problem()}')
    problem = _driver_problem()
    if problem:
        raise RuntimeDeviceError(f'device="cuda" cannot be used: {problem}')
    if hasattr(ort, "preload_dlls"):
        # It prints what it does not find; _library_problem says the same in the error.
        with contextlib.redirect_stdout(io.StringIO()):
            ort.preload_dlls()


def _wheel_problem() -> str:
    present = [name for name in _WHEELS if _installed(name)]
    if len(present) > 1:
        return (
            f"the wheels {' and '.join(present)} are both installed and overwrite each other, "
            f"and one without CUDA won: {_reinstall_hint()}"
        )
    return (
        "this onnxruntime is built without CUDA; the GPU build is another wheel: "
        'pip uninstall -y onnxruntime && pip install "seqc-runtime[gpu]"'
    )


def _reinstall_hint() -> str:
    return (
        "pip uninstall -y onnxruntime onnxruntime-gpu, "
        'then pip install either "seqc-runtime[cpu]" or "seqc-runtime[gpu]"'
    )


def _installed(distribution: str) -> bool:
    from importlib import metadata  # takes longer to import than the rest of this package, and is seldom asked

    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _driver_problem() -> str | None:
    """What keeps the NVIDIA driver from offering a device, asked through its own C API (cuInit, cuDeviceGetCount)."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
    except OSError:
        return f"there is no NVIDIA driver on this machine ({name} does not load)"
    status = driver.cuInit(0)
    if status != 0:
        return f"the NVIDIA driver does not start or sees no device (cuInit returned CUDA error {status})"
    count = ctypes.c_int(0)
    status = driver.cuDeviceGetCount(ctypes.byref(count))
    if status != 0 or count.value == 0:
        return f"the NVIDIA driver sees no device (CUDA error {status}; is CUDA_VISIBLE_DEVICES empty?)"
    return None


def _library_problem(ort: Any) -> str:
    """The loader's own words on why onnxruntime's CUDA library does not load."""
    directory = Path(ort.__file__).parent / "capi"
    prefix, suffix = ("", ".dll") if sys.platform == "win32" else ("lib", ".so")
    names = (f"{prefix}onnxruntime_providers_shared{suffix}", f"{prefix}onnxruntime_providers_cuda{suffix}")
    try:
        for name in names:
            ctypes.CDLL(str(directory / name), ctypes.RTLD_GLOBAL)
    except OSError as error:
        return (
            f"onnxruntime {ort.__version__} does not load its CUDA library ({error}). "
            f'Install CUDA and cuDNN, for instance with pip install "onnxruntime-gpu[cuda,cudnn]=={ort.__version__}"'
        )
    return f"onnxruntime {ort.__version__} opened the session on the CPU without saying why; its log may say more"
