"""Attention and EinsumDense, beside what Keras recorded."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import seqc as keras
from kit import merge_runs
from seqc import layers, ops
from seqc.errors import ConfigError, ShapeError


@pytest.mark.one_in(3)
@pytest.mark.parametrize("case", merge_runs.parameters(merging=False))
def test_attention_computes_what_keras_does(case: dict[str, Any]) -> None:
    merge_runs.check(case)


@pytest.mark.parametrize("case", merge_runs.parameters(merging=False))
def test_weights_are_called_as_in_keras(case: dict[str, Any]) -> None:
    assert [w.path.split("/", 1)[1] for w in merge_runs.built(case).weights] == case["names"]


ATTENTION = [p for p in merge_runs.parameters(merging=False) if "Attention" in str(p.id)]
HEADS = [p for p in ATTENTION if "Head" in str(p.id) or "Group" in str(p.id)]


@pytest.mark.parametrize("case", ATTENTION)
def test_the_configuration_is_that_of_keras(case: dict[str, Any]) -> None:
    config = merge_runs.built(case).get_config()
    assert {name: option for name, option in config.items() if name != "dtype"} == case["config"]


@pytest.mark.parametrize("case", HEADS)
def test_the_output_shape_is_known_without_a_call(case: dict[str, Any]) -> None:
    xs = list(merge_runs.numbered(case, "x").values())
    free = [(None, *x.shape[1:]) for x in xs]
    layer = merge_runs.built(case)
    assert layer.compute_output_shape(*free) == (None, *merge_runs.arrays_of(case, "y")["0"].shape[1:])


@pytest.mark.one_in(3)
@pytest.mark.parametrize("case", ATTENTION)
def test_every_recorded_attention_exports_with_its_masks_and_scores(case: dict[str, Any], tmp_path: Path) -> None:
    """Masks of tensors come as inputs of the file, where the layer takes them so."""
    layer = merge_runs.built(case)
    xs, masks = merge_runs.numbered(case, "x"), merge_runs.numbered(case, "m")
    feeds = {f"x{i}": x for i, x in xs.items()}
    symbols = {name: keras.Input(x.shape[1:], name=name) for name, x in feeds.items()}
    inputs, named, masked = list(symbols.values()), dict(case["call"]), {}
    for name, array in (*((f"m{i}", m) for i, m in masks.items()), *merge_runs.arrays_of(case, "named_").items()):
        feeds[name] = array.astype(bool)
        masked[name] = symbols[name] = keras.Input(array.shape[1:], name=name, dtype="bool")
    if case["listed"]:
        mask = [masked.get(f"m{i}") for i in xs] if masks else None
        result = layer(inputs, mask=mask, **named)
    else:
        kinds = ("query_mask", "value_mask", "key_mask")
        named |= {kinds[i]: masked[f"m{i}"] for i in masks}
        named |= {name: symbol for name, symbol in masked.items() if name in merge_runs.arrays_of(case, "named_")}
        result = layer(*inputs, **named)
    model = keras.Model(symbols, result)
    model.export(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    found = session.run(None, {i.name: feeds[i.name] for i in session.get_inputs()})
    recorded = merge_runs.numbered(case, "y")
    assert len(found) == len(recorded)
    for a, b in zip(found, recorded.values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "layer",
    [
        lambda rate: layers.MultiHeadAttention(2, 3, dropout=rate, seed=5),
        lambda rate: layers.GroupQueryAttention(3, 4, 2, dropout=rate, seed=5),
    ],
    ids=["multi_head", "grouped"],
)
def test_dropped_weights_are_scaled_so_that_means_stay(layer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over many samples; what both executors draw is the same."""

    class Dropped(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.attend = layer(0.4)

        def call(self, x: Any, training: bool = False) -> Any:
            y, before = self.attend(x, x, return_attention_scores=True, training=training)
            return y

        def train_step(self, x: Any) -> Any:
            return {"y": ops.mean(self(x, training=True), 0), "rest": ops.mean(self(x, training=False), 0)}

    x = np.tile(np.random.default_rng(0).normal(size=(1, 4, 6)), (4000, 1, 1)).astype("float32")
    found = []
    for executor in ("tiled", "naive"):
        monkeypatch.setenv("SEQC_EXECUTOR", executor)
        keras.utils.set_random_seed(3)
        model = Dropped()
        model(x[:1])
        model.compile()
        model._trainer._seed = 11
        found.append(model.train_on_batch(x, return_dict=True))
    np.testing.assert_allclose(found[0]["y"], found[1]["y"], rtol=1e-4, atol=1e-5)
    assert not np.array_equal(found[0]["y"], found[0]["rest"])
    np.testing.assert_allclose(found[0]["y"], found[0]["rest"], atol=0.05)


@pytest.mark.slow
def test_a_model_with_attention_exports_and_computes_the_same(tmp_path: Path) -> None:
    x = keras.Input((None, 6), name="x")
    h = layers.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)
    model = keras.Model(x, layers.GroupQueryAttention(3, 4, 2)(h, h) + x)
    model.export(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    for batch, steps in ((1, 1), (3, 5)):
        a = np.random.default_rng(0).normal(size=(batch, steps, 6)).astype("float32")
        # Of one step the shares are 1, which is said.
        with pytest.warns(UserWarning, match="softmax over axis -1") if steps == 1 else nullcontext():
            found = model.predict(a, verbose=0)
        np.testing.assert_allclose(session.run(None, {"x": a})[0], found, atol=1e-5)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ConfigError, match="`num_heads`, expected a positive integer"):
        layers.MultiHeadAttention(0, 2)
    with pytest.raises(ConfigError, match="divisible"):
        layers.GroupQueryAttention(2, 3, 2)
    with pytest.raises(ConfigError, match="score_mode"):
        layers.Attention(score_mode="sum")
    with pytest.raises(ConfigError, match="Dropout is not supported when flash attention"):
        layers.MultiHeadAttention(1, 2, dropout=0.1, flash_attention=True)
    with pytest.raises(ShapeError, match="list of length 2 or 3"):
        layers.Attention().build([(None, 3, 4)])
    with pytest.raises(ShapeError, match="must be equal"):
        layers.MultiHeadAttention(1, 2).build((None, 3, 4), (None, 3, 4), (None, 5, 4))
    with pytest.raises(ConfigError, match="Invalid einsum equation"):
        layers.EinsumDense("ab->ba", 3).build((None, 3))
    with pytest.raises(ConfigError, match="Invalid einsum equation"):
        layers.EinsumDense("a...b,bc->a...c", 4).build((None, 3, 5))


