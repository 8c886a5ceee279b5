# %% [markdown]
# # Transfer: a new question, and few answers to learn from
#
# A MobileNet from `seqc.applications` learns which digit a picture shows, from many examples, and its weights go into
# a file. Then somebody asks another question, is the digit odd?, and has answers for a few pictures only. A network
# that begins with the file has seen digits before: how many answers does that save? With `weights="imagenet"` in
# place of the file, these are the steps for photos.
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

# %%
keras.utils.set_random_seed(0)
(x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
x_train, x_test = (x[..., np.newaxis].astype("float32") for x in (x_train, x_test))
print(f"{len(x_train)} digits with their names, {len(x_test)} to measure with")

# %% [markdown]
# MobileNet wants colours, at least 32 by 32 pixels, from -1 to 1. Making a digit larger, and three colours of grey,
# is part of the model: the file that comes out takes 8 by 8 pixels as they are. The last blocks of the network are
# the most special to their task; its features are taken before them.


# %%
def mobilenet(weights: Path | None) -> tuple[keras.Model, keras.Model]:
    """Returns a MobileNet, and a model of its features for digits of 8 by 8 pixels."""
    base = keras.applications.MobileNet((32, 32, 3), alpha=0.25, include_top=False, weights=weights)
    for layer in base.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.9  # there are few steps for its averages to settle in
    image = keras.Input((8, 8, 1), name="image")
    grey = layers.Resizing(32, 32)(layers.Rescaling(1 / 8, offset=-1)(image))
    seen = keras.Model(base.input, base.get_layer("conv_pw_6_relu").output, name="features")
    return base, keras.Model(image, layers.GlobalAveragePooling2D()(seen(layers.Concatenate()([grey, grey, grey]))))


base, body = mobilenet(weights=None)
teacher = keras.Model(body.input, layers.Dense(10, activation="softmax")(layers.Dropout(0.2)(body.output)))
teacher.compile(keras.optimizers.Adam(0.002), "sparse_categorical_crossentropy", metrics=["accuracy"])
teacher.fit(x_train, y_train, epochs=6, batch_size=16, verbose=0)
loss, accuracy = teacher.evaluate(x_test, y_test, verbose=0)
print(f"which digit: {accuracy:.1%} right")
base.save_weights(out / "mobilenet.weights.h5")

# %% [markdown]
# The second network reads the file, and nothing of it is trained: its features are computed once. Only a layer on top
# learns, from a few pictures that are said to be odd or even. Beside it learns the same layer on the pixels, and on
# the features of a network that never saw a digit.

# %%
_, body = mobilenet(weights=out / "mobilenet.weights.h5")
body.trainable = False
untrained = mobilenet(weights=None)[1]
seen = {"pixels": [x.reshape(len(x), -1) / 16 for x in (x_train, x_test)]}
seen["untrained features"] = [untrained.predict(x, verbose=0) for x in (x_train, x_test)]
seen["features from the file"] = [body.predict(x, verbose=0) for x in (x_train, x_test)]
odd, odd_test = ((y % 2).astype("float32")[:, np.newaxis] for y in (y_train, y_test))
counts = (10, 20, 50, 100, 200)
accuracies: dict[str, list[float]] = {name: [] for name in seen}
for count in counts:
    for name, (x, x_new) in seen.items():
        head = keras.Sequential([keras.Input(x.shape[1:]), layers.Dense(1, activation="sigmoid")], name="odd")
        head.compile(keras.optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy"])
        head.fit(x[:count], odd[:count], epochs=60, batch_size=25, verbose=0)
        accuracies[name].append(head.evaluate(x_new, odd_test, verbose=0)[1])
for name, found in accuracies.items():
    print(f"{name:22}", ", ".join(f"{n}: {share:.0%}" for n, share in zip(counts, found, strict=True)))

# %%
figure, axis = plt.subplots(figsize=(7, 3), layout="constrained")
for (name, found), colour in zip(accuracies.items(), ("#bbbbbb", "#c0504d", "#2f6db3"), strict=True):
    axis.plot(counts, found, "o-", color=colour, label=f"on {name}")
axis.set(xlabel="pictures that are said to be odd or even", ylabel="right answers", xscale="log", ylim=(0.3, 1))
axis.set_xticks(counts, [str(n) for n in counts])
axis.minorticks_off()
axis.yaxis.set_major_formatter("{x:.0%}")
axis.spines[["top", "right"]].set_visible(False)
axis.legend(frameon=False, loc="center right")
figure.savefig(out / "transfer.png", dpi=100)

# %% [markdown]
# Body and head are one model again, and one file.

# %%
model = keras.Model(body.input, head(body.output), name="odd")
receipt = model.export(out / "transfer.onnx")
print(
    "\n".join(line for line in str(receipt).splitlines() if line.startswith(("nodes", "input", "output", "verified")))
)
served = seqc_runtime.load(out / "transfer.onnx").predict(x_test)
assert np.allclose(served, model.predict(x_test, verbose=0), atol=1e-4)
