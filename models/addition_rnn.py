"""A sequence-to-sequence LSTM that learns to add numbers written as text: "27+58" -> "85".

After Keras's classic example "addition_rnn" (Sutskever, Vinyals and Le, 2014: reversing the question helps).
"""

import numpy as np

import seqc as keras
from seqc import layers

CHARACTERS = "0123456789+ "
DIGITS = 2
QUESTION = 2 * DIGITS + 1
ANSWER = DIGITS + 1
SAMPLES = 6000  # of the 10,000 pairs of numbers below 100, so that the test asks sums that were never shown

# The metric counts characters; a target of 98 % means that about 19 sums of 20 are right in every character.
TARGET = {"accuracy": 0.98}
FIT = {"epochs": 40, "batch_size": 64}


def build():
    """Returns the compiled model."""
    model = keras.Sequential(
        [
            keras.Input(shape=(QUESTION, len(CHARACTERS)), name="question"),
            layers.LSTM(128),
            layers.RepeatVector(ANSWER),
            layers.LSTM(128, return_sequences=True),
            layers.TimeDistributed(layers.Dense(len(CHARACTERS), activation="softmax"), name="answer"),
        ],
        name="addition_rnn",
    )
    # The step size halves every ten epochs.
    schedule = keras.optimizers.schedules.ExponentialDecay(4e-3, decay_steps=10 * 94, decay_rate=0.5)
    model.compile(optimizer=keras.optimizers.Adam(schedule), loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def data():
    """Returns ((x_train, y_train), (x_test, y_test)): one-hot characters of questions (reversed) and answers."""
    rng = np.random.default_rng(7)
    pairs = rng.permutation(10**DIGITS * 10**DIGITS)[: SAMPLES + 1000]
    questions, answers = zip(*(write(p // 10**DIGITS, p % 10**DIGITS) for p in pairs), strict=True)
    x, y = encode(questions), encode(answers)
    return (x[:SAMPLES], y[:SAMPLES]), (x[SAMPLES:], y[SAMPLES:])


def write(a, b):
    """Returns question and answer as text, the question reversed."""
    return f"{a}+{b}".ljust(QUESTION)[::-1], str(a + b).ljust(ANSWER)


def encode(texts):
    """Returns texts of one length as one-hot vectors (n, length, characters)."""
    numbers = np.array([[CHARACTERS.index(c) for c in text] for text in texts])
    return np.eye(len(CHARACTERS), dtype=np.float32)[numbers]
