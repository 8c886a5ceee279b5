"""What a cell says of itself: whether it is as seqc has it, and what states it has."""

from __future__ import annotations

from typing import Any

from seqc import ops, tree
from seqc.errors import ConfigError
from seqc.graph.ir import Value, as_value


def is_own(layer: Any, *methods: str) -> bool:
    """Tells whether methods of a layer are those of seqc, and not such that somebody wrote in a subclass."""
    found = (getattr(getattr(layer, name, None), "__module__", None) or "" for name in methods)
    return all(module.startswith("seqc.layers.") for module in found)


def listed_sizes(cell: Any) -> list[Any]:
    """Returns the sizes of a cell's states, as a list where there is one."""
    sizes = cell.state_size
    return list(sizes) if isinstance(sizes, list | tuple) else [sizes]


def count_states(cell: Any) -> int:
    return len(tree.flatten(cell.state_size))


def output_size(cell: Any) -> int:
    """Returns the last size of what a cell gives per step: that of its first state, if it does not say."""
    size = getattr(cell, "output_size", None)
    if size is None:
        size = tree.flatten(cell.state_size)[0]
    if not hasattr(size, "__index__"):
        raise ConfigError(f"The output_size of a cell must be an integer; {type(cell).__name__} has {size!r}.")
    return int(size)


def state_shapes(cell: Any) -> list[tuple[int, ...]]:
    """Returns the shapes of a cell's states without the batch, one after the other."""
    shapes = getattr(cell, "state_shapes", None)
    return [(size,) for size in tree.flatten(cell.state_size)] if shapes is None else list(shapes)


def known_shapes(cell: Any) -> list[tuple[int, ...] | None]:
    """Returns the shapes of a cell's states without the batch, None for those that only the cell's author knows."""
    if (inside := getattr(cell, "known_shapes", None)) is not None:
        return list(inside)
    said = not hasattr(cell, "get_initial_state") or is_own(cell, "get_initial_state")
    return [shape if said else None for shape in state_shapes(cell)]


def start_of(cell: Any, batch: Any) -> list[Any]:
    """Returns the states that a cell starts with, as it is called with them; zeros if it does not say.

    Args:
        batch: how many sequences there are: a number, or what `ops.shape` gives.
    """
    make = getattr(cell, "get_initial_state", None)
    if make is None:
        return [ops.zeros((batch, size), cell.compute_dtype) for size in listed_sizes(cell)]
    states = make(batch_size=batch)
    return list(states) if tree.is_nested(states) else [states]


def cast_states(cell: Any, states: Any) -> list[Value]:
    """Returns states one after the other, in what a cell computes in."""
    return [ops.cast(as_value(s), cell.compute_dtype) for s in tree.flatten(states)]
