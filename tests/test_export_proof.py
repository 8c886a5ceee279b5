"""What a proof is worth: finite numbers, counted; weights named; models that answer every input alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.effort import THOROUGH, effort
from kit.small_graphs import BATCH, GRAPHS, TIME, Weights, conv, dense, graph, image, named, sequence
from seqc import layers, ops
from seqc.errors import ExportError, VerificationError
from seqc.export import compile_with_names, export_graph
from seqc.export.pipelines import FOR_INFERENCE
from seqc.export.samples import Sampler, draw_inputs
from seqc.export.target import onnx_target
from seqc.graph import ir
from seqc.graph.ir import Graph, Value
from seqc.graph.rewriting import rewrite
from seqc.passes.pipeline import Pass

pytest.importorskip("onnx", reason="needs onnx")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")


def small(*weights: float) -> keras.Sequential:
    model = keras.Sequential([layers.Input((3,)), layers.Dense(2, name="dense"), layers.Dense(1, name="dense_1")])
    for weight, value in zip(model.weights, weights, strict=False):
        weight.assign(np.full(weight.shape, value, "float32"))
    return model


# -- finite numbers ---------------------------------------------------------------------------------------------------


def test_weights_that_are_not_finite_are_refused_by_the_name_of_their_layer(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    message = r"Layer 'dense_1' has NaN in kernel \(2 of 2 numbers\)\..*allow_nonfinite=True"
    ways: list[dict[str, Any]] = [{}, {"verify": False}]
    for options in ways:
        with pytest.raises(ExportError, match=message):
            small(1, 0, float("nan")).export(path, **options)
    with pytest.raises(ExportError, match=r"Layer 'dense' has infinity in bias"):
        small(1, float("inf"), 1).export(path)
    assert not path.exists()


def test_such_a_model_is_exported_on_demand_and_the_receipt_says_so(tmp_path: Path) -> None:
    receipt = small(1, 0, float("nan")).export(tmp_path / "m.onnx", allow_nonfinite=True)
    assert "verified    nothing: the outputs have no finite number that could be compared" in str(receipt)
    assert "beware      Layer 'dense_1' has NaN in kernel" in str(receipt)
    assert receipt.to_dict()["nonfinite"] == list(receipt.nonfinite)
    assert receipt.report is not None
    assert receipt.report.compared == 0


def test_a_model_that_always_overflows_is_not_verified(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="has not one finite number that could be compared"):
        small(3e38, 3e38, 3e38, 3e38).export(tmp_path / "m.onnx")


def test_the_receipt_counts_the_numbers_compared(tmp_path: Path) -> None:
    receipt = small(1, 0, 1).export(tmp_path / "m.onnx")
    assert receipt.report is not None
    # Batches of 1, 2 and 7, and one sample of large numbers.
    assert receipt.report.compared == 11
    assert receipt.report.values > 0
    assert receipt.to_dict()["verification"]["compared"] == 11


def test_the_largest_element_of_rows_that_are_not_finite_does_not_agree() -> None:
    from seqc.export.compare import argmax_agreement

    nan = np.full((2, 3), np.nan)
    assert argmax_agreement(nan, nan) == []
    assert argmax_agreement(np.array([[1, 2], [np.nan, 1]], np.float32), np.array([[1.0, 2.0], [1.0, 0.0]])) == [1.0]


def test_an_infinity_of_the_other_sign_is_caught(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from seqc.ops.transcendental import Log

    monkeypatch.setattr(Log, "lower", lambda self, e, y, *names: e.node("Abs", e.node("Log", *names)))
    x = ir.input_value("x", "float32", (BATCH, 3))
    with pytest.raises(VerificationError, match="other"):
        export_graph(graph(x, named(lambda v: ops.log(ops.relu(v) * 1e-30), "log", x)), tmp_path / "m.onnx")


@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU, layers.SimpleRNN])
@pytest.mark.parametrize("masked", [False, True])
def test_nan_in_a_sequence_is_nan_in_predict_and_may_be_a_number_in_onnxruntime(
    kind: type, masked: bool, tmp_path: Path
) -> None:
    """What docs/differences.md says; NaN equals nothing, so a mask of NaN leaves nothing out."""
    from seqc.backends.onnxruntime import Session

    keras.utils.set_random_seed(0)
    mask = [layers.Masking(float("nan"))] if masked else []
    model = keras.Sequential([layers.Input((3, 2)), *mask, kind(2)])
    model.export(tmp_path / "m.onnx")
    x = np.ones((2, 3, 2), "float32")
    x[1, 1] = np.nan
    ours = model.predict(x, verbose=0)
    session = Session((tmp_path / "m.onnx").read_bytes())
    (theirs,) = session.run({session.input_names[0]: x}).values()
    assert np.isnan(ours[1]).all()
    assert np.isfinite(theirs[1]).all() == (kind is not layers.SimpleRNN)
    np.testing.assert_allclose(theirs[0], ours[0], rtol=1e-5)


# -- budgets ----------------------------------------------------------------------------------------------------------


def shapes(activation: str) -> dict[str, Callable[[], list[Any]]]:
    """Models in which small numbers meet what onnxruntime computes to places of one."""
    a = activation
    return {
        "embedding": lambda: [layers.Input((None,), dtype="int32"), layers.Embedding(100, 8),
                              layers.GlobalAveragePooling1D(), layers.Dense(4, activation=a), layers.Dense(1)],
        "convolution": lambda: [layers.Input((8, 8, 2)), layers.Conv2D(4, 3, activation=a), layers.MaxPooling2D(),
                                layers.Conv2D(4, 2, activation=a), layers.Flatten(), layers.Dense(3)],
        "deep": lambda: [layers.Input((5,)), *(layers.Dense(6, activation=a) for _ in range(6)),
                         layers.Dense(2, activation="softmax")],
    }  # fmt: skip


def recurrent(kind: type, activation: str) -> Callable[[], list[Any]]:
    # Activations that ONNX's operators lack run step by step.
    steps = None if activation in GATES else 2
    return lambda: [layers.Input((steps,), dtype="int32"), layers.Embedding(100, 8),
                    layers.Bidirectional(kind(4, activation=activation)), layers.Dense(2)]  # fmt: skip


GATES = ("tanh", "sigmoid", "relu", "linear", "softsign", "softplus", "hard_sigmoid", "elu")
# All that need no arguments; six exponentials of each other are infinite, and rightly refused.
ACTIVATIONS = tuple(n for n in keras.activations.FUNCTIONS if n not in ("linear", "threshold"))
RIGHT = {
    **{f"{a}-{name}": stack for a in ACTIVATIONS for name, stack in shapes(a).items()
       if (a, name) != ("exponential", "deep")},
    **{f"{a}-{kind.__name__}": recurrent(kind, a) for a in (*GATES, "selu", "gelu")
       for kind in (layers.SimpleRNN, layers.GRU, layers.LSTM)},
}  # fmt: skip


def is_exported(stack: Callable[[], list[Any]], seed: int, trained: bool, path: Path) -> None:
    keras.utils.set_random_seed(seed)
    parts = stack()
    model, rng = keras.Sequential(parts), np.random.default_rng(seed)
    if trained:
        words = model.input_shape[1:] in ((None,), (2,))
        shape = (16, *(size or 6 for size in model.input_shape[1:]))
        x = rng.integers(0, 100, shape) if words else rng.normal(size=shape).astype("float32")
        model.compile("adam", "mse")
        model.fit(x, rng.normal(size=(16, int(model.output_shape[-1] or 0))).astype("float32"), epochs=3, verbose=0)
    assert model.export(path).report.passed


@pytest.mark.slow
@pytest.mark.parametrize("name", [*list(RIGHT)[1:90:13], "elu-embedding", "selu-embedding", "celu-embedding",
                                  "tanh-SimpleRNN"])  # fmt: skip
def test_a_right_model_of_small_numbers_is_not_refused(name: str, tmp_path: Path) -> None:
    for seed in range(3):
        is_exported(RIGHT[name], seed, trained=seed % 2 == 1, path=tmp_path / "m.onnx")


# Thirty seeds of every model would be 7,000 exports; here each seed meets each kind of model, with some activations.
@pytest.mark.slow
@pytest.mark.parametrize(("first", "name"), list(enumerate(RIGHT)), ids=RIGHT)
def test_several_seeds_of_thirty_of_a_right_model_are_not_refused(first: int, name: str, tmp_path: Path) -> None:
    every = effort(29, 7)
    for i, seed in enumerate(range(first % every, 30, every)):
        for trained in (False, True) if THOROUGH else (i % 2 == 1,):
            is_exported(RIGHT[name], seed, trained, tmp_path / "m.onnx")


# -- blind models -----------------------------------------------------------------------------------------------------


def deep_cnn(strides: int, depth: int, normalized: bool) -> keras.Sequential:
    """An untrained stack of convolutions: it answers almost the same to everything."""
    keras.utils.set_random_seed(1)
    parts: list[Any] = [layers.Input((16, 16, 3))]
    for i in range(depth):
        parts.append(layers.Conv2D(8, 3, strides=strides if i < 2 else 1, padding="same", use_bias=not normalized))
        parts += [layers.BatchNormalization()] if normalized else []
        parts.append(layers.ReLU())
    return keras.Sequential([*parts, layers.GlobalAveragePooling2D(), layers.Dense(10, activation="softmax")])


@pytest.mark.slow
@pytest.mark.parametrize(("strides", "depth", "normalized"), [(2, 4, False), (2, 10, False), (2, 8, True)])
def test_reversed_pads_are_refused_in_untrained_networks(
    strides: int, depth: int, normalized: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seqc.export import emitter

    model = deep_cnn(strides, depth, normalized)
    model.export(tmp_path / "m.onnx")

    check = emitter._check

    def reversed_pads(frame: Any, arrays: Any) -> Any:
        for node in frame.graph.node:
            for attribute in node.attribute:
                if attribute.name == "pads" and list(attribute.ints) != list(attribute.ints)[::-1]:
                    attribute.ints[:] = [*attribute.ints[2:], *attribute.ints[:2]]
        return check(frame, arrays)

    monkeypatch.setattr(emitter, "_check", reversed_pads)
    with pytest.raises(VerificationError, match="Layer 'conv2d.*' computes other numbers in onnxruntime"):
        model.export(tmp_path / "n.onnx")


@pytest.mark.parametrize("shape", [(4,), (1, 4), (4, 1), (4, 4)])
@pytest.mark.parametrize("function", [np.add, np.multiply])
@pytest.mark.parametrize("size", [(4, 4), (4, 4, 4)])
def test_a_vector_behind_groups_stays_along_its_own_axis(
    size: tuple[int, ...], function: Any, shape: tuple[int, ...], tmp_path: Path
) -> None:
    vector = np.arange(1, np.prod(shape) + 1, dtype="float32").reshape(shape)
    model = keras.Sequential([keras.Input(size), layers.GroupNormalization(2, axis=1, center=False, scale=False),
                              layers.Lambda(lambda y: y + vector if function is np.add else y * vector)])  # fmt: skip
    model.export(tmp_path / "m.onnx")


# Layers of which ONNX gets constants that are no weights, or that are written otherwise where weights are 0 or 1.
WITH_CONSTANTS: dict[str, tuple[tuple[int, ...], Callable[[], Any]]] = {
    "groups": ((5, 8), lambda: layers.GroupNormalization(4)),
    "groups of images": ((4, 6, 8), lambda: layers.GroupNormalization(2)),
    "one group": ((5, 8), lambda: layers.GroupNormalization(1)),
    "groups of a vector": ((8,), lambda: layers.GroupNormalization(4)),
    "channels by themselves": ((5, 8), lambda: layers.GroupNormalization(-1)),
    "channels second": ((8, 5), lambda: layers.GroupNormalization(4, axis=1)),
    "batch": ((5, 8), layers.BatchNormalization),
    "batch of vectors": ((8,), layers.BatchNormalization),
    "batch of channels second": ((8, 5), lambda: layers.BatchNormalization(axis=1)),
    "layer": ((5, 8), layers.LayerNormalization),
    "root mean square": ((5, 8), layers.RMSNormalization),
    "slopes": ((5, 8), layers.PReLU),
    "convolution": ((5, 8), lambda: layers.Conv1D(8, 1)),
    "recurrent": ((5, 8), lambda: layers.LSTM(8, return_sequences=True)),
}
# What is in every other weight, and in the rest.
ALIKE = (("ones", "zeros"), ("zeros", "ones"), ("random", "zeros"), ("ones", "random"))
NUMBERS = {"ones": (1, 1), "zeros": (0, 0), "random": (0.5, 2)}


@pytest.mark.parametrize("name", WITH_CONSTANTS)
def test_weights_that_are_all_alike_are_exported(name: str, tmp_path: Path) -> None:
    """Other numbers are put in their place where operations are checked one by one."""
    shape, layer = WITH_CONSTANTS[name]
    rng = np.random.default_rng(0)
    for kinds in ALIKE:
        # The second layer has weights of its own, so that constants are shared by some and not by others.
        model = keras.Sequential([layers.Input(shape), layer(), layer()])
        for i, weight in enumerate(model.layers[0].weights):
            weight.assign(rng.uniform(*NUMBERS[kinds[i % 2]], weight.shape).astype("float32"))
        assert model.export(tmp_path / "m.onnx").report.passed, kinds


@pytest.mark.parametrize("name", ["groups", "batch"])
def test_weights_that_a_file_leaves_out_are_checked_as_they_are(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seqc.export.normalization import forms
    from seqc.ops.normalization import BatchNormalization

    monkeypatch.setattr(forms, "_all", lambda vector, number: True)
    factors = BatchNormalization._factors
    monkeypatch.setattr(BatchNormalization, "_factors", lambda self, scale, *rest: factors(self, scale * 2, *rest))
    monkeypatch.setattr(BatchNormalization, "eval", _normalized)
    shape, layer = WITH_CONSTANTS[name]
    model = keras.Sequential([layers.Input(shape), layer()])
    model.layers[0].gamma.assign(np.full(8, 3, "float32"))
    with pytest.raises(VerificationError, match="computes other numbers in onnxruntime"):
        model.export(tmp_path / "m.onnx")


def _normalized(self: Any, x: Any, scale: Any, offset: Any, mean: Any, variance: Any) -> Any:
    shape = [-1 if i == self.axis else 1 for i in range(x.ndim)]
    scale, offset, mean, variance = (v.reshape(shape) for v in (scale, offset, mean, variance))
    return (x - mean) / np.sqrt(variance + x.dtype.type(self.epsilon)) * scale + offset


def changed(change: Callable[[Value], Value | None]) -> Pass:
    """A pass with a mistake."""
    return lambda g, _: rewrite(g, lambda _, v: change(v))


def turned(value: Value) -> Value | None:
    """Gives a matrix of weights its rows in another order."""
    op = value.op
    if isinstance(op, ir.Constant) and op.label.endswith("kernel") and op.array.ndim == 2:
        return ir.constant(np.roll(op.array, 1, 0), op.label)
    return None


@pytest.mark.parametrize("kind", ["healthy", "tiny", "dead"])
def test_a_pass_that_changes_the_numbers_is_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seqc.export import compiling, rewritten, verify

    w, x = Weights(), image(6, 6, 2)
    y = ops.relu(x - np.float32(1e6)) if kind == "dead" else x
    y = named(ops.mean, "average", named(ops.relu, "relu", conv(w, "conv", y, 4)), (1, 2))
    g = graph(x, named(ops.softmax, "softmax", dense(w, "dense", y * np.float32(1e-7 if kind == "tiny" else 1), 3)))
    export_graph(g, tmp_path / "m.onnx")
    for module in (compiling, rewritten, verify):
        monkeypatch.setattr(module, "FOR_INFERENCE", (changed(turned), *FOR_INFERENCE))
    with pytest.raises(VerificationError, match=r"Layer 'dense' computes other numbers after the rewriting for ONNX"):
        export_graph(g, tmp_path / "n.onnx")


def centred(y: Any) -> Any:
    return y - ops.mean(y, -1, keepdims=True)


def shifted_alike(end: str, offset: float) -> Any:
    """A graph of a product, one number that is added to all of its channels, and what does away with that."""
    w, x = Weights(), image(6, 6, 2)
    y = named(lambda v: v * np.float32(0.1) + np.float32(offset), "shift", conv(w, "conv", x, 4))
    if end == "elsewhere":  # the same number stays in the file
        return graph(x, centred(y) + np.float32(offset))
    return graph(x, {"softmax": ops.softmax, "std": lambda v: ops.std(v, -1), "mean": centred}[end](y))


@pytest.mark.parametrize("offset", [20.0, -130.0, 1000.0])
@pytest.mark.parametrize("end", ["softmax", "std", "mean", "elsewhere"])
def test_a_number_for_all_channels_is_rounded_in_each(
    end: str, offset: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seqc.export import compiling, rewritten, verify

    export_graph(shifted_alike(end, offset), tmp_path / "m.onnx")

    def off(value: Value) -> Value | None:
        """Changes one number of a bias by a ten-thousandth of it."""
        op = value.op
        if isinstance(op, ir.Constant) and op.array.shape == (4,) and np.ptp(op.array):
            return ir.constant(op.array * np.array([1, 1, 1, 1.0001], "f"), op.label)
        return None

    for module in (compiling, rewritten, verify):
        monkeypatch.setattr(module, "FOR_INFERENCE", (*FOR_INFERENCE, changed(off)))
    with pytest.raises(VerificationError, match="after the rewriting for ONNX than before it"):
        export_graph(shifted_alike(end, offset), tmp_path / "n.onnx")


def test_numbers_that_mask_are_not_rounded_and_hide_no_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounding 1 - mask would move what is times -1e9 by hundreds, and let any mistake pass."""
    from seqc.export import compiling, rewritten, verify

    w, x = Weights(), image(6, 6, 4)

    def masked(name: str) -> Value:
        mask = ops.cast(x > 0, "float32")  # made once for each, and merged into one
        return ops.softmax(conv(w, name, x, 4) + (np.float32(1) - mask) * np.float32(-1e9))

    def off(value: Value) -> Value | None:
        op = value.op
        if isinstance(op, ir.Constant) and op.label == "dense/kernel":
            return ir.constant(op.array * np.float32(1.001), op.label)
        return None

    g = graph(x, dense(w, "dense", masked("a") + masked("b"), 3))
    export_graph(g, tmp_path / "m.onnx")
    for module in (compiling, rewritten, verify):
        monkeypatch.setattr(module, "FOR_INFERENCE", (*FOR_INFERENCE, changed(off)))
    with pytest.raises(VerificationError, match="after the rewriting for ONNX than before it"):
        export_graph(g, tmp_path / "n.onnx")


