"""Forecasts every step of a series from those before it: gated convolutions that see further with each layer."""

import keras
import numpy as np
from keras import layers
from made import series

from report import report, settle

data = series(500, seed=8)
data = ((data - data.mean(axis=0)) / data.std(axis=0)).astype("float32")
length = 32
starts = range(0, len(data) - length - 1, 8)
x = np.array([data[i : i + length] for i in starts])
y = np.array([data[i + 1 : i + length + 1, :1] for i in starts])

inputs = keras.Input((None, x.shape[-1]), name="past")
z = layers.Conv1D(8, 1)(inputs)
skips = []
for dilation in (1, 2, 4, 8):
    kept = layers.Conv1D(8, 2, padding="causal", dilation_rate=dilation, activation="tanh")(z)
    gate = layers.Conv1D(8, 2, padding="causal", dilation_rate=dilation, activation="sigmoid")(z)
    skip = layers.Conv1D(8, 1)(layers.multiply([kept, gate]))
    skips.append(skip)
    z = layers.add([z, skip])
out = layers.Conv1D(1, 1, name="next")(layers.ReLU()(layers.add(skips)))
model = settle(keras.Model(inputs, out))
model.compile(
    keras.optimizers.Adam(0.005, amsgrad=True, clipvalue=0.5),
    keras.losses.LogCosh(),
    metrics=["mae", "cosine_similarity"],
)
history = model.fit(x, y, batch_size=8, epochs=4, shuffle=False, validation_split=0.2)

# What comes is not seen: a series that is cut off is forecast as its beginning was.
whole, part = model.predict(x[:4]), model.predict(x[:4, :12])
print("Causal:", bool(np.allclose(whole[:, :12], part, atol=1e-4)))

report(
    model,
    x[:8],
    {"history": history.history, "part": part, "causal": bool(np.allclose(whole[:, :12], part, atol=1e-4))},
)
