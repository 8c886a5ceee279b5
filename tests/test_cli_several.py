"""The command line on models of several inputs and outputs."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
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


def test_predict_takes_named_arrays_and_writes_them(folder: Path) -> None:
    kind, size = expected()
    text = seqc("predict", "two.onnx", "both.npz", "-o", "y.npz", "--device", "cpu").stdout
    assert "both.npz image float32[5, 4, 4, 2]" in text
    assert "y.npz size float32[5, 1]" in text
    first = Path("y.npz").read_bytes()
    for arguments in (["both.npz"], ["--input", "words=w.npy", "--input", "image=i.npy", "--batch-size", 2]):
        result = seqc_json("predict", "two.onnx", *arguments, "-o", "y.npz", "--device", "cpu")
        found = np.load("y.npz")
        assert sorted(found) == ["kind", "size"]
        np.testing.assert_allclose(found["kind"], kind, atol=1e-5)
        np.testing.assert_allclose(found["size"], size, atol=1e-5)
        assert [one["name"] for one in result["inputs"]] == ["image", "words"]
        assert result["outputs"][1] == {"name": "size", "path": "y.npz", "dtype": "float32", "shape": [5, 1]}
        if arguments == ["both.npz"]:
            assert Path("y.npz").read_bytes() == first


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


def test_inspect_shows_every_input_and_output_and_the_work_of_every_branch(folder: Path) -> None:
    text = seqc("inspect", "two.keras", "--size", "features=6").stdout
    for line in ("image float32[batch, 4, 4, 2]", "words int32[batch, features]", "kind float32[batch, 2]"):
        assert line in text
    result = seqc_json("inspect", "two.keras", "--size", "features=6")
    assert [one["name"] for one in result["outputs"]] == ["kind", "size"]
    work = {one["name"]: one["flops"] for one in result["layers"]}
    assert work["conv"] == 2 * 2 * 9 * 2 * 3 * 2 + 2 * 2 * 3  # both of multiplications and additions, and the bias
    assert work["lstm"] > 2 * 6 * (4 + 3) * 4 * 3


def test_names_in_a_file_are_given_one_by_one(folder: Path) -> None:
    seqc("export", "two.keras", "-o", "m.onnx", "--input-name", "words=text", "--output-name", "kind=class")
    session = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["image", "text"]
    assert [o.name for o in session.get_outputs()] == ["class", "size"]
    seqc("export", "two.keras", "-o", "m.onnx", "--input-name", "a", "--input-name", "b")
    session = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["a", "b"]
    mixed = seqc("export", "two.keras", "-o", "m.onnx", "--input-name", "a", "--input-name", "words=b", code=2).stderr
    assert "--input-name takes names in the model's order, or MODELS=FILES for each" in mixed
    assert (
        "input_name names ['text']"
        in seqc("export", "two.keras", "-o", "n.onnx", "--input-name", "text=x", code=2).stderr
    )
    assert "Passed" in seqc("verify", "two.onnx", "--against", "two.keras").stdout


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
