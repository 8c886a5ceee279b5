"""What each program of this folder does at its end: it says what came out, as one line of JSON."""

import json
import os
import sys
import zlib
from pathlib import Path

import numpy as np


def settle(model, seed=1):
    """Gives the model's kernels numbers of NumPy's, so that a program begins the same wherever it runs.

    Vectors keep what their layers begin with, zeros and ones mostly.
    """
    rng = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        if len(weight.shape) > 1:
            fan = np.prod(weight.shape[:-1]) + weight.shape[-1]
            weight.assign(rng.normal(0, np.sqrt(2 / fan), weight.shape).astype("float32"))
    return model


def report(model, inputs, exact=None, reached=None, predicted=None):
    """Prints the results of a program.

    Args:
        model: what was trained. inputs: what it predicts from at the end.
        exact: numbers, texts, lists and arrays by their names, which have to be the same wherever the program runs.
        reached: (number, least number wanted) by name, where random draws differ.
        predicted: what it predicts, where the program has asked already.

    The program fails where a number is less than wanted. Where the variable COMPAT_EXPORT names a folder, the model is
    exported there as ONNX, beside the inputs and what it predicts from them.
    """
    predicted = model.predict(inputs, verbose=0) if predicted is None else predicted
    outputs = _flat(predicted)
    told = {
        "parameters": model.count_params(),
        "layers": [_named(layer) for layer in model.layers],
        "weights": [list(weight.shape) for weight in model.get_weights()],
        "outputs": [list(np.shape(output)) for output in outputs],
    }
    exact = dict(exact or {})
    if reached:
        told["reached"] = sorted(reached)
        for name, (found, wanted) in reached.items():
            if not found >= wanted:
                sys.exit(f"{name} is {found}; {wanted} is wanted")
    else:
        exact["predictions"] = outputs
    print(json.dumps({**told, "exact": _shortened(exact)}))
    folder = os.environ.get("COMPAT_EXPORT")
    if folder:
        _export(model, inputs, predicted, Path(folder))


def _named(layer):
    kind = type(layer).__name__
    # Where a model begins within another one, Keras calls its inputs after a count of all tensors there ever were.
    return kind if kind == "InputLayer" else f"{kind} {layer.name}"


def _flat(values):
    if isinstance(values, dict):
        values = [values[name] for name in sorted(values)]  # some backends sort them
    return [leaf for value in values for leaf in _flat(value)] if isinstance(values, (list, tuple)) else [values]


def _shortened(value):
    """Says an array by its shape and a few numbers that no other array is likely to have, others as they are."""
    if isinstance(value, dict):
        return {name: _shortened(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shortened(part) for part in value]
    if isinstance(value, (str, bool, int)):
        return value
    value = np.asarray(value)
    if value.ndim == 0:
        return value.item()
    if value.dtype.kind not in "fiub":
        return [str(value.shape), zlib.crc32(" ".join(map(str, value.ravel())).encode())]
    wave = np.cos(np.arange(value.size)).reshape(value.shape)
    return [*value.shape, *(float(x) for x in (value.mean(), np.sqrt(np.square(value).mean()), (value * wave).mean()))]


def _export(model, inputs, outputs, folder):
    for kind, values in (("inputs", inputs), ("outputs", outputs)):
        given = values if isinstance(values, dict) else dict(enumerate(_flat(values)))
        arrays = {str(name): np.asarray(value) for name, value in given.items()}
        arrays = {name: a.astype(str) if a.dtype == object else a for name, a in arrays.items()}
        np.savez(folder / f"{kind}.npz", **arrays)
    model.export(folder / "model.onnx", format="onnx")
