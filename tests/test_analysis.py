"""How many operations a model needs: by hand, for every operation, and the same for layers and for ONNX nodes."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.op_checks import evaluate
from kit.op_rows import OpSpec
from kit.op_specs import SPECS
from seqc.analysis import describe_layers, step_flops
from seqc.backends.numpy.patches import Patches
from seqc.backends.numpy.residuals import GradOfResiduals, WithResiduals
from seqc.cli._onnx_flops import count_flops
from seqc.export.images.conv import OnnxConv
from seqc.export.recurrent.forms import OnnxRecurrent
from seqc.graph import dims
from seqc.graph.ir import Type
from seqc.ops.bitwise import View
from seqc.ops.conv import Conv, ConvInputGrad, ConvKernelGrad
from seqc.ops.dft import DFT, RealDFT, RealDFTGrad
from seqc.ops.elementwise import Cast
from seqc.ops.gather import GatherGrad
from seqc.ops.linalg import Gemm
from seqc.ops.normalization import BatchMoments, GradientSums
from seqc.ops.pool import AveragePoolGrad, MaxPoolGrad
from seqc.ops.resize import ResampleGrad
from seqc.ops.rnn import GRU, LSTM
from seqc.ops.sizes import Uncrop
from seqc.ops.slicing import SliceGrad
from seqc.ops.steps import Scan
from seqc.training.timing import training_step

layers = keras.layers

BY_HAND = [
    ("Conv", [(1, 3, 8, 8), (16, 3, 5, 5), (16,)], [(1, 16, 4, 4)], {}, 2 * 256 * 75 + 256),
    ("Conv", [(1, 8, 6, 6), (8, 1, 3, 3)], [(1, 8, 4, 4)], {}, 2 * 128 * 9),
    ("ConvTranspose", [(1, 4, 3, 3), (4, 2, 2, 2)], [(1, 2, 6, 6)], {}, 2 * 36 * 8),
    ("MatMul", [(5, 2, 3), (3, 4)], [(5, 2, 4)], {}, 2 * 40 * 3),
    ("Gemm", [(2, 3), (3, 4), (4,)], [(2, 4)], {}, 2 * 8 * 3 + 8),
    ("Gemm", [(3, 2), (3, 4)], [(2, 4)], {}, 2 * 8 * 3),
    ("LSTM", [(7, 1, 3), (2, 20, 3), (2, 20, 5)], [(7, 2, 1, 5)], {}, 14 * (2 * 4 * 5 * 8 + 17 * 5)),
    ("MaxPool", [(1, 2, 8, 8)], [(1, 2, 4, 4)], {"window": 9}, 32 * 9),
    ("GlobalAveragePool", [(1, 2, 8, 8)], [(1, 2, 1, 1)], {}, 128),
    ("Softmax", [(1, 10)], [(1, 10)], {}, 50),
    ("BatchNormalization", [(1, 2, 3, 3)], [(1, 2, 3, 3)], {}, 36),
    ("Add", [(1, 10), (10,)], [(1, 10)], {}, 10),
    ("DFT", [(3, 2, 1024, 1)], [(3, 2, 513, 2)], {}, 6 * 1024 * 25),
    ("DFT", [(3, 1024, 2)], [(3, 1024, 2)], {}, 3 * 2048 * 5 * 11 // 2),
    ("Transpose", [(1, 10)], [(10, 1)], {}, 0),
    ("NoSuchOperator", [(1, 10)], [(1, 10)], {}, None),
]


@pytest.mark.parametrize(("op", "inputs", "outputs", "options", "expected"), BY_HAND, ids=[c[0] for c in BY_HAND])
def test_operators_of_onnx_counted_by_hand(
    op: str, inputs: Any, outputs: Any, options: Any, expected: int | None
) -> None:
    assert count_flops(op, inputs, outputs, **options) == expected


LSTM_STEP, GRU_STEP = 2 * 4 * 5 * 8 + 17 * 5, 2 * 3 * 5 * 8 + 14 * 5
OWN = [
    (Conv((1, 1)), [(1, 8, 8, 3), (5, 5, 3, 16)], [(1, 4, 4, 16)], 2 * 256 * 75),
    (Conv((1, 1)), [(1, 8, 8, 3), (5, 5, 3, 16), (16,)], [(1, 4, 4, 16)], 2 * 256 * 75 + 256),
    (OnnxConv(Conv((1, 1))), [(1, 3, 8, 8), (16, 3, 5, 5)], [(1, 16, 4, 4)], 2 * 256 * 75),
    (ConvInputGrad((1, 1)), [(1, 4, 4, 16), (5, 5, 3, 16), (1, 8, 8, 3)], [(1, 8, 8, 3)], 2 * 256 * 75),
    (
        ConvKernelGrad((1, 1)),
        [(2, 8, 8, 3), (2, 4, 4, 16), (5, 5, 3, 16)],
        [(5, 5, 3, 16)],
        2 * 2 * 16 * 16 * 75,
    ),
    (Gemm(), [(2, 3), (3, 4), (4,)], [(2, 4)], 2 * 8 * 3 + 8),
    (MaxPoolGrad((2, 2), (2, 2)), [(1, 8, 8, 2), (1, 4, 4, 2), (1, 4, 4, 2)], [(1, 8, 8, 2)], 32 * 4),
    (AveragePoolGrad((3, 3), (2, 2)), [(1, 4, 4, 2), (1, 8, 8, 2)], [(1, 8, 8, 2)], 32 * 9),
    (GatherGrad(), [(6, 7, 4), (6, 7), (50, 4)], [(50, 4)], 6 * 7 * 4),
    (LSTM(), [(2, 7, 3), (3, 20), (5, 20), (20,)], [(2, 7, 5)], 14 * LSTM_STEP),
    (GRU(), [(2, 7, 3), (3, 15), (5, 15), (2, 15)], [(2, 7, 5)], 14 * GRU_STEP),
    (LSTM().gradient((True,)), [(2, 7, 3), (3, 20), (5, 20)], [(2, 7, 3)], 2 * 14 * LSTM_STEP),
    (GRU().gradient((True,)), [(2, 7, 3), (3, 15), (5, 15)], [(2, 7, 3)], 2 * 14 * GRU_STEP),
    (WithResiduals(LSTM()), [(2, 7, 3), (3, 20), (5, 20)], [(2, 7, 5)], 14 * LSTM_STEP),
    (GradOfResiduals(GRU().gradient((True,))), [(3, 15), (5, 15)], [(2, 7, 3)], 2 * 14 * GRU_STEP),
    (OnnxRecurrent(LSTM(), "bidirectional"), [(7, 1, 3), (2, 20, 3), (2, 20, 5)], [(7, 2, 1, 5)], 14 * LSTM_STEP),
    (BatchMoments(3), [(2, 8, 8, 3)], [(3,), (3,)], 4 * 2 * 64 * 3),
    (GradientSums(3), [(2, 8, 8, 3), (2, 8, 8, 3), (3,)], [(3,), (3,)], 4 * 2 * 64 * 3),
    (RealDFT(), [(3, 2, 1024)], [(3, 2, 1026)], 6 * 1024 * 25),
    (RealDFTGrad(1024), [(6, 1026)], [(6, 1024)], 6 * 1024 * 25),
    (DFT(), [(3, 2048)], [(3, 2048)], 3 * 2048 * 5 * 11 // 2),
    (ResampleGrad((2, 2), "bilinear"), [(1, 8, 8, 2)], [(1, 4, 4, 2)], 128),
]


@pytest.mark.parametrize(("op", "inputs", "outputs", "expected"), OWN, ids=[repr(c[0]) for c in OWN])
def test_operations_of_the_ir_counted_by_hand(op: Any, inputs: Any, outputs: Any, expected: int) -> None:
    assert op.work(inputs, outputs) == expected


@pytest.mark.parametrize("spec", [s for s in SPECS if not isinstance(s.op, Scan)], ids=lambda s: s.id)
def test_every_operation_says_its_work_and_what_it_does_with_numbers(spec: OpSpec) -> None:
    sizes = {name: 6 for t in spec.types() for d in t.shape for name in dims.names(d)}
    inputs = [tuple(dims.evaluate(d, sizes) for d in t.shape) for t in spec.types()]
    given = spec.op.infer(*(Type(t.dtype, shape) for t, shape in zip(spec.types(), inputs, strict=True)))
    outputs = [dims.known(t.shape) for t in (given if isinstance(given, tuple) else (given,))]
    work = spec.op.work(inputs, outputs)
    assert (work == 0) == (spec.op.kind != "arithmetic" or 0 in (prod(s) for s in (*inputs, *outputs)))


@pytest.mark.parametrize("spec", [s for s in SPECS if s.op.kind in ("view", "move")], ids=lambda s: s.id)
def test_what_moves_numbers_gives_none_but_its_operands(spec: OpSpec) -> None:
    arrays = spec.arrays(np.random.default_rng(0), {n: 6 for t in spec.types() for d in t.shape for n in dims.names(d)})
    here = {0.0, 1.0} if isinstance(spec.op, Patches) else {0.0, getattr(spec.op, "value", 0.0)}
    known = here.union(*(np.asarray(a, np.float64).ravel().tolist() for a in arrays))
    if isinstance(spec.op, Cast):
        known |= {float(np.asarray(x).astype(spec.op.dtype)) for x in known}
    # The first two may add up what came from the same place; the last takes the same bits for other numbers.
    if isinstance(spec.op, SliceGrad | Uncrop | View):
        return
    for given in evaluate(spec.op, arrays):
        assert set(np.asarray(given, np.float64).ravel().tolist()) <= known


IMAGE = [layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(2)]
MODELS: dict[str, tuple[list[Any], tuple[int, ...]]] = {
    "dense": ([layers.Dense(8, activation="silu"), layers.Dense(3)], (5,)),
    "conv": (IMAGE, (8, 8, 1)),
    "conv1d": ([layers.Conv1D(4, 3, strides=2), layers.Flatten(), layers.Dense(2, activation="softmax")], (9, 2)),
    "transposed": (
        [
            layers.Conv2DTranspose(3, 3, 2, "same", activation="relu"),
            layers.SeparableConv2D(2, 3, padding="same"),
            layers.UpSampling2D(2, interpolation="bilinear"),
            layers.DepthwiseConv2D(2),
            layers.GlobalMaxPooling2D(),
        ],
        (4, 5, 2),
    ),
    "pool1d": (
        [
            layers.ZeroPadding1D(1),
            layers.UpSampling1D(3),
            layers.Conv1DTranspose(3, 2, 2, use_bias=False),
            layers.MaxPooling1D(2),
            layers.AveragePooling1D(3),
            layers.GlobalAveragePooling1D(),
        ],
        (9, 2),
    ),
    "gru": ([layers.GRU(4, return_sequences=True), layers.SimpleRNN(3), layers.Dense(2)], (6, 3)),
    "bidirectional": ([layers.Bidirectional(layers.GRU(4)), layers.Dense(2)], (6, 3)),
    "lstm": ([layers.LSTM(4), layers.Dense(2, activation="sigmoid")], (6, 3)),
}


@pytest.mark.parametrize("name", MODELS)
def test_layers_need_what_their_nodes_need(name: str, tmp_path: Path) -> None:
    from seqc.cli._onnx import list_nodes, read_model

    stack, shape = MODELS[name]
    model = keras.Sequential([keras.Input(shape), *stack])
    model.export(tmp_path / "m.onnx", verify=False)
    nodes = list_nodes(read_model(tmp_path / "m.onnx"), {})
    facts = describe_layers(model)
    assert sum(f.flops or 0 for f in facts) == sum(n.flops or 0 for n in nodes)
    assert sum(f.parameters for f in facts) == model.count_params()
    assert all(f.flops is not None for f in facts)


def test_layers_are_described_with_shape_and_class() -> None:
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3, name="a"), layers.Dropout(0.5, name="b")])
    a, b = describe_layers(model)
    assert (a.name, a.kind, a.shape, a.parameters) == ("a", "Conv2D", (None, 6, 6, 4), 112)
    assert a.flops == 36 * 4 * 27 * 2 + 36 * 4
    assert (b.shape, b.parameters, b.flops) == ((None, 6, 6, 4), 0, 0)


def test_what_depends_on_weights_alone_counts_nothing() -> None:
    model = keras.Sequential([keras.Input((6,)), layers.BatchNormalization()])
    assert describe_layers(model)[0].flops == 12


def test_a_nested_model_is_one_layer() -> None:
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(2)], name="inner")
    model = keras.Sequential([keras.Input((4,)), inner])
    (only,) = describe_layers(model)
    assert (only.name, only.flops) == ("inner", 24 + 3 + 12 + 2)


def step_graph(stack: list[Any], shape: tuple[int, ...], labels: tuple[int, ...]) -> Any:
    model = keras.Sequential([keras.Input(shape), *stack])
    model.compile("sgd", "mse")
    step, _ = training_step(model, np.zeros((2, *shape), "float32"), np.zeros((2, *labels), "float32"))
    return step.graph


def test_a_training_step_counts_its_products_three_times_but_for_the_first_layer() -> None:
    sizes = [step_flops(step_graph([layers.Dense(n), layers.Dense(n)], (n,), (n,)), {"batch": 50}) for n in (100, 200)]
    for n, counted in zip((100, 200), sizes, strict=True):
        products = 5 * 2 * 50 * n * n
        assert counted is not None
        # The rest - optimizer, biases, loss - grows with the number of weights.
        assert products < counted < products + 2 * (2 * n * n + 2 * n) + 20 * 50 * n


@pytest.mark.parametrize(
    ("stack", "shape", "labels"),
    [
        ([layers.Conv2D(3, 3), layers.MaxPooling2D(2), layers.AveragePooling2D(1), layers.Flatten()], (6, 6, 1), (12,)),
        ([layers.Conv1D(3, 3), layers.BatchNormalization(), layers.Dropout(0.5), layers.LSTM(2)], (6, 2), (2,)),
        ([layers.LayerNormalization(), layers.Dense(2, activation="gelu")], (6,), (2,)),
        ([layers.Bidirectional(layers.GRU(2)), layers.Dense(1)], (6, 2), (1,)),
        ([layers.SimpleRNN(2, return_sequences=True), layers.SimpleRNN(2)], (6, 2), (2,)),
        ([layers.DepthwiseConv2D(3), layers.Conv2DTranspose(3, 3, strides=2)], (6, 6, 2), (9, 9, 3)),
        ([layers.UpSampling2D(2, interpolation="bilinear"), layers.Conv2D(1, 1)], (3, 3, 2), (6, 6, 1)),
    ],
)
def test_every_operation_of_a_training_step_has_a_rule(stack: Any, shape: Any, labels: Any) -> None:
    graph = step_graph(stack, shape, labels)
    one, ten = (step_flops(graph, {"batch": n}) for n in (1, 10))
    assert one is not None
    assert ten is not None
    assert one < ten < 10 * one
    assert step_flops(graph, {}) is None


def test_operations_between_layers_count() -> None:
    x = keras.Input((3,))
    model = keras.Model(x, keras.layers.Dense(2)(keras.ops.exp(x) + x))
    facts = {f.name: f.flops for f in describe_layers(model)}
    assert facts.pop("(operations)") == 6
    assert sum(n or 0 for n in facts.values()) == 14
