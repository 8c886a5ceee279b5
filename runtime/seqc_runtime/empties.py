"""Inputs that hold no element, which some operators of onnxruntime do not survive."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Mapping
from typing import Any

import numpy as np

from seqc_runtime.batches import find_batch
from seqc_runtime.errors import RuntimeInputError
from seqc_runtime.inputs import Array, Sizes, is_empty
from seqc_runtime.tensors import TensorInfo, format_shape

# Operators that crash on, or never end with, one input or another that is empty: found by giving every operator of
# onnxruntime 1.32 and of 1.20 empty inputs of each form (RNN only in the older).
_DEADLY = frozenset(
    {
        "AttnLSTM",
        "ConvTranspose",
        "ConvTransposeWithDynamicPads",
        "DynamicQuantizeLSTM",
        "FeatureVectorizer",
        "GRU",
        "Inverse",
        "LSTM",
        "MaxpoolWithMask",
        "MultiHeadAttention",
        "QAttention",
        "RNN",
        "RotaryEmbedding",
        "STFT",
        "SkipLayerNormalization",
        "SkipSimplifiedLayerNormalization",
        "Unique",
    }
)
# These do so with an empty kernel only, which has to come through an input of its own.
_DEADLY_KERNEL = frozenset({"CausalConvWithState", "Conv", "ConvInteger", "FusedConv", "QLinearConv"})


# These refuse them.
_PARTICULAR = frozenset({"StringNormalizer"})

# These did so in 1.20, and no longer do in 1.32.
_ONCE_DEADLY = frozenset({"BiasGelu", "DFT", "Einsum", "FastGelu", "GroupQueryAttention", "LRN", "OneHot", "TopK"})
_MENDED = (1, 32)


def is_deadly(operators: set[str], inputs: int, release: str) -> bool:
    """Whether a model of these operators and this number of inputs must not get empty ones from this onnxruntime."""
    if release_of(release) < _MENDED and not _ONCE_DEADLY.isdisjoint(operators):
        return True
    return not (_DEADLY | _PARTICULAR).isdisjoint(operators) or (
        inputs > 1 and not _DEADLY_KERNEL.isdisjoint(operators)
    )


def release_of(text: str) -> tuple[int, ...]:
    """("1", "32") of "1.32.0.dev1" as numbers; of what is no release, none, which is before all others."""
    found = re.match(r"(\d+)\.(\d+)", text)
    return tuple(map(int, found.groups())) if found else ()


def blanks_of(operators: set[str]) -> str:
    """The characters of which texts have no words that a model of these operators must not get; "" where it may.

    Files that seqc wrote at first split them into no words at all, over which a deadly operator ran. Those that it
    writes now take the larger one of one and the number of words. Punctuation was left out by a loop.
    """
    if "StringSplit" not in operators or "Max" in operators or _DEADLY.isdisjoint(operators):
        return ""
    return string.whitespace + (string.punctuation if "Loop" in operators else "")


def refuse_wordless(feeds: Mapping[str, Any], blanks: str) -> None:
    """Raises RuntimeInputError for texts of which none has a character that is not among `blanks`."""
    for name, value in feeds.items():
        texts = value.ravel().tolist() if isinstance(value, np.ndarray) and value.dtype.kind in "OU" else []
        if texts and not any(str(text).strip(blanks) for text in texts):
            raise RuntimeInputError(
                f"no text in input {name!r} has a word, and over none onnxruntime would end the process: pass one that "
                "has, or export the model again with a newer seqc"
            )


def empty_outputs(
    feeds: Mapping[str, Array], sizes: Sizes, inputs: tuple[TensorInfo, ...], outputs: tuple[TensorInfo, ...]
) -> list[Array]:
    """What the model returns for inputs that hold no element, without running it: outputs that hold none either.

    Raises RuntimeInputError when an output would hold elements, or its shape does not follow from the inputs'.
    """
    for info in outputs:
        if info.kind != "tensor":
            raise RuntimeInputError(
                f"{_what_is_empty(feeds)} holds no elements, and what output {info.name!r}, a {info}, would be is not "
                "known: pass at least one sample"
            )
    rows = _batch_size(feeds, inputs, outputs)
    shapes = [_empty_shape(info, feeds, sizes, rows) for info in outputs]
    for info, shape in zip(outputs, shapes, strict=True):
        if math.prod(shape):
            raise RuntimeInputError(
                f"{_what_is_empty(feeds)} holds no elements, but output {info.name!r} {info} would hold "
                f"{math.prod(shape)}: give every axis except the batch at least one element"
            )
    try:
        return [np.empty(shape, info.numpy_dtype) for info, shape in zip(outputs, shapes, strict=True)]
    except ValueError as error:
        raise RuntimeInputError(f"an output would have a shape that NumPy cannot hold: {error}") from error


def _empty_shape(info: TensorInfo, feeds: Mapping[str, Array], sizes: Sizes, rows: int | None) -> tuple[int, ...]:
    shape: list[int] = []
    for number, axis in enumerate(info.shape):
        if isinstance(axis, int):
            shape.append(axis)
        elif axis in sizes:
            shape.append(sizes[axis])
        elif number == 0 and rows == 0:
            shape.append(0)
        else:
            raise RuntimeInputError(
                f"{_what_is_empty(feeds)} holds no elements, and the size of axis {number} ({axis!r}) of output "
                f"{info.name!r} {info} does not follow from the inputs: pass at least one sample"
            )
    return tuple(shape)


def _what_is_empty(feeds: Mapping[str, Array]) -> str:
    name, value = next((name, value) for name, value in feeds.items() if is_empty(value))
    return f"input {name!r} {format_shape(value.shape) if isinstance(value, np.ndarray) else 'of arrays'}"


def _batch_size(
    feeds: Mapping[str, Array], inputs: tuple[TensorInfo, ...], outputs: tuple[TensorInfo, ...]
) -> int | None:
    """Rows along the batch axis; None when that is not symbolic."""
    batch = find_batch(inputs, outputs)
    return None if batch is None or isinstance(batch.size, int) else feeds[batch.inputs[0]].shape[0]
