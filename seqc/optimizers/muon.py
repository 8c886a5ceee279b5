"""Muon: momentum whose singular values are made equal."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from seqc import ops
from seqc.errors import ConfigError
from seqc.graph.ir import Value
from seqc.graph.tracing import Variable
from seqc.known_classes import known
from seqc.optimizers.adam import adam_rate, estimates
from seqc.optimizers.arguments import warn_of_idle_patterns
from seqc.optimizers.base import Optimizer
from seqc.optimizers.graph import norm


@known("optimizers")
class Muon(Optimizer):
    """Steps of matrices along momentum with its singular values made nearly equal; Adam's steps for all else.

    Jordan et al. (2024), "Muon: An optimizer for hidden layers in neural networks"; the size of a step by Liu et al.
    (2025), "Muon is Scalable for LLM Training". Variables that are no matrices take AdamW's steps, and so do those of
    embeddings and of layers that are named.

    Args:
        learning_rate: see `Optimizer`, as for the arguments not named here.
        adam_beta_1, adam_beta_2: shares of the old estimates in Adam's new ones.
        adam_weight_decay: the weight decay of variables that take Adam's steps; None for none.
        epsilon: added to the root of Adam's mean square.
        weight_decay: that of all others; None for none.
        exclude_layers: patterns; variables take Adam's steps where one matches in their path.
        exclude_embeddings: whether variables do whose path has "embedding" in it.
        muon_a, muon_b, muon_c: coefficients of the polynomial that drives singular values towards 1.
        adam_lr_ratio: Adam's learning rate over the learning rate.
        momentum: share of the old momentum in the new one.
        ns_steps: how often the polynomial is applied.
        nesterov: whether a step looks ahead by the momentum once more.
        rms_rate: steps are this times the root of the matrix's longer side; None for steps of size 1.

    Raises:
        ConfigError: `exclude_layers` is no list of patterns.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        *,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.7750,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **base: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **base)
        self.adam_beta_1 = adam_beta_1
        self.adam_beta_2 = adam_beta_2
        self.adam_weight_decay = adam_weight_decay
        self.epsilon = epsilon
        self.exclude_layers = _patterns(exclude_layers or [])
        self.exclude_embeddings = exclude_embeddings
        self.muon_a = muon_a
        self.muon_b = muon_b
        self.muon_c = muon_c
        self.adam_lr_ratio = adam_lr_ratio
        self.momentum = momentum
        self.ns_steps = ns_steps
        self.nesterov = nesterov
        self.rms_rate = rms_rate

    def _takes_adams_steps(self, variable: Variable) -> bool:
        if variable.ndim != 2 or (self.exclude_embeddings and "embedding" in variable.path.lower()):
            return True
        return any(re.search(pattern, variable.path) for pattern in self.exclude_layers)

    def make_slots(self, variables: list[Variable]) -> None:
        warn_of_idle_patterns("exclude_layers", self.exclude_layers, re.search, variables)
        for variable in variables:
            self.add_variable_from_reference(variable, "momentum")
            if self._takes_adams_steps(variable):
                self.add_variable_from_reference(variable, "velocity")

    def decay_of(self, variable: Variable) -> float | None:
        return self.adam_weight_decay if self._takes_adams_steps(variable) else self.weight_decay

    def update_step(self, gradient: Value, variable: Variable, learning_rate: Value) -> None:
        momentum = self.slot(variable, "momentum")
        if self._takes_adams_steps(variable):
            rate = learning_rate * self.adam_lr_ratio
            rate = adam_rate(rate, self.step_number(gradient), self.adam_beta_1, self.adam_beta_2)
            velocity = self.slot(variable, "velocity")
            mean, square = estimates(momentum, velocity, gradient, self.adam_beta_1, self.adam_beta_2)
            variable.assign(variable - mean * rate / (ops.sqrt(square) + self.epsilon))
            return
        moved = momentum.to_value() * self.momentum + gradient
        momentum.assign(moved)
        direction = moved * self.momentum + gradient if self.nesterov else moved
        tall = variable.shape[0] > variable.shape[1]
        direction = self._equalized(ops.transpose(direction) if tall else direction)
        direction = ops.transpose(direction) if tall else direction
        size = 1.0 if self.rms_rate is None else math.sqrt(max(variable.shape)) * self.rms_rate
        variable.assign(variable - direction * (learning_rate * size))

    def _equalized(self, x: Value) -> Value:
        """Returns a matrix with its singular values near 1, by a polynomial of x x^T (a Newton-Schulz iteration).

        It is cheapest where the matrix is no higher than wide.
        """
        x = x / (norm([x]) + 1e-7)
        for _ in range(self.ns_steps):
            product = x @ ops.transpose(x)
            x = x * self.muon_a + (product * self.muon_b + (product * self.muon_c) @ product) @ x
        return x


def _patterns(given: Iterable[Any]) -> list[Any]:
    found = [given] if isinstance(given, str) else list(given)
    try:
        for pattern in found:
            re.compile(pattern)
    except (re.error, TypeError) as error:
        raise ConfigError(
            f"`exclude_layers` must be a list of patterns for the paths of variables; got {given!r}: {error}."
        ) from None
    if isinstance(given, str):
        raise ConfigError(f"`exclude_layers` must be a list of patterns; got the string {given!r}. Put it into a list.")
    return found
