# %% [markdown]
# # Quantization: what eight and four bits cost, and what they save
#
# A weight has 32 bits, of which a network seldom needs more than eight. But which layers bear it, and in what form,
# depends on the network and the data: so `quantize` tries the recipes there are, measures each on samples kept aside,
# and writes the best that costs no more accuracy than allowed, or nothing.
#
# Needs `pip install "./runtime[cpu]" ".[cpu,plot]"`, which is what `make demo` installs.

# %%
import argparse
from pathlib import Path

import numpy as np

import seqc as keras
import seqc_runtime
from seqc import layers
from seqc.export import quantize

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
x_train, x_test = (x.reshape(-1, 64).astype("float32") / 16 for x in (x_train, x_test))
model = keras.Sequential(
    [
        keras.Input((64,), name="image"),
        layers.Dense(256, activation="relu"),
        layers.Dropout(0.3),
        layers.Dense(256, activation="relu"),
        layers.Dense(10, activation="softmax", name="digit"),
    ],
    name="digits",
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x_train, y_train, epochs=12, batch_size=32, verbose=0)
receipt = model.export(out / "digits.onnx")
size = (out / "digits.onnx").stat().st_size
print(f"{receipt.parameters:,} parameters in {size:,} bytes")

# %% [markdown]
# Half of the digits kept aside go to `quantize`, which calibrates with a quarter of them and measures on the others.
# The rest is for the last look: since the score decided which recipe is taken, it is a little too good for that one.
#
# The purpose here is a small file. With `purpose="speed"` each recipe is timed on this machine, and the fastest wins.

# %%
half = len(x_test) // 2
result = quantize(out / "digits.onnx", out / "small.onnx", x_test[:half], y_test[:half], purpose="size", max_drop=0.01)
bars = [("float32", size, result.float_scores["digit"], False)]
for row in sorted(result.rows, key=lambda row: -(row.file_bytes or 0)):
    if row.file_bytes is not None and row.score is not None:  # None for recipes that do not fit this model
        bars.append((row.recipe, row.file_bytes, row.score, row.chosen))
        note = "taken" if row.chosen else row.refused
        print(f"{row.recipe:18} {row.file_bytes:7,} bytes  {row.score:6.1%}  {note}")

# %% [markdown]
# Now the last look, at digits that neither training nor the search has seen. The picture has the sizes, and how many
# digits each recipe reads rightly in the search.

# %%
reads = seqc_runtime.load(out / "digits.onnx").predict(x_test[half:]).argmax(axis=1)
small = seqc_runtime.load(out / "small.onnx").predict(x_test[half:]).argmax(axis=1)
for name, found in (("float", reads), ("small", small)):
    print(f"{name}: {np.mean(found == y_test[half:]):.1%} of {half} digits that nothing was chosen by are right")
print(f"the two answer differently for {np.sum(reads != small)}")
assert np.array_equal(reads, model.predict(x_test[half:], verbose=0).argmax(axis=1))

bars.sort(key=lambda bar: bar[1])
figure, axis = plt.subplots(figsize=(7, 2.6), layout="constrained")
colours = ["#2f6db3" if chosen else "#bbbbbb" for *_, chosen in bars]
drawn = axis.barh([name for name, *_ in bars], [content / 1000 for _, content, *_ in bars], color=colours)
axis.bar_label(drawn, [f"{content / 1000:.0f} kB, {score:.1%} right" for _, content, score, _ in bars], padding=4)
axis.set(xlabel="size of the file, kB; blue is what was taken", xlim=(0, 460))
axis.spines[["top", "right"]].set_visible(False)
figure.savefig(out / "quantize.png", dpi=100)
