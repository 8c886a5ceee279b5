"""Model repositories for Triton: <name>/<version>/model.onnx, and a config.pbtxt that says what Triton must know."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seqc_runtime.errors import RuntimeArgumentError, RuntimeModelError
from seqc_runtime.files.places import replacing
from seqc_runtime.model import Model
from seqc_runtime.server.config import BACKEND, PLATFORM
from seqc_runtime.server.datatypes import datatype
from seqc_runtime.server.probe import Wishes, probe, why_not_batched
from seqc_runtime.source import open_source
from seqc_runtime.tensors import TensorInfo

FILE = "model.onnx"
CONFIG = "config.pbtxt"

Backend = Literal["onnxruntime", "python"]


@dataclass(frozen=True)
class TritonOptions:
    """How Triton is to run a model.

    backend: Triton's own for ONNX, or Python's, for a Triton without it. max_batch: rows of a request, and of requests
    that run together. max_delay: seconds a request may wait for others. instances: runs at the same time.
    threads: CPU threads of a run; None leaves that to onnxruntime. device: "cpu" or "cuda".
    """

    backend: Backend = "onnxruntime"
    max_batch: int = 64
    max_delay: float = 0.0
    instances: int = 1
    threads: int | None = None
    device: Literal["cpu", "cuda"] = "cpu"


def write_version(root: Path, name: str, version: int, path: Path, config: str, backend: Backend, replace: bool) -> str:
    """Put a version of a model into a repository; what happened to its configuration, in words.

    root: the repository. path: of the .onnx file; the files of its weights go along. config: text of config.pbtxt.
    replace: whether a version or a configuration that is there gives way.

    Raises RuntimeArgumentError when that version is there.
    """
    folder = root / name
    target = folder / str(version)
    if target.exists() and not replace:
        raise RuntimeArgumentError(
            f"{str(target)!r} is there: say --replace to put the new one in its place, or give another --version"
        )
    folder.mkdir(parents=True, exist_ok=True)
    said = _write_config(folder / CONFIG, config, replace)
    with _new_folder(target) as part:
        _copy(path, part)
        if backend == "python":
            shutil.copyfile(Path(__file__).with_name("triton_model.py"), part / "model.py")
    return said


def _write_config(path: Path, text: str, replace: bool) -> str:
    if path.exists():
        if path.read_text("utf-8") == text:
            return f"{CONFIG} as it was"
        if not replace:
            return f"{CONFIG} was there and stays as it is"
    with replacing(path) as part:
        part.write_text(text, "utf-8")
    return CONFIG


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `target` at once when all is in it. Triton looks at numbers only."""
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    old = part.with_suffix(".old")
    part.mkdir()
    try:
        yield part
        if target.exists():
            os.rename(target, old)
        os.rename(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _copy(path: Path, folder: Path) -> None:
    places = open_source(path).facts.external_locations
    if any(Path(os.path.normpath(place)) in (Path(FILE), Path("model.py")) for place in places):
        raise RuntimeModelError(f"{str(path)!r} keeps weights in a file called {FILE!r} or 'model.py': rename that")
    shutil.copyfile(path, folder / FILE)
    for place in places:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path.parent / place, folder / place)


def config_text(name: str, model: Model, options: TritonOptions) -> tuple[str, str]:
    """The text of config.pbtxt, and in words how requests are run together.

    With a batch axis, and samples that were found to be independent, max_batch_size stands for that axis and Triton
    runs requests together; else shapes are given whole, and requests run alone.
    """
    _check_shapes(name, [*model.inputs, *model.outputs])
    apart = _why_alone(model, options)
    batched = apart is None
    lines = [f"name: {_text(name)}"]
    if options.backend == "python":
        lines.append('backend: "python"')
    else:
        lines += [f"backend: {_text(BACKEND)}", f"platform: {_text(PLATFORM)}"]
    lines.append(f"max_batch_size: {options.max_batch if batched else 0}")
    lines += _tensors("input", model.inputs, batched) + _tensors("output", model.outputs, batched)
    kind = "KIND_GPU" if options.device == "cuda" else "KIND_CPU"
    lines.append(f"instance_group [ {{ count: {options.instances}, kind: {kind} }} ]")
    if batched:
        lines.append(f"dynamic_batching {{ max_queue_delay_microseconds: {round(options.max_delay * 1e6)} }}")
    if options.threads is not None:
        value = f'{{ string_value: "{options.threads}" }}'
        lines.append(f'parameters {{ key: "intra_op_thread_count", value: {value} }}')
    said = f"up to {options.max_batch} rows run together" if batched else f"requests run alone: {apart}"
    return "\n".join(lines) + "\n", said


def _why_alone(model: Model, options: TritonOptions) -> str | None:
    if options.max_batch == 1:
        return "one row at a time was asked for"
    apart = why_not_batched(model)
    if apart is not None:
        return apart
    for role, infos in (("input", model.inputs), ("output", model.outputs)):
        for info in infos:
            if len(info.shape) == 1:  # Triton has no shapes of no axes beside the batch
                return f"{role} {info.name!r} {info} has no axis beside the batch"
    batching, notes = probe(model, Wishes(options.max_batch))
    return None if batching.max_rows > 1 else "; ".join(notes) or "samples were not found to be independent"


def _check_shapes(name: str, infos: Sequence[TensorInfo]) -> None:
    for info in infos:
        if not info.shape:
            raise RuntimeModelError(
                f"model {name!r}: Triton needs the number of axes of every tensor, and {info.name!r} {info} has none"
            )


def _tensors(role: str, infos: Sequence[TensorInfo], batched: bool) -> list[str]:
    lines = []
    for info in infos:
        kind = datatype(info)
        kind = "STRING" if kind == "BYTES" else kind
        dims = ", ".join(str(size) if isinstance(size, int) else "-1" for size in info.shape[batched:])
        lines.append(f"{role} [ {{ name: {_text(info.name)}, data_type: TYPE_{kind}, dims: [ {dims} ] }} ]")
    return lines


def _text(text: str) -> str:
    # Escapes of JSON that protobuf's text format reads as well, non-ASCII as it is.
    return json.dumps(text, ensure_ascii=False)
