"""Nested structures: lists, tuples and dictionaries, however deep, of what a layer or a model takes and gives.

What is inside of a dictionary comes in the order of its sorted keys, so that two dictionaries that are equal have equal
leaves; an OrderedDict keeps its own order. None is a leaf. Everything here has the name and the meaning that it has in
`keras.tree`.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from seqc.errors import ArgumentTypeError, ConfigError
from seqc.utils.absent import absent

__all__ = [
    "MAP_TO_NONE",
    "assert_same_paths",
    "assert_same_structure",
    "flatten",
    "flatten_with_path",
    "is_nested",
    "lists_to_tuples",
    "map_shape_structure",
    "map_structure",
    "map_structure_up_to",
    "pack_sequence_as",
    "traverse",
]

Path = tuple[Any, ...]
_NESTED = (list, tuple, Mapping, deque)


class MAP_TO_NONE:  # as it is called in Keras
    """What the function of `traverse` returns to put None in the place of what it was given."""


def is_nested(structure: Any) -> bool:
    """Tells whether something is a list, tuple, named tuple, dictionary or deque, and not a leaf."""
    return isinstance(structure, _NESTED)


def flatten(structure: Any) -> list[Any]:
    """Returns the leaves of a structure, in order; of a leaf, itself."""
    found: list[Any] = []
    _collect(structure, found)
    return found


def flatten_with_path(structure: Any) -> list[tuple[Path, Any]]:
    """Returns the leaves of a structure, each after the keys and positions that lead to it.

    Positions, not names of fields, lead into a named tuple.
    """
    if not is_nested(structure):
        return [((), structure)]
    return [
        ((key, *path), leaf)
        for key, child in zip(_keys(structure), _children(structure), strict=True)
        for path, leaf in flatten_with_path(child)
    ]


def pack_sequence_as(structure: Any, flat_sequence: Iterable[Any]) -> Any:
    """Returns a structure of the same form with other leaves, the other way round than `flatten`.

    Args:
        structure: what has the form. flat_sequence: the leaves, in order.

    Raises:
        ConfigError: there are more or fewer leaves than the structure has.
        TypeError: the leaves cannot be counted up.
    """
    given = list(flat_sequence)
    needed = len(flatten(structure))
    if len(given) != needed:
        raise ConfigError(f"The structure has {needed} leaves; {len(given)} came to be packed like it.")
    leaves = iter(given)
    return map_structure(lambda _: next(leaves), structure)


def map_structure(func: Callable[..., Any], *structures: Any, none_is_leaf: bool = True) -> Any:
    """Returns a structure with what a function makes of the leaves at each place of one or several structures.

    Args:
        func: called with as many leaves as there are structures.
        structures: of the same form; what comes back is of the kinds that the first has.
        none_is_leaf: whether `func` is called with None, too; where not, None stays.

    Raises:
        ConfigError: there is no structure, or they differ in form.
        ArgumentTypeError: `func` is no function.
    """
    _check(func, structures)
    if len(structures) == 1:
        return _mapped(func, structures[0], none_is_leaf)

    def leaf(first: Any, *others: Any) -> Any:
        if any(map(is_nested, others)):
            raise _differ(first, next(filter(is_nested, others)))
        if none_is_leaf or all(part is not None for part in (first, *others)):
            return func(first, *others)
        for other in others:
            if (first is None) is not (other is None):
                raise _differ(first, other)
        return None

    return _mapped_up_to(leaf, *structures)


def map_structure_up_to(shallow_structure: Any, func: Callable[..., Any], *structures: Any) -> Any:
    """Returns a structure with what a function makes of what others have where a shallow one has leaves.

    Args:
        shallow_structure: the form that all have, at least, and that comes back.
        func: called with as many parts as there are structures.
        structures: may go on where the shallow one ends.

    Raises:
        ConfigError: there is no structure, or one lacks the form.
        ArgumentTypeError: `func` is no function.
    """
    _check(func, structures)
    return _mapped_up_to(lambda _, *parts: func(*parts), shallow_structure, *structures)


def map_shape_structure(func: Callable[[Any], Any], structure: Any) -> Any:
    """Returns a structure with what a function makes of its shapes: lists and tuples of integers and None."""
    _check(func, (structure,))
    return _mapped(func, structure, True, _is_shape)


def traverse(func: Callable[[Any], Any], structure: Any, top_down: bool = True) -> Any:
    """Calls a function with every part of a structure, and returns the structure with what it gave.

    Args:
        func: called with each list, tuple, dictionary and leaf. What it returns takes the place of the part, and
            nothing inside is visited any more; None leaves the part as it is; `MAP_TO_NONE` puts None there.
        structure: what to go through.
        top_down: whether a part comes before what it holds; after that, otherwise, as it has become.

    Raises:
        ArgumentTypeError: `func` is no function.
    """
    _check(func, (structure,))

    def visit(node: Any) -> Any:
        found = func(node) if top_down else None
        if found is None:
            if is_nested(node):
                node = _rebuilt(node, [visit(child) for child in _children(node)])
            found = None if top_down else func(node)
        return node if found is None else None if found is MAP_TO_NONE else found

    return visit(structure)


def lists_to_tuples(structure: Any) -> Any:
    """Returns a structure with a tuple in the place of each list."""
    return traverse(lambda node: tuple(node) if isinstance(node, list) else None, structure, top_down=False)


def assert_same_structure(a: Any, b: Any, check_types: bool | None = None) -> None:
    """Does nothing where two structures have the same form.

    A dictionary is like any other of the same keys, an OrderedDict, too. Lists, tuples, deques and named tuples are
    each like their own kind alone.

    Args:
        a, b: the structures. check_types: changes nothing, as in Keras; `assert_same_paths` asks for less.

    Raises:
        ConfigError: their forms differ.
    """
    if check_types is not None:
        warnings.warn(
            "check_types has no effect; assert_same_paths takes lists and tuples for each other.",
            DeprecationWarning,
            stacklevel=2,
        )
    map_structure(lambda *_: None, a, b)


def assert_same_paths(a: Any, b: Any) -> None:
    """Does nothing where the same keys and positions lead to the leaves of two structures, of whatever kinds.

    Raises:
        ConfigError: they differ; it says which.
    """
    here, there = ({path for path, _ in flatten_with_path(structure)} for structure in (a, b))
    if here != there:
        only = [f"{sorted(found, key=repr)} in `{name}`" for name, found in (("a", here - there), ("b", there - here))]
        raise ConfigError(f"`a` and `b` have different paths: only {' and only '.join(only)}.")


def _check(func: Any, structures: tuple[Any, ...]) -> None:
    if not callable(func):
        raise ArgumentTypeError(f"`func` must be a function; got {func!r}.")
    if not structures:
        raise ConfigError("One structure at least is needed.")


def _keys(node: Any) -> Iterable[Any]:
    """Returns the keys of a dictionary in the order of its leaves; the positions in anything else."""
    if not isinstance(node, Mapping):
        return range(len(node))
    if isinstance(node, OrderedDict):
        return node
    try:
        return sorted(node)
    except TypeError:  # of kinds that do not compare
        return sorted(node, key=lambda key: (f"{type(key).__module__}.{type(key).__qualname__}", key))


def _children(node: Any) -> Iterable[Any]:
    return [node[key] for key in _keys(node)] if isinstance(node, Mapping) else node


def _collect(node: Any, found: list[Any]) -> None:
    if isinstance(node, _NESTED):
        for child in _children(node):
            _collect(child, found)
    else:
        found.append(node)


def _rebuilt(node: Any, children: list[Any]) -> Any:
    """Returns something of the kind of a node that holds other children, given in the order of its leaves."""
    if isinstance(node, Mapping):
        by_key = dict(zip(_keys(node), children, strict=True))
        pairs = [(key, by_key[key]) for key in node]
        if isinstance(node, defaultdict):
            return defaultdict(node.default_factory, pairs)
        return OrderedDict(pairs) if isinstance(node, OrderedDict) else dict(pairs)
    if isinstance(node, deque):
        return deque(children, node.maxlen)
    return type(node)(*children) if hasattr(node, "_fields") else type(node)(children)


def _mapped(
    func: Callable[[Any], Any], node: Any, none_is_leaf: bool, is_leaf: Callable[[Any], bool] = lambda _: False
) -> Any:
    if isinstance(node, _NESTED) and not is_leaf(node):
        return _rebuilt(node, [_mapped(func, child, none_is_leaf, is_leaf) for child in _children(node)])
    return None if node is None and not none_is_leaf else func(node)


def _mapped_up_to(func: Callable[..., Any], shallow: Any, *others: Any) -> Any:
    """Returns the form of the first structure with what a function makes of its leaves and of the others there."""
    if not is_nested(shallow):
        return func(shallow, *others)
    for other in others:
        if not _alike(shallow, other):
            raise _differ(shallow, other)
    keys = list(_keys(shallow))
    columns = [[other[key] for key in keys] for other in (shallow, *others)]
    return _rebuilt(shallow, [_mapped_up_to(func, *parts) for parts in zip(*columns, strict=True)])


def _alike(a: Any, b: Any) -> bool:
    if isinstance(a, Mapping):
        return isinstance(b, Mapping) and a.keys() == b.keys()
    return type(a) is type(b) and len(a) == len(b)


def _is_shape(node: Any) -> bool:
    return isinstance(node, list | tuple) and all(size is None or isinstance(size, int) for size in node)


def _differ(a: Any, b: Any) -> ConfigError:
    return ConfigError(f"The structures differ in form: one has {_form(a)} where the other has {_form(b)}.")


def _form(node: Any) -> str:
    """Returns what is said of a node in an error."""
    if not is_nested(node):
        return "None" if node is None else f"a leaf ({type(node).__name__})"
    keys = f" with keys {list(node)}" if isinstance(node, Mapping) else f" of {len(node)}"
    return f"a {type(node).__name__}{keys}"


__getattr__ = absent(__name__, __all__)
