"""Every kind of layer at older and newer versions of the ONNX operators: the file computes the same, or is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from kit import onnx_models
from kit.effort import turn
from kit.golden_models import ALL, Golden
from kit.small_graphs import BATCH, TIME
from seqc import Model, Sequential, activations, layers, ops
from seqc.errors import ExportError, NoLoweringError, VerificationError
from seqc.export import compile_graph, export_graph
from seqc.export.model import inference_graph
from seqc.graph import ir
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Graph, Value
from seqc.ops.normalization import LayerNormalization
from seqc.ops.resize import Upsample

pytest.importorskip("onnx", reason="needs onnx")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")

OPSETS = (13, 15, 17, 18, 21)
# Their files are checked as whole ones, without a look at every value; the newest is checked as others are.
LATER = (22, 23, 24, 25, 26, 27)
NEWEST = 28
# What these are made of came with opsets after 13.
NEWER = ("layer_norm", "masked_lstm_free", "masked_bidirectional_gru_sequences", "zeroed", "free_images", "leaky")


def run(content: bytes, golden: Golden) -> np.ndarray:
    from seqc.backends.onnxruntime import Session

    session = Session(content, threads=1)
    (result,) = session.run({session.input_names[0]: golden.samples()}).values()
    return result


@pytest.mark.parametrize("opset", [*OPSETS, NEWEST])
@pytest.mark.parametrize("golden", [g for g in ALL if g.name in NEWER], ids=lambda g: g.name)
def test_what_came_with_later_opsets_is_said_in_older_ones(golden: Golden, opset: int) -> None:
    model = compile_graph(golden.graph, opset=opset)
    assert model.opset_import[0].version == opset
    golden.check(golden.samples(), run(onnx_models.content(model), golden))


# Counting numbers at places: ScatterElements adds from then on.
SINCE = {"tiles": 16}
NAMED = {golden.name: golden for golden in ALL}


@pytest.mark.slow
@pytest.mark.parametrize(
    "opset", [opset for opset in (*OPSETS, NEWEST) if opset != 18]
)  # other tests export at the default
def test_every_golden_model_is_exported_and_verified_at_every_opset(opset: int, tmp_path: Path) -> None:
    for golden in (*turn(ALL, (*OPSETS, NEWEST).index(opset), 3), *(NAMED[name] for name in SINCE)):
        if golden.name in SINCE and opset < SINCE[golden.name]:
            with pytest.raises(NoLoweringError, match=f"lacks. Export with opset={SINCE[golden.name]}"):
                export_graph(golden.graph, tmp_path / "model.onnx", opset=opset)
            continue
        report = export_graph(golden.graph, tmp_path / "model.onnx", opset=opset).report
        assert report is not None, golden.name
        assert report.passed, golden.name


@pytest.mark.slow
@pytest.mark.parametrize("opset", LATER)
def test_every_golden_model_computes_the_truth_at_later_opsets(opset: int) -> None:
    for golden in turn(ALL, opset, 3):
        model = compile_graph(golden.graph, opset=opset)
        assert model.ir_version == max(8, helper.find_min_ir_version_for(model.opset_import))
        golden.check(golden.samples(), run(onnx_models.content(model), golden))


def test_a_later_opset_changes_nothing_of_what_a_file_computes() -> None:
    x = layers.Input((5, 8))
    y = layers.Dense(8, activation="silu")(layers.RMSNormalization()(layers.MultiHeadAttention(2, 4)(x, x)))
    graph = inference_graph(Model(x, y))
    kinds = {opset: onnx_models.node_types(compile_graph(graph, opset=opset)) for opset in (18, NEWEST)}
    # In onnxruntime Attention of opset 23 takes as long as its parts, as RMSNormalization does, and Swish of 24 longer.
    assert kinds[18] == kinds[NEWEST]


def test_an_opset_that_the_onnx_here_does_not_know_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnx.defs.onnx_opset_version", lambda: 22)
    (golden,) = (g for g in ALL if g.name == "mlp")
    with pytest.raises(ExportError, match="knows opset 22 at most; got 23. Install a newer onnx"):
        compile_graph(golden.graph, opset=23)


def test_layer_normalization_is_one_operator_from_its_opset_on() -> None:
    (golden,) = (g for g in ALL if g.name == "layer_norm")
    kinds = {opset: onnx_models.node_types(compile_graph(golden.graph, opset=opset)) for opset in (16, 17)}
    assert "LayerNormalization" not in kinds[16]
    assert kinds[17].count("LayerNormalization") == 1


# What has numbers of its own that float32 cannot hold, on the inputs themselves: no weight before it that is rounded.
ROUNDED: dict[str, Callable[[], Any]] = {
    "layer": layers.LayerNormalization,
    "layer, small": lambda: layers.LayerNormalization(epsilon=1e-5),
    "layer by layer": lambda: layers.TimeDistributed(layers.LayerNormalization()),
    "root mean square": layers.RMSNormalization,
    "groups": lambda: layers.GroupNormalization(4),
    "channels": lambda: layers.GroupNormalization(-1),
    "batch": layers.BatchNormalization,
    "unit": layers.UnitNormalization,
    "rescaling": lambda: layers.Rescaling(0.1, 0.3),
    "shifted": lambda: layers.Normalization(mean=0.3, variance=0.1),
    "relu": lambda: layers.ReLU(negative_slope=0.1, threshold=0.3, max_value=0.7),
    "leaky": lambda: layers.LeakyReLU(0.1),
    "elu": lambda: layers.ELU(0.3),
    "celu": lambda: layers.Lambda(lambda x: activations.celu(x, 0.3)),
    "gelu by tanh": lambda: layers.Lambda(lambda x: activations.gelu(x, True)),
    "hard shrink": lambda: layers.Lambda(lambda x: activations.hard_shrink(x, 0.3)),
    "soft shrink": lambda: layers.Lambda(lambda x: activations.soft_shrink(x, 0.3)),
    "threshold": lambda: layers.Lambda(lambda x: activations.threshold(x, 0.3, 0.7)),
    "clip": lambda: layers.Lambda(lambda x: ops.clip(x, -0.3, 0.7)),
    "normalize": lambda: layers.Lambda(lambda x: ops.normalize(x, epsilon=1e-3)),
    "cell": lambda: layers.RNN(NormalizedCell()),
    **{name: partial(layers.Activation, name) for name in sorted(activations.FUNCTIONS) if name != "threshold"},
}
OLDER: tuple[dict[str, Any], ...] = (
    {"opset": 13},
    {"opset": 14, "precision": "float16"},
    {"opset": 16},
    {"target": "min", "sizes": {"batch": 2}},
    {"target": "unity"},
)


class NormalizedCell(layers.Layer):
    state_size = output_size = 8

    def build(self, shape: Any) -> None:
        self.normal = layers.LayerNormalization()
        self.normal.build(shape)

    def call(self, x: Any, states: Any) -> Any:
        y = self.normal(x + states[0])
        return y, [y]


@pytest.mark.one_in(5)
@pytest.mark.parametrize("name", ROUNDED)
def test_numbers_that_float32_cannot_hold_are_no_fault_at_older_opsets(name: str, tmp_path: Path) -> None:
    for options in OLDER:
        model = Sequential([layers.Input((5, 8)), ROUNDED[name]()])
        try:
            report = model.export(tmp_path / "m.onnx", **options).report
        except VerificationError:
            raise
        except ExportError:
            if "target" not in options:  # what a place lacks it lacks
                raise
        else:
            assert report.passed, options


def test_another_number_in_what_an_operation_is_made_of_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = LayerNormalization.decompose

    def mistaken(self: LayerNormalization, *values: Any) -> Any:
        return whole(replace(self, epsilon=self.epsilon * 1.0001), *values)

    monkeypatch.setattr(LayerNormalization, "decompose", mistaken)
    model = Sequential([layers.Input((5, 8)), layers.LayerNormalization()])
    with pytest.raises(VerificationError, match="after the rewriting for ONNX than before it"):
        model.export(tmp_path / "m.onnx", opset=16)


RELUS: dict[str, tuple[Callable[[Value], Value], str]] = {
    "signed": (ops.relu, "int32"),
    "unsigned": (ops.relu, "uint8"),
    "up to six": (ops.relu6, "int32"),
}


@pytest.mark.parametrize("opset", [13, 14, 18])
@pytest.mark.parametrize("name", RELUS)
def test_relu_of_integers_is_exported_where_its_operator_takes_none(name: str, opset: int, tmp_path: Path) -> None:
    function, dtype = RELUS[name]
    x = ir.input_value("x", dtype, (BATCH, 4))
    report = export_graph(Graph((x,), (function(x),), ("y",)), tmp_path / "m.onnx", opset=opset).report
    assert report is not None
    assert report.passed


def upsample(x: Value) -> Value:
    return ops.squeeze(ir.apply(Upsample((1, 3, 2, 1)), ops.reshape(x, (-1, 2, 2, 1))), -1)


ALL_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
# Of some types onnxruntime has none of the operators, or ONNX itself has not.
NARROW: dict[str, Callable[[Value], Value]] = {
    "sum": lambda x: x + x,
    "difference": lambda x: x - x * x,
    "negative": ops.negative,
    "power": lambda x: ops.power(ops.mod(x, 7), np.asarray(3, x.dtype)),
    "quotient": lambda x: ops.floor_divide(x, np.asarray(3, x.dtype)),
    "running sum": lambda x: ops.cumsum(x, 1),
    "largest": lambda x: ops.max(x, 1),
    "smallest": lambda x: ops.min(x, 1),
    "total": lambda x: ops.sum(ops.mod(x, 50), 1),
    "product": lambda x: ops.prod(ops.mod(x, 7), 1),
    "where the largest is": lambda x: ops.argmax(x, 1),
    "where the smallest is": lambda x: ops.argmin(x, 1),
    "products": lambda x: ops.matmul(x, ops.transpose(x)),
    "limits": lambda x: ops.clip(x, 1, 3),
    "the larger": lambda x: ops.maximum(x, np.asarray(2, x.dtype)),
    "rectified": ops.relu,
    "one or the other": lambda x: ops.where(x > 1, x, np.asarray(5, x.dtype)),
    "padded": lambda x: ops.pad(x, ((0, 0), (1, 1)), constant_values=1),
    "mirrored": lambda x: ops.pad(x, ((0, 0), (1, 1)), mode="reflect"),
    "a triangle": ops.tril,
    "rows": lambda x: ops.take(np.arange(9, dtype="float32"), ops.mod(x, 7), 0),
    "places": lambda x: ops.take_along_axis(ops.cast(x, "float32"), ops.mod(x, 4), 1),
    "upsampled": upsample,
}


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("name", NARROW)
def test_integers_of_all_types_wrap_around_and_compare_as_on_numpy(name: str, opset: int) -> None:
    from seqc.backends.onnxruntime import Session

    for dtype in ALL_INTEGERS:
        ends = np.iinfo(dtype)
        numbers = np.array([[ends.min, 1, 2, 3], [7, ends.max, ends.max - 1, 5]], dtype)
        x = ir.input_value("x", dtype, (BATCH, 4))
        graph = Graph((x,), (NARROW[name](x),), ("y",))
        session = Session(onnx_models.content(compile_graph(graph, opset=opset)), threads=1)
        expected = Interpreter(graph).run([numbers])[0]
        np.testing.assert_array_equal(session.run({"x": numbers})["y"], expected, err_msg=dtype)


BOOLEANS: dict[str, Callable[[Value], Value]] = {
    "a causal mask": lambda x: ops.tril(ops.ones((ops.shape(x)[1], ops.shape(x)[1]), dtype="bool")),
    "above the diagonal": lambda x: ops.triu(x, 1),
    "one or the other": lambda x: ops.where(x, ops.flip(x, 1), ops.logical_not(x)),
    "upsampled": upsample,
}


@pytest.mark.parametrize("name", BOOLEANS)
def test_booleans_are_chosen_and_repeated(name: str) -> None:
    from seqc.backends.onnxruntime import Session

    x = ir.input_value("x", "bool", (BATCH, 4 if name == "upsampled" else TIME))
    graph = Graph((x,), (BOOLEANS[name](x),), ("y",))
    numbers = np.array([[True, False, True, True], [False, False, True, False]])
    got = Session(onnx_models.content(compile_graph(graph)), threads=1).run({"x": numbers})["y"]
    np.testing.assert_array_equal(got, Interpreter(graph).run([numbers])[0])
