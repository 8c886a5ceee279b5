"""Options of an export meet each other: a file computes what is asked for, or a sentence says why it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit import golden_models
from kit.effort import effort
from seqc.errors import SeqcError
from seqc.export.ends import read_ends, with_layer_outputs
from seqc.export.model import inference_graph
from seqc.graph.interpreter import Interpreter
from seqc.graph.rewriting import with_sizes
from seqc.passes.borders import accept_channels_first, give_channels_first
from seqc.passes.precision import promote_floats

MODELS = {g.name: g for g in golden_models.ALL if g.name in (
    "mlp", "lenet", "mobile", "conv1d", "separable", "transposed2d", "batch_norm", "layer_norm", "embedding", "gru",
    "masked_lstm", "bidirectional_sum", "prelu", "resizing", "upsampling", "rescaled", "normalized", "volumes",
    "dense_per_step", "conv_lstm1d", "group_norm", "lstm_gelu", "softmax_axes",
)}  # fmt: skip
OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "head": st.sampled_from(["argmax", "top_k:2", "threshold:0.3", "logits"]),
    "precision": st.sampled_from(["float16", "float64"]),
    "input_dtype": st.sampled_from(["uint8", "int64", "float64", "float16"]),
    "rescale": st.sampled_from([1 / 255, (0.01, -1.0)]),
    "sizes": st.sampled_from([{"batch": 2}, {"batch": 1}]),
    "channels_first_input": st.just(True),
    "channels_first_output": st.just(True),
    "opset": st.sampled_from([13, 15, 17, 18, 20, 21, 23]),
    "target": st.sampled_from(["ort-cpu", "ort-cuda", "openvino", "tensorrt", "opencv", "ort-web", "min"]),
    "min_ort": st.sampled_from(["1.16", "1.20"]),
    "record": st.just(True),
    "layer_outputs": st.just("first"),
}
# What another float type may cost, of the largest number.
TOLERANCES = {"float16": 0.03, "float64": 1e-9, None: 1e-4}


@st.composite
def exports(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    name = draw(st.sampled_from(sorted(MODELS)))
    chosen = draw(st.lists(st.sampled_from(sorted(OPTIONS)), min_size=1, max_size=5, unique=True))
    return name, {option: draw(OPTIONS[option]) for option in chosen}


def wanted(model: Any, options: dict[str, Any], feeds: list[np.ndarray]) -> list[np.ndarray]:
    """Returns what the file is to give, by NumPy in double precision on the graph before any pass."""
    layers = tuple(options.get("layer_outputs", ()))
    graph = inference_graph(with_layer_outputs(model, layers))
    own = len(graph.output_names) - len(layers)
    asked = {key: options.get(key) for key in ("head", "input_dtype", "rescale")}
    graph = read_ends(graph.input_names, graph.output_names[:own], layers=layers, **asked).of_graph(graph)
    if "sizes" in options:
        graph = with_sizes(graph, options["sizes"])
    if options.get("channels_first_input"):
        graph = accept_channels_first(graph)
    if options.get("channels_first_output"):
        # Numbers of classes have no channels.
        classes = graph.output_names[:own] if options.get("head") == "argmax" else ()
        graph = give_channels_first(graph, set(graph.output_names) - set(classes))
    wide = [x.astype("d") if x.dtype.kind == "f" else x for x in feeds]
    return [np.asarray(y) for y in Interpreter(promote_floats(graph)).run(wide)]


def fed(session: Any, rng: np.random.Generator) -> list[np.ndarray]:
    found = []
    for x in session.get_inputs():
        shape = [n if isinstance(n, int) else {"batch": 3}.get(n, 8) for n in x.shape]
        dtype = {"tensor(float)": "f", "tensor(double)": "d", "tensor(float16)": "e"}.get(x.type)
        if dtype is not None:
            found.append(rng.normal(size=shape).astype(dtype))
        else:
            found.append(rng.integers(0, 3, shape).astype(x.type[len("tensor(") : -1]))
    return found


def check(name: str, options: dict[str, Any], folder: Path) -> str:
    """Exports a model, and returns "" where the file computes what it should, or why there is none."""
    model = MODELS[name].model()
    if "layer_outputs" in options:
        options = {**options, "layer_outputs": [model.layers[0].name]}
    path = folder / "m.onnx"
    try:
        model.export(path, **options)
    except SeqcError as error:
        assert not list(folder.iterdir())
        return str(error)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feeds = fed(session, np.random.default_rng(1))
    got = session.run(None, {x.name: a for x, a in zip(session.get_inputs(), feeds, strict=True)})
    tolerance = TOLERANCES[options.get("precision")]
    for g, w in zip(got, wanted(model, options, feeds), strict=True):
        assert g.shape == w.shape
        if g.dtype.kind == "f":
            np.testing.assert_allclose(g, w, rtol=0, atol=tolerance * max(1.0, float(np.abs(w).max())))
        else:
            assert np.mean(g == w) > 0.8 or g.size < 6  # where scores are as near as that, any may be the largest
    for file in folder.iterdir():
        file.unlink()
    return ""


@pytest.mark.slow
@settings(max_examples=effort(50, 150), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(drawn=exports())
def test_any_options_together_give_a_right_file_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, drawn: tuple[str, dict[str, Any]]
) -> None:
    said = check(*drawn, tmp_path_factory.mktemp("together"))
    assert not said or (len(said) > 30 and said.endswith("."))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lenet", {"precision": "float16", "head": "argmax", "input_dtype": "uint8", "rescale": 1 / 255}),
        ("gru", {"opset": 13, "sizes": {"batch": 2}, "channels_first_input": True, "precision": "float16"}),
        ("mobile", {"target": "ort-cuda", "channels_first_input": True, "head": "top_k:2", "record": True}),
        ("mlp", {"input_dtype": "float16", "rescale": (0.01, -1.0), "head": "threshold:0.3"}),
        ("mlp", {"min_ort": "1.16", "precision": "float64", "layer_outputs": "first", "head": "logits"}),
    ],
)
def test_some_options_together(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    assert check(name, options, tmp_path) == ""
