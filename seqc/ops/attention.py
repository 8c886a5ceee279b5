"""Attention: values weighed by how well queries and keys go together."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc.errors import ConfigError, ShapeError
from seqc.graph.element_types import float_info
from seqc.graph.ir import Value
from seqc.ops._common import as_floats, scalar
from seqc.ops.contraction import einsum
from seqc.ops.creation import arange
from seqc.ops.elementwise import cast, less_equal, logical_and, where
from seqc.ops.rearranging import repeat
from seqc.ops.reduce import softmax
from seqc.ops.shape import expand_dims
from seqc.ops.sizes import size_of
from seqc.ops.transcendental import rsqrt

# What stands for minus infinity among the scores, as a part of the largest number.
_FAR = -0.7


def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    scale: Any = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Value:
    """Returns softmax(scale * query @ keyᵀ + bias) @ value for each head.

    Args:
        query: (batch, time, heads, size). key: (batch, steps, heads, size). value: (batch, steps, heads, features);
        both may have fewer heads, of which a part of them that is the same for each is shared by several of queries.
        bias: added to the scores, broadcasts to (batch, heads, time, steps). mask: booleans that broadcast to that;
        where false, a key is not seen. scale: 1 / sqrt(size) by default. is_causal: whether no query sees a later key.
        flash_attention: the result is the same; True is refused, since there is no other kernel to choose.
        attn_logits_soft_cap: refused, as Keras does beside TPUs.
    """
    if flash_attention:
        raise ConfigError("Flash attention is not supported: seqc has one way to compute attention.")
    if attn_logits_soft_cap is not None:
        raise ConfigError("attn_logits_soft_cap is only supported for JAX on TPU. Set attn_logits_soft_cap=None.")
    q, k, v = as_floats(query, key, value)
    if not q.type.rank == k.type.rank == v.type.rank == 4:
        raise ShapeError(
            f"`dot_product_attention` only supports 4D inputs. Received: query.shape={q.shape}, key.shape={k.shape}, "
            f"value.shape={v.shape}."
        )
    k, v = (_for_queries(x, q) for x in (k, v))
    if scale is None:
        size = q.type.shape[-1]
        scale = 1 / np.sqrt(size) if isinstance(size, int) else rsqrt(cast(size_of(q, -1), q.dtype))
    scores = einsum("btnh,bsnh->bnts", q, k) * (float(scale) if isinstance(scale, np.floating) else scale)
    if bias is not None:
        scores = scores + cast(bias, scores.dtype)
    seen = None if mask is None else cast(mask, "bool")
    if is_causal:
        times, steps = arange(size_of(scores, -2)), arange(size_of(scores, -1))
        causal = less_equal(expand_dims(steps, 0), expand_dims(times, 1))
        seen = causal if seen is None else logical_and(seen, causal)
    if seen is not None:
        scores = where(seen, scores, scalar(_FAR * float(float_info(scores.dtype).max), scores))
    return einsum("bnts,bsnh->btnh", softmax(scores), v)


def _for_queries(x: Value, q: Value) -> Value:
    """Returns keys or values with each head as often as queries share it; one alone broadcasts."""
    heads, shared = q.type.shape[2], x.type.shape[2]
    if not isinstance(heads, int) or not isinstance(shared, int) or heads <= shared or shared == 1:
        return x
    if heads % shared:
        raise ShapeError(
            f"`dot_product_attention` shares each head of keys and values among as many of queries: {heads} heads of "
            f"queries are no multiple of {shared}."
        )
    return repeat(x, heads // shared, 2)
