"""Takes a network of keras.applications as it is, learns a head on top of it, and then the last of its blocks, too."""

import keras
import numpy as np
from keras import layers
from made import shapes

from report import report, settle

x, y = shapes(96, size=32, seed=3, channels=3)
x_train, y_train, x_val, y_val = x[:72], y[:72], x[72:], y[72:]

base = keras.applications.MobileNet(
    input_shape=(32, 32, 3), alpha=0.25, include_top=False, weights=None, pooling="avg", name="base"
)
# With weights="imagenet" it would know pictures already.
rng = np.random.default_rng(5)
for weight in base.trainable_weights:
    shape = weight.shape
    if len(shape) > 1:
        summed = np.prod(shape[:2] if shape[-1] == 1 else shape[:-1])  # kernels of one channel sum over pixels alone
        weight.assign(rng.normal(0, np.sqrt(2 / summed), shape).astype("float32"))
base.trainable = False  # BatchNormalization keeps its statistics, too

inputs = keras.Input((32, 32, 3))
prepared = layers.Rescaling(2.0, offset=-1.0)(inputs)
features = base(prepared)
outputs = layers.Dense(3, activation="softmax", name="kind")(features)
model = keras.Model(inputs, outputs)
settle(keras.Sequential([model.get_layer("kind")]), seed=6)
assert len(model.trainable_weights) == 2

model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy", metrics=["accuracy"])
kept = [np.array(w) for w in base.get_weights()]
head = model.fit(x_train, y_train, batch_size=24, epochs=3, validation_data=(x_val, y_val), shuffle=False, verbose=0)
assert all(np.array_equal(a, b) for a, b in zip(kept, base.get_weights()))

base.trainable = True
for layer in base.layers:
    layer.trainable = layer in base.layers[-12:] and not isinstance(layer, layers.BatchNormalization)
model.compile(keras.optimizers.SGD(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
fine = model.fit(x_train, y_train, batch_size=24, epochs=2, validation_data=(x_val, y_val), shuffle=False, verbose=0)
changed = [w.path.split("/")[-2] for w, a in zip(base.weights, kept) if not np.array_equal(a, np.array(w))]
report(
    model,
    x_val[:4],
    exact={
        "head": head.history,
        "fine": fine.history,
        "changed": changed,
        "trainable": len(model.trainable_weights),
    },
)
