"""Calls of layers: what they are given, and calls on symbols, of which functional models are made."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc import tree
from seqc.errors import ArgumentTypeError, DTypeError, LayerError
from seqc.graph.arrays import is_numeric
from seqc.graph.ir import HasValue, Input, Item, Op, Type, Value, as_value, constant
from seqc.graph.strings import as_strings, is_text
from seqc.utils.signatures import signature

# Arguments of a call that are no tensors of the layer's input.
MODES = ("training", "mask")


@dataclass(frozen=True, repr=False, eq=False)
class LayerCall(Op):
    """A layer called on symbols, outside any trace.

    Attributes:
        layer: what was called. given: its arguments by name, with a `Slot` for each tensor. results: of the call.
    """

    symbolic = True
    __eq__, __hash__ = object.__eq__, object.__hash__

    layer: Any
    given: dict[str, Any]
    results: tuple[Type, ...]

    def infer(self, *types: Type) -> Type | tuple[Type, ...]:
        return self.results if len(self.results) > 1 else self.results[0]

    def __repr__(self) -> str:
        return f"{type(self.layer).__name__}({self.layer.name!r})"


@dataclass(frozen=True)
class Slot:
    """The place of a tensor among the arguments of a call."""

    index: int


@dataclass(frozen=True, repr=False, eq=False)
class ModelInput(Input):
    """The symbol that `Input()` gives; `layer` is the InputLayer that describes it."""

    symbolic = True
    __eq__, __hash__ = object.__eq__, object.__hash__

    layer: Any = None

    def __repr__(self) -> str:
        return f"Input({self.label!r})"


def is_tensor(x: Any) -> bool:
    """Tells whether an argument is a tensor, and not a setting."""
    return isinstance(x, Value | HasValue) or (isinstance(x, np.ndarray) and (is_numeric(x) or is_text(x)))


def has_tensors(x: Any) -> bool:
    """Tells whether a tensor is in a tree."""
    return any(map(is_tensor, tree.flatten(x)))


def as_tensors(x: Any) -> Any:
    """Returns the first argument of a call as a value, or a tree of them.

    Nested lists of numbers, or of texts, are one array; a list that holds tensors is a list of tensors.
    """
    if is_text(x) and not (isinstance(x, list | tuple) and has_tensors(x)):
        return constant(as_strings(x))
    if tree.is_nested(x) and (isinstance(x, dict) or has_tensors(x)):
        return tree.map_structure(lambda leaf: leaf if leaf is None else _as_value(leaf), x)
    return as_value(x)


def _as_value(x: Any) -> Value:
    return constant(as_strings(x)) if isinstance(x, np.ndarray) and is_text(x) else as_value(x)


def other_tensors(x: Any) -> Any:
    """Returns another argument of a call, with tensors in it as values and settings as they are."""
    return tree.map_structure(lambda leaf: _as_value(leaf) if is_tensor(leaf) else leaf, x) if has_tensors(x) else x


def take_tensors(arguments: Any, found: list[Value]) -> Any:
    """Returns arguments with a slot for each tensor, which is added to `found`."""

    def slot(leaf: Any) -> Any:
        if not isinstance(leaf, Value):
            return leaf
        found.append(leaf)
        return Slot(len(found) - 1)

    return tree.map_structure(slot, arguments)


def put_tensors(arguments: Any, tensors: list[Value]) -> Any:
    """Returns arguments with a tensor in each slot."""
    return tree.map_structure(lambda leaf: tensors[leaf.index] if isinstance(leaf, Slot) else leaf, arguments)


def is_symbolic(value: Value, known: set[Value] | None = None) -> bool:
    """Tells whether a value outside a trace stands for what a model will be given, and has no numbers yet.

    Args:
        known: values that were found to be symbolic, to which are added those on the way; with it, a chain of
        operations is gone through once for all of them.
    """
    known = set() if known is None else known
    waiting: list[Value] = [value]
    users: dict[Value, Value | None] = {value: None}
    while waiting:
        v = waiting.pop()
        source = v.inputs[0] if isinstance(v.op, Item) else v
        if v in known or isinstance(source.op, LayerCall | Input):
            user: Value | None = v
            while user is not None:
                known.add(user)
                user = users[user]
            return True
        new = [x for x in source.inputs if x not in users]
        waiting += new
        users.update(dict.fromkeys(new, v))
    return False


class Arguments:
    """What a layer is called with.

    Args:
        layer: the layer. positional, named: as they were given; the first argument may have any of Keras's names.

    Attributes:
        given: by the names in the layer's `call`, tensors as values. first: the name of the first.
        training, mask: how the call is meant; None where nobody says so.

    Raises:
        ArgumentTypeError: `call` takes no such arguments, or a tensor stands where something else belongs.
        DTypeError: the first is no tensor. LayerError: it is an empty list of them.
    """

    def __init__(self, layer: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        self.signature = signature(layer.call)
        names = list(self.signature.parameters)
        self.first = names[0] if names else ""
        named = dict(named)
        modes = {name: named.pop(name) for name in MODES if name in named}
        if not positional and self.first not in named:
            alias = next((name for name in _FIRST if name in named and name not in names), None)
            if alias is not None:
                positional = (named.pop(alias),)
        self.given: dict[str, Any] = _bound(layer, self.signature, positional, named)
        placed = {name: self.given.pop(name) for name in MODES if name in self.given}
        modes = placed | modes
        _check_modes(layer, modes, positional)
        self._says_training = "training" in modes
        self.training, self.mask = modes.get("training"), as_masks(modes.get("mask"))
        for name, value in self.given.items():
            self.given[name] = _tensors_for(layer, value) if name == self.first else other_tensors(value)

    @property
    def modes(self) -> dict[str, Any]:
        """How the call is meant, where somebody says so."""
        found = {"training": self.training, "mask": self.mask}
        return {name: mode for name, mode in found.items() if mode is not None}

    def training_inside(self, around: bool | None) -> Any:
        """Returns whether to behave as in training, None where nobody says so.

        That is what the call says, `training=None` included, else what the calls around it are in, else the default of
        `call`.

        Args:
            around: what the calls around it are in.
        """
        if self._says_training or around is not None:
            return self.training if self._says_training else around
        default = getattr(self.signature.parameters.get("training"), "default", None)
        return None if default is inspect.Parameter.empty else default

    @property
    def several(self) -> bool:
        """Whether more than one argument is of tensors.

        As in Keras, `mask` is the mask of the one there is; of several each has its own, and `mask` is none of them.
        """
        found = [given for given in (*self.given.values(), self.mask) if given is not None]
        return sum(all(leaf is None or isinstance(leaf, Value) for leaf in tree.flatten(one)) for one in found) > 1

    def shapes_for(self, build: Callable[..., None]) -> list[Any]:
        """Returns what `build` is called with: the shape of the first argument, and of others that it names."""
        wanted = [name for name in signature(build).parameters if name != "self"]
        shapes = {
            name: tree.map_structure(lambda leaf: leaf.shape, value)
            for name, value in self.given.items()
            if all(isinstance(leaf, Value) for leaf in tree.flatten(value))
        }
        return [shapes[self.first], *(shapes.get(name.removesuffix("_shape")) for name in wanted[1:])]

    def invoke(self, layer: Any, **modes: Any) -> Any:
        """Calls the layer's `call` with these arguments, and those of `modes` that it takes."""
        takes = {name: value for name, value in modes.items() if name in self.signature.parameters}
        given = self.given | takes
        ordered = {name: given[name] for name in self.signature.parameters if name in given}
        bound = inspect.BoundArguments(self.signature, OrderedDict(ordered))
        return layer.call(*bound.args, **bound.kwargs)


