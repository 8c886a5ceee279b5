"""Records a model with many layers in it, in the files of a Keras 3, or of the package that RECORD_WITH names.

    python tests/kit/record_layer_files.py tests/cases/layer_files.zip [NAME ...]

`kit.record_versions` runs it with the oldest and the newest there are, and some between, and puts together what comes
of it: the archive has `VERSION.keras`, `.h5` and `.npz`. All weights are random. NAMEs are the classes to take, all by
default; what that Keras does not have, or cannot write, is left out.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "jax")
keras: Any = importlib.import_module(os.environ.get("RECORD_WITH", "keras"))
L = keras.layers
SHAPES = {"vector": (6,), "sequence": (5, 4), "image": (6, 6, 3), "volume": (4, 4, 4, 2), "ids": (5,)}
IDS = 7
Make = Callable[[], Any]


def rows() -> list[tuple[str, Make]]:
    """Returns layers with the input that each takes."""
    found: list[tuple[str, Make]] = []
    for name in ("elu", "selu", "gelu", "hard_sigmoid", "leaky_relu", "relu6", "silu", "softsign", "mish"):
        found.append(("vector", lambda name=name: L.Activation(name)))
    found.append(("vector", lambda: L.Activation("log_softmax")))
    vector: list[Make] = [
        lambda: L.Dense(3, activation="tanh", kernel_regularizer="l2"),
        lambda: L.BatchNormalization(),
        lambda: L.LayerNormalization(),
        lambda: L.UnitNormalization(),
        lambda: L.ELU(0.5),
        lambda: L.LeakyReLU(),
        lambda: L.PReLU(),
        lambda: L.ReLU(max_value=1.0),
        lambda: L.Softmax(),
        lambda: L.Rescaling(0.5, offset=1.0),
        lambda: L.Normalization(mean=[1.0] * 6, variance=[2.0] * 6),
        lambda: L.RepeatVector(2),
        lambda: L.Reshape((2, 3)),
        lambda: L.Dropout(0.5),
        lambda: L.GaussianNoise(0.1),
        lambda: L.AlphaDropout(0.1),
        lambda: L.ActivityRegularization(l2=0.1),
        lambda: L.Discretization([-0.5, 0.5]),
        lambda: L.RMSNormalization(),
        lambda: L.GaussianDropout(0.2),
        lambda: L.Identity(),
    ]
    sequence: list[Make] = [
        lambda: L.LSTM(3, return_sequences=True, recurrent_activation="hard_sigmoid"),
        lambda: L.GRU(3),
        lambda: L.GRU(3, reset_after=False, go_backwards=True),
        lambda: L.SimpleRNN(3),
        lambda: L.Bidirectional(L.GRU(2), merge_mode="sum"),
        lambda: L.RNN(L.LSTMCell(3)),
        lambda: L.TimeDistributed(L.Dense(2)),
        lambda: L.Conv1D(3, 2, padding="causal", dilation_rate=2),
        lambda: L.SeparableConv1D(3, 2),
        lambda: L.DepthwiseConv1D(2),
        lambda: L.Conv1DTranspose(2, 2, strides=2),
        lambda: L.MaxPooling1D(),
        lambda: L.AveragePooling1D(2),
        lambda: L.GlobalMaxPooling1D(),
        lambda: L.ZeroPadding1D(1),
        lambda: L.Cropping1D(1),
        lambda: L.UpSampling1D(2),
        lambda: L.Permute((2, 1)),
        lambda: L.Flatten(),
        lambda: L.SpatialDropout1D(0.2),
        lambda: L.AdaptiveAveragePooling1D(2),
        lambda: L.AdaptiveMaxPooling1D(2),
        lambda: L.GlobalAveragePooling1D(),
        lambda: L.Masking(0.5),
        lambda: L.STFTSpectrogram("magnitude", frame_length=4, frame_step=2, fft_length=4),
        lambda: L.RNN([L.GRUCell(3), L.SimpleRNNCell(2)]),
        lambda: L.EinsumDense("abc,cd->abd", output_shape=(None, 3), bias_axes="d"),
    ]
    image: list[Make] = [
        lambda: L.Conv2D(4, 3, strides=2, padding="same"),
        lambda: L.Conv2D(6, 2, groups=3),
        lambda: L.Conv2DTranspose(2, 3, strides=2, padding="same"),
        lambda: L.DepthwiseConv2D(2, depth_multiplier=2),
        lambda: L.SeparableConv2D(3, 2),
        lambda: L.BatchNormalization(axis=1),
        lambda: L.GroupNormalization(3),
        lambda: L.MaxPooling2D(),
        lambda: L.AveragePooling2D(2, padding="same"),
        lambda: L.GlobalAveragePooling2D(keepdims=True),
        lambda: L.ZeroPadding2D(((1, 0), (0, 2))),
        lambda: L.Cropping2D(1),
        lambda: L.UpSampling2D(2),
        lambda: L.PReLU(shared_axes=[1, 2]),
        lambda: L.CenterCrop(4, 4),
        lambda: L.Resizing(3, 3),
        lambda: L.AdaptiveAveragePooling2D((2, 3)),
        lambda: L.AdaptiveMaxPooling2D(2),
        lambda: L.GlobalMaxPooling2D(),
        lambda: L.SpatialDropout2D(0.2),
        lambda: L.SpectralNormalization(L.Conv2D(2, 2)),
        lambda: L.ConvLSTM1D(2, 2, padding="same"),
    ]
    ids: list[Make] = [
        lambda: L.Embedding(IDS, 3),
        lambda: L.CategoryEncoding(IDS, output_mode="multi_hot"),
    ]
    volume: list[Make] = [
        lambda: L.Conv3D(2, 2),
        lambda: L.Conv3DTranspose(2, 2, strides=2),
        lambda: L.MaxPooling3D(),
        lambda: L.AveragePooling3D(2),
        lambda: L.GlobalAveragePooling3D(),
        lambda: L.GlobalMaxPooling3D(),
        lambda: L.AdaptiveAveragePooling3D(2),
        lambda: L.AdaptiveMaxPooling3D(2),
        lambda: L.UpSampling3D(2),
        lambda: L.ZeroPadding3D(1),
        lambda: L.Cropping3D(1),
        lambda: L.SpatialDropout3D(0.2),
        lambda: L.ConvLSTM2D(2, 2),
    ]
    listed = {"vector": vector, "sequence": sequence, "image": image, "volume": volume, "ids": ids}
    for name, makes in listed.items():
        found += [(name, make) for make in makes]
    return found


def build(known: set[str]) -> Any:
    """Returns the model.

    Args:
        known: names of the classes to take; empty for all.
    """
    inputs = {
        name: keras.Input(shape, name=name, dtype="int32" if name == "ids" else "float32")
        for name, shape in SHAPES.items()
    }
    outputs = []
    for name, make in rows():
        try:
            layer = make()
            if not known or type(layer).__name__ in known:
                outputs.append(layer(inputs[name]))
        except Exception as error:
            print("left out:", error)
    x = inputs["sequence"]
    outputs += [L.MultiHeadAttention(2, 2)(x, x), L.Attention()([x, x]), L.Dot(axes=2)([x, x])]
    y = L.Rescaling(0.5)(x)
    outputs += [merge()([x, y]) for merge in (L.Concatenate, L.Average, L.Subtract, L.Add, L.Multiply, L.Maximum)]
    outputs += [L.Minimum()([x, y]), L.AdditiveAttention()([x, y])]
    if hasattr(L, "GroupQueryAttention"):
        outputs.append(L.GroupQueryAttention(2, 2, 1)(x, y))
    return keras.Model(list(inputs.values()), outputs, name="layers")


def main(target: str, known: set[str]) -> None:
    rng, version = np.random.default_rng(3), keras.__version__
    model = build(known)
    for weight in model.weights:
        low, high = (0.5, 2.0) if "variance" in getattr(weight, "path", weight.name) else (-1.0, 1.0)
        weight.assign(rng.uniform(low, high, weight.shape).astype("float32"))
    xs = [rng.normal(size=(2, *shape)).astype("float32") for shape in SHAPES.values()]
    xs[-1] = rng.integers(0, IDS, xs[-1].shape).astype("int32")
    arrays = {f"x{i:02}": x for i, x in enumerate(xs)}
    arrays |= {f"y{i:03}": np.asarray(y) for i, y in enumerate(model.predict(xs, verbose=0))}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive, tempfile.TemporaryDirectory() as folder:
        archive.writestr(f"{version}.npz", buffer.getvalue())
        for ending in (".keras", ".h5"):
            path = Path(folder) / f"{version}{ending}"
            try:
                model.save(path)
            except Exception as error:  # Keras 3.0 cannot write all of it as `.h5`
                print("left out:", path.name, error)
                continue
            archive.write(path, path.name)


if __name__ == "__main__":
    main(sys.argv[1], set(sys.argv[2:]))
