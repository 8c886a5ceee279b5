"""Convolutions of Keras 1, whose files do not say whether TensorFlow or Theano computed for it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from seqc.errors import SavingError
from seqc.saving import load_model

RNG = np.random.default_rng(4)


def written(path: Path, layers: list[tuple[str, dict[str, Any], list[Any]]], **attributes: str) -> Path:
    """Writes a file as Keras 1.2 did: a list of layers, and arrays by layer."""
    with h5py.File(path, "w") as file:
        described = [{"class_name": kind, "config": config} for kind, config, _ in layers]
        file.attrs.update(model_config=json.dumps({"class_name": "Sequential", "config": described}), **attributes)
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [config["name"].encode() for _, config, _ in layers]
        for _, config, arrays in layers:
            own = group.create_group(config["name"])
            names = [f"{config['name']}_{part}:0".encode() for part in "Wb"[: len(arrays)]]
            own.attrs["weight_names"] = names
            for name, array in zip(names, arrays, strict=True):
                own[name.decode()] = array
    return path


def convolution(size: int, order: str, filters: int = 4) -> tuple[str, dict[str, Any], list[Any]]:
    config = {"name": "conv", "nb_filter": filters, "nb_row": size, "nb_col": size, "subsample": [1, 1], "bias": True}
    config |= {"border_mode": "valid", "dim_ordering": order, "activation": "linear", "init": "glorot_uniform"}
    shape, kernel = (
        ([None, 5, 6, 3], (size, size, 3, filters)) if order == "tf" else ([None, 3, 5, 6], (filters, 3, size, size))
    )
    return (
        "Convolution2D",
        {**config, "batch_input_shape": shape},
        [RNG.normal(size=kernel).astype("float32"), RNG.normal(size=filters).astype("float32")],
    )


def correlated(x: Any, kernel: Any, bias: Any) -> Any:
    """Returns what a convolution without turning the kernel gives, for images that end with their channels."""
    rows, columns = (a - b + 1 for a, b in zip(x.shape[1:3], kernel.shape, strict=False))
    y = np.zeros((len(x), rows, columns, kernel.shape[-1]))
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            y += x[:, i : i + rows, j : j + columns] @ kernel[i, j].astype(float)
    return y + bias


@pytest.mark.parametrize("version", ["1.2.2", ""])
def test_kernels_in_the_order_of_tensorflow_are_taken_as_its_and_a_warning_says_so(
    version: str, tmp_path: Path
) -> None:
    layer = convolution(3, "tf")
    said = {"keras_version": version} if version else {}
    path = written(tmp_path / "m.h5", [layer], **said)
    with pytest.warns(UserWarning, match="of Keras 1, which did not say .* kernels of conv are taken as TensorFlow"):
        model = load_model(path)
    x = RNG.normal(size=(2, 5, 6, 3)).astype("float32")
    np.testing.assert_allclose(model.predict(x, verbose=0), correlated(x, *layer[2]), rtol=1e-5, atol=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_model(written(tmp_path / "known.h5", [layer], backend="tensorflow", **said))
        load_model(written(tmp_path / "one.h5", [convolution(1, "tf")], **said))  # one pixel has no way around


@pytest.mark.parametrize("said", [{"keras_version": "1.2.2"}, {}])
def test_kernels_in_the_order_of_theano_are_refused_by_name(said: Any, tmp_path: Path) -> None:
    layer = convolution(3, "th")
    with pytest.raises(SavingError, match=r"layer 'conv' was computed by Theano.* turned the kernels .* and save it"):
        load_model(written(tmp_path / "m.h5", [layer], **said))


def test_kernels_of_one_pixel_and_those_that_tensorflow_computed_are_brought_into_order(tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 3, 5, 6)).astype("float32")
    known = {"keras_version": "1.2.2", "backend": "tensorflow"}
    # Where all sizes are the same, shapes do not say which order it is.
    for size, filters, said in ((1, 4, {"keras_version": "1.2.2"}), (3, 4, known), (3, 3, known)):
        layer = convolution(size, "th", filters)
        model = load_model(written(tmp_path / f"{size}{filters}.h5", [layer], **said))
        kernel, bias = layer[2]
        expected = correlated(np.moveaxis(x, 1, -1), kernel.transpose(2, 3, 1, 0), bias)
        found = np.moveaxis(model.predict(x, verbose=0), 1, -1)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_sequence_of_keras_1_has_kernels_with_an_axis_more(tmp_path: Path) -> None:
    config = {"name": "conv", "nb_filter": 4, "filter_length": 2, "subsample_length": 1, "border_mode": "valid"}
    config |= {"input_dim": 3, "batch_input_shape": [None, 5, 3], "init": "uniform", "bias": True}
    kernel, bias = RNG.normal(size=(2, 1, 3, 4)).astype("float32"), np.zeros(4, "float32")
    path = written(tmp_path / "m.h5", [("Convolution1D", config, [kernel, bias])], keras_version="1.2.2")
    with pytest.warns(UserWarning, match="taken as TensorFlow has them"):
        model = load_model(path)
    x = RNG.normal(size=(2, 5, 3)).astype("float32")
    expected = correlated(x[:, :, None], kernel, bias)[:, :, 0]
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-5)
