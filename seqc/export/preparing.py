"""The graph that a file is to compute: named and arranged as the file has it, with weights that are numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc.errors import ExportError
from seqc.export import layouts
from seqc.export.options import check_names
from seqc.graph.ir import Constant, Graph, Input, Value, build
from seqc.graph.rewriting import rewrite
from seqc.passes.precision import promote_floats
from seqc.sure import of_kind


def as_in_file(
    graph: Graph,
    *,
    precision: str,
    names: tuple[Sequence[str] | None, Sequence[str] | None],
    channels_first: tuple[Any, Any],
) -> tuple[Graph, dict[str, str]]:
    """Returns a graph as a file has it, and what the file says of the order of its axes.

    Args:
        precision: of the file. names: of inputs and outputs there, None for the graph's own.
        channels_first: which inputs and which outputs are (batch, channels, ...): all or none of them, or some by name.

    Raises:
        ExportError, ConfigError: a name, or what is asked, makes no sense.
    """
    reference = rename(promote_floats(graph) if precision == "float64" else graph, *names)
    check_names(reference.input_names, reference.output_names)
    sides = (
        (layouts.INPUT, "input", reference.inputs, reference.input_names, graph.input_names),
        (layouts.OUTPUT, "output", reference.outputs, reference.output_names, graph.output_names),
    )
    texts = {}
    for asked, (key, kind, values, here, own) in zip(channels_first, sides, strict=True):
        texts[key] = layouts.described(layouts.chosen(asked, kind, values, here, own), values, here)
    return layouts.as_in_file(reference, texts), texts


def check_finite(graph: Graph, allowed: bool) -> tuple[str, ...]:
    """Returns a sentence for each weight that is not finite.

    Args:
        allowed: whether there may be some.

    Raises:
        ExportError: there are, and may not be.
    """
    nonfinite = nonfinite_weights(graph)
    if nonfinite and not allowed:
        raise ExportError(
            f"{' '.join(nonfinite)} Such a model answers nothing but NaN or infinity, so nothing can be verified. "
            "Train it again with a smaller learning rate, or export it as it is with allow_nonfinite=True."
        )
    return nonfinite


def nonfinite_weights(graph: Graph) -> tuple[str, ...]:
    """Returns a sentence for each weight with numbers that are not finite, naming its layer."""
    found = []
    for value in graph.walk():
        op = value.op
        if isinstance(op, Constant) and op.label and value.type.is_float and not np.isfinite(op.array).all():
            layer, _, name = op.label.rpartition("/")
            what = "NaN" if np.isnan(op.array).any() else "infinity"
            count = int(np.sum(~np.isfinite(op.array)))
            who = f"Layer '{layer}'" if layer else "The model"
            found.append(f"{who} has {what} in {name} ({count:,} of {op.array.size:,} numbers).")
    return tuple(found)


def rename(graph: Graph, inputs: Sequence[str] | None, outputs: Sequence[str] | None) -> Graph:
    """Returns the graph under other names of its inputs and outputs.

    Raises:
        ExportError: the number of names differs.
    """
    for kind, given, own in (("input", inputs, graph.input_names), ("output", outputs, graph.output_names)):
        if given is not None and len(given) != len(own):
            raise ExportError(f"The model has {len(own)} {kind}(s) {list(own)}; got {len(given)} names {list(given)}.")
    named: dict[Value, Value] = {}
    for x, name in zip(graph.inputs, graph.input_names if inputs is None else inputs, strict=True):
        op = of_kind(x.op, Input)
        named[x] = x if op.label == name else build(Input(name, op.dtype, op.shape), (), x.scope)
    renamed = rewrite(graph, lambda old, _: named.get(old))
    names = graph.output_names if outputs is None else tuple(outputs)
    return Graph(tuple(named[x] for x in graph.inputs), renamed.outputs, names)


def without_unused(graph: Graph, own: int) -> Graph:
    """Returns a graph without inputs that nothing uses, but for the model's own, which are the first `own`.

    Seed and step stay where a layer draws random numbers in a prediction; passes remove or refuse that.
    """
    used = set(graph.walk())
    kept = (*graph.inputs[:own], *(x for x in graph.inputs[own:] if x in used))
    return Graph(kept, graph.outputs, graph.output_names)


def count_bytes(graph: Graph) -> int:
    """Returns how many bytes the constants of a graph have, each array counted once."""
    arrays = (v.op.array for v in graph.walk() if isinstance(v.op, Constant))
    return sum({a.__array_interface__["data"][0]: a.nbytes for a in arrays}.values())


def count_parameters(graph: Graph) -> int:
    """Returns how many elements the weights of a graph have."""
    return sum(v.op.array.size for v in graph.walk() if isinstance(v.op, Constant) and v.op.label)
