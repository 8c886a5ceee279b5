"""TensorFlow's functions of tensors under its own names and signatures, for scripts that call them around a model.

Each is a function of `seqc.ops`: with numbers at once, in a layer or a step as a part of its graph.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import seqc
from seqc import ops
from seqc.utils.absent import refuse

# In TensorFlow's modules `tf` and `tf.math`, as in seqc.ops but for the names of arguments, which come in one order.
_SAME = [
    "abs",
    "add",
    "argsort",
    "broadcast_to",
    "cast",
    "ceil",
    "convert_to_tensor",
    "cos",
    "cosh",
    "cumprod",
    "divide",
    "divide_no_nan",
    "einsum",
    "equal",
    "erf",
    "exp",
    "expand_dims",
    "expm1",
    "eye",
    "floor",
    "greater",
    "greater_equal",
    "is_tensor",
    "less",
    "less_equal",
    "linspace",
    "log",
    "log1p",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "meshgrid",
    "minimum",
    "mod",
    "multiply",
    "not_equal",
    "ones",
    "ones_like",
    "reciprocal",
    "repeat",
    "reshape",
    "roll",
    "round",
    "rsqrt",
    "shape",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "size",
    "softplus",
    "sort",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "stop_gradient",
    "subtract",
    "tan",
    "tanh",
    "tensordot",
    "tile",
    "top_k",
    "transpose",
    "unstack",
    "where",
    "zeros",
    "zeros_like",
]
_OTHERS = {
    "atan2": "arctan2", "clip_by_value": "clip", "concat": "concatenate", "is_finite": "isfinite",
    "is_inf": "isinf", "is_nan": "isnan", "negative": "negative", "pow": "power", "range": "arange",
    "reduce_all": "all", "reduce_any": "any", "reduce_logsumexp": "logsumexp", "reduce_max": "max",
    "reduce_mean": "mean", "reduce_min": "min", "reduce_prod": "prod", "reduce_std": "std", "reduce_sum": "sum",
    "reduce_variance": "var", "reverse": "flip", "segment_sum": "segment_sum", "truediv": "true_divide",
}  # fmt: skip
_NN = [
    "elu",
    "hard_tanh",
    "log_softmax",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "swish",
    "tanh",
    "top_k",
]
_LINALG = {"cholesky": "cholesky", "det": "det", "diag_part": "diagonal", "einsum": "einsum", "eye": "eye",
           "inv": "inv", "qr": "qr", "solve": "solve", "tensordot": "tensordot", "trace": "trace"}  # fmt: skip
_TYPES = [
    "bool",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "string",
]
# What TensorFlow calls arguments, by what seqc.ops calls them.
_WORDS = {
    "input": "x", "input_tensor": "x", "tensor": "x", "value": "x", "values": "xs", "t": "x", "a": "x", "logits": "x",
    "features": "x", "x": "x", "y": "x2", "shape": "shape", "perm": "axes", "multiples": "repeats", "dims": "shape",
    "clip_value_min": "x_min", "clip_value_max": "x_max", "condition": "condition", "limit": "stop", "delta": "step",
}  # fmt: skip


def _renamed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function that takes TensorFlow's names of arguments, and its `name`."""
    from inspect import signature

    known = list(signature(function).parameters)

    def call(*given: Any, name: Any = None, **named: Any) -> Any:
        for word in list(named):
            if word not in known:
                first = known[0] if not given and _WORDS.get(word) in ("x", "xs") else None
                named[first or _WORDS.get(word, word)] = named.pop(word)
        return function(*given, **named)

    call.__name__ = function.__name__
    return call


def matmul(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False, name: Any = None) -> Any:
    """Returns a product of matrices, of which each may be transposed first."""
    a = ops.swapaxes(a, -1, -2) if transpose_a else a
    return ops.matmul(a, ops.swapaxes(b, -1, -2) if transpose_b else b)


