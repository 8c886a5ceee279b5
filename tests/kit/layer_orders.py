"""Functional models whose layers can be listed in several orders; the same code makes them in Keras and in seqc.

Nearly all weights have the same shape, so that an order that differs shows in the predictions and nowhere else.
"""

from __future__ import annotations

import itertools
import random
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

WIDTH = 3


def _dense(keras: Any, name: str, **named: Any) -> Any:
    return keras.layers.Dense(WIDTH, activation="tanh", bias_initializer="ones", name=name, **named)


def _input(keras: Any, name: str) -> Any:
    return keras.Input((WIDTH,), name=name)


def residual(keras: Any) -> Any:
    x = _input(keras, "x")
    h = _dense(keras, "first")(x)
    long = _dense(keras, "long_2")(_dense(keras, "long_1")(h))
    return keras.Model(x, keras.layers.Add(name="add")([long, _dense(keras, "shortcut")(h)]))


def short_branch_first(keras: Any) -> Any:
    x = _input(keras, "x")
    short = _dense(keras, "short")(x)
    long = _dense(keras, "long_3")(_dense(keras, "long_2")(_dense(keras, "long_1")(x)))
    return keras.Model(x, keras.layers.Concatenate(name="both")([short, long]))


def outputs_of_different_depth(keras: Any) -> Any:
    x = _input(keras, "x")
    h = _dense(keras, "trunk")(x)
    near, far = _dense(keras, "near")(h), _dense(keras, "far_2")(_dense(keras, "far_1")(h))
    return keras.Model(x, [near, far, h])


def outputs_in_a_dictionary(keras: Any) -> Any:
    x = _input(keras, "x")
    return keras.Model(x, {"z": _dense(keras, "of_z")(x), "a": _dense(keras, "of_a")(x), "m": _dense(keras, "of_m")(x)})


def inputs_in_a_dictionary(keras: Any) -> Any:
    b, a = _input(keras, "b"), _input(keras, "a")
    both = keras.layers.Add(name="add")([_dense(keras, "of_b")(b), _dense(keras, "of_a")(a)])
    return keras.Model({"b": b, "a": a}, both)


def inputs_at_different_depths(keras: Any) -> Any:
    early, late = _input(keras, "early"), _input(keras, "late")
    h = _dense(keras, "second")(_dense(keras, "first")(early))
    return keras.Model([late, early], _dense(keras, "head")(keras.layers.Multiply(name="times")([late, h])))


def siamese(keras: Any) -> Any:
    left, right = _input(keras, "left"), _input(keras, "right")
    shared = _dense(keras, "shared")
    apart = keras.layers.Subtract(name="apart")([shared(right), _dense(keras, "own")(shared(left))])
    return keras.Model([left, right], _dense(keras, "head")(apart))


def shared_at_two_depths(keras: Any) -> Any:
    x = _input(keras, "x")
    shared, other = _dense(keras, "shared"), _dense(keras, "other")
    h = _dense(keras, "middle")(shared(x))
    return keras.Model(x, [shared(h), other(x), _dense(keras, "last")(other(h))])


def nested(keras: Any) -> Any:
    inner_x = _input(keras, "inner_x")
    inner_long = _dense(keras, "inner_2")(_dense(keras, "inner_1")(inner_x))
    inner = keras.Model(
        inner_x, keras.layers.Add(name="inner_add")([_dense(keras, "inner_side")(inner_x), inner_long]), name="inner"
    )
    x = _input(keras, "x")
    side, main = _dense(keras, "side")(x), inner(_dense(keras, "before")(x))
    return keras.Model(x, keras.layers.Average(name="mean")([side, main, inner(x)]))


def nested_stack(keras: Any) -> Any:
    stack = keras.Sequential([_dense(keras, "stack_1"), _dense(keras, "stack_2")], name="stack")
    x = _input(keras, "x")
    return keras.Model(x, keras.layers.Add(name="add")([_dense(keras, "side")(x), _dense(keras, "after")(stack(x))]))


