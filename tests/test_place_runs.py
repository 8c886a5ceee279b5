"""Files for places, run there: what a target takes computes the truth in the programs that it is for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kit import consumers, layer_table, old_runtime
from kit.effort import effort, turn
from kit.golden_models import ALL, FREE_IMAGE, Golden
from kit.target_table import compiled, graph_of
from seqc import layers
from seqc.errors import ExportError, NoLoweringError, SeqcError
from seqc.export import compile_for
from seqc.export.model import inference_graph
from seqc.export.places import PLACES, Place, find_place, not_fit_for
from seqc.export.places.rules import nodes_of
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Graph
from seqc.passes.precision import promote_floats

pytest.importorskip("onnx", reason="needs onnx")

BICUBIC = Golden("bicubic_free", FREE_IMAGE, lambda: [layers.UpSampling2D((2, 3), interpolation="bicubic")])
# Kinds of arrays, and the letter of an element type, that hold texts.
TEXTS = {"O", "U", "S", "s"}
Program = Callable[[dict[str, tuple[bytes, np.ndarray]], Path], dict[str, np.ndarray]]


def inside(name: str, package: str) -> Program:
    """A program that is a package here."""

    def run(files: dict[str, tuple[bytes, np.ndarray]], _: Path) -> dict[str, np.ndarray]:
        pytest.importorskip(package)
        return {label: consumers.CONSUMERS[name](content, x) for label, (content, x) in files.items()}

    return run


def apart(name: str) -> Program:
    """A program in an environment of its own."""

    def run(files: dict[str, tuple[bytes, np.ndarray]], folder: Path) -> dict[str, np.ndarray]:
        program = old_runtime.install(name)
        if isinstance(program, str):
            pytest.skip(program)
        for label, (content, x) in files.items():
            (folder / f"{label}.onnx").write_bytes(content)
            np.save(folder / f"{label}.x.npy", x)
        version = old_runtime.run(program, folder)
        assert version.startswith({"opencv-4": "4.", old_runtime.WEB: "1."}.get(name, name))
        return {label: np.load(folder / f"{label}.y.npy") for label in files}

    return run


OPENCV_4, OPENCV_5 = apart("opencv-4"), inside("opencv", "cv2")
OLD = apart("1.16.3")
OPENVINO, WEB, NEWEST = inside("openvino", "openvino"), apart(old_runtime.WEB), inside("onnxruntime", "onnxruntime")
# Where files are made for and run, and how many of the golden models go there at least.
RUNS: dict[str, tuple[Place | None, Program, int]] = {
    "opencv-4": (PLACES["opencv"], OPENCV_4, 88),
    "opencv-5": (PLACES["opencv"], OPENCV_5, 88),
    "openvino": (PLACES["openvino"], OPENVINO, 150),
    "ort-web": (PLACES["ort-web"], WEB, 152),
    **{f"min-ort-{v}": (find_place(min_ort=v), apart(v), 152) for v in old_runtime.VERSIONS},
    **{f"min-{name}": (PLACES["min"], program, 88) for name, program in
       (("opencv-4", OPENCV_4), ("opencv-5", OPENCV_5), ("openvino", OPENVINO), ("web", WEB), ("old", OLD))},
    # What no program here is: in onnxruntime, the numbers of their forms.
    **{f"{name}-in-onnxruntime": (PLACES[name], NEWEST, least) for name, least in
       (("ort-cuda", 152), ("coreml", 152), ("tensorrt", 130), ("unity", 110))},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_place_computes_the_truth_of_every_golden_model_that_it_takes(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place, program, least = RUNS[name]
    assert place is not None
    files, taken = {}, {}
    # Each model goes to some places of each kind; and the one that many places refuse, or do otherwise, to all.
    chosen = [*turn(ALL, list(RUNS).index(name), 5), BICUBIC]
    for golden in chosen:
        x = golden.samples()
        graph = inference_graph(golden.model(), x.shape if place.fixed else None)
        try:
            emission, _ = compile_for(place, graph, place.opset, fixed=False)
        except (ExportError, NoLoweringError):
            continue
        files[golden.name], taken[golden.name] = (emission.content, x), golden
    assert len(files) >= least * len(chosen) // len(ALL) - effort(6, 0)
    assert "bicubic_free" in files
    for label, result in program(files, tmp_path).items():
        taken[label].check(files[label][1], result)


def kept_layers(place: Place, number: int) -> dict[str, tuple[bytes, np.ndarray, Graph]]:
    """Returns by case the files of those whose turn it is and that go somewhere, with an input and the graph."""
    files = {}
    for case in turn(layer_table._cases(), number, 5):
        x = case.arrays["x"]
        try:
            graph = graph_of(case, place)
        except SeqcError:
            continue
        made = compiled(graph, place)
        if (
            not isinstance(made, str)
            and len(graph.inputs) == 1
            and not {x.dtype.kind, graph.outputs[0].dtype[:1]} & TEXTS
        ):
            files[case.id.replace("/", "_")] = (made.content, x.astype(case.facts["input_dtype"]), graph)
    return files


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Layer .* does not support masking")
@pytest.mark.parametrize("name", [name for name in RUNS if "in-onnxruntime" not in name])
def test_a_place_computes_the_truth_of_every_kept_layer_that_it_takes(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place, program, _ = RUNS[name]
    assert place is not None
    files = kept_layers(place, list(RUNS).index(name))
    assert len(files) > effort(20, 130)
    for label, result in program({n: (content, x) for n, (content, x, _) in files.items()}, tmp_path).items():
        _, x, graph = files[label]
        wide = x.astype("float64") if x.dtype == np.float32 else x
        truth = np.asarray(Interpreter(promote_floats(graph)).run([wide])[0])
        scale = np.max(np.abs(truth[np.isfinite(truth)]), initial=1e-3)
        np.testing.assert_allclose(result, truth, rtol=1e-4, atol=2e-5 * scale, err_msg=label)


@pytest.mark.slow
@pytest.mark.parametrize(("target", "package"), [("openvino", "openvino"), ("opencv", "cv2")])
def test_the_usual_files_are_right_elsewhere_or_refused_unless_their_receipt_says_so(
    target: str, package: str, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip(package)
    seen = set()
    for i, golden in enumerate(ALL):
        if i % 4 and "masked" not in golden.name:
            continue
        emission, _ = compile_for(None, inference_graph(golden.model()), 18, fixed=True)
        # OpenCV is the newest here.
        told = any(u.target == target and "OpenCV 4" not in u.why for u in not_fit_for(nodes_of(emission)))
        x = golden.samples()
        try:
            found = consumers.CONSUMERS[target](emission.content, x)
        except Exception:  # each has errors of its own
            continue
        seen.add(told)
        if told:
            with pytest.raises(AssertionError):
                golden.check(x, found, 1e-3)
        else:
            golden.check(x, found)
    assert seen == {True, False}
