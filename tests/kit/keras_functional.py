"""Functional models between seqc and Keras: `python -m kit.keras_functional make|open|keep FOLDER [MODEL ...]`.

The same code makes them in both. `make` saves each with Keras and records what it predicts, `open` predicts with what
seqc saved, and `keep` records a few small files for the tests that run without Keras.
"""

from __future__ import annotations

import json
import sys
import traceback
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kit.keras_functional_images import IMAGES
from kit.keras_functional_matrices import MATRICES
from kit.keras_functional_nn import NETWORKS
from kit.keras_functional_numbers import NUMBERS, SAVED_ONLY
from kit.keras_functional_reductions import REDUCING
from kit.keras_functional_signals import SIGNALS
from kit.table_calls import call_on

_OF_X = """abs absolute arctan ceil cos cosh exp expm1 floor isfinite isinf isnan logical_not negative
    ravel reciprocal sign sin sinh square tan tanh hard_sigmoid hard_silu hard_tanh log_sigmoid relu relu6 selu
    sigmoid silu softplus softsign sparse_plus sparse_sigmoid tanh_shrink erf ones_like zeros_like stop_gradient
    celu elu gelu glu hard_shrink leaky_relu log_softmax soft_shrink softmax squareplus normalize
    convert_to_tensor mean sum max min amax amin prod std var all any argmax argmin logsumexp norm count_nonzero
    average transpose tril triu round"""
_OF_POSITIVE = "log log10 log1p log2 rsqrt sqrt"
_OF_BOTH = """add divide divide_no_nan equal floor_divide greater greater_equal less less_equal logaddexp
    logical_and logical_or logical_xor maximum minimum mod multiply not_equal subtract true_divide"""

