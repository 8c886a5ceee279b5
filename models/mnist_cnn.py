"""A convolutional network for MNIST, after the introductory example of Keras (F. Chollet, 2015)."""

import numpy as np

import seqc as keras
from seqc import layers

TARGET = {"accuracy": 0.988}
FIT = {"epochs": 3, "batch_size": 128}


def build():
    """Returns the compiled model."""
    model = keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1), name="image"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax", name="digit"),
        ],
        name="mnist_cnn",
    )
    # The step size falls to 40 % with each epoch of 469 batches.
    schedule = keras.optimizers.schedules.ExponentialDecay(2e-3, decay_steps=469, decay_rate=0.4)
    optimizer = keras.optimizers.Adam(schedule)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def data():
    """Returns ((x_train, y_train), (x_test, y_test)): images (n, 28, 28, 1) from 0 to 1, and class numbers.

    The four files are looked for in $SEQC_DATA_HOME/mnist and the user's cache, and downloaded otherwise.
    """
    (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
    return (_images(x_train), y_train), (_images(x_test), y_test)


def _images(pixels):
    return pixels[..., None].astype(np.float32) / 255
