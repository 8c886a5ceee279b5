"""Arrays of layers that older Keras kept in another form: gates apart, kernels with an axis more, cuDNN's order.

What a layer's arrays are is told by their number and shapes. Keras 2 converted the same on loading.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from seqc.graph.ir import Array
from seqc.saving.arrays import StoredArray

# Of Keras 1: how many arrays a layer has, and in which order its gates stand in today's.
_GATES = {"LSTM": (12, (0, 2, 1, 3)), "GRU": (9, (0, 1, 2))}


def converted(layer: Any, arrays: list[StoredArray], first: bool = False) -> list[StoredArray]:
    """Returns the arrays of a layer in today's form.

    Args:
        layer: the layer that they are for. arrays: as the file has them. first: whether Keras 1 is known to be their
        writer; otherwise their shapes tell.
    """
    kind = type(layer).__name__
    if kind == "Bidirectional":
        half = len(arrays) // 2
        return converted(layer.forward_layer, arrays[:half]) + converted(layer.backward_layer, arrays[half:])
    if kind == "TimeDistributed":
        return converted(layer.layer, arrays, first)
    if kind in _GATES and len(arrays) == _GATES[kind][0]:
        return _joined(_GATES[kind][1], arrays)
    if kind in ("LSTM", "GRU") and len(arrays) == 3 and _is_cudnn(layer, arrays):
        return _from_cudnn(kind, layer.units, arrays)
    if kind == "Conv1D" and arrays and len(arrays[0].shape) == 4 and arrays[0].shape[1] == 1:
        (k, _, *channels) = arrays[0].shape
        return [_made(arrays[0], (k, *channels), lambda w: w[:, 0]), *arrays[1:]]
    if kind in ("Conv2D", "Conv3D") and arrays and _is_channels_first(layer, arrays[0], first):
        rank = len(arrays[0].shape)
        axes = (*range(2, rank), 1, 0)
        shape = tuple(arrays[0].shape[a] for a in axes)
        return [_made(arrays[0], shape, lambda w: np.transpose(w, axes)), *arrays[1:]]
    return arrays


def _made(array: StoredArray, shape: tuple[int, ...], change: Callable[[Array], Array]) -> StoredArray:
    return StoredArray(array.name, shape, array.dtype, lambda: change(array.read()))


def _joined(order: tuple[int, ...], arrays: list[StoredArray]) -> list[StoredArray]:
    """Returns kernel, recurrent kernel and bias of gates that stand apart, three arrays each."""
    found = []
    for i, name in enumerate(("kernel", "recurrent_kernel", "bias")):
        parts = [arrays[3 * gate + i] for gate in order]
        shape = (*parts[0].shape[:-1], sum(p.shape[-1] if p.shape else 0 for p in parts))
        read = lambda parts=parts: np.concatenate([p.read() for p in parts], -1)  # noqa: E731
        found.append(StoredArray(name, shape, parts[0].dtype, read))
    return found


def _is_cudnn(layer: Any, arrays: list[StoredArray]) -> bool:
    """A layer of cuDNN had a bias for each of the two products, one after the other."""
    gates = 4 if type(layer).__name__ == "LSTM" else 3
    return bool(arrays[2].shape == (2 * gates * layer.units,))


def _from_cudnn(kind: str, units: int, arrays: list[StoredArray]) -> list[StoredArray]:
    """Returns kernel, recurrent kernel and bias; cuDNN's products had their matrices the other way around."""
    kernel, recurrent, bias = arrays
    gates = bias.shape[0] // (2 * units)

    def turned(w: Array) -> Array:
        return np.hstack([k.T.reshape(k.shape, order="F") for k in np.hsplit(w, gates)])

    def transposed(w: Array) -> Array:
        return np.hstack([k.T for k in np.hsplit(w, gates)])

    both = (2, bias.shape[0] // 2)
    shape, join = (both[1:], lambda b: b.reshape(both).sum(0)) if kind == "LSTM" else (both, lambda b: b.reshape(both))
    return [
        _made(kernel, kernel.shape, turned),
        _made(recurrent, recurrent.shape, transposed),
        _made(bias, shape, join),
    ]


def _is_channels_first(layer: Any, kernel: StoredArray, first: bool) -> bool:
    """Keras 1 kept kernels for images that begin with their channels as (filters, channels, ...)."""
    if getattr(layer, "data_format", None) != "channels_first" or not layer.weights:
        return False
    wanted, found = layer.weights[0].shape, kernel.shape
    return bool((first or wanted != found) and wanted == (*found[2:], found[1], found[0]))
