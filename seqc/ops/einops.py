"""Axes in another order, split and joined, said by a pattern, under the name of `keras.ops`."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from seqc.errors import ArgumentTypeError, ConfigError, ShapeError
from seqc.graph.ir import Value, as_value
from seqc.ops.shape import reshape, shape, transpose
from seqc.ops.sizes import Size, product

# A name, or names in brackets, which are one axis.
_AXIS = re.compile(r"\(([\w\s]*)\)|(\w+)")


def rearrange(tensor: Any, pattern: str, **axes_lengths: Any) -> Value:
    """Returns a tensor with its axes in another order, split and joined, in the notation of einops (Rogozhnikov, 2022).

    "b (h p) c -> b h (p c)" names the axes before and after; names in brackets are one axis, of which the first changes
    slowest.

    Args:
        tensor: of any shape. pattern: the axes before and after the arrow.
        axes_lengths: the sizes of axes that an axis is split into, all but one of each.

    Raises:
        ConfigError: the pattern is none, has other axes after the arrow than before, or leaves a size open.
        ShapeError: the tensor has another number of axes, or one that does not split so.
    """
    x = as_value(tensor)
    before, after = _parsed(pattern)
    if len(before) != x.type.rank:
        raise ShapeError(f"The pattern '{pattern}' is for tensors of {len(before)} axes; got {x.type}.")
    names = [name for group in before for name in group]
    unknown = [name for name in axes_lengths if name not in names]
    if unknown:
        raise ConfigError(f"The pattern '{pattern}' has no axis {', '.join(unknown)}.")
    sizes: dict[str, Size] = {}
    for group, whole in zip(before, shape(x), strict=True):
        sizes |= _split(group, whole, axes_lengths, pattern)
    apart = reshape(x, _target([[name] for name in names], sizes, names[:1]))
    moved = transpose(apart, [names.index(name) for group in after for name in group])
    return reshape(moved, _target(after, sizes, names[:1]))


def _parsed(pattern: Any) -> tuple[list[list[str]], list[list[str]]]:
    """Returns the axes before and after the arrow, each as the names that make it up."""
    if not isinstance(pattern, str):
        raise ArgumentTypeError(f"rearrange needs a pattern such as 'b h w c -> b c h w'; got {pattern!r}.")
    sides = pattern.split("->")
    if len(sides) != 2 or any(_AXIS.sub("", side).strip() for side in sides):
        raise ConfigError(
            f"'{pattern}' is no pattern of rearrange: it has names of axes, and brackets around those that are one, "
            "before and after one arrow, as 'b h w c -> b c (h w)'."
        )
    before, after = ([(found[2] or found[1]).split() for found in _AXIS.finditer(side)] for side in sides)
    first, second = ([name for group in groups for name in group] for groups in (before, after))
    if len(set(first)) < len(first) or sorted(first) != sorted(second):
        raise ConfigError(
            f"The pattern '{pattern}' must have each axis once before the arrow and once after it; got "
            f"{', '.join(first)} and {', '.join(second)}."
        )
    return before, after


def _target(groups: list[list[str]], sizes: dict[str, Size], batch: list[str]) -> list[Size]:
    """Returns the sizes of axes; -1 for the one with the batch, where that leaves no other open."""
    found = [product([sizes[name] for name in group]) for group in groups]
    at = [i for i, group in enumerate(groups) if set(group) & set(batch)]
    if at and all(isinstance(size, int) for i, size in enumerate(found) if i != at[0]):
        found[at[0]] = -1
    return found


def _split(group: list[str], whole: Size, lengths: dict[str, Any], pattern: str) -> dict[str, Size]:
    """Returns the size of each axis that one is made of."""
    known = {name: _index(lengths[name]) for name in group if name in lengths}
    for name, size in known.items():
        if isinstance(size, bool) or (isinstance(size, int) and size < 1):
            raise ConfigError(f"The size of axis {name} must be at least 1; got {size!r}.")
    part = product(list(known.values()))
    open_names = [name for name in group if name not in known]
    if len(open_names) > 1:
        raise ConfigError(f"The pattern '{pattern}' needs the size of {' or '.join(open_names)}: {open_names[0]}=...")
    numbers = isinstance(whole, int) and isinstance(part, int)
    if len(group) > 1 and not numbers:
        raise ShapeError(f"An axis that splits into ({' '.join(group)}) must have a known size, and so must its parts.")
    if numbers and (whole % part if open_names else whole != part):
        raise ShapeError(f"An axis of {whole} does not split into ({' '.join(group)}) with {known or 'no sizes'}.")
    return known | dict.fromkeys(open_names, whole // part)


def _index(size: Any) -> Any:
    return int(size) if isinstance(size, np.integer) else size