def gather(params: Any, indices: Any, axis: int | None = None, batch_dims: int = 0, name: Any = None) -> Any:
    """Returns the rows of these numbers; with batch_dims=1 those of each sample."""
    if batch_dims:
        if batch_dims != 1 or axis not in (None, 1):
            raise NotImplementedError("tf.gather with batch_dims is there for batch_dims=1 and axis=1.")
        return ops.vectorized_map(lambda one: ops.take(one[0], one[1], axis=0), (params, indices))
    return ops.take(params, indices, axis=axis or 0)


def one_hot(
    indices: Any, depth: int, on_value: Any = None, off_value: Any = None, axis: int = -1, dtype: Any = None,
    name: Any = None,
) -> Any:  # fmt: skip
    """Returns ones at the places that the indices say, and zeros elsewhere, or two other numbers."""
    found = ops.one_hot(indices, depth, axis=axis, dtype=dtype or "float32")
    if on_value is None and off_value is None:
        return found
    on, off = 1 if on_value is None else on_value, 0 if off_value is None else off_value
    return found * (on - off) + off


def split(value: Any, num_or_size_splits: Any, axis: int = 0, name: Any = None) -> Any:
    """Returns equal parts, or parts of these sizes."""
    if isinstance(num_or_size_splits, int):
        return ops.split(value, num_or_size_splits, axis)
    sizes, cuts = list(num_or_size_splits), [0]
    for size in sizes[:-1]:
        cuts.append(cuts[-1] + size)
    return ops.split(value, cuts[1:], axis)


def pad(tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: Any = 0, name: Any = None) -> Any:
    """Returns a tensor with more around it."""
    pairs = [tuple(map(int, pair)) for pair in paddings]
    return ops.pad(tensor, pairs, mode.lower(), constant_values if mode.upper() == "CONSTANT" else None)


def constant(value: Any, dtype: Any = None, shape: Any = None, name: Any = None) -> Any:
    """Returns numbers as a tensor."""
    made = ops.convert_to_tensor(value, dtype)
    return made if shape is None else ops.broadcast_to(made, shape) if not made.shape else ops.reshape(made, shape)


def fill(dims: Any, value: Any, name: Any = None) -> Any:
    """Returns a tensor of one number, of the type of that."""
    number = ops.convert_to_tensor(value)
    return ops.full(dims, number, number.dtype)


def argmax(input: Any, axis: int | None = None, output_type: str = "int64", name: Any = None) -> Any:
    """Returns the places of the largest numbers along an axis, the first one unless told otherwise."""
    return ops.cast(ops.argmax(input, axis=axis or 0), output_type)


def argmin(input: Any, axis: int | None = None, output_type: str = "int64", name: Any = None) -> Any:
    """Returns the places of the smallest numbers along an axis, the first one unless told otherwise."""
    return ops.cast(ops.argmin(input, axis=axis or 0), output_type)


def cumsum(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False, name: Any = None) -> Any:
    """Returns the sums so far along an axis; of what comes later, and without the number itself, where that is said."""
    given = ops.flip(x, axis) if reverse else x
    found = ops.cumsum(given, axis=axis)
    found = found - given if exclusive else found
    return ops.flip(found, axis) if reverse else found


def norm(tensor: Any, ord: Any = "euclidean", axis: Any = None, keepdims: bool = False, name: Any = None) -> Any:
    """Returns the length of vectors; of all numbers without an axis."""
    if axis is None and ord == "euclidean":
        return ops.sqrt(ops.sum(ops.square(tensor), keepdims=keepdims))
    return ops.norm(tensor, None if ord == "euclidean" else ord, axis, keepdims)


def l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12, name: Any = None) -> Any:
    """Returns x over its length, of which the square is no less than epsilon."""
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis=axis, keepdims=True), epsilon))


def band_part(input: Any, num_lower: int, num_upper: int, name: Any = None) -> Any:
    """Returns a matrix with zeros beyond so many diagonals below and above; negative numbers leave all."""
    kept = input if num_lower < 0 else ops.triu(input, -num_lower)
    return kept if num_upper < 0 else ops.tril(kept, num_upper)


