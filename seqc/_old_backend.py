"""The functions of tensors that `tf.keras.backend` still has and `keras.backend` had, written with `seqc.ops`.

Names and meaning are those of Keras's own old backend. `seqc.backend` loads this when a script asks for one of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import seqc
from seqc import ops

# What seqc.ops has under the same name, with arguments in the same order.
SAME = frozenset(
    {
        "abs",
        "all",
        "any",
        "arange",
        "cos",
        "cumprod",
        "cumsum",
        "elu",
        "equal",
        "exp",
        "eye",
        "greater",
        "greater_equal",
        "less",
        "less_equal",
        "log",
        "max",
        "maximum",
        "mean",
        "min",
        "minimum",
        "not_equal",
        "ones_like",
        "prod",
        "reshape",
        "round",
        "shape",
        "sigmoid",
        "sign",
        "sin",
        "softplus",
        "softsign",
        "square",
        "squeeze",
        "stack",
        "std",
        "stop_gradient",
        "sum",
        "tanh",
        "tile",
        "transpose",
        "var",
        "zeros_like",
    }
)


def argmax(x: Any, axis: int = -1) -> Any:
    """Returns the places of the largest numbers along an axis."""
    return ops.argmax(x, axis=axis)


def argmin(x: Any, axis: int = -1) -> Any:
    """Returns the places of the smallest numbers along an axis."""
    return ops.argmin(x, axis=axis)


def batch_flatten(x: Any) -> Any:
    """Returns each sample as one row."""
    return ops.reshape(x, (ops.shape(x)[0], -1))


def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """Returns the crossentropy of each number."""
    return ops.binary_crossentropy(target, output, from_logits)


def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """Returns the crossentropy of each row of probabilities."""
    return ops.categorical_crossentropy(target, output, from_logits, axis)


def sparse_categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """Returns the crossentropy of each row of probabilities with the number of a class."""
    return ops.sparse_categorical_crossentropy(target, output, from_logits, axis)


def cast(x: Any, dtype: str) -> Any:
    """Returns x in another element type."""
    return ops.cast(x, dtype)


def cast_to_floatx(x: Any) -> Any:
    """Returns x in the element type of layers; of arrays an array."""
    return x.astype(seqc.config.floatx()) if isinstance(x, np.ndarray) else ops.cast(x, seqc.config.floatx())


def clip(x: Any, min_value: Any, max_value: Any) -> Any:
    """Returns x between two limits, either of which may be None."""
    low, high = (-np.inf if min_value is None else min_value), (np.inf if max_value is None else max_value)
    return ops.clip(x, low, high)


def concatenate(tensors: Any, axis: int = -1) -> Any:
    """Returns tensors one after another."""
    return ops.concatenate(tensors, axis)


def constant(value: Any, dtype: Any = None, shape: Any = None, name: Any = None) -> Any:
    """Returns a number, or numbers, in a shape."""
    made = ops.convert_to_tensor(value, dtype or seqc.config.floatx())
    return made if shape is None else ops.broadcast_to(made, shape)


def count_params(x: Any) -> int:
    """Returns how many numbers there are."""
    return int(np.prod(x.shape))


def dot(x: Any, y: Any) -> Any:
    """Returns products of rows of x and columns of y: over the last axis of x and the last but one of y."""
    return ops.dot(x, y)


def dtype(x: Any) -> str:
    """Returns the element type."""
    return str(x.dtype)


def expand_dims(x: Any, axis: int = -1) -> Any:
    """Returns x with a new axis."""
    return ops.expand_dims(x, axis)


def flatten(x: Any) -> Any:
    """Returns all numbers in one row."""
    return ops.reshape(x, (-1,))


def gather(reference: Any, indices: Any) -> Any:
    """Returns the rows of these numbers."""
    return ops.take(reference, indices, axis=0)


def get_value(x: Any) -> Any:
    """Returns a tensor or a variable as an array."""
    return ops.convert_to_numpy(x)


def hard_sigmoid(x: Any) -> Any:
    """Returns 0.2 x + 0.5 between 0 and 1, as Keras 2 had it."""
    return ops.clip(0.2 * ops.convert_to_tensor(x) + 0.5, 0.0, 1.0)


def int_shape(x: Any) -> tuple[int | None, ...]:
    """Returns the shape; None for sizes that are open."""
    return tuple(x.shape)


def l2_normalize(x: Any, axis: Any = None) -> Any:
    """Returns x over its length along an axis, of all of it without one."""
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis=axis, keepdims=True), 1e-12))


def map_fn(fn: Any, elems: Any, name: Any = None, dtype: Any = None) -> Any:
    """Returns what a function gives for each row."""
    return ops.map(fn, elems)


def ndim(x: Any) -> int:
    """Returns the number of axes."""
    return len(x.shape)


def one_hot(indices: Any, num_classes: int) -> Any:
    """Returns ones at the places that the indices say, zeros elsewhere."""
    return ops.one_hot(indices, num_classes)


def ones(shape: Any, dtype: Any = None, name: Any = None) -> Any:
    """Returns ones, which Keras keeps in a variable."""
    return variable(np.ones(shape), dtype, name)


def zeros(shape: Any, dtype: Any = None, name: Any = None) -> Any:
    """Returns zeros, which Keras keeps in a variable."""
    return variable(np.zeros(shape), dtype, name)


def permute_dimensions(x: Any, pattern: Any) -> Any:
    """Returns x with its axes in another order."""
    return ops.transpose(x, pattern)


def pow(x: Any, a: Any) -> Any:
    """Returns x to the power of a."""
    return ops.power(x, a)


def random_normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Returns normal random numbers."""
    return seqc.random.normal(shape, mean, stddev, dtype, seed)


