"""A one-dimensional convolutional network that tells six kinds of movement from nine sensor channels.

The signals are made here: 128 samples of three accelerometer, three gyroscope and three gravity channels, as a phone in
a pocket would record them while its owner walks, climbs, descends, sits, stands or lies. They stand in for recordings
such as UCI's "Human Activity Recognition", whose shape they share.
"""

import numpy as np

import seqc as keras
from seqc import layers

STEPS, CHANNELS, RATE = 128, 9, 50.0  # samples, channels, samples per second
CLASSES = ("walking", "upstairs", "downstairs", "sitting", "standing", "lying")

TARGET = {"accuracy": 0.95}
FIT = {"epochs": 8, "batch_size": 64}


def build():
    """Returns the compiled model."""
    model = keras.Sequential(
        [
            keras.Input(shape=(STEPS, CHANNELS), name="signal"),
            layers.Conv1D(32, 7, strides=2, padding="same", activation="relu"),
            layers.Conv1D(32, 5, padding="causal", dilation_rate=2, activation="relu"),
            layers.BatchNormalization(),
            layers.Conv1D(64, 5, strides=2, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.4),
            layers.Dense(64, activation="relu"),
            layers.Dense(len(CLASSES), activation="softmax", name="movement"),
        ],
        name="timeseries_cnn1d",
    )
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def data():
    """Returns ((x_train, y_train), (x_test, y_test)): signals (n, 128, 9) in g and rad/s, and class numbers."""
    rng = np.random.default_rng(11)
    y = rng.integers(0, len(CLASSES), 4000)
    x = np.stack([signal(kind, rng) for kind in y]).astype(np.float32)
    return (x[:3200], y[:3200]), (x[3200:], y[3200:])


def signal(kind, rng):
    """Returns one recording of a movement."""
    time = np.arange(STEPS) / RATE + rng.uniform(0, 2)
    gravity = _direction(kind, rng)
    body = np.zeros((STEPS, 3))
    turn = np.zeros((STEPS, 3))
    if kind < 3:  # steps: a fundamental and its overtones, stronger and sharper downstairs, slower upstairs
        pace = rng.normal((1.9, 1.6, 2.1)[kind], 0.12)
        strength = rng.normal((0.30, 0.25, 0.42)[kind], 0.05)
        for overtone in (1, 2, 3):
            phase = rng.uniform(0, 2 * np.pi, 3)
            fall = overtone ** (-(1.6, 2.2, 0.9)[kind])
            body += strength * fall * np.sin(2 * np.pi * pace * overtone * time[:, None] + phase)
            turn += 2 * strength * fall * np.cos(2 * np.pi * pace * overtone * time[:, None] + phase)
    noise = 0.02 if kind >= 3 else 0.06
    channels = np.concatenate([body + gravity, turn, np.broadcast_to(gravity, (STEPS, 3))], axis=1)
    return channels + rng.normal(0, noise, channels.shape)


def _direction(kind, rng):
    """Returns the direction of gravity in the phone's axes (g)."""
    upright = {0: (0.1, 1.0, 0.1), 1: (0.3, 0.95, 0.0), 2: (-0.2, 0.97, 0.1)}
    still = {3: (0.3, 0.3, 0.9), 4: (0.1, 1.0, 0.0), 5: (0.95, 0.1, 0.3)}
    direction = np.array((upright | still)[kind]) + rng.normal(0, 0.08, 3)
    return direction / np.linalg.norm(direction)
