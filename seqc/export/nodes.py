"""Checking an exported file value by value.

A model can be blind: trained to saturation, or not trained at all, it answers every input alike, and a mistake inside
leaves its outputs as they are. So the file is also cut where the values of its graph stand: every operation gets
operands of its own, alive whatever the operations before it make of the inputs, and its result is compared with NumPy's
on the same operands. One run of onnxruntime checks all of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from seqc.backends.onnxruntime import Session
from seqc.export._schema import element_type
from seqc.export.compare import (
    ERROR_FACTOR,
    LAST_PLACES,
    compare_arrays,
    distance,
    ordered_budget,
    rounding_budget,
    scale_of,
)
from seqc.export.emitter import Emission
from seqc.export.noise import disturbed
from seqc.export.report import Fault, OutputCheck
from seqc.export.rewritten import wide
from seqc.export.samples import exact_values
from seqc.export.sums import InOrder
from seqc.graph.batch import batch_axis
from seqc.graph.ir import Array, Constant, Input, Item, Type, Value
from seqc.graph.strings import STRING
from seqc.passes.precision import promoted

FED = "/fed"
# NumPy may be exact by chance, on a result of one number say. What is further off than that allows is measured once
# more against what rounding errors can do, drawn so many times.
DRAWS = 8


def check_file(
    emission: Emission, model: bytes | os.PathLike[str], samples: Sequence[Sequence[Array]]
) -> tuple[Fault | None, int, bool]:
    """Compares every constant and every value of a file with those of its graph, for some inputs.

    Returns:
        The first that is wrong, how many values were compared, and whether the model may be blind: something inside is
        tiny or hardly moves, or the file does not have the values of the graph.
    """
    cut = CutModel(emission, model)
    if not cut.complete:
        return None, 0, True
    fault, count, dull = cut.wrong_constant(), 0, False
    for inputs in samples:
        if fault is None:
            fault, count, some = cut.check(inputs)
            dull = dull or some
    return fault, count, dull


class CutModel:
    """An exported file in which every value of its graph takes its operands from outside.

    Args:
        emission: the graph after its passes, and the names of its values in the file. model: the file's bytes,
        or its path.

    Attributes:
        complete: whether the file has the values of the graph, by their names. Others it does not know.
    """

    def __init__(self, emission: Emission, model: bytes | os.PathLike[str]) -> None:
        file = loaded(model)
        self.graph, self.names = emission.graph, emission.names
        self.initializers = {t.name: t for t in file.graph.initializer}
        made = {n for node in file.graph.node for n in node.output} | {x.name for x in file.graph.input}
        # Weights that decided how an operation was lowered stay as they are.
        self.read = emission.read
        # A constant that a lowering reads instead of naming it is not in the file.
        computed = {n for v in self.graph.walk() if not isinstance(v.op, Constant) for n in self.names[v]}
        self.complete = made | set(self.initializers) >= computed
        if self.complete:
            self.session = Session(_cut(file, self._types(), self._results()), threads=1, optimize=False)

    def _types(self) -> dict[str, Type]:
        """Returns the type of each tensor that is fed: results, inputs, and weights."""
        found: dict[str, Type] = {}
        for value in self.graph.walk():
            if not isinstance(value.op, Constant) or _is_weight(value):
                results = value.result if isinstance(value.result, tuple) else (value.result,)
                # What an operation lets through is the same tensor, of one type.
                found = dict(zip(self.names[value], results, strict=False)) | found
        return found

    def _results(self) -> list[str]:
        leaves = {n for v in self.graph.walk() if isinstance(v.op, Input | Constant) for n in self.names[v]}
        return [n for n in self._types() if n not in leaves]

    def wrong_constant(self) -> Fault | None:
        """Returns the first constant that the file does not hold as it is."""
        for value in self.graph.walk():
            if isinstance(value.op, Constant) and (held := self.initializers.get(self.names[value][0])) is not None:
                array = numpy_helper.to_array(held)
                if array.dtype != value.op.array.dtype or array.tobytes() != value.op.array.tobytes():
                    check = OutputCheck(held.name, wrong=f"has other numbers in '{held.name}'")
                    return Fault(_who(value), check, "in the file than in the model")
        return None

    def check(self, inputs: Sequence[Array]) -> tuple[Fault | None, int, bool]:
        """Compares every value with NumPy.

        Operands are what the operations before make of the inputs; but those that are the same everywhere, mostly
        zero, tiny or huge are replaced by ones that are not, weights among them.

        Returns:
            The first value that is wrong, how many were compared, and whether some are tiny or hardly move.
        """
        run = _Run(self, inputs, np.random.default_rng(0))
        feeds = {n + FED: a for n, a in run.fed.items() if n + FED in self.session.input_names}
        got = self.session.run(feeds) if self.session.output_names else {}
        for result in run.results:
            made = run.fed[result.name] if result.through else got.get(result.name, run.fed[result.name])
            check = result.check(made)
            if not check.passed:
                return Fault(_who(result.value), check), len(run.results), run.still
        return None, len(run.results), run.still


@dataclass(frozen=True)
class _Result:
    """What is expected of one tensor: the truth on the operands that onnxruntime gets.

    Attributes:
        through: whether the file has no nodes for it: it is one of the operands, as that was fed.
    """

    value: Value
    name: str
    at: int
    operands: Sequence[Array]
    truth: Array
    through: bool = False

    def check(self, got: Array) -> OutputCheck:
        # Most results are within a few roundings: NumPy in the model's precision need not be asked.
        check = OutputCheck(self.name, budget=LAST_PLACES * _eps(got) * scale_of(self.truth, self.truth))
        check = compare_arrays(check, got, self.truth, self.truth)
        if check.passed:
            return check
        with np.errstate(all="ignore"):
            single = _listed(self.value.op.eval(*self.operands))[self.at]
        budget = rounding_budget(self.truth, single)
        check = compare_arrays(OutputCheck(self.name, budget=budget), got, self.truth, single)
        if check.passed or check.wrong:
            return check
        with np.errstate(all="ignore"):
            ordered = _listed(InOrder(self.value.op).eval(*self.operands))[self.at]
        budget = max(budget, ordered_budget(self.truth, ordered))
        if check.error <= budget:
            return replace(check, budget=budget)
        return replace(check, budget=budget + ERROR_FACTOR * self._response())

    def _response(self) -> float:
        """Returns how far the result moves by rounding of its operands and of what is computed inside."""
        op = disturbed(self.value, np.random.default_rng(0))
        noise = op.noise
        moved = op.op.places_of_one() * noise.eps
        for _ in range(DRAWS):
            with np.errstate(all="ignore"):
                operands = [noise.everywhere(x) if _is_float(x) else x for x in map(wide, self.operands)]
                result = _listed(op.eval(*operands))[self.at]
            moved = max(moved, distance(result, self.truth))
        return moved


class _Run:
    """NumPy's side of a check: what each tensor is fed, and what is expected of each result."""

    def __init__(self, cut: CutModel, inputs: Sequence[Array], rng: np.random.Generator) -> None:
        self.fed: dict[str, Array] = {}
        self.results: list[_Result] = []
        self.still = False
        self._rng = rng
        self._exact = exact_values(cut.graph)
        given = dict(zip(cut.graph.inputs, inputs, strict=True))
        for value in cut.graph.walk():
            names = cut.names[value]
            if isinstance(value.op, Input):
                self.fed[names[0]] = given[value]
            elif isinstance(value.op, Constant):
                array = value.op.array
                fed = self._feed(value, array) if _is_weight(value) and names[0] not in cut.read else array
                self.fed.setdefault(names[0], fed)
                self.still = self.still or (_is_weight(value) and array.ndim > 1 and _is_dull(array))
            elif not isinstance(value.op, Item):
                self._compute(value, names, [cut.names[x][0] for x in value.inputs])

    def _compute(self, value: Value, names: tuple[str, ...], read: list[str]) -> None:
        operands = [self.fed[name] for name in read]
        with np.errstate(all="ignore"):
            truths = _listed(promoted(value.op).eval(*map(wide, operands)))
        defined = all(np.isfinite(x).all() for x in operands if _is_float(x))
        types = value.result if isinstance(value.result, tuple) else (value.result,)
        for i, (name, truth, t) in enumerate(zip(names, truths, types, strict=False)):
            if _is_float(truth) or defined:  # what an infinity is as an integer is not defined
                self.results.append(_Result(value, name, i, operands, truth, name in read))
            if name in self.fed:
                continue
            made = truth if t.dtype == STRING else truth.astype(t.dtype)
            self.fed[name] = self._feed(value, made)
            self.still = self.still or (_is_float(truth) and _is_dull(made, _batch_axis(value)))

    def _feed(self, value: Value, x: Array) -> Array:
        """Returns numbers to feed: of the same signs, but different, and neither tiny nor huge."""
        if value in self._exact or not _is_float(x) or x.size < 2:
            return x
        scale = float(np.max(np.abs(x)))
        if not np.isfinite(scale):
            return x
        if 0.01 <= scale <= 8 and np.count_nonzero(x) * 2 >= x.size and not _is_still(x):
            return x
        if scale == 0:  # as after a Relu that is never positive
            return (3 * np.abs(self._rng.normal(size=x.shape))).astype(x.dtype)
        drawn = self._rng.uniform(0.5, 1, x.shape)
        sized = x / scale * min(max(scale, 0.1), 8.0)
        return np.where(x == 0, 0.5 * drawn, sized * drawn).astype(x.dtype)


