"""Whole models as HDF5, as Keras kept them before `.keras`: for programs that still ask for it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

from seqc import tree
from seqc._version import __version__
from seqc.errors import SavingError
from seqc.graph.ir import Array
from seqc.graph.tracing import Variable
from seqc.model import Model
from seqc.saving.arrays import widened
from seqc.saving.h5 import require_h5py
from seqc.saving.model_config import KERAS_VERSION, model_config
from seqc.saving.vocabularies import refuse_learned

# Longer lists of names are split, as HDF5 does not take attributes beyond 64 KiB.
_MOST_NAMES_BYTES = 64_512
_TOP = "top_level_model_weights"
# Losses that Keras 3 writes into such a file under these names and does not find when it reads it.
_LONG_NAMES = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
}


def write_h5(model: Model, with_optimizer: bool, target: BinaryIO) -> None:
    """Writes a whole-model HDF5 file.

    Args:
        model: the model. with_optimizer: whether the state of its optimizer comes along. target: where to.

    Raises:
        SavingError: the model could not be loaded again, or holds what such a file has no place for.
    """
    refuse_learned(model)
    config = model_config(model)
    training = config.pop("compile_config", None)
    buffer = io.BytesIO()
    with require_h5py().File(buffer, "w") as file:
        # Readers take from the backend how kernels are turned; seqc's are turned as TensorFlow's.
        file.attrs.update(keras_version=KERAS_VERSION, backend="tensorflow", written_by=f"seqc {__version__}")
        file.attrs["model_config"] = json.dumps(config)
        _write_layers(file.create_group("model_weights"), model)
        if model.compiled and training:
            file.attrs["training_config"] = json.dumps(_training(training))
            if with_optimizer:
                _write_arrays(file.create_group("optimizer_weights"), _named(model.optimizer.variables))
    target.write(buffer.getvalue())


def _training(compiled: Mapping[str, Any]) -> dict[str, Any]:
    optimizer = compiled["optimizer"]
    if not isinstance(optimizer, Mapping):
        raise SavingError(f"The optimizer {optimizer!r} has no place in an `.h5` file. Save the model as `.keras`.")
    named = {"class_name": optimizer.get("registered_name") or optimizer["class_name"], "config": optimizer["config"]}
    given = {key: value for key, value in compiled.items() if key != "optimizer"}
    return {**given, "loss": tree.map_structure(_long_name, given.get("loss")), "optimizer_config": named}


def _long_name(loss: Any) -> Any:
    return _LONG_NAMES.get(loss, loss) if isinstance(loss, str) else loss


def _write_layers(group: Any, model: Model) -> None:
    layers = model.layers
    for layer in layers:
        if layer.name in ("", ".", "..", _TOP) or "/" in layer.name:
            raise SavingError(
                f"A layer called {layer.name!r} has no place in an `.h5` file. Save the model as `.keras`."
            )
    group.attrs.update(keras_version=KERAS_VERSION, backend="tensorflow")
    _write_names(group, "layer_names", [layer.name for layer in layers])
    for layer in layers:
        _write_arrays(group.create_group(layer.name), _named(layer._weights_by_kind()))
    _write_arrays(group.create_group(_TOP), _named(model._own_weights()))


def _named(variables: Sequence[Variable]) -> dict[str, Array]:
    """Returns arrays by the paths of their variables, none of which may be inside another."""
    found: dict[str, Array] = {}
    folders: set[str] = set()
    for variable in variables:
        path = "/".join(part for part in variable.path.split("/") if part not in ("", ".", ".."))
        while path in found or path in folders or any(f"{'/'.join(p)}" in found for p in _above(path)):
            path += "_"
        found[path] = widened(variable.numpy())
        folders |= {"/".join(p) for p in _above(path)}
    return found


def _above(path: str) -> list[list[str]]:
    parts = path.split("/")
    return [parts[:i] for i in range(1, len(parts))]


def _write_arrays(group: Any, arrays: Mapping[str, Array]) -> None:
    _write_names(group, "weight_names", list(arrays))
    for name, array in arrays.items():
        group[name] = array


def _write_names(group: Any, attribute: str, names: list[str]) -> None:
    listed = [name.encode() for name in names]
    longest = max(map(len, listed), default=1)
    if longest > _MOST_NAMES_BYTES:
        raise SavingError(f"A name of {longest} bytes has no place in an `.h5` file. Save the model as `.keras`.")
    size = max(1, _MOST_NAMES_BYTES // longest)
    chunks = [listed[i : i + size] for i in range(0, len(listed), size)]
    for i, chunk in enumerate(chunks or [[]]):
        group.attrs[attribute if len(chunks) < 2 else f"{attribute}{i}"] = np.array(chunk, f"S{longest}")
