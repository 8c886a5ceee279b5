"""Calls of functions of `seqc.ops` on symbols: what they come to remembers them.

The graph of a functional model holds what a call comes to, often several values. Files say the calls, and Keras orders
layers by them; so the results of each call keep it.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache, wraps
from typing import Any

from seqc import tree
from seqc.contexts import Scoped
from seqc.graph.ir import Constant, Item, Value, apply
from seqc.ops.elementwise import Identity

_inside: Scoped[bool] = Scoped("inside", default=False)


@dataclass(eq=False)
class OperationCall:
    """A call of a function of `seqc.ops` on symbols.

    Attributes:
        function: its name. arguments: by name; what was given for `*operands` as a tuple. results: what it gave.
    """

    function: str
    arguments: dict[str, Any]
    results: list[Value] = field(default_factory=list)

    def tensors(self) -> list[Value]:
        """Returns the tensors among the arguments."""
        leaves = tree.flatten(self.arguments)
        parts = [(leaf.start, leaf.stop, leaf.step) if isinstance(leaf, slice) else (leaf,) for leaf in leaves]
        return [part for bounds in parts for part in bounds if isinstance(part, Value)]


@cache
def remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function of `seqc.ops` whose results on symbols remember the call; always the same for the same."""

    @wraps(function)
    def call(*positional: Any, **named: Any) -> Any:
        if _inside.get() or not _symbols_among((*positional, *named.values())):
            return function(*positional, **named)
        with _inside.holding(True):
            result = function(*positional, **named)
        bound = _signature(function).bind(*positional, **named)
        bound.apply_defaults()
        made = OperationCall(function.__name__, OrderedDict(bound.arguments))
        return tree.map_structure(lambda leaf: _marked(leaf, made), result)

    call.__module__ = "seqc.ops"  # where pickle finds it
    return call


@cache
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    """Returns the arguments of a function, which `import seqc` has no time to look at for all of them."""
    return inspect.signature(function)


def _symbols_among(arguments: Iterable[Any]) -> bool:
    return any(
        is_symbol(x) if isinstance(x, Value) else tree.is_nested(x) and any(map(is_symbol, tree.flatten(x)))
        for x in arguments
    )


def is_symbol(x: Any) -> bool:
    """Tells whether something is a symbol as they are given: by a call of a layer, or of one of these functions."""
    if not isinstance(x, Value):
        return False
    source = x.inputs[0] if isinstance(x.op, Item) else x
    return source.op.symbolic or x.origin is not None


def _marked(leaf: Any, made: OperationCall) -> Any:
    if not isinstance(leaf, Value) or isinstance(leaf.op, Constant):
        return leaf
    result = apply(Identity(), leaf) if is_symbol(leaf) else leaf  # it changed nothing, and is a call all the same
    result.origin = made
    made.results.append(result)
    return result
