"""Attention with several heads, of which each has projections of its own."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Any

from seqc import ops
from seqc.graph.ir import Value
from seqc.known_classes import known
from seqc.layers._arguments import keep_arguments
from seqc.layers._common import KerasShape, as_axes
from seqc.layers._heads import Heads
from seqc.layers.einsum_dense import EinsumDense


@known("layers")
class MultiHeadAttention(Heads):
    """softmax(query @ key / sqrt(key_dim)) @ value for several heads, whose results are projected together.

    See Vaswani et al., 2017.

    Args:
        num_heads: how many heads.
        key_dim: features of a head's queries and keys.
        value_dim: features of a head's values; `key_dim` by default.
        dropout: the part of the weights that training drops.
        use_bias: whether the projections have biases.
        output_shape: of the result after its steps; the query's features by default.
        attention_axes: axes that attention goes over; all between batch and features by default.
        sliding_window: a query sees only steps less than this away; None for all.
        flash_attention: taken and not needed: the result is the same.
        kernel_initializer: of the projections.
        bias_initializer: of the projections.
        kernel_regularizer: of the projections.
        bias_regularizer: of the projections.
        activity_regularizer: of the projections.
        kernel_constraint: of the projections.
        bias_constraint: of the projections.
        use_gate: whether a sigmoid of the query weighs the heads' results.
        seed: makes the dropout independent of the global seed.
    """

    not_kept = ("output_shape",)
    num_heads: int
    key_dim: int
    value_dim: int | None
    query_dense: EinsumDense
    key_dense: EinsumDense
    value_dense: EinsumDense
    output_dense: EinsumDense

    @keep_arguments
    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
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
        self.value_dim = self.value_dim or self.key_dim
        who = type(self).__name__
        self._output_sizes = () if output_shape is None else as_axes(output_shape, "output_shape", who)
        self.attention_axes = None if attention_axes is None else as_axes(attention_axes, "attention_axes", who)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"output_shape": list(self._output_sizes) or None}

    def _projections(self, query_shape: KerasShape) -> dict[str, tuple[str, Sequence[int], str]]:
        rank = len(query_shape)
        axes = tuple(range(1, rank - 1)) if self.attention_axes is None else self.attention_axes
        self.attention_axes = self.axes = tuple(axis if axis >= 0 else rank + axis for axis in axes)
        letters = string.ascii_lowercase
        rows, m, h, d = letters[: rank - 1], *list(letters[rank - 1 : rank + 2])
        into, head = f"{rows}{m},{m}{h}{d}->{rows}{h}{d}", h + d
        sizes: Any = self._output_sizes or (query_shape[-1],)
        out = letters[rank + 1 : rank + 1 + len(sizes)]
        keys, values = (self.num_heads, self.key_dim), (self.num_heads, self.value_dim)
        return {
            "query": (into, keys, head),
            "key": (into, keys, head),
            "gate": (into, values, head),
            "value": (into, values, head),
            "attention_output": (f"{rows}{m}{h},{m}{h}{out}->{rows}{out}", sizes, out),
        }

    # The names under which subclasses know the projections.

    @property
    def _query_dense(self) -> EinsumDense:
        return self.query_dense

    @property
    def _key_dense(self) -> EinsumDense:
        return self.key_dense

    @property
    def _value_dense(self) -> EinsumDense:
        return self.value_dense

    @property
    def _output_dense(self) -> EinsumDense:
        return self.output_dense

    @property
    def _inverse_sqrt_key_dim(self) -> float:
        return 1.0 / math.sqrt(self.key_dim)

    def _attend(
        self, query: Value, key: Value, value: Value, seen: Value | None, training: bool, with_scores: bool
    ) -> tuple[Value, Value]:
        return self._compute_attention(query, key, value, seen, training, with_scores)

    def _scores(self, query: Value, key: Value) -> Value:
        product, _ = attention_equations(query.type.rank, self.axes)
        return ops.einsum(product, query * self._inverse_sqrt_key_dim, key)

    def _combined(self, weights: Value, value: Value) -> Value:
        return ops.einsum(attention_equations(value.type.rank, self.axes)[1], weights, value)


def attention_equations(rank: int, axes: tuple[int, ...]) -> tuple[str, str]:
    """Returns the summations of query and key to scores, and of scores and value.

    Scores are (batch and other axes, heads, query axes, key axes); the rest is (batch, ..., heads, features).

    Args:
        rank: of a projected query.
        axes: that attention goes over.
    """
    target = string.ascii_lowercase[:rank]
    fresh = iter(string.ascii_lowercase[rank:])
    source = "".join(next(fresh) if i in axes else letter for i, letter in enumerate(target))
    batch = [target[i] for i in range(rank - 1) if i not in axes]
    scores = "".join([*batch, *(target[i] for i in axes), *(source[i] for i in axes)])
    return f"{target},{source}->{scores}", f"{scores},{source}->{target}"
