"""What computes predictions: NumPy, or onnxruntime where a script asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from seqc.backends.numpy.workers import thread_count
from seqc.errors import ConfigError
from seqc.graph.ir import Array, Graph, Value
from seqc.graph.tracing import Variable
from seqc.text import shorten
from seqc.training.data import Batch
from seqc.training.hooks import overrides

if TYPE_CHECKING:
    from seqc.export.session import VerifiedSession
    from seqc.training.step import Step
    from seqc.training.stepper import Stepper

# A graph whose inputs are those of the model, then one per variable; the variables by these; how many the model has.
Parts = tuple[Graph, dict[Value, Variable], int]

# Sessions kept of one model, each with a copy of its weights: of models with a call of their own one a kind of batch.
KEPT_SESSIONS = 8

NUMPY, ONNXRUNTIME = BACKENDS = ("numpy", "onnxruntime")


def check_backend(name: str, value: Any) -> str:
    """Returns what is to compute predictions.

    Raises:
        ConfigError: it is none of `BACKENDS`.
    """
    if value not in BACKENDS:
        raise ConfigError(f"{name} must be 'numpy' or 'onnxruntime'; got {shorten(repr(value), 80)}.")
    return str(value)


def predictor(trainer: Stepper, backend: str) -> Callable[[Batch], list[Array]]:
    """Returns what gives the outputs for the batches of one pass."""
    if backend == NUMPY:
        return lambda batch: trainer.run_batch("predict", batch)
    return OnnxPass(trainer)


class OnnxPass:
    """One pass of predictions in onnxruntime, in which the model does not change.

    The model is exported in memory and verified when it is first needed, and again when its weights have changed.
    """

    def __init__(self, trainer: Stepper) -> None:
        self._trainer = trainer
        self._checked: dict[Any, VerifiedSession] = {}

    def __call__(self, batch: Batch) -> list[Array]:
        if any(array is not None and not array.size for array in batch):
            # Over nothing some of onnxruntime's operators end the process, as GRU does over sequences without steps.
            return self._trainer.run_batch("predict", batch)
        step = self._trainer.step_for("predict", batch)
        # A graph of layers is one file for all sizes that it leaves open; what is called otherwise, one for each.
        model = self._trainer.model
        whole = not model.shaped_by_call and not overrides(model, "predict_step")
        key = (self._trainer.flags, None if whole else step)
        if key not in self._checked:
            self._checked[key] = self._current(key, step, whole)
        results = self._checked[key].run([array for array in batch if array is not None])
        return [result.astype(y.dtype, copy=False) for result, y in zip(results, step.graph.outputs, strict=False)]

    def _current(self, key: Any, step: Step, whole: bool) -> VerifiedSession:
        from seqc.export.session import VerifiedSession

        kept = self._trainer.sessions
        if key not in kept or not kept[key].is_current():
            kept.pop(key, None)
            while len(kept) >= KEPT_SESSIONS:
                kept.pop(next(iter(kept)))
            parts = self._of_model() if whole else self._of_step(step)
            kept[key] = VerifiedSession(*parts, thread_count())
        return kept[key]

    def _of_model(self) -> Parts:
        from seqc.export.model import refuse_memory

        graph, trace = self._trainer.model.graph()
        refuse_memory(self._trainer.model.name, graph, trace.reads, trace.updates)
        return graph, {leaf: variable for variable, leaf in trace.reads.items()}, len(self._trainer.model._ports())

    def _of_step(self, step: Step) -> Parts:
        from seqc.export.model import refuse_memory

        graph, results = step.graph, len(step.graph.outputs) - len(step.writes)
        leaves = graph.inputs[len(graph.inputs) - len(step.reads) :]
        answer = Graph(graph.inputs, graph.outputs[:results], graph.output_names[:results])
        refuse_memory(self._trainer.model.name, answer, dict(zip(step.reads, leaves, strict=True)), step.writes)
        # What the model takes comes first, then seed and step.
        own = len(graph.inputs) - len(leaves) - 2
        return answer, dict(zip(leaves, step.reads, strict=True)), own
