"""A multi-layer perceptron that reads handwritten digits of 8 by 8 pixels: the smallest useful example."""

import numpy as np

import seqc as keras
from seqc import layers

TARGET = {"accuracy": 0.96}
FIT = {"epochs": 40, "batch_size": 32}


def build():
    """Returns the compiled model."""
    model = keras.Sequential(
        [
            keras.Input(shape=(64,), name="pixels"),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(32, activation="relu"),
            layers.Dense(10, activation="softmax", name="digit"),
        ],
        name="digits_mlp",
    )
    model.compile(optimizer=keras.optimizers.Adam(2e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def data():
    """Returns ((x_train, y_train), (x_test, y_test)): rows of 64 pixels from 0 to 1, and class numbers."""
    (x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
    return (_rows(x_train), y_train), (_rows(x_test), y_test)


def _rows(images):
    return images.reshape(-1, 64).astype(np.float32) / 16
