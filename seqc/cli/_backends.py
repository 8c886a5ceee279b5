"""A model in NumPy and its exported file in onnxruntime on the same samples, output by output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seqc import tree
from seqc.cli._compare import BATCH_SIZE, RUNS, Comparison, classes, compare_predictions, median_seconds
from seqc.cli._data import sample_count
from seqc.cli._output import duration
from seqc.graph.ir import Array
from seqc.model import Model
from seqc.training.arrange import arrange


@dataclass(frozen=True)
class Output:
    """One output of a model.

    Attributes:
        name: in the model. comparison: of what both say. classes: that the exported file predicts, None for numbers.
    """

    name: str
    comparison: Comparison
    classes: Array | None


def compare_outputs(model: Model, loaded: Any, x: Any) -> list[Output]:
    """Returns how the predictions of each output compare.

    Args:
        model: trained. loaded: its exported file. x: samples, as the model takes them.
    """
    ours = tree.flatten(model.predict(x, batch_size=BATCH_SIZE, verbose=0))
    found = loaded.predict(_as_declared(model, x, loaded), batch_size=BATCH_SIZE)
    theirs = found if isinstance(found, list) else [found]
    heads = model._trainer.compiled.heads
    pairs = zip(model._output_names(), ours, theirs, heads, strict=True)
    return [Output(name, compare_predictions(a, b, head.loss), classes(b, head.loss)) for name, a, b, head in pairs]


def labels_of(model: Model, y: Any) -> list[Any]:
    """Returns the labels of each output, None where there are none."""
    names = model._output_names()
    if len(names) == 1:
        return [*tree.flatten(y)][:1]
    return arrange(y, names, "y_test", "output", optional=True, form=model._output_tree)


def comparison_result(outputs: Sequence[Output]) -> dict[str, Any]:
    """Returns the comparison for JSON: of several outputs each by its name, and whether all agree."""
    each = {
        one.name: {
            "agree": one.comparison.agree,
            "samples": one.comparison.samples,
            "differing_classes": one.comparison.differing,
            "largest_difference": one.comparison.largest_difference,
            "allowed_difference": one.comparison.allowed,
        }
        for one in outputs
    }
    if len(outputs) == 1:
        return next(iter(each.values()))
    return {"agree": all(one.comparison.agree for one in outputs), "outputs": each}


def _as_declared(model: Model, x: Any, loaded: Any) -> dict[str, Array]:
    """Returns samples by the file's names of inputs, in its dtypes: for `fit` whole numbers may come as floats."""
    arrays = model._trainer.samples(x).x
    return {
        declared.name: array.astype(declared.dtype, copy=False)
        for declared, array in zip(loaded.inputs, arrays, strict=True)
    }


def time_backends(model: Model, loaded: Any, x: Any) -> dict[str, Any]:
    """Returns median times in seconds for all test samples. Both have run them once before."""
    feeds = _as_declared(model, x, loaded)
    ours, theirs = median_seconds(
        lambda: model.predict(x, batch_size=BATCH_SIZE, verbose=0),
        lambda: loaded.predict(feeds, batch_size=BATCH_SIZE),
    )
    return {
        "samples": sample_count(x),
        "batch_size": BATCH_SIZE,
        "runs": RUNS,
        "numpy_seconds": ours,
        "onnxruntime_seconds": theirs,
        "device": loaded.device,
        "threads": loaded.threads,
        "ratio": ours / theirs,
    }


def speed_text(speed: Mapping[str, Any]) -> str:
    """Returns what `time_backends` found in a sentence."""
    ratio = speed["ratio"]
    verdict = f"{ratio:.1f} times as fast" if ratio >= 1 else f"{1 / ratio:.1f} times as slow"
    threads = f"{speed['threads']} thread{'s' if speed['threads'] > 1 else ''}"
    where = f"onnxruntime ({speed['device']}{f', {threads}' if speed['device'] == 'cpu' else ''})"
    return (
        f"{where} is {verdict}: {duration(speed['onnxruntime_seconds'])} against {duration(speed['numpy_seconds'])} "
        f"for NumPy, median of {speed['runs']} runs over {speed['samples']:,} samples in batches of "
        f"{speed['batch_size']}"
    )
