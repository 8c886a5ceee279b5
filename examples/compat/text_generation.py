"""Writes on in the letters of a short story, drawn one by one from what an LSTM expects."""

import keras
import numpy as np
from keras import layers
from made import STORY

from report import report, settle

text = STORY.replace("\n", " ")
chars = sorted(set(text))
print("Total chars:", len(chars))
char_indices = {c: i for i, c in enumerate(chars)}
indices_char = dict(enumerate(chars))

maxlen, step = 16, 3
sentences = [text[i : i + maxlen] for i in range(0, len(text) - maxlen, step)]
next_chars = [text[i + maxlen] for i in range(0, len(text) - maxlen, step)]
x = np.zeros((len(sentences), maxlen, len(chars)), dtype="bool")
y = np.zeros((len(sentences), len(chars)), dtype="bool")
for i, sentence in enumerate(sentences):
    for t, char in enumerate(sentence):
        x[i, t, char_indices[char]] = 1
    y[i, char_indices[next_chars[i]]] = 1

model = keras.Sequential(
    [
        keras.Input(shape=(maxlen, len(chars))),
        layers.LSTM(48),
        layers.Dense(len(chars), activation="softmax"),
    ]
)
settle(model)
model.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.RMSprop(learning_rate=0.01))

rng = np.random.default_rng(9)


def sample(preds, temperature=1.0):
    preds = np.asarray(preds).astype("float64")
    preds = np.exp(np.log(preds) / temperature)
    return int(np.searchsorted(np.cumsum(preds / np.sum(preds)), rng.random()))


losses, likely = [], []
for epoch in range(4):
    losses.append(model.fit(x, y, batch_size=32, epochs=1, shuffle=False, verbose=0).history["loss"][0])
    sentence, generated = text[:maxlen], ""
    for _ in range(20):
        x_pred = np.zeros((1, maxlen, len(chars)))
        for t, char in enumerate(sentence):
            x_pred[0, t, char_indices[char]] = 1.0
        preds = model.predict(x_pred, verbose=0)[0]
        likely.append(float(preds.max()) if epoch == 0 and not generated else 0.0)
        next_char = indices_char[min(sample(preds, 0.4), len(chars) - 1)]
        sentence = sentence[1:] + next_char
        generated += next_char
    print("Generated:", generated)
assert losses[-1] < losses[0]
report(model, x[:8].astype("float32"), exact={"losses": losses, "letters": "".join(chars), "first": max(likely)})