# What ONNX needs at least: one product with its bias for each tensor that is projected, the move of its heads, the
# parts; scores, softmax, sum; and the move back with the last product.
SELF = ["MatMul", "Add", "Reshape", "Transpose", "Split", "Transpose", "MatMul", "Softmax", "MatMul"]
BACK = ["Transpose", "Reshape", "MatMul", "Add"]


@pytest.mark.parametrize(
    ("layer", "sources", "nodes"),
    [
        (lambda: layers.MultiHeadAttention(4, 8), 1, [*SELF, *BACK]),
        (lambda: layers.MultiHeadAttention(4, 8, use_bias=False), 1, [*SELF[:1], *SELF[2:], *BACK[:-1]]),
        (lambda: layers.GroupQueryAttention(8, 4, 4), 1, [*SELF, *BACK]),
        # Values of another width are projected apart from queries and keys.
        (
            lambda: layers.MultiHeadAttention(4, 8, 5),
            1,
            [*SELF[:8], "MatMul", "Add", "Reshape", "Transpose", *SELF[8:], *BACK],
        ),
        # What looks at another tensor takes keys and values from it at once; queries come with their factor.
        (
            lambda: layers.MultiHeadAttention(4, 8),
            2,
            ["MatMul", "Add", "Reshape", "Transpose", *SELF, *BACK],
        ),
    ],
    ids=["self", "no bias", "grouped", "wide values", "another tensor"],
)  # fmt: skip
def test_what_is_projected_from_one_tensor_is_one_product(
    layer: Any, sources: int, nodes: list[str], tmp_path: Path
) -> None:
    keras.utils.set_random_seed(3)
    inputs = [keras.Input((None, 32), name=f"x{i}") for i in range(sources)]
    model = keras.Model(inputs, layer()(inputs[0], inputs[-1]))
    for i, weight in enumerate(model.weights):
        weight.assign(np.random.default_rng(i).normal(size=weight.shape).astype("float32") * 0.2)
    path = tmp_path / "attention.onnx"
    model.export(path)
    assert sorted(n.op_type for n in onnx.load(path).graph.node) == sorted(nodes)
    feeds = {f"x{i}": np.random.default_rng(i).normal(size=(2, 5 + i, 32)).astype("float32") for i in range(sources)}
    (y,) = onnxruntime.InferenceSession(path).run(None, feeds)
    np.testing.assert_allclose(y, model.predict(list(feeds.values()), verbose=0), rtol=1e-4, atol=1e-5)


