"""`load` and `Model`."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal, Self, SupportsIndex

from seqc_runtime.batches import (
    Batch,
    check_batch_size,
    check_dynamic,
    check_rows,
    check_whole,
    cut_open,
    find_batch,
    rows_of,
    run_in_chunks,
)
from seqc_runtime.empties import blanks_of, empty_outputs, is_deadly, refuse_wordless
from seqc_runtime.errors import (
    RuntimeArgumentError,
    RuntimeDeviceError,
    RuntimeInputError,
    RuntimeModelError,
    printable,
)
from seqc_runtime.holder import SessionHolder
from seqc_runtime.inputs import Array, Sizes, bind, check_shapes, is_empty
from seqc_runtime.placement import PlacedNode, read_placement
from seqc_runtime.progress import bar
from seqc_runtime.providers import Device, SessionConfig, choose_device, import_onnxruntime, open_session
from seqc_runtime.runs import RunControl, Runner, check_feeds, run_session
from seqc_runtime.source import Admission, ModelSource, Source, open_source
from seqc_runtime.streams import Chunk, chunks
from seqc_runtime.tensors import TensorInfo, read_info
from seqc_runtime.threads import check_threads, cpu_budget
from seqc_runtime.warming import warm_up as run_made_up

Asked = Literal["auto", "cpu", "cuda"]

if TYPE_CHECKING:
    from seqc_runtime.gate import Limits


def load(
    path_or_bytes: ModelSource,
    device: Asked = "auto",
    threads: int | None = None,
    untrusted: bool | Limits = False,
    *,
    spinning: bool | None = None,
    tf32: bool = False,
    warm_up: bool = False,
    packing: bool = True,
) -> Model:
    """Load an ONNX model.

    path_or_bytes: a path to an .onnx file, or its bytes (then it must be a single file).
    device: "cpu"; "cuda", or an error that says what is missing, also for operators that would stay on the CPU; "auto",
    CUDA when it really works and else the CPU (`Model.device` says which, `Model.placement` where each operator is).
    threads: CPU threads per prediction. Default: the CPUs this process may use, from its affinity and cgroup quota.
    untrusted: True for a model that nobody vouches for, or the seqc_runtime.gate.Limits it must keep: it is scanned,
    copied, and tried in a restricted process (on the CPU) before it is loaded here, as seqc_runtime.gate.admit says.
    spinning: whether idle threads busy-wait for the next prediction. Default: when each has a CPU of its own and there
    is no quota; servers of several models or processes pass False.
    tf32: let CUDA round float32 products to 10 bits of mantissa, which is faster.
    warm_up: run the model once on made-up inputs, see `Model.warm_up`.
    packing: let onnxruntime copy weights into the order that is fastest. Without, processes that load the same model
    share the weights that lie in a file beside it, and runs of several samples take up to three times as long; weights
    inside the model's file are packed in any case.

    Raises RuntimeModelNotFoundError, RuntimeModelError (not ONNX, unsafe or unsupported), RuntimeDependencyError
    (onnxruntime missing or broken), RuntimeDeviceError, RuntimeExecutionError (warm-up), RuntimeArgumentError for other
    arguments that are wrong (RuntimeArgumentTypeError for a model that is neither a path nor bytes).

    Example:
        >>> made = seqc.Sequential([seqc.Input((4,)), seqc.layers.Dense(3, name="scores")])
        >>> report = made.export("model.onnx", verbose=False)
        >>> model = seqc_runtime.load("model.onnx", device="cpu")
        >>> [str(one) for one in model.outputs], model.predict(np.ones((2, 4), "float32")).shape
        (['float32[batch, 3]'], (2, 3))
    """
    if not isinstance(device, str) or device not in ("auto", "cpu", "cuda"):
        raise RuntimeArgumentError(f'device needs "auto", "cpu" or "cuda"; got {device!r}')
    check_threads(threads)
    for name, flag in (("tf32", tf32), ("warm_up", warm_up), ("spinning", spinning), ("packing", packing)):
        if not isinstance(flag, bool) and not (flag is None and name == "spinning"):
            raise RuntimeArgumentError(f"{name} needs True or False; got {flag!r}")
    source = _admitted(path_or_bytes, untrusted)
    model = open_model(source, device, threads, spinning=spinning, tf32=tf32, packing=packing)
    if warm_up:
        model.warm_up()
    return model


def open_model(
    source: Source,
    device: Asked,
    threads: int | None,
    *,
    spinning: bool | None = None,
    tf32: bool = False,
    packing: bool = True,
) -> Model:
    """Load a model that was checked; the arguments and errors are load's."""
    budget = cpu_budget()
    count = threads or budget.cpus
    copying = packing or not source.facts.external_locations
    config = SessionConfig(count, budget.spins(count, spinning), tf32, copying)
    if device == "auto":
        used, session = choose_device(source, config)
    else:
        used, session = device, open_session(source, device, config)
    asked = {"device": device, "threads": threads, "spinning": spinning, "tf32": tf32, "packing": packing}
    try:
        return Model(source, used, session, config, asked)
    except UnicodeDecodeError as error:
        raise RuntimeModelError(f"{source.name} holds a name or text that is not UTF-8: {error}") from error


