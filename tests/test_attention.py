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
