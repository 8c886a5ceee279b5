"""The user's data: checked against the model, and split into what calibrates and what the accuracy is measured on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from seqc.errors import DataError
from seqc.export.quantization.graphs import FloatModel, Port
from seqc.export.quantization.settings import Settings
from seqc.graph.ir import Array
from seqc.graph.strings import as_strings, is_text

# Fewer samples say nothing of ranges or of accuracy.
LEAST_SAMPLES = 16
# Names of arrays in a file for a model of one input or output.
SAMPLES, LABELS = "x", "y"
_SEED = 20260
Feeds = dict[str, Array]


@dataclass(frozen=True)
class Samples:
    """Samples and their labels.

    Attributes:
        calibration: arrays by names of inputs, which ranges of activations are taken from. tested: arrays by names of
        inputs, which accuracy and latency are measured on. labels: of the tested samples, by names of outputs.
        digest: a hash of all that was given.
    """

    calibration: Feeds
    tested: Feeds
    labels: Feeds
    digest: str

    @property
    def count(self) -> int:
        """How many samples the accuracy is measured on."""
        return count_of(self.tested)


def count_of(feeds: Feeds) -> int:
    """Returns how many samples arrays hold."""
    return len(next(iter(feeds.values())))


def batches(feeds: Feeds, size: int) -> Iterator[Feeds]:
    """Yields the samples in batches of a size, the last one smaller where they do not come out even."""
    for start in range(0, count_of(feeds), size):
        yield {name: array[start : start + size] for name, array in feeds.items()}


def read_samples(model: FloatModel, x: Any, y: Any, settings: Settings) -> Samples:
    """Returns the user's data, checked and split.

    Args:
        model: what they are for. x: an array for the one input; or arrays by names of inputs, 'x' for the only one, and
        of labels by names of outputs, 'y' for the only one. y: labels of the one output, or by names of outputs; None
        for those in x. settings: what is asked.

    Raises:
        DataError: an input is missing, or an array does not fit, is not finite, or holds too few samples.
    """
    given, labels = _arranged(model, x)
    if y is not None:
        labels |= dict(y) if isinstance(y, Mapping) else {_only(model.outputs, model, "output"): y}
    _check_names(model, given, labels)
    feeds = {port.name: _converted(np.asarray(given[port.name]), port) for port in model.inputs}
    marks = {name: np.asarray(labels[name]) for name in labels}
    counts = {f"'{name}'": len(array) for name, array in (*feeds.items(), *marks.items())}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{name} has {n:,}" for name, n in counts.items())
        raise DataError(f"All arrays need as many samples; {shown}.")
    for name, array in marks.items():
        _check_finite(array, f"labels '{name}'")
    return _split(model, feeds, marks, settings)


def _arranged(model: FloatModel, x: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns arrays by names of inputs, and labels by names of outputs."""
    if not isinstance(x, Mapping):
        return {_only(model.inputs, model, "input"): x}, {}
    given, labels = dict(x), {}
    inputs, outputs = ([p.name for p in ports] for ports in (model.inputs, model.outputs))
    if len(inputs) == 1 and inputs[0] not in given and SAMPLES in given:
        given = {inputs[0]: given.pop(SAMPLES), **given}
    for name in outputs:
        if name in given and name not in inputs:
            labels[name] = given.pop(name)
    if LABELS in given and LABELS not in inputs:
        labels[_only(model.outputs, model, "output")] = given.pop(LABELS)
    return given, labels


def _only(ports: Sequence[Port], model: FloatModel, what: str) -> str:
    if len(ports) != 1:
        names = ", ".join(f"'{p.name}'" for p in ports)
        raise DataError(f"{model.name} has {len(ports)} {what}s, {names}: give arrays by these names.")
    return ports[0].name


def _check_names(model: FloatModel, given: Mapping[str, Any], labels: Mapping[str, Any]) -> None:
    wanted, outputs = [p.name for p in model.inputs], [p.name for p in model.outputs]
    missing, unknown = [n for n in wanted if n not in given], [n for n in given if n not in wanted]
    if missing or unknown:
        what = [f"{_quoted(missing)} missing"] if missing else []
        what += [f"{_quoted(unknown)} no input of it"] if unknown else []
        raise DataError(
            f"{model.name} takes {_quoted(wanted)}; the data have {_quoted(list(given))}: {', '.join(what)}. Name the "
            f"arrays as the inputs, a single one '{SAMPLES}', and labels as the outputs, {_quoted(outputs)}, a single "
            f"one's '{LABELS}'."
        )
    strange = [n for n in labels if n not in outputs]
    if strange:
        raise DataError(f"{model.name} gives {_quoted(outputs)}; there are labels for {_quoted(strange)}.")


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "nothing"


