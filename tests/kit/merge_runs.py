"""Layers of several tensors beside what Keras recorded of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqc import layers, ops
from seqc.backends.numpy.executor import Executor
from seqc.graph.autodiff import gradients
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Graph, Value, constant, input_value
from seqc.graph.tracing import Trace, traced

FOLDER = Path(__file__).resolve().parents[1] / "cases"
CASES: list[dict[str, Any]] = json.loads((FOLDER / "merge_cases.json").read_text())
_ARRAYS = dict(np.load(FOLDER / "merge_cases.npz"))

# Classes of layers, by the names they have in files.
# Both names of those that have two; the last is in test_string_layers.py.
CLASSES = {name for case in CASES for name in (case["class"], getattr(layers, case["class"]).__name__)}
CLASSES.add("HashedCrossing")
# Of an application, in which it is compared.
CLASSES.add("CustomScaleLayer")


def parameters(merging: bool) -> list[Any]:
    """The cases of merging layers, or those of the others."""
    kinds = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot")
    return [pytest.param(case, id=case["id"]) for case in CASES if (case["class"] in kinds) == merging]


def arrays_of(case: dict[str, Any], kind: str) -> dict[str, np.ndarray]:
    """The arrays of a case whose name is `kind` and a number, or begins with it."""
    prefix = f"{case['id']}/{kind}"
    return {k.removeprefix(prefix): a for k, a in _ARRAYS.items() if k.startswith(prefix)}


def numbered(case: dict[str, Any], kind: str) -> dict[int, np.ndarray]:
    return {int(k): a for k, a in sorted(arrays_of(case, kind).items()) if k.isdigit()}


def built(case: dict[str, Any], dtype: str = "float32") -> Any:
    """The layer of a case with its weights."""
    config = {k: v for k, v in case["config"].items() if k != "dtype"}
    layer = getattr(layers, case["class"]).from_config(config | {"dtype": dtype})
    xs = list(numbered(case, "x").values())
    shapes = [tuple(x.shape) for x in xs]
    if case["listed"]:
        layer.build(shapes)
    else:
        layer.build(*shapes)
    layer.set_weights([w.astype(dtype) for w in numbered(case, "w").values()])
    return layer


def called(case: dict[str, Any], layer: Any, trace: Trace, xs: list[Value]) -> Any:
    """What the layer gives in a trace for tensors that come with the masks of the case."""
    for i, mask in numbered(case, "m").items():
        xs[i] = ops.tanh(xs[i] * 0) + xs[i]  # a tensor of its own for each argument
        trace.masks[xs[i]] = constant(mask)
    named = arrays_of(case, "named_")
    arguments = (xs,) if case["listed"] else tuple(xs)
    return traced(trace, layer, *arguments, **named, **case["call"])


def program(case: dict[str, Any], dtype: str = "float32") -> tuple[Graph, list[np.ndarray], list[str]]:
    """The graph of a case's results and gradients, what to feed it, and the names of what it gives."""
    layer, trace = built(case, dtype), Trace()
    fed = [x.astype(dtype) if x.dtype == np.float32 else x for x in numbered(case, "x").values()]
    inputs = [input_value(f"x{i}", x.dtype.name, x.shape) for i, x in enumerate(fed)]
    result = called(case, layer, trace, list(inputs))
    ys = list(result) if isinstance(result, tuple) else [result]
    names, outputs = [f"y{i}" for i in range(len(ys))], list(ys)
    if ys[0] in trace.masks:
        names.append("mask")
        outputs.append(trace.masks[ys[0]])
    weights = [trace.reads.get(v) for v in layer.trainable_weights]
    given = numbered(case, "g")
    if given:
        loss = sum((ops.sum(ys[i] * constant(g.astype(dtype))) for i, g in given.items()), start=ops.sum(ys[0]) * 0)
        wanted = [(f"dx{i}", x) for i, x in enumerate(inputs) if x.dtype == dtype]
        wanted += [(f"dw{i}", w) for i, w in enumerate(weights) if w is not None]
        for (name, _), d in zip(wanted, gradients(loss, [w for _, w in wanted]), strict=True):
            names.append(name)
            outputs.append(d)
    leaves = (*inputs, trace.seed, trace.step, *trace.reads.values())
    feeds: list[np.ndarray] = [*fed, np.array(0, np.int64), np.array(0, np.int64), *(v.array for v in trace.reads)]
    return Graph(leaves, tuple(outputs), tuple(f"o{i}" for i in range(len(outputs)))), feeds, names


def check(case: dict[str, Any]) -> None:
    """Compares results, masks and gradients: the executor, the interpreter, float64, and Keras."""
    graph, feeds, names = program(case)
    exact_graph, exact_feeds, _ = program(case, "float64")
    truth = Interpreter(exact_graph).run(exact_feeds)
    assert ("mask" in names) == bool(arrays_of(case, "mask"))
    for how, found in (("naive", Interpreter(graph).run(feeds)), ("fast", Executor(graph, (), ()).run(feeds))):
        for name, a, b in zip(names, found, truth, strict=True):
            recorded = _ARRAYS.get(f"{case['id']}/{name}")
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5, err_msg=f"{name}, {how} against float64")
            assert recorded is not None, name
            np.testing.assert_allclose(a, recorded, rtol=2e-4, atol=2e-5, err_msg=f"{name}, {how} against Keras")
            assert np.asarray(a).dtype == recorded.dtype, name
