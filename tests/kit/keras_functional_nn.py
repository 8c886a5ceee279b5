"""Operations of `keras_functional`: what `ops.nn` has beside activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

_VECTOR = np.array([0.5, 1.0, 2.0, 0.25], "float32")

# What each is called like: on x and y of shape (batch, 3, 4), or on k, of integers.
NETWORKS: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "batch_normalization": lambda ops, x, y, k: ops.batch_normalization(
        x, _VECTOR - 1, _VECTOR, -1, scale=_VECTOR, offset=-_VECTOR, epsilon=0.01
    ),
    "binary_crossentropy": lambda ops, x, y, k: ops.binary_crossentropy(ops.sigmoid(x), y, from_logits=True),
    "categorical_crossentropy": lambda ops, x, y, k: ops.categorical_crossentropy(
        ops.softmax(x), ops.softmax(y, axis=1), axis=1
    ),
    "dot_product_attention": lambda ops, x, y, k: ops.dot_product_attention(
        ops.reshape(x, (-1, 3, 2, 2)), ops.reshape(y, (-1, 3, 2, 2)), ops.reshape(x, (-1, 3, 2, 2)), is_causal=True
    ),
    "layer_normalization": lambda ops, x, y, k: ops.layer_normalization(x, _VECTOR, -_VECTOR, epsilon=0.01),
    "layer_normalization_rms": lambda ops, x, y, k: ops.layer_normalization(x, axis=(1, 2), rms_scaling=True),
    "multi_hot": lambda ops, x, y, k: ops.multi_hot(k, 6),
    "rms_normalization": lambda ops, x, y, k: ops.rms_normalization(x, _VECTOR, epsilon=0.01),
    "sparse_categorical_crossentropy": lambda ops, x, y, k: ops.sparse_categorical_crossentropy(
        ops.minimum(k, 3), y, from_logits=True
    ),
}