def _cut(file: onnx.ModelProto, types: Mapping[str, Type], results: Sequence[str]) -> bytes:
    """Returns a file in which every node that reads a tensor of `types` reads an input of the graph instead."""
    used: set[str] = set()
    for node in file.graph.node:
        _feed(node, types, used)
    inputs = [
        helper.make_tensor_value_info(n + FED, element_type(types[n].dtype), [None] * types[n].rank)
        for n in types if n in used
    ]  # fmt: skip
    made = {n for node in file.graph.node for n in node.output}
    outputs = [helper.make_tensor_value_info(n, element_type(types[n].dtype), [None] * types[n].rank)
               for n in results if n in made]  # fmt: skip
    del file.graph.input[:], file.graph.output[:], file.graph.value_info[:]
    file.graph.input.extend(inputs)
    file.graph.output.extend(outputs)
    content: bytes = file.SerializeToString()
    return content


def _feed(node: onnx.NodeProto, types: Mapping[str, Type], used: set[str]) -> None:
    for i, name in enumerate(node.input):
        if name in types:
            used.add(name)
            node.input[i] = name + FED
    for attribute in node.attribute:
        for inner in attribute.g.node:
            _feed(inner, types, used)


def loaded(model: bytes | os.PathLike[str]) -> onnx.ModelProto:
    """Returns a file, given as bytes or by its path, with all its weights."""
    return onnx.load_from_string(model) if isinstance(model, bytes) else onnx.load(model)


