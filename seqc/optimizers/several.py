"""Several optimizers in one model, chosen for each variable."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from typing import Any

from seqc.errors import ArgumentTypeError, ConfigError
from seqc.graph.tracing import ByVariable, Variable
from seqc.known_classes import known
from seqc.optimizers.arguments import warn_of_idle_patterns
from seqc.optimizers.base import Optimizer
from seqc.optimizers.loss_scale import LossScaleOptimizer
from seqc.serialization import Configurable, serialize


@known("optimizers")
class OptimizerMap(Configurable, MutableMapping[str, Optimizer]):
    """Optimizers by the paths of the variables that they change.

    Args:
        default_optimizer: for all variables that no other one is for.
        optimizer_map: optimizers by paths, or by patterns that match whole paths, "encoder/.*".

    Raises:
        ArgumentTypeError: what should be an optimizer, or a dictionary of them, is none.
    """

    _kind = "optimizers"

    def __init__(self, default_optimizer: Optimizer, optimizer_map: dict[str, Optimizer] | None = None) -> None:
        if not isinstance(default_optimizer, Optimizer):
            raise ArgumentTypeError(
                f"default_optimizer must be a Keras Optimizer instance. Received: {default_optimizer}"
            )
        if optimizer_map is not None and not isinstance(optimizer_map, dict):
            raise ArgumentTypeError(f"optimizer_map must be a dictionary. Received: {optimizer_map}")
        self.default_optimizer = default_optimizer
        self._by_path: dict[str, Optimizer] = {}
        for path, optimizer in (optimizer_map or {}).items():
            self[path] = optimizer

    def __getitem__(self, key: str) -> Optimizer:
        """Returns the optimizer for a variable, by its path: that of this very path, that of a pattern, or the default.

        Raises:
            ConfigError: several patterns match.
        """
        if key in self._by_path:
            return self._by_path[key]
        matching = [pattern for pattern in self._by_path if re.fullmatch(pattern, key)]
        if len(matching) > 1:
            raise ConfigError(
                f"Multiple optimizers assigned to variable {key}: the patterns {', '.join(map(repr, matching))} match."
            )
        return self._by_path[matching[0]] if matching else self.default_optimizer

    def __setitem__(self, key: str, optimizer: Optimizer) -> None:
        if key in self._by_path:
            raise ConfigError(
                f"'{key}' already exists in the OptimizerMap with value {self._by_path[key]}. Please make sure to not "
                "use duplicated keys."
            )
        if not isinstance(key, str):
            raise ConfigError(f"key must be a string. Received: {key}")
        try:
            re.compile(key)
        except re.error as error:
            raise ConfigError(f"'{key}' is no pattern for the paths of variables: {error}.") from None
        self._by_path[key] = _inside("optimizer", optimizer)

    def __delitem__(self, key: str) -> None:
        del self._by_path[key]

    def __len__(self) -> int:
        return len(self._by_path)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_path)

    def __call__(self, variable: Variable) -> Optimizer:
        return self[variable.path]

    def get_config(self) -> dict[str, Any]:
        return {"default_optimizer": serialize(self.default_optimizer), "optimizer_map": serialize(self._by_path)}


@known("optimizers")
class MultiOptimizer(Optimizer):
    """Changes each variable by the optimizer that is chosen for it.

    What is written of an optimizer - learning rate, clipping, weight decay, averages - is written of those inside.

    Args:
        optimizer_map: an `OptimizerMap`, or a function that returns the optimizer of a variable.
        loss_scale_factor: takes the place of that of all optimizers inside.
        name: part of the paths of its variables; made from the class name by default.

    Raises:
        ConfigError: the map is none, or gives no optimizer that can be one of several.
    """

    def __init__(
        self,
        optimizer_map: OptimizerMap | Callable[[Variable], Optimizer],
        loss_scale_factor: float | None = None,
        name: str | None = None,
    ) -> None:
        if not callable(optimizer_map):
            raise ConfigError(
                "`optimizer_map` must be an OptimizerMap, or a function that returns the optimizer of a variable; got "
                f"{optimizer_map!r}."
            )
        super().__init__(learning_rate=0.0, loss_scale_factor=loss_scale_factor, name=name)
        self.optimizer_map = optimizer_map
        self._inner: list[Optimizer] = []
        self._chosen: dict[Variable, Optimizer] = ByVariable()
        if isinstance(optimizer_map, OptimizerMap):
            for optimizer in (*optimizer_map.values(), optimizer_map.default_optimizer):
                self._take(optimizer)

    def _take(self, optimizer: Any) -> Optimizer:
        _inside("optimizer", optimizer)
        if not any(optimizer is taken for taken in self._inner):
            self._inner.append(optimizer)
        return optimizer  # type: ignore[no-any-return]

    @property
    def optimizers(self) -> list[Optimizer]:
        """The optimizers inside."""
        return list(self._inner)

    @property
    def inner_optimizers(self) -> list[Optimizer]:
        return self.optimizers

    def make_slots(self, variables: list[Variable]) -> None:
        if isinstance(self.optimizer_map, OptimizerMap):
            warn_of_idle_patterns("OptimizerMap", self.optimizer_map, re.fullmatch, variables)
        self._chosen = ByVariable((variable, self._take(self.optimizer_map(variable))) for variable in variables)
        for optimizer, own in self._shared_out(variables):
            if not optimizer.built:
                optimizer.build(own)

    def _shared_out(self, variables: Sequence[Variable]) -> list[tuple[Optimizer, list[Variable]]]:
        """Returns the optimizers with those of the variables that are theirs, where there are any."""
        shares = [(one, [v for v in variables if self._chosen.get(v) is one]) for one in self._inner]
        return [(optimizer, own) for optimizer, own in shares if own]

    @property
    def variables(self) -> list[Variable]:
        """Its own variables, then those of the optimizers inside."""
        return [*self._variables, *(variable for one in self._inner for variable in one.variables)]

    @property
    def learning_rate(self) -> Any:
        """There is none: each optimizer inside has its own."""
        raise AttributeError(
            "Learning rate cannot be accessed on a MultiOptimizer. Access the learning rate on the individual "
            "sub-optimizers instead."
        )

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        raise AttributeError(
            "Learning rate cannot be set on a MultiOptimizer. Set the learning rate on the individual sub-optimizers "
            "instead."
        )

    def apply(self, grads: Sequence[Any], trainable_variables: Iterable[Variable] | None = None) -> None:
        """Makes one step of each optimizer with its variables; see `Optimizer.apply`."""
        pairs = self._pairs(grads, trainable_variables)
        if not pairs:
            return
        gradients = {variable: gradient for gradient, variable in pairs}
        for optimizer, own in self._shared_out(list(gradients)):
            optimizer.loss_scale_factor = self.loss_scale_factor
            optimizer.apply([gradients[variable] for variable in own], own)
        self._iterations.assign(self._iterations.to_value() + 1)

    def get_config(self) -> dict[str, Any]:
        return {
            "optimizer_map": serialize(self.optimizer_map),
            "loss_scale_factor": self.loss_scale_factor,
            "name": self.name,
        }


def _inside(name: str, optimizer: Any) -> Optimizer:
    """Returns an optimizer that can be one of several.

    Raises:
        ConfigError: it is none.
    """
    if not isinstance(optimizer, Optimizer):
        raise ConfigError(f"{name} must be a Keras Optimizer instance. Received: {optimizer}")
    if isinstance(optimizer, LossScaleOptimizer | MultiOptimizer):
        raise ConfigError(
            f"{name} cannot be {type(optimizer).__name__}, which cannot be used inside a MultiOptimizer. A "
            "LossScaleOptimizer goes around it."
        )
    return optimizer
