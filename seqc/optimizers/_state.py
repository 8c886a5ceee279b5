"""The state of optimizers: variables of their own, and their way to and from files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from seqc import initializers
from seqc.attributes import Keeper
from seqc.dtype_policies import rate_dtype
from seqc.errors import ConfigError, ShapeError
from seqc.graph.tracing import ByVariable, Variable
from seqc.ops._common import dtype_name
from seqc.utils.display import note


class OptimizerState(Keeper):
    """Makes, finds, saves and loads an optimizer's own variables.

    Attributes:
        name: part of their paths. built: whether those for the model's variables are made.
    """

    name: str
    built: bool

    # Variables of the model, and slots, which are known.
    _untracked = Keeper._untracked | {"_not_decayed", "_not_decayed_names", "_slots", "_trainable"}

    def _start_state(self) -> None:
        self._start_keeping()
        self._slots: dict[tuple[Variable, str], Variable] = ByVariable()

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: str | None = "none",
        layout: Any = None,
        name: str | None = None,
    ) -> Variable:
        """Makes a variable that belongs to the optimizer and is saved with it.

        Args:
            aggregation, layout: accepted for Keras's sake; there is one device.
        """
        kind = rate_dtype() if dtype is None else dtype_name(dtype)
        start = initializers.get(initializer)(tuple(shape), kind)
        variable = Variable(np.asarray(start, kind), name=name or "variable", trainable=False)
        variable.path = f"{self.name}/{variable.name}"
        self._variables.append(variable)
        return variable

    def add_variable_from_reference(
        self, reference_variable: Variable, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """Makes a slot: a variable shaped like another one."""
        name = name or "var"
        label = f"{reference_variable.path.replace('/', '_')}_{name}"
        made = self.add_variable(reference_variable.shape, initializer, reference_variable.dtype, name=label)
        self._slots[reference_variable, name] = made
        return made

    def add_optimizer_variables(
        self, trainable_variables: Iterable[Variable], name: Any, initializer: Any = "zeros"
    ) -> Any:
        """Makes one slot per variable, or several where `name` is a list; returns a list, or one list per name.

        Args:
            trainable_variables: what the slots are for.
            name: of the slots, or a list of names.
            initializer: of all slots, or a list with one per name.

        Raises:
            ConfigError: there are other numbers of names and initializers.
        """
        if isinstance(name, str):
            return [self.add_variable_from_reference(v, name, initializer) for v in trainable_variables]
        starts = list(initializer) if isinstance(initializer, list | tuple) else [initializer] * len(name)
        if len(starts) != len(name):
            raise ConfigError(
                "The number of provided names must match the number of provided initializers. Received "
                f"name='{name}', initializer='{initializer}'"
            )
        slots = list(zip(name, starts, strict=True))
        rows = [[self.add_variable_from_reference(v, *slot) for slot in slots] for v in trainable_variables]
        return tuple([row[i] for row in rows] for i in range(len(slots)))

    def slot(self, variable: Variable, name: str) -> Variable:
        """Returns the slot of this name that belongs to a variable."""
        return self._slots[variable, name]

    @property
    def variables(self) -> list[Variable]:
        """The optimizer's own variables: iteration, learning rate, then slots."""
        return list(self._variables)

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets all the optimizer's own variables, in the order of `variables`.

        Raises:
            ShapeError: their number or a shape differs.
        """
        variables = self.variables
        if len(weights) != len(variables):
            raise ShapeError(f"Optimizer '{self.name}' has {len(variables)} variables; got {len(weights)} arrays.")
        for variable, weight in zip(variables, weights, strict=True):
            variable.assign(np.asarray(weight))

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        """Puts the optimizer's own variables into a file's store.

        Args:
            store: takes their arrays, as "0" and so on in the order of `variables`.
        """
        store.update({str(i): variable.numpy() for i, variable in enumerate(self.variables)})

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Sets the optimizer's own variables from a file's store; where that has another number of them it warns.

        Args:
            store: their arrays, as `save_own_variables` put them there.
        """
        variables = self.variables
        if len(store) != len(variables):
            note(
                f"Skipping variable loading for optimizer '{self.name}', because it has {len(variables)} variables "
                f"whereas the saved optimizer has {len(store)} variables."
                + ("" if self.built else " It is not built yet: optimizer.build(model.trainable_variables) does that."),
                warn=True,
            )
            return
        self.set_weights([store[str(i)] for i in range(len(variables))])