def sigmoid_cross_entropy_with_logits(labels: Any = None, logits: Any = None, name: Any = None) -> Any:
    """Returns the crossentropy of each number, from what a sigmoid would be taken of."""
    return ops.maximum(logits, 0.0) - logits * labels + ops.log1p(ops.exp(-ops.abs(logits)))


def softmax_cross_entropy_with_logits(labels: Any, logits: Any, axis: int = -1, name: Any = None) -> Any:
    """Returns the crossentropy of each sample, from what a softmax would be taken of."""
    return -ops.sum(labels * ops.log_softmax(logits, axis=axis), axis=axis)


def sparse_softmax_cross_entropy_with_logits(labels: Any, logits: Any, name: Any = None) -> Any:
    """Returns the crossentropy of each sample, whose label is the number of its class."""
    return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def normal(
    shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None, name: Any = None
) -> Any:
    """Returns normal random numbers."""
    return seqc.random.normal(_known(shape), mean, stddev, dtype, seed)


def truncated_normal(
    shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None, name: Any = None
) -> Any:
    """Returns normal random numbers within two standard deviations."""
    return seqc.random.truncated_normal(_known(shape), mean, stddev, dtype, seed)


def uniform(
    shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = None, seed: Any = None, name: Any = None
) -> Any:
    """Returns random numbers from `minval` on, below `maxval`: whole ones where the type is one of integers."""
    if dtype is not None and seqc.backend.is_int_dtype(dtype):
        return seqc.random.randint(_known(shape), minval, maxval, dtype, seed)
    return seqc.random.uniform(_known(shape), minval, 1.0 if maxval is None else maxval, dtype, seed)


def _known(shape: Any) -> Any:
    return tuple(shape) if isinstance(shape, list) else shape


def variable(initial_value: Any = None, trainable: bool = True, dtype: Any = None, name: Any = None) -> Any:
    """Returns a variable."""
    return seqc.Variable(initial_value, dtype=dtype, trainable=trainable, name=name)


def global_norm(t_list: Any, name: Any = None) -> Any:
    """Returns the length of all numbers of some tensors together; None among them is left out."""
    return ops.sqrt(sum(ops.sum(ops.square(t)) for t in t_list if t is not None))


def clip_by_global_norm(t_list: Any, clip_norm: Any, use_norm: Any = None, name: Any = None) -> Any:
    """Returns tensors scaled down together to a length, and the length they had."""
    length = global_norm(t_list) if use_norm is None else ops.convert_to_tensor(use_norm)
    # Where the length is no finite number, all are NaN; 0 would hide it.
    factor = clip_norm / ops.maximum(length, clip_norm) + (length - length)
    return [None if t is None else ops.cast(factor, ops.dtype(t)) * t for t in t_list], length


def clip_by_norm(t: Any, clip_norm: Any, axes: Any = None, name: Any = None) -> Any:
    """Returns numbers scaled down to a length; each along these axes alone, where there are some."""
    squares = ops.sum(ops.square(t), axis=axes, keepdims=True)
    # The root has no gradient at 0.
    length = ops.where(squares > 0, ops.sqrt(ops.where(squares > 0, squares, ops.ones_like(squares))), squares)
    return t * clip_norm / ops.maximum(length, clip_norm)


def missing(name: str, instead: str | None = None) -> str:
    """Returns what to say of a name of TensorFlow that is not there, and what to take instead."""
    last = name.split(".")[-1]
    other = f"keras.ops.{last}" if last in ops.__all__ else "NumPy or keras.ops"
    return (
        f"tensorflow.{name} is not there: TensorFlow is not installed, and seqc stands for tensorflow.keras, "
        "tf.GradientTape, tf.data.Dataset and usual functions of tensors alone. "
        f"{instead or f'Take {other}, which every backend of Keras has.'}"
    )


