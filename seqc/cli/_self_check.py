"""What an ONNX file shows of itself, without the model it was made from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from seqc.cli._beside import check_beside, files_beside
from seqc.cli._integer_inputs import integer_inputs
from seqc.cli._onnx import check_model, list_nodes, ports, read_model
from seqc.cli._output import shape_text
from seqc.cli._runtime import load_runtime
from seqc.cli._sizes import check_names
from seqc.errors import DataError, SeqcError
from seqc.graph.ir import Array

BATCHES = (1, 2, 7)
# Another size of batch may be computed by another kernel, which rounds differently.
ROW_TOLERANCE = 1e-4
# So may a file with operators that find the range of their 8 bits in the batch at hand, some steps of 1/255 each.
DYNAMIC_TOLERANCE = 5e-2
# Tried in turn for axes of open size that nobody gave.
LENGTHS = (8, 16, 32, 64, 128, 256)
# Of the inputs of a run: half a gibibyte of float32.
MOST_NUMBERS = 2**27
MOST_AXES = 64
# Of one node's result: four gibibytes of float32.
MOST_IN_A_TENSOR = 2**30


@dataclass(frozen=True)
class Check:
    """One thing looked at."""

    name: str
    what: str
    passed: bool
    detail: str


def check_alone(path: Path, sizes: Mapping[str, int], device: str = "cpu") -> list[Check]:
    """Returns the checks of an ONNX file, up to the first that leaves nothing more to look at.

    Args:
        path: the file. sizes: of symbolic axes by name; the others are chosen so that the model runs. device: "cpu" or
        "cuda".

    Raises:
        MissingDependencyError: seqc-runtime is not installed.
    """
    runtime = load_runtime("seqc verify")
    checks = [_attempt("valid", "valid ONNX, by onnx's full check", lambda: check_model(path))]
    if files_beside(read_model(path)) if checks[0].passed else ():
        checks.append(_attempt("weights", "the weights beside it", lambda: check_beside(path) or "of no known hash"))
    loaded: list[Any] = []
    shapeless = _shapeless(path)

    def load() -> str:
        _refuse_giants(path)
        loaded.append(runtime.load(path, device=device))
        inputs, outputs = loaded[0].inputs, loaded[0].outputs
        return f"{_shown(inputs, shapeless)} -> {_shown(outputs, shapeless)}"

    checks.append(_attempt("loads", "loads in onnxruntime", load, (DataError, runtime.SeqcRuntimeError)))
    if loaded and any(x.name in shapeless for x in loaded[0].inputs):
        checks.append(_attempt("runs", "runs on generated inputs", lambda: check_shapes(path)))
    elif loaded:
        checks += _runs(loaded[0], sizes, vocabularies(path), runtime.SeqcRuntimeError, _row_tolerance(path))
    return checks


def check_shapes(path: Path) -> str:
    """Raises DataError if a file does not say what shape an input has, so that nothing can be drawn for it."""
    inputs = {x.name for x in read_model(path).graph.input}
    missing = sorted(inputs & _shapeless(path))
    if missing:
        named = ", ".join(map(repr, missing))
        raise DataError(
            f"not tried: the file gives no shape for {named}, and no option does. Write it with one, "
            "which names axes that are open, such as [batch, 8]. `seqc predict` runs it on arrays as they are."
        )
    return "every input has a shape"


def _shapeless(path: Path) -> set[str]:
    """Returns the names of inputs and outputs for which a file gives no shape: onnxruntime calls them scalars."""
    try:
        graph = read_model(path).graph
    except DataError:  # onnxruntime may know better
        return set()
    return {port.name for port in ports([*graph.input, *graph.output]) if port.shape is None}


def _shown(infos: Any, shapeless: set[str]) -> str:
    return ", ".join(f"{x.dtype}{shape_text(None)}" if x.name in shapeless else str(x) for x in infos)


def vocabularies(path: Path) -> dict[str, Array]:
    """Returns what a file knows of inputs that are looked up in tables: some models take nothing else."""
    try:
        graph = read_model(path).graph
    except DataError:  # onnxruntime may know better
        return {}
    found = integer_inputs(graph)
    for node in graph.node:
        keys = {a.name: a for a in node.attribute if a.name in ("keys_strings", "keys_int64s")}
        if node.op_type == "LabelEncoder" and keys:
            (held,) = keys.values()
            listed = [text.decode(errors="replace") for text in held.strings]
            found[node.input[0]] = np.array(listed, object) if listed else np.array(held.ints, np.int64)
    return found


def _refuse_giants(path: Path) -> None:
    """Raises DataError if a node makes a tensor that no machine of today is likely to hold: loading may compute it."""
    try:
        nodes = list_nodes(read_model(path), {})
    except DataError:  # onnxruntime may know better
        return
    for node in nodes:
        for shape in node.outputs:
            numbers = prod(d for d in shape or () if isinstance(d, int))
            if numbers > MOST_IN_A_TENSOR:
                raise DataError(f"not tried: a {node.op} node makes a tensor of {numbers:,} numbers")


def _attempt(
    name: str, what: str, run: Callable[[], str], errors: type[Exception] | tuple[type[Exception], ...] = SeqcError
) -> Check:
    try:
        return Check(name, what, True, run())
    except errors as error:
        return Check(name, what, False, str(error))


def _row_tolerance(path: Path) -> float:
    """Returns how far a sample's result may be from what it is alone, as a part of the largest number."""
    try:
        nodes = list_nodes(read_model(path), {})
    except DataError:  # onnxruntime may know better
        return ROW_TOLERANCE
    return DYNAMIC_TOLERANCE if any(node.op.startswith("DynamicQuantize") for node in nodes) else ROW_TOLERANCE


