# %% [markdown]
# # Anomalies: what a network cannot draw again is strange
#
# A pump trembles as it always does, until something breaks. Nobody has examples of all that can break, so the network
# learns what is normal instead: to squeeze half a second of the signal into four numbers and to draw it again. What
# it draws badly, it has not seen before.
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
# The signal is made up: a turning of five a second with an overtone, whose strength wanders, and noise. The last
# minute has three faults: a knock, a bearing that hums, and a sensor that hangs. 128 samples are a second.

# %%
RATE, WIDTH = 128, 64
rng = np.random.default_rng(0)


def pump(seconds: int) -> np.ndarray:
    """Returns a healthy signal."""
    time = np.arange(seconds * RATE) / RATE
    strength = 1 + 0.2 * np.sin(0.7 * time)
    phase = 2 * np.pi * 5 * time
    return strength * np.sin(phase) + 0.4 * np.sin(2 * phase + 1) + rng.normal(0, 0.08, len(time))


normal, watched = pump(180), pump(60)
watched[12 * RATE : 12 * RATE + 6] += (1.5, -1.5, 1, -1, 0.5, -0.5)
watched[28 * RATE : 32 * RATE] += 0.3 * np.sin(2 * np.pi * 23 * np.arange(4 * RATE) / RATE)
watched[47 * RATE : 49 * RATE] = watched[47 * RATE - 1]


def windows(signal: np.ndarray, step: int) -> np.ndarray:
    """Returns pieces of the signal, (n, 64), each `step` samples after the one before."""
    return np.lib.stride_tricks.sliding_window_view(signal, WIDTH)[::step].astype("float32")


# %% [markdown]
# Four numbers between the two halves are enough for strength and phase, and too few for anything else. The error of a
# window is computed in the model, so that the file gives one number for a window, and nobody has to know how it came
# about.

# %%
keras.utils.set_random_seed(0)
window = keras.Input((WIDTH,), name="window")
x = layers.Dense(48, activation="tanh")(window)
code = layers.Dense(4, name="code")(x)
x = layers.Dense(48, activation="tanh")(code)
drawn = layers.Dense(WIDTH, name="drawn")(x)
model = keras.Model(window, drawn, name="pump")
model.compile(keras.optimizers.Adam(0.003), "mse")
learn, keep = windows(normal[: 140 * RATE], 5), windows(normal[140 * RATE :], 8)
losses = model.fit(learn, learn, epochs=25, batch_size=64, verbose=0).history["loss"]
print(
    f"squared error {losses[0]:.3f} after the first epoch, {losses[-1]:.4f} after the last; the noise has {0.08**2:.4f}"
)
watchman = keras.Model(window, ops.mean(ops.square(window - drawn), axis=-1, keepdims=True), name="watchman")

# %% [markdown]
# Where does strange begin? Above every error of healthy windows that were not trained on, with half as much to spare.
# The faults are not used for it: one does not have them beforehand.

# %%
limit = 1.5 * watchman.predict(keep, verbose=0).max()
step = 16
scores = watchman.predict(windows(watched, step), verbose=0)[:, 0]
seconds = (np.arange(len(scores)) * step + WIDTH / 2) / RATE
alarm = scores > limit
faults = {"knock": (12, 12.1), "hum": (28, 32), "hanging sensor": (47, 49)}
half = WIDTH / RATE / 2
near = {name: (seconds > a - half) & (seconds < b + half) for name, (a, b) in faults.items()}
for name, part in near.items():
    print(f"{name:14} {alarm[part].mean():4.0%} of the windows that have some of it raise an alarm")
healthy = ~np.any(list(near.values()), axis=0)
print(f"healthy        {alarm[healthy].mean():4.0%} of {healthy.sum()} windows")

# %% [markdown]
# The sensor that hangs is seen at its edges only. A straight line is easy to draw, and so no anomaly by this measure:
# the error finds what is too rich for the code, never what is too poor. A second rule, that a signal must move, is a
# line.

# %%
figure, (above, below) = plt.subplots(2, 1, figsize=(9, 3.6), layout="constrained", sharex=True)
above.plot(np.arange(len(watched)) / RATE, watched, color="black", linewidth=0.3)
above.set_ylabel("signal")
below.semilogy(seconds, scores, color="#2f6db3", linewidth=1)
below.axhline(limit, color="#c0504d", linestyle="--", linewidth=1)
below.annotate("alarm above", (0.3, limit * 1.3), color="#c0504d")
below.set(xlabel="seconds", ylabel="error of drawing", xlim=(0, 60))
for name, (a, b) in faults.items():
    above.axvspan(a - 0.3, b + 0.3, color="#c0504d", alpha=0.2)
    above.annotate(name, ((a + b) / 2, 2.4), ha="center", color="#c0504d")
above.set_ylim(-2.6, 3.3)
for axis in (above, below):
    axis.spines[["top", "right"]].set_visible(False)
figure.savefig(out / "anomalies.png", dpi=70)

# %%
receipt = watchman.export(out / "watchman.onnx", output_name="error", metadata={"limit": f"{limit:.5f}"})
print(
    "\n".join(line for line in str(receipt).splitlines() if line.startswith(("nodes", "input", "output", "verified")))
)
served = seqc_runtime.load(out / "watchman.onnx").predict(windows(watched, step))[:, 0]
assert np.allclose(served, scores, rtol=1e-3, atol=1e-6)
assert np.array_equal(served > limit, alarm)
print("onnxruntime raises the same alarms")
