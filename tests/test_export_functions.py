"""Files whose layers are functions: they compute the same, and are the same file once functions are inlined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import inliner

import seqc as keras
from kit.consumers import onnxruntime
from kit.golden_models import ALL, Golden
from seqc import layers
from seqc.errors import ExportError
from seqc.export import compile_with_names
from seqc.export.functions import DOMAIN
from seqc.export.target import onnx_target

NAMED = {g.name: g for g in ALL}
FAST = ("lenet", "masked_words_both", "lstm_gelu_free", "bidirectional_mul")


def shape_of(graph: onnx.GraphProto, weights: Mapping[str, bytes]) -> Counter[str]:
    """Returns what the nodes of a graph are and where their operands come from, whatever tensors are called."""
    known = {x.name: f"input {i}" for i, x in enumerate(graph.input)} | {k: repr(hash(v)) for k, v in weights.items()}
    found: list[str] = []

    def add(nodes: Sequence[onnx.NodeProto], names: dict[str, str]) -> None:
        for node in nodes:
            attributes = []
            for attribute in sorted(node.attribute, key=lambda a: a.name):
                if attribute.HasField("g"):
                    inner = names | {x.name: f"step {i}" for i, x in enumerate(attribute.g.input)}
                    inner |= {t.name: repr(hash(t.raw_data)) for t in attribute.g.initializer}
                    add(attribute.g.node, inner)
                    attributes.append(repr([inner[y.name] for y in attribute.g.output]))
                else:
                    attributes.append(repr(attribute.SerializeToString(deterministic=True)))
            said = f"{node.domain}.{node.op_type}({[names.get(x, x) for x in node.input]}, {attributes})"
            found.append(said)
            names.update({name: f"{hash(said)}.{i}" for i, name in enumerate(node.output)})

    add(graph.node, known)
    return Counter(found) + Counter(known[y.name] for y in graph.output)


def weights_of(model: onnx.ModelProto) -> dict[str, bytes]:
    return {t.name: t.SerializeToString(deterministic=True) for t in model.graph.initializer}


@pytest.mark.parametrize("golden", [pytest.param(g, marks=[] if g.name in FAST else pytest.mark.slow, id=g.name)
                                    for g in ALL])  # fmt: skip
def test_layers_are_functions_and_inlined_the_same_file(golden: Golden) -> None:
    emission = compile_with_names(golden.graph, onnx_target(18))
    flat, content = emission.model, emission.in_layers().content
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert {f.domain for f in model.functions} <= {DOMAIN}
    calls = [node.op_type for node in model.graph.node if node.domain == DOMAIN]
    assert calls == [f.name for f in model.functions]
    # What stays outside is of no layer.
    assert all("/" not in node.name for node in model.graph.node if node.domain != DOMAIN)
    inlined = inliner.inline_local_functions(model)
    assert not inlined.functions
    assert shape_of(inlined.graph, weights_of(inlined)) == shape_of(flat.graph, weights_of(flat))
    x = golden.samples()
    golden.check(x, onnxruntime(content, x))


def branched() -> keras.Model:
    """A layer that is called twice, with others between."""
    x = layers.Input((4,), name="x")
    shared, between = layers.Dense(4, "tanh", name="shared"), layers.Dense(4, "relu", name="between")
    once = shared(x)
    return keras.Model(x, layers.Dense(2, name="y")(layers.Add(name="sum")([once, shared(between(once))])))


def test_a_layer_called_twice_has_two_functions(tmp_path: Path) -> None:
    model, path = branched(), tmp_path / "m.onnx"
    receipt = model.export(path, functions=True, record=True)
    file = onnx.load(path)
    assert [f.name for f in file.functions] == ["shared", "between", "shared_2", "sum", "y"]
    assert [list(f.output) for f in file.functions][-1] == ["y"]
    assert receipt.report is not None
    assert receipt.report.passed
    assert receipt.nodes["Gemm"] == 4
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    np.testing.assert_allclose(onnxruntime(path.read_bytes(), x), model.predict(x, verbose=0), atol=1e-6)


def test_functions_of_a_newer_format_say_the_types_of_what_is_inside(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    branched().export(path, functions=True, ir_version=10)
    (shared, *_) = onnx.load(path).functions
    assert [v.name for v in shared.value_info] == [name for node in shared.node for name in node.output][:-1]


@pytest.mark.parametrize("name", ["c1", "my_conv", "c_c"])
def test_a_layer_that_onnxruntime_lacks_is_named_as_in_the_model(name: str, tmp_path: Path) -> None:
    model = keras.Sequential([layers.Input((4, 4, 1)), layers.Conv2D(1, 2, name=name)])
    with pytest.raises(ExportError, match=f"node with name '{name}/Conv'"):
        model.export(tmp_path / "m.onnx", functions=True, precision="float64")


def test_a_wrong_function_is_found_before_the_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seqc.errors import VerificationError
    from seqc.export import emitter

    right: Any = vars(emitter)["with_functions"]

    def wrong(frame: onnx.ModelProto) -> onnx.ModelProto:
        made: onnx.ModelProto = right(frame)
        for node in made.functions[0].node:
            node.op_type = "Sigmoid" if node.op_type == "Tanh" else node.op_type
        return made

    monkeypatch.setattr(emitter, "with_functions", wrong)
    with pytest.raises(VerificationError, match="Output 'y' computes other numbers"):
        branched().export(tmp_path / "m.onnx", functions=True)
    assert list(tmp_path.iterdir()) == []