def _bound(layer: Any, signature: inspect.Signature, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """Returns arguments by the names that a layer's `call` has for them.

    Raises:
        ArgumentTypeError: it takes no such arguments, or needs others.
    """
    takes = f"call({', '.join(str(p.replace(annotation=p.empty)) for p in signature.parameters.values())})"
    try:
        given = OrderedDict(signature.bind_partial(*positional, **named).arguments)
    except TypeError as error:
        hint = ""
        if len(positional) > 1:
            hint = (
                " Several tensors go in one list: layer([a, b])."
                if layer.takes_several
                else " It takes one tensor: merge several first, with Concatenate or Add for instance."
            )
        raise ArgumentTypeError(
            f"Layer '{layer.name}' ({layer.described()}) has {takes}, which does not fit how it was called: {error}."
            f"{hint}"
        ) from None
    missing = [
        p.name
        for p in signature.parameters.values()
        if p.default is p.empty
        and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        and p.name not in (*given, *MODES)
        and not p.name.endswith("_mask")
    ]
    if missing:
        raise ArgumentTypeError(
            f"Layer '{layer.name}' ({layer.described()}) was called without {_quoted(missing)}; it has {takes}. Call "
            "it on tensors."
        )
    return given


def _check_modes(layer: Any, modes: dict[str, Any], positional: tuple[Any, ...]) -> None:
    """Raises ArgumentTypeError where a tensor that is meant as another input is taken for `training` or `mask`."""
    for name, value in modes.items():
        by_place = any(value is one for one in positional[1:])
        if is_tensor(value) and (name == "training" or (by_place and as_value(value).type.is_float)):
            several = (
                "a list: layer([a, b])" if layer.takes_several else "one first, with Concatenate or Add for instance"
            )
            raise ArgumentTypeError(
                f"Layer '{layer.name}' ({layer.described()}) was given a second tensor where its call takes "
                f"`{name}`. If it is another input, put them into {several}"
                + ("." if name == "training" else "; a mask holds booleans.")
            )


def _tensors_for(layer: Any, x: Any) -> Any:
    """Returns the first argument of a layer as tensors; errors name the layer."""
    who = f"Layer '{layer.name}' ({layer.described()})"
    if tree.is_nested(x) and not isinstance(x, dict) and not len(x):
        raise LayerError(f"{who} was called on an empty list. Give it tensors: layer(x), or layer([a, b]).")
    try:
        return [as_tensors(one) for one in x] if layer.takes_lists and isinstance(x, list | tuple) else as_tensors(x)
    except DTypeError as error:
        raise DTypeError(f"{who} is called on tensors. {error}") from error


def _quoted(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


# What Keras calls the first argument of a layer.
_FIRST = ("inputs", "sequence", "sequences", "x")


def as_masks(mask: Any) -> Any:
    """Returns a mask, or a list of them, as values; None where there is none."""
    if mask is None:
        return None
    if tree.is_nested(mask) and (has_tensors(mask) or any(leaf is None for leaf in tree.flatten(mask))):
        return tree.map_structure(lambda leaf: None if leaf is None else as_value(leaf), mask)
    return as_value(mask)


def is_shape(shape: Any) -> bool:
    """Tells whether something is one shape, and not several."""
    return all(size is None or hasattr(size, "__index__") for size in shape)
