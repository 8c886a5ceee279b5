"""`seqc doctor`: whether everything that seqc needs is there and works."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import sys
from typing import Any

import typer

from seqc.cli._blas import NOTICEABLE, Forced, forced_kernel, kernel_name
from seqc.cli._errors import Debug
from seqc.cli._output import AsJson, screen

PACKAGES = ("seqc", "seqc-runtime", "numpy", "onnx", "h5py", "typer", "rich", "platformdirs", "matplotlib")
# Wheels that all install the module onnxruntime, over one another.
WHEELS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "onnxruntime-qnn",
          "onnxruntime-rocm", "onnxruntime-silicon", "ort-nightly", "ort-nightly-gpu")  # fmt: skip

NO_RUNTIME = 'train, verify and predict need seqc-runtime: pip install "seqc-runtime[cpu]"'


def doctor(as_json: AsJson = False, debug: Debug = False) -> None:
    """Show versions and devices, and run a small model on each device.

    The exit code is 1 if the CPU does not work or wheels of onnxruntime overwrite each other.

    \b
    Examples:
      seqc doctor
      seqc doctor --json
    """
    with screen(as_json) as show:
        wheels = {name: found for name in WHEELS if (found := _version(name))}
        devices = {name: _try_device(name) for name in ("cpu", "cuda")}
        clash = len(wheels) > 1
        report: dict[str, Any] = {
            "ok": devices["cpu"]["works"] and not clash,
            "python": f"{platform.python_version()} ({platform.python_implementation()}, {sys.executable})",
            "platform": platform.platform(),
            "packages": {name: _version(name) for name in PACKAGES},
            "blas": _blas(),
            "blas_kernel": {"name": kernel_name(), **_forced(forced_kernel())},
            "onnxruntime_wheels": wheels,
            "wheels_clash": clash,
            "providers": _providers(),
            "threads": _threads(),
            "devices": devices,
        }
        show.rows(_rows(report))
        show.line()
        show.line(_verdict(report))
        show.result(report)
    if not report["ok"]:
        raise typer.Exit(1)


def _rows(report: dict[str, Any]) -> list[tuple[str, str]]:
    packages = {**report["packages"], "numpy": f"{report['packages']['numpy']} ({report['blas']})"}
    named = (f"{name} {found}" for name, found in report["onnxruntime_wheels"].items())
    wheels = ", ".join(text.removeprefix("onnxruntime ") for text in named)
    threads = report["threads"]
    return [
        ("python", report["python"]),
        ("platform", report["platform"]),
        *((name, found or "not installed") for name, found in packages.items()),
        ("onnxruntime", wheels or "not installed"),
        ("providers", ", ".join(report["providers"]) or "none"),
        ("blas kernel", _kernel(report["blas_kernel"])),
        ("threads", f"{threads['used']} ({threads['reason']})"),
        *((name, device["detail"]) for name, device in report["devices"].items()),
    ]


def _verdict(report: dict[str, Any]) -> str:
    if report["wheels_clash"]:
        names = " ".join(report["onnxruntime_wheels"])
        return (
            f"PROBLEM: {names.replace(' ', ' and ')} are installed together and overwrite each other's files. Run: "
            f'pip uninstall -y {names}, then pip install "seqc[cpu]" or pip install "seqc[gpu]".'
        )
    if not report["ok"]:
        return "PROBLEM: models do not run on the CPU, see above."
    return _warning(report["blas_kernel"]) or "All is well."


def _forced(found: Forced | None) -> dict[str, Any]:
    if found is None:
        return {"forced_by": [], "own": None, "factor": None}
    return {"forced_by": list(found.variables), "own": found.own, "factor": round(found.factor, 2)}


def _kernel(kernel: dict[str, Any]) -> str:
    if not kernel["forced_by"]:
        return str(kernel["name"])
    forced = f"{kernel['name']}, by {' and '.join(kernel['forced_by'])}"
    return f"{forced}; without: {kernel['own']}, {kernel['factor']:.2f} times as fast"


def _warning(kernel: dict[str, Any]) -> str | None:
    """Returns what to do about a kernel that is slower than the processor's own, None if it is not."""
    if not kernel["factor"] or kernel["factor"] < NOTICEABLE:
        return None
    names = kernel["forced_by"]
    return (
        f"WARNING: with {' and '.join(names)} set, NumPy takes {kernel['factor']:.1f} times as long for a product of "
        f"matrices as this processor needs. To train faster: unset {' '.join(names)}"
    )


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return _imported_version(distribution)


def _imported_version(distribution: str) -> str | None:
    """Returns the version of seqc's own packages where they are used without being installed."""
    if distribution not in ("seqc", "seqc-runtime"):
        return None
    try:
        return str(importlib.import_module(distribution.replace("-", "_")).__version__)
    except ImportError:
        return None


def _blas() -> str:
    import numpy as np

    found: Any = np.show_config(mode="dicts")
    blas = found.get("Build Dependencies", {}).get("blas", {}) if isinstance(found, dict) else {}
    return f"BLAS: {blas.get('name', 'not known')} {blas.get('version', '')}".rstrip()


def _providers() -> list[str]:
    try:
        return list(_onnxruntime().get_available_providers())
    except ImportError:
        return []


def _onnxruntime() -> Any:
    # Usage data would be sent from the moment of the import.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return importlib.import_module("onnxruntime")


def _threads() -> dict[str, Any]:
    try:
        from seqc_runtime.threads import cpu_budget
    except ImportError:
        return {"used": None, "affinity": None, "quota": None, "reason": "not known without seqc-runtime"}
    budget = cpu_budget()
    quota = "no cgroup quota" if budget.quota is None else f"cgroup quota of {budget.quota:g} CPUs"
    reason = f"{budget.affinity} CPUs in the affinity mask, {quota}, {os.cpu_count()} in the machine"
    return {"used": budget.cpus, "affinity": budget.affinity, "quota": budget.quota, "reason": reason}


def _try_device(name: str) -> dict[str, Any]:
    """Runs one node on a device and tells how it went."""
    import numpy as np

    if name == "cuda" and "CUDAExecutionProvider" not in _providers():
        return {"works": False, "detail": "not offered by the installed onnxruntime"}
    note = "" if _version("seqc-runtime") else f", but {NO_RUNTIME}"
    if note and name == "cuda":
        return {"works": False, "detail": f"not tried: {NO_RUNTIME}"}
    x = np.array([-1.0, 2.0], np.float32)
    try:
        y = _run_alone(x) if note else _run(x, name)
    except Exception as error:  # whatever is broken, the report goes on
        return {"works": False, "detail": f"does not work: {error}"}
    works = bool(np.array_equal(y, [0.0, 2.0]))
    detail = f"works{note}" if works else f"gives wrong numbers: relu({x.tolist()}) = {y.tolist()}"
    return {"works": works, "detail": detail}


def _run(x: Any, device: Any) -> Any:
    import seqc_runtime

    with seqc_runtime.load(_relu(), device=device) as model:
        return model.predict(x)


def _run_alone(x: Any) -> Any:
    from seqc.backends.onnxruntime import Session

    _onnxruntime()
    return Session(_relu()).run({"x": x})["y"]


def _relu() -> bytes:
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", ends[:1], ends[1:])
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])
    content: bytes = model.SerializeToString()
    return content
