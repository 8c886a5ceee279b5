"""Verifying that an exported file computes what its graph computes.

The truth is NumPy in float64 on the graph before any pass. There are three parts, none of which sees everything:

- the file, as it is, in onnxruntime against the truth, at several sizes of every symbolic axis. How far it may be off
  follows from what the model makes of rounding errors, whatever its depth and scale (`budgets`);
- the passes: the graph after them against the graph before them, both in double precision (`rewritten`);
- the file cut into single operations, each on operands that it cannot be blind to (`nodes`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from seqc.backends.onnxruntime import Session
from seqc.errors import VerificationError
from seqc.export.compare import ERROR_FACTOR, LAST_PLACES, argmax_agreement, compare_arrays, distance, ordered_budget
from seqc.export.noise import with_rounding
from seqc.export.pipelines import FOR_INFERENCE
from seqc.export.report import Fault, OutputCheck, Report
from seqc.export.rewritten import Truth, check_passes, first_rewritten, wide, with_lively_weights
from seqc.export.rigorous import with_bounds
from seqc.export.samples import Sampler, choose_sizes
from seqc.export.sums import in_order
from seqc.export.ties import DRAWS, NOISE_FACTOR, Ties
from seqc.graph.element_types import float_info
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph, Value
from seqc.passes.half_precision import RoundTo
from seqc.passes.pipeline import run_passes
from seqc.passes.precision import promote_floats
from seqc.utils.working import Tell, nobody

if TYPE_CHECKING:
    from seqc.export.emitter import Emission

__all__ = ["Fault", "OutputCheck", "Report", "compare", "verify"]

# An output is trusted to show mistakes inside when other inputs move it by so many times its budget.
SEEING = 10_000.0
# Added to the seed for other inputs than those that are compared.
OTHER = 1_000


def verify(
    reference: Graph,
    model: bytes | os.PathLike[str],
    emission: Emission | None = None,
    *,
    if_blind: Callable[[], Emission] | None = None,
    single: Graph | None = None,
    seed: int = 0,
    threads: int | None = None,
    allow_nonfinite: bool = False,
    reorder: bool = True,
    tell: Tell = nobody,
) -> Report:
    """Runs a model in onnxruntime against its graph in NumPy, at several sizes of every symbolic axis.

    Args:
        reference: the graph before any pass. model: the .onnx file's bytes, or its path, which takes less
        memory. emission: the graph after the passes and
        the names of its values in the file; given, the passes and every single operation are checked, too.
        if_blind: gives the same where it is needed only if the outputs hardly depend on the inputs.
        single: what NumPy computes in the file's precision, where that is another one than the reference's.
        seed: of the inputs drawn. threads: for onnxruntime.
        allow_nonfinite: whether outputs may lack any finite number.
        reorder: whether onnxruntime may reorder weights, see `Session`. tell: is told how far it is.

    Raises:
        VerificationError: an output differs by more than its budget, is not finite where the truth is, has no finite
        number, or has another shape; or a part of the file computes other numbers. ExportError: onnxruntime does not
        load or run the model. MissingDependencyError: it is not installed.
    """
    report = compare(
        reference,
        model,
        emission,
        if_blind=if_blind,
        single=single,
        seed=seed,
        threads=threads,
        allow_nonfinite=allow_nonfinite,
        reorder=reorder,
        tell=tell,
    )
    if report.passed:
        return report
    fault = report.fault or Fault(f"Output '{report.worst.name}'", report.worst)
    raise VerificationError(f"{fault}. Nothing was written. Report it with the model, or export with verify=False.")


def compare(
    reference: Graph,
    model: bytes | os.PathLike[str],
    emission: Emission | None = None,
    *,
    if_blind: Callable[[], Emission] | None = None,
    single: Graph | None = None,
    seed: int = 0,
    threads: int | None = None,
    allow_nonfinite: bool = False,
    reorder: bool = True,
    tell: Tell = nobody,
    providers: Sequence[Any] = ("CPUExecutionProvider",),
) -> Report:
    """Returns how a model compares with its graph, without judging; see `verify`. `providers` run the whole file."""
    start = time.perf_counter()
    runs = _Runs(reference, seed, single, tell)
    tell("onnxruntime loads it", 0, 1)
    session = Session(model, threads=threads, providers=providers, reorder=reorder)
    outputs = runs.checks(session, allow_nonfinite)
    values, fault = 0, None
    if emission is None and if_blind is not None and runs.are_blind(outputs):
        emission = if_blind()
    if emission is not None:
        tell("every operation is compared", 0, 1)
        values, fault = _look_inside(reference, model, emission, runs, seed)
        outputs = runs.bounded(outputs, emission)
    return Report(outputs, tuple(runs.sizes), time.perf_counter() - start, values, fault)


class _Runs:
    """The file and NumPy side by side on the same inputs."""

    def __init__(self, reference: Graph, seed: int, single: Graph | None, tell: Tell) -> None:
        self._tell = tell
        self._graph, self._half = reference, single is not None
        self._single, self._double = Interpreter(single or reference), Interpreter(promote_floats(reference))
        self._ties = Ties(reference, single)
        self._sampler = Sampler(reference)
        self.sizes = choose_sizes(reference, self._sampler.works(self._single.run))
        self._seed = seed
        self._drawn = [self._sampler.draw(size, seed + i) for i, size in enumerate(self.sizes)]
        self._truths: dict[int, list[Array]] = {}

    def checks(self, session: Session, allow_nonfinite: bool) -> tuple[OutputCheck, ...]:
        """Returns one check for each output. The session ends before NumPy begins: each has the weights once more."""
        others = self._other_samples()
        drawn = [*self._drawn, *others]
        names = self._graph.input_names
        got = []
        for i, arrays in enumerate(drawn):
            self._tell("onnxruntime runs it", i, len(drawn))
            got.append(session.run(dict(zip(names, arrays, strict=True))))
        session.close()
        found = self._compared(self._drawn, got[: len(self._drawn)])
        for arrays, result in zip(others, got[len(self._drawn) :], strict=True):
            found = tuple(map(_joined, found, self._compared([arrays], [result])))
        return found if allow_nonfinite else tuple(map(_counted, found))

    def _other_samples(self) -> list[list[Array]]:
        """Returns inputs with a budget of their own: large ones, whose errors are as large, and texts without words."""
        sampler, run, size = self._sampler, self._single.run, self.sizes[0]
        # No numbers are large that half precision holds.
        large = None if self._half else sampler.draw_large(run, size, self._seed)
        return [found for found in (large, sampler.draw_wordless(run, size, self._seed)) if found is not None]

    def are_blind(self, checks: Sequence[OutputCheck]) -> bool:
        """Tells whether some output hardly depends on the input, beside how far it may be off.

        Many mistakes inside would leave such an output where it is.
        """
        at = max(range(len(self._drawn)), key=lambda i: sum(a.size for a in self._drawn[i]))
        truth, other = self.truth(self._drawn[at]), self.truth(self._sampler.draw(self.sizes[at], self._seed + OTHER))
        for check, a, b in zip(checks, truth, other, strict=True):
            if a.dtype.kind != "f" or not distance(a, b) > SEEING * check.budget:
                return True
        return False

    def bounded(self, checks: tuple[OutputCheck, ...], emission: Emission) -> tuple[OutputCheck, ...]:
        """Returns the checks with what the file can be off at most, where float32 is what it computes in."""
        if self._half or not any(y.dtype == "float32" for y in self._graph.outputs):
            return checks
        self._tell("rounding errors are added up", 0, 1)
        return with_bounds(checks, self._graph, emission.graph, self._drawn)

    def few_samples(self) -> list[list[Array]]:
        """Returns inputs for a batch of two, where there is one, and two lengths, where there are some."""
        return [x for x, size in zip(self._drawn, self.sizes, strict=True) if size.get("batch", 2) == 2][:2]

    def truth(self, arrays: Sequence[Array]) -> list[Array]:
        """Returns the outputs in double precision, computed once for each of the samples drawn."""
        key = next((i for i, known in enumerate(self._drawn) if known is arrays), -1)
        if key < 0:
            return _run(self._double, arrays)
        if key not in self._truths:
            self._truths[key] = _run(self._double, arrays)
        return self._truths[key]

    def _compared(
        self, drawn: Sequence[Sequence[Array]], results: Sequence[Mapping[str, Array]]
    ) -> tuple[OutputCheck, ...]:
        graph = self._graph
        names = graph.output_names
        checks, losses = [OutputCheck(name) for name in names], [0.0] * len(names)
        agreements: list[list[float]] = [[] for _ in names]
        for at, (arrays, got) in enumerate(zip(drawn, results, strict=True)):
            self._tell("NumPy computes it in double precision", at, len(drawn))
            truth, single = self.truth(arrays), [np.asarray(y) for y in self._single.run(list(arrays))]
            for i, (name, t, s) in enumerate(zip(names, truth, single, strict=True)):
                checks[i] = compare_arrays(checks[i], got[name], t, s, partial(self._ties.near, i, arrays))
                if self._half and t.dtype.kind == "f" and np.any(np.isfinite(t) & ~np.isfinite(s)):
                    raise VerificationError(_beyond(self._single.graph, arrays))
                losses[i] = max(losses[i], distance(s, t))
                agreements[i] += argmax_agreement(got[name], t)
        for i, y in enumerate(graph.outputs):
            budget = ERROR_FACTOR * losses[i] + LAST_PLACES * _eps(y) * checks[i].scale
            agreement = float(np.mean(agreements[i])) if agreements[i] else None
            checks[i] = replace(checks[i], budget=budget, argmax_agreement=agreement)
        if any(not c.passed and not c.wrong for c in checks):
            checks = [replace(c, budget=max(c.budget, b)) for c, b in zip(checks, self._ordered(drawn), strict=True)]
        if any(not c.passed and not c.wrong for c in checks):
            # NumPy may be exact where onnxruntime cannot be: what do rounding errors come to that are right to make?
            responses = self._responses(max(drawn, key=lambda arrays: sum(a.size for a in arrays)))
            checks = [replace(c, budget=c.budget + NOISE_FACTOR * r) for c, r in zip(checks, responses, strict=True)]
        # Zeros would pass, too: because numbers are too small, or because a decision may fall otherwise here and there.
        lost = next((c for c in checks if self._half and c.budget >= c.scale > 0), None)
        tiny = _layer_without_digits(self._single.graph, drawn[-1]) if lost is not None else ""
        if lost is not None and tiny:
            raise VerificationError(
                f"In float16, output '{lost.name}' may be off by {lost.budget:.3g}, and its numbers are "
                f"{lost.scale:.3g} at most. Layer '{tiny}' has numbers so small that float16 holds few digits of them. "
                f"Keep such layers, and what reads them, in float32: float32_layers=['{tiny}', ...]; or export in "
                "float32. Nothing was written."
            )
        return tuple(checks)

    def _ordered(self, drawn: Sequence[Sequence[Array]]) -> list[float]:
        """Returns how far off each output may be where sums are taken one term after another."""
        run = Interpreter(in_order(self._single.graph)).run
        budgets = [0.0] * len(self._graph.outputs)
        for arrays in drawn:
            ordered = [np.asarray(y) for y in run(list(arrays))]
            budgets = list(map(max, budgets, map(ordered_budget, self.truth(arrays), ordered)))
        return budgets

    def _responses(self, arrays: Sequence[Array]) -> list[float]:
        """Returns how far each output moves by rounding errors in every operation."""
        truth = self.truth(arrays)
        moved = [_run(Interpreter(with_rounding(self._graph, np.random.default_rng(i))), arrays) for i in range(DRAWS)]
        return [max(distance(m[i], t) for m in moved) for i, t in enumerate(truth)]


def _run(interpreter: Interpreter, arrays: Sequence[Array]) -> list[Array]:
    return [np.asarray(y) for y in interpreter.run([wide(a) for a in arrays])]


def _beyond(single: Graph, arrays: Sequence[Array]) -> str:
    """Returns sentences on the first layer whose numbers are too large for half precision."""
    rounding = [v for v in single.walk() if isinstance(v.op, RoundTo)]
    results = _results(single, rounding, arrays)
    first = next((v.scope for v, y in zip(rounding, results, strict=True) if not np.isfinite(y).all()), "")
    return (
        f"Layer '{first}' has numbers beyond 65504, the largest of float16, on inputs of about one. Keep it, and what "
        f"reads it, in float32: float32_layers=['{first}', ...]; or export in float32. Nothing was written."
    )


def _layer_without_digits(single: Graph, arrays: Sequence[Array]) -> str:
    """Returns the first layer whose numbers are all too small for half precision to hold their digits; "" for none."""
    rounding = [v for v in single.walk() if isinstance(v.op, RoundTo)]
    sizes = [float(np.abs(y).max(initial=0)) for y in _results(single, [v.inputs[0] for v in rounding], arrays)]
    tiny = float(np.finfo(np.float16).smallest_normal)
    return next((v.scope for v, size in zip(rounding, sizes, strict=True) if 0 < size < tiny), "")


def _results(graph: Graph, values: Sequence[Value], arrays: Sequence[Array]) -> list[Any]:
    inside = Graph(graph.inputs, tuple(values), tuple(map(str, range(len(values)))))
    return Interpreter(inside).run(list(arrays))


def _eps(value: Value) -> float:
    return float(float_info(value.dtype).eps) if value.type.is_float else 0.0


def _joined(check: OutputCheck, other: OutputCheck) -> OutputCheck:
    """Returns one check for two sets of inputs: the numbers of the first, unless the second went wrong."""
    compared = check.compared + other.compared
    return replace(check if other.passed or not check.passed else other, compared=compared)


def _counted(check: OutputCheck) -> OutputCheck:
    if check.compared or check.wrong:
        return check
    return replace(check, wrong="has not one finite number that could be compared,")


def _look_inside(
    reference: Graph, model: bytes | os.PathLike[str], emission: Emission, runs: _Runs, seed: int
) -> tuple[int, Fault | None]:
    """Returns how many values of the file were compared one by one, and the first part of it that is wrong."""
    from seqc.export.emitter import write
    from seqc.export.nodes import check_file

    samples = runs.few_samples()
    fault, values, dull = check_file(emission, model, samples)
    fault = fault or _rewritten(reference, emission, samples, runs.truth)
    if fault is None and dull and values:
        # A model that hardly moves could hide a mistake. The same model with other weights is made in the same way, but
        # in single precision: lowering it decides nothing by the numbers, and every operation had operands of its own.
        reference = with_lively_weights(reference, seed)
        emission = write(run_passes(reference, FOR_INFERENCE, emission.target), emission.target)
        fault, *_ = check_file(emission, emission.content, samples)
        fault = fault or _rewritten(reference, emission, samples)
    return values, fault


def _rewritten(
    reference: Graph, emission: Emission, samples: Sequence[Sequence[Array]], truth: Truth | None = None
) -> Fault | None:
    """Returns the first layer that the passes have changed."""
    fault = check_passes(reference, emission.single or emission.graph, samples, truth)
    return fault and (first_rewritten(reference, emission.target, _boundaries(reference), samples) or fault)


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
