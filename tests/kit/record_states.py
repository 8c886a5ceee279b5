"""Records what Keras gives for recurrent layers with states that go in and out: python -m kit.record_states

Run it with a Python that has Keras 3 and TensorFlow; nothing of seqc is needed. It writes `cases/state_cases.json` and
`.npz`, and an encoder-decoder model with what it computes and how it trains, `cases/seq2seq.keras` and `.npz`.
"""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras import layers

CASES = Path(__file__).resolve().parents[1] / "cases"
STEPS, FEATURES, UNITS = 4, 3, 2
MASK = np.array([[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0]], bool)

Config = dict[str, Any]


def rows() -> dict[str, tuple[Any, bool]]:
    """Returns layers, and whether they run under a mask, by the id of the case."""
    kinds: dict[str, Any] = {
        "SimpleRNN": layers.SimpleRNN,
        "GRU": layers.GRU,
        "GRU-before": lambda units, **more: layers.GRU(units, reset_after=False, **more),
        "LSTM": layers.LSTM,
    }
    forms: dict[str, tuple[Config, bool]] = {
        "last": ({}, False),
        "all_backwards": ({"return_sequences": True, "go_backwards": True}, False),
        "last_masked": ({}, True),
        "all_masked": ({"return_sequences": True}, True),
        "zeros_masked_backwards": (
            {"return_sequences": True, "zero_output_for_mask": True, "go_backwards": True},
            True,
        ),
    }
    found: dict[str, tuple[Any, bool]] = {}
    for kind, make in kinds.items():
        for form, (config, masked) in forms.items():
            found[f"{kind}-{form}"] = make(UNITS, return_state=True, **config), masked
    for name, mode, config, masked in (
        ("LSTM_both", None, {"return_sequences": True}, False),
        ("GRU_both_masked", None, {"return_sequences": True}, True),
        ("LSTM_concat", "concat", {}, False),
        ("SimpleRNN_sum_masked", "sum", {"return_sequences": True}, True),
    ):
        one = kinds[name.split("_")[0]](UNITS, return_state=True, **config)
        found[f"Bidirectional-{name}"] = layers.Bidirectional(one, merge_mode=mode), masked
    stacks: dict[str, tuple[Config, bool]] = {
        "last": ({}, False),
        "all_masked": ({"return_sequences": True}, True),
        "all_backwards": ({"return_sequences": True, "go_backwards": True}, False),
    }
    for form, (config, masked) in stacks.items():
        cells = [layers.LSTMCell(UNITS), layers.GRUCell(3), layers.LSTMCell(UNITS)]
        found[f"RNN-stack_{form}"] = layers.RNN(cells, return_state=True, **config), masked
    found["ConvLSTM1D-all_masked"] = layers.ConvLSTM1D(UNITS, 2, return_sequences=True, return_state=True), True
    found["ConvLSTM2D-last_masked"] = layers.ConvLSTM2D(UNITS, (3, 2), strides=2, return_state=True), True
    backwards = layers.ConvLSTM2D(UNITS, 2, padding="same", return_sequences=True, go_backwards=True, return_state=True)
    found["ConvLSTM2D-all_backwards"] = backwards, False
    found["ConvLSTM2D-first"] = layers.ConvLSTM2D(UNITS, 2, data_format="channels_first", return_state=True), True
    found["ConvLSTM3D-last"] = layers.ConvLSTM3D(UNITS, 2, dilation_rate=(1, 1, 2), return_state=True), False
    both = layers.ConvLSTM1D(UNITS, 2, return_sequences=True, return_state=True)
    found["Bidirectional-ConvLSTM1D_concat_masked"] = layers.Bidirectional(both), True
    return found


def record(name: str, layer: Any, masked: bool) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Returns facts and arrays of a case."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))

    def numbers(shape: Any) -> np.ndarray:
        drawn: np.ndarray = rng.normal(size=shape).astype("float32")
        return drawn

    one = layer.forward_layer if hasattr(layer, "forward_layer") else layer
    space = (4, 3, 4)[: getattr(one.cell, "rank", 0)]
    sample = (FEATURES, *space) if getattr(one.cell, "data_format", "") == "channels_first" else (*space, FEATURES)
    x = numbers((3, STEPS, *sample))
    layer.build(x.shape)
    for variable in layer.weights:
        variable.assign(0.5 * numbers(variable.shape))
    starts = keras.tree.flatten(one.get_initial_state(3)) * (2 if one is not layer else 1)
    states = [tf.constant(numbers(start.shape)) for start in starts]
    given = tf.constant(x)
    mask = {"mask": tf.constant(MASK)} if masked else {}
    packed = states if one is not layer else keras.tree.pack_sequence_as(one.get_initial_state(3), states)
    kernels = [w.value for w in layer.trainable_weights]
    with tf.GradientTape() as tape:
        for watched in (given, *states):
            tape.watch(watched)
        ys = keras.tree.flatten(layer(given, initial_state=packed, **mask))
        upstream = [numbers(y.shape) for y in ys]
        total = tf.add_n([tf.reduce_sum(y * g) for y, g in zip(ys, upstream, strict=True)])
    grads = tape.gradient(total, [given, *states, *kernels], unconnected_gradients="zero")
    names = ["dx", *(f"ds{i}" for i in range(len(states))), *(f"dw{i}" for i in range(len(kernels)))]
    arrays = {"x": x, **({"mask": MASK} if masked else {})}
    for prefix, listed in (("s", states), ("w", layer.get_weights()), ("y", ys), ("g", upstream)):
        arrays |= {f"{prefix}{i}": np.array(a) for i, a in enumerate(listed)}
    arrays |= {key: np.array(tf.convert_to_tensor(g)) for key, g in zip(names, grads, strict=True)}
    facts = {"id": name, "class": type(layer).__name__, "config": layer.get_config()}
    return facts, arrays