# What each operation of Keras's is called like: on x and y of shape (batch, 3, 4), or on k, of integers.
OPERATIONS: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    **{name: call_on(lambda ops, x, y, k: (x,), name) for name in _OF_X.split()},
    **{name: call_on(lambda ops, x, y, k: (ops.abs(x) + 0.1,), name) for name in _OF_POSITIVE.split()},
    **{name: call_on(lambda ops, x, y, k: (x, y), name) for name in _OF_BOTH.split()},
    "add_numbers": lambda ops, x, y, k: 2.0 + x + np.arange(4, dtype="float32") - 1,
    "arctanh": lambda ops, x, y, k: ops.arctanh(ops.tanh(x)),
    "average_pool": lambda ops, x, y, k: ops.average_pool(x, 2, 1, padding="same"),
    "average_weights": lambda ops, x, y, k: ops.average(x, axis=-1, weights=np.array([1, 2, 3, 4], "float32")),
    "broadcast_to": lambda ops, x, y, k: ops.broadcast_to(ops.sum(x, axis=0, keepdims=True), (2, 3, 4)),
    "cast": lambda ops, x, y, k: ops.cast(x * 10, "int32"),
    "clip": lambda ops, x, y, k: ops.clip(x, -0.5, 0.25),
    "concatenate": lambda ops, x, y, k: ops.concatenate([x, y], axis=-1),
    "conv": lambda ops, x, y, k: ops.conv(x, np.full((2, 4, 3), 0.1, "float32"), 1, "same"),
    "cumsum": lambda ops, x, y, k: ops.cumsum(x, axis=1),
    "depthwise_conv": lambda ops, x, y, k: ops.depthwise_conv(x, np.full((2, 4, 1), 0.1, "float32")),
    "diff": lambda ops, x, y, k: ops.diff(x, n=2),
    "dot": lambda ops, x, y, k: ops.dot(x, np.full((4, 2), 0.5, "float32")),
    "einsum": lambda ops, x, y, k: ops.einsum("bij,bkj->bik", x, y),
    "expand_dims": lambda ops, x, y, k: ops.expand_dims(x, (1, 3)),
    "flip": lambda ops, x, y, k: ops.flip(x, axis=1),
    "full_like": lambda ops, x, y, k: ops.full_like(x, 3.0),
    "get_item": lambda ops, x, y, k: x[:, 1, ::-1],
    "get_item_dots": lambda ops, x, y, k: x[..., None, 1:3],
    "get_item_none": lambda ops, x, y, k: x[:, None],
    "hstack": lambda ops, x, y, k: ops.hstack([x, y]),
    "matmul": lambda ops, x, y, k: x @ ops.transpose(y, (0, 2, 1)),
    "max_pool": lambda ops, x, y, k: ops.max_pool(x, 2, 1),
    "mean_axes": lambda ops, x, y, k: ops.mean(x, axis=(1, 2), keepdims=True),
    "moments": lambda ops, x, y, k: ops.moments(x, axes=[1])[1],
    "moveaxis": lambda ops, x, y, k: ops.moveaxis(x, 1, -1),
    "one_hot": lambda ops, x, y, k: ops.one_hot(k, 6),
    "outer": lambda ops, x, y, k: ops.outer(x, np.array([1.0, 2.0], "float32")),
    "pad": lambda ops, x, y, k: ops.pad(x, ((0, 0), (1, 2), (0, 1)), constant_values=2.0),
    "pad_reflect": lambda ops, x, y, k: ops.pad(x, ((0, 0), (1, 2), (0, 1)), mode="reflect"),
    "power": lambda ops, x, y, k: ops.abs(x) ** 1.5,
    "repeat": lambda ops, x, y, k: ops.repeat(x, 2, axis=1),
    "reshape": lambda ops, x, y, k: ops.reshape(x, (-1, 2, 6)),
    "roll": lambda ops, x, y, k: ops.roll(x, 1, axis=2),
    "separable_conv": lambda ops, x, y, k: ops.separable_conv(
        x, np.full((2, 4, 1), 0.1, "float32"), np.full((1, 4, 5), 0.1, "float32")
    ),
    "slice": lambda ops, x, y, k: ops.slice(x, (0, 1, 1), (1, 2, 2)),
    "sparsemax": lambda ops, x, y, k: ops.sparsemax(x[:, 0]),
    "split": lambda ops, x, y, k: ops.split(x, 2, axis=-1)[1],
    "split_at": lambda ops, x, y, k: ops.split(x, [1, 2], axis=-1)[2],
    "squeeze": lambda ops, x, y, k: ops.squeeze(ops.mean(x, axis=1, keepdims=True), axis=1),
    "stack": lambda ops, x, y, k: ops.stack([x, y], axis=1),
    "subtract_from": lambda ops, x, y, k: 1.0 - x / 2,
    "swapaxes": lambda ops, x, y, k: ops.swapaxes(x, 1, 2),
    "take": lambda ops, x, y, k: ops.take(x, [0, 2], axis=1),
    "take_by": lambda ops, x, y, k: ops.take(np.arange(12, dtype="float32").reshape(6, 2), k, axis=0),
    "tensordot": lambda ops, x, y, k: ops.tensordot(x, np.full((4, 2), 0.5, "float32"), axes=1),
    "threshold": lambda ops, x, y, k: ops.threshold(x, 0.1, 5.0),
    "tile": lambda ops, x, y, k: ops.tile(x, (1, 2, 1)),
    "unstack": lambda ops, x, y, k: ops.unstack(x, axis=1)[2],
    "vstack": lambda ops, x, y, k: ops.vstack([x, y]),
    "where": lambda ops, x, y, k: ops.where(x > y, x, 0.5),
    "sort": lambda ops, x, y, k: ops.sort(x, axis=1),
    "argsort": lambda ops, x, y, k: ops.argsort(x),
    "argpartition": lambda ops, x, y, k: ops.take_along_axis(x, ops.argpartition(x, 1), axis=-1)[..., 1],
    "searchsorted": lambda ops, x, y, k: ops.searchsorted(np.array([-0.5, 0.0, 0.5], "float32"), x, side="right"),
    "take_along_axis": lambda ops, x, y, k: ops.take_along_axis(x, ops.argsort(y, axis=1), axis=1),
    "unique": lambda ops, x, y, k: ops.unique(k, return_counts=True, size=4)[1],
    "unravel_index": lambda ops, x, y, k: ops.unravel_index(k, (2, 3))[1],
    "scatter": lambda ops, x, y, k: ops.scatter(ops.expand_dims(k, -1), x, (9, 4)),
    "scatter_update": lambda ops, x, y, k: ops.scatter_update(
        x, np.array([[0, 1], [1, 2]]), np.full((2, 4), 0.5, "float32"), "add"
    ),
    "slice_update": lambda ops, x, y, k: ops.slice_update(x, (0, 1, 2), y[:, :1, :2]),
    **{
        name: call_on(lambda ops, x, y, k: (ops.transpose(x, (1, 0, 2)), np.array([1, 0, 1])), name, num_segments=2)
        for name in ("segment_max", "segment_min", "segment_prod", "segment_sum")
    },
    "top_k": lambda ops, x, y, k: ops.top_k(x, 2)[0],
    "in_top_k": lambda ops, x, y, k: ops.in_top_k(k, ops.concatenate([x, y], axis=-1), 3),
}


