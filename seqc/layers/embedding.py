"""Embedding, and masks made from data."""

from __future__ import annotations

from typing import Any

from seqc import ops
from seqc.graph.ir import Value, as_value
from seqc.graph.tracing import current_trace
from seqc.known_classes import known
from seqc.layers._arguments import NO_PENALTY, NO_QUANTIZATION, UNQUANTIZED, keep_arguments
from seqc.layers._common import KerasShape
from seqc.layers.base import Layer


@known("layers")
class Embedding(Layer):
    """Rows of a table by number.

    Args:
        input_dim: rows of the table: the largest id plus one. output_dim: size of a row.
        embeddings_initializer, embeddings_regularizer, embeddings_constraint: as in `Dense`.
        mask_zero: id 0 means "nothing here"; layers after this one skip it.
        weights: the table to start from, (input_dim, output_dim).

    Shapes: ids (batch, ...) of integers, or floats that hold integers, to (batch, ..., output_dim). Ids outside
    [0, input_dim) are an error when the model runs; negative ones count from the end of the table.

    Example:
        >>> layer = seqc.layers.Embedding(1000, 16, mask_zero=True)
        >>> layer(np.array([[4, 20, 0]])).shape, layer.compute_mask(np.array([[4, 20, 0]])).numpy()
        ((1, 3, 16), array([[ True,  True, False]]))
    """

    inert = UNQUANTIZED
    always_written = NO_QUANTIZATION | NO_PENALTY
    input_dim: int
    output_dim: int
    embeddings_initializer: Any
    embeddings_regularizer: Any
    embeddings_constraint: Any
    mask_zero: bool

    @keep_arguments
    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        **kwargs: Any,
    ) -> None:
        start = kwargs.pop("weights", None)
        length = kwargs.pop("input_length", None)
        if length is not None:
            kwargs.setdefault("input_shape", (length,))
        super().__init__(**kwargs)
        self.supports_masking = mask_zero
        if start is not None:
            self.build()
            self.set_weights(start if isinstance(start, list) and len(start) == 1 else [start])

    def build(self, input_shape: KerasShape | None = None) -> None:
        if self.built:
            return
        self.embeddings = self._add_described_weight("embeddings", (self.input_dim, self.output_dim))

    def _cast_input(self, x: Value) -> Value:
        return x

    def _default_input_dtype(self) -> str:
        return "int32"

    def call(self, x: Any) -> Value:
        ids = as_value(x)
        return ops.take(self.embeddings, ids if ids.dtype in ("int32", "int64") else ops.cast(ids, "int32"), 0)

    def compute_mask(self, inputs: Any, mask: Value | None = None) -> Value | None:
        return ops.not_equal(inputs, 0) if self.mask_zero else None


@known("layers")
class ReversibleEmbedding(Embedding):
    """Rows of a table by number, and scores for each number from vectors: `layer(x, reverse=True)`.

    Args:
        input_dim, output_dim, mask_zero: as in `Embedding`.
        tie_weights: whether the way back uses the table too; else it has a weight of its own, (output_dim, input_dim).
        embeddings_initializer, embeddings_regularizer, embeddings_constraint: as in `Embedding`.
        reverse_dtype: what the way back is computed in; by default what the layer computes in.
        logit_soft_cap: bounds the scores: cap * tanh(scores / cap).

    Shapes: as in `Embedding`; with `reverse`, (..., output_dim) to (..., input_dim).
    """

    tie_weights: bool
    reverse_dtype: Any
    logit_soft_cap: float | None

    @keep_arguments
    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        reverse_dtype: Any = None,
        logit_soft_cap: float | None = None,
        **kwargs: Any,
    ) -> None:
        self.__dict__["tie_weights"] = tie_weights  # `weights` builds the layer at once
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer=embeddings_initializer,
            embeddings_regularizer=embeddings_regularizer,
            embeddings_constraint=embeddings_constraint,
            mask_zero=mask_zero,
            **kwargs,
        )

    def build(self, input_shape: KerasShape | None = None) -> None:
        if self.built:
            return
        super().build(input_shape)
        if not self.tie_weights:
            self.reverse_embeddings = self.add_weight(
                (self.output_dim, self.input_dim), self.embeddings_initializer, name="reverse_embeddings"
            )

    def call(self, x: Any, reverse: bool = False) -> Value:
        if reverse:
            return self._scores(as_value(x))
        rows, mask, trace = super().call(x), super().compute_mask(x), current_trace()
        if mask is not None and trace is not None:
            trace.masks[rows] = mask
        return rows

    def compute_mask(self, inputs: Any, mask: Value | None = None) -> Value | None:
        return None  # `call` knows which way it goes: ids have a mask, scores have none

    def _scores(self, x: Value) -> Value:
        table = ops.transpose(self.embeddings) if self.tie_weights else self.reverse_embeddings.to_value()
        dtype = self.reverse_dtype or self.compute_dtype
        scores = ops.matmul(ops.cast(x, dtype), ops.cast(table, dtype))
        if self.logit_soft_cap is None:
            return scores
        return ops.tanh(scores / self.logit_soft_cap) * self.logit_soft_cap


@known("layers")
class Masking(Layer):
    """Makes layers after this one skip the steps whose features all equal `mask_value`, and sets those to 0.

    Shapes: (batch, time, ..., features), the result like the input.
    """

    supports_masking = True
    min_input_rank = 2

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = mask_value
        self.built = True

    def call(self, x: Any) -> Value:
        value = as_value(x)
        return ops.where(ops.expand_dims(self.compute_mask(value), -1), value, 0.0)

    def compute_mask(self, inputs: Any, mask: Value | None = None) -> Value:
        return ops.any(ops.not_equal(inputs, self.mask_value), -1)
