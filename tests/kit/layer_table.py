"""The table of docs/layers.md, with a row for each name of keras.layers: `python -m kit.layer_table` writes it anew.

All columns but the notes follow from the code and the kept cases; notes stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import astuple, dataclass
from functools import cache
from typing import Any

import numpy as np

from kit import merge_runs
from kit.layer_runs import trace_model
from kit.onnx_models import compiled, node_types
from kit.oracle import KEPT, ROOT, Case, kept_cases, layer_classes
from seqc import Functional, Input, Sequential, layers, ops
from seqc.errors import SeqcError
from seqc.export.model import inference_graph
from seqc.graph.autodiff import gradients
from seqc.serialization import deserialize

PAGE = ROOT / "docs" / "layers.md"
HEAD = ("layer", "trains", "exports", "ONNX", "notes")
FUNCTIONS = (
    "Input", "add", "average", "concatenate", "deserialize", "dot", "maximum", "minimum", "multiply", "serialize",
    "subtract",
)  # fmt: skip
# What is no layer of its own.
BASES = ("Input", "InputLayer", "InputSpec", "Layer", "Wrapper", "deserialize", "serialize")
# Layers that stand in others.
INSIDE = ("GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells")
# Layers without a kept case through which gradients pass.
LEARNING = ("Lambda", "SimpleRNNCell")
# Layers without a kept case that no file can hold.
UNWRITTEN = ("HashedCrossing",)
# Operators that only bring axes into order, or types.
_PLUMBING = {"Cast", "Expand", "Flatten", "Identity", "Reshape", "Shape", "Squeeze", "Transpose", "Unsqueeze"}
_YES, _NO, _NOTHING = "yes", "no", ""


@dataclass(frozen=True)
class Row:
    """A row of the table, as it is written.

    Attributes:
        name: in keras.layers. trains: whether gradients pass, and weights are learned if it has any.
        exports: whether a file can hold it. form: the operators of one such file, each once, without what only orders
        axes. notes: for people.
    """

    name: str
    trains: str
    exports: str
    form: str
    notes: str = ""


def names() -> list[str]:
    """Returns the names of keras.layers 3.15."""
    recorded = json.loads((KEPT / "keras_api.json").read_text())["layers"]
    return sorted([*recorded, *FUNCTIONS])


def rows() -> list[Row]:
    """Returns the rows as the code has them, without notes."""
    return [_row(name) for name in names()]


def _row(name: str) -> Row:
    found = getattr(layers, name, None)
    if found is None:
        return Row(name, _NO, _NO, _NOTHING, "not carried: see what `seqc.layers` says when it is asked for it")
    kind = getattr(found, "__name__", name)
    if name in BASES:
        return Row(name, _NOTHING, _NOTHING, _NOTHING)
    if name in FUNCTIONS:
        kind = name.capitalize()
    if kind != name and kind in names():
        return Row(name, _NOTHING, _NOTHING, _NOTHING, f"another name of `{kind}`")
    trains, form = _of_several(kind) if kind in _recorded_of_several() else _of_one(kind)
    return Row(name, _YES if trains else _NO, _NO if form is None else _YES, form or _NOTHING)


def _recorded_of_several() -> set[str]:
    return {getattr(layers, c["class"]).__name__ for c in merge_runs.CASES}


def _of_several(kind: str) -> tuple[bool, str]:
    """Returns whether a layer of several tensors trains, and the operators of its file."""
    own = [c for c in merge_runs.CASES if getattr(layers, c["class"]).__name__ == kind]
    case = next(c for c in own if not c["call"])
    xs = [Input(x.shape[1:], dtype=x.dtype.name) for x in merge_runs.numbered(case, "x").values()]
    layer = getattr(layers, case["class"]).from_config(case["config"])
    model = Functional(xs, layer(xs) if case["listed"] else layer(*xs))
    return any(merge_runs.numbered(c, "g") for c in own), ", ".join(_operators(model))


def _of_one(kind: str) -> tuple[bool, str | None]:
    """Returns whether a layer of one tensor trains, and the operators of its shortest file, if it has one."""
    own = [c for c in _cases() if kind in layer_classes(c.facts["layers"])]
    fewest = min((len(list(layer_classes(c.facts["layers"]))) for c in own), default=0)
    alone = [c for c in own if len(list(layer_classes(c.facts["layers"]))) == fewest]
    files = [found for c in alone if (found := _file(c)) is not None]
    trains = any(_has_gradient(c) for c in own) if own else kind in LEARNING
    if kind in UNWRITTEN:
        return trains, None
    if kind in INSIDE or not own:
        return trains, _NOTHING
    if not files:
        return trains, None
    shortest = min(files, key=len)
    return trains, ", ".join(shortest) or "nothing"


def _file(case: Case) -> list[str] | None:
    for opset in (18, 20):  # the first that splits texts
        with suppress(SeqcError):
            return _operators(_stack(case), opset)
    return None


def _has_gradient(case: Case) -> bool:
    """Whether what a layer gives in training moves with its weights or its input."""
    model, dtype = _stack(case), case.facts["input_dtype"]
    if not model.trainable_weights and "int" in dtype:  # of pixels, for instance
        dtype = "float32"
    traced = trace_model(model, tuple(case.facts["input_shape"]), dtype, training=True)
    wrt = [traced.trace.reads[v] for v in model.trainable_weights if v in traced.trace.reads]
    wrt += [traced.x] if dtype.startswith("float") else []
    if not traced.y.type.is_float or not wrt:
        return False
    found = gradients(ops.sum(traced.y * traced.y), wrt)
    return any(np.any(g) for g in traced.run(list(found), case.arrays["x"].astype(dtype)))


@cache
def _cases() -> list[Case]:
    return [c for c in kept_cases("layer_cases") if "dtype_float64" not in c.id]


def _stack(case: Case) -> Sequential:
    model = Sequential([Input(batch_shape=case.facts["input_shape"], dtype=case.facts["input_dtype"])])
    for described in case.facts["layers"]:
        model.add(deserialize({"module": "keras.layers", "registered_name": None, **described}))
    if "vocabulary" in case.facts:  # that adapt found
        model.layers[0].set_vocabulary(case.facts["vocabulary"])
    return model


def _operators(model: Any, opset: int = 18) -> list[str]:
    """Returns the operators of a model's file, each once, in order."""
    found = node_types(compiled(inference_graph(model), opset=opset))
    return list(dict.fromkeys(n for n in found if n not in _PLUMBING))


def written() -> Iterator[Row]:
    """Yields the rows that the page has."""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            yield Row(cells[0].strip("`"), *cells[1:])


def update() -> None:
    """Writes the table anew, with the notes that it has."""
    text = PAGE.read_text(encoding="utf-8")
    notes = {row.name: row.notes for row in written() if not row.notes.startswith(("not carried", "another name"))}
    lines = [f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}"]
    for row in rows():
        _, *facts, own = astuple(row)
        lines.append(
            f"| `{row.name}` | {' | '.join(facts)} | {own or notes.get(row.name, '')} |".replace("|  |", "| |")
        )
    page = text.splitlines()
    table = [i for i, line in enumerate(page) if line.startswith("|")]
    page[table[0] : table[-1] + 1] = lines
    PAGE.write_text("\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    update()
