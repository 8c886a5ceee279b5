"""Files made for a place: what it lacks is said otherwise, or the layer is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from kit import onnx_models
from seqc import Input, Sequential, layers, ops
from seqc.errors import ArgumentTypeError, ConfigError, ExportError, NoLoweringError, SeqcError
from seqc.export.model import inference_graph
from seqc.export.options import lowest_ir_version
from seqc.export.places import PLACES, find_place, not_fit_for
from seqc.export.places.rules import Place, nodes_in
from seqc.graph.interpreter import Interpreter
from seqc.passes.precision import promote_floats

ort = pytest.importorskip("onnxruntime", reason="needs onnxruntime")

IMAGE, VOLUME, STEPS = (7, 8, 3), (5, 6, 4, 2), (6, 3)


def model_of(shape: tuple[int | None, ...], *stack: Any, dtype: str = "float32") -> Sequential:
    """Returns a model whose weights all differ."""
    model = Sequential([Input(shape, dtype=dtype), *stack])
    rng = np.random.default_rng(3)
    for w in model.weights:
        w.assign(rng.uniform(0.2, 0.9, w.shape).astype(w.dtype))
    return model


# What to export, for which targets, and what the refusal says.
REFUSED: list[tuple[Callable[[], Sequential], tuple[str, ...], str]] = [
    (lambda: model_of(STEPS, layers.GRU(4, name="g")), ("opencv", "unity", "min"), "GRU, which is not in .*an LSTM"),
    (lambda: model_of(STEPS, layers.SimpleRNN(4, name="g")), ("opencv", "unity", "min"), "RNN, .*target='ort-cpu'"),
    (lambda: model_of(STEPS, layers.LSTM(4, activation="gelu", name="g")), ("opencv", "unity"), "Scan, .*tanh and sig"),
    (lambda: model_of(STEPS, layers.LSTM(4, activation="softsign", name="g")), ("openvino", "opencv"), "LSTM with "),
    (lambda: model_of(STEPS, layers.LSTM(4, go_backwards=True, name="g")), ("opencv", "min"), "LSTM backwards alone"),
    (lambda: model_of(VOLUME, layers.GlobalMaxPooling3D(keepdims=True, name="g")), ("opencv",), "ReduceMax over vol"),
    (lambda: model_of(VOLUME, layers.Conv3D(2, 2, name="g")), ("opencv", "min"), "Conv over volumes, .*use images"),
    (lambda: model_of((None, 3), layers.Masking(), layers.LSTM(4, name="g")), ("tensorrt",), "TopK .*sizes={'time'"),
    (lambda: model_of(IMAGE, layers.Conv2DTranspose(4, 3, dilation_rate=2, name="g")), ("unity",), "ConvTranspose"),
    (lambda: model_of((4,), layers.IntegerLookup(vocabulary=[3, 5], name="g"), dtype="int64"),
     ("tensorrt", "openvino", "opencv", "unity", "min"), "LabelEncoder, .*lookup before the model"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "targets", "says"), REFUSED, ids=[f"{t[0]}-{s.split()[0]}" for _, t, s in REFUSED])
def test_a_layer_that_cannot_go_there_is_refused_by_name_with_the_nearest(
    make: Callable[[], Sequential], targets: Sequence[str], says: str, tmp_path: Path
) -> None:
    model = make()
    for target in targets:
        sizes = {"batch": 2} if PLACES[target].fixed else None
        with pytest.raises(ExportError, match=f"Layer 'g' cannot go to .*: it becomes {says}"):
            model.export(tmp_path / "m.onnx", target=target, sizes=sizes)
    assert not (tmp_path / "m.onnx").exists()
    assert model.export(tmp_path / "m.onnx", target="ort-cpu").report.passed


@pytest.mark.slow
def test_what_no_target_lacks_goes_to_all_of_them(tmp_path: Path) -> None:
    model = model_of(
        IMAGE,
        layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2DTranspose(2, 3, strides=2, padding="same"),
        layers.AveragePooling2D(2, padding="same"),
        layers.LayerNormalization(),
        layers.Flatten(),
        layers.Dense(3, activation="softmax"),
    )
    for target, place in PLACES.items():
        receipt = model.export(tmp_path / "m.onnx", target=target, sizes={"batch": 2} if place.fixed else None)
        assert receipt.report is not None
        assert receipt.report.passed, target
        assert receipt.place == place.title
        file = onnx.load(tmp_path / "m.onnx")
        assert file.opset_import[0].version == receipt.opset == place.opset
        assert file.ir_version == receipt.ir_version == lowest_ir_version(place.opset) <= place.newest_ir
        assert {p.key: p.value for p in file.metadata_props}["seqc.target"] == target
        assert target in str(receipt) or place.title in str(receipt)


def test_sizes_that_a_place_must_know_are_asked_for(tmp_path: Path) -> None:
    model = model_of((None, 3), layers.Conv1D(2, 2))
    with pytest.raises(
        ExportError, match=r"for OpenCV 4 and 5; input 'input.*' leaves batch, time open.*--size batch=1"
    ):
        model.export(tmp_path / "m.onnx", target="opencv")
    assert model.export(tmp_path / "m.onnx", target="opencv", sizes={"batch": 1, "time": 5}).report.passed


def compiled(model: Sequential, place: Place | None, shape: Any = None) -> onnx.ModelProto:
    from seqc.export import compile_for

    emission, _ = compile_for(place, inference_graph(model, shape), 18 if place is None else place.opset, fixed=False)
    return emission.model


def check_numbers(model: Sequential, file: onnx.ModelProto, x: np.ndarray) -> None:
    (truth,) = Interpreter(promote_floats(inference_graph(model))).run([x.astype("float64")])
    session = ort.InferenceSession(onnx_models.content(file), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(found, truth, rtol=0, atol=2e-6 * np.abs(truth).max())


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    ("kernel", "strides", "extra"), [(3, 2, None), (2, 3, None), (4, 3, 1), (5, 2, 1), (1, 1, None)]
)
def test_a_transposed_convolution_is_cut_evenly_for_cuda(
    kernel: int, strides: int, extra: int | None, padding: str
) -> None:
    model = model_of((5, 4, 2), layers.Conv2DTranspose(3, kernel, strides, padding, output_padding=extra))
    file, x = compiled(model, PLACES["ort-cuda"]), np.random.default_rng(0).normal(size=(2, 5, 4, 2)).astype("float32")
    check_numbers(model, file, x)
    pads = onnx_models.attributes(onnx_models.only(file, "ConvTranspose")).get("pads", [0] * 4)
    assert pads[:2] == pads[2:]


@pytest.mark.parametrize("shape", [(5, 4, 2), (None, None, 2)])
@pytest.mark.parametrize(("pool", "strides"), [(2, 2), (3, 2), (2, 1)])
def test_an_uneven_mean_is_padded_by_a_node_of_its_own_for_cuda(pool: int, strides: int, shape: Any) -> None:
    model = model_of(shape, layers.AveragePooling2D(pool, strides, padding="same"))
    file, x = compiled(model, PLACES["ort-cuda"]), np.random.default_rng(0).normal(size=(2, 5, 4, 2)).astype("float32")
    check_numbers(model, file, x)
    for node in file.graph.node:
        pads = onnx_models.attributes(node).get("pads", [0] * 4)
        assert pads[:2] == pads[2:]


def test_a_zero_that_openvino_takes_for_a_half_is_no_attribute() -> None:
    model = model_of((4,), layers.Lambda(lambda x: ops.clip(x * 0.25, 0.0, 1.0)))
    file, x = compiled(model, None), np.linspace(-2, 6, 12, dtype="float32").reshape(3, 4)
    check_numbers(model, file, x)
    assert "HardSigmoid" not in onnx_models.node_types(file)


def test_what_stays_on_the_processor_beside_cuda_is_told(tmp_path: Path) -> None:
    model = model_of(STEPS, layers.GRU(4, reset_after=False, return_sequences=True, name="old"), layers.LSTM(3))
    receipt = model.export(tmp_path / "m.onnx", target="ort-cuda")
    assert receipt.elsewhere == (
        "Layer 'old': GRU runs on the processor (reset_after=False; nearest: reset_after=True)",
    )
    assert "Layer 'old'" in str(receipt)
    assert receipt.to_dict()["elsewhere"] == list(receipt.elsewhere)


@pytest.mark.slow
def test_where_the_usual_file_would_give_other_numbers_without_a_word_is_told(tmp_path: Path) -> None:
    words = Sequential([
        Input((5,), dtype="int32"),
        layers.Embedding(9, 4, mask_zero=True),
        layers.LSTM(3, return_sequences=True, name="all"),
        layers.GRU(3, name="last"),
    ])  # fmt: skip
    receipt = words.export(tmp_path / "m.onnx")
    # What comes behind the end of a sequence is replaced, so that the first layer is right everywhere.
    assert {unfit.target: unfit.layers for unfit in receipt.not_for} == {"openvino": ("last",), "opencv": ("last",)}
    assert "not for" in str(receipt)
    assert "GRU with lengths of sequences, which OpenVINO passes over (layer 'last')" in str(receipt)
    assert receipt.to_dict()["not_for"][0]["layers"] == ("last",)
    for target in ("ort-cpu", "openvino"):
        assert words.export(tmp_path / "m.onnx", target=target).not_for == ()
    assert words.export(tmp_path / "m.onnx", min_ort="1.17").not_for == receipt.not_for


# A model, and the targets whose programs compute its usual file wrongly without saying so.
SILENT: list[tuple[Callable[[], Sequential], set[str]]] = [
    (lambda: model_of(STEPS, layers.LSTM(4)), set()),
    (lambda: model_of(STEPS, layers.LSTM(4, go_backwards=True)), {"opencv"}),
    (lambda: model_of(STEPS, layers.Masking(), layers.Bidirectional(layers.GRU(4))), {"openvino", "opencv"}),
    (lambda: model_of(VOLUME, layers.GlobalMaxPooling3D(keepdims=True)), {"opencv"}),
    (lambda: model_of((7, 7, 3), layers.AveragePooling2D(2, padding="same")), {"ort-cuda"}),
    (lambda: model_of((8, 8, 3), layers.AveragePooling2D(2, padding="same")), set()),
]


@pytest.mark.parametrize(("make", "targets"), SILENT)
def test_a_file_is_told_apart_that_other_programs_compute_wrongly(
    make: Callable[[], Sequential], targets: set[str]
) -> None:
    file = compiled(make(), None)
    assert {unfit.target for unfit in not_fit_for(nodes_in(file))} == targets
    for target in targets:
        place = PLACES[target]
        assert set(place.silent) <= set(PLACES["min"].silent)
        assert any(place.refusal(node) for node in nodes_in(file))


@pytest.mark.parametrize("factors", [2, (3, 2), (1, 4)])
def test_bicubic_images_of_any_size_are_weighed_where_a_cubic_resize_does_not_load(factors: Any) -> None:
    model = model_of((None, None, 3), layers.UpSampling2D(factors, interpolation="bicubic"))
    assert "Resize" in onnx_models.node_types(compiled(model, find_place(min_ort="1.21")))
    file = compiled(model, find_place(min_ort="1.20"))
    assert "Resize" not in onnx_models.node_types(file)
    for size in ((1, 1), (2, 5), (31, 8)):
        check_numbers(model, file, np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32"))


# Release, opset by default, the newest that it reads, and the newest file format.
RELEASES = [
    ("1.15", 18, 19, 9), ("1.16.3", 18, 19, 9), ("1.17", 18, 20, 9), ("1.20", 18, 21, 10),
    ("1.23.2", 18, 23, 11), ("1.31", 18, 26, 13), ("1.99", 18, 28, 14), ("2.0", 18, 28, 14),
]  # fmt: skip


@pytest.mark.parametrize(("release", "opset", "newest", "ir"), RELEASES)
def test_a_release_of_onnxruntime_limits_opset_and_format(release: str, opset: int, newest: int, ir: int) -> None:
    place = find_place(min_ort=release)
    assert place is not None
    assert (place.opset, place.newest, place.newest_ir) == (opset, newest, ir)


def test_what_is_too_new_for_a_release_is_refused(tmp_path: Path) -> None:
    model = model_of((3,), layers.Dense(2))
    with pytest.raises(ExportError, match="Onnxruntime 1.16 reads opset 19 at most; got 20"):
        model.export(tmp_path / "m.onnx", min_ort="1.16", opset=20)
    with pytest.raises(ExportError, match="onnxruntime 1.16 reads IR version 9 at most; got ir_version=10"):
        model.export(tmp_path / "m.onnx", min_ort="1.16", ir_version=10)
    receipt = model.export(tmp_path / "m.onnx", min_ort="1.16", opset=19)
    assert (receipt.opset, receipt.ir_version) == (19, 9)
    assert receipt.place == "onnxruntime 1.16"


def test_an_opset_that_a_layer_needs_is_taken_where_the_release_reads_it(tmp_path: Path) -> None:
    model = model_of((1,), layers.TextVectorization(vocabulary=["a", "b"], standardize=None, output_sequence_length=3),
                     dtype="string")  # fmt: skip
    assert model.export(tmp_path / "m.onnx").opset == 20
    assert model.export(tmp_path / "m.onnx", min_ort="1.17").opset == 20
    assert model.export(tmp_path / "m.onnx", target="ort-web").opset == 20
    with pytest.raises(NoLoweringError, match="Export with opset=20. But onnxruntime 1.16 reads opset 19 at most"):
        model.export(tmp_path / "m.onnx", min_ort="1.16")
    with pytest.raises(NoLoweringError, match="which opset 18 lacks. Export with opset=20"):
        model.export(tmp_path / "m.onnx", min_ort="1.17", opset=18)
    with pytest.raises(NoLoweringError, match="which opset 19 lacks. Export with opset=20"):
        model.export(tmp_path / "m.onnx", opset=19)


NONSENSE: list[tuple[dict[str, Any], type[SeqcError], str]] = [
    ({"target": "cuda"}, ConfigError, "There is no target 'cuda'. It must be one of ort-cpu, ort-cuda, .*min"),
    ({"target": 1}, ArgumentTypeError, "target must be one of ort-cpu"),
    ({"min_ort": 1.2}, ArgumentTypeError, "must be text such as '1.16', since 1.20 is no number; got 1.2"),
    ({"min_ort": "new"}, ConfigError, "a version of onnxruntime such as '1.16'; got 'new'"),
    ({"min_ort": "1.4"}, ExportError, "onnxruntime 1.15 and newer; got min_ort='1.4'"),
    ({"min_ort": "1.16", "target": "opencv"}, ConfigError, "target='opencv' is OpenCV 4 and 5"),
    ({"target": "opencv", "sizes": {"batch": 1}, "precision": "float64"}, ExportError, "it has float64, .*use float32"),
    ({"target": "unity", "opset": 18}, ExportError, "Unity's Inference Engine reads opset 15 at most; got 18"),
]


@pytest.mark.parametrize(("options", "error", "says"), NONSENSE)
def test_targets_that_there_are_not_are_refused(
    options: dict[str, Any], error: type[SeqcError], says: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=says):
        model_of((3,), layers.Dense(2)).export(tmp_path / "m.onnx", **options)


def test_a_release_and_a_target_of_onnxruntime_go_together() -> None:
    both = find_place("ort-cuda", "1.16")
    assert both is not None
    assert (both.title, both.newest, both.forms) == ("onnxruntime 1.16 with CUDA", 19, PLACES["ort-cuda"].forms)
    assert find_place("ort-cpu", "1.16").title == "onnxruntime 1.16"  # type: ignore[union-attr]
    assert find_place() is None


def test_what_every_target_has_is_what_each_of_them_has() -> None:
    least = PLACES["min"]
    for place in PLACES.values():
        assert place.lacking <= least.lacking
        assert set(place.rules) <= set(least.rules)
        assert least.dtypes <= place.dtypes
        assert least.newest <= place.newest