def _ends(keras: Any) -> tuple[Any, Any, Any]:
    return (
        keras.Input((3, 4), name="x"),
        keras.Input((3, 4), name="y"),
        keras.Input((3,), dtype="int32", name="k"),
    )


# By the name of the model that has one output for each.
TABLES = {
    "every_operation": OPERATIONS,
    "images": IMAGES,
    "matrices": MATRICES,
    "networks": NETWORKS,
    "numbers": NUMBERS,
    "reducing": REDUCING,
    "saved_only": SAVED_ONLY,
    "signals": SIGNALS,
}


def _of_table(keras: Any, table: str) -> Any:
    """One output for each operation of a table."""
    x, y, k = _ends(keras)
    outputs = [compute(keras.ops, x, y, k) for compute in TABLES[table].values()]
    return keras.Model({"x": x, "y": y, "k": k}, outputs)


def between_layers(keras: Any) -> Any:
    """Operations and operators in branches whose layers have weights of one shape."""
    ops = keras.ops

    def dense(name: str) -> Any:
        return keras.layers.Dense(4, name=name)

    x, y, _ = _ends(keras)
    long = dense("long_2")(ops.gelu(dense("long_1")(x) * 2.0))
    short = ops.sigmoid(dense("short")(x))
    gated = long * short + dense("of_y")(ops.mean(y, axis=1, keepdims=True))[:, -1:]
    first, second = ops.split(gated, 2, axis=-1)
    return keras.Model([x, y], [dense("end")(ops.concatenate([second, first])), ops.square(first)])


def named_like_layers(keras: Any) -> Any:
    """Layers and operations of one name: Add, Multiply, Concatenate, Reshape, Softmax."""
    ops, layers = keras.ops, keras.layers
    x, y, _ = _ends(keras)
    h = layers.Add()([x, y]) + layers.Multiply()([x, y])
    h = layers.Concatenate()([ops.concatenate([h, x], axis=1), ops.multiply(layers.Concatenate(axis=1)([x, y]), 2.0)])
    h = layers.Reshape((8, 6))(ops.reshape(h, (-1, 12, 4)))
    return keras.Model([x, y], layers.Softmax()(ops.softmax(layers.Dense(6)(h), axis=1)))


def masked_text(keras: Any) -> Any:
    """The mask of an embedding reaches a recurrent layer."""
    layers = keras.layers
    tokens = keras.Input((6,), dtype="int32", name="tokens")
    h = layers.LSTM(3, return_sequences=True)(layers.Embedding(9, 4, mask_zero=True)(tokens))
    return keras.Model(tokens, layers.Dense(2)(layers.GRU(3)(h)))


def masked_branches(keras: Any) -> Any:
    """Masks of two inputs meet where branches do."""
    layers = keras.layers
    a = keras.Input((6,), dtype="int32", name="a")
    steps = keras.Input((6, 4), name="steps")
    table = layers.Embedding(9, 4, mask_zero=True)
    h = layers.Concatenate()([table(a), layers.Masking()(steps)])
    deep = layers.LSTM(4, return_sequences=True)(layers.Masking(0.5)(layers.LSTM(4, return_sequences=True)(h)))
    short = layers.LSTM(4)(table(a))
    return keras.Model([a, steps], layers.Add()([layers.Bidirectional(layers.LSTM(2))(deep), short]))


def shared(keras: Any) -> Any:
    """One layer is called three times, one of them on its own result."""
    layers = keras.layers
    x, y, _ = _ends(keras)
    dense, norm = layers.Dense(4, activation="tanh"), layers.LayerNormalization()
    h = norm(dense(x))
    return keras.Model([x, y], layers.Dense(1)(layers.Subtract()([norm(dense(h)), dense(y)])))


def nested(keras: Any) -> Any:
    """A functional model and a stack stand inside, one of them twice; an operation is inside and outside."""
    layers, ops = keras.layers, keras.ops
    z = keras.Input((4,), name="z")
    inner = keras.Model(z, ops.relu(layers.Dense(4)(z)) - 0.5, name="inner")
    stack = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.Dense(4)], name="stack")
    x = keras.Input((4,), name="x")
    return keras.Model(x, layers.Average()([stack(inner(x)), inner(ops.abs(stack(x)))]))


