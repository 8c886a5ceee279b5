"""Each pass in exact arithmetic: what it says that it does holds as algebra, for fractions and not for floats alone."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import seqc.backends.numpy
import seqc.export
import seqc.passes
from kit.drawn import may_be_odd
from kit.exact import Exact, assert_equal_exactly, depends_on_inputs, run_exactly, symbol, with_exact_weights
from kit.pass_cases import CASES, vector, with_padding, with_scales
from kit.random_op_graphs import graphs
from kit.rewritten_graphs import with_steps
from kit.small_graphs import GRAPHS, Weights, conv, graph, image
from seqc import ops
from seqc.backends.numpy.lowering import add_rows, pool_before_relu, split_means
from seqc.backends.numpy.products import convolve_by_products
from seqc.backends.numpy.residuals import save_residuals
from seqc.export.pipelines import FOR_INFERENCE, FOR_TRAINING
from seqc.export.target import onnx_target
from seqc.graph import ir
from seqc.graph.autodiff import gradients
from seqc.graph.ir import Graph
from seqc.passes.borders import accept_channels_first, give_channels_first
from seqc.passes.constants import fold_constants
from seqc.passes.pipeline import run_passes
from seqc.passes.precision import promote_floats

TARGET = onnx_target()
Make = Callable[[], Graph]


def with_rational_constants() -> Graph:
    w, x = Weights(), vector()
    scale = ops.maximum(w("scale", 4) * 2.0 + 1.0, 0.5)
    return graph(x, x * scale + ops.transpose(w("shift", 4, 1)))


def with_a_pool() -> Graph:
    x = image(4, 4, 2)
    pooled = ops.max_pool(ops.relu(x), (2, 2))
    return graph(x, pooled, gradients(ops.sum(ops.square(pooled)), [x])[0])


def with_means() -> Graph:
    x = image(3, 3, 2)
    return graph(x, ops.mean(x, (0, 1)), ops.mean(x, (0,), keepdims=True), ops.mean(x, (1, 2)))


def with_convolutions() -> Graph:
    w, x = Weights(), image(5, 4, 2)
    kernel = w("kernel", 2, 2, 2, 3)
    y = ops.conv(ops.tanh(x), kernel, strides=1, padding="same")
    return graph(x, conv(w, "conv", x, 3, (2, 2)), *gradients(ops.sum(ops.square(y)), [x, kernel]))


def with_changed_rows() -> Graph:
    table, ids = ir.input_value("table", "float32", (9, 3)), ir.input_value("ids", "int32", (2, 4))
    change = gradients(ops.sum(ops.square(ops.take(table, ids, axis=0))), [table])[0]
    return Graph((table, ids), (table - change * 0.5,), ("table",))


# What is smaller than the graphs that are looked at, so that fractions are fast; and passes that those are not for.
OTHERS: dict[str, tuple[Make, Callable[[Graph], Graph]]] = {
    "fold_scale": (lambda: with_scales(2), lambda g: CASES["fold_scale"][1](g, TARGET)),
    "fold_padding": (lambda: with_padding(7), lambda g: CASES["fold_padding"][1](g, TARGET)),
    "fold_strides": (lambda: with_steps(10), lambda g: CASES["fold_strides"][1](g, TARGET)),
    "fold_constants": (with_rational_constants, lambda g: fold_constants(g, TARGET)),
    "split_means": (with_means, split_means),
    "pool_before_relu": (with_a_pool, pool_before_relu),
    "convolve_by_products": (with_convolutions, convolve_by_products),
    "save_residuals": (CASES["scan_recurrent_gradients"][0], save_residuals),
    "add_rows": (with_changed_rows, add_rows),
}
ROWS = {name: (make, lambda g, p=one: p(g, TARGET)) for name, (make, one) in CASES.items()} | OTHERS
# These do not mean the same on purpose, or are looked at elsewhere.
WITHOUT_ROW = {
    "compute_halves_in_single": "rounds less than what it is given",
    "forget_halves": "rounds nothing any more",
    "rounded": "is about rounding alone",
    "in_order": "rounds as a runtime may",
    "draw_masks": "draws random bits, which have no fractions",
    "accept_channels_first": "takes other inputs: see the test of borders",
    "give_channels_first": "gives other outputs: see the test of borders",
}


def passes() -> Iterator[Callable[..., Any]]:
    """Yields every function from a graph, and perhaps a target, to a graph."""
    for package in (seqc.passes, seqc.export, seqc.backends.numpy):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            found = importlib.import_module(module.name)
            for name, function in inspect.getmembers(found, inspect.isfunction):
                kinds = [p.annotation for p in inspect.signature(function).parameters.values()]
                takes = kinds in (["Graph"], ["Graph", "Target"], ["Graph", "Collection[str] | None"])
                gives = inspect.signature(function).return_annotation == "Graph"
                if function.__module__ == module.name and not name.startswith("_") and takes and gives:
                    yield function


def test_every_pass_has_a_row_or_a_reason() -> None:
    names = {function.__name__ for function in passes()}
    assert names - set(ROWS) == set(WITHOUT_ROW)
    assert set(ROWS) <= names
    assert {one.__name__ for one in (*FOR_INFERENCE, *FOR_TRAINING)} <= set(ROWS)


def test_every_pass_says_what_holds_of_it() -> None:
    said = {f.__name__: inspect.getdoc(f) or "" for f in passes() if WITHOUT_ROW.get(f.__name__, "")[:6] != "rounds"}
    lacking = [name for name, text in said.items() if not re.search(r"^Exactly: [^.]*=", text, re.M)]
    assert [name for name in lacking if name != "rounded"] == []


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", ROWS)
def test_a_pass_is_exact(name: str) -> None:
    make, one = ROWS[name]
    before = with_exact_weights(make())
    after = one(before)
    assert str(after) != str(before)
    assert depends_on_inputs(before)
    assert_equal_exactly(before, after)


def test_borders_move_inputs_and_outputs_and_nothing_else() -> None:
    x = ir.input_value("x", "float32", (2, 3, 4))
    before = Graph((x,), (ops.tanh(x) * 2.0,), ("y",))
    numbers = np.array([Exact(i, 7) for i in range(24)], object).reshape(2, 3, 4)
    (expected,) = run_exactly(before, [numbers])
    (taken,) = run_exactly(accept_channels_first(before), [numbers.transpose(0, 2, 1)])
    (given_,) = run_exactly(give_channels_first(before), [numbers])
    assert (taken == expected).all()
    assert (given_ == expected.transpose(0, 2, 1)).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(GRAPHS) - {"flat_cnn", "flat_cnn_rgb"}))
@pytest.mark.parametrize("pipeline", [FOR_INFERENCE, FOR_TRAINING], ids=["inference", "training"])
def test_a_pipeline_is_exact(name: str, pipeline: Any) -> None:
    before = with_exact_weights(GRAPHS[name]())
    assert_equal_exactly(before, run_passes(before, pipeline, TARGET))


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@may_be_odd
@given(graphs())
def test_pipelines_are_exact_for_any_graph(drawn: Graph) -> None:
    before = with_exact_weights(promote_floats(drawn))  # chains of folds need more than 24 bits
    for pipeline in (FOR_INFERENCE, FOR_TRAINING):
        assert_equal_exactly(before, run_passes(before, pipeline, TARGET))


# -- the arithmetic itself ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wrong:
    """A change of a graph that means something else by little."""

    by: float

    def __call__(self, g: Graph) -> Graph:
        return Graph(g.inputs, (g.outputs[0] + self.by,), g.output_names)


def test_what_is_off_by_little_is_not_equal() -> None:
    x = vector()
    before = graph(x, ops.tanh(x / 3.0))
    assert_equal_exactly(before, graph(x, ops.tanh(x / 3.0)))
    for wrong in (Wrong(2.0**-60)(before), graph(x, ops.tanh(x / 3.00001)), graph(x, ops.sigmoid(x / 3.0))):
        with pytest.raises(AssertionError, match="differ, first"):
            assert_equal_exactly(before, wrong)


def test_fractions_stay_fractions_with_floats_and_roots_are_exact() -> None:
    third = Exact(1, 3)
    assert third + 0.25 == Fraction(7, 12)
    assert 2 - third * np.float64(0.5) == Fraction(11, 6)
    assert third / np.float32(1 / 6) == 2  # type: ignore[operator]
    assert Exact(9, 4).sqrt() == Fraction(3, 2)
    assert Exact(2).sqrt() == symbol("sqrt", Exact(2)) != symbol("sqrt", Exact(3))
    assert np.exp(np.array([third], object))[0] == symbol("exp", third)
    assert abs(-third) ** 2 == Fraction(1, 9)
