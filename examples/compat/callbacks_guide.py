"""Callbacks: one of the program's own that hears everything, and those that come with Keras."""

import csv
import tempfile
from pathlib import Path

import keras
import numpy as np

from report import report, settle

x = np.random.default_rng(1).normal(size=(96, 6)).astype("float32")
y = np.maximum(x.sum(axis=1), 0).astype("float32")
x_train, y_train, x_test, y_test = x[:64], y[:64], x[64:], y[64:]


def get_model():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1)])
    settle(model)
    model.compile(
        optimizer=keras.optimizers.RMSprop(learning_rate=0.02),
        loss="mean_squared_error",
        metrics=["mean_absolute_error"],
    )
    return model


class CustomCallback(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.heard = []

    def on_train_begin(self, logs=None):
        self.heard.append(f"train begins {sorted(logs)} {sorted(self.params)}")

    def on_train_end(self, logs=None):
        self.heard.append(f"train ends {sorted(logs)}")

    def on_epoch_begin(self, epoch, logs=None):
        self.heard.append(f"epoch {epoch} begins {sorted(logs)}")

    def on_epoch_end(self, epoch, logs=None):
        self.heard.append(f"epoch {epoch} ends {sorted(logs)}")

    def on_train_batch_end(self, batch, logs=None):
        self.heard.append(f"batch {batch} ends {sorted(logs)}")

    def on_test_begin(self, logs=None):
        self.heard.append(f"test begins {sorted(logs)}")

    def on_test_batch_begin(self, batch, logs=None):
        self.heard.append(f"test batch {batch} begins {sorted(logs)}")

    def on_test_end(self, logs=None):
        self.heard.append(f"test ends {sorted(logs)}")

    def on_predict_batch_end(self, batch, logs=None):
        self.heard.append(f"predict batch {batch} ends {sorted(logs)} {logs['outputs'].shape}")


class EarlyStoppingAtMinLoss(keras.callbacks.Callback):
    """Stops when the loss is at its minimum, and takes the best weights back."""

    def __init__(self, patience=0):
        super().__init__()
        self.patience = patience
        self.best_weights = None

    def on_train_begin(self, logs=None):
        self.wait = 0
        self.stopped_epoch = 0
        self.best = np.inf

    def on_epoch_end(self, epoch, logs=None):
        current = logs.get("loss")
        if np.less(current, self.best):
            self.best = current
            self.wait = 0
            self.best_weights = self.model.get_weights()
        else:
            self.wait += 1
            if self.wait >= self.patience:
                self.stopped_epoch = epoch
                self.model.stop_training = True
                self.model.set_weights(self.best_weights)


class CustomLearningRateScheduler(keras.callbacks.Callback):
    def __init__(self, schedule):
        super().__init__()
        self.schedule = schedule
        self.rates = []

    def on_epoch_begin(self, epoch, logs=None):
        lr = self.model.optimizer.learning_rate
        self.model.optimizer.learning_rate = self.schedule(epoch, float(lr))
        self.rates.append(float(np.array(self.model.optimizer.learning_rate)))


hears = CustomCallback()
model = get_model()
model.fit(x_train, y_train, batch_size=32, epochs=1, verbose=0, validation_split=0.5, callbacks=[hears], shuffle=False)
model.evaluate(x_test, y_test, batch_size=16, verbose=0, callbacks=[hears])
model.predict(x_test, batch_size=16, verbose=0, callbacks=[hears])

rates = CustomLearningRateScheduler(lambda epoch, lr: [0.02, 0.05, 0.01, 0.001][min(epoch, 3)])
stops = EarlyStoppingAtMinLoss(patience=1)
model = get_model()
slowed = model.fit(x_train, y_train, batch_size=16, epochs=12, shuffle=False, verbose=0, callbacks=[rates, stops])

with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    model = get_model()
    losses = []
    history = model.fit(
        x_train,
        y_train,
        batch_size=16,
        epochs=8,
        shuffle=False,
        verbose=0,
        validation_data=(x_test, y_test),
        callbacks=[
            keras.callbacks.CSVLogger(str(folder / "log.csv")),
            keras.callbacks.ModelCheckpoint(str(folder / "{epoch:02d}-{val_loss:.2f}.keras"), save_freq="epoch"),
            keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=1, min_lr=0.001),
            keras.callbacks.EarlyStopping(monitor="val_loss", patience=3, restore_best_weights=True),
            keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: losses.append(logs["loss"])),
            keras.callbacks.TerminateOnNaN(),
        ],
    )
    files = sorted(path.name for path in folder.glob("*.keras"))
    with open(folder / "log.csv") as file:
        table = list(csv.DictReader(file))
    again = keras.models.load_model(folder / files[-1])
    assert len(again.layers) == len(model.layers)

report(
    model,
    x_test,
    exact={
        "heard": hears.heard,
        "slowed": slowed.history["loss"],
        "rates": rates.rates,
        "stopped": stops.stopped_epoch,
        "history": history.history,
        "losses": losses,
        "files": files,
        "columns": list(table[0]),
        "table": [float(row["val_loss"]) for row in table],
    },
)