def several_ends(keras: Any) -> Any:
    """Inputs and outputs by name."""
    layers = keras.layers
    b, a = keras.Input((4,), name="b"), keras.Input((4,), name="a")
    both = layers.Concatenate()([layers.Dense(3)(b), layers.Dense(3)(a)])
    hidden = layers.BatchNormalization()(layers.Dense(4)(both))
    return keras.Model({"b": b, "a": a}, {"z": layers.Dense(2)(hidden), "c": hidden})


def attention(keras: Any) -> Any:
    """Layers of several tensors, by keyword too."""
    layers, ops = keras.layers, keras.ops
    x, y, _ = _ends(keras)
    h = layers.MultiHeadAttention(2, 3)(x, value=y, use_causal_mask=True) + x
    h = layers.LayerNormalization()(h)
    return keras.Model([x, y], ops.max(layers.Attention()([h, y]), axis=1))


def images(keras: Any) -> Any:
    """A residual block with a channel gate, and scaling by operators as people write it."""
    layers, ops = keras.layers, keras.ops
    image = keras.Input((8, 8, 3), name="image")
    h = layers.Conv2D(4, 3, padding="same")(image / 127.5 - 1.0)
    r = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(ops.relu(h)))
    gate = layers.Dense(4, activation="sigmoid")(ops.mean(r, axis=[1, 2]))
    h = h + r * gate[:, None, None, :]
    return keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(h)))


MODELS: dict[str, Callable[[Any], Any]] = {
    **{table: partial(_of_table, table=table) for table in TABLES},
    **{
        made.__name__: made
        for made in (
            between_layers,
            named_like_layers,
            masked_text,
            masked_branches,
            shared,
            nested,
            several_ends,
            attention,
            images,
        )
    },
}
# Those whose files are kept in tests/cases.
KEPT = (*TABLES, "between_layers", "masked_branches", "nested")


def build(keras: Any, name: str) -> Any:
    """Returns a model with the same weights in both libraries, none of them zero or one."""
    keras.utils.set_random_seed(0)
    model = MODELS[name](keras)
    rng = np.random.default_rng(3)
    model.set_weights(
        [rng.uniform(0.2, 0.9, w.shape).astype("float32") - 0.4 * (w.ndim > 1) for w in model.get_weights()]
    )
    return model


def batch(x: Any) -> Any:
    """Returns two samples for an input; the last steps of sequences of six are zero, which masks take out."""
    rng = np.random.default_rng(len(x.shape))
    shape = (2, *x.shape[1:])
    if str(x.dtype) == "int32":
        return rng.integers(0, 6, shape).astype("int32") * (np.arange(shape[-1]) < [[4], [5]])
    steps = (np.arange(6) < 5)[:, None] if shape[1:-1] == (6,) else 1
    return (rng.normal(size=shape) * steps).astype("float32")


def outputs(model: Any) -> dict[str, Any]:
    """Returns what a model makes of its data, by position or name."""
    ends = model.input
    if isinstance(ends, dict):
        given: Any = {name: batch(x) for name, x in ends.items()}
    else:
        given = [batch(x) for x in ends] if isinstance(ends, list | tuple) else batch(ends)
    found = model(given, training=False)
    named = (
        found.items() if isinstance(found, dict) else enumerate(found if isinstance(found, list | tuple) else [found])
    )
    return {f"y_{key}": np.asarray(y) for key, y in named}


def pack(path: Path) -> None:
    """Compresses what Keras stores as it is."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def main(mode: str, folder: Path, *names: str) -> None:
    import keras

    failures = {}
    for name in names or (KEPT if mode == "keep" else MODELS):
        path = folder / f"functional_{name}.keras"
        try:
            if mode == "open":
                model = keras.saving.load_model(path)
            else:
                model = build(keras, name)
                model.save(path)
            if mode == "keep":
                pack(path)
            np.savez_compressed(path.with_suffix(".npz"), **outputs(model))
        except Exception:
            failures[name] = traceback.format_exc()[-3000:]
    if mode == "keep":
        print(failures or "kept")
    else:
        (folder / "failures.json").write_text(json.dumps(failures))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
