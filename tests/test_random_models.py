"""What must hold for every model holds for models that nobody thought of."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings

from kit import random_beginnings
from kit.drawn import may_be_odd
from kit.effort import effort
from kit.random_models import models
from seqc import Sequential, saving
from seqc.backends.numpy.target import NUMPY
from seqc.errors import NoLoweringError
from seqc.export.model import export_model, inference_graph
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array
from seqc.passes.duplicates import merge_duplicates
from seqc.passes.precision import promote_floats
from seqc.training.compiled import Compiled
from seqc.training.data import sample_type
from seqc.training.step import Signature, Step, train_step

pytestmark = may_be_odd

OPSET = 20  # the first one that splits texts into words
# Length of an axis of no given size: enough for strides and windows to leave something.
STEPS = 30
few = settings(max_examples=effort(12, 25), suppress_health_check=[HealthCheck.too_slow])
many = settings(max_examples=effort(30, 150), suppress_health_check=[HealthCheck.too_slow])


def samples(model: Sequential, batch: int = 3) -> Array:
    return random_beginnings.samples(model.input_shape, model.input_dtype, batch, STEPS)


def spread_weights(model: Sequential) -> None:
    """Gives every weight numbers of its own, so that none hides behind a zero or a one."""
    rng = np.random.default_rng(7)
    model.set_weights([rng.uniform(0.2, 0.9, w.shape).astype(w.dtype) for w in model.get_weights()])


def run_once(step: Step, interpreter: Interpreter, arrays: Sequence[Array]) -> list[Array]:
    return interpreter.run([*arrays, np.array(3, np.int64), np.array(0, np.int64), *(v.array for v in step.reads)])


def check_precisions(model: Sequential) -> None:
    """Single precision is double precision, rounded."""
    spread_weights(model)
    graph, x = inference_graph(model), samples(model)
    (single,) = Interpreter(graph).run([x])
    (double,) = Interpreter(promote_floats(graph)).run([x.astype("float64") if x.dtype == "float32" else x])
    assert single.dtype == "float32"
    assert double.dtype == "float64"
    np.testing.assert_allclose(single, double, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(model.predict(x, verbose=0), single, rtol=1e-4, atol=1e-5)


def check_copies(model: Sequential) -> None:
    """A model made from its configuration, or read from its file, is the same model."""
    spread_weights(model)
    x = samples(model)
    expected = model.predict(x, verbose=0)
    twin = Sequential.from_config(model.get_config())
    assert twin.get_config() == model.get_config()
    twin.set_weights(model.get_weights())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        for copy in (twin, saving.load_model(path)):
            assert [w.path for w in copy.weights] == [w.path for w in model.weights]
            assert copy.predict(x, verbose=0).tobytes() == expected.tobytes()


def check_training(model: Sequential) -> None:
    """A step gives back the types it was given, writes to none of the arrays, and means the same without duplicates."""
    spread_weights(model)
    x = samples(model)
    y = np.random.default_rng(1).normal(size=model.predict(x, verbose=0).shape).astype("float32")
    _compile(model, y)
    step = train_step(model, Signature((sample_type(x),), (sample_type(y),), (None,)))
    before = [np.array(a) for a in (x, y, *(v.array for v in step.reads))]
    results = [np.asarray(r) for r in run_once(step, Interpreter(step.graph), (x, y))]
    merged = run_once(step, Interpreter(merge_duplicates(step.graph, NUMPY)), (x, y))
    for old, now in zip(before, (x, y, *(v.array for v in step.reads)), strict=True):
        assert old.tobytes() == now.tobytes()
    for a, b in zip(results, merged, strict=True):
        np.testing.assert_array_equal(a, b)
    assert [(r.dtype.name, r.shape) for r in results[1:]] == [(v.dtype, v.shape) for v in step.writes]
    assert np.isfinite(results[0])


def _compile(model: Sequential, y: Array) -> None:
    compiled = Compiled("adam", "mse", ["mae"])
    compiled.resolve([(None, *y.shape[1:])], [model.output_shape])
    model._trainer.settings = compiled


def check_export(model: Sequential) -> None:
    """The exported file, which the exporter has compared in double precision, agrees with `predict` as well."""
    runtime = pytest.importorskip("onnxruntime")
    spread_weights(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        try:
            export_model(model, path, opset=OPSET)
        except NoLoweringError as error:
            if "hashes" in str(error):  # no operator of ONNX sees the letters of a string
                return
            raise
        session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for batch in (1, 4):
        x = samples(model, batch)
        (got,) = session.run(None, {session.get_inputs()[0].name: x})
        np.testing.assert_allclose(got, model.predict(x, verbose=0), rtol=1e-3, atol=1e-4)


CHECKS = {"precisions": check_precisions, "copies": check_copies, "training": check_training, "export": check_export}


@pytest.mark.parametrize("what", CHECKS)
@few
@given(model=models())
def test_it_holds_for_any_small_model(what: str, model: Sequential) -> None:
    note(str(model.get_config()))
    CHECKS[what](model)


@pytest.mark.slow
@pytest.mark.parametrize("what", CHECKS)
@many
@given(model=models(most=8))
def test_it_holds_for_any_model(what: str, model: Sequential) -> None:
    note(str(model.get_config()))
    CHECKS[what](model)
