"""Layers that put zeros around sequences, images and volumes, or cut their ends off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from seqc import ops
from seqc.errors import ConfigError, ShapeError
from seqc.graph.ir import Type, Value, apply, as_value
from seqc.known_classes import known
from seqc.layers._common import as_tuple, data_format_name, image_hint
from seqc.layers.base import Layer
from seqc.ops.slicing import Slice

Pair = tuple[int, int]


@known("layers")
class ZeroPadding1D(Layer):
    """Puts zeros before and after a sequence.

    Args:
        padding: how many, one number or (before, after). data_format: "channels_last" or "channels_first".
    """

    input_rank = 3

    def __init__(self, padding: int | Sequence[int] = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = data_format_name(data_format)
        self.padding = as_tuple(padding, 2, "padding", smallest=0)
        self.built = True

    def call(self, x: Any) -> Value:
        return _padded(x, [self.padding], self.data_format)


class _ZeroPadding(Layer):
    rank: ClassVar[int]

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = data_format_name(data_format)
        self.padding = _pairs(padding, "padding", self.rank)
        self.input_rank = self.rank + 2
        self.built = True

    def call(self, x: Any) -> Value:
        return _padded(x, self.padding, self.data_format)

    def input_hint(self, x: Type) -> str:
        return image_hint(x.shape, self.rank)


@known("layers")
class ZeroPadding2D(_ZeroPadding):
    """Puts zeros around images.

    Args:
        padding: how many; one number, (height, width), or ((top, bottom), (left, right)). data_format: "channels_last"
        or "channels_first".
    """

    rank = 2

    def __init__(self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(padding, data_format, **kwargs)


@known("layers")
class ZeroPadding3D(_ZeroPadding):
    """Puts zeros around volumes.

    Args:
        padding: how many; one number, (depth, height, width), or a pair (before, after) for each of the three.
        data_format: "channels_last" or "channels_first".
    """

    rank = 3

    def __init__(self, padding: Any = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(padding, data_format, **kwargs)


@known("layers")
class Cropping1D(Layer):
    """Cuts steps off a sequence.

    Args:
        cropping: how many, one number or (before, after).
    """

    input_rank = 3

    def __init__(self, cropping: int | Sequence[int] = (1, 1), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cropping = as_tuple(cropping, 2, "cropping", smallest=0)
        self.built = True

    def call(self, x: Any) -> Value:
        value = as_value(x)
        size = value.shape[1]
        if size is not None and sum(self.cropping) >= size:
            raise ShapeError(
                "`cropping` parameter of `Cropping1D` layer must be smaller than the input length. Received: "
                f"input_shape={value.shape}, cropping={self.cropping}"
            )
        return _cut(value, [self.cropping], "channels_last")


class _Cropping(Layer):
    rank: ClassVar[int]

    def __init__(self, cropping: Any, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = data_format_name(data_format)
        if isinstance(cropping, int) and cropping < 0:
            raise ConfigError(f"`cropping` cannot be negative. Received: cropping={cropping}.")
        self.cropping = _pairs(cropping, "cropping", self.rank)
        self.input_rank = self.rank + 2
        self.built = True

    def call(self, x: Any) -> Value:
        value = as_value(x)
        space = value.shape[1:-1] if self.data_format == "channels_last" else value.shape[2:]
        if any(size is not None and sum(pair) >= size for size, pair in zip(space, self.cropping, strict=True)):
            raise ShapeError(
                "Values in `cropping` argument should be smaller than the corresponding spatial dimension of the "
                f"input. Received: input_shape={value.shape}, cropping={self.cropping}"
            )
        return _cut(value, self.cropping, self.data_format)

    def input_hint(self, x: Type) -> str:
        return image_hint(x.shape, self.rank)


@known("layers")
class Cropping2D(_Cropping):
    """Cuts the borders off images.

    Args:
        cropping: how much; one number, (height, width), or ((top, bottom), (left, right)). data_format: "channels_last"
        or "channels_first".
    """

    rank = 2

    def __init__(self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(cropping, data_format, **kwargs)


@known("layers")
class Cropping3D(_Cropping):
    """Cuts the borders off volumes.

    Args:
        cropping: how much; one number, (depth, height, width), or a pair (before, after) for each of the three.
        data_format: "channels_last" or "channels_first".
    """

    rank = 3

    def __init__(self, cropping: Any = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(cropping, data_format, **kwargs)


_EXAMPLES = {
    2: "(symmetric_height_crop, symmetric_width_crop), or a tuple of 2 tuples of 2 ints ((top_crop, bottom_crop), "
    "(left_crop, right_crop))",
    3: "(symmetric_dim1_crop, symmetric_dim2_crop, symmetric_dim3_crop), or a tuple of 3 tuples of 2 ints "
    "((left_dim1_crop, right_dim1_crop), (left_dim2_crop, right_dim2_crop), (left_dim3_crop, right_dim3_crop))",
}


def _pairs(given: Any, name: str, rank: int) -> tuple[Pair, ...]:
    """Returns what stands for a pair (before, after) per axis in full."""
    if isinstance(given, int):
        given = (given,) * rank
    elif not hasattr(given, "__len__"):
        raise ConfigError(
            f"`{name}` should be either an int, a tuple of {rank} ints {_EXAMPLES[rank]}. Received: {name}={given}."
        )
    if len(given) != rank:
        raise ConfigError(f"`{name}` should have {'two' if rank == 2 else rank} elements. Received: {name}={given}.")
    pairs = (
        as_tuple(g, 2, f"{o} entry of {name}", smallest=0) for g, o in zip(given, ("1st", "2nd", "3rd"), strict=False)
    )
    return tuple((before, after) for before, after in pairs)


def _padded(x: Any, pairs: Sequence[Sequence[int]], data_format: str) -> Value:
    none = ((0, 0),)
    space = tuple((before, after) for before, after in pairs)
    return ops.pad(x, (*none, *space, *none) if data_format == "channels_last" else (*none, *none, *space))


def _cut(x: Value, pairs: Sequence[Sequence[int]], data_format: str) -> Value:
    first = 1 if data_format == "channels_last" else 2
    cut = [(i, before, after) for i, (before, after) in enumerate(pairs, first) if before or after]
    if not cut:
        return x
    axes, starts, ends = zip(*cut, strict=True)
    return apply(Slice(axes, starts, tuple(-n if n else None for n in ends), (1,) * len(axes)), x)
