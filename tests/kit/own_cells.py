"""Cells that a user writes, as Keras's own tests do."""

from __future__ import annotations

from typing import Any

from seqc import layers, ops, random


class OneStateRNNCell(layers.Layer):
    def __init__(self, units: int, state_size: Any = None, **more: Any) -> None:
        super().__init__(**more)
        self.units = units
        self.state_size = state_size or units

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight((input_shape[-1], self.units), name="kernel")
        self.recurrent_kernel = self.add_weight((self.units, self.units), name="recurrent_kernel")

    def call(self, inputs: Any, states: Any) -> Any:
        output = ops.matmul(inputs, self.kernel) + ops.matmul(states[0], self.recurrent_kernel)
        return output, [output]


class TwoStatesRNNCell(layers.Layer):
    def __init__(self, units: int, state_size: Any = None, **more: Any) -> None:
        super().__init__(**more)
        self.units = self.output_size = units
        self.state_size = state_size or [units, units]

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight((input_shape[-1], self.units), name="kernel")
        self.recurrent_kernel_1 = self.add_weight((self.units, self.units), name="recurrent_kernel_1")
        self.recurrent_kernel_2 = self.add_weight((self.units, self.units), name="recurrent_kernel_2")

    def call(self, inputs: Any, states: Any) -> Any:
        h = ops.matmul(inputs, self.kernel)
        first = h + ops.matmul(states[0], self.recurrent_kernel_1)
        second = h + ops.matmul(states[0], self.recurrent_kernel_2)
        return first + second, [first, second]


class RNNCellWithDropout(layers.Layer):
    def __init__(
        self, units: int, dropout: float = 0.5, recurrent_dropout: float = 0.5, seed: Any = None, **more: Any
    ) -> None:
        super().__init__(**more)
        self.units = self.state_size = units
        self.dropout, self.recurrent_dropout, self.seed = dropout, recurrent_dropout, seed
        self.seed_generator = random.SeedGenerator(seed)

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight((input_shape[-1], self.units), "ones", name="kernel")
        self.recurrent_kernel = self.add_weight((self.units, self.units), "ones", name="recurrent_kernel")

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        before = states[0]
        if training:
            inputs = random.dropout(inputs, self.dropout, seed=self.seed_generator)
            before = random.dropout(before, self.recurrent_dropout, seed=self.seed_generator)
        output = ops.matmul(inputs, self.kernel) + ops.matmul(before, self.recurrent_kernel)
        return output, [output]


class MeanSoFar(layers.Layer):
    """Gives the mean of the steps so far, each `units` long, and the number of them, in an output of another size."""

    def __init__(self, units: int, **more: Any) -> None:
        super().__init__(**more)
        self.units = units
        self.state_size = [1, units]
        self.output_size = units + 1

    def call(self, inputs: Any, states: Any) -> Any:
        count, total = states[0] + 1.0, states[1] + inputs
        return ops.concatenate([total / count, count], -1), [count, total]


CELLS = {cell.__name__: cell for cell in (OneStateRNNCell, RNNCellWithDropout, TwoStatesRNNCell)}