def _runs(
    model: Any, sizes: Mapping[str, int], tokens: Mapping[str, Array], error: type[Exception], rows: float
) -> Iterator[Check]:
    """Yields the checks that need results. rows: see `_row_tolerance`."""
    batch = batch_axis(model)
    lengths = _lengths(model, batch, {name: n for name, n in sizes.items() if name != batch}, tokens, error)
    wanted = (sizes[batch],) if batch is not None and batch in sizes else BATCHES
    # One run is tried even if it is too large, so that it is said.
    room = [n for n in wanted if n == wanted[0] or _numbers(model.inputs, n, lengths) <= MOST_NUMBERS]
    batches = room if batch else [1]
    results: dict[int, tuple[dict[str, Array], list[Array]]] = {}

    def run() -> str:
        for count in batches:
            feeds = draw_inputs(model.inputs, count, lengths, seed=count, tokens=tokens)
            outputs = model.predict(feeds)
            results[count] = feeds, outputs if isinstance(outputs, list) else [outputs]
        others = "".join(f", {name} {size}" for name, size in lengths.items())
        return (f"batches of {', '.join(map(str, batches))}" if batch else "one run at its fixed size") + others

    yield _attempt("runs", "runs on generated inputs", run, (DataError, error))
    if len(results) < len(batches):
        return
    yield _finite(results)
    if batch:
        yield _rows_alone(model, results, rows)


def batch_axis(model: Any) -> str | None:
    """Returns the name of the first axis of all inputs and outputs, if they have one name for it.

    It is not the batch where the file says that another axis is, as in `[time, batch, 3]`: None then.
    """
    later = {axis for info in model.inputs for axis in info.shape[1:] if isinstance(axis, str)}
    first = {info.shape[0] if info.shape else 1 for info in (*model.inputs, *model.outputs)}
    name = first.pop() if len(first) == 1 else 1
    if not isinstance(name, str) or ("batch" not in name.lower() and any("batch" in axis.lower() for axis in later)):
        return None
    return name


def _lengths(
    model: Any, batch: str | None, given: Mapping[str, int], tokens: Mapping[str, Array], error: type[Exception]
) -> dict[str, int]:
    names = {axis for info in model.inputs for axis in info.shape[1 if batch else 0 :] if isinstance(axis, str)}
    check_names(given, names)
    chosen = {name: given[name] for name in sorted(names) if name in given}
    free = sorted(names - set(chosen))
    if not free:
        return chosen
    for length in LENGTHS:
        tried = chosen | dict.fromkeys(free, length)
        try:
            model.predict(draw_inputs(model.inputs, 1, tried, seed=0, tokens=tokens))
        except (DataError, error):
            continue
        return tried
    return chosen | dict.fromkeys(free, LENGTHS[0])


