"""A dense layer whose product is written as an Einstein summation."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

from seqc import ops
from seqc.errors import ArgumentTypeError, ConfigError, ShapeError
from seqc.graph.ir import Value, as_value
from seqc.initializers import VarianceScaling
from seqc.known_classes import known
from seqc.layers._arguments import (
    NO_PENALTY,
    NO_QUANTIZATION,
    UNQUANTIZED,
    BiasArguments,
    KernelArguments,
    keep_arguments,
)
from seqc.layers._common import KerasShape, checked_shape
from seqc.layers.base import Layer


@known("layers")
class EinsumDense(KernelArguments, BiasArguments, Layer):
    """activation(einsum(equation, x, kernel) + bias).

    Args:
        equation: of the summation, such as "abc,cd->abd"; "..." stands for axes left or right of the named ones.
        output_shape: without the batch, None where the size is that of the input.
        activation: name or function.
        bias_axes: letters of the result's axes along which there is a bias; None for no bias.
        kernel_initializer: name or object of `seqc.initializers`.
        bias_initializer: name or object of `seqc.initializers`.
        kernel_regularizer: name or object of `seqc.regularizers`.
        bias_regularizer: name or object of `seqc.regularizers`.
        kernel_constraint: name or object of `seqc.constraints`.
        bias_constraint: name or object of `seqc.constraints`.
    """

    inert = UNQUANTIZED | {"gptq_unpacked_column_size": (None,)}
    always_written = NO_QUANTIZATION | NO_PENALTY
    not_kept = ("output_shape",)
    equation: str
    activation: Any
    bias_axes: str | None

    @keep_arguments
    def __init__(
        self,
        equation: str,
        output_shape: int | Sequence[int | None],
        activation: Any = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        sizes = output_shape if isinstance(output_shape, list | tuple) else (output_shape,)
        self.partial_output_shape = checked_shape(sizes)
        for name in ("equation", "bias_axes"):
            if not isinstance(getattr(self, name), str) and (name, bias_axes) != ("bias_axes", None):
                raise ArgumentTypeError(f"EinsumDense needs letters as `{name}`. Received: {getattr(self, name)!r}")

    def build(self, input_shape: KerasShape) -> None:
        x, kernel, result = spelled_out(self.equation, len(input_shape))
        sizes = dict(zip(x, input_shape, strict=True)) | self._result_sizes(x, result, input_shape)
        for letter in kernel:
            if letter not in sizes:
                raise ShapeError(
                    f"Weight dimension '{letter}' did not have a match in either the input spec '{x}' or the output "
                    f"spec '{result}'. For this layer, the weight must be fully specified."
                )
        shape = tuple(sizes[letter] for letter in kernel)
        self.kernel = self._add_described_weight("kernel", shape, initializer=self._by_axes(kernel, result))
        self.bias = None
        if self.bias_axes is not None:
            missing = next((letter for letter in self.bias_axes if letter not in result), None)
            if missing is not None:
                raise ConfigError(
                    f"Bias dimension '{missing}' was requested, but is not part of the output spec '{result}'"
                )
            first = min(result.find(letter) for letter in self.bias_axes)
            shape = tuple(sizes[letter] if letter in self.bias_axes else 1 for letter in result[first:])
            self.bias = self._add_described_weight("bias", shape)
        self._input_sizes = {
            i: size for i, (letter, size) in enumerate(zip(x, input_shape, strict=True))
            if letter in kernel and size is not None
        }  # fmt: skip
        self.input_rank = len(input_shape)

    def _result_sizes(self, x: str, result: str, input_shape: KerasShape) -> dict[str, int | None]:
        """Returns the size of each axis of the result by letter."""
        named = [letter for letter in result if letter not in elided(self.equation, x)]
        given = dict(zip(named[1:] if result[0] in named else named, self.partial_output_shape, strict=False))
        own = dict(zip(x, input_shape, strict=True))
        for letter, size in given.items():
            if letter in own and size is not None and size != own[letter]:
                raise ShapeError(
                    f"Input shape and output shape do not match at shared dimension '{letter}'. Input shape is "
                    f"{own[letter]}, and output shape is {size}."
                )
        if len(given) < len(self.partial_output_shape) or any(c not in own and c not in given for c in result):
            raise ShapeError(
                f"output_shape {self.partial_output_shape} of EinsumDense does not name each axis of {self.equation!r} "
                "after the batch."
            )
        return {letter: size for letter, size in given.items() if letter not in own}

    def _by_axes(self, kernel: str, result: str) -> Any:
        """Returns the kernel's initializer, which knows the axes that go in and come out."""
        start = self.kernel_initializer
        if not isinstance(start, VarianceScaling) or None not in (start.input_axes, start.output_axes):
            return start
        axes = {
            "input_axes": [i for i, letter in enumerate(kernel) if letter not in result],
            "output_axes": [i for i, letter in enumerate(kernel) if letter in result],
        }
        return type(start).from_config(start.get_config() | {"seed": start.seed} | axes)

    def call(self, x: Any) -> Value:
        value = as_value(x)
        inputs, kernel, result = spelled_out(self.equation, value.type.rank)
        y = ops.einsum(f"{inputs},{kernel}->{result}", value, self.kernel)
        if self.bias is not None:
            y = y + self.bias
        return self.activation(y)  # type: ignore[no-any-return]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"output_shape": list(self.partial_output_shape)}


def spelled_out(equation: str, rank: int) -> tuple[str, str, str]:
    """Returns the letters of input, kernel and result, with letters for the axes that "..." stands for.

    Raises:
        ConfigError: the equation is of another form.
        ShapeError: the input has another number of axes.
    """
    text = equation.replace(" ", "")
    left, arrow, result = text.partition("->")
    x, comma, kernel = left.partition(",")
    named = [part.removeprefix("...").removesuffix("...").isalpha() for part in (x, result)]
    sides = {tuple(i for i, end in enumerate((part[:3], part[-3:])) if end == "...") for part in (x, result)}
    if not (arrow and comma and all(named) and kernel.isalpha() and len(sides) == 1 and sides <= {(), (0,), (1,)}):
        raise ConfigError(
            f"Invalid einsum equation '{equation}'. Equations must be in the form [X],[Y]->[Z], ...[X],[Y]->...[Z], "
            "or [X]...,[Y]->[Z]...."
        )
    extra = rank - len(x.replace("...", ""))
    if extra < 0 or (extra and "..." not in text):
        raise ShapeError(f"EinsumDense({equation!r}) names other axes than those of an input of {rank}.")
    free = "".join(letter for letter in string.ascii_letters if letter not in text)[:extra]
    return x.replace("...", free), kernel, result.replace("...", free)


def elided(equation: str, x: str) -> str:
    """Returns the letters that stand for "..."."""
    return "".join(letter for letter in x if letter not in equation)
