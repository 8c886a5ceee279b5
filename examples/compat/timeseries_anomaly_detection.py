"""Finds what does not look like the days before, by how badly a convolutional autoencoder draws it again."""

import keras
import numpy as np
from keras import layers
from made import series

from report import report, settle

TIME_STEPS = 24
training_value = series(360, seed=7)[:, :1]
mean, std = training_value.mean(), training_value.std()
test_value = series(240, seed=8)[:, :1]
test_value[150:162] += 2.5


def create_sequences(values, time_steps=TIME_STEPS):
    return np.stack([values[i : i + time_steps] for i in range(len(values) - time_steps + 1)])


x_train = create_sequences((training_value - mean) / std)
x_test = create_sequences((test_value - mean) / std)

model = keras.Sequential(
    [
        layers.Input(shape=(x_train.shape[1], x_train.shape[2])),
        layers.Conv1D(filters=16, kernel_size=7, padding="same", strides=2, activation="relu"),
        layers.Conv1D(filters=8, kernel_size=7, padding="same", strides=2, activation="relu"),
        layers.Conv1DTranspose(filters=8, kernel_size=7, padding="same", strides=2, activation="relu"),
        layers.Conv1DTranspose(filters=16, kernel_size=7, padding="same", strides=2, activation="relu"),
        layers.Conv1DTranspose(filters=1, kernel_size=7, padding="same"),
    ]
)
settle(model)
model.compile(optimizer=keras.optimizers.Adam(learning_rate=0.005), loss="mse")
model.summary()
history = model.fit(
    x_train,
    x_train,
    epochs=8,
    batch_size=32,
    shuffle=False,
    validation_split=0.1,
    callbacks=[keras.callbacks.EarlyStopping(monitor="val_loss", patience=5, mode="min")],
)

train_mae_loss = np.mean(np.abs(model.predict(x_train) - x_train), axis=1)
threshold = np.max(train_mae_loss)
test_mae_loss = np.mean(np.abs(model.predict(x_test) - x_test), axis=1).reshape(-1)
anomalies = test_mae_loss > threshold
found = [i for i in range(TIME_STEPS - 1, len(x_test)) if np.all(anomalies[i - TIME_STEPS + 1 : i + 1])]
print("Reconstruction error threshold:", threshold, "anomalous windows:", int(anomalies.sum()))
assert anomalies[140:155].all()
assert anomalies[:100].mean() < 0.5
report(model, x_test, exact={"history": history.history, "threshold": threshold, "found": found})