def random_uniform(shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Returns random numbers from one limit on, below the other."""
    return seqc.random.uniform(shape, minval, maxval, dtype, seed)


def relu(x: Any, alpha: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Any:
    """Returns x where it is positive."""
    return seqc.activations.relu(x, negative_slope=alpha, max_value=max_value, threshold=threshold)


def repeat(x: Any, n: int) -> Any:
    """Returns each row of a matrix n times, along a new axis."""
    return ops.repeat(ops.expand_dims(x, 1), n, axis=1)


def repeat_elements(x: Any, rep: int, axis: int) -> Any:
    """Returns each element of an axis several times."""
    return ops.repeat(x, rep, axis=axis)


def reverse(x: Any, axes: Any) -> Any:
    """Returns x turned round along axes."""
    return ops.flip(x, axes)


def set_value(x: Any, value: Any) -> None:
    """Gives a variable another value."""
    x.assign(value)


def softmax(x: Any, axis: int = -1) -> Any:
    """Returns shares that add up to one."""
    return ops.softmax(x, axis=axis)


def sqrt(x: Any) -> Any:
    """Returns the square root; of negative numbers 0."""
    return ops.sqrt(ops.maximum(x, 0.0))


def switch(condition: Any, then_expression: Any, else_expression: Any) -> Any:
    """Returns one of two tensors, or of what two functions give, element by element where the condition has several."""
    then, other = (f() if callable(f) else f for f in (then_expression, else_expression))
    missing = len(then.shape) - len(condition.shape)
    return ops.where(ops.reshape(condition, (*ops.shape(condition), *[1] * missing)), then, other)


def update(x: Any, new_x: Any) -> Any:
    """Gives a variable another value."""
    return x.assign(new_x)


def update_add(x: Any, increment: Any) -> Any:
    """Adds to a variable."""
    return x.assign(x + increment)


def update_sub(x: Any, decrement: Any) -> Any:
    """Takes from a variable."""
    return x.assign(x - decrement)


def variable(value: Any, dtype: Any = None, name: Any = None, constraint: Any = None) -> Any:
    """Returns a variable."""
    return seqc.Variable(np.asarray(value), dtype=dtype or seqc.config.floatx(), name=name)


eval = get_value
OWN = frozenset(
    name for name, found in globals().items() if getattr(found, "__module__", None) == __name__ and name[0] != "_"
)