def open_lengths(model: Any, given: Mapping[str, int], tokens: Mapping[str, Array]) -> dict[str, int]:
    """Returns sizes for the open axes of a loaded model, the batch left out, at which it runs.

    Args:
        given: those that are known. tokens: what some inputs may hold, by their names.
    """
    batch = batch_axis(model)
    others = {name: size for name, size in given.items() if name != batch}
    return _lengths(model, batch, others, tokens, load_runtime("seqc").SeqcRuntimeError)


def draw_inputs(
    inputs: Any, count: int, lengths: Mapping[str, int], seed: int, tokens: Mapping[str, Array]
) -> dict[str, Array]:
    """Returns an array per input: normal numbers, or words; integers are 0 and 1 where no range is shown.

    Args:
        count: size of the first axis where the model leaves it open. lengths: of the other open axes by name.
        tokens: what some inputs may hold, by their names.

    Raises:
        DataError: they are more than there is room for.
    """
    for info in inputs:
        if len(info.shape) > MOST_AXES:
            raise DataError(f"input {info.name!r} has {len(info.shape)} axes; NumPy's arrays have at most {MOST_AXES}")
    count_all = _numbers(inputs, count, lengths)
    if count_all > MOST_NUMBERS:
        raise DataError(
            f"not tried: the inputs hold {count_all:,} numbers, and more than {MOST_NUMBERS:,} are not drawn"
        )
    rng = np.random.default_rng(seed)
    arrays: dict[str, Array] = {}
    for info in inputs:
        shape = _sizes(info, count, lengths)
        if info.name in tokens:
            arrays[info.name] = rng.choice(tokens[info.name], shape).astype(
                object if info.dtype == "str" else info.dtype, copy=False
            )
        elif info.dtype.startswith(("float", "bfloat")):
            arrays[info.name] = rng.standard_normal(shape, np.float32).astype(info.dtype, copy=False)
        elif info.dtype == "str":
            arrays[info.name] = np.full(shape, "word", dtype=object)
        else:
            arrays[info.name] = rng.integers(0, 2, shape).astype(info.dtype)
    return arrays


def _sizes(info: Any, count: int, lengths: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(
        axis if isinstance(axis, int) else lengths.get(axis, count) if i == 0 else lengths[axis]
        for i, axis in enumerate(info.shape)
    )


def _numbers(inputs: Any, count: int, lengths: Mapping[str, int]) -> int:
    """Returns how many numbers `draw_inputs` draws."""
    return sum(prod(_sizes(info, count, lengths)) for info in inputs)


def _finite(results: Mapping[int, tuple[dict[str, Array], list[Array]]]) -> Check:
    floats = [y for _, outputs in results.values() for y in outputs if y.dtype.kind == "f"]
    bad = sum(int(np.count_nonzero(~np.isfinite(y))) for y in floats)
    total = sum(y.size for y in floats)
    detail = f"{bad:,} of {total:,} numbers are NaN or infinite" if bad else f"{total:,} numbers"
    return Check("finite", "finite results", bad == 0, detail)


def _rows_alone(model: Any, results: Mapping[int, tuple[dict[str, Array], list[Array]]], tolerance: float) -> Check:
    """Checks that each sample of the batches gives alone what it gave among others."""
    worst = allowed = 0.0
    name, what = "rows", "each sample alone as in its batch"
    for feeds, outputs in results.values():
        count = len(next(iter(feeds.values())))
        if any(len(y) != count for y in outputs):
            return Check(name, what, False, f"a batch of {count} gives {len(outputs[0])} results")
        for i in range(count):
            alone = model.predict({key: x[i : i + 1] for key, x in feeds.items()})
            for y, one in zip(outputs, alone if isinstance(alone, list) else [alone], strict=True):
                if y.dtype.kind != "f":
                    if not np.array_equal(y[i : i + 1], one):
                        return Check(name, what, False, f"sample {i} of {count} gives other values")
                    continue
                worst = max(worst, float(np.max(np.abs(y[i : i + 1] - one), initial=0)))
                allowed = max(allowed, tolerance * float(np.max(np.abs(y), initial=0)))
    found = "" if tolerance == ROW_TOLERANCE else ", as each batch finds the ranges of its 8 bits"
    detail = f"largest difference {worst:.2g}, {allowed:.2g} allowed{found}"
    return Check(name, what, worst <= allowed, detail)