def encoder_decoder(masked: bool) -> Any:
    """Returns Keras's model for sequences to sequences, the encoder under a mask or not."""
    encoded = keras.Input((None,), dtype="int32", name="source")
    h = layers.Embedding(7, 4, mask_zero=masked, name="table")(encoded)
    _, *states = layers.LSTM(5, return_state=True, name="encoder")(h)
    given = keras.Input((None, 3), name="target")
    y, _, _ = layers.LSTM(5, return_sequences=True, return_state=True, name="decoder")(given, initial_state=states)
    return keras.Model([encoded, given], layers.Dense(4, activation="softmax", name="letters")(y), name="seq2seq")


def record_model(masked: bool) -> dict[str, np.ndarray]:
    """Returns what an encoder-decoder computes, and how it trains; the one without a mask is kept as a file.

    Keras writes operations that make masks into files as if they were layers, and those say nothing new.
    """
    rng = np.random.default_rng(3)
    model = encoder_decoder(masked)
    for variable in model.weights:
        variable.assign(0.6 * rng.normal(size=variable.shape))
    source = np.array([[1, 2, 3, 0, 0], [4, 5, 6, 1, 2], [3, 0, 0, 0, 0], [2, 2, 0, 0, 0]], "int32")
    target = rng.normal(size=(4, 3, 3)).astype("float32")
    labels = rng.integers(0, 4, (4, 3)).astype("int32")
    model.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    if not masked:
        model.save(CASES / "seq2seq.keras")
    started = {f"start{i}": w for i, w in enumerate(model.get_weights())}
    predicted = model.predict([source, target], verbose=0)
    losses = [float(model.train_on_batch([source, target], labels)) for _ in range(4)]
    weights = {f"w{i}": w for i, w in enumerate(model.get_weights())}
    given = {"source": source, "target": target, "labels": labels}
    return given | {"predicted": predicted, "losses": np.array(losses)} | started | weights


def record_mask_input() -> dict[str, Any]:
    """Returns what a model computes, and how it trains, whose mask is an input, and which keeps both directions."""
    rng = np.random.default_rng(4)
    x, mask = keras.Input((None, 3), name="x"), keras.Input((None,), dtype="bool", name="mask")
    one, two = layers.Bidirectional(layers.GRU(3, return_sequences=True), merge_mode=None)(x, mask=mask)
    y = layers.LSTM(4)(layers.Add()([one, two]), mask=mask)
    model = keras.Model([x, mask], layers.Dense(1)(y))
    for variable in model.weights:
        variable.assign(0.6 * rng.normal(size=variable.shape))
    data = [rng.normal(size=(3, STEPS, 3)).astype("float32"), MASK]
    labels = rng.normal(size=(3, 1)).astype("float32")
    model.compile(keras.optimizers.SGD(0.1), "mse")
    started = {f"start{i}": w for i, w in enumerate(model.get_weights())}
    predicted = model.predict(data, verbose=0)
    losses = [float(model.train_on_batch(data, labels)) for _ in range(4)]
    weights = {f"w{i}": w for i, w in enumerate(model.get_weights())}
    found = {"x": data[0], "mask": MASK, "labels": labels, "predicted": predicted, "losses": np.array(losses)}
    return found | started | weights


def main() -> None:
    facts: list[str] = []
    arrays: dict[str, Any] = {}
    for name, (layer, masked) in rows().items():
        found, of_case = record(name, layer, masked)
        facts.append(json.dumps(found, sort_keys=True))
        arrays |= {f"{name}/{key}": array for key, array in of_case.items()}
    (CASES / "state_cases.json").write_text("[\n" + ",\n".join(facts) + "\n]\n")
    np.savez_compressed(CASES / "state_cases.npz", **arrays)
    models: dict[str, dict[str, Any]] = {"plain": record_model(False), "masked": record_model(True)}
    np.savez_compressed(
        CASES / "seq2seq.npz", **{f"{kind}/{key}": a for kind, found in models.items() for key, a in found.items()}
    )
    np.savez_compressed(CASES / "mask_input.npz", **record_mask_input())
    print(f"recorded with Keras {keras.__version__}")


if __name__ == "__main__":
    main()
