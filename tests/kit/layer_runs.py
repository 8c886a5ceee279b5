"""Running a stack of layers the way the recorded cases did: inference, training, gradients, states."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.onnx_models import compiled, node_types
from kit.oracle import Case
from kit.own_cells import CELLS
from seqc import Model, Sequential
from seqc.errors import ExportError, SeqcError
from seqc.export.model import export_model, inference_graph
from seqc.graph.autodiff import pull_back
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Graph, Value, input_value
from seqc.graph.tracing import Trace, Variable, tracing
from seqc.layers.base import symbolic_shape


@dataclass
class Traced:
    """A model traced on a symbolic input."""

    model: Model
    x: Value
    y: Value
    trace: Trace

    def run(self, outputs: list[Value], x: np.ndarray, **more: Any) -> list[np.ndarray]:
        """Computes values; `more` are arrays for further inputs, by value."""
        extra = more.get("extra", {})
        leaves = (self.x, *extra, self.trace.seed, self.trace.step, *self.trace.reads.values())
        graph = Graph(leaves, tuple(outputs), tuple(map(str, range(len(outputs)))))
        seeds = (np.array(3, np.int64), np.array(5, np.int64))
        return Interpreter(graph).run([x, *extra.values(), *seeds, *(v.array for v in self.trace.reads)])


def trace_model(model: Model, shape: tuple[int | None, ...], dtype: str, training: bool) -> Traced:
    trace = Trace(training)
    with tracing(trace):
        x = input_value("x", dtype, symbolic_shape(shape))
        y = model(x, training=training)
    return Traced(model, x, y, trace)


def check_case(model: Model, case: Case) -> None:
    """Compares everything recorded with what the model computes."""
    facts, arrays = case.facts, case.arrays
    shape, dtype, x = tuple(facts["input_shape"]), facts["input_dtype"], arrays["x"]
    quiet = trace_model(model, shape, dtype, training=False)
    case.check("y", quiet.run([quiet.y], x)[0])
    mask = quiet.trace.masks.get(quiet.y)
    assert (mask is not None) == ("y_mask" in arrays), f"{case.id}: mask on the output"
    if mask is not None:
        case.check("y_mask", quiet.run([mask], x)[0])
    if "y_train" in arrays:
        check_training(trace_model(model, shape, dtype, training=True), case)


def check_training(traced: Traced, case: Case) -> None:
    arrays, x, trace = case.arrays, case.arrays["x"], traced.trace
    case.check("y_train", traced.run([traced.y], x)[0])
    penalties = [*traced.run(list(trace.losses), x), *(loss.numpy() for loss in traced.model.losses)]
    if "losses" in arrays:
        case.check("losses", np.array(penalties))
    else:
        assert not penalties
    changed: list[Variable] = [v for v in traced.model.non_trainable_weights if v in trace.updates]
    new = dict(zip(changed, traced.run([trace.updates[v] for v in changed], x), strict=True))
    for i, variable in enumerate(traced.model.non_trainable_weights):
        if f"s{i}" in arrays:
            case.check(f"s{i}", new.get(variable, variable.array))
    if "dy" in arrays:
        check_gradients(traced, case)


def check_gradients(traced: Traced, case: Case) -> None:
    arrays, trace = case.arrays, traced.trace
    dy = input_value("dy", traced.y.dtype, traced.y.type.shape)
    weights = traced.model.trainable_weights
    with tracing(trace):
        wrt = [v.to_value() for v in weights] + ([traced.x] if "dx" in arrays else [])
    gradients = traced.run(pull_back([traced.y], [dy], wrt), arrays["x"], extra={dy: arrays["dy"]})
    for i in range(len(weights)):
        case.check(f"g{i}", gradients[i])
    assert f"g{len(weights)}" not in arrays, f"{case.id}: more gradients recorded than the model has weights"
    if "dx" in arrays:
        case.check("dx", gradients[-1])


# What onnxruntime does not run, and why.
NOT_EXPORTED = {
    "Conv2D-dtype_float64": "cannot load the model",  # it has no convolution in double precision
    "LayerNormalization-kt06-ln_basics": "an axis of size zero cannot be exported",
    # No operator sees the letters of a string; numbers are hashed as the strings of their digits.
    **dict.fromkeys((f"Hashing-{name}" for name in ("int_input", "mask", "multi_hot", "one_hot", "string")), "hashes"),
    **dict.fromkeys(("StringLookup-oov2", "StringLookup-oov3_salt"), "hashes"),
}
# The version of ONNX's operators that a case needs, if not the usual one.
_TEXTS = (
    "adapt_default", "adapt_len6", "adapt_lower", "adapt_max_tokens", "adapt_multi_hot_padded", "adapt_split_none",
    "adapt_tf_idf", "embedding_gap_dense",
)  # fmt: skip
OPSETS = {f"TextVectorization-{name}": 20 for name in _TEXTS}


def check_on_onnxruntime(model: Model, case: Case, path: Path) -> None:
    """Exports a model and compares what onnxruntime computes with the recorded output."""
    onnxruntime = pytest.importorskip("onnxruntime")
    if case.id in NOT_EXPORTED:
        with pytest.raises(SeqcError, match=NOT_EXPORTED[case.id]):
            export_model(model, path)
        return
    export_model(model, path, opset=OPSETS.get(case.id, 18))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    for rows in batches(case):
        part = Case(case.id, case.facts, {"y": case.arrays["y"][rows]}, case.folder)
        part.check("y", session.run(None, {entry.name: case.arrays["x"][rows]})[0])


def batches(case: Case) -> list[Any]:
    """Returns which samples are run at once: all, and where the batch is open, one and twice as many."""
    # How many words are in the longest text, and what decibels stop at below the loudest sound, depends on all of them.
    if case.facts["input_shape"][0] is not None or case.facts["class"] in ("TextVectorization", "MelSpectrogram"):
        return [slice(None)]
    count = len(case.arrays["x"])
    return [slice(None), slice(count - 1, None), [*range(count)[::-1], *range(count)]]


# What onnxruntime has no kernel for in double precision.
NOT_IN_DOUBLE = {"AveragePool", "Conv", "ConvTranspose", "Erf", "GRU", "LSTM", "RNN", "Resize"}


def in_double(model: Model) -> Sequential:
    """Returns a copy of a stack whose layers compute in double precision."""

    def wide(config: Any) -> Any:
        if isinstance(config, dict):
            return {
                key: "float64" if key == "dtype" and is_policy(value) else wide(value) for key, value in config.items()
            }
        return [wide(value) for value in config] if isinstance(config, list) else config

    def is_policy(value: Any) -> bool:
        name = value.get("config", {}).get("name") if isinstance(value, dict) else value
        return str(name).endswith(("float32", "float16"))

    copy = Sequential.from_config(wide(model.get_config()), custom_objects=CELLS)
    copy.set_weights(model.get_weights())
    for new, old in zip(copy.layers, model.layers, strict=True):
        if hasattr(old, "set_vocabulary") and old.get_config()["vocabulary"] is None:
            size = old.vocabulary_size()
            idf = () if old.output_mode != "tf_idf" else (old.idf_weights[:size],)
            new.set_vocabulary(old.get_vocabulary(), *idf)
    return copy


def check_in_double(model: Model, case: Case, path: Path) -> None:
    """Compares what a model computes in double precision; its file, too, where onnxruntime has all the operators."""
    double, shape = in_double(model), tuple(case.facts["input_shape"])
    dtype = double.input_dtype
    x = case.arrays["x"] if dtype == "string" else case.arrays["x"].astype(dtype)
    traced = trace_model(double, shape, dtype, training=False)
    (y,) = traced.run([traced.y], x)
    case.check("y", y)
    if y.dtype.kind == "f":
        assert y.dtype == "float64"
    if case.id in NOT_EXPORTED:
        return
    opset = OPSETS.get(case.id, 18)
    missing = NOT_IN_DOUBLE & set(node_types(compiled(inference_graph(double), opset=opset)))
    if missing:
        with pytest.raises(ExportError, match="|".join(missing)) as refused:
            export_model(double, path, opset=opset)
        assert "dtype='float32'" in str(refused.value)
        return
    export_model(double, path, opset=opset)
