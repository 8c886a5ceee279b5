"""A small convolutional network that reads handwritten digits of 8 by 8 pixels: the demonstration."""

import numpy as np

import seqc as keras
from seqc import layers

TARGET = {"accuracy": 0.98}
FIT = {"epochs": 15, "batch_size": 32}


def build():
    """Returns the compiled model."""
    model = keras.Sequential(
        [
            keras.Input(shape=(8, 8, 1), name="image"),
            layers.Conv2D(16, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.4),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax", name="digit"),
        ],
        name="digits_cnn",
    )
    # The step size shrinks by 15 % an epoch, so that the last epochs settle.
    schedule = keras.optimizers.schedules.ExponentialDecay(2e-3, decay_steps=45, decay_rate=0.85)
    model.compile(
        optimizer=keras.optimizers.Adam(schedule), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def data():
    """Returns ((x_train, y_train), (x_test, y_test)): images (n, 8, 8, 1) from 0 to 1, and class numbers."""
    (x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
    return (_images(x_train), y_train), (_images(x_test), y_test)


def _images(pixels):
    return pixels[..., None].astype(np.float32) / 16