def _is_weight(value: Value) -> bool:
    return isinstance(value.op, Constant) and bool(value.op.label) and value.type.is_float and value.op.array.size > 1


def _is_still(x: Array, axis: int | None = None) -> bool:
    """Returns whether numbers that could differ, along one axis or anywhere, hardly do."""
    if not x.size or (x.size if axis is None else x.shape[axis]) < 2:
        return False
    with np.errstate(all="ignore"):
        # Never so where a number is NaN.
        return float(np.max(np.ptp(x, axis))) <= 1e-3 * float(np.max(np.abs(x)))


def _is_dull(x: Array, axis: int | None = None) -> bool:
    """Returns whether what follows may be blind to numbers: they hardly differ, or are tiny."""
    return x.size > 1 and (_is_still(x, axis) or float(np.max(np.abs(x))) < 1e-3)


def _batch_axis(value: Value) -> int | None:
    return None if isinstance(value.result, tuple) else batch_axis(value.result)


def _who(value: Value) -> str:
    return f"Layer '{value.scope}'" if value.scope else f"{value.op!r}"


def _listed(result: Any) -> list[Array]:
    return [np.asarray(r) for r in result] if isinstance(result, tuple) else [np.asarray(result)]


def _eps(x: Array) -> float:
    return float(np.finfo(x.dtype).eps) if _is_float(x) else 0.0


def _is_float(x: Array) -> bool:
    return np.issubdtype(x.dtype, np.floating)
