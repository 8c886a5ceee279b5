"""Attention whose heads share keys and values in groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from seqc import ops
from seqc.errors import ConfigError
from seqc.graph.ir import Value
from seqc.known_classes import also_known, known
from seqc.layers._arguments import keep_arguments
from seqc.layers._common import KerasShape
from seqc.layers._heads import Heads


@known("layers")
class GroupedQueryAttention(Heads):
    """Attention with several heads, of which groups share their keys and values (Ainslie et al., 2023).

    Args:
        head_dim: features of a head.
        num_query_heads: how many heads.
        num_key_value_heads: how many groups they form; 1 is multi-query attention.
        dropout: the part of the weights that training drops.
        use_bias: whether the projections have biases.
        sliding_window: a query sees only steps less than this away; None for all.
        flash_attention: taken and not needed: the result is the same.
        kernel_initializer: of the projections.
        bias_initializer: of the projections.
        kernel_regularizer: of the projections.
        bias_regularizer: of the projections.
        activity_regularizer: of the projections and of the result.
        kernel_constraint: of the projections.
        bias_constraint: of the projections.
        use_gate: whether a sigmoid of the query weighs the heads' results.
        seed: makes the dropout independent of the global seed.

    Shapes: query (batch, queries, features), value and key (batch, steps, ...) to (batch, queries, features).
    """

    input_rank = 3
    prefix = "_"
    _return_attention_scores = False
    head_dim: int
    num_query_heads: int
    num_key_value_heads: int

    @keep_arguments
    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if self.num_query_heads % self.num_key_value_heads:
            raise ConfigError("`num_query_heads` must be divisible by `num_key_value_heads`.")
        self.activity_regularizer = self._projected_activity

    def _projections(self, query_shape: KerasShape) -> dict[str, tuple[str, Sequence[int], str]]:
        heads, shared = (self.num_query_heads, self.head_dim), (self.num_key_value_heads, self.head_dim)
        features: Any = (query_shape[-1],)
        return {
            "query": ("bqm,muh->bquh", heads, "uh"),
            "key": ("bkm,mvh->bkvh", shared, "vh"),
            "gate": ("bqm,muh->bquh", heads, "uh"),
            "value": ("bkm,mvh->bkvh", shared, "vh"),
            "attention_output": ("bquh,uhm->bqm", features, "m"),
        }

    @property
    def _inverse_sqrt_head_dim(self) -> float:
        return 1.0 / math.sqrt(self.head_dim)

    def _attend(
        self, query: Value, key: Value, value: Value, seen: Value | None, training: bool, with_scores: bool
    ) -> tuple[Value, Value]:
        self._return_attention_scores = with_scores
        key, value = self._for_each_head(key), self._for_each_head(value)
        return self._compute_attention(query, key, value, attention_mask=seen, training=training)

    def _compute_attention(  # type: ignore[override]
        self,
        query: Any,
        key: Any,
        value: Any,
        attention_mask: Any = None,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> tuple[Any, Any]:
        with_scores = self._return_attention_scores
        return super()._compute_attention(query, key, value, attention_mask, training, with_scores, use_causal_mask)

    def _scores(self, query: Value, key: Value) -> Value:
        return ops.einsum("bquh,bkuh->buqk", query * self._inverse_sqrt_head_dim, key)

    def _combined(self, weights: Value, value: Value) -> Value:
        return ops.einsum("buqk,bkuh->bquh", weights, value)

    def _for_each_head(self, x: Value) -> Value:
        return ops.repeat(x, self.num_query_heads // self.num_key_value_heads, 2)


GroupQueryAttention = GroupedQueryAttention
also_known("layers", "GroupQueryAttention", GroupedQueryAttention)
