"""Recurrent layers with states that go in and out, beside what Keras recorded of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from kit.oracle import KEPT, Stored
from kit.own_cells import CELLS
from seqc import Input, Model, ops, tree
from seqc.backends.numpy.executor import Executor
from seqc.graph.autodiff import gradients
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Graph, Value, constant, input_value
from seqc.graph.tracing import Trace, traced
from seqc.serialization import deserialize

CASES: list[dict[str, Any]] = json.loads((KEPT / "state_cases.json").read_text())
IDS = [case["id"] for case in CASES]


def arrays_of(case: dict[str, Any]) -> Stored:
    return Stored(KEPT / "state_cases.npz", f"{case['id']}/")


def numbered(arrays: Any, kind: str) -> list[np.ndarray]:
    """The arrays called `kind` and a number, in order."""
    return [arrays[f"{kind}{i}"] for i in range(len(arrays)) if f"{kind}{i}" in arrays]


def built(case: dict[str, Any], arrays: Any, dtype: str = "float32") -> Any:
    """The layer of a case with its weights."""
    config = json.loads(json.dumps(case["config"]).replace('"name": "float32"', f'"name": "{dtype}"'))
    layer = deserialize({"module": "keras.layers", "class_name": case["class"], "config": config}, CELLS)
    layer.build(arrays["x"].shape)
    layer.set_weights([w.astype(dtype) for w in numbered(arrays, "w")])
    return layer


def program(case: dict[str, Any], dtype: str = "float32") -> tuple[Graph, list[Any], list[str]]:
    """The graph of results and gradients, what to feed it, and the recorded names of what it gives."""
    arrays, trace = arrays_of(case), Trace(training=True)
    layer = built(case, arrays, dtype)
    fed = [a.astype(dtype) for a in (arrays["x"], *numbered(arrays, "s"))]
    inputs = [input_value(f"x{i}", dtype, a.shape) for i, a in enumerate(fed)]
    mask = {"mask": constant(arrays["mask"])} if "mask" in arrays else {}
    ys = tree.flatten(traced(trace, layer, inputs[0], initial_state=inputs[1:], **mask))
    loss = sum((ops.sum(y * constant(g.astype(dtype))) for y, g in zip(ys, numbered(arrays, "g"), strict=True)), 0.0)
    weights = [trace.reads[v] for v in layer.trainable_weights]
    names = [f"y{i}" for i in range(len(ys))] + ["dx", *(f"ds{i}" for i in range(len(inputs) - 1))]
    names += [f"dw{i}" for i in range(len(weights))]
    assert isinstance(loss, Value)
    outputs = [*ys, *gradients(loss, [*inputs, *weights])]
    leaves = (*inputs, trace.seed, trace.step, *trace.reads.values())
    feeds = [*fed, np.int64(0), np.int64(0), *(v.array for v in trace.reads)]
    return Graph(leaves, tuple(outputs), tuple(f"o{i}" for i in range(len(outputs)))), feeds, names


def check(case: dict[str, Any]) -> None:
    """Compares results and gradients: the executor, the interpreter, float64, and Keras."""
    arrays = arrays_of(case)
    graph, feeds, names = program(case)
    exact_graph, exact_feeds, _ = program(case, "float64")
    truth = Interpreter(exact_graph).run(exact_feeds)
    for how, found in (("naive", Interpreter(graph).run(feeds)), ("fast", Executor(graph, (), ()).run(feeds))):
        for name, a, b in zip(names, found, truth, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5, err_msg=f"{name}, {how} against float64")
            np.testing.assert_allclose(a, arrays[name], rtol=1e-4, atol=1e-5, err_msg=f"{name}, {how} against Keras")


def as_model(case: dict[str, Any]) -> tuple[Any, dict[str, np.ndarray], list[np.ndarray]]:
    """A model that takes the states and gives them, what to feed it by name, and what Keras gave for that."""
    arrays = arrays_of(case)
    layer, fed = built(case, arrays), {"x": arrays["x"]}
    fed |= {f"s{i}": s for i, s in enumerate(numbered(arrays, "s"))}
    ins = {name: Input(a.shape[1:], name=name) for name, a in fed.items()}
    mask = {}
    if "mask" in arrays:
        fed["mask"] = arrays["mask"]
        ins["mask"] = Input(arrays["mask"].shape[1:], dtype="bool", name="mask")
        mask = {"mask": ins["mask"]}
    states = [v for name, v in ins.items() if name.startswith("s")]
    ys = layer(ins["x"], initial_state=states, **mask)
    return Model(list(ins.values()), tree.flatten(ys)), fed, numbered(arrays, "y")
