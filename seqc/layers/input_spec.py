"""What a layer or an export says about its input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqc import dtype_policies
from seqc.errors import ArgumentTypeError, ConfigError, ShapeError
from seqc.graph.ir import Type
from seqc.layers._common import KerasShape, checked_shape


class InputSpec:
    """The rank, element type and sizes of an input. A custom layer that sets `self.input_spec` gets inputs that fit.

    Args:
        dtype: element type. shape: sizes, the batch first, None for any. ndim: number of axes.
        max_ndim: the most axes. min_ndim: the fewest axes. axes: sizes of some axes, by their numbers.
        allow_last_axis_squeeze: whether a last axis of size one may be there or not. name: of the input.
        optional: whether the input may be missing.
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: Any = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: Mapping[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = None if dtype is None else dtype_policies.get(dtype).compute_dtype
        self.shape: KerasShape | None = None if shape is None else checked_shape(shape)
        self.ndim = ndim if self.shape is None else len(self.shape)
        self.max_ndim, self.min_ndim = max_ndim, min_ndim
        self.allow_last_axis_squeeze, self.name, self.optional = allow_last_axis_squeeze, name, optional
        try:
            self.axes = {int(axis): size for axis, size in dict(axes or {}).items()}
        except (ValueError, TypeError):
            raise ArgumentTypeError(
                f"Argument `axes` must be a dict with integer keys. Received: axes={axes}"
            ) from None
        most = self.ndim or self.max_ndim
        if self.axes and most is not None and max(self.axes) > most - 1:
            raise ConfigError(f"Axis {max(self.axes)} is greater than the maximum allowed value: {most - 1}")

    def __repr__(self) -> str:
        names = ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes")
        return f"InputSpec({', '.join(f'{n}={getattr(self, n)}' for n in names if getattr(self, n))})"

    def get_config(self) -> dict[str, Any]:
        """Returns its arguments as plain data."""
        names = ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes", "optional")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> InputSpec:
        """Returns one with such arguments."""
        return cls(**config)


def check_spec(specs: Any, x: Type, layer: str) -> None:
    """Raises ShapeError where an input is not what a layer's `input_spec` says.

    Args:
        specs: an `InputSpec`, a list of one, or None. layer: its name.
    """
    listed = list(specs) if isinstance(specs, list | tuple) else [specs]
    if not listed or listed[0] is None:
        return
    if len(listed) > 1:
        raise ShapeError(f"Layer '{layer}' expects {len(listed)} inputs, but it received 1: a Sequential has one.")
    spec: InputSpec = listed[0]
    shape = tuple(d if isinstance(d, int) else None for d in x.shape)
    for expected in _unmet(spec, x, shape):
        raise ShapeError(
            f"Input 0 with name '{spec.name}' of layer '{layer}' is incompatible with the layer: expected {expected}. "
            f"Full shape received: {shape}"
        )


def _unmet(spec: InputSpec, x: Type, shape: KerasShape) -> list[str]:
    """Returns what a spec asks for and an input does not have."""
    unmet = []
    if spec.ndim is not None and not spec.allow_last_axis_squeeze and x.rank != spec.ndim:
        unmet.append(f"ndim={spec.ndim}, found ndim={x.rank}")
    if spec.max_ndim is not None and x.rank > spec.max_ndim:
        unmet.append(f"max_ndim={spec.max_ndim}, found ndim={x.rank}")
    if spec.min_ndim is not None and x.rank < spec.min_ndim:
        unmet.append(f"min_ndim={spec.min_ndim}, found ndim={x.rank}")
    if spec.dtype is not None and x.dtype != spec.dtype:
        unmet.append(f"dtype={spec.dtype}, found dtype={x.dtype}")
    for axis, size in spec.axes.items():
        there = -x.rank <= axis < x.rank
        if size is not None and (not there or shape[axis] not in (size, None)):
            unmet.append(f"axis {axis} of input shape to have value {size}")
    if spec.shape is not None and not fits(spec.shape, shape, spec.allow_last_axis_squeeze):
        unmet.append(f"shape={spec.shape}, found shape={shape}")
    return unmet


def fits(wanted: KerasShape, shape: KerasShape, squeeze: bool = False) -> bool:
    """Tells whether two shapes can be the same, where None is any size."""
    if squeeze:
        wanted, shape = (s[:-1] if s and s[-1] == 1 else s for s in (wanted, shape))
    return len(wanted) == len(shape) and all(
        a is None or b is None or a == b for a, b in zip(wanted, shape, strict=True)
    )