def _admitted(model: ModelSource, untrusted: bool | Limits) -> Source:
    if untrusted is False:
        return open_source(model)
    from seqc_runtime.gate import DEFAULT, admit  # processes and temporary files, which others do without

    return admit(model, DEFAULT if untrusted is True else untrusted)


class Model:
    """A loaded model, made by `load`. Any number of threads may call `predict` at the same time.

    After a fork, the child opens its own session at its first prediction (on the CPU; CUDA cannot be used there).
    A pickled model is its path (or bytes) and what `load` was asked for; where it is unpickled it is loaded again, with
    the device chosen there, and must be the same file.
    """

    def __init__(
        self, source: Source, device: Device, session: Any, config: SessionConfig, asked: dict[str, Any]
    ) -> None:
        self._source = source
        self._device: Device = device
        self._config = config
        self._asked = asked
        self._placement = read_placement(session)
        self._inputs = tuple(read_info(argument, "input") for argument in session.get_inputs())
        self._outputs = tuple(read_info(argument, "output") for argument in session.get_outputs())
        if not self._outputs:
            raise RuntimeModelError(f"{source.name} has no outputs, so there is nothing it could be asked for")
        self._output_by_name = {info.name: info for info in self._outputs}
        self._output_names = [info.name for info in self._outputs]
        self._metadata = {
            **session.get_modelmeta().custom_metadata_map,
            "producer_name": source.facts.producer_name,
            "producer_version": source.facts.producer_version,
        }
        self._deadly_empty = is_deadly(source.facts.operators, len(self._inputs), import_onnxruntime().__version__)
        self._blanks = blanks_of(source.facts.operators)
        # Not a method: the model is in no cycle, so that its session is freed when the last reference to it goes.
        self._holder = SessionHolder(Runner(session), partial(_reopen, source, device, config, os.getpid()))

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """The declared inputs, in order."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """The declared outputs, in order."""
        return self._outputs

    @cached_property
    def batch(self) -> Batch | None:
        """The axis of samples, as far as the file tells: see `find_batch`."""
        return find_batch(self._inputs, self._outputs)

    @property
    def device(self) -> Device:
        """Where the model runs: "cpu" or "cuda"."""
        return self._device

    @property
    def threads(self) -> int:
        """CPU threads per prediction."""
        return self._config.threads

    @property
    def placement(self) -> tuple[PlacedNode, ...]:
        """Where each operator runs, as onnxruntime has optimized the model; empty where the release does not tell."""
        return self._placement

    @property
    def operators(self) -> frozenset[str]:
        """The names of the operators in the file, also of those inside functions and bodies of other operators."""
        return frozenset(self._source.facts.operators)

    @property
    def metadata(self) -> dict[str, str]:
        """The file's metadata_props, and its `producer_name` and `producer_version`."""
        return dict(self._metadata)

    @property
    def admission(self) -> Admission | None:
        """How a model that was not trusted was let in; None for the others."""
        return self._source.admission

    def predict(self, x: object, batch_size: SupportsIndex | None = None, *, named: bool = False) -> Any:
        """Run the model.

        x: one array (a model with one input), a list or tuple of arrays in the order of `inputs`, or a dict by name.
        Floats become the declared float dtype; integers become floats, or the declared integer dtype when they fit;
        floats never become integers. Arrays may have any byte order and strides.
        batch_size: rows per run, to bound memory; needs a symbolic axis 0, or one that the file fixes at as many, of
        which x then has whole batches; inputs and outputs with as long a first axis are cut and joined along it.
        None runs everything at once.
        named: whether to return a dict of all outputs by name.

        Returns an array when the model has one output, else a list in the order of `outputs` (as Keras does).
        Operators that do not survive an empty batch (LSTM, GRU, RNN) never get one: models that have them give empty
        outputs without running.

        Raises RuntimeInputError (RuntimeInputTypeError for dtypes), RuntimeExecutionError.
        """
        step = None if batch_size is None else check_batch_size(batch_size)
        if step is not None and self.batch is not None and self.batch.size == step:
            return self._given(self._in_whole_batches(x, step), named)
        feeds, sizes = bind(x, self._inputs)
        runner = self._holder.get()
        if step is None or (self._deadly_empty and any(map(is_empty, feeds.values()))):
            results = self._answer(runner, feeds, sizes)
        else:
            results = run_in_chunks(feeds, step, self._inputs, self._outputs, lambda chunk: self._run(runner, chunk))
        return self._given(results, named)

    def _in_whole_batches(self, x: object, step: int) -> list[Any]:
        """The results of a file that fixes its batch at `step` rows."""
        inputs, outputs = cut_open(step, self._inputs), cut_open(step, self._outputs)
        feeds, _ = bind(x, inputs)
        check_whole(rows_of(feeds, check_dynamic(inputs, outputs)), step)
        runner = self._holder.get()
        return run_in_chunks(feeds, step, inputs, outputs, lambda chunk: self._run(runner, chunk))

    def _given(self, results: list[Any], named: bool) -> Any:
        if named:
            return dict(zip(self._output_names, results, strict=True))
        return results[0] if len(results) == 1 else results

    def predict_iter(
        self, x: object, batch_size: SupportsIndex = 1024, *, progress: bool | None = None, named: bool = False
    ) -> Generator[Any]:
        """Run the model on what need not fit in memory, chunk after chunk, and give the results of each chunk.

        x: an array, np.memmap or anything else that has a shape and can be sliced (a dataset of h5py or zarr), a list
        or dict of them as in `predict`, or an iterable of such batches.
        batch_size: rows per run; needs a symbolic axis 0. Batches of an iterable are cut where they are larger.
        progress: whether to show a bar on standard error. Default: when that is a terminal.
        named: whether to give a dict of all outputs by name each time.

        Gives what `predict` returns for each chunk, so joined they are what it returns for all (np.concatenate).
        What is not there yet when this returns is read when its chunk is asked for.

        Raises RuntimeInputError (RuntimeInputTypeError for dtypes), RuntimeExecutionError.
        """
        if progress is not None and not isinstance(progress, bool):
            raise RuntimeInputError(f"progress needs True, False or None; got {progress!r}")
        found = chunks(x, check_batch_size(batch_size), self._inputs, self._outputs)
        return self._predict_each(found, progress, named)

    def _predict_each(self, found: Iterator[Chunk], progress: bool | None, named: bool) -> Generator[Any]:
        done = 0
        with bar(progress) as told:
            for chunk, count, total in found:
                feeds, sizes = bind(chunk, self._inputs)
                results = self._answer(self._holder.get(), feeds, sizes)
                if count:
                    check_rows(results, self._outputs, count)
                done += count
                told(done, total)
                yield self._given(results, named)

    def _answer(self, runner: Runner, feeds: dict[str, Array], sizes: Sizes) -> list[Any]:
        if self._deadly_empty and any(map(is_empty, feeds.values())):
            return empty_outputs(feeds, sizes, self._inputs, self._outputs)
        return self._run(runner, feeds)

    def run(
        self, feeds: dict[str, Any], outputs: Sequence[str] | None = None, *, control: RunControl | None = None
    ) -> list[Array]:
        """Run the model on arrays that are what it declares; nothing is cast. This is what servers call.

        feeds: an array of the declared dtype for each input, by name; for a sequence a list of them.
        outputs: the names of the outputs wanted, in order; None for all.
        control: ends the run from another thread.

        Returns the outputs wanted, always as a list.

        Raises RuntimeInputError (RuntimeInputTypeError for dtypes) for feeds and names that are not the model's,
        RuntimeExecutionError (RuntimeStoppedError after `control.stop()`).
        """
        runner = self._holder.get()
        names = self._output_names if outputs is None else self._wanted(outputs)
        if check_feeds(feeds, self._inputs) and self._deadly_empty:
            wanted = tuple(self._output_by_name[name] for name in names)
            return empty_outputs(feeds, check_shapes(feeds, self._inputs), self._inputs, wanted)
        if self._blanks:
            refuse_wordless(feeds, self._blanks)
        return run_session(runner, names, feeds, self._source.name, control)

    def warm_up(self, rows: int = 1, *, control: RunControl | None = None) -> None:
        """Run the model once on zeros, so that the first real prediction is as fast as the next ones.

        rows: the size of the batch axis. Other symbolic axes get sizes from 1 on, until one suits the model.

        Raises RuntimeExecutionError, which says why, for models that cannot be run on made-up inputs.
        """
        count = check_batch_size(rows, "rows")
        batched = () if self.batch is None else self.batch.inputs
        run_made_up(self._inputs, batched, count, lambda feeds: self.run(feeds, control=control))

    def __reduce__(self) -> tuple[Any, ...]:
        self._holder.get()
        if self._source.admission is not None:
            raise RuntimeArgumentError(
                f"{self._source.name} was let in as untrusted, which holds for this process: load it where it is used"
            )
        self._source.check_unchanged()
        return _load_again, (self._source.target, self._source.digest(), self._asked)

    def close(self) -> None:
        """Free the session; predictions after this raise RuntimeExecutionError."""
        self._holder.close()
        if self._source.admission is not None:
            self._source.admission.held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        inputs = ", ".join(f"{info.name}: {info}" for info in self._inputs)
        outputs = ", ".join(f"{info.name}: {info}" for info in self._outputs)
        return printable(f"<Model ({inputs}) -> ({outputs}) on {self._device}>")

    def _run(self, runner: Runner, feeds: dict[str, Array]) -> list[Array]:
        if self._blanks:
            refuse_wordless(feeds, self._blanks)
        return run_session(runner, self._output_names, feeds, self._source.name)

    def _wanted(self, outputs: Sequence[str]) -> list[str]:
        if not isinstance(outputs, list | tuple):
            raise RuntimeInputError(f"outputs needs a list of names or None; got {outputs!r}")
        unknown = [name for name in outputs if not isinstance(name, str) or name not in self._output_by_name]
        if unknown or not outputs:
            problem = f"there is no {', '.join(map(repr, unknown))}" if unknown else "none was asked for"
            raise RuntimeInputError(f"the model's outputs are {', '.join(map(repr, self._output_names))}; {problem}")
        return list(outputs)


def _reopen(source: Source, device: Device, config: SessionConfig, pid: int) -> Runner:
    """The session of a child that was forked from process `pid`."""
    if device == "cuda":
        raise RuntimeDeviceError(
            f"the model was loaded on CUDA by process {pid}, and CUDA does not survive a fork: "
            'load it in the child, or start workers with the "spawn" method'
        )
    source.check_unchanged()
    return Runner(open_session(source, device, config))


def _load_again(target: str | bytes, digest: str, asked: dict[str, Any]) -> Model:
    model = load(target, **asked)
    if model._source.digest() != digest:
        raise RuntimeModelError(f"{model._source.name} is not the file that was pickled: load it again")
    return model
