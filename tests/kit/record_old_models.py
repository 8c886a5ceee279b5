"""Records model files of Keras 2 with what it predicts, in an environment that has `tf_keras`.

    python tests/kit/record_old_models.py tests/cases/old_models.zip

The archive holds each model as `.h5`, `.keras`, weights and JSON, and its answers as `.npz`. All weights are random.
"""

from __future__ import annotations

import io
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

L = keras.layers


def stack() -> Any:
    """Settings that have other names today, and an optimizer in use."""
    model = keras.Sequential(
        [
            L.InputLayer((6, 6, 2), name="image"),
            L.Conv2D(3, 3, padding="same", kernel_regularizer="l2"),
            L.BatchNormalization(),
            L.LeakyReLU(alpha=0.2),
            L.DepthwiseConv2D(2, depth_multiplier=2),
            L.ReLU(max_value=6.0),
            L.SeparableConv2D(3, 2, activation="hard_sigmoid"),
            L.MaxPooling2D(2),
            L.Flatten(),
            L.Dense(3, activation="softmax"),
        ],
        name="stack",
    )
    model.compile(keras.optimizers.Adam(0.01), "categorical_crossentropy", metrics=["accuracy"])
    return model


def recurrent() -> Any:
    """Recurrent layers of Keras 2, with its hard_sigmoid, and an optimizer of before TensorFlow 2.11."""
    model = keras.Sequential(
        [
            L.Embedding(9, 4, mask_zero=True, input_length=5, name="words"),
            L.Bidirectional(L.LSTM(3, recurrent_activation="hard_sigmoid", return_sequences=True)),
            L.GRU(4, reset_after=False, return_sequences=True),
            L.GRU(3, return_sequences=True),
            L.TimeDistributed(L.Dense(4, activation="tanh")),
            L.SimpleRNN(2),
        ],
        name="recurrent",
    )
    model.compile(keras.optimizers.legacy.Adam(0.01, decay=0.1), "mse")
    return model


def nested() -> Any:
    """A shared model with a frozen layer, two inputs and outputs, and names in another order than the layers."""
    inside = keras.Input((4,), name="inside")
    base = L.BatchNormalization(name="norm")(L.Dense(5, name="first")(inside))
    base = keras.Model(inside, L.Add()([base, L.Dense(5, name="a_second", use_bias=False)(inside)]), name="z_base")
    base.get_layer("norm").trainable = False
    head = keras.Sequential([L.Dense(3, activation="relu"), L.BatchNormalization()], name="head")
    a, b = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    joined = L.Concatenate()([base(a), base(b)])
    y = L.Dense(2, name="out")(head(joined))
    return keras.Model([a, b], [y, L.Multiply()([base(a), base(b)])], name="nested")


def attention() -> Any:
    """Layers whose tensors are arguments by name."""
    q, v = keras.Input((3, 4), name="query"), keras.Input((5, 4), name="value")
    y = L.MultiHeadAttention(2, 3, name="heads")(q, v, key=v)
    y = L.LayerNormalization()(y)
    h = L.Dense(4)(L.Flatten()(v))
    y = L.LSTM(4, name="decoder")(y, initial_state=[h, h])
    return keras.Model([q, v], y, name="attention")


def states() -> Any:
    """States that one layer hands to another."""
    x = keras.Input((4, 3), name="x")
    y, h, c = L.LSTM(3, return_state=True, return_sequences=True, name="encoder")(x)
    y = L.GRU(3, name="reader")(y, initial_state=h)
    return keras.Model(x, L.Dense(2)(L.Add()([y, c])), name="states")


def hard_swish() -> Any:
    """Arithmetic between layers, as the MobileNetV3 of Keras 2 has it."""
    image = keras.Input((6, 6, 2), name="image")
    y = L.Conv2D(4, 3, padding="same")(image)
    y = y * (L.ReLU(6.0)(y + 3.0) * (1.0 / 6.0))
    weighed = L.GlobalAveragePooling2D(keepdims=True)(y)
    weighed = L.ReLU(6.0)(L.Conv2D(4, 1)(weighed) + 3.0) * (1.0 / 6.0)
    y = L.Flatten()(L.Multiply()([y, weighed]) + y)
    return keras.Model(image, L.Dense(3, activation="softmax")(tf.nn.l2_normalize(y, axis=1)), name="hard_swish")


