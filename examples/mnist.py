# %% [markdown]
# # MNIST: a network that knows digits in the middle only, and one that was shown others
#
# 70,000 handwritten digits of 28 by 28 pixels, each in the middle of its picture. Whoever learns from these alone is
# lost when a digit stands a little to the side, as it does where people write. A layer that shifts the pictures while
# the network learns mends that, and is not in the file.
#
# Needs `pip install "./runtime[cpu]" ".[cpu,plot]"`, which is what `make demo` installs. MNIST is taken from the folder
# `$SEQC_DATA_HOME/mnist` or the user's cache, and else fetched once, which takes 11 MB.

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
options.add_argument("--images", type=int, default=10_000, help="how many of the 60,000 images to learn from")
chosen = options.parse_known_args()[0]
chosen.out.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# A sixth of the images is enough to see what this is about; `--images 60000` takes all. Where MNIST can be neither
# found nor fetched, the small digits that come with seqc stand in, each pixel as 3 by 3 and with an edge of 2.

# %%
keras.utils.set_random_seed(2)
try:
    (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
    inks = 255
except keras.errors.DataError as error:
    print(f"Small digits stand in for MNIST: {str(error).split('. ')[0]}")
    (x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
    x_train, x_test = (np.pad(np.kron(x, np.ones((1, 3, 3))), ((0, 0), (2, 2), (2, 2))) for x in (x_train, x_test))
    inks = 16
x_train, y_train = x_train[: chosen.images], y_train[: chosen.images]
x_test, y_test = x_test[: chosen.images // 5], y_test[: chosen.images // 5]
x_train, x_test = (x[..., np.newaxis].astype("float32") / inks for x in (x_train, x_test))
print(f"{len(x_train)} images to learn from, {len(x_test)} kept aside to measure with")

# %% [markdown]
# The same network twice. For the second, a layer moves every picture by up to a fifth of its size, each time anew.
# It does so in `fit` alone: in `predict`, and in the file, pictures stay where they are.


# %%
def trained(*first: layers.Layer) -> keras.Sequential:
    """Returns a network that begins with some layers, after it has learned."""
    network = [
        layers.Conv2D(8, 5, strides=2, padding="same", activation="relu"),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(10, activation="softmax", name="digit"),
    ]
    model = keras.Sequential([keras.Input((28, 28, 1), name="image"), *first, *network], name="mnist")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=5, batch_size=64, verbose=0)
    return model


models = {
    "as they are": trained(),
    "shifted at random": trained(layers.RandomTranslation(0.2, 0.2, fill_mode="constant")),
}

# %% [markdown]
# Now both read images that neither has seen, moved to the right by more and more pixels.

# %%
figure, axis = plt.subplots(figsize=(7, 3), layout="constrained")
for (how, model), colour in zip(models.items(), ("#c0504d", "#2f6db3"), strict=True):
    shares = []
    for shift in range(9):
        moved = np.roll(x_test, shift, axis=2)
        shares.append(np.mean(model.predict(moved, verbose=0).argmax(axis=1) == y_test))
    print(f"learned from images {how}: {shares[0]:.1%} right, {shares[4]:.1%} of those moved by 4 pixels")
    axis.plot(shares, color=colour, marker="o", label=f"learned from images {how}")
axis.set(xlabel="pixels that the digit was moved by, of 28", ylabel="share read rightly", ylim=(0, 1))
axis.spines[["top", "right"]].set_visible(False)
axis.legend(frameon=False, loc="lower left")
figure.savefig(chosen.out / "mnist.png", dpi=110)

# %% [markdown]
# The file has the layers that answer and no other: the receipt counts its nodes, and what onnxruntime makes of the
# images is what the network makes of them.

# %%
model = models["shifted at random"]
print(model.export(chosen.out / "mnist.onnx"))
served = seqc_runtime.load(chosen.out / "mnist.onnx").predict(x_test)
difference = np.abs(served - model.predict(x_test, verbose=0)).max()
print(f"largest difference to onnxruntime: {difference:.0e}")
assert difference < 1e-5
