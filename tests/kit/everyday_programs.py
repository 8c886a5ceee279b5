"""Everyday programs of functional models in training; the same code runs in Keras and in seqc."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RNG = np.random.default_rng
ROWS = 48


def numbers(seed: int, *shape: int) -> Any:
    return RNG(seed).normal(size=(ROWS, *shape)).astype("float32")


def classes(seed: int, count: int) -> Any:
    return RNG(seed).integers(0, count, ROWS)


def weighted(model: Any, seed: int = 1) -> Any:
    """The model with weights that only their places tell."""
    rng = RNG(seed)
    model.set_weights([rng.normal(scale=0.4, size=w.shape).astype("float32") for w in model.get_weights()])
    return model


FIT = {"epochs": 3, "batch_size": 16, "shuffle": False, "verbose": 0}


def heads_of_several_tasks(keras: Any) -> Any:
    x = keras.Input((4,), name="x")
    h = keras.layers.Dense(8, activation="relu", name="trunk")(x)
    kind, size = keras.layers.Dense(3, activation="softmax", name="kind")(h), keras.layers.Dense(1, name="size")(h)
    model = weighted(keras.Model(x, [kind, size]))
    model.compile(
        keras.optimizers.Adam(0.01),
        {"kind": "sparse_categorical_crossentropy", "size": "mse"},
        loss_weights={"kind": 1.0, "size": 0.3},
        metrics={"kind": ["accuracy"], "size": ["mae", "mse"]},
    )
    y = {"kind": classes(2, 3), "size": numbers(3, 1)}
    return model, model.fit(numbers(1, 4), y, validation_split=0.25, **FIT)


def heads_of_several_tasks_in_lists(keras: Any) -> Any:
    x = keras.Input((4,))
    h = keras.layers.Dense(8, activation="tanh")(x)
    a, b = keras.layers.Dense(1, activation="sigmoid", name="yes")(h), keras.layers.Dense(2, name="where")(h)
    model = weighted(keras.Model(x, [a, b]))
    model.compile("rmsprop", ["binary_crossentropy", "mae"], loss_weights=[0.5, 2.0], metrics=[["accuracy"], ["mse"]])
    y = [classes(2, 2)[:, None], numbers(3, 2)]
    return model, model.fit(numbers(1, 4), y, validation_data=(numbers(5, 4), y), **FIT)


def siamese(keras: Any) -> Any:
    encoder = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(6, activation="relu"), keras.layers.Dense(3)], name="encoder"
    )
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    apart = keras.ops.absolute(encoder(left) - encoder(right))
    model = weighted(keras.Model([left, right], keras.layers.Dense(1, activation="sigmoid", name="same")(apart)))
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "binary_crossentropy", metrics=["accuracy", "AUC"])
    return model, model.fit({"left": numbers(1, 4), "right": numbers(2, 4)}, classes(3, 2), **FIT)


def siamese_of_distances(keras: Any) -> Any:
    encoder = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="tanh")])
    a, b, c = (keras.Input((4,), name=name) for name in "abc")
    ea, eb, ec = encoder(a), encoder(b), encoder(c)
    near = keras.layers.Dot(-1, normalize=True)([ea, eb])
    far = keras.layers.Dot(-1, normalize=True)([ea, ec])
    model = weighted(keras.Model([a, b, c], keras.layers.Concatenate()([near, far])))
    model.compile("adam", lambda y, p: keras.ops.mean(keras.ops.maximum(0.0, 0.5 - p[:, 0] + p[:, 1])))
    return model, model.fit([numbers(i, 4) for i in range(3)], numbers(9, 2), **FIT)


def wide_and_deep(keras: Any) -> Any:
    wide, deep = keras.Input((6,), name="wide"), keras.Input((3,), dtype="int32", name="deep")
    h = keras.layers.Flatten()(keras.layers.Embedding(10, 4)(deep))
    h = keras.layers.Dense(8, activation="relu")(keras.layers.Dense(8, activation="relu")(h))
    model = weighted(
        keras.Model([wide, deep], keras.layers.Dense(1, activation="sigmoid")(keras.layers.concatenate([wide, h])))
    )
    model.compile(keras.optimizers.Adagrad(0.1), "binary_crossentropy", metrics=["accuracy"])
    return model, model.fit([numbers(1, 6), RNG(2).integers(0, 10, (ROWS, 3))], classes(3, 2), **FIT)


def autoencoder_with_features(keras: Any) -> Any:
    x = keras.Input((6,))
    code = keras.layers.Dense(2, activation="tanh", name="code")(keras.layers.Dense(4, activation="relu")(x))
    model = weighted(keras.Model(x, keras.layers.Dense(6)(keras.layers.Dense(4, activation="relu")(code))))
    encoder = keras.Model(model.input, model.get_layer("code").output)
    model.compile(keras.optimizers.Nadam(0.01), "mse")
    data = numbers(1, 6)
    history = model.fit(data, data, **FIT)
    return model, history, {"code": encoder.predict(data[:4], verbose=0)}


def encoder_and_decoder(keras: Any) -> Any:
    ex, dx = keras.Input((6,)), keras.Input((2,))
    encoder = keras.Model(ex, keras.layers.Dense(2, activation="tanh")(ex), name="encoder")
    decoder = keras.Model(dx, keras.layers.Dense(6)(dx), name="decoder")
    x = keras.Input((6,))
    model = weighted(keras.Model(x, decoder(encoder(x)), name="auto"))
    model.compile("sgd", "mse", metrics=["mae"])
    history = model.fit(numbers(1, 6), numbers(1, 6), **FIT)
    return model, history, {"decoded": decoder.predict(numbers(3, 2)[:4], verbose=0)}


def residual(keras: Any) -> Any:
    x = keras.Input((5,))
    h = keras.layers.Dense(8)(x)
    for _ in range(3):
        r = keras.layers.Dense(8, activation="relu")(keras.layers.LayerNormalization()(h))
        h = keras.layers.add([h, keras.layers.Dense(8)(r)])
    model = weighted(keras.Model(x, keras.layers.Dense(4, activation="softmax")(h)))
    model.compile(
        keras.optimizers.AdamW(0.01, weight_decay=0.01),
        "categorical_crossentropy",
        metrics=["accuracy", "top_k_categorical_accuracy"],
    )
    return model, model.fit(numbers(1, 5), np.eye(4, dtype="float32")[classes(2, 4)], **FIT)


def residual_convolutions(keras: Any) -> Any:
    x = keras.Input((8, 8, 2))
    h = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(x)
    h = keras.layers.ReLU()(keras.layers.BatchNormalization()(h))
    r = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(h))
    h = keras.layers.Activation("relu")(keras.layers.Add()([h, r]))
    model = weighted(keras.Model(x, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(h))))
    for w in model.non_trainable_weights:
        w.assign(np.abs(np.asarray(w.numpy())) + 0.5)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model, model.fit(
        numbers(1, 8, 8, 2), classes(2, 3), validation_data=(numbers(3, 8, 8, 2), classes(4, 3)), **FIT
    )


def frozen_then_thawed(keras: Any) -> Any:
    bx = keras.Input((4,))
    h = keras.layers.BatchNormalization()(keras.layers.Dense(6, activation="relu")(bx))
    base = keras.Model(bx, h, name="base")
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Dense(2)(base(x)))
    model = weighted(model)
    for w in model.non_trainable_weights:
        w.assign(np.abs(np.asarray(w.numpy())) + 0.5)
    base.trainable = False
    model.compile("adam", "mse")
    first = model.fit(numbers(1, 4), numbers(2, 2), **FIT).history
    counts = [len(model.trainable_weights), len(model.non_trainable_weights)]
    base.trainable = True
    model.compile(keras.optimizers.Adam(1e-2), "mse", metrics=["mae"])
    history = model.fit(numbers(1, 4), numbers(2, 2), **FIT)
    return model, history, {"first": first["loss"], "counts": [*counts, len(model.trainable_weights)]}


def frozen_layers_only(keras: Any) -> Any:
    x = keras.Input((4,))
    h = keras.layers.Dense(6, activation="relu", name="keep")(x)
    model = weighted(keras.Model(x, keras.layers.Dense(2, name="head")(h)))
    for layer in model.layers[:-1]:
        layer.trainable = False
    model.compile("adam", "mse")
    return model, model.fit(numbers(1, 4), numbers(2, 2), **FIT)


def stops_early_by_an_output(keras: Any) -> Any:
    model = _two(keras)
    stop = keras.callbacks.EarlyStopping("val_a_loss", mode="min", patience=1, restore_best_weights=True)
    options = FIT | {"epochs": 12}
    y = {"a": numbers(2, 1), "b": numbers(3, 1)}
    history = model.fit(
        numbers(1, 4), y, validation_data=(numbers(7, 4), {"a": -y["a"], "b": y["b"]}), callbacks=[stop], **options
    )
    return model, history, {"stopped": [stop.stopped_epoch, float(stop.best)]}


def _two(keras: Any, **options: Any) -> Any:
    x = keras.Input((4,), name="x")
    h = keras.layers.Dense(6, activation="tanh")(x)
    model = weighted(keras.Model(x, {"a": keras.layers.Dense(1, name="a")(h), "b": keras.layers.Dense(1, name="b")(h)}))
    model.compile(keras.optimizers.SGD(0.1), **({"loss": {"a": "mse", "b": "mae"}} | options))
    return model


def keeps_the_best_and_a_table(keras: Any) -> Any:
    model = _two(keras, metrics={"a": ["mae"]})
    y = {"a": numbers(2, 1), "b": numbers(3, 1)}
    with tempfile.TemporaryDirectory() as folder:
        best, table = Path(folder) / "best.weights.h5", Path(folder) / "log.csv"
        callbacks = [
            keras.callbacks.ModelCheckpoint(
                str(best), monitor="val_b_loss", mode="min", save_best_only=True, save_weights_only=True
            ),
            keras.callbacks.CSVLogger(str(table)),
        ]
        history = model.fit(numbers(1, 4), y, validation_split=0.25, callbacks=callbacks, **FIT)
        model.load_weights(str(best))
        with table.open() as file:
            rows = list(csv.reader(file))
    return model, history, {"rows": [[float(v) for v in row] for row in rows[1:]]}, rows[0]


def rates_by_schedule(keras: Any) -> Any:
    model = _two(keras)
    rate = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5 if epoch else rate)
    y = {"a": numbers(2, 1), "b": numbers(3, 1)}
    return model, model.fit(numbers(1, 4), y, callbacks=[rate], **FIT)


def rates_by_plateau(keras: Any) -> Any:
    model = _two(keras)
    rate = keras.callbacks.ReduceLROnPlateau("b_loss", mode="min", factor=0.1, patience=0, min_delta=0.2)
    y = {"a": numbers(2, 1), "b": numbers(3, 1)}
    return model, model.fit(numbers(1, 4), y, callbacks=[rate], **(FIT | {"epochs": 4}))


def rates_of_a_schedule_object(keras: Any) -> Any:
    model = _two(keras)
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 6, warmup_steps=2, warmup_target=0.2)
    model.compile(keras.optimizers.SGD(schedule), {"a": "mse", "b": "huber"})
    y = {"a": numbers(2, 1), "b": numbers(3, 1)}
    return model, model.fit(numbers(1, 4), y, **FIT)


def generator_of_dictionaries(keras: Any) -> Any:
    a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
    h = keras.layers.Concatenate()([a, b])
    model = weighted(
        keras.Model(
            {"a": a, "b": b}, {"u": keras.layers.Dense(1, name="u")(h), "v": keras.layers.Dense(2, name="v")(h)}
        )
    )
    model.compile("adam", {"u": "mse", "v": "mse"}, metrics={"v": ["mae"]})
    xa, xb, u, v = numbers(1, 3), numbers(2, 2), numbers(3, 1), numbers(4, 2)

    def batches() -> Any:
        while True:
            for i in range(0, ROWS, 16):
                s = slice(i, i + 16)
                yield {"a": xa[s], "b": xb[s]}, {"u": u[s], "v": v[s]}

    return model, model.fit(
        batches(), epochs=3, steps_per_epoch=3, verbose=0, validation_data=({"a": xa, "b": xb}, {"u": u, "v": v})
    )


def sequence_with_weights(keras: Any) -> Any:
    model = _two(keras, weighted_metrics={"a": ["mae"]})
    x, a, b, w = numbers(1, 4), numbers(2, 1), numbers(3, 1), RNG(4).uniform(0.1, 2, ROWS).astype("float32")

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return 3

        def __getitem__(self, i: int) -> Any:
            s = slice(16 * i, 16 * i + 16)
            return x[s], {"a": a[s], "b": b[s]}, {"a": w[s], "b": w[s] * 2}

    return model, model.fit(Batches(), epochs=3, shuffle=False, verbose=0)


def sample_weights_per_output(keras: Any) -> Any:
    x = keras.Input((4,))
    h = keras.layers.Dense(6, activation="tanh")(x)
    model = weighted(keras.Model(x, [keras.layers.Dense(1, name="a")(h), keras.layers.Dense(1, name="b")(h)]))
    model.compile("sgd", ["mse", "mae"], metrics=[["mae"], []], weighted_metrics=[["mse"], ["mae"]])
    w = RNG(4).uniform(0.1, 2, ROWS).astype("float32")
    return model, model.fit(numbers(1, 4), [numbers(2, 1), numbers(3, 1)], sample_weight=[w, w[::-1].copy()], **FIT)


def class_weights(keras: Any) -> Any:
    x = keras.Input((4,))
    model = weighted(
        keras.Model(x, keras.layers.Dense(3, activation="softmax")(keras.layers.Dense(6, activation="elu")(x)))
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], weighted_metrics=["accuracy"])
    return model, model.fit(numbers(1, 4), classes(2, 3), class_weight={0: 1.0, 1: 2.0, 2: 0.5}, **FIT)


def mixed_regularizers(keras: Any) -> Any:
    r = keras.regularizers
    x = keras.Input((4,))
    h = keras.layers.Dense(6, activation="relu", kernel_regularizer=r.L1L2(0.01, 0.02), bias_regularizer="l2")(x)
    shared = keras.layers.Dense(6, activity_regularizer=r.L2(0.01), kernel_regularizer=r.OrthogonalRegularizer(0.01))
    h = shared(shared(h))
    model = weighted(keras.Model(x, keras.layers.Dense(2, kernel_constraint=keras.constraints.MaxNorm(0.5))(h)))
    model.compile("sgd", "mse")
    return model, model.fit(numbers(1, 4), numbers(2, 2), validation_split=0.25, **FIT)


def variational(keras: Any) -> Any:
    class Sampling(keras.layers.Layer):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            mean, spread = inputs
            self.add_loss(-0.5 * keras.ops.mean(1 + spread - keras.ops.square(mean) - keras.ops.exp(spread)))
            return mean

    x = keras.Input((6,))
    h = keras.layers.Dense(5, activation="relu")(x)
    z = Sampling()([keras.layers.Dense(2)(h), keras.layers.Dense(2)(h)])
    model = weighted(keras.Model(x, keras.layers.Dense(6, activation="sigmoid")(z)))
    model.compile("adam", "binary_crossentropy")
    data = (numbers(1, 6) > 0).astype("float32")
    return model, model.fit(data, data, validation_split=0.25, **FIT)


def sequences_with_masks(keras: Any) -> Any:
    x = keras.Input((None,), dtype="int32")
    h = keras.layers.Embedding(12, 5, mask_zero=True)(x)
    y, state = keras.layers.GRU(4, return_sequences=True, return_state=True)(h)
    model = weighted(
        keras.Model(
            x,
            [
                keras.layers.TimeDistributed(keras.layers.Dense(3, activation="softmax"), name="tags")(y),
                keras.layers.Dense(1, name="score")(state),
            ],
        )
    )
    model.compile("adam", ["sparse_categorical_crossentropy", "mse"], metrics=[["accuracy"], ["mae"]])
    words = RNG(1).integers(1, 12, (ROWS, 5)) * (np.arange(5) < RNG(2).integers(1, 6, (ROWS, 1)))
    return model, model.fit(words, [RNG(3).integers(0, 3, (ROWS, 5)), numbers(4, 1)], **FIT)


def encoder_decoder_of_sequences(keras: Any) -> Any:
    source, target = keras.Input((5, 3), name="source"), keras.Input((4, 2), name="target")
    _, h, c = keras.layers.LSTM(6, return_state=True)(source)
    y = keras.layers.LSTM(6, return_sequences=True)(target, initial_state=[h, c])
    model = weighted(keras.Model([source, target], keras.layers.Dense(2)(y)))
    model.compile(keras.optimizers.Adam(0.01, clipnorm=1.0), "mse")
    return model, model.fit([numbers(1, 5, 3), numbers(2, 4, 2)], numbers(3, 4, 2), **FIT)


def transformer_block(keras: Any) -> Any:
    x = keras.Input((5, 6))
    a = keras.layers.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)
    h = keras.layers.LayerNormalization(epsilon=1e-6)(x + a)
    f = keras.layers.Dense(6)(keras.layers.Dense(12, activation="gelu")(h))
    h = keras.layers.LayerNormalization(epsilon=1e-6)(h + f)
    model = weighted(keras.Model(x, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(h))))
    model.compile(keras.optimizers.Adam(0.01, global_clipnorm=1.0), "mse", metrics=["cosine_similarity"])
    return model, model.fit(numbers(1, 5, 6), numbers(2, 2), **FIT)


def output_without_loss(keras: Any) -> Any:
    x = keras.Input((4,))
    h = keras.layers.Dense(6, activation="tanh", name="features")(x)
    model = weighted(keras.Model(x, [keras.layers.Dense(1, name="y")(h), h]))
    model.compile("sgd", loss=["mse", None])
    return model, model.fit(numbers(1, 4), [numbers(2, 1), numbers(3, 6)], **FIT)


def one_output_of_a_dictionary(keras: Any) -> Any:
    x = keras.Input((4,))
    model = weighted(keras.Model(x, {"y": keras.layers.Dense(1, name="y")(x)}))
    model.compile("sgd", loss={"y": "mse"}, metrics={"y": "mae"})
    return model, model.fit(numbers(1, 4), {"y": numbers(2, 1)}, **FIT)


def goes_on_after_loading(keras: Any) -> Any:
    model = heads_of_several_tasks(keras)[0]
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "m.keras")
        model = keras.models.load_model(Path(folder) / "m.keras")
    y = {"kind": classes(2, 3), "size": numbers(3, 1)}
    return model, model.fit(numbers(1, 4), y, initial_epoch=3, **(FIT | {"epochs": 5}))


def custom_callback(keras: Any) -> Any:
    model = _two(keras)
    seen: list[float] = []

    class Watch(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.extend(logs[name] for name in sorted(logs))

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.optimizer.learning_rate = 0.1 / (epoch + 2)

    y = {"a": numbers(2, 1), "b": numbers(3, 1)}
    history = model.fit(numbers(1, 4), y, callbacks=[Watch()], **FIT)
    return model, history, {"seen": seen}


def batch_by_batch(keras: Any) -> Any:
    model = _two(keras, metrics={"b": ["mse"]})
    x, y = numbers(1, 4), {"a": numbers(2, 1), "b": numbers(3, 1)}
    logs = [
        model.train_on_batch(x[i : i + 16], {n: v[i : i + 16] for n, v in y.items()}, return_dict=True)
        for i in (0, 16, 32)
    ]
    tested = model.test_on_batch(x, y, return_dict=True)
    return (
        model,
        None,
        {"train": [[log[n] for n in sorted(log)] for log in logs], "test": [tested[n] for n in sorted(tested)]},
    )


def named_metric_objects(keras: Any) -> Any:
    x = keras.Input((4,))
    h = keras.layers.Dense(6, activation="relu")(x)
    model = weighted(
        keras.Model(
            x,
            [
                keras.layers.Dense(1, activation="sigmoid", name="a")(h),
                keras.layers.Dense(3, activation="softmax", name="b")(h),
            ],
        )
    )
    m = keras.metrics
    model.compile(
        "adam",
        ["binary_crossentropy", "sparse_categorical_crossentropy"],
        metrics={
            "a": [m.Precision(name="p"), m.Recall(name="r"), m.BinaryAccuracy(threshold=0.4, name="acc")],
            "b": m.SparseTopKCategoricalAccuracy(2, name="top"),
        },
    )
    return model, model.fit(numbers(1, 4), [classes(2, 2)[:, None], classes(3, 3)], **FIT)


def one_loss_for_all_and_gaussian(keras: Any) -> Any:
    x = keras.Input((4,))
    mean, spread = keras.layers.Dense(1, name="mean")(x), keras.layers.Dense(1, activation="softplus", name="spread")(x)
    both = keras.layers.Concatenate(name="both")([mean, spread + 0.1])
    model = weighted(keras.Model(x, both))

    def likelihood(y: Any, p: Any) -> Any:
        return keras.ops.log(p[:, 1:]) + 0.5 * keras.ops.square((y - p[:, :1]) / p[:, 1:])

    model.compile(keras.optimizers.Adam(0.02), likelihood)
    return model, model.fit(numbers(1, 4), numbers(2, 1), **FIT)


def _with_states(keras: Any, accumulated: int | None = None) -> Any:
    """Returns a model of two sequences, read by layers that go on with the next batch, and a number beside them."""
    layers = keras.layers
    left, right = (keras.Input(batch_shape=(8, 3, 2), name=name) for name in ("left", "right"))
    size = keras.Input(batch_shape=(8, 1), name="size")
    shared = layers.GRU(3, stateful=True, return_sequences=True, name="shared")
    once = layers.LSTM(2, stateful=True, name="once")(layers.Add(name="sum")([shared(left), shared(right)]))
    both = layers.Concatenate(name="both")([once, size])
    outputs = {
        "yes": layers.Dense(1, activation="sigmoid", name="yes")(both),
        "more": layers.Dense(2, name="more")(both),
    }
    model = weighted(keras.Model({"left": left, "right": right, "size": size}, outputs))
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.5, gradient_accumulation_steps=accumulated),
        {"yes": "binary_crossentropy", "more": "mse"},
        metrics={"yes": ["accuracy"], "more": ["mae"]},
    )
    return model


def states_that_go_on(keras: Any) -> Any:
    model = _with_states(keras)
    x = {"left": numbers(1, 3, 2), "right": numbers(2, 3, 2), "size": numbers(3, 1)}
    y = {"yes": classes(4, 2)[:, None].astype("float32"), "more": numbers(5, 2)}
    history = model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    evaluated = model.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)
    found = {"evaluation": [evaluated[name] for name in sorted(evaluated)]}
    for name in ("goes on", "and on"):
        found[name] = model.predict(x, batch_size=8, verbose=0)["more"].sum(0)
    for name in ("shared", "once"):
        model.get_layer(name).reset_state()
    found["anew"] = model.predict(x, batch_size=8, verbose=0)["more"].sum(0)
    return model, history, found


def states_and_gradients_that_add_up(keras: Any) -> Any:
    model = _with_states(keras, 2)
    x = {"left": numbers(1, 3, 2), "right": numbers(2, 3, 2), "size": numbers(3, 1)}
    y = {"yes": classes(4, 2)[:, None].astype("float32"), "more": numbers(5, 2)}
    logs = []
    for start in range(0, ROWS, 8):
        batch = [{name: part[start : start + 8] for name, part in data.items()} for data in (x, y)]
        found = model.train_on_batch(*batch, return_dict=True)
        logs.append([found[name] for name in sorted(found)])
    return model, None, {"logs": logs}


PROGRAMS: list[Callable[[Any], Any]] = [
    heads_of_several_tasks,
    heads_of_several_tasks_in_lists,
    siamese,
    siamese_of_distances,
    wide_and_deep,
    autoencoder_with_features,
    encoder_and_decoder,
    residual,
    residual_convolutions,
    frozen_then_thawed,
    frozen_layers_only,
    stops_early_by_an_output,
    keeps_the_best_and_a_table,
    rates_by_schedule,
    rates_by_plateau,
    rates_of_a_schedule_object,
    generator_of_dictionaries,
    sequence_with_weights,
    sample_weights_per_output,
    class_weights,
    mixed_regularizers,
    variational,
    sequences_with_masks,
    encoder_decoder_of_sequences,
    transformer_block,
    output_without_loss,
    one_output_of_a_dictionary,
    goes_on_after_loading,
    custom_callback,
    batch_by_batch,
    named_metric_objects,
    one_loss_for_all_and_gaussian,
    states_that_go_on,
    states_and_gradients_that_add_up,
]


def run(keras: Any, program: Callable[[Any], Any]) -> dict[str, Any]:
    """Returns what a program logs, the weights that it ends with, and what else it tells."""
    keras.utils.clear_session()
    model, history, *more = program(keras)
    found: dict[str, Any] = {"history": dict(history.history) if history is not None else {}}
    found["more"] = {n: np.asarray(v).tolist() for n, v in more[0].items()} if more else {}
    if len(more) > 1:
        found["names"] = more[1]
    found["weights"] = [float(np.sum(w * np.cos(np.arange(w.size)).reshape(w.shape))) for w in model.get_weights()]
    result: dict[str, Any] = rounded(found)
    return result


def rounded(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: rounded(value) for key, value in node.items()}
    if isinstance(node, list):
        return [rounded(value) for value in node]
    return node if isinstance(node, str) else float(f"{float(node):.7g}")
