"""Models of several inputs and outputs, shared layers, models in models, residual connections, parts taken out."""

import keras
import numpy as np
from keras import layers

from report import report, settle

num_tags, num_words, num_departments = 6, 50, 4

title_input = keras.Input(shape=(None,), name="title")
body_input = keras.Input(shape=(None,), name="body")
tags_input = keras.Input(shape=(num_tags,), name="tags")

shared_embedding = layers.Embedding(num_words, 16)
title_features = layers.LSTM(16)(shared_embedding(title_input))
body_features = layers.LSTM(8)(shared_embedding(body_input))
x = layers.concatenate([title_features, body_features, tags_input])

block_1_output = layers.Dense(16, activation="relu")(x)
x = layers.Dense(16, activation="relu")(block_1_output)
block_2_output = layers.add([x, block_1_output])

priority_pred = layers.Dense(1, name="priority")(block_2_output)
department_pred = layers.Dense(num_departments, name="department")(block_2_output)
model = settle(
    keras.Model(
        inputs=[title_input, body_input, tags_input],
        outputs={"priority": priority_pred, "department": department_pred},
        name="tickets",
    )
)
model.compile(
    optimizer=keras.optimizers.RMSprop(1e-3),
    loss={
        "priority": keras.losses.BinaryCrossentropy(from_logits=True),
        "department": keras.losses.CategoricalCrossentropy(from_logits=True),
    },
    loss_weights={"priority": 1.0, "department": 0.2},
    metrics={"department": ["accuracy"], "priority": [keras.metrics.BinaryAccuracy(threshold=0.0, name="right")]},
)

rng = np.random.default_rng(1)
title_data = rng.integers(num_words, size=(96, 6))
body_data = rng.integers(num_words, size=(96, 12))
tags_data = rng.integers(2, size=(96, num_tags)).astype("float32")
priority_targets = (tags_data[:, :1] > 0).astype("float32")
dept_targets = np.eye(num_departments, dtype="float32")[title_data[:, 0] % num_departments]
data = {"title": title_data, "body": body_data, "tags": tags_data}
history = model.fit(
    data,
    {"priority": priority_targets, "department": dept_targets},
    epochs=3,
    batch_size=32,
    shuffle=False,
    verbose=0,
    validation_split=0.25,
)
evaluated = model.evaluate(
    data, {"priority": priority_targets, "department": dept_targets}, verbose=0, return_dict=True
)
by_list = model.predict([title_data, body_data, tags_data], verbose=0)
assert sorted(by_list) == ["department", "priority"]

# A part of the network, as a model of its own; and an ensemble of models that see the same input.
features = keras.Model(model.inputs, [layer.output for layer in model.layers if isinstance(layer, layers.LSTM)])
found = features.predict([title_data, body_data, tags_data], verbose=0)


def get_model(seed):
    inputs = keras.Input(shape=(16,))
    return settle(keras.Model(inputs, layers.Dense(1)(inputs)), seed)


inputs = keras.Input(shape=(16,))
average = layers.average([get_model(seed)(inputs) for seed in (1, 2, 3)])
ensemble_model = keras.Model(inputs=inputs, outputs=average)
ensembled = ensemble_model.predict(found[0], verbose=0)

names = [layer.name for layer in model.layers]
assert model.get_layer("priority").output.shape == (None, 1)
assert keras.utils.get_source_inputs(model.get_layer("department").output)[0].name == "title"
lines = []
model.summary(print_fn=lambda line, line_break=None: lines.append(line))
report(
    model,
    [title_data, body_data, tags_data],
    exact={
        "history": history.history,
        "evaluated": evaluated,
        "features": found,
        "ensembled": ensembled,
        "names": names,
        "told": sorted(model.get_config()),
        "shapes": str({name: output.shape for name, output in model.output.items()}),
    },
)
assert "tickets" in "\n".join(lines)
