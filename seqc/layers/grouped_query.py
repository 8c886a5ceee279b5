"""Attention whose heads share keys and values in groups."""

from __future__ import annotations

import math
from typing import Any

from seqc import ops
from seqc.errors import ConfigError
from seqc.ir import Value
from seqc.layers._common import KerasShape
from seqc.layers._heads import PROJECTION, Heads, bare
from seqc.serialization import known


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
        projection = {name: value for name, value in locals().items() if name in PROJECTION}
        if num_query_heads % num_key_value_heads:
            raise ConfigError("`num_query_heads` must be divisible by `num_key_value_heads`.")
        super().__init__(
            dropout=dropout, use_bias=use_bias, sliding_window=sliding_window, flash_attention=flash_attention,
            use_gate=use_gate, seed=seed, projection=projection, **kwargs,
        )  # fmt: skip
        self.activity_regularizer = self._options["activity_regularizer"]
        self.head_dim = head_dim
        self.num_query_heads, self.num_key_value_heads = num_query_heads, num_key_value_heads

    def build(self, query_shape: KerasShape, value_shape: KerasShape, key_shape: KerasShape | None = None) -> None:
        key_shape = self._remember_shapes(query_shape, value_shape, key_shape)
        heads, shared = (self.num_query_heads, self.head_dim), (self.num_key_value_heads, self.head_dim)
        self._query_dense = self._dense("query", "bqm,muh->bquh", heads, "uh")
        self._key_dense = self._dense("key", "bkm,mvh->bkvh", shared, "vh")
        if self.use_gate:
            self._gate_dense = self._dense("gate", "bqm,muh->bquh", heads, "uh", activation="sigmoid")
        self._value_dense = self._dense("value", "bkm,mvh->bkvh", shared, "vh")
        self._build_weights(-1)
        features: Any = (query_shape[-1],)
        self._output_dense = self._dense("attention_output", "bquh,uhm->bqm", features, "m")
        self._query_dense.build_for(query_shape)
        self._key_dense.build_for(key_shape)
        if self.use_gate:
            self._gate_dense.build_for(query_shape)
        self._value_dense.build_for(value_shape)
        self._output_dense.build_for((None, None, *heads))

    def call(  # type: ignore[override]
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool = False,
        use_causal_mask: bool = False,
    ) -> Value | tuple[Value, Value]:
        self._refuse_flash_scores(return_attention_scores)
        masks = (query_mask, value_mask, key_mask)
        seen = self._seen(query, value, masks, attention_mask, use_causal_mask)
        query, value = bare(query), bare(value)
        times = self.num_query_heads // self.num_key_value_heads
        q = self._query_dense(query) * (1.0 / math.sqrt(self.head_dim))
        k = ops.repeat(self._key_dense(value if key is None else bare(key)), times, 2)
        scores = ops.einsum("bquh,bkuh->buqk", q, k)
        weights, kept = self._weigh(scores, seen, return_attention_scores, training)
        y = ops.einsum("buqk,bkuh->bquh", weights, ops.repeat(self._value_dense(value), times, 2))
        if self.use_gate:
            y = y * self._gate_dense(query)
        y = self._output_dense(y)
        return (y, kept) if return_attention_scores else y
