"""Models on a Ray cluster: over datasets with Ray Data, and behind the Open Inference Protocol with Ray Serve.

Needs the extra `ray`, on the workers as well. The model's own bytes travel to the workers, so that they need no path
in common, and all run the same model.
"""

from __future__ import annotations

import collections
import hashlib
import logging
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seqc_runtime.errors import (
    RuntimeArgumentError,
    RuntimeDependencyError,
    RuntimeExecutionError,
    RuntimeInputError,
    RuntimeModelError,
    SeqcRuntimeError,
)
from seqc_runtime.files.columns import Choice, Part, check_rows, lay_out
from seqc_runtime.inputs import Array
from seqc_runtime.model import Model, load
from seqc_runtime.source import ModelSource, open_source

try:
    import ray
except ImportError as error:
    raise RuntimeDependencyError(
        f'seqc_runtime.ray needs Ray, which is not installed: pip install "seqc-runtime[cpu,ray]" ({error})'
    ) from error

DeviceName = Literal["auto", "cpu", "cuda"]

# Of models that travel inside a Serve application's definition, which Ray's head node keeps.
_MOST_SHIPPED = 64 << 20
# Chunks that each actor of `ordered` has before it, so that it never waits for the next.
_AHEAD = 2


@dataclass(frozen=True)
class Bundle:
    """A model's file and the files of its weights: by their place beside it, their contents."""

    name: str
    content: bytes
    beside: Mapping[str, bytes]

    @property
    def nbytes(self) -> int:
        """All files together."""
        return len(self.content) + sum(map(len, self.beside.values()))

    def write(self, folder: str) -> str:
        """Write the files into a folder; the path of the model."""
        for place, content in {**self.beside, self.name: self.content}.items():
            path = Path(folder, place)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return str(Path(folder, self.name))


class _Folder:
    """A folder that goes when nobody holds it any more; of a `TemporaryDirectory` that goes so, Python warns."""

    def __init__(self) -> None:
        self.name = tempfile.mkdtemp(prefix="seqc-runtime-")
        weakref.finalize(self, shutil.rmtree, self.name, ignore_errors=True)


def bundle(model: ModelSource) -> Bundle:
    """Read a model that is to travel. Raises what `seqc_runtime.load` raises for files that are no models."""
    source = open_source(model)
    if isinstance(source.target, bytes):
        return Bundle("model.onnx", source.target, {})
    path = Path(source.target)
    beside = {place: (path.parent / place).read_bytes() for place in source.facts.external_locations}
    return Bundle(path.name, path.read_bytes(), beside)


