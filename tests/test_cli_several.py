"""The command line on models of several inputs and outputs."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import seqc as keras
from kit.cli_models import seqc, seqc_json
from seqc import layers

pytest.importorskip("seqc_runtime")

IMAGE = np.random.default_rng(0).normal(size=(5, 4, 4, 2)).astype("float32")
WORDS = np.random.default_rng(1).integers(0, 9, (5, 6)).astype("int32")


def two() -> Any:
    image, words = keras.Input((4, 4, 2), name="image"), keras.Input((None,), dtype="int32", name="words")
    seen = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3, name="conv")(image))
    read = layers.LSTM(3, name="lstm")(layers.Embedding(9, 4, name="look_up")(words))
    joined = layers.Concatenate(name="join")([seen, read])
    return keras.Model(
        [image, words], [layers.Dense(2, name="kind")(joined), layers.Dense(1, name="size")(joined)], name="two"
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    two().save("two.keras")
    seqc("export", "two.keras", "-o", "two.onnx")
    np.save("i.npy", IMAGE)
    np.save("w.npy", WORDS)
    np.savez("both.npz", words=WORDS, image=IMAGE)
    return tmp_path


def expected() -> list[Any]:
    return list(keras.models.load_model("two.keras").predict([IMAGE, WORDS], verbose=0))


@pytest.mark.slow
def test_predict_takes_named_arrays_and_writes_them(folder: Path) -> None:
    kind, size = expected()
    text = seqc("predict", "two.onnx", "both.npz", "-o", "y.npz", "--device", "cpu").stdout
    assert "both.npz image float32[5, 4, 4, 2]" in text
    assert "y.npz size float32[5, 1]" in text
    first = Path("y.npz").read_bytes()
    for arguments in (["both.npz"], ["--input", "words=w.npy", "--input", "image=i.npy", "--batch-size", 2]):
        result = seqc_json("predict", "two.onnx", *arguments, "-o", "y.npz", "--device", "cpu")
        with np.load("y.npz") as file:
            found = dict(file)
        assert sorted(found) == ["kind", "size"]
        np.testing.assert_allclose(found["kind"], kind, atol=1e-5)
        np.testing.assert_allclose(found["size"], size, atol=1e-5)
        assert [one["name"] for one in result["inputs"]] == ["image", "words"]
        assert result["outputs"][1] == {"name": "size", "path": "y.npz", "dtype": "float32", "shape": [5, 1]}
        if arguments == ["both.npz"]:
            assert Path("y.npz").read_bytes() == first


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["i.npy", "-o", "y.npz"],
            "two.onnx has 2 inputs, and i.npy holds one array. Give a .npz file with arrays of the",
        ),
        (["-o", "y.npz"], "Nothing to run two.onnx on. Give a .npz file with arrays of the names 'image', 'words', or"),
        (["both.npz", "-o", "y.npy"], "two.onnx has 2 outputs and a .npy file holds one array. Write a .npz file"),
        (
            ["wrong.npz", "-o", "y.npz"],
            "takes 'image', 'words'; wrong.npz holds 'image', 'w': 'words' missing, 'w' no input",
        ),
        (["--input", "image=i.npy", "-o", "y.npz"], "--input names 'image': 'words' missing."),
        (["--input", "image", "-o", "y.npz"], "--input takes NAME=FILE.npy; got 'image'."),
        (
            ["--input", "image=i.npy", "--input", "image=w.npy", "-o", "y.npz"],
            "--input names 'image' twice: i.npy and w.npy",
        ),
        (
            ["both.npz", "--input", "image=i.npy", "-o", "y.npz"],
            "either X or --input NAME=FILE.npy for each input, not both",
        ),
        (["--input", "image=absent.npy", "--input", "words=w.npy", "-o", "y.npz"], "There is no file absent.npy."),
        (["objects.npz", "-o", "y.npz"], "'words.npy' in objects.npz holds Python objects, which are never loaded"),
        (["lies.npz", "-o", "y.npz"], "'words.npy' in lies.npz is damaged: its header promises"),
        (["cut.npz", "-o", "y.npz"], "cut.npz"),
    ],
)
def test_what_is_missing_is_named(folder: Path, arguments: list[str], message: str) -> None:
    np.savez("wrong.npz", image=IMAGE, w=WORDS)
    np.savez("objects.npz", image=IMAGE, words=np.array([{}, []], dtype=object))
    with zipfile.ZipFile("lies.npz", "w") as archive:
        head = b"{'descr': '<i4', 'fortran_order': False, 'shape': (1000000000000, 6), }\n"
        archive.writestr("words.npy", b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + b"1234")
    Path("cut.npz").write_bytes(Path("both.npz").read_bytes()[:200])
    assert message in seqc("predict", "two.onnx", *arguments, code=2).stderr
    assert not Path("y.npz").exists()


@pytest.mark.slow
def test_inspect_shows_every_input_and_output_and_the_work_of_every_branch(folder: Path) -> None:
    text = seqc("inspect", "two.keras", "--size", "features=6").stdout
    for line in ("image float32[batch, 4, 4, 2]", "words int32[batch, features]", "kind float32[batch, 2]"):
        assert line in text
    result = seqc_json("inspect", "two.keras", "--size", "features=6")
    assert [one["name"] for one in result["outputs"]] == ["kind", "size"]
    work = {one["name"]: one["flops"] for one in result["layers"]}
    assert work["conv"] == 2 * 2 * 9 * 2 * 3 * 2 + 2 * 2 * 3  # both of multiplications and additions, and the bias
    assert work["lstm"] > 2 * 6 * (4 + 3) * 4 * 3


@pytest.mark.slow
def test_names_in_a_file_are_given_one_by_one(folder: Path) -> None:
    seqc("export", "two.keras", "-o", "m.onnx", "--input-name", "words=text", "--output-name", "kind=class")
    session = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["image", "text"]
    assert [o.name for o in session.get_outputs()] == ["class", "size"]
    seqc("export", "two.keras", "-o", "m.onnx", "--input-name", "a", "--input-name", "b")
    session = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["a", "b"]
    for names in (["image=words,words=image"], ["image=words", "words=image"]):
        options = [part for name in names for part in ("--input-name", name)]
        seqc("export", "two.keras", "-o", "m.onnx", *options, "--output-name", "one,other", "--axis-name", "batch=n")
        session = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
        assert [i.name for i in session.get_inputs()] == ["words", "image"]
        assert [o.name for o in session.get_outputs()] == ["one", "other"]
    seqc("export", "two.keras", "-o", "m.onnx", "--axis-name", "batch=n,features=f")
    shapes = [i.shape for i in onnxruntime.InferenceSession("m.onnx").get_inputs()]
    assert shapes == [["n", 4, 4, 2], ["n", "f"]]
    mixed = seqc("export", "two.keras", "-o", "m.onnx", "--input-name", "a", "--input-name", "words=b", code=2).stderr
    assert "--input-name takes names in the model's order, or MODELS=FILES for each" in mixed
    assert (
        "input_name names ['text']"
        in seqc("export", "two.keras", "-o", "n.onnx", "--input-name", "text=x", code=2).stderr
    )
    assert "Passed" in seqc("verify", "two.onnx", "--against", "two.keras").stdout


@pytest.mark.slow
def test_a_signature_fixes_sizes_of_several_inputs(tmp_path: Path) -> None:
    model = two()
    image = keras.InputSpec("float32", (1, 4, 4, 2), name="picture")
    words = keras.InputSpec("int32", (None, 6))
    for signature, names in (
        ([image, words], ["picture", "words"]),
        ({"words": words, "image": image}, ["picture", "words"]),
    ):
        model.export(tmp_path / "m.onnx", input_signature=signature)
        session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
        assert [i.name for i in session.get_inputs()] == names
        assert [i.shape for i in session.get_inputs()] == [[1, 4, 4, 2], [1, 6]]  # one batch has one size
        found = session.run(None, {"picture": IMAGE[:1], "words": WORDS[:1]})
        for one, wanted in zip(found, model.predict([IMAGE[:1], WORDS[:1]], verbose=0), strict=True):
            np.testing.assert_allclose(one, wanted, atol=1e-5)


def pictures() -> Any:
    """A model of two inputs and two outputs with channels, and of one without."""
    image, depth, words = keras.Input((4, 5, 2), name="image"), keras.Input((4, 5, 3), name="depth"), keras.Input((3,))
    seen = layers.Concatenate()([layers.Conv2D(3, 3, padding="same")(image), depth])
    scaled = layers.Multiply()([seen, layers.Reshape((1, 1, 6))(layers.Dense(6)(words))])
    outputs = {"map": layers.Conv2D(2, 1, name="map")(scaled), "raw": scaled, "size": layers.Dense(1)(words)}
    return keras.Model({"image": image, "depth": depth, "words": words}, outputs, name="pictures")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "first"),
    [
        ({"channels_first_input": ["image"]}, {"image"}),
        ({"channels_first_input": "depth", "channels_first_output": ("map",)}, {"depth", "map"}),
        ({"channels_first_input": ["image", "depth"], "channels_first_output": True}, {"image", "depth", "map", "raw"}),
        ({"channels_first_input": True}, {"image", "depth"}),
        ({"channels_first_input": ["image"], "input_name": {"image": "x"}}, {"x"}),
        ({"channels_first_input": ["x"], "input_name": {"image": "x"}}, {"x"}),
        ({"channels_first_output": ["raw"]}, {"raw"}),
    ],
    ids=lambda given: " ".join(sorted(map(str, given))),  # sets have no order
)
def test_those_that_are_named_are_channels_first_and_others_last(
    options: dict[str, Any], first: set[str], tmp_path: Path
) -> None:
    model, path = pictures(), tmp_path / "m.onnx"
    model.save(tmp_path / "m.keras")
    rng = np.random.default_rng(4)
    given = {name: rng.normal(size=(3, *s)).astype("float32") for name, s in
             {"image": (4, 5, 2), "depth": (4, 5, 3), "words": (3,)}.items()}  # fmt: skip
    wanted = model.predict(given, verbose=0)
    model.export(path, **options)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    called = {name: options.get("input_name", {}).get(name, name) for name in given}
    feeds = {called[name]: np.moveaxis(x, -1, 1) if called[name] in first else x for name, x in given.items()}
    names = [y.name for y in session.get_outputs()]
    for name, found in zip(names, session.run(names, feeds), strict=True):
        turned = np.moveaxis(wanted[name], -1, 1) if name in first else wanted[name]
        np.testing.assert_allclose(found, turned, atol=1e-5)
    assert seqc_json("verify", path, "--against", tmp_path / "m.keras")["passed"]


@pytest.mark.slow
def test_the_command_takes_some_inputs_channels_first(folder: Path) -> None:
    pictures().save("p.keras")
    result = seqc_json("export", "p.keras", "-o", "p.onnx", "--channels-first", "image")
    shapes = {one["name"]: one["shape"] for one in result["inputs"]}
    assert (shapes["image"], shapes["depth"]) == (["batch", 2, 4, 5], ["batch", 4, 5, 3])
    assert 'image": "channels_first"' in seqc("verify", "p.onnx").stdout
    text = seqc("export", "p.keras", "-o", "q.onnx", "--channels-first", "wrods", code=2).stderr
    assert "channels_first_input names 'wrods'; the model's inputs are" in text
    assert not Path("q.onnx").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("words", r"names 'words'; the model's inputs are .*'words' float32\[batch, 3\]"),
        (["image", "map"], "names 'map'"),
        (1, "must be True, False, or names of inputs; got 1"),
        ([True], r"got \[True\]"),
    ],
)
def test_what_has_no_channels_is_refused(given: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises((keras.errors.ConfigError, keras.errors.ArgumentTypeError), match=message):
        pictures().export(tmp_path / "m.onnx", channels_first_input=given)


@pytest.mark.slow
def test_a_file_that_says_nonsense_of_its_axes_is_refused(folder: Path) -> None:
    for text in ("{broken", '{"image": 3}'):
        model = onnx.load("two.onnx")
        (entry,) = (one for one in model.metadata_props if one.key == "seqc.input_layout")
        entry.value = text
        onnx.save(model, "odd.onnx")
        result = seqc_json("verify", "odd.onnx", "--against", "two.keras", code=1)
        assert "says in seqc.input_layout what makes no sense" in result["error"]
