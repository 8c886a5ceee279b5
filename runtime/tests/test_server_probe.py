"""Which models' samples may run together."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

pytest.importorskip("orjson", reason="the server speaks JSON with orjson")

from onnx import helper
from serving_models import build, conv, looped, lstm, mlp, pair, simple

import seqc_runtime
from seqc_runtime.server.probe import Wishes, probe

N = ["batch", 4]
GATHERED = build(
    [helper.make_node("Gather", ["x", "first"], ["r"], axis=0), helper.make_node("Add", ["x", "r"], ["y"])],
    {"x": N},
    {"y": N},
    {"first": np.array([0], np.int64)},
)
NORMALISED = build(
    [
        helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=1),
        helper.make_node("Mul", ["mean", "little"], ["part"]),
        helper.make_node("Sub", ["x", "part"], ["y"]),
    ],
    {"x": N},
    {"y": N},
    {"axes": np.array([0], np.int64), "little": np.array([1e-7], np.float32)},
)
TRAINING = build(
    [helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y", "m2", "v2"], training_mode=1)],
    {"x": N},
    {"y": N},
    {name: np.ones(4, np.float32) for name in "sbmv"},
)
TOPPED = build(
    [helper.make_node("TopK", ["x", "k"], ["y", "i"], axis=0)], {"x": N}, {"y": N}, {"k": np.array([1], np.int64)}
)
SORTED = build(
    [
        helper.make_node("Shape", ["x"], ["s"], start=0, end=1),
        helper.make_node("TopK", ["x", "s"], ["y", "i"], axis=0),
    ],
    {"x": N},
    {"y": N},
    {},
)
SUMMED = build([helper.make_node("CumSum", ["x", "axis"], ["y"])], {"x": N}, {"y": N}, {"axis": np.array(0, np.int64)})
EMBEDDED = build(
    [helper.make_node("Gather", ["table", "x"], ["y"])],
    {"x": ["batch", 3]},
    {"y": ["batch", 3, 2]},
    {"table": np.arange(20, dtype=np.float32).reshape(10, 2)},
    onnx.TensorProto.INT64,
)


def probed(data: bytes, **wishes: Any) -> tuple[Any, str]:
    batching, notes = probe(seqc_runtime.load(data, device="cpu", threads=1), Wishes(**wishes))
    return batching, " / ".join(notes)


@pytest.mark.parametrize("build", [conv, lstm, pair, lambda: mlp(8, 32, 3), lambda: EMBEDDED])
def test_samples_that_stand_for_themselves_run_together(build: Callable[[], bytes]) -> None:
    batching, notes = probed(build())
    assert (batching.max_rows, notes) == (64, "")
    assert batching.fixed > 0


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (simple("Softmax", N, axis=0), "changes with its neighbours"),
        (simple("ReduceMean", N, ["one", 4], axes=[0], keepdims=1), "has no batch axis"),
        (GATHERED, "changes with its neighbours"),
        (NORMALISED, "holds"),
        (TRAINING, "one by one"),
        (TOPPED, "give an output of shape"),
        (SORTED, "changes with"),
        (SUMMED, "changes with its neighbours"),
        (simple("RandomNormalLike", N), "runs again"),
        (simple("Relu", [2, 4]), "has no batch axis"),
        (simple("Transpose", ["batch", "batch"], ["batch", "batch"], perm=[1, 0]), "another axis"),
        (simple("Flatten", N, [4, "batch"], axis=1), "has no batch axis"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_samples_that_look_at_each_other_do_not(data: bytes, why: str) -> None:
    batching, notes = probed(data)
    assert batching.max_rows == 1
    assert why in notes
    assert "one by one" in notes or "made-up" in notes


def test_a_model_that_needs_inputs_of_its_own_is_still_served() -> None:
    data = build(
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        {"x": ["batch", "time"]},
        {"y": ["batch", 7, 13]},
        {"shape": np.array([-1, 7, 13], np.int64)},
    )
    batching, notes = probed(data)
    assert batching.max_rows == 1
    assert "made-up inputs" in notes


def test_exact_allows_only_sizes_whose_answers_are_equal_bit_for_bit() -> None:
    for data, width in ((mlp(8, 32, 16, 3), 8), (mlp(64, 32, 5), 64)):
        batching, _ = probed(data, exact=True, max_rows=16)
        session = seqc_runtime.load(data, device="cpu", threads=1)
        random = np.random.default_rng(9)
        for rows in batching.sizes:
            x = random.standard_normal((rows, width)).astype(np.float32)
            alone = np.concatenate([session.predict(x[i : i + 1]) for i in range(rows)])
            assert alone.tobytes() == session.predict(x).tobytes()
    batching, _ = probed(pair(), exact=True, max_rows=16)
    assert batching.sizes == frozenset(range(1, 17))


def test_a_slow_model_does_not_hold_the_start_up() -> None:
    data = looped(30_000_000)
    start = time.monotonic()
    batching, notes = probed(data, seconds=0.3)
    assert time.monotonic() - start < 30
    assert batching.max_rows == 1
    assert "more than 0.3 s" in notes


def test_batches_that_take_too_long_are_not_made() -> None:
    batching, notes = probed(looped(3000), seconds=5.0, max_rows=4096)
    assert 1 < batching.max_rows < 4096
    assert "more were not tried" in notes


def test_exact_does_not_trust_what_was_seen_at_one_length_for_others() -> None:
    batching, notes = probed(lstm(), exact=True)
    assert batching.max_rows == 1
    assert "other lengths" in notes


def test_samples_that_depend_on_each_other_by_less_than_rounding_are_found_by_odd_neighbours() -> None:
    batching, _ = probed(NORMALISED)
    assert batching.max_rows == 1


def beyond(first: int) -> bytes:
    """x + the sum of the samples from number `first` on."""
    return build(
        [
            helper.make_node("Slice", ["x", "first", "last", "axis"], ["rest"]),
            helper.make_node("ReduceSum", ["rest", "axis"], ["sum"], keepdims=1),
            helper.make_node("Add", ["x", "sum"], ["y"]),
        ],
        {"x": N},
        {"y": N},
        {
            "first": np.array([first], np.int64),
            "last": np.array([2**31], np.int64),
            "axis": np.array([0], np.int64),
        },
    )


def within(low: float, high: float) -> bytes:
    """x + how many numbers of all samples lie between two."""
    return build(
        [
            helper.make_node("Greater", ["x", "low"], ["above"]),
            helper.make_node("Less", ["x", "high"], ["below"]),
            helper.make_node("And", ["above", "below"], ["inside"]),
            helper.make_node("Cast", ["inside"], ["ones"], to=1),
            helper.make_node("ReduceSum", ["ones", "axes"], ["count"], keepdims=1),
            helper.make_node("Add", ["x", "count"], ["y"]),
        ],
        {"x": N},
        {"y": N},
        {
            "low": np.array([low], np.float32),
            "high": np.array([high], np.float32),
            "axes": np.array([0, 1], np.int64),
        },
    )


NEVER_FINITE = build(
    [
        helper.make_node("Mul", ["x", "x"], ["square"]),
        helper.make_node("Neg", ["square"], ["negative"]),
        helper.make_node("Log", ["negative"], ["y"]),
    ],
    {"x": N},
    {"y": N},
    {},
)
ALL_THE_SAME = build([helper.make_node("Mul", ["x", "zero"], ["y"])], {"x": N}, {"y": N}, {"zero": np.zeros(1, "f")})


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(beyond(12), "among 64 samples", id="beyond the twelfth sample"),
        pytest.param(beyond(20), "among 64 samples", id="beyond the twentieth sample"),
        pytest.param(within(50, 90), "an answer changes", id="numbers from 50 to 90"),
        pytest.param(within(500, 5000), "an answer changes", id="numbers from 500 to 5000"),
        pytest.param(NEVER_FINITE, "never a finite number", id="no answer is a number"),
        pytest.param(ALL_THE_SAME, "the same answer", id="all answers are the same"),
    ],
)
def test_what_a_few_plain_samples_would_not_show_is_found(data: bytes, why: str) -> None:
    batching, notes = probed(data)
    assert batching.max_rows == 1
    assert why in notes
