"""Attention with several heads, of which each has projections of its own."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Any

from seqc import ops
from seqc.errors import ConfigError
from seqc.ir import Value
from seqc.layers._common import KerasShape
from seqc.layers._heads import PROJECTION, Heads, bare
from seqc.serialization import known


@known("layers")
class MultiHeadAttention(Heads):
    """softmax(query @ key / sqrt(key_dim)) @ value for several heads, whose results are projected together
    (Vaswani et al., 2017).

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
        projection = {name: value for name, value in locals().items() if name in PROJECTION}
        for name, number in (("num_heads", num_heads), ("key_dim", key_dim)):
            _require_positive(name, number)
        if value_dim is not None:
            _require_positive("value_dim", value_dim, " or `None`")
        if attention_axes is not None and not isinstance(attention_axes, int | list | tuple):
            raise ConfigError(
                f"`attention_axes` must be an int, list, or tuple. Received: attention_axes={attention_axes}"
            )
        if output_shape is not None and not isinstance(output_shape, int | list | tuple):
            raise ConfigError(
                f"Invalid `output_shape`: {output_shape}. When specified, the `output_shape` should be of type tuple, "
                "list, or int."
            )
        super().__init__(
            dropout=dropout, use_bias=use_bias, sliding_window=sliding_window, flash_attention=flash_attention,
            use_gate=use_gate, seed=seed, projection=projection, **kwargs,
        )  # fmt: skip
        self.num_heads, self.key_dim, self.value_dim = num_heads, key_dim, value_dim or key_dim
        self._output_sizes = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape or ())
        self.attention_axes = (attention_axes,) if isinstance(attention_axes, int) else attention_axes

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"output_shape": list(self._output_sizes) or None}

    def build(self, query_shape: KerasShape, value_shape: KerasShape, key_shape: KerasShape | None = None) -> None:
        key_shape = self._remember_shapes(query_shape, value_shape, key_shape)
        rank = len(query_shape)
        axes = tuple(range(1, rank - 1)) if self.attention_axes is None else self.attention_axes
        self.attention_axes = self.axes = tuple(axis if axis >= 0 else rank + axis for axis in axes)
        letters = string.ascii_lowercase
        rows, m, h, d = letters[: rank - 1], *list(letters[rank - 1 : rank + 2])
        into, head = f"{rows}{m},{m}{h}{d}->{rows}{h}{d}", h + d
        self.query_dense = self._dense("query", into, (self.num_heads, self.key_dim), head)
        self.key_dense = self._dense("key", into, (self.num_heads, self.key_dim), head)
        if self.use_gate:
            value_sizes = (self.num_heads, self.value_dim)
            self._gate_dense = self._dense("gate", into, value_sizes, head, activation="sigmoid")
        self.value_dense = self._dense("value", into, (self.num_heads, self.value_dim), head)
        self._build_weights(tuple(range(-len(self.axes), 0)))
        sizes: Any = self._output_sizes or (query_shape[-1],)
        out = letters[rank + 1 : rank + 1 + len(sizes)]
        self.output_dense = self._dense("attention_output", f"{rows}{m}{h},{m}{h}{out}->{rows}{out}", sizes, out)
        self.query_dense.build_for(query_shape)
        self.key_dense.build_for(key_shape)
        if self.use_gate:
            self._gate_dense.build_for(query_shape)
        self.value_dense.build_for(value_shape)
        self.output_dense.build_for((*query_shape[:-1], self.num_heads, self.value_dim))

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
        q, k = self.query_dense(query), self.key_dense(value if key is None else bare(key))
        product, combination = attention_equations(q.type.rank, self.axes)
        scores = ops.einsum(product, q * (1.0 / math.sqrt(self.key_dim)), k)
        weights, kept = self._weigh(scores, seen, return_attention_scores, training)
        y = ops.einsum(combination, weights, self.value_dense(value))
        if self.use_gate:
            y = y * self._gate_dense(query)
        y = self.output_dense(y)
        return (y, kept) if return_attention_scores else y


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


def _require_positive(name: str, value: Any, more: str = "") -> None:
    if not isinstance(value, int) or value <= 0:
        raise ConfigError(
            f"Received an invalid value for argument `{name}`, expected a positive integer{more}. Received: "
            f"{name}={value}"
        )