def waves(*shape: int, of: Any = np.sin) -> Any:
    return of(np.arange(np.prod(shape))).reshape(shape).astype("float32")


QUERY, VALUE = waves(2, 4, 6), waves(2, 5, 6, of=np.cos)


def weighted(layer: Any, inputs: Any) -> Any:
    layer(*inputs)
    layer.set_weights([waves(*w.shape) * 0.3 for w in layer.get_weights()])
    return layer


class Attends(layers.MultiHeadAttention):
    def _compute_attention(  # type: ignore[override]
        self,
        query: Any,
        key: Any,
        value: Any,
        attention_mask: Any = None,
        training: Any = None,
        return_attention_scores: Any = False,
    ) -> Any:
        scores = ops.einsum("bqhd,bkhd->bhqk", query, key) * self._inverse_sqrt_key_dim
        return ops.einsum("bhqk,bkhd->bqhd", ops.sigmoid(scores), value), None


class AttendsInGroups(layers.GroupQueryAttention):
    def _compute_attention(  # type: ignore[override]
        self, query: Any, key: Any, value: Any, attention_mask: Any = None, training: Any = None
    ) -> Any:
        scores = ops.einsum("bqhd,bkhd->bhqk", query, key) * self._inverse_sqrt_head_dim
        return ops.einsum("bhqk,bkhd->bqhd", ops.sigmoid(scores), value), None


class Weighs(layers.MultiHeadAttention):
    def _masked_softmax(self, attention_scores: Any, attention_mask: Any = None) -> Any:
        found = ops.exp(attention_scores)
        return found / (1 + ops.sum(found, -1, keepdims=True))


class LooksAhead(layers.MultiHeadAttention):
    def _compute_causal_mask(self, query: Any, value: Any = None) -> Any:
        return ops.flip(super()._compute_causal_mask(query, value), -1)


class Masks(layers.MultiHeadAttention):
    def _compute_attention_mask(self, query: Any, value: Any, **masks: Any) -> Any:  # type: ignore[override]
        return ops.convert_to_tensor(np.tril(np.ones((1, 4, 5)), -1) < 1)


class Calls(layers.MultiHeadAttention):
    def call(self, query: Any, value: Any, key: Any = None, training: Any = None) -> Any:  # type: ignore[override]
        parts = self._query_dense(query), self._key_dense(value), self._value_dense(value)
        return self._output_dense(self._compute_attention(*parts, training=training)[0])


class Scores(layers.Attention):
    def _calculate_scores(self, query: Any, key: Any) -> Any:
        return 3.0 * super()._calculate_scores(query, key) + ops.arange(5.0)


class Applies(layers.Attention):
    def _apply_scores(self, scores: Any, value: Any, scores_mask: Any = None, training: Any = False) -> Any:
        weights = ops.sigmoid(scores)
        return ops.matmul(weights, value), weights


class Adds(layers.AdditiveAttention):
    def _calculate_scores(self, query: Any, key: Any) -> Any:
        return 5.0 * super()._calculate_scores(query, key)


