"""Adaptive pooling: against windows cut by hand, in few nodes, and where sizes are not known."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers, ops
from seqc.errors import SeqcError, ShapeError
from seqc.export import compile_graph
from seqc.export.model import inference_graph

pytest.importorskip("onnxruntime", reason="needs onnxruntime")


def by_hand(x: np.ndarray, wanted: tuple[int, ...], take: Any) -> np.ndarray:
    """Pools (batch, *space, channels) window by window."""
    result = np.empty((len(x), *wanted, x.shape[-1]))
    for place in np.ndindex(*wanted):
        cut = [
            slice(int(np.floor(i * size / n)), int(np.ceil((i + 1) * size / n)))
            for i, n, size in zip(place, wanted, x.shape[1:-1], strict=True)
        ]
        result[(slice(None), *place)] = take(x[(slice(None), *cut)], tuple(range(1, x.ndim - 1)))
    return result


SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]]
SHAPES = [((n,), (k,)) for n, k in itertools.product((1, 2, 5, 6, 7), (1, 2, 3, 5, 8))]
SHAPES += [((6, 7), (3, 2)), ((5, 4), (2, 4)), ((4, 3), (6, 3)), ((4, 5, 6), (2, 3, 4)), ((2, 3, 7), (3, 3, 3))]


@pytest.mark.parametrize(("space", "wanted"), SHAPES)
def test_windows_are_those_cut_by_hand(space: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    x = np.random.default_rng(3).normal(size=(2, *space, 3))
    for function, take in ((ops.adaptive_average_pool, np.mean), (ops.adaptive_max_pool, np.max)):
        expected = by_hand(x, wanted, take)
        np.testing.assert_allclose(np.asarray(function(x, wanted)), expected, rtol=1e-12)
        first = np.asarray(function(np.moveaxis(x, -1, 1), wanted, "channels_first"))
        np.testing.assert_allclose(np.moveaxis(first, 1, -1), expected, rtol=1e-12)


# What convolutions, and the borders of a model, bring along.
AROUND = {"Conv", "Transpose", "Reshape", "Unsqueeze", "Squeeze"}


@pytest.mark.parametrize(
    ("layer", "shape", "nodes"),
    [
        (layers.AdaptiveAveragePooling2D(2), (6, 8, 3), {"AveragePool": 1}),
        (layers.AdaptiveMaxPooling2D((3, 4)), (6, 8, 3), {"MaxPool": 1}),
        (layers.AdaptiveAveragePooling2D((4, 3)), (6, 8, 3), {"MatMul": 2}),
        (layers.AdaptiveAveragePooling2D((4, 4)), (6, 8, 3), {"AveragePool": 1, "MatMul": 1}),
        (layers.AdaptiveMaxPooling2D((4, 3)), (6, 8, 3), {"Gather": 2, "MaxPool": 1}),
        (layers.AdaptiveAveragePooling1D(4), (6, 3), {"MatMul": 1}),
        (layers.AdaptiveAveragePooling3D(2), (4, 6, 2, 3), {"AveragePool": 1}),
    ],
)
def test_between_convolutions_it_takes_few_nodes(layer: Any, shape: tuple[int, ...], nodes: dict[str, int]) -> None:
    conv = {2: layers.Conv1D, 3: layers.Conv2D, 4: layers.Conv3D}[len(shape)]
    model = keras.Sequential([keras.Input(shape), conv(4, 1), layer, conv(2, 1)])
    found = Counter(node.op_type for node in compile_graph(inference_graph(model)).graph.node)
    inside = {
        name: n for name, n in found.items() if name not in ("Conv", "Transpose", "Reshape", "Unsqueeze", "Squeeze")
    }
    assert inside == nodes
    assert found["Transpose"] <= 2


@pytest.mark.parametrize("kind", [layers.AdaptiveAveragePooling2D, layers.AdaptiveMaxPooling2D])
def test_it_trains_and_exports(kind: Any, tmp_path: Path) -> None:
    keras.utils.set_random_seed(2)
    model = keras.Sequential(
        [keras.Input((7, 6, 1)), layers.Conv2D(3, 2), kind((4, 3)), kind(2), layers.Flatten(), layers.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(0.05), "mse")
    rng = np.random.default_rng(4)
    x = rng.normal(size=(64, 7, 6, 1)).astype("float32")
    y = x[:, :3, :3].max((1, 2)) - x[:, 3:].mean((1, 2))
    history = model.fit(x, y, epochs=12, batch_size=16, verbose=0).history["loss"]
    assert history[-1] < history[0] / 2
    model.export(tmp_path / "model.onnx", verbose=False)


def test_sizes_must_be_known() -> None:
    with pytest.raises(ShapeError, match=r"adaptive_average_pool divides axes into windows and must know their sizes"):
        keras.Sequential([keras.Input((None, 3)), layers.AdaptiveAveragePooling1D(2)])


@pytest.mark.parametrize(
    ("kind", "given", "error", "message"),
    [
        (layers.AdaptiveMaxPooling2D, "2", TypeError, "must be an integer or a tuple of 2 integers"),
        (layers.AdaptiveMaxPooling2D, (1, 2, 3), TypeError, "must have length 2"),
        (layers.AdaptiveMaxPooling1D, (1, 2), ValueError, "must have length 1"),
        (layers.AdaptiveAveragePooling3D, 0, ValueError, "output_size"),
    ],
)
def test_what_is_no_output_size_is_refused(kind: Any, given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        kind(given)
    assert isinstance(caught.value, SeqcError)
