"""Adds numbers that are written as texts: an LSTM reads the sum, another one writes the answer digit by digit."""

import keras
import numpy as np
from keras import layers

from report import report, settle

DIGITS, MAXLEN = 2, 5
chars = "0123456789+ "


class CharacterTable:
    """Encodes texts as one-hot rows, and decodes rows of them or of probabilities."""

    def __init__(self, chars):
        self.chars = sorted(set(chars))
        self.char_indices = {c: i for i, c in enumerate(self.chars)}
        self.indices_char = dict(enumerate(self.chars))

    def encode(self, C, num_rows):
        x = np.zeros((num_rows, len(self.chars)))
        for i, c in enumerate(C):
            x[i, self.char_indices[c]] = 1
        return x

    def decode(self, x, calc_argmax=True):
        if calc_argmax:
            x = x.argmax(axis=-1)
        return "".join(self.indices_char[int(x)] for x in x)


ctable = CharacterTable(chars)
rng = np.random.default_rng(1)
questions, expected = [], []
for a, b in rng.integers(0, 60, (256, 2)):
    questions.append(f"{a}+{b}".ljust(MAXLEN)[::-1])
    expected.append(str(a + b).ljust(DIGITS + 1))
x = np.array([ctable.encode(sentence, MAXLEN) for sentence in questions], dtype="bool")
y = np.array([ctable.encode(sentence, DIGITS + 1) for sentence in expected], dtype="bool")
split_at = len(x) - len(x) // 10
(x_train, x_val), (y_train, y_val) = (x[:split_at], x[split_at:]), (y[:split_at], y[split_at:])

model = keras.Sequential()
model.add(keras.Input((MAXLEN, len(chars))))
model.add(layers.LSTM(32))
model.add(layers.RepeatVector(DIGITS + 1))
for _ in range(2):
    model.add(layers.LSTM(32, return_sequences=True))
model.add(layers.TimeDistributed(layers.Dense(len(chars), activation="softmax")))
settle(model)
model.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.Adam(0.01), metrics=["accuracy"])

losses = []
for _ in range(3):
    trained = model.fit(
        x_train, y_train, batch_size=32, epochs=1, shuffle=False, validation_data=(x_val, y_val), verbose=0
    )
    losses.append([trained.history["loss"][0], trained.history["val_loss"][0], trained.history["accuracy"][0]])
    for i in (0, 1):
        rowx, rowy = x_val[np.array([i])], y_val[np.array([i])]
        preds = np.argmax(model.predict(rowx, verbose=0), axis=-1)
        q, correct = ctable.decode(rowx[0]), ctable.decode(rowy[0])
        guess = ctable.decode(preds[0], calc_argmax=False)
        print("Q", q[::-1], "T", correct, "☑" if correct == guess else "☒", guess)
report(model, x_val.astype("float32"), exact={"losses": losses, "questions": questions[:3]})
