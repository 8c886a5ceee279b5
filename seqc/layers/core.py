"""The input of a model, Dense and Activation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from seqc import ops
from seqc.dtype_policies import floatx
from seqc.errors import ConfigError
from seqc.graph.ir import Value, as_value
from seqc.known_classes import known
from seqc.layers._arguments import NO_QUANTIZATION, UNQUANTIZED, BiasArguments, KernelArguments, keep_arguments
from seqc.layers._common import KerasShape, checked_shape
from seqc.layers.base import Layer
from seqc.layers.calls import ModelInput
from seqc.layers.input_axes import shape_of_input


@known("layers")
class InputLayer(Layer):
    """Says what a model is fed: the shape of one sample, how many if that is fixed, and the dtype.

    Args:
        shape: of one sample, None where a size is not known. batch_size: None for any.
        dtype: `floatx()` by default. batch_shape: shape with the batch first, in place of the two.
        name: of the input, also in exported files.
    """

    supports_masking = True
    inert = {  # noqa: RUF012  (a constant, declared so in the base)
        "sparse": (None, False),
        "ragged": (None, False),
        "optional": (False,),
        "input_tensor": (None,),
    }

    def __init__(
        self,
        shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        *,
        batch_shape: Sequence[int | None] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if batch_shape is None:
            batch_shape = kwargs.pop("batch_input_shape", None)
        if shape is None:
            shape = kwargs.pop("input_shape", None)
        if (shape is None) == (batch_shape is None):
            raise ConfigError(
                "You must pass a `shape` argument."
                if shape is None
                else "You cannot pass both `shape` and `batch_shape`."
            )
        super().__init__(name=name, dtype=floatx() if dtype is None else dtype, **kwargs)
        if shape is None:
            self.batch_shape = checked_shape(batch_shape)
        else:
            self.batch_shape = (*checked_shape((batch_size,)), *checked_shape(shape))
        self.built = True
        self.output_shape_seen = self.batch_shape

    @property
    def shape(self) -> KerasShape:
        """The shape with the batch first."""
        return self.batch_shape

    @cached_property
    def output(self) -> Value:
        """The symbol that stands for what is fed."""
        op = ModelInput(self.name, self.dtype, shape_of_input(self.name, self.batch_shape), self)
        return Value(op, (), op.infer())

    def _cast_input(self, x: Value) -> Value:
        return x

    def call(self, x: Any) -> Value:
        return as_value(x)

    def get_config(self) -> dict[str, Any]:
        return {
            "batch_shape": list(self.batch_shape),
            "dtype": self.dtype,
            "sparse": False,
            "ragged": False,
            "optional": False,
            "name": self.name,
        }


def Input(
    shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    *,
    name: str | None = None,
    batch_shape: Sequence[int | None] | None = None,
    **kwargs: Any,
) -> Value:
    """Returns the symbol of a model's input, which layers can be called on; see `InputLayer` for the arguments.

    Example:
        >>> x = seqc.Input((28, 28, 1))
        >>> x.shape, seqc.layers.Flatten()(x).shape
        ((None, 28, 28, 1), (None, 784))
    """
    return InputLayer(shape, batch_size, dtype, batch_shape=batch_shape, name=name, **kwargs).output


@known("layers")
class Dense(KernelArguments, BiasArguments, Layer):
    """activation(x @ kernel + bias), over the last axis of an input of any rank.

    Args:
        units: size of the result's last axis. activation: name or function. use_bias: whether there is a bias.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, activity_regularizer,
        kernel_constraint, bias_constraint: names or objects of `seqc.initializers`, `regularizers`, `constraints`.

    Shapes: (batch, ..., features) to (batch, ..., units); kernel (features, units), bias (units,).

    Example:
        >>> layer = seqc.layers.Dense(2, kernel_initializer="ones", bias_initializer=seqc.initializers.Constant(0.5))
        >>> layer(np.array([[1.0, 2.0, 3.0]])).numpy()
        array([[6.5, 6.5]], dtype=float32)
    """

    min_input_rank = 2
    supports_masking = True
    inert = UNQUANTIZED
    always_written = NO_QUANTIZATION
    units: int
    activation: Any
    use_bias: bool

    @keep_arguments
    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)

    def build(self, input_shape: KerasShape) -> None:
        features = input_shape[-1]
        self.kernel = self._add_described_weight("kernel", (features, self.units))
        self.bias = self._add_described_weight("bias", (self.units,)) if self.use_bias else None
        self._input_sizes = {-1: features}  # type: ignore[dict-item]  # add_weight refused None

    def call(self, x: Any) -> Value:
        y = ops.matmul(ops.cast(x, self.compute_dtype), self.kernel)
        if self.bias is not None:
            y = y + self.bias
        return self.activation(y)  # type: ignore[no-any-return]


@known("layers")
class Activation(Layer):
    """Applies an activation function.

    Args:
        activation: its name, or a function of a tensor.
    """

    supports_masking = True
    activation: Any

    @keep_arguments
    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.built = True

    def call(self, x: Any) -> Value:
        return self.activation(x)  # type: ignore[no-any-return]
