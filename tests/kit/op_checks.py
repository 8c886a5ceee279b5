"""The checks that every row of `op_specs` must pass; they raise AssertionError, so they can be tested themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from kit.op_rows import OpSpec
from seqc.backends.numpy.target import NUMPY
from seqc.errors import NoLoweringError
from seqc.graph import dims, ir
from seqc.graph.autodiff import pull_back
from seqc.graph.interpreter import Interpreter

Array = NDArray[Any]
STEP = 1e-5
DIRECTIONS = 4


def evaluate(op: ir.Op, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """All results of an op, whose operands it must not write to."""
    frozen = [a.view() for a in arrays]
    for a in frozen:
        a.flags.writeable = False
    result = op.eval(*frozen)
    return result if isinstance(result, tuple) else (result,)


def check_infer(spec: OpSpec, sizes: Mapping[str, int], rng: Generator, dtype: str) -> None:
    """What `infer` says, with symbolic sizes and with actual ones, is what `eval` returns."""
    arrays = spec.arrays(rng, sizes, dtype)
    results = evaluate(spec.op, arrays)
    for types in (spec.types(dtype), tuple(ir.Type(a.dtype.name, a.shape) for a in arrays)):
        inferred = spec.op.infer(*types)
        listed = inferred if isinstance(inferred, tuple) else (inferred,)
        assert len(listed) == len(results)
        for t, y in zip(listed, results, strict=True):
            said = (t.dtype, tuple(dims.evaluate(d, sizes) for d in t.shape))
            assert said == (y.dtype.name, y.shape), f"{spec}: infer says {t}, eval gave {y.dtype}{y.shape}"


def check_gradient(spec: OpSpec, sizes: Mapping[str, int], rng: Generator) -> None:
    """Gradients agree with central differences of sum(results * cotangents) along random directions."""
    arrays = spec.arrays(rng, sizes)
    xs = spec.values()
    ys = spec.results_of(xs)[: spec.results]
    gs = [ir.input_value(f"g{i}", y.dtype, y.type.shape) for i, y in enumerate(ys)]
    upstream = [np.asarray(rng.normal(size=[dims.evaluate(d, sizes) for d in y.type.shape])) for y in ys]
    chosen = [i for i, smooth in enumerate(spec.differentiable) if smooth]
    grads = pull_back(ys, gs, [xs[i] for i in chosen])
    graph = ir.Graph((*xs, *gs), tuple(grads), tuple(f"d{i}" for i in chosen))
    computed = Interpreter(graph).run([*arrays, *upstream])

    def total(i: int, moved: Array) -> float:
        results = spec.op.eval(*[moved if k == i else a for k, a in enumerate(arrays)])
        listed = results if isinstance(results, tuple) else (results,)
        return float(sum(np.vdot(y, g) for y, g in zip(listed, upstream, strict=False)))

    for i, gradient in zip(chosen, computed, strict=True):
        assert (gradient.dtype, gradient.shape) == (arrays[i].dtype, arrays[i].shape)
        for _ in range(DIRECTIONS):
            direction = rng.normal(size=gradient.shape)
            step = STEP * direction
            expected = (total(i, arrays[i] + step) - total(i, arrays[i] - step)) / (2 * STEP)
            got = float(np.vdot(gradient, direction))
            limit = spec.tolerance * (1 + abs(expected))
            assert abs(got - expected) <= limit, f"{spec}, operand {i}: gradient {got}, differences {expected}"


def decomposition(spec: OpSpec, sizes: Mapping[str, int], dtype: str) -> ir.Graph | None:
    """The graph an op stands for where a target has no operator like it, or None where it says nothing simpler."""
    concrete = [ir.Type(t.dtype, tuple(dims.evaluate(d, sizes) for d in t.shape)) for t in spec.types(dtype)]
    for types in (spec.types(dtype), concrete):
        xs = [ir.input_value(f"x{i}", t.dtype, t.shape) for i, t in enumerate(types)]
        try:
            simpler = spec.op.decompose(NUMPY, ir.build(spec.op, tuple(xs), ""), *xs)
        except NoLoweringError:  # only where a size is symbolic
            assert types is not concrete
            continue
        if simpler is None:
            return None
        outputs = simpler if isinstance(simpler, tuple) else (simpler,)
        return ir.Graph(tuple(xs), outputs, tuple(f"y{i}" for i in range(len(outputs))))
    raise AssertionError(f"{spec} decomposes for no sizes")
