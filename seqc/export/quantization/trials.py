"""One trial: a recipe applied to some nodes, and what came of it, from the log where it was done before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from seqc.backends.onnxruntime import Session, version
from seqc.errors import DataError, ExportError
from seqc.export.quantization.graphs import FloatModel
from seqc.export.quantization.latency import Measure
from seqc.export.quantization.log import TrialLog, digest
from seqc.export.quantization.machine import processor
from seqc.export.quantization.recipes import Recipe
from seqc.export.quantization.samples import Feeds, Samples, batches, count_of
from seqc.export.quantization.scores import Scorer, make_scorers, relative_error
from seqc.export.quantization.settings import Settings
from seqc.graph.ir import Array

# Changes whenever a recipe or a score means something else, so that no line of before counts.
FORMAT = 3
# Of runs that only measure accuracy, where a sample's result does not depend on the others.
_TEST_BATCH = 64
OnTrial = Callable[["Trial", float], None]


@dataclass(frozen=True)
class Trial:
    """What a trial found.

    Attributes:
        recipe: its name. in_float: names of nodes that were left in float on purpose. scores: of each output. drop: the
        largest loss of score. error: the largest relative error of an output. file_bytes: size of the file. sha256: of
        the file. wrong: why there is no file, or none that runs; empty where there is one. reused: whether the log had
        it.
    """

    recipe: str
    in_float: tuple[str, ...]
    scores: tuple[float, ...] = ()
    drop: float = np.inf
    error: float = np.inf
    file_bytes: int = 0
    sha256: str = ""
    wrong: str = ""
    reused: bool = False


class Bench:
    """Where trials are done.

    Args:
        model: the float model. samples: the data. settings: what is asked. log: what is known already. measure: tells
        latencies. on_trial: called after each trial, with the share of the way
        that lies behind.

    Raises:
        DataError: the model does not run on the data, or the labels do not fit.
    """

    def __init__(
        self,
        model: FloatModel,
        samples: Samples,
        settings: Settings,
        log: TrialLog,
        measure: Measure,
        on_trial: OnTrial,
    ) -> None:
        self.model, self.samples, self.settings = model, samples, settings
        self._log, self._measure, self._on_trial = log, measure, on_trial
        self._float = Session(model.content, threads=settings.threads)
        self._built: dict[tuple[str, tuple[str, ...]], bytes] = {}
        self.done = self.reused = self._stage = self._told = 0
        self._stages = 1
        self._seen: set[str] = set()
        self.batch_size = model.fixed_batch or settings.batch_size
        self._test_batch = model.fixed_batch or max(self.batch_size, _TEST_BATCH)
        if samples.count < self.batch_size:
            raise DataError(f"A batch of {self.batch_size} needs more samples than the {samples.count} tested.")
        try:
            self.truth = self._run(self._float, self._test_batch)
        except ExportError as error:
            raise DataError(f"{model.name} does not run on these data. {error}") from error
        self.scorers: tuple[Scorer, ...] = make_scorers(model.outputs, self.truth, samples.labels, settings)
        self.float_scores = tuple(s(y) for s, y in zip(self.scorers, self.truth, strict=True))
        # What is asked of a result is no part of what a trial finds.
        asked = {k: v for k, v in settings.to_dict().items() if k not in ("purpose", "max_drop", "plain")}
        sha = hashlib.sha256(model.content).hexdigest()
        self._base = [FORMAT, sha, samples.digest, asked, processor(), version()]

    def attempt(self, recipe: Recipe, in_float: Collection[str] = ()) -> Trial:
        """Returns what quantizing all nodes of a recipe but some gives, without its latency."""
        left = tuple(n for n in recipe.nodes if n in set(in_float))
        key = digest("accuracy", recipe.name, recipe.nodes, left, *self._base)
        known = self._log.find(key)
        if known is not None and (trial := _read_trial(known)) is not None:
            self.reused += key not in self._seen
        else:
            trial = self._tried(recipe, left)
            self.done += 1
            self._log.add(key, _written(trial))
        self._seen.add(key)
        self._told += 1
        self._on_trial(trial, (self._stage + 1 - 1 / (self._told + 1)) / self._stages)
        return trial

    def begin(self, stage: int, stages: int) -> None:
        """Says how far the search is: nobody knows how many trials a recipe takes."""
        self._stage, self._stages, self._told = stage, stages, 0

    def time(self, recipe: Recipe, trial: Trial) -> tuple[float, float]:
        """Returns the seconds of a run of the float model and of a trial's file."""
        key = digest("latency", recipe.name, trial.sha256, *self._base)
        known = self._log.find(key)
        if known is not None and {"float_seconds", "seconds"} <= known.keys():
            return float(known["float_seconds"]), float(known["seconds"])
        feeds = next(batches(self.samples.tested, self.batch_size))
        session = Session(self.content(recipe, trial), threads=self.settings.threads)
        before, after = self._measure(self._float, session, feeds)
        self._log.add(key, {"recipe": recipe.name, "float_seconds": before, "seconds": after})
        return before, after

    def content(self, recipe: Recipe, trial: Trial) -> bytes:
        """Returns the file of a trial.

        Raises:
            ExportError: it is not the file that the log speaks of.
        """
        made = self._build(recipe, trial.in_float)
        if hashlib.sha256(made).hexdigest() != trial.sha256:
            raise ExportError(
                f"The log has other bytes for the recipe {recipe.name} than there are now. Remove {self._log.path}."
            )
        return made

    def _build(self, recipe: Recipe, in_float: tuple[str, ...]) -> bytes:
        key = recipe.name, in_float
        if key not in self._built:
            self._built.clear()  # one at a time: files may be large
            self._built[key] = recipe.build([n for n in recipe.nodes if n not in set(in_float)])
        return self._built[key]

    def _tried(self, recipe: Recipe, left: tuple[str, ...]) -> Trial:
        try:
            content = self._build(recipe, left)
            outputs = self._run(
                Session(content, threads=self.settings.threads),
                self.batch_size if recipe.by_batch else self._test_batch,
            )
        except ExportError as error:
            return Trial(recipe.name, left, wrong=" ".join(str(error).split()))
        scores = tuple(s(y) for s, y in zip(self.scorers, outputs, strict=True))
        errors = [relative_error(y, t) for y, t in zip(outputs, self.truth, strict=True) if t.dtype.kind == "f"]
        return Trial(
            recipe.name,
            left,
            scores=scores,
            drop=max(a - b for a, b in zip(self.float_scores, scores, strict=True)),
            error=max(errors, default=0.0),
            file_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        )

    def _run(self, session: Session, size: int) -> list[Array]:
        """Returns the outputs on all tested samples, run in batches of a size."""
        found: list[list[Array]] = []
        for feeds in batches(self.samples.tested, size):
            results = session.run(feeds)
            found.append([self._rows(results[p.name], feeds, p.name) for p in self.model.outputs])
        return [np.concatenate(parts) for parts in zip(*found, strict=True)]

    def _rows(self, output: Array, feeds: Feeds, name: str) -> Array:
        if not output.ndim or len(output) != count_of(feeds):
            raise DataError(
                f"Output '{name}' has shape {output.shape} for {count_of(feeds)} samples: quantization is measured on "
                "outputs with one row for each sample."
            )
        return output


def _written(trial: Trial) -> dict[str, Any]:
    """Returns a trial as JSON can hold it: infinity, which it cannot, is left out."""
    return {k: v for k, v in asdict(trial).items() if k != "reused" and (k not in ("drop", "error") or np.isfinite(v))}


def _read_trial(known: dict[str, Any]) -> Trial | None:
    """Returns the trial in a line of the log, None where that is another's."""
    try:
        lists = {k: tuple(known[k]) for k in ("in_float", "scores")}
        return Trial(**{**known, **lists}, reused=True)
    except (KeyError, TypeError):
        return None
