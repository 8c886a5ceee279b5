"""The steps of `seqc train`. Whatever can be found wrong is found before the training."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqc.callbacks.monitor import higher_is_better
from seqc.cli._compare import (
    BATCH_SIZE,
    RUNS,
    Comparison,
    classes,
    compare_predictions,
    median_seconds,
    true_classes,
)
from seqc.cli._output import Screen, count, duration, number
from seqc.cli._runtime import load_runtime
from seqc.cli._source import ModelFile, load_file
from seqc.cli._stopped import Place, kept_when_stopped
from seqc.errors import ConfigError, DataError, MissingDependencyError
from seqc.export import compile_graph
from seqc.export.model import export_model, inference_graph
from seqc.graph.ir import Array
from seqc.model import Model
from seqc.training.data import as_array
from seqc.utils import set_random_seed
from seqc.utils.files import check_target, make_folder


@dataclass(frozen=True)
class Options:
    """What the user asked for; see the help of `seqc train`."""

    file: Path
    epochs: int | None
    batch_size: int | None
    seed: int
    output: Path
    plots: bool
    limit: int | None


@dataclass(frozen=True)
class Data:
    """Training and test arrays."""

    x_train: Any
    y_train: Any
    x_test: Any
    y_test: Any


@dataclass(frozen=True)
class Goal:
    """One metric of TARGET: the value wanted, the value reached."""

    name: str
    wanted: float
    reached: float
    lower_is_better: bool

    @property
    def met(self) -> bool:
        return self.reached <= self.wanted if self.lower_is_better else self.reached >= self.wanted

    def __str__(self) -> str:
        bound = "at most" if self.lower_is_better else "at least"
        verdict = "reached" if self.met else f"MISSED by {number(abs(self.reached - self.wanted))}"
        return f"{bound} {number(self.wanted)}: {verdict}"


def run(show: Screen, options: Options) -> bool:
    """Does everything and returns whether the targets are met and the predictions agree."""
    runtime = load_runtime("seqc train")
    set_random_seed(options.seed)
    file = load_file(options.file)
    arguments = _fit_arguments(file, options)
    model = file.build()
    data = _load_data(file, options.limit)
    _rehearse(file, model, data)
    make_folder(options.output)
    saved, exported = options.output / f"{file.name}.keras", options.output / f"{file.name}.onnx"
    for path in (saved, exported):
        check_target(path)
    model.summary(print_fn=show.line)
    show.line()

    place = Place()
    arguments["callbacks"] = [place, arguments.get("callbacks")]
    with kept_when_stopped(model, place, options.output / f"{file.name}.stopped.keras"):
        verbose = 0 if show.as_json else "auto"
        history = model.fit(data.x_train, data.y_train, verbose=verbose, **arguments).history
        metrics = model.evaluate(data.x_test, data.y_test, batch_size=BATCH_SIZE, verbose=0, return_dict=True)
        goals = _goals(file, model, metrics)
        show.line(f"\nTest on {count(len(data.x_test), 'sample')}:")
        _show_metrics(show, metrics, goals)
        model.save(saved)
    receipt = export_model(model, exported)
    show.line(f"\nSaved {saved} and exported:")
    show.line(str(receipt))

    loaded = runtime.load(exported)
    comparison, predicted = _compare_backends(model, loaded, data)
    speed = _time_backends(model, loaded, data.x_test)
    show.line("\nNumPy and onnxruntime on the test samples:")
    show.rows([("predictions", str(comparison)), ("speed", _speed_text(speed))])
    pictures = _draw(show, options, file.name, history, data.y_test, predicted) if options.plots else []

    enforced = options.limit is None
    passed = comparison.agree and (not enforced or all(goal.met for goal in goals))
    show.line()
    show.line(_verdict(goals, comparison, enforced))
    show.result(
        {
            "passed": passed,
            "name": file.name,
            "seed": options.seed,
            "metrics": metrics,
            "target": {g.name: {"wanted": g.wanted, "reached": g.reached, "met": g.met} for g in goals},
            "target_enforced": enforced,
            "history": history,
            "files": {"keras": str(saved), "onnx": str(exported), "plots": [str(p) for p in pictures]},
            "receipt": receipt.to_dict(),
            "predictions": {
                "agree": comparison.agree,
                "samples": comparison.samples,
                "differing_classes": comparison.differing,
                "largest_difference": comparison.largest_difference,
                "allowed_difference": comparison.allowed,
            },
            "speed": speed,
        }
    )
    return passed


def _fit_arguments(file: ModelFile, options: Options) -> dict[str, Any]:
    """Returns FIT with the options of the command line over it."""
    given = {"epochs": options.epochs, "batch_size": options.batch_size}
    arguments = file.fit | {name: value for name, value in given.items() if value is not None}
    known = set(inspect.signature(Model.fit).parameters) - {"self", "x", "y", "verbose"}
    unknown = sorted(set(arguments) - known)
    if unknown:
        raise ConfigError(f"{file.path}: FIT has {unknown}, which fit does not take. It takes {sorted(known)}.")
    return arguments


def _load_data(file: ModelFile, limit: int | None) -> Data:
    (x_train, y_train), (x_test, y_test) = file.data()
    given = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    parts = Data(**{name: as_array(part, name)[:limit] for name, part in given.items()})
    if not len(parts.x_test):
        raise DataError(f"{file.path}: data() gives no test samples; x_test has shape {parts.x_test.shape}.")
    return parts


def _rehearse(file: ModelFile, model: Model, data: Data) -> None:
    """Finds mistakes in model, labels and TARGET, and what cannot be exported, before time is spent on training.

    Steps are traced, not run: nothing random is drawn, so that training goes as it would in a script.
    """
    if not model.compiled:
        raise ConfigError(f"{file.path}: the model is not compiled. Call model.compile(optimizer, loss) in build().")
    model._trainer.rehearse(data.x_test, data.y_test)
    missing = [name for name in file.target if name not in model.metrics_names]
    if missing:
        raise ConfigError(f"{file.path}: TARGET names {missing}; the model's metrics are {model.metrics_names}.")
    compile_graph(inference_graph(model))


def _goals(file: ModelFile, model: Model, metrics: Mapping[str, Any]) -> list[Goal]:
    """Returns what is to be reached. Of a metric that does not say which way is better, more is."""
    arrays = [name for name in file.target if np.ndim(metrics[name])]
    if arrays:
        raise ConfigError(f"{file.path}: TARGET names {arrays}, which are several numbers each; name metrics with one.")
    return [
        Goal(name, wanted, metrics[name], higher_is_better(name, model._trainer.named_metrics) is False)
        for name, wanted in file.target.items()
    ]


def _show_metrics(show: Screen, metrics: Mapping[str, Any], goals: Sequence[Goal]) -> None:
    wanted = {goal.name: f"  (target {goal})" for goal in goals}
    show.rows([(name, f"{_shown(value)}{wanted.get(name, '')}") for name, value in metrics.items()])


def _shown(value: Any) -> str:
    return number(float(value)) if np.ndim(value) == 0 else str(value)


def _compare_backends(model: Model, loaded: Any, data: Data) -> tuple[Comparison, Array | None]:
    """Returns how the predictions compare, and the classes that the exported file predicts, if it predicts classes."""
    ours = model.predict(data.x_test, batch_size=BATCH_SIZE, verbose=0)
    theirs = loaded.predict(_as_declared(data.x_test, loaded), batch_size=BATCH_SIZE)
    loss = model._trainer.compiled.heads[0].loss
    return compare_predictions(ours, theirs, loss), classes(theirs, loss)


def _as_declared(x: Array, loaded: Any) -> Array:
    # As fit does, and unlike seqc_runtime: whole numbers may come as floats.
    return x.astype(loaded.inputs[0].dtype, copy=False)


def _time_backends(model: Model, loaded: Any, x: Array) -> dict[str, Any]:
    """Returns median times in seconds for all test samples. Both have run them once before."""
    samples = _as_declared(x, loaded)
    ours, theirs = median_seconds(
        lambda: model.predict(x, batch_size=BATCH_SIZE, verbose=0),
        lambda: loaded.predict(samples, batch_size=BATCH_SIZE),
    )
    return {
        "samples": len(x),
        "batch_size": BATCH_SIZE,
        "runs": RUNS,
        "numpy_seconds": ours,
        "onnxruntime_seconds": theirs,
        "device": loaded.device,
        "threads": loaded.threads,
        "ratio": ours / theirs,
    }


def _speed_text(speed: Mapping[str, Any]) -> str:
    ratio = speed["ratio"]
    verdict = f"{ratio:.1f} times as fast" if ratio >= 1 else f"{1 / ratio:.1f} times as slow"
    threads = f"{speed['threads']} thread{'s' if speed['threads'] > 1 else ''}"
    where = f"onnxruntime ({speed['device']}{f', {threads}' if speed['device'] == 'cpu' else ''})"
    return (
        f"{where} is {verdict}: {duration(speed['onnxruntime_seconds'])} against {duration(speed['numpy_seconds'])} "
        f"for NumPy, median of {speed['runs']} runs over {speed['samples']:,} samples in batches of "
        f"{speed['batch_size']}"
    )


def _draw(
    show: Screen, options: Options, name: str, history: Mapping[str, Any], y: Any, predicted: Array | None
) -> list[Path]:
    """Draws what there is to draw and returns the files."""
    from seqc import plots

    curve, matrix = options.output / "loss.png", options.output / "confusion.png"
    try:
        plots.loss_curve(history, curve, title=name)
    except MissingDependencyError as error:
        show.line(f"\nNo plots: {error}")
        return []
    drawn = [curve]
    truth = None if predicted is None else true_classes(y, predicted)
    if truth is not None and predicted is not None:
        plots.confusion_matrix(truth, predicted, matrix, title=f"{name}: test samples")
        drawn.append(matrix)
    show.line(f"\nDrawn: {', '.join(map(str, drawn))}")
    return drawn


def _verdict(goals: Sequence[Goal], comparison: Comparison, enforced: bool) -> str:
    problems = [] if comparison.agree else ["onnxruntime and NumPy predict differently"]
    if enforced:
        problems += [f"{goal.name} is {number(goal.reached)}, target {goal}" for goal in goals if not goal.met]
    if problems:
        return f"FAILED: {'; '.join(problems)}."
    if goals and not enforced:
        return "Passed as a trial (--limit): the target was not enforced."
    return "Passed." if goals else "Passed; there is no TARGET to reach."
