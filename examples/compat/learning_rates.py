"""Learning rates: every schedule, one of the program's own, and a callback that looks for a good one."""

import math

import keras
import numpy as np
from keras import layers, ops

from report import report, settle

schedules = keras.optimizers.schedules
rng = np.random.default_rng(2)
x = rng.normal(size=(160, 4)).astype("float32")
y = np.sin(x @ rng.normal(size=(4, 1))).astype("float32")


def make_model():
    return settle(keras.Sequential([keras.Input((4,)), layers.Dense(8, "tanh"), layers.Dense(1)]))


class WarmUpCosine(schedules.LearningRateSchedule):
    def __init__(self, base, total, warm):
        self.base, self.total, self.warm = base, total, warm

    def __call__(self, step):
        step = ops.cast(step, "float32")
        warm = self.base * step / self.warm
        cosine = 0.5 * self.base * (1 + ops.cos(math.pi * (step - self.warm) / (self.total - self.warm)))
        return ops.where(step < self.warm, warm, cosine)

    def get_config(self):
        return {"base": self.base, "total": self.total, "warm": self.warm}


class LRFinder(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.rates, self.losses = [], []
        self.model.optimizer.learning_rate = 1e-4

    def on_train_batch_end(self, batch, logs=None):
        rate = float(self.model.optimizer.learning_rate)
        self.rates.append(rate)
        self.losses.append(float(logs["loss"]))
        self.model.optimizer.learning_rate = rate * 1.4
        if self.losses[-1] > 2 * min(self.losses):
            self.model.stop_training = True


found = {}
for name, schedule in {
    "exponential": schedules.ExponentialDecay(0.05, 5, 0.9, staircase=True),
    "polynomial": schedules.PolynomialDecay(0.05, 15, 0.001, power=2),
    "piecewise": schedules.PiecewiseConstantDecay([5, 10], [0.05, 0.01, 0.005]),
    "cosine": schedules.CosineDecay(0.0, 15, alpha=0.1, warmup_target=0.05, warmup_steps=5),
    "restarts": schedules.CosineDecayRestarts(0.05, 4),
    "inverse": schedules.InverseTimeDecay(0.05, 3, 0.5),
    "own": WarmUpCosine(0.05, 24, 4),
}.items():
    model = make_model()
    model.compile(keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True), "mse")
    history = model.fit(x, y, epochs=2, batch_size=16, shuffle=False, verbose=0)
    found[name] = [history.history["loss"], float(model.optimizer.learning_rate)]
    print(name, found[name])

finder = LRFinder()
model = make_model()
model.compile("sgd", "mse")
model.fit(x, y, epochs=8, batch_size=16, shuffle=False, verbose=0, callbacks=[finder])
found["finder"] = [finder.rates, finder.losses]

model = make_model()
model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
history = model.fit(
    x,
    y,
    epochs=6,
    batch_size=32,
    shuffle=False,
    validation_split=0.2,
    callbacks=[
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate if epoch < 2 else rate * math.exp(-0.1)),
        keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=1, min_delta=0.05),
    ],
)
report(model, x[:20], {**found, "history": history.history})
