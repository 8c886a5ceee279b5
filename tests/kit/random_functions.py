"""Functions of `seqc.ops` between the layers of random graphs: those that sort, take, loop, factor and transform."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from seqc import ops

Function = Callable[[Any, st.DrawFn], Any]


def _matrix(x: Any) -> Any:
    """Returns matrices that are symmetric, and well away from those that have no inverse."""
    y = ops.tanh(x)
    return ops.matmul(y, ops.swapaxes(y, -1, -2)) + 2.0 * ops.eye(x.shape[-2])


def _in_groups(x: Any, draw: st.DrawFn) -> Any:
    """Sums samples whose first number has the same sign, and gives each the sum of its own."""
    first = ops.reshape(x, (-1, _size(x)))[:, 0]
    groups = ops.cast(first > 0, "int32")
    kind = draw(st.sampled_from([ops.segment_sum, ops.segment_max, ops.segment_min]))
    return ops.take(kind(x, groups, 2), groups, 0)


def _over_axis(loop: Callable[..., Any], function: Callable[[Any], Any], x: Any) -> Any:
    """Applies a function to each place of the last axis: only of a number that is known is there a gradient."""
    return ops.moveaxis(loop(function, ops.moveaxis(x, -1, 0)), 0, -1)


def _size(x: Any) -> int:
    size = 1
    for d in x.shape[1:]:
        size *= d
    return size


def _while(x: Any) -> Any:
    """Doubles until numbers are large, at most three times."""
    count, y = ops.while_loop(
        lambda n, v: ops.logical_and(n < 3, ops.max(ops.abs(v)) < 2.0),
        lambda n, v: (n + 1, v * 2.0),
        (0, x),
        maximum_iterations=3,
    )
    return y + ops.cast(count, "float32")


def _scanned(x: Any) -> Any:
    _, ys = ops.scan(lambda c, v: (c * 0.5 + v, c), ops.zeros_like(x[:, 0]), ops.moveaxis(x, 1, 0))
    return ops.moveaxis(ys, 0, 1)


# Of tensors of any rank.
ANY: dict[str, Function] = {
    "argsort": lambda x, _: ops.take_along_axis(x, ops.argsort(x, -1), -1),
    "cond": lambda x, _: ops.cond(ops.mean(x) > 0.1, lambda: x * 2.0, lambda: x - 1.0),
    "cumsum": lambda x, _: ops.cumsum(x, -1),
    "einsum": lambda x, _: ops.einsum("...i,...i->...", x, x),
    "fft": lambda x, _: ops.fft((x, x * 0.5))[0],
    "flip": lambda x, _: ops.flip(x, -1),
    "fori_loop": lambda x, _: ops.fori_loop(0, 3, lambda i, v: v * 0.5 + ops.cast(i, "float32"), x),
    "logsumexp": lambda x, _: ops.logsumexp(x, -1, keepdims=True) - x,
    "map": lambda x, _: _over_axis(ops.map, lambda v: v * 0.5 + ops.max(v), x),
    "norm": lambda x, _: x / (1.0 + ops.norm(x, axis=-1, keepdims=True)),
    "quantile": lambda x, _: x - ops.quantile(x, 0.3, -1, keepdims=True),
    "rfft": lambda x, _: ops.irfft(ops.rfft(x)),
    "roll": lambda x, draw: ops.roll(x, draw(st.integers(-1, 2)), -1),
    "segment": _in_groups,
    "sort": lambda x, _: ops.sort(x, -1),
    "switch": lambda x, draw: ops.switch(draw(st.integers(0, 1)), [ops.tanh, ops.relu], x),
    "top_k": lambda x, draw: ops.top_k(x, draw(st.integers(1, x.shape[-1])))[0],
    "vectorized_map": lambda x, _: _over_axis(ops.vectorized_map, lambda v: v - ops.mean(v), x),
    "while_loop": lambda x, _: _while(x),
}
# Of sequences of vectors.
LINES: dict[str, Function] = {
    "associative_scan": lambda x, _: ops.associative_scan(lambda a, b: a * 0.5 + b * 0.5, x, axis=1),
    "cholesky": lambda x, _: ops.cholesky(_matrix(x)),
    "det": lambda x, _: x * ops.expand_dims(ops.expand_dims(ops.tanh(ops.det(_matrix(x))), -1), -1),
    "eigh": lambda x, _: ops.eigh(_matrix(x))[0],
    "inv": lambda x, _: ops.inv(_matrix(x)),
    "qr": lambda x, _: ops.abs(ops.qr(_matrix(x))[1]),
    "scan": lambda x, _: _scanned(x),
    "scatter": lambda x, _: _over_axis(
        ops.vectorized_map, lambda v: ops.scatter_update(v, [[0, 0]], v[-1:, -1] * 0.5), x
    ),
    "slice_update": lambda x, _: ops.slice_update(x, (0, 0, 0), x[:, -1:] * 0.5),
    "slogdet": lambda x, _: x * ops.expand_dims(ops.expand_dims(ops.slogdet(_matrix(x))[1], -1), -1),
    "solve": lambda x, _: ops.solve(_matrix(x), x),
    "svd": lambda x, _: ops.svd(_matrix(x), compute_uv=False),
}


def draw_function(x: Any, draw: st.DrawFn) -> Any:
    """Returns what a function that is drawn makes of a tensor."""
    choices = ANY | (LINES if len(x.shape) == 3 else {})
    return choices[draw(st.sampled_from(sorted(choices)))](x, draw)
