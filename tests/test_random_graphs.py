"""What must hold for every graph of layers holds for graphs that nobody thought of."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from kit.effort import effort
from kit.executor_runs import Cell, Conditions, Twin, assert_same
from kit.random_graphs import graphs, samples, spread_weights
from seqc import Model
from seqc.backends.numpy.executor import Executor
from seqc.backends.numpy.naive import NaiveExecutor
from seqc.errors import NoLoweringError
from seqc.export.model import export_model, inference_graph
from seqc.export.pipelines import FOR_INFERENCE
from seqc.export.target import onnx_target
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array
from seqc.ops.shape import Transpose
from seqc.passes._sides import is_moved
from seqc.passes.layout_plan import plan_layout
from seqc.passes.pipeline import run_passes
from seqc.passes.precision import promote_floats

# What ONNX has no operators for.
NOT_IN_ONNX = re.compile("hashes|(Cholesky|Eigh|Inverse|QR|SlogDet|Solve|SVD) cannot be expressed")
CONDITIONS = st.builds(
    Conditions, threads=st.integers(1, 2), tile_bytes=st.sampled_from([64, 2000, 1 << 20]), tiny=st.booleans()
)


def predicted(model: Model, xs: Sequence[Array]) -> list[Array]:
    found = model.predict(list(xs), verbose=0)
    return found if isinstance(found, list) else [found]


def check_predictions(model: Model, conditions: Conditions) -> None:
    """The executor gives in double precision what the interpreter does, and `predict` the same, rounded."""
    graph = inference_graph(model)
    xs = samples(model, 5)
    expected = Interpreter(promote_floats(graph)).run([_double(x) for x in xs])
    for own, double in zip(predicted(model, xs), expected, strict=True):
        scale = max(1.0, np.abs(double).max(initial=0))
        np.testing.assert_allclose(own, double, rtol=1e-3, atol=1e-4 * scale)
    model.compile("sgd", "mse")
    step = model._trainer.step_for("predict", tuple(xs))
    check_step(step, [samples(model, n) for n in (5, 2)], conditions)


def check_training(model: Model, conditions: Conditions) -> None:
    """Some steps end with the weights, state of the optimizer, loss and metrics that naive ones end with."""
    outs = len(model.outputs)
    model.compile("adam", ["mse"] * outs, metrics=[["mae"]] * outs, loss_weights=[1.0, 0.5, 2.0][:outs])
    model._trainer.prepare()
    batches = []
    for n in (5, 5, 2):
        xs = samples(model, n)
        ys = [np.random.default_rng(n).normal(size=y.shape).astype("float32") for y in predicted(model, xs)]
        batches.append(list(model._trainer.labelled_data(xs, ys, None).rows(slice(None))))
    step = model._trainer.step_for("train", tuple(batches[0]))
    check_step(step, [[a for a in batch if a is not None] for batch in batches], conditions)


def check_step(step: Any, batches: list[list[Array]], conditions: Conditions) -> None:
    cells = [Cell(_double(v.array)) for v in step.reads]
    state = {kind.__name__: [Cell(c.array) for c in cells] for kind in (Executor, NaiveExecutor)}
    assert_same(Twin(promote_floats(step.graph), step, state), batches, conditions)


def check_export(model: Model, _: Conditions) -> None:
    """The exported file, which the exporter has compared in double precision, agrees with `predict` as well."""
    runtime = pytest.importorskip("onnxruntime")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        try:
            export_model(model, path)
        except NoLoweringError as error:
            if NOT_IN_ONNX.search(str(error)):
                return
            raise
        session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for batch in (1, 4):
        xs = samples(model, batch)
        names = [x.name for x in session.get_inputs()]
        known: list[str] = getattr(model, "input_names")  # noqa: B009
        found = session.run(None, {name: x for name, x in zip(known, xs, strict=True) if name in names})
        for got, own in zip(found, predicted(model, xs), strict=True):
            scale = max(1.0, np.abs(own).max(initial=0))
            np.testing.assert_allclose(got, own, rtol=1e-3, atol=1e-4 * scale)


def check_layout(model: Model, _: Conditions) -> None:
    """No more tensors are moved than borders that images cross; each number stays in its place."""
    graph = inference_graph(model)
    planned = run_passes(graph, FOR_INFERENCE, onnx_target())
    borders = [x for x in (*planned.inputs, *planned.outputs) if is_moved(x.type)]
    assert sum(isinstance(v.op, Transpose) for v in planned.walk()) <= len(borders), planned
    xs = [_double(x) for x in samples(model, 3)]
    whole = promote_floats(graph)
    for a, b in zip(Interpreter(plan_layout(whole, onnx_target())).run(xs), Interpreter(whole).run(xs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * max(1.0, np.abs(b).max(initial=0)))


def _double(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype == np.float32 else array


CHECKS = {"predictions": check_predictions, "training": check_training, "export": check_export, "layout": check_layout}
# How many graphs each check looks at: what trains takes the longest.
FEW = {"predictions": effort(5, 10), "training": effort(3, 6), "export": effort(4, 8), "layout": effort(12, 25)}
MANY = {"predictions": effort(20, 60), "training": effort(10, 30), "export": effort(12, 35), "layout": effort(40, 120)}


def check(what: str, data: st.DataObject, most: int) -> None:
    model = data.draw(graphs(most, images=what == "layout"), label="model")
    note(str(inference_graph(model)))
    spread_weights(model)
    CHECKS[what](model, data.draw(CONDITIONS, label="conditions"))


def search(what: str, examples: int, most: int) -> None:
    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), deadline=None)
    @given(data=st.data())
    def holds(data: st.DataObject) -> None:
        check(what, data, most)

    holds()


pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of masks that end, of softmaxes over one element


@pytest.mark.parametrize("what", CHECKS)
def test_it_holds_for_any_small_graph(what: str) -> None:
    search(what, FEW[what], most=6)


@pytest.mark.slow
@pytest.mark.parametrize("what", CHECKS)
def test_it_holds_for_any_graph(what: str) -> None:
    search(what, MANY[what], most=12)
