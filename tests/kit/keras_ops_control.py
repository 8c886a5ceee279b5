"""Calls of `keras.ops` that take functions, for `keras_ops_cases`: branches, loops, derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

T = np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 8
V = np.array([1.0, -2.0, 0.5, 3.0], np.float32)
ZERO = np.zeros(4, np.float32)


def _own(k: Any) -> Any:
    return k.custom_gradient(lambda x: (k.log(1.0 + k.exp(x)), lambda g: g * 7))


CONTROL: dict[str, Callable[[Any], Any]] = {
    "cond that is true": lambda k: k.cond(k.sum(V) > 0, lambda: V + 1, lambda: V * 2),
    "cond that is false": lambda k: k.cond(False, lambda: V + 1, lambda: V * 2),
    "switch": lambda k: k.switch(1, [lambda x: x + 1, lambda x: x * 10], V),
    "switch beyond the last": lambda k: k.switch(np.int32(5), [lambda x: x + 1, lambda x: x * 10], V),
    "switch before the first": lambda k: k.switch(-2, [lambda x: x + 1, lambda x: x * 10], V),
    "while_loop": lambda k: k.while_loop(lambda i, x: i < 5, lambda i, x: (i + 1, x * 2), (0, V))[1],
    "while_loop of one": lambda k: k.while_loop(lambda x: k.sum(x) < 100, lambda x: x * 1.5, k.abs(V)),
    "while_loop that stops earlier": lambda k: k.while_loop(
        lambda i, x: i < 5, lambda i, x: (i + 1, x * 2), [0, V], maximum_iterations=3
    )[1],
    "fori_loop": lambda k: k.fori_loop(2, 6, lambda i, x: x + k.cast(i, "float32") * V, ZERO),
    "fori_loop without a step": lambda k: k.fori_loop(3, 1, lambda i, x: x + V, V),
    "scan": lambda k: k.scan(lambda c, x: (c + x, c * x), ZERO, T[0])[1],
    "scan, what is carried": lambda k: k.scan(lambda c, x: (c * 0.5 + x, c), ZERO, T[0], reverse=True)[0],
    "scan from behind": lambda k: k.scan(lambda c, x: (c + x, c * x), ZERO, T[0], reverse=True)[1],
    "scan of nothing": lambda k: k.scan(lambda c, x: (c * 2, c + 1), k.ones(2), length=4)[1],
    "scan of several": lambda k: k.scan(
        lambda c, x: ((c[0] + x["a"], c[1] * x["b"]), {"sum": c[0], "product": c[1]}),
        (np.float32(0), np.float32(1)),
        {"a": V, "b": V + 1},
    )[1]["product"],
    "map": lambda k: k.map(lambda x: k.sum(x, axis=-1) * x[:, 0], T),
    "map of several": lambda k: k.map(lambda x: x["a"] * x["b"], {"a": V, "b": T[0].T})[2],
    "vectorized_map": lambda k: k.vectorized_map(lambda x: x[0] * x[1], (T[0].T, V)),
    "vectorize": lambda k: k.vectorize(lambda a, b: a * b + 1)(T[0], V),
    "vectorize with a signature": lambda k: k.vectorize(lambda a, b: k.sum(a * b), signature="(n),(n)->()")(T, V),
    "vectorize without an argument": lambda k: k.vectorize(lambda a, b: a * b, excluded={1})(V, 3.0),
    "associative_scan": lambda k: k.associative_scan(k.add, T, axis=1),
    "associative_scan from behind": lambda k: k.associative_scan(k.multiply, V, reverse=True),
    "associative_scan of pairs": lambda k: k.associative_scan(
        lambda a, b: (a[0] * b[0], b[0] * a[1] + b[1]), (T[0] / 3, T[0] - 1)
    )[1],
    "custom_gradient": lambda k: _own(k)(V),
    "jvp": lambda k: k.jvp(lambda a, b: k.sin(a) * b, (V, V + 1), (ZERO + 0.5, V))[1],
    "jvp of a loop": lambda k: k.linalg.jvp(
        lambda x: k.fori_loop(0, 3, lambda i, y: k.tanh(y * x), x), [V], [ZERO + 1]
    )[1],
    "jvp with something besides": lambda k: k.jvp(lambda a: (k.softmax(a), a + 1), (V,), (V,), has_aux=True)[1],
}
