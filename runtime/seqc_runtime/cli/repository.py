"""`seqc-runtime repository`: what Triton and KServe read."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from seqc_runtime.errors import RuntimeArgumentError

if TYPE_CHECKING:
    from seqc_runtime.deploy.triton import TritonOptions

EPILOG = "Example: seqc-runtime repository digits.onnx --triton models, then tritonserver --model-repository models."


@click.command(epilog=EPILOG)
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option("--triton", type=click.Path(path_type=Path), metavar="DIR", help="Write a model repository for Triton.")
@click.option("--kserve", metavar="FILE", help="Write resources for KServe; - is standard output.")
@click.option("--name", help="The model's name, when PATH is a file.")
@click.option("--version", type=click.IntRange(min=1), help="The version, when PATH is a file; 1 by default.")
@click.option("--replace", is_flag=True, help="Replace versions and config.pbtxt that are there.")
@click.option(
    "--triton-backend",
    type=click.Choice(["onnxruntime", "python"]),
    default="onnxruntime",
    help="python runs onnxruntime in Triton's Python, for a Triton without its own.",
)
@click.option("--max-batch", type=click.IntRange(min=1), default=64, help="Most rows of a request, and run together.")
@click.option(
    "--max-delay",
    type=click.FloatRange(min=0, max=60000),
    default=0.0,
    help="Milliseconds a request may wait for others to run with.",
)
@click.option("--instances", type=click.IntRange(min=1, max=256), default=1, help="Runs of a model at the same time.")
@click.option("--threads", type=click.IntRange(min=1, max=1024), help="CPU threads of a run.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", help="Where Triton runs it.")
@click.option("--storage-uri", help="For KServe: where the model lies (s3://, gs://, pvc://).")
@click.option("--image", help="For KServe: the image that serves, as the Dockerfile makes it.")
@click.option("--namespace", help="For KServe.")
def repository(
    *,
    paths: tuple[str, ...],
    triton: Path | None,
    kserve: str | None,
    name: str | None,
    version: int | None,
    replace: bool,
    triton_backend: Literal["onnxruntime", "python"],
    max_batch: int,
    max_delay: float,
    instances: int,
    threads: int | None,
    device: Literal["cpu", "cuda"],
    storage_uri: str | None,
    image: str | None,
    namespace: str | None,
) -> None:
    """Write what other servers read: a model repository for Triton, resources for KServe.

    PATH is an .onnx file, or a folder of models as Triton lays them out; there may be several.

    Existing versions stay as they are unless --replace is given.
    """
    if triton is None and kserve is None:
        raise RuntimeArgumentError("say what to write: --triton DIR, --kserve FILE, or both")
    if triton is not None:
        from seqc_runtime.deploy.triton import TritonOptions

        options = TritonOptions(triton_backend, max_batch, max_delay / 1000, instances, threads, device)
        _write_triton(paths, triton, name, version, replace, options)
    if kserve is not None:
        _write_kserve(kserve, _kserve_name(name, paths), storage_uri, image, namespace)


def _write_triton(
    paths: Sequence[str], root: Path, name: str | None, version: int | None, replace: bool, options: TritonOptions
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
            click.echo(f"{root / model.name / str(where)}: {wrote}; {said}", err=True)


def _kserve_name(name: str | None, paths: Sequence[str]) -> str:
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
    click.echo(f"{target}: kubectl apply -f {target}", err=True)
