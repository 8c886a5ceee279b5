"""What layers of attention with several heads have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqc import ops
from seqc.errors import ConfigError, ShapeError
from seqc.graph.element_types import float_info
from seqc.graph.ir import Value, apply, as_value
from seqc.graph.tracing import current_trace
from seqc.initializers import Initializer
from seqc.layers._arguments import BiasArguments, KernelArguments
from seqc.layers._common import KerasShape
from seqc.layers.activation import Softmax
from seqc.layers.attention import both, causal_mask, window_mask
from seqc.layers.base import Layer
from seqc.layers.einsum_dense import EinsumDense
from seqc.layers.regularization import Dropout
from seqc.ops.elementwise import Identity
from seqc.ops.sizes import size_of
from seqc.serialization import serialize

# Options of the projections inside.
OPTIONS = (
    "kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer", "kernel_constraint",
    "bias_constraint",
)  # fmt: skip

# The attribute that keeps each projection, by which files name it.
ATTRIBUTES = {
    "query": "query_dense", "key": "key_dense", "gate": "gate_dense", "value": "value_dense",
    "attention_output": "output_dense",
}  # fmt: skip


class Heads(KernelArguments, BiasArguments, Layer):
    """What attention with several heads has in common: options of the projections, masks, and the calls.

    A subclass keeps its arguments, `OPTIONS` for the projections.
    """

    supports_masking = True
    # What the names of the attributes that keep projections begin with, but for that of the gate.
    prefix = ""
    # Axes of a projected query that queries and keys are counted along.
    axes: tuple[int, ...] = (1,)
    # Sizes of the result behind its steps; none for those of the query.
    _output_sizes: tuple[int, ...] = ()
    dropout: float
    use_bias: bool
    use_gate: bool
    seed: int | None
    sliding_window: int | None
    flash_attention: bool | None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # No penalty on the result, unless the subclass says so.
        self._projected_activity, self.activity_regularizer = self.activity_regularizer, None
        sliding_window = self.sliding_window
        if sliding_window is not None and (not isinstance(sliding_window, int) or sliding_window <= 0):
            raise ConfigError(
                f"`sliding_window` must be `None` or a positive integer. Received: sliding_window={sliding_window}"
            )
        if self.flash_attention and self.dropout > 0:
            raise ConfigError(
                "Dropout is not supported when flash attention is enabled. Please set dropout to 0.0 to use flash "
                "attention."
            )

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("flash_attention", None)
        return config | {"activity_regularizer": serialize(self._projected_activity)}

    def get_build_config(self) -> dict[str, Any] | None:
        return None if self._build_shape is None else {"shapes_dict": dict(self._shapes)}

    def _dense(self, name: str, equation: str, sizes: Sequence[int], bias: str, **kwargs: Any) -> EinsumDense:
        """Returns a projection with the layer's options; initializers are copies, so that each draws for itself."""
        options = {option: getattr(self, option) for option in OPTIONS}
        for option, start in options.items():
            if isinstance(start, Initializer):
                options[option] = start.clone()
        options["activity_regularizer"] = self._projected_activity
        given = (*(None for _ in range(len(equation.partition("->")[2]) - 1 - len(sizes))), *sizes)
        bias_axes = bias if self.use_bias else None
        return EinsumDense(
            equation, given, bias_axes=bias_axes, name=name, dtype=self.dtype_policy, **options, **kwargs
        )

    # -- what each kind of attention says ----------------------------------------------------------------------------

    def _projections(self, query_shape: KerasShape) -> dict[str, tuple[str, Sequence[int], str]]:
        """Returns equation, sizes of the result and axes of the bias for each of `ATTRIBUTES`, in this order."""
        raise NotImplementedError

    def _scores(self, query: Value, key: Value) -> Value:
        """Returns how well projected queries and keys fit: (batch, heads, queries, steps)."""
        raise NotImplementedError

    def _combined(self, weights: Value, value: Value) -> Value:
        """Returns the sum of the projected values for each query, in the axes of a projected query."""
        raise NotImplementedError

    def _attend(
        self, query: Value, key: Value, value: Value, seen: Value | None, training: bool, with_scores: bool
    ) -> tuple[Value, Value]:
        """Calls `_compute_attention` as Keras does."""
        raise NotImplementedError

    # -- what follows from that --------------------------------------------------------------------------------------

    def build(self, query_shape: KerasShape, value_shape: KerasShape, key_shape: KerasShape | None = None) -> None:
        key_shape = self._remember_shapes(query_shape, value_shape, key_shape)
        made = {part: one for part, one in self._projections(query_shape).items() if part != "gate" or self.use_gate}
        for part, (equation, sizes, bias) in made.items():
            options = {"activation": "sigmoid"} if part == "gate" else {}
            setattr(self, self._attribute(part), self._dense(part, equation, sizes, bias, **options))
        self._softmax = Softmax(tuple(range(-len(self.axes), 0)), dtype=self.dtype_policy)
        self._dropout_layer = Dropout(self.dropout, seed=self.seed, dtype=self.dtype_policy)
        heads = (made["query"][1][0], made["value"][1][1])
        shapes = {"key": key_shape, "value": value_shape, "attention_output": (*query_shape[:-1], *heads)}
        for part in made:
            getattr(self, self._attribute(part)).build_for(shapes.get(part, query_shape))

    def compute_output_shape(  # type: ignore[override]
        self, query_shape: KerasShape, value_shape: KerasShape, key_shape: KerasShape | None = None
    ) -> KerasShape:
        """Returns the shape of the result, without that of scores."""
        return (*query_shape[:-1], *(self._output_sizes or query_shape[-1:]))

    def _attribute(self, part: str) -> str:
        return ("_" if part == "gate" else self.prefix) + ATTRIBUTES[part]

    def _project(self, part: str, x: Value) -> Value:
        projected: Value = getattr(self, self._attribute(part))(x)
        return projected

    def call(
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
        seen = self._compute_attention_mask(
            query,
            value,
            query_mask=query_mask,
            value_mask=value_mask,
            key_mask=key_mask,
            attention_mask=attention_mask,
            use_causal_mask=use_causal_mask,
        )
        query, value = bare(query), bare(value)
        k = self._project("key", value if key is None else bare(key))
        q, v = self._project("query", query), self._project("value", value)
        y, kept = self._attend(q, k, v, seen, training, return_attention_scores)
        if self.use_gate:
            y = y * self._project("gate", query)
        y = self._project("attention_output", y)
        return (y, kept) if return_attention_scores else y

    def _remember_shapes(self, query: KerasShape, value: KerasShape, key: KerasShape | None) -> KerasShape:
        """Keeps what the layer is built for; returns the shape of the key."""
        self._shapes = {"query_shape": query, "value_shape": value} | ({} if key is None else {"key_shape": key})
        key = value if key is None else key
        if tuple(value[1:-1]) != tuple(key[1:-1]):
            raise ShapeError(
                "All dimensions of `value` and `key`, except the last one, must be equal. Received: "
                f"value_shape={tuple(value)} and key_shape={tuple(key)}"
            )
        return key

    # -- the parts that users override, by the names and arguments that Keras gives them -----------------------------

    def _compute_attention_mask(
        self,
        query: Any,
        value: Any,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        use_causal_mask: bool = False,
    ) -> Value | None:
        """Returns which query may see which step, of all masks together; None where all see all."""
        seen = None if query_mask is None else ops.expand_dims(ops.cast(query_mask, "bool"), -1)
        for m in (value_mask, key_mask):
            seen = both(seen, None if m is None else ops.expand_dims(ops.cast(m, "bool"), -2))
        if use_causal_mask:
            seen = both(seen, self._compute_causal_mask(query, value))
        if self.sliding_window is not None:
            seen = both(seen, self._compute_sliding_window_mask(query, value))
        return both(None if attention_mask is None else ops.cast(attention_mask, "bool"), seen)

    def _compute_causal_mask(self, query: Any, value: Any = None) -> Value:
        """Returns (1, queries, steps) booleans that let no query see what comes after it."""
        return causal_mask(size_of(query, 1), size_of(query if value is None else value, 1))

    def _compute_sliding_window_mask(self, query: Any, value: Any = None) -> Value:
        """Returns (1, queries, steps) booleans that let a query see only steps within the window."""
        width: Any = self.sliding_window
        return window_mask(size_of(query, 1), size_of(query if value is None else value, 1), width)

    def _compute_attention(
        self,
        query: Any,
        key: Any,
        value: Any,
        attention_mask: Any = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> tuple[Any, Any]:
        """Returns the heads' results of projected queries, keys and values, and the weights before dropout.

        The weights are None where nobody asked and nothing is dropped, as in Keras, which then fuses all of it.
        """
        if use_causal_mask:
            given = None if attention_mask is None else ops.cast(attention_mask, "bool")
            attention_mask = both(given, self._compute_causal_mask(query, value))
        scores = self._scores(query, key)
        if self.dropout > 0 or return_attention_scores or scores.type.rank != 4:
            weights = self._masked_softmax(scores, attention_mask)
            return self._combined(self._dropout_layer(weights, training=training), value), weights
        # A query that sees nothing sees all alike here, as in the fused attention of Keras's backends.
        if attention_mask is not None:
            seen = ops.cast(self._for_all_heads(attention_mask, scores), "bool")
            scores = ops.where(seen, scores, -0.7 * float(float_info(scores.dtype).max))
        return self._combined(ops.softmax(scores, -1), value), None

    def _masked_softmax(self, attention_scores: Any, attention_mask: Any = None) -> Any:
        """Returns the weights of scores, zero where the mask says so."""
        if attention_mask is not None:
            attention_mask = self._for_all_heads(attention_mask, attention_scores)
        return self._softmax(attention_scores, mask=attention_mask)

    def _for_all_heads(self, mask: Any, scores: Value) -> Value:
        """Returns a mask with axes for the heads, and what else lies before queries and steps in scores."""
        seen = as_value(mask)
        missing, place = scores.type.rank - seen.type.rank, seen.type.rank - 2 * len(self.axes)
        return ops.expand_dims(seen, tuple(range(place, place + missing))) if missing > 0 else seen

    def _refuse_flash_scores(self, with_scores: bool) -> None:
        if self.flash_attention and with_scores:
            raise ConfigError(
                "Returning attention scores is not supported when flash attention is enabled. Please disable flash "
                "attention to access attention scores."
            )


def bare(x: Value) -> Value:
    """Returns a tensor without its mask, which attention takes care of itself."""
    trace = current_trace()
    return apply(Identity(), x) if trace is not None and x in trace.masks else x
