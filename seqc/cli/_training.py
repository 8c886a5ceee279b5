"""The steps of `seqc train`. Whatever can be found wrong is found before the training."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from seqc.callbacks import TensorBoard
from seqc.callbacks.monitor import higher_is_better
from seqc.cli._backends import Output, compare_outputs, comparison_result, labels_of, speed_text, time_backends
from seqc.cli._compare import BATCH_SIZE, counted, true_classes
from seqc.cli._data import Given, check_samples, read_data, read_given, rows, sample_count
from seqc.cli._output import Screen, count, number
from seqc.cli._resume import Backup, GrowingCurve
from seqc.cli._runtime import load_runtime
from seqc.cli._source import ModelFile, load_file
from seqc.cli._stopped import Place, kept_when_stopped
from seqc.errors import ConfigError, DataError, MissingDependencyError
from seqc.export import compile_graph
from seqc.export.model import export_model, inference_graph
from seqc.model import Model
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
    tensorboard: Path | None = None
    resume: bool = False
    given: Given | None = None


@dataclass(frozen=True)
class Data:
    """Training and test data: arrays, or lists and dictionaries of them; and what labels say that were texts."""

    x_train: Any
    y_train: Any
    x_test: Any
    y_test: Any
    classes: Mapping[str, list[str]] = field(default_factory=dict)


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
    data = _load_data(file, model, options)
    _rehearse(file, model, data)
    make_folder(options.output)
    saved, exported = options.output / f"{file.name}.keras", options.output / f"{file.name}.onnx"
    for path in (saved, exported):
        check_target(path)
    model.summary(print_fn=show.line)
    for name, said in data.classes.items():
        show.line(f"\nLabels of '{name}': " + ", ".join(f"{i} {text}" for i, text in enumerate(said)))
    show.line()

    place, backup = Place(), _backup(show, options, file, arguments)
    arguments["callbacks"] = [place, *_watchers(options, arguments), backup, backup.keeper]
    if options.plots:
        arguments["callbacks"].append(GrowingCurve(backup, options.output / "loss.png", file.name))
    with kept_when_stopped(model, place, options.output / f"{file.name}.stopped.keras", backup):
        verbose = 0 if show.as_json else "auto"
        model.fit(data.x_train, data.y_train, verbose=verbose, **arguments)
        history = backup.history()
        metrics = model.evaluate(data.x_test, data.y_test, batch_size=BATCH_SIZE, verbose=0, return_dict=True)
        goals = _goals(file, model, metrics)
        show.line(f"\nTest on {count(sample_count(data.x_test), 'sample')}:")
        _show_metrics(show, metrics, goals)
        model.save(saved)
    backup.forget()
    receipt = export_model(model, exported, classes=_class_names(model, data.classes) or None)
    show.line(f"\nSaved {saved} and exported:")
    show.line(str(receipt))

    loaded = runtime.load(exported)
    outputs = compare_outputs(model, loaded, data.x_test)
    speed = time_backends(model, loaded, data.x_test)
    show.line("\nNumPy and onnxruntime on the test samples:")
    named = [(f"predictions{f' of {one.name}' if len(outputs) > 1 else ''}", str(one.comparison)) for one in outputs]
    show.rows([*named, ("speed", speed_text(speed))])
    pictures = _draw(show, options, file.name, history, model, data.y_test, outputs) if options.plots else []

    enforced = options.limit is None
    agree = all(one.comparison.agree for one in outputs)
    passed = agree and (not enforced or all(goal.met for goal in goals))
    show.line()
    show.line(_verdict(goals, agree, enforced))
    show.result(
        {
            "passed": passed,
            "name": file.name,
            "seed": options.seed,
            "metrics": metrics,
            "target": {g.name: {"wanted": g.wanted, "reached": g.reached, "met": g.met} for g in goals},
            "target_enforced": enforced,
            "history": history,
            "classes": dict(data.classes),
            "files": {"keras": str(saved), "onnx": str(exported), "plots": [str(p) for p in pictures]},
            "receipt": receipt.to_dict(),
            "predictions": comparison_result(outputs),
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


def _backup(show: Screen, options: Options, file: ModelFile, arguments: Mapping[str, Any]) -> Backup:
    """Returns what keeps the state of the training, with that of an earlier one in it where the user wants it."""
    settings = {"seed": options.seed, "batch_size": arguments.get("batch_size"), "limit": options.limit}
    backup = Backup(options.output / f"{file.name}.backup", settings)
    done = backup.find(options.resume)
    if options.resume:
        show.line(f"Going on after epoch {done}." if done else f"There is nothing to go on with in {backup.folder}.")
        show.line()
    return backup


def _watchers(options: Options, arguments: Mapping[str, Any]) -> list[Any]:
    """Returns the callbacks of FIT, and TensorBoard's where it is wanted."""
    given = [arguments.get("callbacks")]
    if options.tensorboard is not None:
        given.append(TensorBoard(make_folder(options.tensorboard), histogram_freq=1))
    return given


