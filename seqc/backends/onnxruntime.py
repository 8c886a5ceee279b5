"""Running ONNX models with onnxruntime. The only module of seqc that imports it."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seqc.errors import ExportError, MissingDependencyError
from seqc.graph.ir import Array

# Of what onnxruntime writes to standard error: what ends the process alone.
_SILENT = 4
# What onnxruntime calls a node of a function in a file: the names of both, of which the function's is the layer's.
_INLINED = re.compile(r"_inlfunc_([^/']+)(?:_\d+)?_(\1/)")


class Session:
    """A model loaded by onnxruntime.

    Args:
        model: the bytes of an .onnx file, or its path, which takes less memory. threads: how many threads one operation
        may use; None leaves the choice to onnxruntime. providers: what runs the nodes, by onnxruntime's names, alone or
        with options. optimize: whether it may fuse nodes. reorder: whether it may also reorder weights for this
        processor, of which it holds several copies meanwhile.

    Raises:
        MissingDependencyError: onnxruntime is not installed. ExportError: it refuses the model.
    """

    def __init__(
        self,
        model: bytes | os.PathLike[str],
        *,
        threads: int | None = None,
        providers: Sequence[Any] = ("CPUExecutionProvider",),
        optimize: bool = True,
        reorder: bool = True,
    ) -> None:
        runtime = import_runtime()
        options = runtime.SessionOptions()
        options.log_severity_level = _SILENT  # errors reach the caller as exceptions
        if threads is not None:
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
        level = runtime.GraphOptimizationLevel
        if not (optimize and reorder):
            options.graph_optimization_level = level.ORT_ENABLE_EXTENDED if optimize else level.ORT_DISABLE_ALL
        try:
            self._session: Any = runtime.InferenceSession(
                model if isinstance(model, bytes) else os.fspath(model), options, providers=list(providers)
            )
        except Exception as error:  # onnxruntime has its own error types per reason, under no common one
            raise ExportError(
                f"onnxruntime {runtime.__version__} cannot load the model: {_said(error)}{_advice(error)}"
            ) from error
        self.input_names: tuple[str, ...] = tuple(x.name for x in self._session.get_inputs())
        self.output_names: tuple[str, ...] = tuple(y.name for y in self._session.get_outputs())

    def close(self) -> None:
        """Gives back the memory of the model, which can be run no more."""
        self._session = None

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Returns the outputs by name for input arrays by name.

        Raises:
            ExportError: onnxruntime fails on them.
        """
        try:
            results: list[Any] = self._session.run(None, {n: np.asarray(a) for n, a in arrays.items()})
        except Exception as error:
            raise ExportError(f"onnxruntime cannot run the model: {_said(error)}{_advice(error)}") from error
        return dict(zip(self.output_names, results, strict=True))


def profile(path: str | os.PathLike[str], arrays: Mapping[str, Array], runs: int) -> list[dict[str, Any]]:
    """Returns the events of onnxruntime's profile of some runs of a file on one thread.

    Raises:
        MissingDependencyError: onnxruntime is not installed. ExportError: it cannot load or run the file.
    """
    runtime = import_runtime()
    options = runtime.SessionOptions()
    options.log_severity_level = _SILENT
    options.enable_profiling, options.intra_op_num_threads = True, 1
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = os.path.join(folder, "profile")
        try:
            session = runtime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
            for _ in range(runs):
                session.run(None, dict(arrays))
        except Exception as error:
            raise ExportError(f"onnxruntime cannot run the model: {_said(error)}") from error
        with open(session.end_profiling(), encoding="utf-8") as told:
            events: list[dict[str, Any]] = json.load(told)
    return [event | {"name": _INLINED.sub(r"\2", event["name"])} if "name" in event else event for event in events]


def _said(error: Exception) -> str:
    """Returns what onnxruntime says, with the nodes inside a file's functions called as they are there.

    Each function is of one layer, with whose name its nodes begin; another number tells calls of it apart.
    """
    return _INLINED.sub(r"\2", str(error))


def _advice(error: Exception) -> str:
    """Returns what to do about an operator that onnxruntime has, but not for the element type of the layer."""
    if "NOT_IMPLEMENTED" not in str(error) and "does not support double" not in str(error):
        return ""
    return (
        ". It has every operator for float32, and some for no other type: give the layer that the node is named after "
        "dtype='float32' if it has another, and export with precision='float32' or 'float16'."
    )


def available_providers() -> list[str]:
    """Returns what can run nodes in the installed onnxruntime, by its names."""
    return list(import_runtime().get_available_providers())


def version() -> str:
    """Returns the version of the installed onnxruntime."""
    return str(import_runtime().__version__)


def import_runtime() -> Any:
    """Returns the module onnxruntime.

    Raises:
        MissingDependencyError: it is not installed.
    """
    # From 1.29 on, importing onnxruntime starts a thread that sends usage data; a fork after that can hang.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            'Running ONNX models needs onnxruntime. Install it: pip install "seqc[cpu]" (or "seqc[gpu]" for CUDA).'
        ) from error
    return onnxruntime
