"""`seqc-runtime repository`: what Triton and KServe read."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqc_runtime.errors import RuntimeArgumentError

if TYPE_CHECKING:
    from seqc_runtime.deploy.triton import TritonOptions

EPILOG = "Example: seqc-runtime repository digits.onnx --triton models, then tritonserver --model-repository models."


class TritonBackend(StrEnum):
    """What runs the model in Triton."""

    onnxruntime = "onnxruntime"
    python = "python"


class TritonDevice(StrEnum):
    """Where Triton runs the model."""

    cpu = "cpu"
    cuda = "cuda"


def repository(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATH]...", help=".onnx files, or folders of models as Triton lays them out."),
    ] = None,
    triton: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a model repository for Triton.", show_default=False)
    ] = None,
    kserve: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write resources for KServe; - is standard output.", show_default=False),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The model's name, when PATH is a file.", show_default=False)] = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="The version, when PATH is a file; 1 by default.", show_default=False)
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace versions and config.pbtxt that are there.")
    ] = False,
    triton_backend: Annotated[
        TritonBackend, typer.Option(help="python runs onnxruntime in Triton's Python, for a Triton without its own.")
    ] = TritonBackend.onnxruntime,
    max_batch: Annotated[int, typer.Option(min=1, help="Most rows of a request, and run together.")] = 64,
    max_delay: Annotated[
        float, typer.Option(min=0, max=60_000, help="Milliseconds a request may wait for others to run with.")
    ] = 0.0,
    instances: Annotated[int, typer.Option(min=1, max=256, help="Runs of a model at the same time.")] = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="CPU threads of a run.", show_default=False)
    ] = None,
    device: Annotated[TritonDevice, typer.Option(help="Where Triton runs it.")] = TritonDevice.cpu,
    storage_uri: Annotated[
        str | None, typer.Option(help="For KServe: where the model lies (s3://, gs://, pvc://).", show_default=False)
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(help="For KServe: the image that serves, as the Dockerfile makes it.", show_default=False),
    ] = None,
    namespace: Annotated[str | None, typer.Option(help="For KServe.", show_default=False)] = None,
) -> None:
    """Write what other servers read: a model repository for Triton, resources for KServe.

    Existing versions stay as they are unless --replace is given.
    """
    if triton is None and kserve is None:
        raise RuntimeArgumentError("say what to write: --triton DIR, --kserve FILE, or both")
    if triton is not None:
        from seqc_runtime.deploy.triton import TritonOptions

        options = TritonOptions(triton_backend.value, max_batch, max_delay / 1000, instances, threads, device.value)
        _write_triton(paths or [], triton, name, version, replace, options)
    if kserve is not None:
        _write_kserve(kserve, _kserve_name(name, paths or []), storage_uri, image, namespace)


def _write_triton(
    paths: list[str], root: Path, name: str | None, version: int | None, replace: bool, options: TritonOptions
) -> None:
    from seqc_runtime.deploy.triton import config_text, write_version
    from seqc_runtime.model import load
    from seqc_runtime.server.layout import Layout

    for path in paths:
        if not Path(path).exists():
            raise RuntimeArgumentError(f"there is no file or folder {path!r}")
        if Path(path).is_dir() and (name is not None or version is not None):
            raise RuntimeArgumentError(
                f"--name and --version are for an .onnx file; {path!r} is a folder, which has both"
            )
    if name is not None and len(paths) > 1:
        raise RuntimeArgumentError(f"--name is for one .onnx file; got {len(paths)} paths")
    found = Layout(paths, name).find()
    if not found:
        raise RuntimeArgumentError("--triton needs the path of an .onnx file, or of a folder with models")
    for model in found.values():
        if model.problem is not None:
            raise RuntimeArgumentError(model.problem)
        for number, there in sorted(model.versions.items()):
            with load(there.path, device="cpu") as loaded:
                text, said = config_text(model.name, loaded, options)
            where = version or number
            wrote = write_version(root, model.name, where, there.path, text, options.backend, replace)
            typer.echo(f"{root / model.name / str(where)}: {wrote}; {said}", err=True)


def _kserve_name(name: str | None, paths: list[str]) -> str:
    if name is None and len(paths) != 1:
        raise RuntimeArgumentError("--kserve needs --name, or the path of one model")
    return name or Path(paths[0]).stem.lower().replace("_", "-").replace(".", "-")


def _write_kserve(target: str, name: str, storage_uri: str | None, image: str | None, namespace: str | None) -> None:
    from seqc_runtime.deploy.kserve import resources, to_yaml
    from seqc_runtime.files.places import check_target, replacing

    text = to_yaml(resources(name, storage_uri, image, namespace))
    if target == "-":
        sys.stdout.write(text)
        return
    check_target(Path(target))
    with replacing(Path(target)) as part:
        part.write_text(text, "utf-8")
    typer.echo(f"{target}: kubectl apply -f {target}", err=True)
