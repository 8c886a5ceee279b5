"""What operations say about cutting them along the batch is true: parts computed on their own give the whole."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from kit import op_checks
from kit.op_rows import OpSpec
from kit.op_specs import SPECS
from seqc.backends.numpy.cut import cut_graph
from seqc.errors import SeqcError
from seqc.graph import dims, ir
from seqc.graph.batch import batch_axis
from seqc.ops.random import RandomUniform

SIZES = {"batch": 5, "time": 3, "height": 6, "width": 7}
PARTS = ((0, 2), (2, 5))
# No two the same, so that what looks like one axis is one, and the most axes of which every choice is tried.
ANY_AXIS = {"batch": 4, "time": 3, "height": 6, "width": 7}
MOST_ALIKE = 7


def with_batch(spec: OpSpec) -> bool:
    return any(batch_axis(t) is not None for t in spec.types())


ROWS = [spec for spec in SPECS if with_batch(spec)]


def rules_of(spec: OpSpec, types: tuple[ir.Type, ...] | None = None) -> tuple[str, ...]:
    """How the executor would cut the op, one answer per result."""
    given = [ir.input_value(f"x{i}", t.dtype, t.shape) for i, t in enumerate(types or spec.types())]
    value = ir.build(spec.op, tuple(given), "")
    outputs = ir.items(value) if isinstance(value.result, tuple) else (value,)
    cut = cut_graph(ir.Graph(value.inputs, outputs, tuple(map(str, range(len(outputs))))))
    return cut.batch_rules.get(value, ("whole",) * len(outputs))


def part_of(t: ir.Type, array: np.ndarray, start: int, stop: int, batch: int = SIZES["batch"]) -> np.ndarray:
    axis = batch_axis(t)
    if axis is None:
        return array
    each = array.shape[axis] // batch
    return array[(slice(None),) * axis + (slice(start * each, stop * each),)]


def run(op: ir.Op, arrays: list[np.ndarray], first: int) -> tuple[Any, ...]:
    if isinstance(op, RandomUniform):
        return (op.eval_from(first * arrays[0][0].size, *arrays),)
    return op_checks.evaluate(op, arrays)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("spec", [s for s in ROWS if rules_of(s)[0] not in ("whole", "combine")], ids=str)
def test_parts_of_the_batch_give_the_whole(spec: OpSpec, rng: np.random.Generator) -> None:
    arrays = spec.arrays(rng, SIZES)
    whole = op_checks.evaluate(spec.op, arrays)
    pieces = [
        run(spec.op, [part_of(t, a, *rows) for t, a in zip(spec.types(), arrays, strict=True)], rows[0])
        for rows in PARTS
    ]
    inferred = spec.op.infer(*spec.types())
    types = inferred if isinstance(inferred, tuple) else (inferred,)
    for i, (rule, t) in enumerate(zip(rules_of(spec), types, strict=True)):
        check_together(rule, t, [piece[i] for piece in pieces], whole[i])


def check_together(rule: str, t: ir.Type, parts: list[np.ndarray], whole: np.ndarray) -> None:
    """Parts of a result give it, by what its rule says."""
    axis = batch_axis(t)
    together = parts[0] + parts[1] if rule == "reduce" or axis is None else np.concatenate(parts, axis)
    np.testing.assert_allclose(together, whole, rtol=1e-9, atol=1e-12)


def named_anew(spec: OpSpec, arrays: list[np.ndarray]) -> Iterator[tuple[int, tuple[ir.Type, ...]]]:
    """Types of operands for all ways to say of axes of one size that they are the batch, whichever axes these are."""
    axes = [(i, j) for i, a in enumerate(arrays) for j in range(a.ndim)]
    for size in sorted({arrays[i].shape[j] for i, j in axes} - {0, 1}):
        alike = [(i, j) for i, j in axes if arrays[i].shape[j] == size][:MOST_ALIKE]
        for chosen in (set(c) for k in range(len(alike)) for c in combinations(alike, k + 1)):
            yield (
                size,
                tuple(
                    ir.Type(
                        t.dtype, tuple(dims.symbol("batch") if (i, j) in chosen else n for j, n in enumerate(a.shape))
                    )
                    for i, (t, a) in enumerate(zip(spec.types(), arrays, strict=True))
                ),
            )


def in_parts(spec: OpSpec, types: tuple[ir.Type, ...], arrays: list[np.ndarray], size: int) -> list[Any] | None:
    """The types of the results, and results of two parts; None where the axes do not belong together."""
    try:
        inferred = spec.op.infer(*types)
        rows = ((0, size // 2), (size // 2, size))
        pieces = [
            run(spec.op, [part_of(t, a, *part, size) for t, a in zip(types, arrays, strict=True)], part[0])
            for part in rows
        ]
    except (SeqcError, ValueError, IndexError):
        return None
    results = inferred if isinstance(inferred, tuple) else (inferred,)
    for (start, stop), piece in zip(rows, pieces, strict=True):
        sizes = {"batch": stop - start}
        if [tuple(dims.evaluate(d, sizes) for d in t.shape) for t in results] != [y.shape for y in piece]:
            return None
    return [results, *pieces]


@pytest.mark.one_in(3)
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_batch_may_be_any_axis(spec: OpSpec, rng: np.random.Generator) -> None:
    arrays = spec.arrays(rng, ANY_AXIS)
    whole = op_checks.evaluate(spec.op, arrays)
    for size, types in named_anew(spec, arrays):
        found = in_parts(spec, types, arrays, size)
        rules = () if found is None else rules_of(spec, types)
        if found is not None and not {"whole", "combine"} & set(rules):
            results, one, other = found
            for i, (rule, t) in enumerate(zip(rules, results, strict=True)):
                check_together(rule, t, [one[i], other[i]], whole[i])


@pytest.mark.parametrize("spec", [s for s in SPECS if s.op.shape_only], ids=str)
def test_operands_that_only_give_a_shape_may_hold_any_numbers(spec: OpSpec, rng: np.random.Generator) -> None:
    arrays = spec.arrays(rng, SIZES)
    whole = op_checks.evaluate(spec.op, arrays)
    for i in spec.op.shape_only:
        arrays[i] = np.broadcast_to(np.zeros((), arrays[i].dtype), arrays[i].shape)
    for a, b in zip(op_checks.evaluate(spec.op, arrays), whole, strict=True):
        np.testing.assert_array_equal(a, b)


def test_random_numbers_are_drawn_in_parts_only_where_the_batch_comes_first() -> None:
    batch, key = dims.symbol("batch"), ir.input_value("k", "int64", ())
    for shape, rule in (((batch, 3), "parallel"), ((3, batch), "whole")):
        value = ir.build(RandomUniform(1), (ir.input_value("x", "float32", shape), key, key), "")
        assert value.op.batch_rule(value) == rule


def test_most_operations_are_cut() -> None:
    kept_whole = {spec.op.name for spec in ROWS if rules_of(spec)[0] == "whole"}
    cut = {spec.op.name for spec in ROWS if rules_of(spec)[0] != "whole"}
    # Each of these has rows along other axes, or needs all samples by its nature; what ONNX has recur has steps first.
    scatters = {"Scatter", "ScatterAdd", "ScatterMul", "ScatterMax", "ScatterMin"}
    steps = {"OnnxRecurrent", "StepRows", "TakeStep"}
    assert kept_whole - cut == {"Count", "Unique", *scatters, *steps}


@pytest.mark.parametrize(
    ("shape", "fits"),
    [
        ((dims.symbol("batch"), 3), True),
        ((dims.symbol("batch") * 4, 3), True),
        ((3, dims.symbol("batch")), True),
        ((dims.symbol("batch") + 1, 3), False),
        ((dims.symbol("batch") // 2, 3), False),
        ((dims.symbol("batch"), dims.symbol("batch")), False),
    ],
)
def test_only_axes_with_as_many_elements_for_each_sample_are_cut(shape: tuple[Any, ...], fits: bool) -> None:
    from seqc.backends.numpy.cut import _divisible

    assert _divisible(ir.Type("float32", shape)) is fits