def _class_names(model: Model, said: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Returns what the classes of outputs are called, where labels said it and there are as many scores.

    Args:
        said: what labels that were texts say, in the order of their numbers, by the names of columns.
    """
    outputs, shapes = model._output_names(), model._output_shapes()
    if len(outputs) == 1 and len(said) == 1:
        said = {outputs[0]: next(iter(said.values()))}
    scores = {name: shape[-1] or 0 for name, shape in zip(outputs, shapes, strict=True) if len(shape) > 1}
    return {name: said[name] for name in outputs if name in said and len(said[name]) == max(scores.get(name, 0), 2)}


def _load_data(file: ModelFile, model: Model, options: Options) -> Data:
    classes: Mapping[str, list[str]] = {}
    if options.given is None:
        train, test = file.data()
        given = {"x_train": train[0], "y_train": train[1], "x_test": test[0], "y_test": test[1]}
        given = {name: read_data(part, name) for name, part in given.items()}
    else:
        train, test, classes = read_given(options.given, model)
        given = {"x_train": train[0], "y_train": train[1], "x_test": test[0], "y_test": test[1]}
    parts = Data(**{name: rows(part, slice(options.limit)) for name, part in given.items()}, classes=classes)
    check_samples(parts.x_test, "x_test", file.path)
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


def _draw(
    show: Screen,
    options: Options,
    name: str,
    history: Mapping[str, Any],
    model: Model,
    y: Any,
    outputs: Sequence[Output],
) -> list[Path]:
    """Draws what there is to draw and returns the files."""
    from seqc import plots

    curve = options.output / "loss.png"
    try:
        plots.loss_curve(history, curve, title=name)
    except MissingDependencyError as error:
        show.line(f"\nNo plots: {error}")
        return []
    drawn = [curve]
    heads = model._trainer.compiled.heads
    for output, labels, head in zip(outputs, labels_of(model, y), heads, strict=True):
        truth = None if output.classes is None or labels is None else true_classes(labels, output.classes, head.loss)
        if truth is None or output.classes is None:
            continue
        several = len(outputs) > 1
        suffix, of = (f"_{output.name.replace('/', '_')}", f", {output.name}") if several else ("", "")
        matrix = options.output / f"confusion{suffix}.png"
        try:
            pair = counted(truth, output.classes, head.loss)
            plots.confusion_matrix(*pair, matrix, title=f"{name}{of}: test samples")
            drawn.append(matrix)
        except DataError as error:
            show.line(f"\nNot drawn: {matrix}: {error}")
    show.line(f"\nDrawn: {', '.join(map(str, drawn))}")
    return drawn


def _verdict(goals: Sequence[Goal], agree: bool, enforced: bool) -> str:
    problems = [] if agree else ["onnxruntime and NumPy predict differently"]
    if enforced:
        problems += [f"{goal.name} is {number(goal.reached)}, target {goal}" for goal in goals if not goal.met]
    if problems:
        return f"FAILED: {'; '.join(problems)}."
    if goals and not enforced:
        return "Passed as a trial (--limit): the target was not enforced."
    return "Passed." if goals else "Passed; there is no TARGET to reach."