def nested_by_names(keras: Any) -> Any:
    b, a = _input(keras, "b"), _input(keras, "a")
    inner = keras.Model({"b": b, "a": a}, keras.layers.Subtract(name="less")([b, a]), name="inner")
    x = _input(keras, "x")
    result = inner({"b": _dense(keras, "for_b")(x), "a": _dense(keras, "for_a")(x)})
    return keras.Model(x, result)


def from_the_middle(keras: Any) -> Any:
    x = _input(keras, "x")
    h = _dense(keras, "outside")(x)
    side, long = _dense(keras, "side")(h), _dense(keras, "long_2")(_dense(keras, "long_1")(h))
    whole = keras.Model(x, keras.layers.Add(name="add")([side, long]))
    return keras.Model(h, whole.output)


def operations_between(keras: Any) -> Any:
    x = _input(keras, "x")
    far = _dense(keras, "far")(x) * 2.0 + 1.0
    return keras.Model(x, _dense(keras, "head")(keras.ops.tanh(far) - _dense(keras, "near")(x)))


def frozen_part(keras: Any) -> Any:
    x = _input(keras, "x")
    frozen = _dense(keras, "frozen", trainable=False)(x)
    norm = keras.layers.BatchNormalization(name="norm")(_dense(keras, "train")(x))
    return keras.Model(x, keras.layers.Add(name="add")([frozen, norm, _dense(keras, "side")(norm)]))


def several_results(keras: Any) -> Any:
    x = keras.Input((4, WIDTH), name="x")
    y, h, c = keras.layers.LSTM(WIDTH, return_sequences=True, return_state=True, name="read")(x)
    back = keras.layers.LSTM(WIDTH, name="write")(y, initial_state=[_dense(keras, "of_h")(h), _dense(keras, "of_c")(c)])
    return keras.Model(x, [back, keras.layers.GRU(WIDTH, name="other")(y)])


def attention(keras: Any) -> Any:
    x, context = keras.Input((4, WIDTH), name="x"), keras.Input((5, WIDTH), name="context")
    key, query, value = _dense(keras, "key")(context), _dense(keras, "query")(x), _dense(keras, "value")(context)
    found = keras.layers.MultiHeadAttention(2, 2, name="attend")(query, value, key=key)
    return keras.Model([context, x], keras.layers.LayerNormalization(name="norm")(keras.layers.add([found, x])))


def dense_blocks(keras: Any) -> Any:
    x = _input(keras, "x")
    kept = [x]
    for i in range(3):
        h = kept[0] if len(kept) == 1 else keras.layers.Concatenate(name=f"join_{i}")(kept[::-1])
        kept.append(_dense(keras, f"block_{i}")(h))
    return keras.Model(x, keras.layers.Concatenate(name="join")(kept))


def masked_branch(keras: Any) -> Any:
    x, layers = keras.Input((4, 3), name="x"), keras.layers
    plain = layers.LSTM(3, name="a3")(_dense(keras, "a2")(_dense(keras, "a1")(x)))
    masked = layers.LSTM(3, name="b3")(layers.Masking(name="b2")(_dense(keras, "b1")(x)))
    return keras.Model(x, layers.Add(name="sum")([plain, masked]))


def masked_and_not(keras: Any) -> Any:
    x, y, layers = keras.Input((4, 3), name="x"), keras.Input((4, 3), name="y"), keras.layers
    plain = layers.LSTM(3, name="a3")(layers.Dropout(0.1, name="a2")(_dense(keras, "a1")(y)))
    both = layers.Concatenate(name="b2")([layers.Masking(0.25, name="b1")(_dense(keras, "b0")(x)), y])
    return keras.Model([x, y], layers.Add(name="sum")([plain, layers.LSTM(3, name="b3")(both)]))


BUILDERS: list[Callable[[Any], Any]] = [
    residual,
    short_branch_first,
    outputs_of_different_depth,
    outputs_in_a_dictionary,
    inputs_in_a_dictionary,
    inputs_at_different_depths,
    siamese,
    shared_at_two_depths,
    nested,
    nested_stack,
    nested_by_names,
    from_the_middle,
    operations_between,
    frozen_part,
    several_results,
    attention,
    dense_blocks,
    masked_branch,
    masked_and_not,
]


