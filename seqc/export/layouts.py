"""Which inputs and outputs of a file are channels-first: what a caller asks for, and what the file says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seqc.errors import ArgumentTypeError, ConfigError, ExportError
from seqc.graph.ir import Graph, Value
from seqc.ops.elementwise import Cast, Identity
from seqc.ops.reduce import ArgMax
from seqc.passes.borders import accept_channels_first, give_channels_first
from seqc.text import shorten

INPUT, OUTPUT = "seqc.input_layout", "seqc.output_layout"
_FIRST, _LAST = "channels_first", "channels_last"


def chosen(given: Any, kind: str, values: Sequence[Value], names: Sequence[str], own: Sequence[str]) -> list[str]:
    """Returns the names, in the file, of the inputs or outputs that are to be (batch, channels, ...).

    Args:
        given: True for all that have channels, on the last of three or more axes; False for none; or names, in the file
        or in the model.
        kind: "input" or "output". values, names: of the inputs or outputs in the file. own: their names in the model.

    Raises:
        ArgumentTypeError: it is something else. ConfigError: it names what is not there, or has no channels.
    """
    possible = [name for name, x in zip(names, values, strict=True) if _has_channels(x)]
    if isinstance(given, bool | np.bool_):
        return possible if given else []
    asked = [given] if isinstance(given, str) else given
    if not isinstance(asked, list | tuple) or not all(isinstance(name, str) for name in asked):
        raise ArgumentTypeError(f"channels_first_{kind} must be True, False, or names of {kind}s; got {given!r}.")
    here = {**dict(zip(own, names, strict=True)), **{name: name for name in names}}
    wrong = [name for name in asked if here.get(name) not in possible]
    if wrong:
        shown = ", ".join(f"'{name}' {x.type}" for name, x in zip(names, values, strict=True))
        raise ConfigError(
            f"channels_first_{kind} names {', '.join(map(repr, wrong))}; the model's {kind}s are {shown}; "
            "those of rank 3 or more have channels, unless they are classes, as argmax gives."
        )
    wanted = {here[name] for name in asked}
    return [name for name in possible if name in wanted]


def _has_channels(x: Value) -> bool:
    """Tells whether an input or output has channels. What says which of them is the largest has none any more."""
    y = x
    while isinstance(y.op, Cast | Identity):
        y = y.inputs[0]
    return x.type.rank >= 3 and not (isinstance(y.op, ArgMax) and y.op.axis == y.inputs[0].type.rank - 1)


def described(names: Sequence[str], values: Sequence[Value], all_names: Sequence[str]) -> str:
    """Returns what a file says of the order of axes: one word for all, or as JSON one for each of rank 3 or more."""
    # A word for all is of those without channels, too, when it is read: files were written so before.
    possible = [name for name, x in zip(all_names, values, strict=True) if x.type.rank >= 3]
    if not names or len(names) == len(possible):
        return _FIRST if names else _LAST
    return json.dumps({name: _FIRST if name in names else _LAST for name in possible})


def as_in_file(graph: Graph, said: Mapping[str, str]) -> Graph:
    """Returns a graph with the orders of axes that the texts of a file say, under whose names its ends are.

    Raises:
        ExportError: the texts make no sense.
    """
    for key, turn in ((INPUT, accept_channels_first), (OUTPUT, give_channels_first)):
        text = said.get(key, _LAST)
        if text == _FIRST:
            graph = turn(graph)
        elif text.startswith("{"):
            graph = turn(graph, _read(key, text))
    return graph


def _read(key: str, text: str) -> list[str]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(layout in (_FIRST, _LAST) for layout in found.values()):
        raise ExportError(f"The file says in {key} what makes no sense: {shorten(text, 80)}.")
    return [name for name, layout in found.items() if layout == _FIRST]
