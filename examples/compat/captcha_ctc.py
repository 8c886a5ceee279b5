"""Reads strips of drawn signs with convolutions, an LSTM and the loss CTC, which needs no places of the signs."""

import keras
import numpy as np
from keras import layers, ops

from report import report, settle

SIGNS, LENGTH = 4, 3
PICTURES = np.random.default_rng(0).integers(0, 2, (SIGNS, 8, 5)).astype("float32")


def captchas(count, seed):
    """Strips (count, 24, 8, 1), time first, with three signs each, and the signs: numbers from 1, as 0 is the blank."""
    rng = np.random.default_rng(seed)
    signs = rng.integers(0, SIGNS, (count, LENGTH))
    strips = rng.normal(0, 0.1, (count, 24, 8, 1))
    for strip, row in zip(strips, signs):
        for place, sign in enumerate(row):
            start = place * 8 + rng.integers(0, 3)
            strip[start : start + 5, :, 0] += PICTURES[sign].T
    return strips.astype("float32"), (signs + 1).astype("int32")


(x_train, y_train), (x_valid, y_valid) = captchas(96, 1), captchas(32, 2)
inputs = layers.Input(shape=(24, 8, 1), name="image")
x = layers.Conv2D(12, (3, 3), activation="relu", padding="same", name="Conv1")(inputs)
x = layers.MaxPooling2D((2, 2), name="pool1")(x)
x = layers.Reshape(target_shape=(12, 48), name="reshape")(x)
x = layers.Dense(24, activation="relu", name="dense1")(x)
x = layers.Bidirectional(layers.LSTM(16, return_sequences=True))(x)
outputs = layers.Dense(SIGNS + 1, name="dense2")(x)
model = settle(keras.Model(inputs, outputs, name="ocr_model"))
model.compile(optimizer=keras.optimizers.Adam(0.02), loss=keras.losses.CTC())
history = model.fit(
    x_train, y_train, validation_data=(x_valid, y_valid), epochs=12, batch_size=16, shuffle=False, verbose=0
)
logits = model.predict(x_valid, verbose=0)
decoded, scores = ops.ctc_decode(logits, sequence_lengths=[logits.shape[1]] * len(logits), mask_index=0)
texts = ops.convert_to_numpy(decoded)[0]
right = np.mean([list(text[text > 0]) == list(signs) for text, signs in zip(texts, y_valid)])
print("read without a mistake:", right, texts[0], y_valid[0])
assert history.history["loss"][-1] < history.history["loss"][0] / 2
report(model, x_valid[:8], exact={"loss": history.history["loss"][:4], "val_loss": history.history["val_loss"][:4]})
