"""The base of all metrics: numbers that are kept up to date batch by batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc import file_scope, initializers
from seqc.attributes import Keeper
from seqc.graph.ir import Value
from seqc.graph.tracing import Variable, holding
from seqc.losses.base import dtype_of
from seqc.utils.naming import snake_case, unique_name


class Metric(Keeper):
    """A number computed from all batches seen since the last reset.

    A subclass makes its state with `add_variable`, or keeps variables and other metrics as attributes, and writes
    `update_state(y_true, y_pred, sample_weight=None)`, which assigns to the state, and `result()`, both with functions
    of `seqc.ops`. Inside a traced graph assignments become results of the graph; outside they happen at once.

    Args:
        dtype: of the state, "float32" by default. name: key of the number in logs; made from the class name by default.
    """

    _kind = "metrics"

    @property
    def _labels_like_output(self) -> bool:
        """Whether labels are to have the output's shape, and nothing but a look at both would tell."""
        return False

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.name = name or unique_name(snake_case(type(self).__name__))
        self.dtype = dtype_of(dtype)
        self._start_keeping()

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Takes one batch in."""
        raise NotImplementedError(f"{type(self).__name__} does not define update_state(y_true, y_pred, sample_weight).")

    def result(self) -> Value:
        """Returns the number for all batches since the last reset."""
        raise NotImplementedError(f"{type(self).__name__} does not define result().")

    def reset_state(self) -> None:
        """Starts again: sets the state to zero."""
        for variable in self.variables:
            variable.assign(np.zeros(variable.shape, variable.dtype))

    def __call__(self, *args: Any, **kwargs: Any) -> Value:
        """Takes one batch in and returns the number so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    def add_variable(
        self,
        shape: Sequence[int] = (),
        initializer: Any = "zeros",
        dtype: str | None = None,
        aggregation: str | None = "sum",
        name: str | None = None,
    ) -> Variable:
        """Makes a variable that is part of the metric's state.

        Args:
            shape, initializer, dtype, name: of the variable.
            aggregation: accepted for Keras's sake; there is one device.
        """
        dtype, name = dtype or self.dtype, name or "variable"
        file_scope.reserve_free(shape, np.dtype(dtype).itemsize, f"state '{name}' of metric '{self.name}'")
        start = initializers.get(initializer)(tuple(shape), dtype)
        variable = Variable(np.asarray(start, dtype), name=name, trainable=False)
        variable.path = f"{self.name}/{name}"
        self._variables.append(variable)
        return variable

    def add_weight(
        self,
        shape: Sequence[int] = (),
        initializer: Any = "zeros",
        dtype: str | None = None,
        name: str | None = None,
    ) -> Variable:
        """As `add_variable`, which has one argument more."""
        return self.add_variable(shape, initializer, dtype, name=name)

    @property
    def variables(self) -> list[Variable]:
        """The state: that of this metric, then that of metrics kept as its attributes, in lists and so on too."""
        return [*self._variables, *(v for m in self.own_metrics() for v in m.variables)]

    def stateless_update_state(self, metric_variables: Sequence[Any], *args: Any, **kwargs: Any) -> list[Any]:
        """Returns what arrays in the place of the state become by a batch; the state stays as it is."""
        with holding(self.variables, metric_variables, f"metric '{self.name}'"):
            self.update_state(*args, **kwargs)
            return [v.numpy() for v in self.variables]

    def stateless_result(self, metric_variables: Sequence[Any]) -> Any:
        """Returns the number that arrays in the place of the state come to."""
        with holding(self.variables, metric_variables, f"metric '{self.name}'"):
            return np.asarray(self.result())

    def stateless_reset_state(self) -> list[Any]:
        """Returns arrays as the state begins; the state stays as it is."""
        with holding(self.variables, [v.numpy() for v in self.variables], f"metric '{self.name}'"):
            self.reset_state()
            return [v.numpy() for v in self.variables]

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as plain data."""
        return {"name": self.name, "dtype": self.dtype} | super().get_config()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"
