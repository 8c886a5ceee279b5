"""onnxruntime = NumPy for every operation: each row of `op_specs` is exported alone, at several batch sizes."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest

from kit import value_infos
from kit.effort import turn
from kit.graph_runs import step_file
from kit.op_rows import OpSpec
from kit.op_specs import SPECS
from kit.small_graphs import BATCH, TIME
from seqc.errors import ExportError, NoLoweringError
from seqc.graph import ir
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph
from seqc.passes.precision import promote_floats

onnx = pytest.importorskip("onnx", reason="needs onnx")
session = pytest.importorskip("seqc.backends.onnxruntime")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")

SIZES: tuple[dict[str, int], ...] = (
    {"batch": 1, "time": 5, "height": 7, "width": 7},
    {"batch": 2, "time": 6, "height": 6, "width": 8},
    {"batch": 7, "time": 4, "height": 9, "width": 6},
)
# Two libraries that add in different orders; a few times what one rounding of the largest number is.
TOLERANCE = 4e-6
LOOSER = {
    "ConvKernelGrad": "sums over batch and space of the image: hundreds of roundings",
    **dict.fromkeys(("LSTMGrad", "GRUGrad", "SimpleRNNGrad"), "rounding adds up on the way through all steps and back"),
}

# What has no ONNX form, by its class, and why.
NOT_LOWERED: dict[str, str] = {
    **dict.fromkeys(
        ("WithResiduals", "GradOfResiduals"), "what NumPy makes of recurrent operations and their gradients"
    ),
    "KeepMask": "what NumPy makes of dropout",
    **dict.fromkeys(("NextAfter", "View"), "ONNX's operators do not show the bits of numbers"),
    **dict.fromkeys(
        ("SlogDet", "Inverse", "Solve", "SolveTriangular", "Cholesky", "PseudoInverse", "Eigh", "QR", "SVD", "LU"),
        "linear algebra, of which ONNX has the determinant",
    ),
}


# Of unique elements nobody knows the number; what only a training step has tells the ranks of what is inside.
UNNAMED = ("Unique", "Grad")


def one_node(spec: OpSpec, dtype: str = "float32") -> Graph:
    values = spec.values(dtype)
    results = spec.results_of(values)[: spec.results]
    return Graph(tuple(values), results, tuple(f"y{i}" for i in range(len(results))))


LOWERED = [spec for spec in SPECS if type(spec.op).__name__ not in NOT_LOWERED]


def promoted(arrays: Sequence[Array]) -> list[Array]:
    return [a.astype(np.float64) if np.issubdtype(a.dtype, np.floating) else a for a in arrays]


@pytest.mark.one_in(3)
@pytest.mark.parametrize("spec", LOWERED, ids=str)
def test_onnxruntime_computes_what_numpy_does(spec: OpSpec) -> None:
    graph = one_node(spec)
    content = step_file(graph)
    if not any(word in spec.op.name for word in UNNAMED):
        value_infos.check_complete(onnx.load_from_string(content))
    model = session.Session(content, threads=1)
    single, truth = Interpreter(graph), Interpreter(promote_floats(graph))
    for sizes in SIZES:
        arrays = spec.arrays(np.random.default_rng(sizes["batch"]), sizes, "float32")
        got = model.run(dict(zip(graph.input_names, arrays, strict=True)))
        rows = zip(graph.output_names, truth.run(promoted(arrays)), single.run(arrays), strict=True)
        for name, exact, rounded in rows:
            assert got[name].dtype == np.asarray(rounded).dtype
            assert got[name].shape == np.shape(exact)
            if np.issubdtype(got[name].dtype, np.floating):
                scale = float(np.max(np.abs(exact), initial=0.0))
                allowed = TOLERANCE * scale * (4 if spec.op.name in LOOSER else 1)
                np.testing.assert_allclose(got[name], exact, rtol=0, atol=allowed, err_msg=f"{spec} at {sizes}")
            else:
                np.testing.assert_array_equal(got[name], rounded, err_msg=f"{spec} at {sizes}")


@pytest.mark.parametrize("spec", [s for s in SPECS if type(s.op).__name__ in NOT_LOWERED], ids=str)
def test_an_operation_without_an_onnx_form_says_so(spec: OpSpec) -> None:
    with pytest.raises(NoLoweringError, match=f"{spec.op.name} cannot be expressed in ONNX"):
        step_file(one_node(spec))


def test_every_reason_belongs_to_a_row() -> None:
    names = {spec.op.name for spec in SPECS}
    assert set(NOT_LOWERED) <= {type(spec.op).__name__ for spec in SPECS}
    assert set(LOOSER) <= names


def at_opset(spec: OpSpec, opset: int) -> bytes | str:
    """The exported row, or why it is refused."""
    try:
        return step_file(one_node(spec), opset)
    except (NoLoweringError, ExportError) as error:
        return str(error)


# The first opset at which an operation has a form; all others have one at every opset.
SINCE = {
    **dict.fromkeys(("GatherGrad", "MaxPoolGrad", "OnnxMaxPoolGrad"), 16),
    **dict.fromkeys(("GatherElementsGrad", "GatherRowsGrad", "ScatterAdd", "ScatterMul"), 16),
    **dict.fromkeys(("RandomUniform", "ScatterMax", "ScatterMin"), 18),
    **dict.fromkeys(("BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor"), 18),
}


@pytest.mark.slow
@pytest.mark.parametrize("opset", [*range(13, 24), 28])
def test_an_older_or_newer_opset_works_or_is_refused_by_name(opset: int) -> None:
    # A quarter of the rows, others at the next opset, and those that an opset may lack.
    chosen = {*turn(LOWERED, opset, 4), *(spec for spec in LOWERED if spec.op.name in SINCE)}
    models = {spec: at_opset(spec, opset) for spec in LOWERED if spec in chosen}
    refusals = {spec.op.name: text for spec, text in models.items() if isinstance(text, str)}
    assert set(refusals) == {name for name, since in SINCE.items() if since > opset}
    for name, text in refusals.items():
        assert re.search(rf"opset {opset} lacks\. Export with opset={SINCE[name]}\.", text), text
    for spec, model in models.items():
        if isinstance(model, bytes):
            graph = one_node(spec)
            # Not so large that Softplus inside onnxruntime's recurrent operators overflows, which it does from 89 on.
            arrays = spec.arrays(np.random.default_rng(SIZES[1]["batch"]), SIZES[1], "float32")
            results = session.Session(model, threads=1).run(dict(zip(graph.input_names, arrays, strict=True)))
            for name, expected in zip(graph.output_names, Interpreter(graph).run(arrays), strict=True):
                np.testing.assert_allclose(results[name], expected, rtol=2e-4, atol=2e-4, err_msg=str(spec))


@pytest.mark.parametrize("opset", [12, 29])
def test_an_opset_outside_the_range_is_refused(opset: int) -> None:
    x = ir.input_value("x", "float32", (BATCH, TIME))
    with pytest.raises(ExportError, match=f"seqc writes opset 13 to 28; got {opset}"):
        step_file(Graph((x,), (x,), ("y",)), opset)
