"""Graphs that passes save nodes of, in each way of writing and with what has to stay."""

from __future__ import annotations

import numpy as np

from kit.small_graphs import BATCH, TIME, Weights, conv, dense, graph, image, sequence
from seqc import ops
from seqc.export.target import onnx_target
from seqc.graph import ir
from seqc.graph.ir import Graph, Value
from seqc.ops.shape import Reshape
from seqc.passes.constants import fold_constants
from seqc.passes.limits import join_limits
from seqc.passes.pipeline import run_passes


def with_steps(size: int = 22) -> Graph:
    """Every n-th pixel by pools with a window of one and by slices, before windows of one and more; from the second."""
    w, x = Weights(), image(size + 1, size, 2)
    y = conv(w, "conv", ops.average_pool(x, 1, 2), 3, padding="valid", strides=(1, 2))
    y = conv(w, "conv_1", ops.max_pool(y, 1, (2, 1), padding="same"), 1, (1, 1), (1, 2))
    pixel = conv(w, "pixel", x[:, ::3, ::2], 2, kernel=(1, 1))
    shifted = conv(w, "shifted", x[:, 1::2], 3, kernel=(1, 1))
    padded = conv(w, "padded", ops.average_pool(x, 1, 2), 3)
    return graph(x, y, pixel, shifted, padded)


def with_pixels() -> Graph:
    """Two products and what stands between, at once flattened; a map of two pixels; one that something else reads."""
    w, x = Weights(), image(4, 4, 2)
    pooled = ops.mean(x, (1, 2), keepdims=True)
    y = conv(w, "conv", pooled, 3, kernel=(1, 1)) * w("scale", 3)
    y = conv(w, "conv_1", ops.tanh(y), 4, bias=False, kernel=(1, 1))
    read_twice = conv(w, "conv_2", pooled, 3, kernel=(1, 1))
    wide = conv(w, "conv_3", ops.max(x, 1, keepdims=True)[:, :, :2], 3, kernel=(1, 1))
    return graph(x, ops.reshape(y, (-1, 4)), ops.reshape(read_twice, (-1, 3)), read_twice, ops.reshape(wide, (-1, 6)))


def with_activations() -> Graph:
    """Each function as it may be written; with other constants, read twice, and wider than what it is applied to."""
    x = ir.input_value("x", "float32", (BATCH, 4))
    read_twice = x * 0.3 + 0.5
    written = {
        "hard_sigmoid": ops.hard_sigmoid(x),
        "of_relu6": ops.relu6(x + 3.0) / 6.0,
        "turned": 1.0 - ops.clip(x * 0.4 + 0.25, 0.0, 1.0),
        "hard_silu": ops.hard_silu(x),
        "divided_last": x * ops.relu6(x + 3.0) / 6.0,
        "scaled_first": ops.relu6(3.0 + x) * (x * (1 / 6)),
        "gelu": ops.gelu(x * 2.0, approximate=False),
        "halved_first": x * 0.5 * (1.0 + ops.erf(x * 0.7071067811865476)),
        "shared_half": (0.5 + 0.5 * ops.erf(x / np.sqrt(2).astype("f"))) * x,
        "tanh": ops.gelu(x),
        "other_limits": ops.clip(x * 0.2 + 0.5, 0.0, 2.0),
        "other_slope": x * ops.clip(x * 0.25 + 0.5, 0.0, 1.0),
        "read_twice": ops.clip(read_twice, 0.0, 1.0) + read_twice,
        "wider": ops.clip(x * np.full((2, 1, 1), 0.2, "f") + 0.5, 0.0, 1.0),
        "alone": ops.clip(x, 0.0, 1.0),
    }
    return run_passes(
        Graph((x,), tuple(written.values()), tuple(written)), (join_limits, fold_constants), onnx_target()
    )


def with_gelus() -> Graph:
    """Between products, behind a convolution; in front of nothing, behind nothing, and read twice."""
    w, x = Weights(), image(4, 4, 2)
    y = ops.gelu(conv(w, "conv", x, 3), approximate=False)
    y = ops.gelu(dense(w, "dense", y, 4), approximate=False)
    y = dense(w, "dense_1", y, 4, bias=False)
    last = dense(w, "dense_2", ops.gelu(ops.relu(y), approximate=False), 3)
    read_twice = ops.gelu(dense(w, "dense_3", y, 3), approximate=False)
    return graph(x, last, dense(w, "dense_4", read_twice, 2), read_twice)


