"""What a graph is prepared for: what versions of ONNX say they have, and what passes make of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kit.small_graphs import BATCH, GRAPHS
from seqc.errors import ArgumentTypeError, ConfigError, ExportError
from seqc.export.target import onnx_target
from seqc.graph import ir
from seqc.graph.ir import Graph
from seqc.passes.layout_plan import plan_layout

pytest.importorskip("onnx", reason="needs onnx")

# An operator, what is asked of it beside its name, and the first opset that has it, by ONNX's list of versions.
SINCE = [
    (("LayerNormalization",), {}, 17),
    (("Shape", "start", "end"), {}, 15),
    (("ScatterND", "reduction"), {}, 16),
    (("BitwiseXor",), {}, 18),
    (("Relu",), {"dtype": "float32"}, 13),
    (("Relu",), {"dtype": "int32"}, 14),
    (("Gelu",), {}, 20),
]


@pytest.mark.parametrize(("asked", "options", "since"), SINCE, ids=lambda x: str(x))
def test_an_opset_has_what_came_with_it_or_before(asked: tuple[str, ...], options: dict[str, str], since: int) -> None:
    has = [opset for opset in range(13, 29) if onnx_target(opset).supports(*asked, **options)]
    assert has == list(range(since, 29))


def test_axes_of_reductions_are_no_attribute_any_more() -> None:
    assert onnx_target(17).supports("ReduceMax", "axes")
    assert not onnx_target(18).supports("ReduceMax", "axes")


def test_no_opset_has_what_onnx_does_not_know() -> None:
    assert not onnx_target(21).supports("Nothing")
    assert not onnx_target(21).supports("Relu", "slope")
    assert not onnx_target(21).supports("Relu", dtype="bool")


@pytest.mark.parametrize(("opset", "error"), [(12, ExportError), (29, ExportError), ("18", ArgumentTypeError)])
def test_an_opset_that_seqc_does_not_write_is_no_target(opset: int, error: type[Exception]) -> None:
    with pytest.raises(error, match="opset"):
        onnx_target(opset)


def test_a_layout_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match="one of \\('channels_first', 'channels_last'\\); got 'NHWC'"):
        replace(onnx_target(), layout="NHWC")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["flat_cnn", "decoder", "residual"])
def test_a_target_that_is_channels_last_moves_nothing(name: str) -> None:
    graph = GRAPHS[name]()
    assert str(plan_layout(graph, onnx_target(layout="channels_last"))) == str(graph)
    assert str(plan_layout(graph, onnx_target())) != str(graph)


def test_an_element_type_that_the_target_lacks_is_refused_by_name() -> None:
    from seqc.export.emitter import write

    target = onnx_target()
    narrow = replace(target, dtypes=target.dtypes - {"float64"})
    x = ir.input_value("x", "float64", (BATCH, 2))
    graph = Graph((x,), (x,), ("y",))
    write(graph, target)
    with pytest.raises(ExportError, match="makes float64, which is not among the target's element types: bfloat16, "):
        write(graph, narrow)
