"""The half of the interoperation tests that runs under real Keras: `python keras_side.py open|make FOLDER ENDING`."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np

BATCHES, ROWS = 3, 8


def optimizers(keras: Any) -> dict[str, Any]:
    """Returns one optimizer per kind of state that a file can hold."""
    o = keras.optimizers
    decay = o.schedules.ExponentialDecay(0.05, 2, 0.5)
    found = {
        "sgd": o.SGD(0.05),
        "momentum": o.SGD(0.05, momentum=0.9, nesterov=True),
        "adam": o.Adam(0.01),
        "amsgrad": o.Adam(0.01, amsgrad=True),
        "schedule": o.Adam(decay),
        "ema": o.SGD(0.05, use_ema=True, ema_momentum=0.9),
        "accumulate": o.SGD(0.05, gradient_accumulation_steps=2),
        "clipped": o.Adam(0.01, global_clipnorm=0.1, weight_decay=0.01),
        "scaled": o.LossScaleOptimizer(o.Adam(0.01), initial_scale=4.0, dynamic_growth_steps=3),
        "several": o.MultiOptimizer(o.OptimizerMap(o.SGD(0.05, momentum=0.9), {".*kernel": o.Adam(0.01)})),
    }
    for name in (
        "RMSprop", "AdamW", "Adagrad", "Adadelta", "Adamax", "Nadam", "Ftrl", "Lion", "Lamb", "Adafactor", "Muon",
        "ScheduleFreeAdamW",
    ):  # fmt: skip
        found[name.lower()] = getattr(o, name)(0.01)
    return found


def models(keras: Any) -> dict[str, Any]:
    """Returns compiled models by name; the same code runs under Keras and under seqc."""
    layers = keras.layers

    def mlp() -> Any:
        return keras.Sequential([keras.Input((4,)), layers.Dense(5, activation="tanh"), layers.Dense(2)])

    made = {}
    for name, optimizer in optimizers(keras).items():
        made[f"mlp_{name}"] = mlp()
        made[f"mlp_{name}"].compile(optimizer, "mse", metrics=["mae"])
    cnn = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(3, 3, padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.9),
            layers.Activation("relu"),
            layers.MaxPooling2D(),
            keras.Sequential([layers.Conv2D(2, 2, kernel_regularizer=keras.regularizers.L2(0.01)), layers.Flatten()]),
            layers.Dense(3, activation="softmax"),
        ],
        name="cnn",
    )
    cnn.compile("adam", keras.losses.SparseCategoricalCrossentropy(), weighted_metrics=["accuracy"])
    growing = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.SeparableConv2D(3, 3, strides=2, padding="same", pointwise_regularizer="l2"),
            layers.DepthwiseConv2D(2, padding="same", depth_multiplier=2, activation="relu"),
            layers.ZeroPadding2D(((1, 0), (0, 1))),
            layers.Conv2DTranspose(3, 3, strides=2, padding="same", output_padding=1),
            layers.UpSampling2D(2, interpolation="bilinear"),
            layers.LeakyReLU(0.1),
            layers.GlobalMaxPooling2D(),
            layers.Dense(3, activation="softmax"),
        ],
        name="growing",
    )
    growing.compile(keras.optimizers.SGD(0.1, momentum=0.5), "sparse_categorical_crossentropy")
    sequence = keras.Sequential(
        [
            keras.Input((7, 3)),
            layers.Conv1DTranspose(4, 3, strides=2, activation="tanh"),
            layers.MaxPooling1D(2),
            layers.AveragePooling1D(3, strides=2, padding="same"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(3, activation="softmax"),
        ],
        name="sequence",
    )
    sequence.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    sound = keras.Sequential(
        [
            keras.Input((300,)),
            layers.MelSpectrogram(64, 16, sampling_rate=800, num_mel_bins=8),
            layers.Rescaling(0.05),
            layers.Reshape((8, 19, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ],
        name="sound",
    )
    sound.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    spectrogram = keras.Sequential(
        [
            keras.Input((60, 2)),
            layers.STFTSpectrogram("psd", 12, 5, padding="same", expand_dims=True),
            layers.Conv2D(4, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ],
        name="spectrogram",
    )
    spectrogram.compile(keras.optimizers.SGD(0.1, momentum=0.5), "sparse_categorical_crossentropy")
    lstm = keras.Sequential(
        [
            keras.Input((5, 3)),
            layers.Masking(),
            layers.LSTM(4, return_sequences=True),
            layers.TimeDistributed(layers.Dense(3)),
            layers.LSTM(2),
            layers.Dense(1, activation="sigmoid", kernel_constraint=keras.constraints.MaxNorm(1.0)),
        ],
        name="lstm",
    )
    lstm.compile(keras.optimizers.SGD(0.1, momentum=0.5), "binary_crossentropy", metrics=["accuracy"])
    frozen = mlp()
    frozen.layers[0].trainable = False
    frozen.compile("adam", "mse")
    others = (cnn, growing, sequence, sound, spectrogram, lstm)
    return made | {model.name: model for model in others} | {"frozen": frozen}


def data(name: str) -> tuple[Any, Any]:
    """Returns the batches a model trains on."""
    rng = np.random.default_rng(7)
    shapes = {
        "cnn": (6, 6, 1), "growing": (6, 6, 2), "sequence": (7, 3), "lstm": (5, 3), "sound": (300,),
        "spectrogram": (60, 2),
    }  # fmt: skip
    x = rng.normal(size=(BATCHES, ROWS, *shapes.get(name, (4,)))).astype("float32")
    if name in ("cnn", "growing", "sequence", "sound", "spectrogram"):
        return x, rng.integers(0, 3, (BATCHES, ROWS))
    if name == "lstm":
        return x, rng.integers(0, 2, (BATCHES, ROWS, 1)).astype("float32")
    return x, rng.normal(size=(BATCHES, ROWS, 2)).astype("float32")


def train(model: Any, name: str) -> list[float]:
    """Trains on all batches and returns the losses."""
    return [float(model.train_on_batch(x, y, return_dict=True)["loss"]) for x, y in zip(*data(name), strict=True)]


def state(model: Any, prefix: str) -> dict[str, Any]:
    """Returns weights and optimizer variables by name."""
    found = {f"{prefix}_w{i}": w for i, w in enumerate(model.get_weights())}
    if getattr(model, "compiled", False):
        found |= {f"{prefix}_o{i}": np.asarray(v.numpy()) for i, v in enumerate(model.optimizer.variables)}
    return found


def gives_texts(model: Any) -> bool:
    """Tells whether a stack ends in words that stand for numbers."""
    return (
        bool(model.layers) and getattr(model.layers[-1], "vocabulary_dtype", "") == "string" and model.layers[-1].invert
    )


def opened(keras: Any, path: Path) -> dict[str, Any]:
    """Opens a file, computes on the inputs beside it and goes on training if it was trained."""
    model = keras.saving.load_model(path)
    found = state(model, "loaded")
    inputs = path.with_suffix(".npz")
    if inputs.exists() or path.suffix == ".h5":  # Keras does not train on from such a file, not even from its own
        x = np.load(inputs)["x"] if inputs.exists() else data(path.stem)[0][0]
        if keras.backend.backend() != "tensorflow" and (x.dtype.kind == "U" or gives_texts(model)):
            return found  # no other backend has strings
        y = np.asarray(model(x, training=False))
        # A type that no .npz file has.
        found["y"] = y.astype("float32") if y.dtype.name == "bfloat16" else y
    else:
        found["losses"] = np.array(train(model, path.stem))
        found |= state(model, "after")
    return found


def made(name: str, model: Any, folder: Path, ending: str) -> dict[str, Any]:
    """Trains a model, saves it, goes on training and returns what came out."""
    train(model, name)
    model.save(folder / f"{name}{ending}")
    before = state(model, "loaded")
    return before | {"losses": np.array(train(model, name))} | state(model, "after")


def main(mode: str, folder: Path, ending: str) -> None:
    import keras

    failures = {}
    jobs: dict[str, Any] = {}
    if mode == "open":
        jobs = {path.stem: lambda path=path: opened(keras, path) for path in sorted(folder.glob(f"*{ending}"))}
    else:
        jobs = {n: lambda n=n, m=m: made(n, m, folder, ending) for n, m in models(keras).items()}
    for name, job in jobs.items():
        try:
            np.savez(folder / f"{name}.out.npz", **job())
        except Exception:
            failures[name] = traceback.format_exc()[-2000:]
    (folder / "failures.json").write_text(json.dumps(failures))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