@pytest.mark.parametrize("name", GRAPHS)
def test_every_value_inside_a_file_is_compared(name: str, tmp_path: Path) -> None:
    g = GRAPHS[name]()
    planned = compile_with_names(g, onnx_target()).graph
    inner = [v for v in planned.walk() if not isinstance(v.op, ir.Constant | ir.Input | ir.Item)]
    report = export_graph(g, tmp_path / "m.onnx").report
    assert report is not None
    assert report.values >= len(inner)


# -- what is tried ----------------------------------------------------------------------------------------------------


def test_both_ends_of_a_table_are_looked_up() -> None:
    (ids,) = draw_inputs(GRAPHS["text"](), {"batch": 1, "time": 4}, 5)
    assert (ids.min(), ids.max()) == (0, 19)


def test_rows_of_zeros_and_of_tiny_numbers_are_tried() -> None:
    x = sequence(3)
    (drawn,) = draw_inputs(graph(x, x), {"batch": 7, "time": 5}, 0)
    assert not drawn[5].any()
    assert 0 < np.abs(drawn[6]).max() < 1e-18


def test_what_a_mask_leaves_out_is_tried_whatever_its_number() -> None:
    model = keras.Sequential([layers.Input((6, 2)), layers.Masking(-1.0), layers.LSTM(3)])
    graph_of_it, _ = model.graph()
    drawn = draw_inputs(graph_of_it, {"batch": 7}, 0)[0]
    assert (drawn[5] == -1).all()
    assert (drawn[1, 3:] == -1).all()
    assert not (drawn[1, :3] == -1).any()


def test_large_numbers_are_tried_but_not_as_row_numbers() -> None:
    def large(g: Graph) -> Any:
        return Sampler(g).draw_large(lambda arrays: None, {"batch": 2, "time": 3}, 0)

    x = sequence(3)
    assert np.abs(large(graph(x, x))[0]).max() > 1e14
    ids = ir.input_value("ids", "int16", (BATCH, TIME))
    (drawn,) = large(graph(ids, ops.cast(ids, "float32")))
    assert (drawn.min(), drawn.max()) == (-(2**15), 2**15 - 1)
    assert large(GRAPHS["text"]()) is None
    rows = ir.input_value("rows", "float32", (BATCH, TIME))
    assert large(graph(rows, ops.take(Weights()("table", 5, 2), ops.cast(rows * 2.0, "int32"), 0))) is None
