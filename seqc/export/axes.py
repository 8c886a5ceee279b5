"""Sizes of the axes that a model leaves open: fixed in the file, in a file for each, or under other names."""

from __future__ import annotations

import itertools
import operator
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from seqc.errors import ArgumentTypeError, ConfigError
from seqc.graph import dims
from seqc.graph.ir import Graph
from seqc.graph.rewriting import with_sizes
from seqc.layers._common import KerasShape

Sizes = Mapping[str, Sequence[int]]


def read_sizes(given: Any) -> dict[str, tuple[int, ...]]:
    """Returns the sizes that axes are to have in the file, by their names.

    Args:
        given: a dict of numbers, or of several numbers for as many files.

    Raises:
        ArgumentTypeError, ConfigError: it is something else.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ArgumentTypeError(f"sizes takes the sizes of axes by name, such as {{'batch': 1}}; got {given!r}.")
    found = {}
    for name, some in given.items():
        numbers = tuple(some) if isinstance(some, list | tuple) else (some,)
        try:
            if not numbers or any(isinstance(n, bool) for n in numbers):
                raise TypeError
            found[str(name)] = tuple(operator.index(n) for n in numbers)
        except TypeError:
            raise ArgumentTypeError(f"The size of axis '{name}' is a whole number, or several; got {some!r}.") from None
        if min(numbers) < 1 or len(set(numbers)) < len(numbers):
            raise ConfigError(f"Sizes of axis '{name}' are positive and different from each other; got {some!r}.")
    return found


def each(path: str | os.PathLike[str], sizes: Sizes) -> Iterator[tuple[str | os.PathLike[str], dict[str, int]]]:
    """Yields the file for each combination of sizes: those with several are in its name, `m_batch8.onnx`."""
    several = [name for name, numbers in sizes.items() if len(numbers) > 1]
    if not several:
        yield path, {name: number for name, (number,) in sizes.items()}
        return
    plain = Path(path)
    for numbers in itertools.product(*sizes.values()):
        chosen = dict(zip(sizes, numbers, strict=True))
        suffix = "".join(f"_{name}{chosen[name]}" for name in several)
        yield plain.with_name(f"{plain.stem}{suffix}{plain.suffix}"), chosen


def fixed_shapes(graph: Graph, sizes: Mapping[str, int]) -> list[KerasShape]:
    """Returns the shapes of a graph's inputs with the sizes given, None where an axis stays open.

    Raises:
        ConfigError: no input has an axis of a name.
    """
    check_axes("sizes", graph, sizes)
    found = ([dims.substitute(d, sizes) for d in x.type.shape] for x in graph.inputs)
    return [tuple(d if isinstance(d, int) else None for d in shape) for shape in found]


def read_axis_names(given: Any) -> dict[str, dims.Dim]:
    """Returns new names for axes by those they have.

    Raises:
        ArgumentTypeError, ConfigError: they are no names.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(text, str) for pair in given.items() for text in pair):
        raise ArgumentTypeError(f"axis_names takes new names by old ones, such as {{'time': 'words'}}; got {given!r}.")
    wrong = [name for name in given.values() if not name.isidentifier()]
    if wrong:
        raise ConfigError(f"An axis is called by letters, digits and '_', not by a digit first; got {wrong[0]!r}.")
    return {old: dims.symbol(new) for old, new in given.items()}


def with_axis_names(graph: Graph, names: Mapping[str, dims.Dim]) -> Graph:
    """Returns the graph with other names of its axes.

    Raises:
        ConfigError: no input has an axis of a name, or two axes would have one name.
    """
    check_axes("axis_names", graph, names)
    there = {name for x in graph.inputs for d in x.type.shape for name in dims.names(d)}
    new = [*map(str, names.values()), *(name for name in there if name not in names)]
    twice = [name for name in new if new.count(name) > 1]
    if twice:
        raise ConfigError(f"axis_names would give two axes the name '{twice[0]}', as if they were always as long.")
    return with_sizes(graph, names)


def check_axes(argument: str, graph: Graph, names: Mapping[str, Any]) -> None:
    """Raises ConfigError where no input of a graph has an open axis of a name."""
    there = sorted({name for x in graph.inputs for d in x.type.shape for name in dims.names(d)})
    unknown = [name for name in names if name not in there]
    if unknown:
        said = f"the model has {', '.join(there)}" if there else "all sizes of the model are fixed"
        raise ConfigError(f"{argument} names axis {', '.join(map(repr, unknown))}, which is no open one; {said}.")
