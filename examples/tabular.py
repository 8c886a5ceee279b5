# %% [markdown]
# # A table with gaps and categories: what a gap says
#
# Rents of made-up flats: numbers, some of them missing, and words. The file takes a row as it stands in the table, gaps
# included. How gaps are filled matters more than the network does, because a gap is seldom left by chance: here, owners
# of flats in bad condition prefer not to say the year of the last renovation.
#
# Needs `pip install "./runtime[cpu]" ".[cpu,plot]"`, which is what `make demo` installs.

# %%
import argparse
from pathlib import Path

import numpy as np

import seqc as keras
import seqc_runtime
from seqc import layers, ops

try:
    import matplotlib.pyplot as plt
except ImportError:
    raise SystemExit('This example draws a picture with matplotlib: pip install "seqc[plot]"') from None

options = argparse.ArgumentParser()
options.add_argument("--out", type=Path, default=Path("build/examples"), help="folder for the picture and the file")
out = options.parse_known_args()[0].out
out.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# The rule by which the rents were made up is in these lines, so we know what can be learned: nobody can be better than
# the noise, 52 euros on average (65 √(2/π)).

# %%
rng = np.random.default_rng(0)
count = 3000
area = rng.normal(70, 20, count).clip(25, 160)
renovated = rng.integers(1970, 2025, count).astype("float32")
district = rng.choice(["harbour", "old town", "hills", "station"], count, p=[0.3, 0.3, 0.1, 0.3])
heating = rng.choice(["gas", "electric", "heat pump"], count)
per_metre = 9 + 0.08 * (renovated - 1970) + np.select([district == "hills", district == "station"], [4, -2], 0)
rent = area * per_metre + 80 * (heating == "heat pump") + rng.normal(0, 65, count)
renovated[rng.random(count) < np.where(renovated < 1990, 0.7, 0.05)] = np.nan
area[rng.random(count) < 0.05] = np.nan

rows = {
    "area": area.astype("float32")[:, np.newaxis],
    "renovated": renovated[:, np.newaxis],
    "district": district.astype(object)[:, np.newaxis],
    "heating": heating.astype(object)[:, np.newaxis],
}
target = (rent / 1000).astype("float32")[:, np.newaxis]  # thousands of euros: networks like numbers near 1
cut = 2400
train, test = ({name: x[part] for name, x in rows.items()} for part in (slice(cut), slice(cut, None)))
print(f"{np.isnan(area).mean():.0%} of the areas and {np.isnan(renovated).mean():.0%} of the years are missing")

# %% [markdown]
# Preprocessing is made of layers, so it is part of the model and of its file. StringLookup gives each category a
# column, and one more to all words that it was not shown. A missing number becomes the mean, which is 0 after
# Normalization. With `tell`, the network is told that it was missing as well.


# %%
def flats(tell: bool) -> keras.Model:
    """Returns the model of a row, compiled."""
    inputs, parts = [], []
    for name in ("area", "renovated"):
        number = keras.Input((1,), name=name)
        known = train[name][~np.isnan(train[name])]
        missing = ops.isnan(number)
        filled = ops.where(missing, known.mean(), number)
        parts.append(layers.Normalization(mean=known.mean(), variance=known.var())(filled))
        if tell:
            parts.append(ops.cast(missing, "float32"))
        inputs.append(number)
    for name in ("district", "heating"):
        word = keras.Input((1,), dtype="string", name=name)
        lookup = layers.StringLookup(output_mode="multi_hot")
        lookup.adapt(train[name])
        parts.append(lookup(word))
        inputs.append(word)
    x = layers.Dense(32, activation="relu")(layers.Concatenate()(parts))
    x = layers.Dense(32, activation="relu")(x)
    model = keras.Model(inputs, layers.Dense(1, name="rent")(x), name="flats")
    model.compile(keras.optimizers.Adam(0.005), "mse", metrics=["mae"])
    return model


models, errors = {}, {}
for tell in (False, True):
    keras.utils.set_random_seed(1)
    models[tell] = flats(tell)
    models[tell].fit(train, target[:cut], epochs=25, batch_size=64, verbose=0)
    errors[tell] = 1000 * np.abs(models[tell].predict(test, verbose=0) - target[cut:])[:, 0]
    print(f"off by {errors[tell].mean():.0f} euros on average, gaps {'told' if tell else 'filled in silence'}")

# %% [markdown]
# Filled with the mean, a gap looks like a flat of the mean year. A network that is not told answers for the gaps at the
# price of the flats that really were renovated about then; one that is told can answer for both.

# %%
gap = np.isnan(test["renovated"][:, 0])
figure, axis = plt.subplots(figsize=(7, 3), layout="constrained")
for tell, colour in ((False, "#c0504d"), (True, "#2f6db3")):
    heights = [errors[tell][gap].mean(), errors[tell][~gap].mean()]
    words = "gaps filled and told" if tell else "gaps filled in silence"
    bars = axis.barh(np.arange(2) + 0.2 - 0.4 * tell, heights, 0.36, color=colour, label=words)
    axis.bar_label(bars, fmt="%.0f", padding=3)
axis.axvline(52, color="black", linewidth=1, linestyle=":", label="the noise alone")
axis.set_yticks(range(2), [f"year missing\n({np.sum(gap)} flats)", f"year known\n({np.sum(~gap)} flats)"])
axis.set_xlabel("average error of the rent, euros")
axis.spines[["top", "right"]].set_visible(False)
figure.legend(loc="outside upper center", ncols=3, frameon=False)
figure.savefig(out / "tabular.png", dpi=110)

# %% [markdown]
# The better one goes into a file, which has an input for each column. A district that was never seen is no error.

# %%
receipt = models[True].export(out / "flats.onnx", units={"area": "m²", "rent": "1000 euros"})
print("\n".join(line for line in str(receipt).splitlines() if line.startswith(("input", "  ", "output", "verified"))))
served = seqc_runtime.load(out / "flats.onnx")
assert np.allclose(served.predict(test), models[True].predict(test, verbose=0), atol=1e-4)
row = {"area": [[80.0]], "renovated": [[np.nan]], "district": [["meadows"]], "heating": [["gas"]]}
row = {name: np.array(x, dtype=train[name].dtype) for name, x in row.items()}
print(f"80 m², year unknown, in a district that was never seen: {1000 * served.predict(row)[0, 0]:.0f} euros")
