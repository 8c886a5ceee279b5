"""Quantization layer by layer: what blocks hold, what stays in float, which recipe which operator gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import seqc as keras
from kit.effort import thorough_only
from kit.quantizing import digits, faster, kinds, never, quantize, run, slower
from seqc import layers
from seqc.backends.onnxruntime import Session
from seqc.errors import QuantizationError
from seqc.export.quantization.blocks import block_for, quantize_blocks, rounded
from seqc.export.quantization.plain_blocks import quantize_plain_blocks
from seqc.export.quantization.recipes import Recipe
from seqc.export.quantization.samples import read_samples
from seqc.export.quantization.search import find_candidates
from seqc.export.quantization.settings import Settings
from seqc.export.quantization.trials import Trial


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize(("width", "block"), [(64, 32), (64, 128), (40, 32), (300, 128)])
def test_blocks_give_what_their_whole_numbers_say(bits: int, width: int, block: int, rng: Any) -> None:
    table, kernel = (rng.standard_normal(s).astype("float32") for s in ((50, width), (width, 24)))
    bias = rng.standard_normal(24).astype("float32")
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "i"], ["found"], name="look/Gather"),
            helper.make_node("Gemm", ["found", "kernel", "bias"], ["y"], name="dense/Gemm", transB=1),
        ],
        "g",
        [helper.make_tensor_value_info("i", TensorProto.INT32, ["n"])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", s]) for n, s in (("y", 24), ("found", width))],
        [numpy_helper.from_array(a, n) for n, a in (("table", table), ("kernel", kernel.T.copy()), ("bias", bias))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    content = quantize_blocks(model, ["look/Gather", "dense/Gemm"], bits, block)
    i = rng.integers(0, 50, 6).astype("int32")
    got = Session(content).run({"i": i})

    def back(rows: Any) -> Any:
        whole, scales = rounded(rows, bits, block_for(width, block))
        numbers = (whole.astype(np.float64) - 2 ** (bits - 1)) * scales[..., None]
        return numbers.reshape(len(rows), -1)[:, : rows.shape[1]]

    np.testing.assert_allclose(got["found"], back(table)[i], rtol=1e-6)
    assert np.linalg.norm(back(table) - table) < (0.01 if bits == 8 else 0.13) * np.linalg.norm(table)
    # onnxruntime rounds what it multiplies by to eight bits, in blocks, too.
    truth = got["found"] @ back(kernel.T).T + bias
    assert np.linalg.norm(got["y"] - truth) < 0.01 * np.linalg.norm(truth)
    assert {t.name for t in onnx.load_from_string(content).graph.initializer}.isdisjoint({"table", "kernel"})


def test_blocks_of_zeros_and_of_one_number_stay_what_they_are() -> None:
    rows = np.zeros((2, 32), np.float32)
    rows[1, 3] = -2.5
    for bits in (8, 4):
        whole, scales = rounded(rows, bits, 32)
        assert (((whole.astype("float32") - 2 ** (bits - 1)) * scales[..., None])[:, 0] == rows).all()


@pytest.mark.parametrize("size", [1e-30, 1e25])
def test_blocks_of_huge_and_tiny_numbers_are_rounded_as_others(size: float, rng: Any) -> None:
    rows = rng.standard_normal((3, 64)).astype("float32")
    for bits in (8, 4):
        whole, scales = rounded(rows * np.float32(size), bits, 32)
        back = ((whole.astype("float64") - 2 ** (bits - 1)) * scales[..., None] / size).reshape(rows.shape)
        np.testing.assert_allclose(back, rows, atol=0.05 if bits == 8 else 0.5)
        assert np.linalg.norm(back - rows) < (0.01 if bits == 8 else 0.13) * np.linalg.norm(rows)


def with_outliers(seed: int = 0) -> Any:
    """Returns a model whose layer 'bad' has a huge weight in every block and column, for an input that is always zero.

    In float that changes nothing; in whole numbers it leaves nothing of the other weights.
    """
    model = keras.Sequential(
        [
            keras.Input((64,), name="image"),
            layers.Dense(128, activation="relu", name="good"),
            layers.Dense(96, activation="relu", name="bad"),
            layers.Dense(96, activation="relu", name="fine"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    keras.utils.set_random_seed(seed)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(*digits(), epochs=6, verbose=0)
    dead = np.arange(0, 128, 16)
    kernel, bias = model.get_layer("good").get_weights()
    bias[dead] = -1000.0  # after relu these are always zero
    model.get_layer("good").set_weights([kernel, bias])
    kernel, bias = model.get_layer("bad").get_weights()
    kernel[dead] = 1e5
    model.get_layer("bad").set_weights([kernel, bias])
    return model


@pytest.mark.slow
def test_a_layer_that_hurts_stays_in_float_and_the_others_do_not(tmp_path: Path) -> None:
    model = with_outliers()
    x, y = digits()
    result = quantize(model, tmp_path / "q.onnx", x, y, max_drop=0.02, latency=faster)
    by_name = {row.recipe: row for row in result.rows}
    for name in ("static", "dynamic", "blocks-8", "blocks-4"):
        assert by_name[name].in_float == ("bad",), name
        drop = by_name[name].drop
        assert drop is not None
        assert drop <= 0.02
    kernels = [t.dims for t in onnx.load(tmp_path / "q.onnx").graph.initializer if t.data_type == TensorProto.FLOAT]
    assert [128, 96] in [list(d) for d in kernels]
    assert [96, 96] not in [list(d) for d in kernels]
    assert result.chosen is not None
    assert "In float: bad." in str(result)


def test_a_layer_alone_that_hurts_is_refused(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((64,)), layers.Dense(64)])
    kernel, bias = model.layers[0].get_weights()
    kernel[::16] = 1e5
    model.layers[0].set_weights([kernel, bias])
    x = digits()[0].copy()
    x[:, ::16] = 0
    with pytest.raises(QuantizationError, match="no recipe gives a file that is faster") as raised:
        quantize(model, tmp_path / "q.onnx", x, latency=never)
    assert all("allowed" in row.refused for row in raised.value.result.rows)
    assert not (tmp_path / "q.onnx").exists()


@pytest.mark.slow
def test_layers_that_hurt_only_together_lose_the_one_that_moves_most(tmp_path: Path) -> None:
    # Each of them alone is within what is allowed, and all of them are not: the most sensitive goes back to float.
    model = keras.Sequential([keras.Input((64,)), *(layers.Dense(64, name=f"d{i}") for i in range(4))])
    x = digits()[0]
    with pytest.raises(QuantizationError) as raised:
        quantize(model, tmp_path / "q.onnx", x, max_drop=0.5, latency=slower)
    alone = {r.recipe: r.drop for r in raised.value.result.rows}["blocks-4"]
    result = quantize(model, tmp_path / "q.onnx", x, purpose="size", max_drop=0.8 * alone, latency=slower)
    row = next(r for r in result.rows if r.recipe == "blocks-4")
    assert 0 < len(row.in_float) < 4
    assert row.drop is not None
    assert row.drop <= 0.8 * alone


@pytest.mark.slow
def test_convolutions_are_static_and_per_channel(tmp_path: Path) -> None:
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(8, 3, activation="relu", name="conv"),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 3, activation="relu", name="more"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    x = digits()[0].reshape(-1, 8, 8, 1)
    quantize(model, tmp_path / "q.onnx", x, max_drop=0.1, latency=faster, purpose="speed")
    model.export(tmp_path / "f.onnx", verify=False)
    proto = onnx.load(tmp_path / "q.onnx")
    stored = {t.name: t for t in proto.graph.initializer}
    convolutions = [n for n in proto.graph.node if n.op_type == "Conv"]
    made = {n.output[0]: n for n in proto.graph.node}
    for node, channels in zip(convolutions, (8, 16), strict=True):
        weights = made[node.input[1]]
        assert weights.op_type == "DequantizeLinear"
        assert stored[weights.input[0]].data_type == TensorProto.INT8
        assert list(stored[weights.input[1]].dims) == [channels]
    before, after = (run(tmp_path / f, image=x)[0] for f in ("f.onnx", "q.onnx"))
    assert 0 < np.linalg.norm(after - before) < 0.05 * np.linalg.norm(before)


@pytest.mark.slow
def test_lstm_and_embedding_are_dynamic_and_others_are_kept_small(tmp_path: Path, rng: Any) -> None:
    x = rng.integers(0, 200, (80, 6)).astype("int32")

    def made(layer: Any) -> Any:
        model = keras.Sequential([keras.Input((6,), dtype="int32", name="t"), layers.Embedding(200, 32), layer])
        model.add(layers.Dense(4))
        model.export(tmp_path / "f.onnx", verify=False)
        return model

    for layer, purpose, wanted in (
        (layers.LSTM(24), "speed", {"DynamicQuantizeLSTM", "MatMulInteger", "DequantizeLinear"}),
        (layers.GRU(48), "size", {"DequantizeLinear", "GRU"}),
    ):
        result = quantize(made(layer), tmp_path / "q.onnx", x, purpose=purpose, max_drop=0.1, latency=faster)
        assert list(result.measured.values()) == ["1 - relative error to the float model"]
        assert wanted <= kinds(tmp_path / "q.onnx")
        before, after = (run(tmp_path / f, t=x)[0] for f in ("f.onnx", "q.onnx"))
        assert 0 < np.linalg.norm(after - before) < 0.1 * np.linalg.norm(before)


@pytest.mark.parametrize("middle", ["Conv", "Gemm"])
def test_a_layer_left_in_float_is_not_quantized_by_onnxruntime_itself(middle: str, tmp_path: Path) -> None:
    from seqc.export.quantization.graphs import read_float_model
    from seqc.export.quantization.recipes import recipes_for

    x = digits()[0]
    if middle == "Conv":
        x = x.reshape(-1, 8, 8, 1)
        stack: list[Any] = [layers.Conv2D(16, 3, activation="relu", name=n) for n in ("first", "bad", "last")]
    else:
        stack = [layers.Dense(48, activation="relu", name=n) for n in ("first", "bad", "last")]
    model = keras.Sequential([keras.Input(x.shape[1:]), *stack])
    kernel, bias = model.get_layer("first").get_weights()
    bias[0] = -1000.0
    model.get_layer("first").set_weights([kernel, bias])
    kernel, bias = model.get_layer("bad").get_weights()
    kernel[..., 0, :] = 1e5
    model.get_layer("bad").set_weights([kernel, bias])
    model.export(tmp_path / "f.onnx", verify=False)
    loaded = read_float_model(tmp_path / "f.onnx")
    recipe = recipes_for(loaded, read_samples(loaded, x, None, Settings()), Settings())[0]
    assert recipe.name == "static"
    content = recipe.build([n for n in recipe.nodes if not n.startswith("bad")])
    name = loaded.inputs[0].name
    (before,), (after,) = (Session(c).run({name: x}).values() for c in (loaded.content, content))
    assert 0 < np.linalg.norm(after - before) < 0.05 * np.linalg.norm(before)


@pytest.mark.slow
@thorough_only
def test_mnist_in_eight_bits_loses_next_to_nothing(shared_dir: Path, tmp_path: Path) -> None:
    folder = shared_dir / "data" / "mnist"
    if not folder.is_dir():
        pytest.skip("needs the files of MNIST in ../shared/data/mnist")
    (x, y), (x_test, y_test) = keras.datasets.mnist.load_data(folder)
    x, x_test = (a[..., None].astype("float32") / 255 for a in (x[:20000], x_test))
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1), name="image"),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y[:20000], batch_size=64, epochs=2, verbose=0)
    result = quantize(model, tmp_path / "q.onnx", x_test, y_test, purpose="size", latency=faster)
    assert result.tested == 9744
    assert result.float_scores["digit"] > 0.97
    for row in result.rows:
        assert row.in_float == ()
        assert row.drop is not None
        assert row.drop <= 0.002
    assert (tmp_path / "q.onnx").stat().st_size < 0.3 * result.float_bytes
    after = run(tmp_path / "q.onnx", image=x_test)[0]
    assert np.mean(after.argmax(-1) == y_test) > result.float_scores["digit"] - 0.004


@pytest.mark.slow
def test_convolutions_before_an_lstm_are_static_and_it_is_dynamic(tmp_path: Path, rng: Any) -> None:
    model = keras.Sequential(
        [
            keras.Input((4, 8, 8, 1), name="film"),
            layers.TimeDistributed(layers.Conv2D(8, 3, activation="relu")),
            layers.TimeDistributed(layers.Flatten()),
            layers.LSTM(16),
        ]
    )
    model.export(tmp_path / "f.onnx", verify=False)
    x = rng.standard_normal((64, 4, 8, 8, 1)).astype("float32")
    result = quantize(tmp_path / "f.onnx", tmp_path / "q.onnx", x, max_drop=0.2, latency=faster, purpose="size")
    assert "static-dynamic" in {row.recipe for row in result.rows if not row.refused}
    from seqc.export.quantization.graphs import read_float_model
    from seqc.export.quantization.recipes import recipes_for

    loaded = read_float_model(tmp_path / "f.onnx")
    recipes = recipes_for(loaded, read_samples(loaded, x, None, Settings()), Settings())
    mixed = next(r for r in recipes if r.name == "static-dynamic")
    content = mixed.build(mixed.nodes)
    assert {"DynamicQuantizeLSTM", "QuantizeLinear"} <= {n.op_type for n in onnx.load_from_string(content).graph.node}
    (before,), (after,) = (Session(c).run({"film": x}).values() for c in (loaded.content, content))
    assert 0 < np.linalg.norm(after - before) < 0.1 * np.linalg.norm(before)


@pytest.mark.slow
def test_plain_files_have_operators_of_onnx_alone(tmp_path: Path, rng: Any) -> None:
    x = rng.integers(0, 200, (80, 6)).astype("int32")
    model = keras.Sequential([keras.Input((6,), dtype="int32"), layers.Embedding(200, 32), layers.LSTM(48)])
    model.add(layers.Dense(96))
    for purpose in ("speed", "size"):
        result = quantize(model, tmp_path / "q.onnx", x, purpose=purpose, max_drop=0.3, plain=True, latency=faster)
        blocks = {"plain-blocks-8", "plain-blocks-4"}
        assert blocks < {r.recipe for r in result.rows} <= {"static", "dynamic", "weights-8", *blocks}
        made = onnx.load(tmp_path / "q.onnx")
        assert {o.domain for o in made.opset_import} == {""}
        assert {n.domain for n in made.graph.node} <= {"", "ai.onnx"}


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize(("width", "block", "opset"), [(64, 32, 18), (40, 128, 13), (51, 32, 21)])
def test_plain_blocks_give_what_their_whole_numbers_say(
    bits: int, width: int, block: int, opset: int, rng: Any, tmp_path: Path
) -> None:
    table, kernel = (rng.standard_normal(s).astype("float32") for s in ((50, width), (width, 25)))
    bias = rng.standard_normal(25).astype("float32")
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "i"], ["found"], name="look/Gather"),
            helper.make_node("Gemm", ["x", "kernel", "bias"], ["y"], name="dense/Gemm", transB=1),
            helper.make_node("MatMul", ["x", "other"], ["z"], name="other/MatMul"),
        ],
        "g",
        [helper.make_tensor_value_info("i", TensorProto.INT32, ["n"]),
         helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", width])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", s])
         for n, s in (("y", 25), ("z", 25), ("found", width))],
        [numpy_helper.from_array(a, n) for a, n in
         ((table, "table"), (kernel.T.copy(), "kernel"), (bias, "bias"), (kernel, "other"))],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)
    content = quantize_plain_blocks(model, ["look/Gather", "dense/Gemm", "other/MatMul"], bits, block)
    made = onnx.load_from_string(content)
    onnx.checker.check_model(made, full_check=True)
    i = rng.integers(0, 50, 6).astype("int32")
    x = rng.standard_normal((6, width)).astype("float32")
    got = Session(content).run({"i": i, "x": x})
    least = block_for(width, block)

    def back(rows: Any, bits: int) -> Any:
        whole, scales = rounded(rows, bits, least)
        numbers = (whole.astype(np.float64) - 2 ** (bits - 1)) * scales[..., None]
        return numbers.reshape(len(rows), -1)[:, :width]

    np.testing.assert_allclose(got["found"], back(table, 8)[i], rtol=1e-6)
    truth = x @ back(kernel.T, bits).T
    # onnxruntime rounds what it multiplies by to eight bits, in blocks, too.
    assert np.linalg.norm(got["z"] - truth) < 0.01 * np.linalg.norm(truth)
    assert np.linalg.norm(got["y"] - truth - bias) < 0.01 * np.linalg.norm(truth)
    kinds = {t.name: t.data_type for t in made.graph.initializer}
    assert kinds["dense/Gemm/blocks"] == (TensorProto.INT4 if bits == 4 else TensorProto.INT8)
    assert kinds["look/Gather/blocks"] == TensorProto.INT8
    assert not {"table", "kernel", "bias", "other"} & set(kinds)
    # It makes its own operator of both products, as if the blocks had been written with it.
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "o.onnx"), 3
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    assert [n.op_type for n in onnx.load(tmp_path / "o.onnx").graph.node].count("MatMulNBits") == 2


class Clock:
    """A bench whose trials all are exact and take as long as their layers say: (in float, quantized) of each."""

    def __init__(self, seconds: dict[str, tuple[float, float]], purpose: str = "speed", lossy: Any = ()) -> None:
        self.seconds, self.settings, self.timed, self.lossy = seconds, Settings(purpose), 0, set(lossy)

    def attempt(self, recipe: Recipe, in_float: Any = ()) -> Trial:
        left = tuple(n for n in recipe.nodes if n in set(in_float))
        return Trial(recipe.name, left, (1.0,), 1.0 if self.lossy & set(left) else 0.0, 0.0, 1)

    def time(self, recipe: Recipe, trial: Trial) -> tuple[float, float]:
        self.timed += 1
        chosen = sum(self.seconds[n][0 if n in trial.in_float else 1] for n in recipe.nodes)
        return sum(a for a, _ in self.seconds.values()), chosen

    def begin(self, stage: int, stages: int) -> None:
        pass


@pytest.mark.parametrize(
    ("seconds", "in_float"),
    [
        ({"a": (4, 2), "b": (4, 2), "c": (4, 2)}, ()),
        ({"a": (4, 2), "b": (1, 3), "c": (4, 2), "d": (4, 1)}, ("b",)),
        ({"a": (1, 3), "b": (1, 3), "c": (4, 2), "d": (4, 1)}, ("a", "b")),
        ({"a": (4, 2), "b": (4, 2), "c": (4, 2), "d": (2, 4), "e": (4, 2)}, ("d",)),
        ({"a": (1, 4)}, ()),
    ],
)
def test_layers_that_are_slower_in_eight_bits_stay_in_float(
    seconds: dict[str, tuple[float, float]], in_float: tuple[str, ...]
) -> None:
    recipe = Recipe("static", "", tuple(seconds), lambda chosen: b"")
    bench: Any = Clock(seconds)
    (found,) = find_candidates(bench, [recipe])
    assert found.trial.in_float == in_float
    assert bench.timed <= 9
    for other in (Clock(seconds, "size"), Clock(seconds, lossy=seconds)):
        assert find_candidates(other, [recipe])[0].trial.in_float == ()  # type: ignore[arg-type]
        assert other.timed == 1
