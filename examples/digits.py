# %% [markdown]
# # Digits: a first network, and what it cannot read
#
# 1,797 handwritten digits of 8 by 8 pixels come with seqc. A small network of convolutions learns them in seconds.
# The share of right answers says how good it is; the pictures that it got wrong say what kind of mistakes it makes.
#
# Needs `pip install "./runtime[cpu]" ".[cpu,plot]"`, which is what `make demo` installs.

# %%
import argparse
from pathlib import Path

import numpy as np

import seqc as keras
import seqc_runtime
from seqc import layers

try:
    import matplotlib.pyplot as plt
except ImportError:
    raise SystemExit('This example draws a picture with matplotlib: pip install "seqc[plot]"') from None

options = argparse.ArgumentParser()
options.add_argument("--out", type=Path, default=Path("build/examples"), help="folder for the picture and the file")
out = options.parse_known_args()[0].out
out.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# Pixels count from 0 to 16. Networks learn best from numbers of about 1, and convolutions want a last axis of channels:
# one, for grey. A seed makes the run the same each time.

# %%
keras.utils.set_random_seed(3)
(x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
x_train, x_test = (x[..., np.newaxis].astype("float32") / 16 for x in (x_train, x_test))
print(f"{len(x_train)} digits to learn from, {len(x_test)} kept aside to measure with")

# %% [markdown]
# Two convolutions look for strokes, pooling forgets where exactly they were, Dropout keeps the last layer from learning
# the training pictures by heart, and softmax turns ten numbers into ten probabilities.

# %%
model = keras.Sequential(
    [
        keras.Input((8, 8, 1), name="image"),
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dropout(0.4),
        layers.Dense(10, activation="softmax", name="digit"),
    ],
    name="digits",
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x_train, y_train, epochs=10, batch_size=32, validation_split=0.1, verbose=0).history
for epoch in (0, 4, 9):
    print(f"epoch {epoch + 1:2}: {history['val_accuracy'][epoch]:.1%} of digits not trained on are right")

# %% [markdown]
# Now the digits kept aside, which nothing was chosen by. Of those that it got wrong, those come first that it was
# surest of.

# %%
scores = model.predict(x_test, verbose=0)
answers = scores.argmax(axis=1)
wrong = np.flatnonzero(answers != y_test)
wrong = wrong[np.argsort(-scores[wrong].max(axis=1))][:8]
print(f"{np.mean(answers == y_test):.1%} of {len(x_test)} right")

figure, axes = plt.subplots(1, 8, figsize=(9, 1.9), layout="constrained")
for axis in axes:
    axis.set_axis_off()
for axis, i in zip(axes, wrong, strict=False):
    axis.imshow(x_test[i, :, :, 0], cmap="gray_r")
    axis.set_title(f"is a {y_test[i]}\nread as {answers[i]}\n{scores[i].max():.0%} sure", fontsize=10)
figure.savefig(out / "digits.png", dpi=110)

# %% [markdown]
# The export compares the file with the network in double precision before it writes it, and says so in the receipt.
# The last line compares once more, by hand: onnxruntime, which needs neither seqc nor Keras, answers the same.

# %%
receipt = model.export(out / "digits.onnx")
print(receipt)
served = seqc_runtime.load(out / "digits.onnx").predict(x_test)
print(f"largest difference to onnxruntime: {np.abs(served - scores).max():.0e}")
assert np.allclose(served, scores, atol=1e-5)
