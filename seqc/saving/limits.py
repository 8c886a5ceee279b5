"""How much a model file may ask for. Whatever it says, time is linear in its size and memory bounded by it.

A file of Keras's is stored as it is; reading it takes at most four times its size. One that was compressed may unpack
to `room` of its size, and its arrays may take that much again. Everything else that a file only describes - weights
that it does not hold, states of metrics, tables of thresholds - has the fixed room below. `docs/inside/files.md` says
it all.
"""

from __future__ import annotations

# Bytes that any file may unpack to, and how many times its size a larger one may.
FREE_BYTES, MOST_EXPANSION = 1 << 24, 16
# Of the archive: members, and bytes of the list of them.
MOST_MEMBERS, MOST_DIRECTORY_BYTES = 10_000, 1 << 22
# Of the configuration: bytes, objects (layers, initializers, dtypes, ...) and layers.
MOST_CONFIG_BYTES, MOST_OBJECTS, MOST_LAYERS = 1 << 24, 100_000, 10_000
# How often layers may be called while a model is put together: any file, and for each layer more. A model inside a
# model is called once by itself and once by each model around it.
FREE_CALLS, CALLS_PER_LAYER = 20_000, 20
# Names in one list of a file, such as those of a model's layers or of a layer's weights.
MOST_NAMES = 50_000
# Files that the weights of one model may lie in, which are all open while it is read.
MOST_SHARDS = 256
# Bytes of weights that a file does not hold, such as states that start at zero, and of the states of its metrics.
WEIGHT_SLACK_BYTES, METRIC_BYTES = 1 << 20, 1 << 26
# Bytes of the weights of a model of which there is only a description; one ONNX file holds as many.
DESCRIBED_WEIGHT_BYTES = 1 << 31


def room(file_bytes: int) -> int:
    """Returns how many bytes a file of a size may unpack to."""
    return FREE_BYTES + MOST_EXPANSION * file_bytes


def text_room(file_bytes: int) -> int:
    """Returns how many bytes one attribute of a file of a size may take when it is read: lists of names, JSON."""
    return (1 << 28) + 64 * file_bytes
