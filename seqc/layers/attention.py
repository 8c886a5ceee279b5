"""Attention with one head: scores of queries and keys weigh values."""

from __future__ import annotations

from typing import Any

from seqc import ops
from seqc.errors import ConfigError, ShapeError
from seqc.graph.ir import Value, as_value
from seqc.known_classes import known
from seqc.layers._arguments import keep_arguments
from seqc.layers.base import Layer
from seqc.layers.call_errors import refuse_dictionary
from seqc.layers.calls import is_shape
from seqc.layers.regularization import drop
from seqc.ops.sizes import Size, size_of


@known("layers")
class Attention(Layer):
    """softmax(scores of query and key) @ value (Luong et al., 2015).

    Args:
        use_scale: whether a weight scales the scores.
        score_mode: "dot" for products of query and key, "concat" for tanh(query + key) summed, with a weight.
        dropout: the part of the scores that training drops.
        seed: makes the dropout independent of the global seed.

    Call it on [query, value] or [query, value, key], with shapes (batch, queries, features), (batch, steps, size),
    (batch, steps, features). Masks are a list of those of query and value.
    """

    supports_masking = True
    takes_several = True
    use_scale: bool
    score_mode: str
    dropout: float
    seed: int | None

    @keep_arguments
    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if score_mode not in ("dot", "concat"):
            raise ConfigError(
                "Invalid value for argument score_mode. Expected one of {'dot', 'concat'}. "
                f"Received: score_mode={score_mode}"
            )

    def build(self, input_shape: Any) -> None:
        self._check(input_shape)
        self.scale = self.concat_score_weight = None
        if self.use_scale:
            self.scale = self.add_weight((), "ones", name="scale")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight((), "ones", name="concat_score_weight")

    def _check(self, shapes: Any) -> None:
        kind = type(self).__name__
        refuse_dictionary(kind, shapes)
        if is_shape(shapes):
            raise ShapeError(
                f"{kind} layer must be called on a list of inputs, namely [query, value] or [query, value, key]. "
                f"Received: inputs of shape {tuple(shapes)}."
            )
        if not 2 <= len(shapes) <= 3:
            raise ShapeError(
                f"{kind} layer accepts inputs list of length 2 or 3, namely [query, value] or [query, value, key]. "
                f"Received length: {len(shapes)}."
            )

    # -- the parts that users override, by the names and arguments that Keras gives them -----------------------------

    def _calculate_scores(self, query: Any, key: Any) -> Any:
        """Returns how well each query goes with each key: (batch, queries, steps)."""
        if self.concat_score_weight is None:
            found = ops.matmul(query, ops.swapaxes(key, -2, -1))
            return found if self.scale is None else found * self.scale
        pairs = ops.expand_dims(query, -2) + ops.expand_dims(key, -3)
        if self.scale is not None:
            pairs = self.scale * pairs
        return self.concat_score_weight * ops.sum(ops.tanh(pairs), -1)

    def _calculate_score_mask(self, scores: Any, v_mask: Any, use_causal_mask: bool) -> Any:
        """Returns which query sees which step, or the mask of the steps where that says it all."""
        if not use_causal_mask:
            return v_mask
        seen = None if v_mask is None else ops.expand_dims(v_mask, -2)
        return both(seen, causal_mask(size_of(scores, -2), size_of(scores, -1)))

    def _apply_scores(self, scores: Any, value: Any, scores_mask: Any = None, training: bool = False) -> Any:
        """Returns the values weighed by the softmax of the scores, and the weights."""
        dtype = scores.dtype
        if scores_mask is not None:
            seen = as_value(scores_mask)
            seen = ops.expand_dims(seen, -2) if seen.type.rank == 2 else seen
            # float16 has no number as large as this: where all is masked, there were infinities and NaN.
            scores = ops.cast(scores, "float32") if dtype == "float16" else scores
            scores = ops.where(seen, scores, scores - 1e9)
        weights = ops.cast(ops.softmax(scores, -1), dtype)
        if training and self.dropout > 0:
            weights = drop(weights, self.dropout, weights, self.seed, self.name)
        return ops.matmul(weights, value), weights

    # -- what follows from that --------------------------------------------------------------------------------------

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Value | tuple[Value, Value]:
        query, value, *key = inputs
        query_mask, value_mask = self._masks(mask)
        scores = self._calculate_scores(query=query, key=key[0] if key else value)
        seen = self._calculate_score_mask(scores, value_mask, use_causal_mask)
        y, weights = self._apply_scores(scores=scores, value=value, scores_mask=seen, training=training)
        if query_mask is not None:
            y = ops.where(ops.expand_dims(query_mask, -1), y, ops.zeros_like(y))
        return (y, weights) if return_attention_scores else y

    def _masks(self, mask: Any) -> tuple[Any, Any]:
        """Returns the masks of query and value."""
        if mask is None:
            return None, None
        if not isinstance(mask, list | tuple):
            raise ShapeError(
                f"{type(self).__name__} layer mask must be a list, namely [query_mask, value_mask]. Received: "
                f"mask={mask}."
            )
        if not 2 <= len(mask) <= 3:
            raise ShapeError(
                f"{type(self).__name__} layer accepts mask list of length 2 or 3. Received length: {len(mask)}."
            )
        return mask[0], mask[1]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Value | None:
        return self._masks(mask)[0]  # type: ignore[no-any-return]


@known("layers")
class AdditiveAttention(Attention):
    """softmax(sum(scale * tanh(query + key))) @ value (Bahdanau et al., 2014).

    Args:
        use_scale: whether a weight scales each feature.
        dropout: the part of the scores that training drops.

    It is called as `Attention` is; query and key have the same number of features.
    """

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)
        self._arguments["seed"] = self.seed

    def build(self, input_shape: Any) -> None:
        self._check(input_shape)
        self.scale = self.concat_score_weight = None
        if self.use_scale:
            self.scale = self.add_weight((input_shape[0][-1],), "glorot_uniform", name="scale")

    def _calculate_scores(self, query: Any, key: Any) -> Any:
        found = ops.tanh(ops.expand_dims(query, -2) + ops.expand_dims(key, -3))
        return ops.sum(found if self.scale is None else self.scale * found, -1)


def both(one: Value | None, other: Value | None) -> Value | None:
    """Returns where two masks, of which either may be missing, both hold."""
    if one is None or other is None:
        return other if one is None else one
    return ops.logical_and(one, other)


def causal_mask(queries: Size, steps: Size) -> Value:
    """Returns (1, queries, steps) booleans that let no query see what comes after it."""
    rows, columns = ops.arange(queries, dtype="int32"), ops.arange(steps, dtype="int32")
    return ops.greater_equal(ops.reshape(rows, (1, -1, 1)), ops.reshape(columns, (1, 1, -1)))


def window_mask(queries: Size, steps: Size, width: int) -> Value:
    """Returns (1, queries, steps) booleans that let a query see steps less than `width` away."""
    rows, columns = ops.arange(queries, dtype="int32"), ops.arange(steps, dtype="int32")
    distance = ops.absolute(ops.reshape(rows, (1, -1, 1)) - ops.reshape(columns, (1, 1, -1)))
    return ops.less(distance, width)