class _Part(SimpleNamespace):
    """A module of TensorFlow's."""

    def __init__(self, _called: str, **functions: Any) -> None:
        super().__init__(_called=_called, **functions)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"module 'tensorflow' has no attribute '{name}'", name=name)
        refuse(f"tensorflow.{self._called}", name, missing(f"{self._called}.{name}"))


def functions() -> dict[str, Any]:
    """Returns what there is, by TensorFlow's names in its module `tf`."""
    both = {name: _renamed(getattr(ops, name)) for name in _SAME} | {
        name: _renamed(getattr(ops, other)) for name, other in _OTHERS.items()
    }
    own = {
        f.__name__: f
        for f in (
            matmul, gather, one_hot, split, pad, constant, fill, argmax, argmin, cumsum, norm, clip_by_global_norm,
            clip_by_norm,
        )
    }  # fmt: skip
    math = both | own | {"l2_normalize": l2_normalize}
    nn = {name: _renamed(getattr(ops, name)) for name in _NN} | {
        "gelu": lambda features, approximate=False, name=None: ops.gelu(features, approximate),
        "leaky_relu": lambda features, alpha=0.2, name=None: ops.leaky_relu(features, alpha),
        "l2_normalize": l2_normalize,
        "moments": lambda x, axes, shift=None, keepdims=False, name=None: ops.moments(x, axes, keepdims),
        "embedding_lookup": lambda params, ids, max_norm=None, name=None: ops.take(params, ids, axis=0),
        "sigmoid_cross_entropy_with_logits": sigmoid_cross_entropy_with_logits,
        "softmax_cross_entropy_with_logits": softmax_cross_entropy_with_logits,
        "sparse_softmax_cross_entropy_with_logits": sparse_softmax_cross_entropy_with_logits,
    }
    linalg = {name: _renamed(getattr(ops, other)) for name, other in _LINALG.items()} | {
        "matmul": matmul, "norm": norm, "l2_normalize": l2_normalize, "band_part": band_part, "diag": ops.diag,
        "global_norm": global_norm,
    }  # fmt: skip
    random = {
        "normal": normal, "uniform": uniform, "truncated_normal": truncated_normal,
        "set_seed": seqc.utils.set_random_seed,
        "shuffle": lambda value, seed=None: seqc.random.shuffle(value, seed=seed),
    }  # fmt: skip
    nothing = lambda *_, **__: None  # noqa: E731  (settings that change nothing here)
    devices: Any = lambda kind=None: []  # noqa: E731  (none that computes beside the processor)
    return {
        **both,
        **own,
        **{kind: kind for kind in _TYPES},
        "Variable": variable,
        "eye": ops.eye,
        "identity": lambda input, name=None: ops.convert_to_tensor(input),
        "rank": lambda input, name=None: len(ops.shape(input)),
        "math": _Part("math", **math),
        "nn": _Part("nn", **nn),
        "linalg": _Part("linalg", **linalg),
        "random": _Part("random", **random),
        "image": _Part(
            "image",
            resize=lambda images, size, method="bilinear", antialias=False: ops.image.resize(
                images, size, interpolation=method, antialias=antialias
            ),
            rgb_to_grayscale=ops.image.rgb_to_grayscale,
            flip_left_right=lambda image: ops.flip(image, -2),
            flip_up_down=lambda image: ops.flip(image, -3),
        ),
        "config": _Part(
            "config",
            list_physical_devices=devices,
            list_logical_devices=devices,
            run_functions_eagerly=nothing,
            set_visible_devices=nothing,
            experimental=_Part("config.experimental", list_physical_devices=devices, set_memory_growth=nothing),
        ),
        "test": _Part("test", is_gpu_available=lambda *_, **__: False, gpu_device_name=lambda: ""),
        **{name: getattr(seqc, name) for name in ("losses", "metrics", "optimizers", "initializers")},
    }