def with_heads() -> Graph:
    """Projections into heads.

    Those of one tensor, with factors, offsets and moves of every kind; wider ones, one alone, one that something else
    reads too, and one that is no projection.
    """
    w = Weights()
    x, memory = (ir.input_value(name, "float32", (BATCH, TIME, n)) for name, n in (("x", 6), ("memory", 5)))
    plain, last = (0, 2, 1, 3), (0, 2, 3, 1)

    def project(name: str, source: Value, heads: int, features: int) -> Value:
        with ir.scope(name):
            product = ops.matmul(source, w(f"{name}/kernel", int(source.type.shape[-1]), heads * features))  # type: ignore[arg-type]
            return ir.apply(Reshape((0, 0, heads, features)), product)

    with ir.scope("attention"):
        query = project("attention/query", x, 2, 3) / 4.0 + w("attention/query/bias", 2, 3)
        key = (project("attention/key", x, 1, 3) + w("attention/key/bias", 1, 3)) * w("scale", 3)
        flat = ops.matmul(x, w("attention/value/kernel", 6, 6))
        value = ir.apply(Reshape((0, 0, 2, 3)), flat + w("attention/value/bias", 6))
        more = project("attention/more", x, 1, 3)
    wide = [project(name, x, 2, 4) for name in ("wide", "wider")]
    alone, shared = project("alone", memory, 2, 3) * 0.5, project("shared", memory, 2, 3)
    results = [
        ops.transpose(query * np.float32(0.5), plain), ops.transpose(key, last), ops.transpose(value, plain),
        ops.transpose(more, plain), ops.transpose(wide[0], last), ops.transpose(wide[1], (1, 0, 2, 3)),
        ops.transpose(alone, plain), ops.transpose(shared, plain), ops.tanh(shared),
        ops.transpose(ir.apply(Reshape((0, 0, 2, 3)), x), plain),
    ]  # fmt: skip
    return Graph((x, memory), tuple(results), tuple("abcdefghij"))


def with_parts() -> Graph:
    """Slices that make up a tensor, in any order and twice; some that leave a gap, overlap, or step."""
    x = ir.input_value("x", "float32", (BATCH, 6))
    thirds, uneven = ops.split(x, 3, axis=1), ops.split(ops.log(x), (1, 4), axis=1)
    turned = ops.split(ops.tanh(x), 2, axis=1)
    gaps, covered, steps = ops.exp(x), ops.sin(x), ops.cos(x)
    results = [
        *thirds, *uneven, turned[1], turned[0], turned[1] + 1.0,
        gaps[:, :2], gaps[:, 3:], covered[:, :4], covered[:, 2:], steps[:, ::2], steps[:, 1::2],
    ]  # fmt: skip
    return Graph((x,), tuple(results), tuple("abcdefghijklmno"))


def with_slopes() -> Graph:
    """Slopes that are numbers, arrays, limited above; and what is none: of another x, read elsewhere, below a limit."""
    x, other = (ir.input_value(n, "float32", (BATCH, 3, 4)) for n in ("x", "other"))
    alpha = Weights()("alpha", 1, 4)
    shared = ops.relu(-x)
    results = {
        "number": ops.relu(x) - 0.25 * ops.relu(-x),
        "array": ops.relu(x) - alpha * ops.relu(-x),
        "limited": ops.clip(x, 0.0, 2.0) - ops.relu(0.0 - x) * 0.25,
        "of_two": ops.relu(x) - 0.25 * ops.relu(-other),
        "read_twice": (ops.relu(x) - 0.25 * shared) * shared,
        "rising": ops.clip(x, 0.0, 2.0) - (-0.5) * ops.relu(-x),
        "shifted": ops.relu(x) - 0.25 * ops.relu(1.0 - x),
    }
    return Graph((x, other), tuple(results.values()), tuple(results))


def normalized(x: Value, groups: int, axis: int = -1) -> Value:
    """Normalization by groups as the layer writes it, without scale and offset."""
    sizes = ops.shape(x)
    channels = int(x.type.shape[axis])  # type: ignore[arg-type]
    first = axis == 1
    split = (sizes[0], groups, -1) if first else (sizes[0], -1, groups, channels // groups)
    grouped = ops.reshape(x, split)
    mean, variance = ops.moments(grouped, [2] if first else [1, 3], keepdims=True)
    return ops.reshape((grouped - mean) / ops.sqrt(variance + 0.25), sizes)


def with_groups() -> Graph:
    """Channels last and first, with scale and offset, or one; read elsewhere, where they stay as they are."""
    w, x, first = Weights(), image(3, 2, 4), ir.input_value("first", "float32", (BATCH, 4, TIME))
    inside = normalized(x, 1)
    results = {
        "last": normalized(x, 2) * w("gamma", 4) + w("beta", 4),
        "first": normalized(first, 4, 1) * w("gamma", 4, 1),
        "other_axis": normalized(x, 4) * w("other", 2, 1),
        "read_twice": inside * w("gamma", 4) * inside,
    }
    return Graph((x, first), tuple(results.values()), tuple(results))


def with_mean_squares() -> Graph:
    """Over the last axis, over another one, and with another number in the place of x."""
    w, x, other = Weights(), sequence(4), ir.input_value("other", "float32", (BATCH, TIME, 4))

    def scaled(of: Value, by: Value, axis: int) -> Value:
        return of / ops.sqrt(ops.mean(ops.square(by), axis, keepdims=True) + 0.25)

    results = {
        "last": scaled(x, x, -1) * w("scale", 4),
        "other_axis": scaled(x, x, 1) * w("scale", 4),
        "of_two": scaled(x, other, -1) * w("scale", 4),
    }
    return Graph((x, other), tuple(results.values()), tuple(results))
