"""Calls of functions of `keras.ops.nn` for `keras_ops_cases`: normalization, cross-entropies, attention, classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

T = np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 8
V = np.array([0.5, -1.0, 2.0, 0.25], np.float32)
P = np.array([[0.1, 0.7, 0.2], [0.0, 1.0, 0.0], [2.0, 1.0, 1.0]], np.float32)
HOT = np.array([[0, 1, 0], [1, 0, 0], [0.5, 0, 0.5]], np.float32)
Q, K, W = (
    np.sin(np.arange(4 * n * d, dtype=np.float32) * s).reshape(2, n, 2, d)
    for n, s, d in ((3, 1, 4), (4, 0.7, 4), (4, 0.3, 4))
)
SEEN = np.array([[True, False, True, True], [True, True, False, False], [False, False, False, False]])

NETWORKS: dict[str, Callable[[Any], Any]] = {
    "batch_normalization": lambda k: k.batch_normalization(T, V, np.abs(V), -1),
    "batch_normalization of the first axis": lambda k: k.nn.batch_normalization(
        T, V[:2], np.abs(V[:2]), 0, scale=V[2:], offset=V[:2], epsilon=0.1
    ),
    "layer_normalization": lambda k: k.layer_normalization(T * T),
    "layer_normalization with weights": lambda k: k.layer_normalization(T * T, V, -V, epsilon=0.01),
    "layer_normalization of axes": lambda k: k.layer_normalization(T * T, T[0], axis=(-2, -1)),
    "layer_normalization of inner axes": lambda k: k.layer_normalization(T * T, V[:3], V[1:], axis=1),
    "layer_normalization by the variance": lambda k: k.layer_normalization(T, V, rms_scaling=True),
    "layer_normalization of half precision": lambda k: k.layer_normalization(T.astype("float16"), epsilon=0.01),
    "rms_normalization": lambda k: k.rms_normalization(T),
    "rms_normalization of axes": lambda k: k.rms_normalization(T, V, axis=(0, 2), epsilon=0.01),
    "binary_crossentropy": lambda k: k.binary_crossentropy(HOT, np.clip(P, 0, 1)),
    "binary_crossentropy of logits": lambda k: k.binary_crossentropy(HOT, P * 40 - 20, from_logits=True),
    "categorical_crossentropy": lambda k: k.categorical_crossentropy(HOT, P),
    "categorical_crossentropy of logits": lambda k: k.categorical_crossentropy(HOT, P, from_logits=True, axis=0),
    # Of rows that do not sum to one each backend makes something else.
    "sparse_categorical_crossentropy": lambda k: k.sparse_categorical_crossentropy(
        np.array([1, 2, 0], np.int32), P / P.sum(-1, keepdims=True)
    ),
    "sparse_categorical_crossentropy of logits": lambda k: k.sparse_categorical_crossentropy(
        np.array([[1], [2], [5]], np.int32), P, from_logits=True
    ),
    "dot_product_attention": lambda k: k.dot_product_attention(Q, K, W),
    "dot_product_attention, causal": lambda k: k.dot_product_attention(Q, K, W, is_causal=True, scale=0.3),
    "dot_product_attention of what is seen": lambda k: k.dot_product_attention(
        Q, K, W, bias=T[:, None] - 1, mask=SEEN, is_causal=True
    ),
    "multi_hot": lambda k: k.multi_hot(np.array([[0, 2], [1, 1]], np.int32), 4),
    "multi_hot of one sample": lambda k: k.multi_hot(np.array([0, 2, -1], np.int32), 3, dtype="int32"),
    "multi_hot along an axis": lambda k: k.multi_hot(np.array([[[0, 2], [1, 1]]], np.int32), 4, axis=1),
}
