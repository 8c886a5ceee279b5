"""Layers that make one tensor of several, and the functions that do so without naming a layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, ClassVar

from seqc import ops
from seqc.errors import ArgumentTypeError, ConfigError, ShapeError
from seqc.graph.ir import Value
from seqc.known_classes import known
from seqc.layers.base import Layer
from seqc.layers.call_errors import refuse_dictionary
from seqc.layers.calls import is_shape

Masks = Sequence[Value | None]


class Merge(Layer):
    """Combines tensors element by element; sizes of 1 broadcast, and so do missing axes after the batch."""

    supports_masking = True
    takes_several = True
    # How many tensors it takes, where that is fixed.
    count: ClassVar[int | None] = None

    def build(self, input_shape: Any) -> None:
        _require_several(type(self).__name__, input_shape, self.count)
        batches = {shape[0] for shape in input_shape if shape} - {None}
        if len(batches) > 1:
            raise ShapeError(
                "Cannot merge tensors with different batch sizes. Received tensors with shapes "
                f"{[tuple(s) for s in input_shape]}"
            )
        reduce(_broadcast, (tuple(shape[1:]) for shape in input_shape))

    def call(self, inputs: Any, mask: Any = None) -> Value:
        rank = max(x.type.rank for x in inputs)
        masks = list(mask) if isinstance(mask, list | tuple) else [None] * len(inputs)
        if any(x.type.rank != rank for x in inputs):
            masks = [None] * len(inputs)
        wide = [ops.expand_dims(x, tuple(range(1, 1 + rank - x.type.rank))) if x.type.rank < rank else x
                for x in inputs]  # fmt: skip
        return self.merge(wide, [None if m is None else ops.expand_dims(m, -1) for m in masks])

    def merge(self, inputs: list[Value], masks: Masks) -> Value:
        """Returns the combination of tensors of one rank; a mask has a last axis of size 1."""
        raise NotImplementedError

    def compute_mask(self, inputs: Any, mask: Any = None) -> Value | None:
        masks = _masks_of(inputs, mask)
        if any(m is None for m in masks):
            return None
        return reduce(ops.logical_or, masks)


def _masks_of(inputs: Any, mask: Any) -> list[Value | None]:
    """Returns a mask, or None, for each tensor."""
    if mask is None:
        return [None] * len(inputs)
    if not isinstance(mask, list | tuple):
        raise ShapeError(f"`mask` should be a list. Received: mask={mask}")
    if len(mask) != len(inputs):
        raise ShapeError(
            "The lists `inputs` and `mask` should have the same length. Received: inputs of length "
            f"{len(inputs)}, and mask of length {len(mask)}"
        )
    return list(mask)


def _require_several(kind: str, shapes: Any, count: int | None = None) -> None:
    """Raises ShapeError unless there are several tensors, or just `count`."""
    refuse_dictionary(kind, shapes)
    if is_shape(shapes):
        article = "An" if kind[0] in "AEIOU" else "A"
        many = f"a list of {count} inputs" if count else "a list of inputs"
        shown = list(shapes) if not shapes else tuple(shapes)
        raise ShapeError(
            f"{article} `{kind}` layer should be called on {many}. Received: input_shape={shown} (not a list of shapes)"
        )
    numbers = [i for i, shape in enumerate(shapes) if not shape]
    if numbers:
        raise ShapeError(
            f"`{kind}` combines tensors with a batch axis, and input {numbers[0]} is a single number. Operators take "
            "numbers: x + 1, x * 2."
        )
    if count is not None and len(shapes) != count:
        raise ShapeError(
            f"A `{kind}` layer should be called on exactly {count} inputs. Received: "
            f"input_shape={[tuple(s) for s in shapes]}"
        )


def _broadcast(one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[Any, ...]:
    """Returns the shape of the combination of two, without the batch.

    Raises:
        ShapeError: they do not fit.
    """
    if len(one) < len(other):
        one, other = other, one
    found = list(one[: len(one) - len(other)])
    for i, j in zip(one[len(found) :], other, strict=True):
        if None not in (i, j) and 1 not in (i, j) and i != j:
            raise ShapeError(f"Inputs have incompatible shapes. Received shapes {one} and {other}")
        found.append(None if None in (i, j) else j if i == 1 else i)
    return tuple(found)


@known("layers")
class Add(Merge):
    """The sum of several tensors."""

    def merge(self, inputs: list[Value], masks: Masks) -> Value:
        return reduce(ops.add, inputs)


@known("layers")
class Subtract(Merge):
    """The first tensor less the second."""

    count = 2

    def merge(self, inputs: list[Value], masks: Masks) -> Value:
        return ops.subtract(*inputs)


@known("layers")
class Multiply(Merge):
    """The product of several tensors; what a mask hides counts as 1, and as 0 where all masks hide it."""

    def merge(self, inputs: list[Value], masks: Masks) -> Value:
        shown = [x if m is None else ops.where(m, x, ops.ones_like(x)) for x, m in zip(inputs, masks, strict=True)]
        y = reduce(ops.multiply, shown)
        known_masks = [m for m in masks if m is not None]
        if len(known_masks) < len(inputs):
            return y
        return ops.where(reduce(ops.logical_or, known_masks), y, ops.zeros_like(y))


@known("layers")
class Average(Merge):
    """The mean of several tensors."""

    def merge(self, inputs: list[Value], masks: Masks) -> Value:
        return ops.divide(reduce(ops.add, inputs), len(inputs))


class _Extreme(Merge):
    """The largest or smallest of several tensors; what a mask hides gives way to what the others have."""

    better: Callable[[Any, Any], Value]

    def merge(self, inputs: list[Value], masks: Masks) -> Value:
        (y, seen), *rest = zip(inputs, masks, strict=True)
        for x, mask in rest:
            if mask is not None:
                x = ops.where(mask, x, y)
            if seen is not None:
                y = ops.where(seen, y, x)
            seen = None if mask is None or seen is None else ops.logical_or(seen, mask)
            y = type(self).better(y, x)
        return y


@known("layers")
class Maximum(_Extreme):
    """The largest of several tensors, element by element."""

    better = staticmethod(ops.maximum)


@known("layers")
class Minimum(_Extreme):
    """The smallest of several tensors, element by element."""

    better = staticmethod(ops.minimum)


@known("layers")
class Concatenate(Layer):
    """Several tensors one after another along an axis, all other sizes equal.

    Args:
        axis: of the join; the last by default.
    """

    supports_masking = True
    takes_several = True

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not hasattr(axis, "__index__"):
            raise ArgumentTypeError(f"Concatenate needs one integer as `axis`. Received: axis={axis!r}")
        self.axis = int(axis)

    def build(self, input_shape: Any) -> None:
        refuse_dictionary("Concatenate", input_shape)
        if is_shape(input_shape):
            raise ShapeError(
                "A `Concatenate` layer should be called on a list of at least 1 input. Received: "
                f"input_shape={tuple(input_shape)}"
            )
        shapes = [tuple(shape) for shape in input_shape]
        rank = len(shapes[0])
        wrong = any(len(shape) != rank for shape in shapes) or not -rank <= self.axis < rank
        for i in set(range(rank)) - {self.axis % rank} if not wrong else ():
            wrong |= len({shape[i] for shape in shapes} - {None}) > 1
        if wrong:
            raise ShapeError(
                "A `Concatenate` layer requires inputs with matching shapes except for the concatenation axis "
                f"{self.axis}. Received: input_shape={shapes}"
            )

    def call(self, inputs: Any) -> Value:
        return ops.concatenate(inputs, axis=self.axis)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Value | None:
        masks = _masks_of(inputs, mask)
        if all(m is None for m in masks):
            return None
        full = [_like(m, x) for m, x in zip(masks, inputs, strict=True)]
        return ops.any(ops.concatenate(full, axis=self.axis), axis=-1)


def _like(mask: Value | None, x: Value) -> Value:
    """Returns a mask with an element for each of x."""
    if mask is None:
        return ops.ones_like(x, dtype="bool")
    if mask.type.rank < x.type.rank:
        return ops.logical_or(ops.expand_dims(mask, -1), ops.zeros_like(x, dtype="bool"))
    return mask


@known("layers")
class Dot(Layer):
    """The sum of products of two tensors over an axis of each, for every sample on its own.

    Args:
        axes: of the sum: one number for both, or one for each. Not the batch, which is axis 0.
        normalize: whether to divide both by their length along the axis first, which gives the cosine between them.
    """

    supports_masking = True
    takes_several = True

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(axes, int):
            if not isinstance(axes, list | tuple):
                raise ConfigError(
                    f"Invalid type for argument `axes`: it should be a list or an int. Received: axes={axes}"
                )
            if len(axes) != 2:
                raise ConfigError(
                    f"Invalid format for argument `axes`: it should contain two elements. Received: axes={axes}"
                )
            if not all(isinstance(axis, int) for axis in axes):
                raise ConfigError(
                    f"Invalid format for argument `axes`: list elements should be integers. Received: axes={axes}"
                )
        self.axes, self.normalize = axes, normalize

    def build(self, input_shape: Any) -> None:
        _require_several("Dot", input_shape, 2)
        one, other = (tuple(shape) for shape in input_shape)
        if min(len(one), len(other)) < 2:
            raise ShapeError(
                f"Cannot do batch_dot on inputs with rank < 2. Received inputs with shapes {one} and {other}."
            )
        a, b = self._axes(len(one), len(other))
        if 0 in (a, b):
            raise ShapeError(
                "Cannot perform batch_dot over axis 0. If your inputs are not batched, add a dummy batch dimension."
            )
        if one[a] != other[b]:
            raise ShapeError(
                f"Incompatible input shapes: axis values {one[a]} (at axis {a}) != {other[b]} (at axis {b}). Full "
                f"input shapes: {one}, {other}"
            )

    def _axes(self, *ranks: int) -> tuple[int, int]:
        axes = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        for axis, rank in zip(axes, ranks, strict=True):
            if not -rank <= axis < rank:
                raise ShapeError(f"Dot sums over axis {axis}, which an input of {rank} axes does not have.")
        a, b = (axis % rank for axis, rank in zip(axes, ranks, strict=True))
        return a, b

    def call(self, inputs: Any) -> Value:
        one, other = inputs
        a, b = self._axes(one.type.rank, other.type.rank)
        if self.normalize:
            one, other = ops.normalize(one, a), ops.normalize(other, b)
        letters = "abcdefghijklmnopqrstuvwxyz"
        left = "".join("z" if i == a else letters[i] for i in range(one.type.rank))
        rest = letters[one.type.rank :]
        right = "".join("a" if i == 0 else "z" if i == b else rest[i] for i in range(other.type.rank))
        result = (left + right[1:]).replace("z", "")
        y = ops.einsum(f"{left},{right}->{result}", one, other)
        return ops.expand_dims(y, -1) if len(result) == 1 else y

    def compute_mask(self, inputs: Any, mask: Any = None) -> Value | None:
        return None


def add(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Returns the sum of several tensors; further arguments are those of the layer `Add`."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Returns the first of two tensors less the second; further arguments are those of the layer `Subtract`."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Returns the product of several tensors; further arguments are those of the layer `Multiply`."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Returns the mean of several tensors; further arguments are those of the layer `Average`."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Returns the largest of several tensors; further arguments are those of the layer `Maximum`."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Returns the smallest of several tensors; further arguments are those of the layer `Minimum`."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Any:
    """Returns several tensors joined along an axis; further arguments are those of the layer `Concatenate`."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Sequence[Any], axes: int | Sequence[int] = -1, **kwargs: Any) -> Any:
    """Returns the sum of products of two tensors over an axis of each; further arguments are those of `Dot`."""
    return Dot(axes=axes, **kwargs)(inputs)
