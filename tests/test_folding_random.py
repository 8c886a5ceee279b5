"""Random networks of what passes fold and recognize, in the orders that nobody thought of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kit.graph_numbers import assert_same_numbers, ops_of
from kit.small_graphs import BATCH, HEIGHT, WIDTH, Weights, batch_norm, conv, dense, graph, transposed
from seqc import ops
from seqc.export.activations.recognition import recognize_activations
from seqc.export.pipelines import FOR_INFERENCE
from seqc.export.target import onnx_target
from seqc.graph import ir
from seqc.graph.ir import Graph, Value
from seqc.passes.pipeline import run_passes
from seqc.passes.precision import promote_floats

Rng = np.random.Generator
FACTORS = (0.5, 2, -1, 1 / 6, 3, 1.5, 0.2, -0.3)


def number(rng: Rng) -> float:
    return float(rng.choice(FACTORS))


def joined(x: Value, w: Weights, rng: Rng) -> Value:
    parts = [conv(w, "conv", x, 2, (1, 1)), dense(w, "dense", x, 1), x]
    return ops.concatenate(parts[: rng.integers(2, 4)], -1)


def cut(x: Value, w: Weights, rng: Rng) -> Value:
    before, after = (int(n) for n in rng.integers(0, 3, 2))
    padded = ops.pad(x, ((0, 0), (before, after), (0, 1), (0, 0)))
    return padded[:, int(rng.integers(0, 2)) :, :-1] if before + after else padded


def excited(x: Value, w: Weights, rng: Rng) -> Value:
    squeezed = ops.relu(conv(w, "squeeze", ops.mean(x, (1, 2), keepdims=True), 2, (1, 1)))
    return x * ops.hard_sigmoid(conv(w, "excite", squeezed, channels(x), (1, 1)))


def channels(x: Value) -> int:
    return int(x.type.shape[-1])  # type: ignore[arg-type]


def convolved(x: Value, w: Weights, rng: Rng) -> Value:
    size, stride = int(rng.choice([1, 3])), int(rng.choice([1, 2]))
    return conv(w, "conv", x, int(rng.integers(1, 5)), (size,) * 2, (stride,) * 2, bias=bool(rng.integers(2)))


STEPS: tuple[Callable[[Value, Weights, Rng], Value], ...] = (
    convolved,
    joined,
    cut,
    excited,
    lambda x, w, rng: dense(w, "dense", x, int(rng.integers(1, 5)), bool(rng.integers(2))),
    lambda x, w, rng: batch_norm(w, "bn", x),
    lambda x, w, rng: x * number(rng),
    lambda x, w, rng: number(rng) - x,
    lambda x, w, rng: x * w("scale", channels(x)) + w("shift", channels(x)),
    lambda x, w, rng: x / w.positive("divisor", 1, 1, 1, channels(x)),
    lambda x, w, rng: ops.average_pool(x, 1, 2),
    lambda x, w, rng: ops.max_pool(ops.relu(x), 1, 2),
    lambda x, w, rng: ops.gelu(x, bool(rng.integers(2))),
    lambda x, w, rng: x * ops.relu6(x + 3.0) / 6.0,
    lambda x, w, rng: ops.hard_sigmoid(x * number(rng)) * number(rng) + number(rng),
    lambda x, w, rng: ops.relu(x),
    lambda x, w, rng: ops.hard_silu(x),
    lambda x, w, rng: transposed(w, "transposed", x, 2),
)


def network(rng: Rng) -> Graph:
    """Returns an image and a vector made of an image; some step in between may be an output, too."""
    w, sizes = Weights(int(rng.integers(100))), (HEIGHT, WIDTH) if rng.random() < 0.3 else (8, 9)
    made = [ir.input_value("image", "float32", (BATCH, *sizes, 3))]
    for _ in range(rng.integers(3, 12)):
        step = STEPS[rng.integers(len(STEPS))]
        made.append(step(made[rng.integers(max(0, len(made) - 3), len(made))], w, rng))
    pixel = ops.tanh(ops.mean(made[-1], (1, 2), keepdims=True)) * 2.0
    pixel = conv(w, "head_1", ops.gelu(conv(w, "head", pixel, 4, (1, 1)), False), 3, (1, 1))
    also = [made[rng.integers(1, len(made))]] if rng.random() < 0.3 else []
    return graph(made[0], made[-1], ops.reshape(pixel, (-1, 3)), *also)


@pytest.mark.parametrize("seed", range(30))
def test_a_random_network_keeps_its_numbers_with_fewer_nodes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before, target = network(rng), onnx_target(int(rng.choice([13, 18, 20])))
    exact = promote_floats(before)
    assert_same_numbers(exact, promote_floats(recognize_activations(before, target)), 1e-10)
    assert_same_numbers(exact, run_passes(exact, FOR_INFERENCE, target), 1e-9)
    after = run_passes(before, FOR_INFERENCE, target)
    assert_same_numbers(exact, promote_floats(after), 3e-4)  # weights are rounded to single precision
    transposes = ops_of(after).count("Transpose")
    assert len(ops_of(after)) - transposes < len(ops_of(before))