def made(keras: Any, builder: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Returns the model with weights by position that only the case and the position tell, and data for it."""
    keras.utils.clear_session()
    model = builder(keras)
    rng = np.random.default_rng(zlib.crc32(builder.__name__.encode()))
    model.set_weights([rng.uniform(0.1, 0.9, w.shape).astype("float32") for w in model.get_weights()])
    entries = [layer for layer in model.layers if type(layer).__name__ == "InputLayer"]
    shapes = {layer.name: tuple(layer.batch_shape)[1:] for layer in sorted(entries, key=lambda layer: layer.name)}
    data = {name: rng.uniform(-1, 1, (2, *shape)).astype("float32") for name, shape in shapes.items()}
    return model, data if len(data) > 1 else next(iter(data.values()))


def facts(model: Any, data: Any) -> dict[str, Any]:
    """Returns names and shapes in their order, and predictions by name or position."""
    found = model.predict(data, verbose=0)
    pairs = found.items() if isinstance(found, dict) else enumerate(found if isinstance(found, list) else [found])
    trained = {id(w) for w in model.trainable_weights}
    return {
        "layers": [_neutral(layer.name) for layer in model.layers],
        "weights": [list(w.shape) for w in model.weights],
        "trainable": [i for i, w in enumerate(model.weights) if id(w) in trained],
        "predictions": {str(key): np.round(np.float64(y), 6).tolist() for key, y in pairs},
    }


def _neutral(name: str) -> str:
    """Inputs that a model makes for itself have names that nothing depends on."""
    return "input" if "keras_tensor" in name or name.startswith("input_layer") else name


SEEDS = 80


def masked_at_random(keras: Any, seed: int) -> Any:
    """Returns a graph of layers that make masks, take them, hand them on and lose them."""
    draw, layers, names = random.Random(seed), keras.layers, (f"n{i}" for i in itertools.count())
    ids = [keras.Input((4,), name=f"i{k}", dtype="int32") for k in range(draw.randint(1, 2))]
    floats = [keras.Input((4, 3), name=f"f{k}") for k in range(draw.randint(0, 2))]
    shared = layers.LSTM(3, return_sequences=True, name="shared")
    kept = [layers.Embedding(9, 3, mask_zero=draw.random() < 0.6, name=next(names)) for _ in range(draw.randint(1, 4))]
    tensors = [*floats, *(table(draw.choice(ids)) for table in kept)]
    makes: list[Callable[[Any, Any], Any]] = [
        lambda x, _: _dense(keras, next(names))(x),
        lambda x, _: layers.LSTM(3, return_sequences=True, name=next(names))(x),
        lambda x, _: layers.LSTM(3, return_sequences=True, name=next(names))(x, training=False),
        lambda x, _: layers.Masking(name=next(names))(x),
        lambda x, y: _dense(keras, next(names))(layers.Concatenate(name=next(names))([x, y])),
        lambda x, y: layers.GRU(3, return_sequences=True, name=next(names))(
            layers.Concatenate(name=next(names))([x, y, x])
        ),
        lambda x, y: layers.Add(name=next(names))([x, y]),
        lambda x, _: layers.BatchNormalization(name=next(names))(x),
        lambda x, _: layers.TimeDistributed(layers.Dense(3), name=next(names))(x),
        lambda x, y: x * 2.0 + y,
        lambda x, _: shared(x),
    ]
    for _ in range(draw.randint(4, 14)):
        tensors.append(draw.choice(makes)(draw.choice(tensors), draw.choice(tensors)))
    ends = draw.sample(tensors[-4:], min(len(tensors), draw.randint(1, 3)))
    return keras.Model(ids + floats, [layers.GlobalAveragePooling1D(name=next(names))(end) for end in ends])


def order_at_random(keras: Any, seed: int) -> str:
    """Returns the names of such a graph's layers."""
    keras.utils.clear_session()
    return " ".join(_neutral(layer.name) for layer in masked_at_random(keras, seed).layers)
