"""Each pass: what it makes of a graph, what it leaves alone, and that it keeps the numbers."""

from __future__ import annotations

import pytest

from kit.golden_text import check_golden
from kit.graph_numbers import assert_same_numbers, ops_of
from kit.pass_cases import CASES
from kit.small_graphs import (
    GRAPHS,
    graph,
    image,
)
from seqc import ops
from seqc.export.pipelines import FOR_INFERENCE, FOR_TRAINING
from seqc.export.target import onnx_target
from seqc.passes.padding import fold_padding
from seqc.passes.pipeline import Pass, run_passes
from seqc.passes.precision import promote_floats
from seqc.passes.shapes import simplify_shapes

TARGET = onnx_target()


@pytest.mark.parametrize("name", CASES)
def test_a_pass_makes_this_of_a_graph(name: str) -> None:
    build, apply_pass = CASES[name]
    before = build()
    check_golden(f"pass_{name}", f"{before}\n\n{apply_pass(before, TARGET)}")


def test_zeros_around_what_relu_gives_are_left_to_the_pool() -> None:
    edges, x = ((0, 0), (1, 1), (0, 1), (0, 0)), image(8, 8, 2)
    for padded, size, stays in (
        (ops.pad(ops.relu(x), edges), 3, False),
        (ops.pad(x, edges), 3, True),  # a zero would win over negative numbers
        (ops.pad(ops.relu(x), ((0, 0), (2, 0), (0, 0), (0, 0))), 2, True),  # a window of nothing but padding
    ):
        before = promote_floats(graph(x, ops.max_pool(padded, size, 2)))
        after = fold_padding(before, TARGET)
        assert ("Pad" in ops_of(after)) == stays
        assert_same_numbers(before, after)


def test_tensors_joined_twice_are_joined_at_once() -> None:
    x = image(8, 8, 2)
    inner, read_twice = ops.concatenate([x, x + 1.0], -1), ops.concatenate([x, x * 2.0], -1)
    other_axis = ops.concatenate([x, x], 1)
    before = promote_floats(
        graph(
            x,
            ops.concatenate([x, inner, read_twice], -1),
            ops.relu(read_twice),
            ops.concatenate([other_axis, other_axis], -1),
        )
    )
    after = simplify_shapes(before, TARGET)
    assert ops_of(after).count("Concat") == ops_of(before).count("Concat") - 1 == 4
    assert_same_numbers(before, after)


def test_reduced_axes_that_are_put_in_again_are_kept() -> None:
    x = image(8, 8, 4)
    pooled, read_twice = ops.mean(x, (1, 2)), ops.max(x, (1, 2))
    before = promote_floats(
        graph(
            x,
            ops.reshape(pooled, (-1, 1, 1, 4)),
            ops.reshape(read_twice, (-1, 1, 1, 4)) + ops.reshape(read_twice, (-1, 1, 4, 1)),
            ops.reshape(ops.sum(x, (1, 2)), (-1, 1, 4, 1)),
        )
    )
    after = simplify_shapes(before, TARGET)
    views = [v for v in after.walk() if v.op.name in ("Reshape", "Unsqueeze", "Squeeze")]
    assert len(views) == 3
    assert_same_numbers(before, after)


def test_every_pass_has_a_case() -> None:
    assert {p.__name__ for p in (*FOR_INFERENCE, *FOR_TRAINING)} <= set(CASES)


@pytest.mark.parametrize("name", sorted(set(CASES) - {"promote_floats", "remove_dropout"}))
def test_a_pass_keeps_the_numbers(name: str) -> None:
    build, apply_pass = CASES[name]
    before = promote_floats(build())
    assert_same_numbers(before, apply_pass(before, TARGET))


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("passes", [FOR_INFERENCE, FOR_TRAINING], ids=["inference", "training"])
def test_a_pipeline_keeps_the_numbers(name: str, passes: tuple[Pass, ...]) -> None:
    before = promote_floats(GRAPHS[name]())
    assert_same_numbers(before, run_passes(before, passes, TARGET))


@pytest.mark.parametrize("name", GRAPHS)
def test_a_pass_does_not_change_the_graph_it_is_given(name: str) -> None:
    before = GRAPHS[name]()
    text = str(before)
    run_passes(before, FOR_INFERENCE, TARGET)
    assert str(before) == text


# Normalization beside recurrent layers is left where the axes lie by its rank, which the plan changes.
@pytest.mark.parametrize("name", sorted(set(GRAPHS) - {"recurrent_norm"}))
def test_a_second_run_of_the_pipeline_changes_nothing(name: str) -> None:
    once = run_passes(GRAPHS[name](), FOR_INFERENCE, TARGET)
    assert str(run_passes(once, FOR_INFERENCE, TARGET)) == str(once)
