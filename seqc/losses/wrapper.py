"""A loss as a class: a function and how its values are reduced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seqc.graph.ir import Value
from seqc.known_classes import known
from seqc.losses.base import Loss, squeeze_or_expand_to_same_rank
from seqc.losses.named import named_function, takes_labels_like_output
from seqc.serialization import serialize

MEAN = "sum_over_batch_size"


@known("losses")
class LossFunctionWrapper(Loss):
    """Makes a loss of a function `(y_true, y_pred, **kwargs) -> values`.

    Labels and predictions whose ranks differ by a last axis of size one are brought to the same rank first.
    """

    def __init__(
        self,
        fn: Callable[..., Any] | str,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.fn: Callable[..., Any] = named_function(fn) if isinstance(fn, str) else fn
        self.fn_kwargs = kwargs

    @property
    def _labels_like_output(self) -> bool:
        return takes_labels_like_output(self.fn)

    def call(self, y_true: Value, y_pred: Value) -> Any:
        true, pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
        return self.fn(true, pred, **self.fn_kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if type(self) is LossFunctionWrapper:
            config |= {name: serialize(value) for name, value in self.fn_kwargs.items()}
        return config