def operations() -> Any:
    """Functions of TensorFlow between layers, with arguments in every form; each result is an output."""
    x, z = keras.Input((4, 6), name="x"), keras.Input((4, 6), name="z")
    d = L.Dense(6, name="dense")(x)
    (a, b), (c, e, f) = tf.split(d, 2, axis=-1), tf.split(d, [1, 2, 3], axis=2)
    sums = [d + 1.0, 1.0 - d, d * z, 2.0 / (z * z + 1.0), d**2, -d, tf.constant([1.0, 2, 3, 4, 5, 6]) * d]
    sums += [tf.maximum(d, 0.1), tf.minimum(d, z), tf.math.floormod(d, 0.3), tf.math.floordiv(d, 0.3), abs(d) + z]
    over = [tf.reduce_mean(d, axis=1), tf.reduce_sum(d, [1], keepdims=True), tf.math.reduce_std(d, axis=-1)]
    over += [tf.reduce_max(d, -1), tf.reduce_logsumexp(d, -1), tf.cumsum(d, axis=1), keras.backend.mean(d, axis=1)]
    over += [tf.math.reduce_variance(d, axis=-1), tf.cast(tf.argmax(d, -1), "float32"), tf.nn.l2_normalize(d, -1)]
    curves = [tf.nn.relu(d), tf.nn.softmax(d), tf.nn.softmax(d, axis=1), keras.activations.swish(d), tf.nn.gelu(d)]
    curves += [tf.nn.gelu(d, approximate=True), tf.nn.leaky_relu(d), tf.nn.leaky_relu(d, 0.1), tf.nn.elu(d)]
    curves += [tf.sigmoid(d), tf.tanh(d), tf.math.log_sigmoid(d), tf.math.rsqrt(tf.square(d) + 1.0), tf.round(d * 3.0)]
    shapes = [tf.reshape(d, (-1, 24)), tf.concat([d, z], axis=-1), tf.stack([d, z], axis=2), tf.expand_dims(d, 1)]
    shapes += [tf.squeeze(d[:, 0:1], axis=1), d[:, 1, ...], d[..., ::2], d[:, -1, tf.newaxis], d[:, ::-1], b * a, e]
    shapes += [f + c, tf.tile(d, [1, 2, 1]), tf.repeat(d, 2, axis=1), tf.reverse(d, [1]), tf.gather(d, [0, 2], axis=1)]
    shapes += [tf.pad(d, [[0, 0], [1, 2], [0, 0]]), tf.pad(d, [[0, 0], [1, 2], [0, 0]], mode="REFLECT")]
    shapes += [tf.transpose(d, [0, 2, 1]), tf.unstack(d, axis=1)[1], tf.ones_like(d) + d, tf.identity(d) * 2.0]
    choices = [tf.cast(d > 0.5, "float32"), tf.clip_by_value(d, -0.5, 0.5), tf.where(d > 0, d, z)]
    choices += [tf.one_hot(tf.argmax(d, -1), 6)]
    products = [tf.matmul(d, z, transpose_b=True), tf.matmul(d, z, transpose_a=True)]
    products += [tf.matmul(tf.nn.softmax(d @ tf.transpose(z, [0, 2, 1]) / np.sqrt(6.0)), z)]
    return keras.Model([x, z], sums + over + curves + shapes + choices + products, name="operations")


def spread(model: Any, rng: np.random.Generator) -> None:
    """Gives a model weights none of which hides behind a 0 or 1."""
    for weight in model.weights:
        low, high = (0.5, 2.0) if "variance" in weight.name else (-1.0, 1.0)
        weight.assign(rng.uniform(low, high, weight.shape).astype("float32"))


def main(target: str) -> None:
    rng = np.random.default_rng(11)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive, tempfile.TemporaryDirectory() as folder:
        for make in (stack, recurrent, nested, attention, states, hard_swish, operations):
            model = make()
            xs = [rng.normal(size=(4, *x.shape[1:])).astype("float32") for x in model.inputs]
            if make is recurrent:
                xs = [rng.integers(0, 9, (4, 5)).astype("float32")]
            spread(model, rng)
            if model.optimizer is not None:
                labels = np.eye(model.output_shape[-1], dtype="float32")[np.arange(4) % model.output_shape[-1]]
                model.fit(xs[0], labels, epochs=2, verbose=0)
            ys = model.predict(xs, verbose=0)
            arrays = {f"x{i}": x for i, x in enumerate(xs)}
            arrays |= {f"y{i:02}": y for i, y in enumerate(ys if isinstance(ys, list) else [ys])}
            archive.writestr(f"{model.name}.json", model.to_json())
            for ending in (".h5", ".keras"):
                if ending == ".keras" and make is operations:  # Keras 2 cannot write an index with dots into it
                    continue
                path = Path(folder) / f"{model.name}{ending}"
                model.save(path, save_format=ending[1:])
                archive.write(path, path.name)
            path = Path(folder) / f"{model.name}_weights.h5"
            model.save_weights(path, save_format="h5")
            archive.write(path, path.name)
            if model.optimizer is not None:  # what the state of the optimizer makes of two more steps
                model.fit(xs[0], labels, epochs=2, verbose=0)
                arrays["z0"] = model.predict(xs, verbose=0)
            buffer = io.BytesIO()
            np.savez(buffer, **arrays)  # type: ignore[arg-type]
            archive.writestr(f"{model.name}.npz", buffer.getvalue())


if __name__ == "__main__":
    main(sys.argv[1])
