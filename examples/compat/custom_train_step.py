"""What `fit` does with a batch, written by the program itself: training and evaluation steps, and metrics by hand."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from report import report, settle

x = np.random.default_rng(1).normal(size=(192, 8)).astype("float32")
y = (x[:, :1] * x[:, 1:2] + 0.5 * x[:, 2:3]).astype("float32")
weights = np.linspace(0.5, 1.5, 192).astype("float32")

loss_fn = keras.losses.MeanSquaredError(name="loss")


class CustomModel(keras.Model):
    """Weighs samples, and counts its loss and its error itself."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.mae_metric = keras.metrics.MeanAbsoluteError(name="mae")

    def train_step(self, data):
        if len(data) == 3:
            x, y, sample_weight = data
        else:
            sample_weight = None
            x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = loss_fn(y, y_pred, sample_weight=sample_weight)
        trainable_vars = self.trainable_variables
        gradients = tape.gradient(loss, trainable_vars)
        self.optimizer.apply(gradients, trainable_vars)
        self.loss_tracker.update_state(loss)
        self.mae_metric.update_state(y, y_pred, sample_weight=sample_weight)
        return {m.name: m.result() for m in self.metrics}

    def test_step(self, data):
        x, y = data
        y_pred = self(x, training=False)
        self.loss_tracker.update_state(loss_fn(y, y_pred))
        self.mae_metric.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}

    @property
    def metrics(self):
        return [self.loss_tracker, self.mae_metric]


inputs = keras.Input(shape=(8,))
hidden = layers.Dense(24, activation="relu")(inputs)
outputs = layers.Dense(1)(hidden)
model = settle(CustomModel(inputs, outputs))
model.compile(optimizer=keras.optimizers.Adam(0.01))
history = model.fit(x, y, sample_weight=weights, epochs=6, batch_size=32, shuffle=False, verbose=0)
first = model.evaluate(x, y, verbose=0, return_dict=True)

# The same network once more, by a step that uses what compile() was told.
twin = settle(keras.Model(inputs, layers.Dense(1)(layers.Dense(24, activation="relu")(inputs))))
twin.compile(optimizer=keras.optimizers.Adam(0.01), loss=loss_fn, weighted_metrics=["mae"])
usual = twin.fit(x, y, sample_weight=weights, epochs=6, batch_size=32, shuffle=False, verbose=0)
np.testing.assert_allclose(twin.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-3)
assert history.history["loss"][-1] < history.history["loss"][0]
report(model, x, exact={"history": history.history, "evaluated": first, "usual": usual.history})
