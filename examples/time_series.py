# %% [markdown]
# # A time series: the next day, from the last two
#
# How much electricity will a town use in each hour of tomorrow? Whoever makes forecasts should first ask how good a
# simple rule is: here, that tomorrow is like the same day a week ago. A network is worth its trouble by what it gains
# on that.
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
# A year of made-up hours in megawatts: a rhythm of the day, one of the week, a season, and weather, which changes
# slowly and cannot be foreseen for long. The network is told the load and the time of the week, as a point on a
# circle, so that Sunday night is near to Monday morning.

# %%
rng = np.random.default_rng(0)
hours = np.arange(52 * 7 * 24)
day, week = 2 * np.pi * hours / 24, 2 * np.pi * hours / 168
workday = hours // 24 % 7 < 5
weather = np.zeros(len(hours))
for hour in range(1, len(hours)):
    weather[hour] = 0.98 * weather[hour - 1] + rng.normal(0, 0.9)
season = 6 * np.cos(2 * np.pi * hours / len(hours))
load = 50 - 9 * np.cos(day) - 5 * np.sin(2 * day) * workday + 6 * workday + season + weather
load += rng.normal(0, 0.7, len(hours))
columns = [load, np.sin(day), np.cos(day), np.sin(week), np.cos(week)]
series = np.stack(columns, axis=-1).astype("float32")

# %% [markdown]
# A sample is 48 hours, its answer the 24 after them. The network learns from the past and is measured on what came
# later, never the other way round: shuffled windows would share their hours with those of the test.

# %%
PAST, AHEAD = 48, 24
cut = 42 * 7 * 24


def windows(start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the windows within hours of the series: (n, 48, 5) of the past, (n, 24) of the load after it."""
    part = np.lib.stride_tricks.sliding_window_view(series[start:end], PAST + AHEAD, axis=0).transpose(0, 2, 1)
    return part[:, :PAST], part[:, PAST:, 0]


(x_train, y_train), (x_test, y_test) = windows(0, cut), windows(cut, len(series))
x_train, y_train = x_train[::3], y_train[::3]  # neighbours are nearly the same
print(f"{len(x_train)} windows to learn from, {len(x_test)} later ones to measure with")

# %% [markdown]
# Normalization measures the training series and is part of the file, which so takes and gives megawatts. The network
# does not guess the load but by how much it will differ from its last value: what stays the same need not be learned.

# %%
keras.utils.set_random_seed(0)
normalize = layers.Normalization()
normalize.adapt(series[:cut])
past = keras.Input((PAST, 5), name="past")
x = layers.GRU(32)(normalize(past))
change = layers.Dense(AHEAD)(x)
future = layers.Add(name="load")([layers.Rescaling(float(load[:cut].std()))(change), past[:, -1, :1]])
model = keras.Model(past, future, name="load")
model.compile(keras.optimizers.Adam(0.005), "mse")
losses = model.fit(x_train, y_train, epochs=6, batch_size=64, verbose=0).history["loss"]
forecast = model.predict(x_test, verbose=0)
week_ago = np.stack([load[cut + i + PAST - 168 :][:AHEAD] for i in range(len(x_test))])
errors = {name: np.abs(y - y_test).mean(axis=0) for name, y in (("a week ago", week_ago), ("network", forecast))}
print(f"loss {losses[0]:.1f} after the first epoch, {losses[-1]:.1f} after the last")
for name, error in errors.items():
    print(f"{name:10} off by {error.mean():.2f} MW, in the first hour {error[0]:.2f}, in the last {error[-1]:.2f}")

# %% [markdown]
# Left, five days that were each foretold at their midnight. Right, the error by how far ahead: the nearer hour is the
# easier one for the network, while the rule is as good for all.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained", width_ratios=(2, 1))
start = 24 * 5
left.plot(y_test[start : start + 120, 0], color="black", label="what came")
for begin in range(0, 120, 24):
    label = "foretold at midnight" if begin == 0 else None
    left.plot(range(begin, begin + AHEAD), forecast[start + begin], color="#2f6db3", label=label)
left.set(xlabel="hours", ylabel="load, MW", xticks=range(0, 121, 24))
left.legend(frameon=False, loc="upper left", ncols=2)
left.set_ylim(top=left.get_ylim()[1] + 6)
right.plot(range(1, 25), errors["a week ago"], color="#c0504d", label="same hour a week ago")
right.plot(range(1, 25), errors["network"], color="#2f6db3", label="network")
right.set(xlabel="hours ahead", ylabel="average error, MW", ylim=0, xticks=(1, 6, 12, 18, 24))
right.legend(frameon=False)
for axis in (left, right):
    axis.spines[["top", "right"]].set_visible(False)
figure.savefig(out / "time_series.png", dpi=100)

# %%
receipt = model.export(out / "load.onnx", units={"load": "MW"})
print(
    "\n".join(line for line in str(receipt).splitlines() if line.startswith(("nodes", "input", "output", "verified")))
)
served = seqc_runtime.load(out / "load.onnx").predict(x_test)
print(f"largest difference to onnxruntime: {np.abs(served - forecast).max():.0e} MW")
assert np.allclose(served, forecast, atol=1e-3)
