"""The steps of `seqc bench train`."""

from __future__ import annotations

import os
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqc import tree
from seqc.analysis import step_flops
from seqc.backends.numpy.target import NUMPY
from seqc.cli._data import check_samples, read_data, rows, sample_count
from seqc.cli._gemm import SIDE, gemm_rate
from seqc.cli._output import Screen, amount, check_output, count, duration
from seqc.cli._profile import layer_scopes, profile_result, show_profile
from seqc.cli._source import ModelFile, load_file
from seqc.errors import ConfigError, DataError
from seqc.graph import dims
from seqc.model import Model
from seqc.passes.duplicates import merge_duplicates
from seqc.training.sources import DEFAULT_BATCH_SIZE
from seqc.training.timing import profile_steps, threads_used, time_steps, training_step

MOST_SAMPLES = 10**8


@dataclass(frozen=True)
class Options:
    """What the user asked for; see the help of `seqc bench train`."""

    file: Path
    batch_size: int | None
    steps: int
    epochs: int
    threads: int | None
    profile: bool
    output: Path | None


@dataclass(frozen=True)
class Speed:
    """What was measured.

    `epochs` holds the seconds per step of each, `flops` the operations of a step, None if not known; rates are
    floating-point operations per second.
    """

    batch_size: int
    epochs: tuple[float, ...]
    flops: int | None
    threads: int
    gemm_one_thread: float
    gemm: float

    @property
    def step(self) -> float:
        return statistics.median(self.epochs)

    @property
    def rate(self) -> float | None:
        return None if self.flops is None else self.flops / self.step


def run(show: Screen, options: Options) -> None:
    """Measures and shows everything."""
    _check_output(options)
    if options.threads is not None:
        os.environ["SEQC_NUM_THREADS"] = str(options.threads)
    file = load_file(options.file)
    model, (x, y) = _compiled(file), _samples(file)
    batch_size = _batch_size(file, options)
    if (samples := batch_size * options.steps) > MOST_SAMPLES:
        raise ConfigError(
            f"{count(options.steps, 'step')} of {count(batch_size, 'sample')} need {samples:,} samples in memory; at "
            f"most {MOST_SAMPLES:,} are taken. Give a smaller --batch-size or fewer --steps."
        )
    speed = _measure(model, x, y, batch_size, options)
    _show_speed(show, file, speed, options)
    result = _speed_result(file, speed, options)
    if options.profile:
        take = [i % sample_count(x) for i in range(batch_size)]
        timings = profile_steps(model, rows(x, take), rows(y, take), options.steps)
        show_profile(show, timings, options.steps, layer_scopes(model.layers))
        result |= profile_result(timings, options.steps)
        if options.output is not None:
            from seqc.plots import step_profile

            step_profile(
                timings, options.steps, options.output, f"{file.name}: a training step of {count(batch_size, 'sample')}"
            )
            show.line(f"\nDrawn: {options.output}")
            result["picture"] = str(options.output)
    show.result(result)


def _check_output(options: Options) -> None:
    """Finds what keeps the picture from being drawn before time is spent."""
    if options.output is None:
        return
    if not options.profile:
        raise ConfigError("-o draws a profile: give --profile with it.")
    check_output(options.output, ".png", ".svg")
    from seqc.plots import require_matplotlib

    require_matplotlib()


def _compiled(file: ModelFile) -> Model:
    model = file.build()
    if not model.compiled:
        raise ConfigError(f"{file.path}: the model is not compiled. Call model.compile(optimizer, loss) in build().")
    return model


def _samples(file: ModelFile) -> tuple[Any, Any]:
    (x, y), _ = file.data()
    x, y = read_data(x, "x_train"), read_data(y, "y_train")
    check_samples(x, "x_train", file.path)
    for array in tree.flatten(y):
        if not array.ndim or len(array) != sample_count(x):
            raise DataError(
                f"{file.path}: data() gives {sample_count(x)} training samples, and y_train has shape {array.shape}."
            )
    return x, y


def _batch_size(file: ModelFile, options: Options) -> int:
    size = options.batch_size or file.fit.get("batch_size") or DEFAULT_BATCH_SIZE
    if not isinstance(size, int):
        raise ConfigError(f"{file.path}: batch_size in FIT must be a whole number; got {size!r}.")
    return size


def _measure(model: Model, x: Any, y: Any, batch_size: int, options: Options) -> Speed:
    epochs = time_steps(model, x, y, batch_size, options.steps, options.epochs)
    step, arrays = training_step(model, rows(x, slice(1)), rows(y, slice(1)))
    shapes = [(batch_size, *a.shape[1:]) for a in arrays]
    sizes = dims.bind_sizes(
        (value.type.shape, shape)
        for value, shape in zip(step.graph.inputs, shapes, strict=False)
        if value.type.rank == len(shape)
    )
    threads = threads_used(step)
    alone = gemm_rate(1)
    return Speed(
        batch_size=batch_size,
        epochs=tuple(epochs),
        flops=step_flops(merge_duplicates(step.graph, NUMPY), sizes),
        threads=threads,
        gemm_one_thread=alone,
        gemm=alone if threads == 1 else gemm_rate(threads),
    )


def _show_speed(show: Screen, file: ModelFile, speed: Speed, options: Options) -> None:
    show.line(f"Training steps of {file.name} ({file.path})")
    show.rows(
        [
            ("batch", count(speed.batch_size, "sample")),
            ("measured", f"{count(options.epochs, 'epoch')} of {count(options.steps, 'step')}, after one to warm up"),
            ("threads", str(speed.threads)),
            ("step", f"{duration(speed.step)} (median of epochs; fastest {duration(min(speed.epochs))})"),
            ("samples", f"{speed.batch_size / speed.step:,.0f} per second"),
            ("operations", _operations(speed)),
            ("products", _products(speed)),
        ]
    )


def _operations(speed: Speed) -> str:
    if speed.rate is None:
        return "not known: there are operators without a rule, or axes of unknown size"
    share = speed.rate / speed.gemm
    return f"{amount(speed.flops)} per step, {speed.rate / 1e9:.3g} GFLOP/s: {_percent(share)} of what products reach"


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.01 else f"{share * 100:.2g}%"


def _products(speed: Speed) -> str:
    text = f"{speed.gemm_one_thread / 1e9:.3g} GFLOP/s on one thread"
    if speed.threads > 1:
        text += f", {speed.gemm / 1e9:.3g} on {speed.threads}"
    return f"{text} ({SIDE} x {SIDE} float32 matrices)"


def _speed_result(file: ModelFile, speed: Speed, options: Options) -> dict[str, Any]:
    return {
        "name": file.name,
        "file": str(file.path),
        "batch_size": speed.batch_size,
        "steps": options.steps,
        "epochs": options.epochs,
        "threads": speed.threads,
        "seconds_per_step": speed.step,
        "fastest_seconds_per_step": min(speed.epochs),
        "epoch_seconds_per_step": list(speed.epochs),
        "samples_per_second": speed.batch_size / speed.step,
        "flops_per_step": speed.flops,
        "flops_per_second": speed.rate,
        "gemm": {"side": SIDE, "one_thread_flops_per_second": speed.gemm_one_thread, "flops_per_second": speed.gemm},
        "share_of_gemm": None if speed.rate is None else speed.rate / speed.gemm,
    }