class Predictor:
    """A class for `Dataset.map_batches`, which makes one in each actor: from a batch's columns to the outputs' columns.

    model: a path the workers can reach, the bytes of a model, a Bundle, or a reference to one of these.
    columns: which columns hold which input (see `seqc-runtime score`). keep: columns of the batch that go on.
    threads: CPU threads of a run. Default: the CPUs that Ray gave the actor.
    """

    def __init__(
        self,
        model: Any,
        columns: Choice | None = None,
        keep: Sequence[str] = (),
        device: DeviceName = "auto",
        threads: int | None = None,
    ) -> None:
        if isinstance(model, ray.ObjectRef):
            model = ray.get(model)
        self._folder: _Folder | None = None
        if isinstance(model, Bundle) and model.beside:
            self._folder = _Folder()
            model = model.write(self._folder.name)
        elif isinstance(model, Bundle):
            model = model.content
        self._columns = columns
        self._keep = keep
        self._model: Model = load(model, device=device, threads=threads or _given_cpus())
        _check_keep(keep, [info.name for info in self._model.outputs])

    def __call__(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs for a batch of columns, and the columns to keep."""
        wide = [name for name, values in batch.items() if values.ndim > 1 or _holds_arrays(values)]
        parts = lay_out(self._model.inputs, list(batch), self._columns, wide)
        feeds = {part.info.name: _assemble(part, batch) for part in parts}
        samples = self._model.batch
        rows = len(feeds[self._model.inputs[0].name if samples is None else samples.inputs[0]])
        outputs = {info.name: result for info, result in check_rows(self.run(feeds), self._model.outputs, rows)}
        missing = [name for name in self._keep if name not in batch]
        if missing:
            raise RuntimeArgumentError(f"keep: there is no column {missing[0]!r}; there is {', '.join(batch)}")
        return {**{name: batch[name] for name in self._keep}, **outputs}

    def run(self, feeds: Mapping[str, Array]) -> list[Any]:
        """The outputs for the inputs of a chunk, in order."""
        results = self._model.predict(feeds)
        return results if isinstance(results, list) else [results]


def predict(
    dataset: Any,
    model: ModelSource,
    *,
    columns: Choice | None = None,
    keep: Sequence[str] = (),
    batch_size: int = 1024,
    actors: int | tuple[int, int] | None = None,
    num_cpus: float = 1,
    num_gpus: float = 0,
    device: DeviceName = "auto",
) -> Any:
    """A dataset of a model's outputs for the samples of a dataset, run lazily, as all of Ray Data is.

    dataset: a `ray.data.Dataset`. model: a path or bytes, read here. columns: which columns hold which input.
    keep: columns that go on into the result. batch_size: samples per run.
    actors: how many, or the fewest and the most. Default: from one to as many as the cluster has CPUs for.
    num_cpus, num_gpus: of each actor.
    """
    size = actors or (1, _room(num_cpus))
    fewest, most = size if isinstance(size, tuple) else (size, size)
    return dataset.map_batches(
        Predictor,
        fn_constructor_args=(ray.put(bundle(model)), columns, tuple(keep), device),
        batch_size=batch_size,
        batch_format="numpy",
        compute=_data().ActorPoolStrategy(min_size=fewest, max_size=most),
        num_cpus=num_cpus,
        num_gpus=num_gpus,
    )


def ordered(
    model: ModelSource, actors: int | None = None, device: DeviceName = "auto", threads: int | None = None
) -> Any:
    """What `seqc_runtime.score.score` takes as its engine: chunks go to actors, and results come in their order.

    Joins the cluster of this process, of RAY_ADDRESS or of this machine, or starts one here for as long as it runs.
    """

    def run(chunks: Iterator[dict[str, Array]]) -> Iterator[list[Array]]:
        started = not ray.is_initialized()
        if started:
            # A cluster started for one file tells nobody about it, unless the user wants that.
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            ray.init(logging_level=logging.ERROR, log_to_driver=False)
        try:
            yield from _in_order(chunks, _pool(model, actors, device, threads))
        finally:
            if started:
                ray.shutdown()

    return run


def _pool(model: ModelSource, actors: int | None, device: DeviceName, threads: int | None) -> list[Any]:
    cpus = threads or 1
    room = int(ray.cluster_resources().get("CPU", 0))
    if (actors or 1) * cpus > room:
        raise RuntimeArgumentError(
            f"the cluster has {room} CPUs, which are too few for {actors or 1} actors of {cpus} each"
        )
    reference = ray.put(bundle(model))
    remote = ray.remote(num_cpus=cpus)(Predictor)
    return [remote.remote(reference, device=device, threads=threads) for _ in range(actors or _room(cpus))]


def _in_order(chunks: Iterator[dict[str, Array]], actors: list[Any]) -> Iterator[list[Array]]:
    waiting: collections.deque[Any] = collections.deque()
    try:
        for number, feeds in enumerate(chunks):
            waiting.append(actors[number % len(actors)].run.remote(feeds))
            if len(waiting) == _AHEAD * len(actors):
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())
    finally:
        for actor in actors:
            ray.kill(actor)


def _result(reference: Any) -> list[Array]:
    try:
        results: list[Array] = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, SeqcRuntimeError):
            raise error.cause from None
        raise RuntimeExecutionError(f"a Ray actor failed: {error.cause}") from error
    except ray.exceptions.RayActorError as error:
        raise RuntimeExecutionError(f"a Ray actor ended: {error}") from error
    return results


def app(
    *paths: str | os.PathLike[str],
    name: str | None = None,
    num_replicas: int | Literal["auto"] = 1,
    num_cpus: float = 1,
    num_gpus: float = 0,
    device: DeviceName = "auto",
    max_ongoing_requests: int = 100,
    max_queued_requests: int = -1,
    settings: Any = None,
) -> Any:
    """A Ray Serve application that answers as `seqc-runtime serve` does: `ray.serve.run(app("model.onnx"))`.

    paths: .onnx files, or repository folders that every worker can reach. A file of at most 64 MiB travels to the
    workers; a larger one must be at its path there, and a replica refuses one of other content.
    name: of the model, when there is one file. num_cpus, num_gpus: of each replica.
    max_ongoing_requests, max_queued_requests: of Ray Serve, for each replica.
    settings: a `seqc_runtime.server.settings.Settings` for everything else; its paths, name and device are not used.
    """
    from seqc_runtime.server.settings import Settings

    given = settings or Settings(paths=())
    given = replace(given, paths=tuple(map(str, paths)), name=name, device=device)
    given = replace(given, threads=given.threads or max(1, int(num_cpus)))
    given.check()
    parcels = [_Parcel.of(path) for path in given.paths]

    def build() -> Any:
        from seqc_runtime.server.asgi import Asgi
        from seqc_runtime.server.build import build_app

        folder = _Folder()
        found = tuple(parcel.unpack(os.path.join(folder.name, str(i))) for i, parcel in enumerate(parcels))
        answering = Asgi(build_app(replace(given, paths=found)))
        answering.folder = folder  # type: ignore[attr-defined]  # the files go when the application goes
        return answering

    serve = _serve()
    return serve.deployment(
        serve.ingress(build)(),
        name="seqc-runtime",
        num_replicas=num_replicas,
        ray_actor_options={"num_cpus": num_cpus, "num_gpus": num_gpus},
        max_ongoing_requests=max_ongoing_requests,
        max_queued_requests=max_queued_requests,
    ).bind()


@dataclass(frozen=True)
class _Parcel:
    """A path, with the files themselves or what they must be equal to."""

    path: str
    files: Bundle | None
    digest: str | None

    @classmethod
    def of(cls, path: str) -> _Parcel:
        if os.path.isdir(path):
            return cls(os.path.abspath(path), None, None)
        files = bundle(path)
        small = files.nbytes <= _MOST_SHIPPED
        return cls(os.path.abspath(path), files if small else None, None if small else _digest(files))

    def unpack(self, folder: str) -> str:
        if self.files is not None:
            return self.files.write(folder)
        if self.digest is not None and _digest(bundle(self.path)) != self.digest:
            raise RuntimeModelError(f"{self.path!r} is not the same file here as where the application was made")
        return self.path


def _digest(files: Bundle) -> str:
    found = hashlib.sha256(files.content)
    for place, content in sorted(files.beside.items()):
        found.update(f"{place}\0{len(content)}\0".encode())
        found.update(content)
    return found.hexdigest()


def _check_keep(keep: Sequence[str], outputs: Sequence[str]) -> None:
    both = [name for name in keep if name in outputs]
    if both:
        raise RuntimeArgumentError(f"keep: {both[0]!r} is also an output: rename the column")


def _holds_arrays(values: Array) -> bool:
    return values.dtype == object and len(values) > 0 and isinstance(values[0], np.ndarray | list)


def _assemble(part: Part, batch: Mapping[str, Array]) -> Array:
    columns = [batch[name] for name in part.columns]
    if _holds_arrays(columns[0]):
        try:
            return np.stack(list(columns[0]))
        except ValueError as error:
            raise RuntimeInputError(
                f"column {part.columns[0]!r} holds arrays of different shapes: fill them up to one"
            ) from error
    return columns[0] if columns[0].ndim > 1 else part.stack(columns)


def _given_cpus() -> int | None:
    """CPUs of the actor this runs in; None outside of one."""
    if not ray.is_initialized():
        return None
    given = ray.get_runtime_context().get_assigned_resources().get("CPU")
    return max(1, int(given)) if given else None


def _room(num_cpus: float) -> int:
    if not ray.is_initialized():
        ray.init()
    return max(1, int(ray.cluster_resources().get("CPU", 1) // (num_cpus or 1)))


def _data() -> Any:
    import ray.data

    return ray.data


def _serve() -> Any:
    import ray.serve

    return ray.serve
