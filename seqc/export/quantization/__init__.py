"""Quantization that wins or does not happen: every way to do it is measured on the user's data and machine.

Importing this package imports neither onnx nor onnxruntime; its function does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqc.errors import ConfigError, QuantizationError
from seqc.utils.files import check_target

if TYPE_CHECKING:
    from seqc.export.quantization.graphs import FloatModel
    from seqc.export.quantization.latency import Measure
    from seqc.export.quantization.report import Quantization
    from seqc.export.quantization.search import Candidate
    from seqc.export.quantization.trials import Bench, Trial
    from seqc.model import Model


def quantize(
    model: Model | str | os.PathLike[str],
    path: str | os.PathLike[str],
    x: Any,
    y: Any = None,
    *,
    purpose: str = "speed",
    max_drop: float = 0.005,
    batch_size: int = 1,
    threads: int | None = None,
    measure: str = "auto",
    calibration: int | None = None,
    plain: bool = False,
    log: str | os.PathLike[str] | None = None,
    latency: Measure | None = None,
    on_trial: Callable[[Trial, float], None] | None = None,
) -> Quantization:
    """Writes a model as a quantized ONNX file, if one is as good as asked on the data given and on this machine.

    Weights and activations in eight bits by ranges from samples (convolutions, products), by ranges found in each run
    (products, LSTM, tables), and large weights alone in blocks of eight or four bits are tried. Layers that lose too
    much stay in float, found by bisection. Accuracy is measured on other samples than those that ranges are taken from.

    Args:
        model: a built model, or the .onnx file of one. path: the file to write; it is replaced only by a result that is
        as good as asked.
        x: samples: an array for the one input, or a dictionary or open .npz file by names of inputs, in which arrays
        named as outputs, or 'y', are labels. y: labels, an array for the one output or a dictionary by names of
        outputs: classes, or numbers. Outputs without labels are compared with the float model's.
        purpose: "speed" for a file that is faster, "size" for one that is smaller.
        max_drop: how much of the score may be lost, 0.005 for half a percentage point of accuracy.
        batch_size: samples per run. threads: for one operation; None leaves the choice to onnxruntime.
        measure: how outputs without labels are compared: "argmax" (share of rows whose largest element is at the same
        place), "error" (relative error), or "auto": the former for probabilities.
        calibration: how many samples ranges are taken from, 256 and at most a quarter by default. plain: whether to use
        operators of ONNX itself only, for other programs than onnxruntime.
        log: a file of lines of JSON that remembers trials, for a later run; None for none. latency: tells the seconds
        of a run of two models, for tests and for other clocks. on_trial: called after each
        trial, with the share of the way.

    Raises:
        QuantizationError: nothing was as good as asked, and nothing was written; its `result` has the figures.
        ConfigError: an argument makes no sense. DataError: the data do not fit the model, are too few, or not finite.
        ExportError: the model is quantized already, or has nothing to quantize.

    Example:
        >>> seqc.utils.set_random_seed(0)
        >>> hidden, scores = seqc.layers.Dense(256, "relu"), seqc.layers.Dense(10, "softmax")
        >>> model = seqc.Sequential([seqc.Input((64,)), hidden, scores])
        >>> x = np.random.default_rng(0).normal(size=(400, 64)).astype("float32")
        >>> found = seqc.export.quantize(model, "small.onnx", x, purpose="size", max_drop=0.05)
        >>> found.chosen.file_bytes < found.float_bytes / 2
        True
    """
    from seqc.backends.onnxruntime import import_runtime
    from seqc.export.disk import new_files
    from seqc.export.quantization.latency import measure_latency
    from seqc.export.quantization.log import TrialLog
    from seqc.export.quantization.recipes import recipes_for
    from seqc.export.quantization.samples import read_samples
    from seqc.export.quantization.search import best_of, find_candidates
    from seqc.export.quantization.settings import CALIBRATION_SAMPLES, Settings
    from seqc.export.quantization.trials import Bench

    start = time.perf_counter()
    used = CALIBRATION_SAMPLES if calibration is None else calibration
    settings = Settings(purpose, max_drop, batch_size, threads, measure, used, plain)
    _check_paths(model, path, log)
    import_runtime()
    loaded = _float_model(model)
    samples = read_samples(loaded, x, y, settings)
    bench = Bench(
        loaded, samples, settings, TrialLog(log), latency or measure_latency, on_trial or (lambda trial, share: None)
    )
    candidates = find_candidates(bench, recipes_for(loaded, samples, settings))
    best = best_of(bench, candidates)
    if best is not None:
        with new_files(path) as files:
            files.write_bytes(_signed(bench, best))
    result = _result(bench, candidates, best, path, log, time.perf_counter() - start)
    if best is None:
        raise QuantizationError(result.verdict(), result)
    return result


def _check_paths(model: Any, path: str | os.PathLike[str], log: str | os.PathLike[str] | None) -> None:
    check_target(path)
    if isinstance(model, str | os.PathLike) and Path(path).exists() and Path(path).samefile(model):
        raise ConfigError(f"{os.fspath(path)} is the file that is read. Give another name to write.")
    if log is None:
        return
    if Path(log).resolve() == Path(path).resolve():
        raise ConfigError(f"{os.fspath(log)} cannot be both the log and the file to write.")
    if isinstance(model, str | os.PathLike) and Path(log).exists() and Path(log).samefile(model):
        raise ConfigError(f"{os.fspath(log)} is the file that is read. Give another name for the log.")


def _float_model(model: Model | str | os.PathLike[str]) -> FloatModel:
    """Returns the model of a file, or of a model that is exported, and verified, on the way."""
    import tempfile

    from seqc.export.model import export_model
    from seqc.export.quantization.graphs import FloatModel, read_float_model

    if isinstance(model, str | os.PathLike):
        return read_float_model(model)
    with tempfile.TemporaryDirectory(prefix="seqc_quantize_") as folder:
        file = Path(folder, "float.onnx")
        export_model(model, file)
        return FloatModel(file.read_bytes(), f"model '{model.name}'")


def _signed(bench: Bench, best: Candidate) -> bytes:
    """Returns the file of a candidate, which says of itself what it was made of and how."""
    import hashlib
    import json

    import onnx

    from seqc.export.about import TRAINING, without_weights
    from seqc.export.disk import HASH

    proto = onnx.ModelProto()
    proto.ParseFromString(bench.content(best.recipe, best.trial))
    said = {
        "recipe": best.recipe.name,
        "in_float": list(best.trial.in_float),
        "of": hashlib.sha256(bench.model.content).hexdigest(),
    }
    # Not the quantizer's notes, and nothing of weights that it does not have any more.
    kept = {p.key: p.value for p in proto.metadata_props if not p.key.startswith("onnx.") and p.key != HASH}
    if TRAINING in kept:
        kept[TRAINING] = without_weights(kept[TRAINING])
    del proto.metadata_props[:]
    for key, value in (*kept.items(), ("seqc.quantized", json.dumps(said))):
        proto.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString(deterministic=True))


def _result(
    bench: Bench,
    candidates: list[Candidate],
    best: Candidate | None,
    path: str | os.PathLike[str],
    log: str | os.PathLike[str] | None,
    seconds: float,
) -> Quantization:
    from seqc.export.quantization.report import Quantization, Row
    from seqc.export.quantization.samples import count_of
    from seqc.export.quantization.search import refusal

    rows = []
    for one in candidates:
        trial, ran = one.trial, not one.trial.wrong
        drops = [a - b for a, b in zip(bench.float_scores, trial.scores, strict=False)]
        rows.append(
            Row(
                recipe=one.recipe.name,
                what=one.recipe.what,
                score=trial.scores[drops.index(max(drops))] if ran else None,
                drop=trial.drop if ran else None,
                in_float=_layers(trial.in_float),
                file_bytes=trial.file_bytes if ran else None,
                seconds=one.seconds,
                speedup=one.speedup,
                refused=refusal(bench, one),
                chosen=one is best,
            )
        )
    return Quantization(
        path=None if best is None else os.fspath(path),
        model=bench.model.name,
        purpose=bench.settings.purpose,
        max_drop=bench.settings.max_drop,
        measured={s.name: s.kind for s in bench.scorers},
        float_scores={s.name: score for s, score in zip(bench.scorers, bench.float_scores, strict=True)},
        tested=bench.samples.count,
        calibration=count_of(bench.samples.calibration),
        batch_size=bench.batch_size,
        threads=bench.settings.threads,
        float_bytes=len(bench.model.content),
        float_seconds=next((c.float_seconds for c in candidates if c.float_seconds is not None), None),
        rows=tuple(rows),
        trials=bench.done,
        reused=bench.reused,
        log=None if log is None else os.fspath(log),
        seconds=seconds,
    )


def _layers(nodes: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the layers that nodes are named after, each once."""
    from seqc.export.quantization.graphs import layer_of

    return tuple(dict.fromkeys(layer_of(n) for n in nodes))
