"""Comparing an exported model with the graph it came from.

The truth is NumPy in float64 on the graph before any pass. How far onnxruntime may be from it follows from how far
NumPy itself is from it when it computes in the model's own precision on the same inputs: that says what the model makes
of rounding errors, whatever its depth and scale.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from seqc.backends.numpy import Plan
from seqc.backends.onnxruntime import Session
from seqc.errors import SeqcError, VerificationError
from seqc.export.samples import choose_sizes, draw_inputs, runs_at
from seqc.ir import Array, Graph, Value
from seqc.ops.nonlinear import Sigmoid
from seqc.passes import promote_floats

# onnxruntime may lose this many times what NumPy loses in the same precision: it adds in another order and has its own
# exp, tanh and erf. Over 440 comparisons (21 graphs, from two layers to ten, 3 to 20 draws of inputs each) it lost 4.0
# times as much at worst and about as much as a rule; this is twice the worst.
ERROR_FACTOR = 8.0
# Where NumPy is exact by chance, as on a handful of outputs, this many roundings of the largest number are allowed.
LAST_PLACES = 4.0


@dataclass(frozen=True)
class OutputCheck:
    """One output over all inputs tried.

    Attributes:
        error: largest distance from the truth. budget: largest distance allowed. scale: largest number of the truth.
        argmax_agreement: share of rows whose largest element is at the same place; None where rows have one element.
    """

    name: str
    error: float = 0.0
    budget: float = 0.0
    scale: float = 0.0
    argmax_agreement: float | None = None
    wrong: str = ""

    @property
    def passed(self) -> bool:
        return not self.wrong and self.error <= self.budget

    def to_dict(self) -> dict[str, object]:
        return {
            "name": self.name,
            "error": self.error,
            "budget": self.budget,
            "scale": self.scale,
            "argmax_agreement": self.argmax_agreement,
        }


@dataclass(frozen=True)
class Report:
    """What a verification saw: each output, the axis sizes tried, and how long it took in seconds."""

    outputs: tuple[OutputCheck, ...]
    sizes: tuple[Mapping[str, int], ...]
    seconds: float

    @property
    def passed(self) -> bool:
        return all(o.passed for o in self.outputs)

    @property
    def worst(self) -> OutputCheck:
        """The output that came closest to its budget, or went furthest beyond it."""
        return max(self.outputs, key=lambda o: (bool(o.wrong), o.error / o.budget if o.budget else o.error))

    def to_dict(self) -> dict[str, object]:
        return {
            "outputs": [o.to_dict() for o in self.outputs],
            "sizes": [dict(s) for s in self.sizes],
            "seconds": self.seconds,
        }


def verify(
    reference: Graph,
    model: bytes,
    *,
    compile_graph: Callable[[Graph], bytes] | None = None,
    seed: int = 0,
    threads: int | None = None,
) -> Report:
    """Runs a model in onnxruntime against its graph in NumPy, at several sizes of every symbolic axis.

    Args:
        reference: the graph before any pass. model: the .onnx file's bytes. compile_graph: turns a graph into such
        bytes; given, a failure is traced to the first layer that computes other numbers. seed: of the inputs drawn.
        threads: for onnxruntime.

    Raises:
        VerificationError: an output differs by more than its budget, is not finite where the truth is, or has another
        shape. ExportError: onnxruntime does not load or run the model. MissingDependencyError: it is not installed.
    """
    report = compare(reference, model, seed=seed, threads=threads)
    if report.passed:
        return report
    culprit = None if compile_graph is None else _find_culprit(reference, compile_graph, seed, threads)
    raise VerificationError(_message(report, culprit))


def compare(reference: Graph, model: bytes, *, seed: int = 0, threads: int | None = None) -> Report:
    """Returns how a model compares with its graph, without judging; see `verify`."""
    start = time.perf_counter()
    session = Session(model, threads=threads)
    single, truth = Plan(reference), Plan(promote_floats(reference))
    sizes = choose_sizes(reference, runs_at(single.run, reference))
    checks = {name: OutputCheck(name) for name in reference.output_names}
    losses = dict.fromkeys(reference.output_names, 0.0)
    agreements: dict[str, list[float]] = {name: [] for name in reference.output_names}
    for i, size in enumerate(sizes):
        arrays = draw_inputs(reference, size, seed + i)
        got = session.run(dict(zip(reference.input_names, arrays, strict=True)))
        with np.errstate(all="ignore"):
            exact = truth.run([_promoted(a) for a in arrays])
            rounded = single.run(arrays)
        for name, t, r in zip(reference.output_names, exact, rounded, strict=True):
            checks[name] = _worse(checks[name], got[name], np.asarray(t), np.asarray(r))
            losses[name] = max(losses[name], _distance(np.asarray(r), np.asarray(t)))
            agreements[name] += _agreements(got[name], np.asarray(t))
    finished = []
    for y, name in zip(reference.outputs, reference.output_names, strict=True):
        places = np.finfo(y.type.dtype).eps if y.type.is_float else 0.0
        # onnxruntime's sigmoid is exact to places of one, however small the result.
        scale = max(checks[name].scale, 1.0) if isinstance(y.op, Sigmoid) else checks[name].scale
        budget = ERROR_FACTOR * losses[name] + LAST_PLACES * float(places) * scale
        agreement = float(np.mean(agreements[name])) if agreements[name] else None
        finished.append(replace(checks[name], budget=budget, argmax_agreement=agreement))
    return Report(tuple(finished), tuple(sizes), time.perf_counter() - start)


def _promoted(array: Array) -> Array:
    return array.astype(np.float64) if np.issubdtype(array.dtype, np.floating) else array


def _worse(check: OutputCheck, got: Array, truth: Array, single: Array) -> OutputCheck:
    """Returns the check with one more run taken in."""
    if got.shape != truth.shape:
        return replace(check, wrong=f"has shape {got.shape}, not {truth.shape}")
    if not np.issubdtype(truth.dtype, np.floating):
        # Whole numbers agree with the truth or, where rounding decides (two equal maxima), with NumPy's rounding.
        same = (got == truth) | (got == single)
        return check if bool(np.all(same)) else replace(check, wrong=f"differs in {int(np.sum(~same))} whole numbers")
    finite = np.isfinite(truth) & np.isfinite(single)
    strange = np.isfinite(got) != np.isfinite(single)
    if np.any(strange & finite):
        return replace(check, wrong="is not finite where it should be")
    if np.any(strange & ~np.isfinite(truth)):
        return replace(check, wrong="is finite where it should not be")
    scale = float(np.max(np.abs(truth[finite]), initial=0.0))
    return replace(check, error=max(check.error, _distance(got, truth)), scale=max(check.scale, scale))


def _distance(a: Array, truth: Array) -> float:
    if not np.issubdtype(truth.dtype, np.floating):
        return 0.0
    both = np.isfinite(a) & np.isfinite(truth)
    return float(np.max(np.abs(a[both].astype(np.float64) - truth[both]), initial=0.0))


def _agreements(got: Array, truth: Array) -> list[float]:
    floating = np.issubdtype(truth.dtype, np.floating)
    if not floating or truth.ndim < 2 or truth.shape[-1] < 2 or got.shape != truth.shape:
        return []
    return [float(np.mean(got.argmax(-1) == truth.argmax(-1)))]


@dataclass(frozen=True)
class _Culprit:
    value: Value
    check: OutputCheck


def _find_culprit(
    reference: Graph, compile_graph: Callable[[Graph], bytes], seed: int, threads: int | None
) -> _Culprit | None:
    """Returns the first layer whose result, exported alone with what comes before it, is wrong."""
    for value in _boundaries(reference):
        part = Graph(reference.inputs, (value,), ("output",))
        try:
            report = compare(part, compile_graph(part), seed=seed, threads=threads)
        except SeqcError:
            continue
        if not report.passed:
            return _Culprit(value, report.worst)
    return None


def _boundaries(graph: Graph) -> Sequence[Value]:
    """Returns the last value of each scope that another scope or the caller uses, in the order of computing."""
    leaving = {y for y in graph.outputs if y.inputs}
    for value in graph.walk():
        leaving |= {x for x in value.inputs if x.inputs and x.scope != value.scope and not isinstance(x.result, tuple)}
    last: dict[str, Value] = {}
    order = graph.walk()
    for value in order:
        if value in leaving:
            last[value.scope] = value
    chosen = set(last.values())
    return [v for v in order if v in chosen]


def _message(report: Report, culprit: _Culprit | None) -> str:
    worst = report.worst if culprit is None else culprit.check
    if culprit is None:
        who = f"Output '{worst.name}'"
    else:
        who = f"Layer '{culprit.value.scope}'" if culprit.value.scope else f"{culprit.value.op!r}"
    what = f"{worst.wrong} in onnxruntime" if worst.wrong else (
        f"computes other numbers in onnxruntime than in NumPy: the largest error is {worst.error:.3g}, at most"
        f" {worst.budget:.3g} is allowed (numbers up to {worst.scale:.3g})"
    )  # fmt: skip
    return f"{who} {what}. Nothing was written. Report it with the model, or export with verify=False."
