"""The arguments of an export: Keras's, and what is said about those that make no sense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import seqc as keras
from seqc import layers
from seqc.errors import ArgumentTypeError, ConfigError, DTypeError, ExportError, NotBuiltError, SeqcError, ShapeError


def model(**options: Any) -> keras.Sequential:
    return keras.Sequential([keras.Input((None, 3), name="steps"), layers.GRU(2, name="memory")], **options)


def shape(path: Path) -> list[Any]:
    (x,) = onnx.load(path).graph.input
    return [d.dim_param or d.dim_value for d in x.type.tensor_type.shape.dim]


# -- Keras's arguments -----------------------------------------------------------------------------------------------


def test_keras_says_format_and_opset_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    receipt = model().export(tmp_path / "m.onnx", format="onnx", opset_version=15, verbose=True)
    assert receipt.opset == onnx.load(tmp_path / "m.onnx").opset_import[0].version == 15
    assert "opset 15" in capsys.readouterr().out


def test_input_signature_fixes_sizes_and_names_the_input(tmp_path: Path) -> None:
    signature = [keras.InputSpec(shape=(2, 5, 3), dtype="float32", name="image")]
    receipt = model().export(tmp_path / "m.onnx", input_signature=signature)
    assert shape(tmp_path / "m.onnx") == [2, 5, 3]
    assert receipt.inputs[0].name == "image"
    model().export(tmp_path / "m.onnx", input_signature=signature, input_name="mine")
    assert onnx.load(tmp_path / "m.onnx").graph.input[0].name == "mine"


@pytest.mark.parametrize(
    "signature",
    [
        keras.InputSpec("float32", (None, 5, 3)),
        (layers.InputSpec("float32", (None, 5, 3)),),
        [[keras.InputSpec("float32", (None, 5, None))]],
        [np.zeros((4, 5, 3), "float32")],
    ],
)
def test_input_signature_comes_in_keras_forms(signature: Any, tmp_path: Path) -> None:
    one = model()
    one.export(tmp_path / "m.onnx", input_signature=signature)
    assert shape(tmp_path / "m.onnx") == ["batch", 5, 3]
    assert one.input_shape == (None, None, 3)


def test_input_signature_builds_a_model(tmp_path: Path) -> None:
    unbuilt = keras.Sequential([layers.Dense(2)])
    unbuilt.export(tmp_path / "m.onnx", input_signature=[keras.InputSpec("float32", (None, 4))])
    assert unbuilt.input_shape == (None, 4)
    assert shape(tmp_path / "m.onnx") == ["batch", 4]


@pytest.mark.parametrize(
    ("signature", "kind", "words"),
    [
        ([keras.InputSpec("float32", (None, 5, 4))], ShapeError, r"shape \(None, None, 3\); input_signature says"),
        ([keras.InputSpec("float32", (None, 3))], ShapeError, "input_signature says"),
        ([keras.InputSpec("int32", (None, 5, 3))], DTypeError, "takes float32; input_signature says int32"),
        ([keras.InputSpec(shape=(None, 5, 3))], ConfigError, "`shape` and `dtype` of input_signature must be provided"),
        ([keras.InputSpec("float32", (1, 1, 3))] * 2, ConfigError, "must say one input"),
        ([(None, 5, 3), 1], ConfigError, "must say one input"),
        ("float32", ArgumentTypeError, "input_signature takes seqc.InputSpec"),
    ],
)
def test_an_input_signature_that_does_not_fit_is_refused(
    signature: Any, kind: type[SeqcError], words: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=words):
        model().export(tmp_path / "m.onnx", input_signature=signature)
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize("format", ["tf_saved_model", "openvino", "litert", "torch", None])
def test_other_formats_are_refused_with_a_way_out(format: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"exports to ONNX only.*Leave `format` out"):
        model().export(tmp_path / "m", format=format)


# -- what makes no sense ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"opset": "18"}, ArgumentTypeError, "opset must be a whole number such as 18; got '18'"),
        ({"opset": 18.0}, ArgumentTypeError, "opset must be a whole number"),
        ({"opset": True}, ArgumentTypeError, "opset must be a whole number"),
        ({"opset": 12}, ExportError, "opset 13 to 28; got 12"),
        ({"opset": 17, "opset_version": 18}, ConfigError, "say the same thing; give one"),
        ({"ir_version": 3}, ExportError, "ir_version must be 8, .* opset 18, to 14; got 3"),
        ({"ir_version": 99}, ExportError, "ir_version must be 8"),
        ({"ir_version": "8"}, ArgumentTypeError, "ir_version must be a whole number"),
        ({"input_name": ""}, ExportError, "name of an input must not be empty"),
        ({"output_name": ""}, ExportError, "name of an output must not be empty"),
        ({"output_name": 3}, ArgumentTypeError, "name of an output must be text; got 3"),
        ({"input_name": "a", "output_name": "a"}, ExportError, "'a' is there twice"),
        ({"metadata": "text"}, ArgumentTypeError, "metadata must be a dict"),
        ({"metadata": {"a": 1}}, ArgumentTypeError, "metadata holds texts only; got 'a': 1"),
        ({"metadata": {1: "a"}}, ArgumentTypeError, "metadata holds texts only"),
        ({"metadata": {"seqc.version": "9"}}, ExportError, "'seqc.version'.*what seqc says itself"),
        ({"metadata": {"seqc.model": "x"}}, ExportError, "what seqc says itself"),
        ({"metadata": {"": "x"}}, ExportError, "metadata cannot set ''"),
        ({"verify": "no"}, ArgumentTypeError, "verify must be True or False; got 'no'"),
        ({"channels_first_input": 1}, ArgumentTypeError, "channels_first_input must be True, False, or names"),
        ({"allow_nonfinite": None}, ArgumentTypeError, "allow_nonfinite must be True or False; got None"),
        ({"opst": 18}, ArgumentTypeError, "export has no option 'opst'. It has .*opset"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_a_sentence(
    options: dict[str, Any], kind: type[SeqcError], words: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=words) as caught:
        model().export(tmp_path / "m.onnx", **options)
    assert "mistake in seqc" not in str(caught.value)
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize("path", [b"m.onnx", 3, None])
def test_what_is_no_path_is_refused(path: Any) -> None:
    with pytest.raises(ArgumentTypeError, match=r"takes the path of the file to write, such as 'model\.onnx'; got"):
        model().export(path)


def test_each_option_is_listed_once(tmp_path: Path) -> None:
    with pytest.raises(ArgumentTypeError) as told:
        model().export(tmp_path / "m.onnx", opst=18)
    options = str(told.value).rpartition("It has ")[2].rstrip(".").split(", ")
    assert len(options) == len(set(options)) > 20


def test_whole_numbers_of_numpy_and_older_formats_are_taken(tmp_path: Path) -> None:
    receipt = model().export(tmp_path / "m.onnx", opset=np.int64(13), ir_version=np.int32(7))
    assert (receipt.opset, receipt.ir_version) == (13, 7)


def test_an_input_called_like_the_last_layer_gives_the_output_another_name(tmp_path: Path) -> None:
    receipt = model().export(tmp_path / "m.onnx", input_name="memory")
    assert (receipt.inputs[0].name, receipt.outputs[0].name) == ("memory", "memory_output")


def test_the_users_texts_stand_beside_those_of_seqc(tmp_path: Path) -> None:
    model(name="mine").export(tmp_path / "m.onnx", metadata={"trained": "today"})
    file = onnx.load(tmp_path / "m.onnx")
    assert {p.key: p.value for p in file.metadata_props}["trained"] == "today"
    assert file.graph.name == "mine"


def test_a_model_of_an_input_alone_is_told_to_add_layers(tmp_path: Path) -> None:
    with pytest.raises(NotBuiltError, match="no layers to export.*model.add"):
        keras.Sequential([keras.Input((3,))]).export(tmp_path / "m.onnx")


# -- InputSpec in layers ---------------------------------------------------------------------------------------------


class Picky(layers.Layer):
    def __init__(self, spec: Any, **options: Any) -> None:
        super().__init__(**options)
        self.input_spec = spec

    def call(self, x: Any) -> Any:
        return x


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"ndim": 3}, "expected ndim=3, found ndim=2"),
        ({"min_ndim": 3}, "expected min_ndim=3"),
        ({"max_ndim": 1}, "expected max_ndim=1"),
        ({"dtype": "int32"}, "expected dtype=int32, found dtype=float32"),
        ({"axes": {-1: 5}}, "expected axis -1 of input shape to have value 5"),
        ({"axes": {4: 5}}, "expected axis 4"),
        ({"shape": (None, 5)}, r"expected shape=\(None, 5\), found shape=\(None, 4\)"),
    ],
)
def test_a_layer_with_an_input_spec_refuses_what_does_not_fit(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(ShapeError, match=f"of layer 'picky' is incompatible with the layer: {words}"):
        keras.Sequential([keras.Input((4,)), Picky(keras.InputSpec(**spec), name="picky")])


@pytest.mark.parametrize(
    "spec", [{"ndim": 2, "axes": {-1: 4}}, {"shape": (None, 4)}, {"shape": (8, 4, 1), "allow_last_axis_squeeze": True}]
)
def test_a_layer_with_an_input_spec_takes_what_fits(spec: dict[str, Any]) -> None:
    assert keras.Sequential([keras.Input((4,)), Picky([keras.InputSpec(**spec)])]).output_shape == (None, 4)


def test_an_input_spec_is_as_in_keras() -> None:
    spec = keras.InputSpec(dtype="float32", shape=(None, 28, 28, 1))
    assert repr(spec) == "InputSpec(dtype=float32, shape=(None, 28, 28, 1), ndim=4)"
    assert keras.InputSpec.from_config(keras.InputSpec(ndim=2, axes={-1: 3}).get_config()).axes == {-1: 3}
    with pytest.raises(ValueError, match="Axis 4 is greater than the maximum allowed value: 2"):
        keras.InputSpec(ndim=3, axes={4: 5})
    with pytest.raises(TypeError, match="`axes` must be a dict"):
        keras.InputSpec(axes={"a": 1})  # type: ignore[dict-item]