# Parts that Keras lets users override; what Keras 3.15 gives for the third query of the second sample.
OVERRIDDEN: list[Any] = [
    (Attends(2, 3), (QUERY, VALUE), {}, [0.419, 0.93715, 0.59369, -0.2956, -0.91312, -0.69112]),
    (AttendsInGroups(3, 4, 2), (QUERY, VALUE), {}, [-0.31375, 1.81517, 2.27523, 0.64345, -1.57991, -2.35071]),
    (Weighs(2, 3, dropout=0.1), (QUERY, VALUE), {}, [0.13627, 0.47559, 0.37766, -0.0675, -0.45059, -0.41942]),
    (
        LooksAhead(2, 3, dropout=0.1),
        (QUERY, VALUE),
        {"use_causal_mask": True},
        [0.11332, 0.46747, 0.39182, -0.04406, -0.43944, -0.4308],
    ),
    (Masks(2, 3), (QUERY, VALUE), {}, [0.11332, 0.46747, 0.39182, -0.04406, -0.43944, -0.4308]),
    (Calls(2, 3), (QUERY, VALUE), {}, [0.1622, 0.51791, 0.39745, -0.08842, -0.493, -0.44432]),
    (Scores(), ([QUERY, VALUE],), {}, [-0.81978, 0.03598, 0.85866, 0.89189, 0.10512, -0.7783]),
    (Applies(), ([QUERY, VALUE],), {}, [-1.54449, 1.22992, 2.87355, 1.87525, -0.84715, -2.79068]),
    (Adds(), ([QUERY, VALUE],), {}, [-0.15642, 0.69978, 0.9126, 0.28638, -0.60314, -0.93814]),
]


@pytest.mark.parametrize(("layer", "inputs", "options", "expected"), OVERRIDDEN, ids=lambda x: type(x).__name__)
def test_overridden_parts_are_called(layer: Any, inputs: Any, options: Any, expected: list[float]) -> None:
    found = np.asarray(weighted(layer, inputs)(*inputs, **options))
    np.testing.assert_allclose(found[1, 2], expected, atol=2e-5)


@pytest.mark.parametrize("dtype", ["mixed_float16", "float16"])
@pytest.mark.parametrize(
    ("layer", "last"),
    [
        (layers.Attention, [-0.698, 0.199, 0.914, 0.788, -0.062, -0.855]),
        (layers.AdditiveAttention, [-0.604, 0.315, 0.945, 0.706, -0.182, -0.903]),
    ],
)
def test_where_all_is_masked_half_precision_sees_all_alike(dtype: str, layer: Any, last: list[float]) -> None:
    mask = np.arange(10).reshape(2, 5) > 6
    found = weighted(layer(dtype=dtype), ([QUERY, VALUE],))([QUERY, VALUE], mask=[None, mask])
    np.testing.assert_allclose(found[0, 1], [0.777, 0.836, 0.126, -0.7, -0.882, -0.253], atol=1e-3)
    np.testing.assert_allclose(found[1, 1], last, atol=1.5e-3)


@pytest.mark.parametrize(
    ("layer", "causal", "expected"),
    [
        (layers.Attention(), False, [-0.8247, -0.65013, 0.12217, 0.78214, 0.72302]),
        (layers.Attention(), True, [-0.93084, -0.6263, 0.25406, 0.90083, 0.71939]),
        (
            layers.Attention(use_scale=True, score_mode="concat"),
            False,
            [-0.43761, -0.01746, 0.41874, 0.46995, 0.08909],
        ),
        (layers.AdditiveAttention(use_scale=False), False, [-0.43761, -0.01746, 0.41874, 0.46995, 0.08909]),
    ],
)
def test_attention_takes_more_axes(layer: Any, causal: bool, expected: list[float]) -> None:
    x = waves(2, 3, 4, 5)
    np.testing.assert_allclose(layer([x, x], use_causal_mask=causal)[1, 2, 1], expected, atol=2e-5)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (np.array([1, 0, 1, 1], bool), [0.63695, 0.0, 0.25338, 0.10967]),
        (np.array([[1, 0, 1, 1]] * 3, bool), [0.63695, 0.0, 0.25338, 0.10967]),
        (np.array([[[0.3, 0.6, 1.0, 0.0]]], "float32"), [0.0, 0.69962, 0.30038, 0.0]),
        (np.array([[[1, 0, 2, 1]]], "int32"), [0.63695, 0.0, 0.25338, 0.10967]),
        (np.array([0.5, 0.51, -1, 9], "float32"), [0.0, 0.84328, 0.0, 0.15672]),
    ],
)
def test_softmax_keeps_what_its_mask_has_above_a_half(mask: Any, expected: list[float]) -> None:
    np.testing.assert_allclose(layers.Softmax()(waves(2, 3, 4), mask=mask)[1, 2], expected, atol=2e-5)
    assert np.isfinite(layers.Softmax(dtype="float16")(waves(2, 3, 4), mask=np.zeros(4, bool))).all()