def _converted(array: Array, port: Port) -> Array:
    """Returns an array in the element type of an input, where that keeps its meaning."""
    what = f"input '{port.name}'"
    wanted = f"{port.dtype}[{', '.join('?' if d is None else str(d) for d in port.shape)}]"
    fits = array.ndim == len(port.shape) and array.ndim > 0
    if not fits or any(d is not None and d != n for d, n in zip(port.shape[1:], array.shape[1:], strict=True)):
        raise DataError(f"{what} is {wanted}, samples along the first axis; the data have shape {array.shape}.")
    dtype, text = np.dtype(port.dtype), array.dtype.kind in "OUS"
    if text != (dtype.kind == "O"):
        raise DataError(f"{what} is {wanted}; the data are {array.dtype}.")
    if text:
        return _texts(array, what)
    _check_finite(array, what)
    with np.errstate(all="ignore"):
        found = array.astype(dtype)
    if dtype.kind in "iub" and not np.array_equal(found, array):
        raise DataError(f"{what} is {wanted}; the data hold numbers that are no {dtype}.")
    if dtype.kind == "f":
        _check_finite(found, f"{what}, as {dtype},")
    return found


def _texts(array: Array, what: str) -> Array:
    """Returns texts as onnxruntime takes them, which reads bytes as what Python prints of them."""
    if not is_text(array):
        raise DataError(f"{what} takes texts; the data hold something else.")
    try:
        return as_strings(array)
    except ValueError as error:
        raise DataError(f"{what} takes texts; the data hold bytes that are no UTF-8: {error}.") from error


def _check_finite(array: Array, what: str) -> None:
    if array.dtype.kind in "fc" and not np.isfinite(array).all():
        bad = int(np.count_nonzero(~np.isfinite(array)))
        first = int(np.argwhere(~np.isfinite(array))[0][0])
        raise DataError(
            f"The data of {what} hold {bad:,} numbers that are NaN or infinite, the first in sample {first}. Remove "
            "these samples, or replace the numbers as for training."
        )


def _split(model: FloatModel, feeds: Feeds, labels: Feeds, settings: Settings) -> Samples:
    """Returns the samples in a fixed random order, a quarter of them at most for calibration."""
    total = count_of(feeds)
    if total < LEAST_SAMPLES:
        raise DataError(f"Quantization needs at least {LEAST_SAMPLES} samples; the data have {total}.")
    order = np.random.default_rng(_SEED).permutation(total)
    used = min(settings.calibration, total // 4)
    if (size := model.fixed_batch) is not None:
        # A file of one batch size is run with no other.
        if total < 2 * size:
            raise DataError(
                f"{model.name} takes {size} samples at a time, so that it needs {2 * size}; there are {total}."
            )
        used = max(used // size, 1) * size
        order = order[: used + (total - used) // size * size]
    digest = hashlib.sha256()
    for name, array in (*sorted(feeds.items()), *sorted(labels.items())):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(repr(array.tolist()).encode() if array.dtype == object else np.ascontiguousarray(array).tobytes())
    return Samples(
        calibration={name: array[order[:used]] for name, array in feeds.items()},
        tested={name: array[order[used:]] for name, array in feeds.items()},
        labels={name: array[order[used:]] for name, array in labels.items()},
        digest=digest.hexdigest(),
    )


def check_resolution(count: int, settings: Settings) -> None:
    """Raises DataError where so few samples are counted that the drop allowed is less than one of them."""
    if settings.max_drop and count * settings.max_drop < 1 - 1e-9:
        least = ceil(1 / settings.max_drop)
        raise DataError(
            f"The accuracy is measured on {count:,} samples, where a single one is {1 / count:.2%}: too few to see a "
            f"drop of {settings.max_drop:.2%}. Give {ceil(least * 4 / 3):,} samples or more (a quarter, at most "
            f"{settings.calibration}, calibrates), or allow a larger drop: --max-drop {1 / count:.2%}"
        )
