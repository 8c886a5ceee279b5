"""Tables (.csv, .parquet) and archives as data of `seqc train`, `predict` and `quantize`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import onnx
import pytest

import seqc as seqc_keras
from kit.cli_models import CLASSIFIER, seqc, seqc_json, write
from seqc import layers
from seqc.cli._training import _class_names
from seqc.errors import DataError

pytest.importorskip("seqc_runtime", reason="needs seqc-runtime")

rng = np.random.default_rng(0)
KIND = rng.integers(0, 3, 150)
X = (np.eye(4)[KIND] + 0.2 * rng.standard_normal((150, 4))).round(4)
WORDS = np.array(["plum", "fig", "apple"])
HEADER = "height,width,depth,age"

MIXED = """
import seqc as keras
from seqc import layers

FIT = {"epochs": 2}


def build():
    age, word = keras.Input((1,), name="age"), keras.Input((1,), dtype="string", name="word")
    size = keras.Input((3,), name="size")
    known = layers.StringLookup(vocabulary=["plum", "fig", "apple"], output_mode="one_hot")(word)
    both = layers.Concatenate()([age, known, size])
    model = keras.Model([age, word, size], layers.Dense(3, "softmax", name="kind")(both))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(path: Path, labels: Any = KIND, x: Any = X, head: str = HEADER) -> Path:
    lines = [",".join([str(label), *map(str, row)]) for label, row in zip(labels, x, strict=True)]
    path.write_text("\n".join([f"kind,{head}", *lines]) + "\n", encoding="utf-8")
    return path


def parquet(path: Path, data: dict[str, Any]) -> Path:
    arrow = pytest.importorskip("pyarrow", reason="needs pyarrow")
    from pyarrow.parquet import write_table

    write_table(arrow.table(data), path)
    return path


def columns() -> dict[str, Any]:
    return {"kind": WORDS[KIND], **dict(zip(HEADER.split(","), X.T, strict=True))}


@pytest.mark.slow
def test_a_table_trains_as_the_arrays_in_it_do(folder: Path) -> None:
    part = np.arange(150) % 5 == 4
    np.savez(folder / "x.npz", a=X[~part], b=KIND[~part], c=X[part], d=KIND[part])
    text = CLASSIFIER.partition("def data")[0]
    own = "def data():\n    f = np.load('x.npz')\n    return (f['a'], f['b']), (f['c'], f['d'])\n"
    expected = seqc_json("train", write(folder, text + own), "--no-plot", "--epochs", 3)
    csv = table(folder / "all.csv")
    file = write(folder, text)
    found = seqc_json(
        "train", file, "--no-plot", "--epochs", 3, "--data", csv, "--target", "kind", code=found_code(expected)
    )
    assert found["history"] == expected["history"]
    assert found["metrics"] == expected["metrics"]
    assert found["classes"] == {}


def found_code(result: dict[str, Any]) -> int:
    return 0 if result["passed"] else 1


@pytest.mark.slow
def test_parquet_and_labels_that_are_texts_and_a_table_to_test_on(folder: Path) -> None:
    file = write(folder, CLASSIFIER.partition("def data")[0])
    train = table(folder / "train.csv", WORDS[KIND])
    test = parquet(folder / "test.parquet", columns())
    shown = seqc("train", file, "--data", train, "--test", test, "--target", "kind").stdout
    assert "Labels of 'kind': 0 apple, 1 fig, 2 plum" in shown
    assert "Test on 150 samples:" in shown
    told = {one.key: one.value for one in onnx.load(folder / "out/tiny/tiny.onnx").metadata_props}
    (names,) = json.loads(told["seqc.classes"]).values()
    assert names == ["apple", "fig", "plum"]
    other = columns() | {"kind": np.where(KIND == 0, "kiwi", "fig")}
    wrong = seqc("train", file, "--data", train, "--test", parquet(test, other), "--target", "kind", code=2).stderr
    assert "column 'kind' holds 'kiwi', which is none of the classes 'apple', 'fig', 'plum'." in wrong


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_columns_are_the_inputs_of_their_names(folder: Path, kind: str) -> None:
    names = "kind,id,size_2,size_1,word,age,size_0"
    rows = {
        "kind": KIND, "id": np.arange(150), "size_2": X[:, 2], "size_1": X[:, 1], "word": WORDS[KIND], "age": X[:, 3],
        "size_0": X[:, 0],
    }  # fmt: skip
    path = folder / f"t.{kind}"
    if kind == "csv":
        lines = [",".join(map(str, row)) for row in zip(*rows.values(), strict=True)]
        path.write_text("\n".join([names, *lines]), encoding="utf-8")
    else:
        parquet(path, rows)
    file = write(folder, MIXED, "mixed.py")
    seqc("train", file, "--no-plot", "--data", path, "--target", "kind")
    seqc("predict", "out/mixed/mixed.onnx", path, "-o", "y.npy")
    import seqc as keras

    model = keras.saving.load_model(folder / "out/mixed/mixed.keras")
    own = {"size": X[:, :3], "age": X[:, 3], "word": WORDS[KIND]}
    np.testing.assert_allclose(np.load("y.npy"), model.predict(own, verbose=0), atol=1e-6)


@pytest.mark.slow
def test_an_archive_trains_and_a_table_quantizes(folder: Path) -> None:
    np.savez(folder / "d.npz", point=X, y=KIND)
    file = write(folder, CLASSIFIER.partition("def data")[0])
    assert seqc_json("train", file, "--no-plot", "--data", "d.npz")["metrics"]["accuracy"] > 0.9
    how = ("quantize", "out/tiny/tiny.onnx", "--for", "size", "--max-drop", "50%")
    table(folder / "q.csv")
    of_table = seqc_json(*how, "--data", "q.csv", "--target", "kind", "--log", "a.jsonl", code=1)  # it is small already
    of_archive = seqc_json(*how, "--data", "d.npz", "--log", "b.jsonl", code=1)
    assert of_table["float_scores"] == of_archive["float_scores"]
    assert of_table["measured"] == {"kind": "accuracy on the labels"}
    assert "--target and --missing are for tables" in seqc(*how, "--data", "d.npz", "--target", "y", code=2).stderr


@pytest.mark.slow
def test_a_large_table_lies_in_a_file_and_trains_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seqc.cli import _tables
    from seqc.stored import is_lazy

    file, csv = write(folder, CLASSIFIER.partition("def data")[0]), table(folder / "all.csv")
    how = ("train", file, "--no-plot", "--data", csv, "--test", csv, "--target", "kind")
    expected = seqc_json(*how)
    monkeypatch.setattr(_tables, "MOST_BYTES", 200)
    monkeypatch.setattr(_tables, "STEP", 32)
    found = seqc_json(*how)
    assert found["history"] == expected["history"]
    assert "too large to set a part of its rows aside" in seqc(*how[:5], "--target", "kind", code=2).stderr
    from seqc.training.arrange import Port

    held = _tables.read_table(csv, [Port("point", (None, 4), "float32")], ["kind"]).x["point"]
    assert is_lazy(held)
    np.testing.assert_allclose(held, X, rtol=1e-6)


def test_the_file_of_a_large_table_is_closed_whether_it_can_be_read_or_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seqc.cli import _tables
    from seqc.training.arrange import Port

    opened: list[IO[bytes]] = []
    made = tempfile.TemporaryFile

    def temporary() -> IO[bytes]:
        opened.append(made())
        return opened[-1]

    monkeypatch.setattr(_tables, "MOST_BYTES", 200)
    monkeypatch.setattr(_tables, "STEP", 32)
    monkeypatch.setattr(tempfile, "TemporaryFile", temporary)
    point = [Port("point", (None, 4), "float32")]
    csv = table(folder / "all.csv")
    np.testing.assert_allclose(_tables.read_table(csv, point, ["kind"]).x["point"], X, rtol=1e-6)
    with open(csv, "a") as file:
        file.write("1,a,0.5,0.5,0.5\n")
    with pytest.raises(DataError, match="'a' is no number"):
        _tables.read_table(csv, point, ["kind"])
    assert len(opened) >= 2
    assert all(file.closed for file in opened)


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ("", (), "--target COLUMN says which column of t.csv holds the labels."),
        ("", ("--target", "sort"), "t.csv has no column 'sort'; it has 'kind', 'height', 'width', 'depth', 'age'."),
        ("1,,0.5,0.5,0.5", ("--target", "kind"), "line 152, column 'height': the value is missing"),
        ("1,a,0.5,0.5,0.5", ("--target", "kind"), "line 152, column 'height': 'a' is no number"),
        (",1,0.5,0.5,0.5", ("--target", "kind"), "column 'kind' has no value in 1 of 151 rows, the first is row 150."),
        ("1,2,3", ("--target", "kind"), "line 152: 3 values; the first line has 5"),
        ("", ("--target", "kind", "--test", "t.txt"), "take tables, .csv and .parquet, and .npz files; got t.txt."),
        ("", ("--target", "kind", "--target", "age"), "needs float32[batch, 4], so 4 columns; got 3"),
    ],
)
def test_tables_that_make_no_sense_are_refused(
    folder: Path, change: str, arguments: tuple[str, ...], message: str
) -> None:
    path = table(folder / "t.csv")
    path.write_text(path.read_text() + change)
    file = write(folder, CLASSIFIER.partition("def data")[0])
    assert message in seqc("train", file, "--data", "t.csv", *arguments, code=2).stderr


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (0, "Error: t.csv has no rows."),
        (1, "t.csv has 1 row, and every fifth row is set aside for testing: there is none."),
        (3, "t.csv has 3 rows, and every fifth row is set aside for testing: there is none. Give 5 rows or more, or"),
    ],
)
def test_of_few_rows_none_can_be_set_aside(folder: Path, count: int, message: str) -> None:
    lines = table(folder / "whole.csv").read_text().splitlines(keepends=True)
    (folder / "t.csv").write_text("".join(lines[: count + 1]))
    file = write(folder, CLASSIFIER.partition("def data")[0])
    how = ("train", file, "--target", "kind", "--data")
    shown = " ".join(seqc(*how, "t.csv", code=2).stderr.split())
    assert message in shown
    assert "data()" not in shown
    if not count:
        assert message in seqc(*how, "whole.csv", "--test", "t.csv", code=2).stderr


def test_options_for_tables_are_for_tables(folder: Path) -> None:
    file = write(folder)
    assert "--test, --target and --missing are for --data" in seqc("train", file, "--target", "a", code=2).stderr
    np.save("x.npy", X)
    assert "--data and --test take tables" in seqc("train", file, "--data", "x.npy", code=2).stderr


@pytest.mark.slow
def test_a_missing_number_is_put_in_where_that_is_said(folder: Path) -> None:
    path = table(folder / "t.csv")
    path.write_text(path.read_text() + "1,,0.5,0.5,0.5")
    file = write(folder, CLASSIFIER.partition("def data")[0])
    seqc("train", file, "--no-plot", "--data", "t.csv", "--target", "kind", "--missing", 0)
    path.write_text("\n".join(["height,width,depth,age", "1,2,,4"]))
    wrong = seqc("predict", "out/tiny/tiny.onnx", path, "-o", "y.npy", code=2).stderr
    assert "line 2, column 'depth': the value is missing; --missing VALUE puts one there" in wrong
    seqc("predict", "out/tiny/tiny.onnx", path, "-o", "y.npy", "--missing", 3)
    filled = np.load("y.npy")
    np.save("x.npy", np.array([[1, 2, 3, 4]], "float32"))
    seqc("predict", "out/tiny/tiny.onnx", "x.npy", "-o", "y.npy")
    np.testing.assert_array_equal(filled, np.load("y.npy"))


def test_classes_are_named_where_an_output_has_as_many_scores() -> None:
    x = seqc_keras.Input((2,))
    two = seqc_keras.Model(x, [layers.Dense(1, name="yes")(x), layers.Dense(5, name="kind")(x)])
    said = {"yes": ["no", "yes"], "kind": ["a", "b", "c"], "more": ["x", "y"]}
    assert _class_names(two, said) == {"yes": ["no", "yes"]}
    one = seqc_keras.Model(x, layers.Dense(3)(x))
    assert _class_names(one, {"kind": ["a", "b", "c"]}) == {one._output_names()[0]: ["a", "b", "c"]}
    assert _class_names(one, {"kind": ["a", "b"]}) == {}


def test_labels_that_are_texts_have_the_numbers_of_the_file_quantized(folder: Path) -> None:
    from seqc.cli.quantize import _samples

    model = seqc_keras.Sequential([seqc_keras.Input((4,)), layers.Dense(3, "softmax", name="kind")])
    model.export("named.onnx", classes=["apple", "fig", "plum"], verbose=False)
    model.export("bare.onnx", verbose=False)
    table(folder / "some.csv", ["plum", "fig", "plum"], X[:3])
    table(folder / "numbers.csv", [2, 1, 2], X[:3])
    for name in ("some.csv", "numbers.csv"):
        assert _samples(Path(name), Path("named.onnx"), ["kind"], None)[1].tolist() == [2, 1, 2]
    for source in (Path("bare.onnx"), model):
        with pytest.raises(DataError, match="holds 'fig', 'plum', and nothing says which number"):
            _samples(Path("some.csv"), source, ["kind"], None)
    table(folder / "other.csv", ["plum", "pear"], X[:2])
    with pytest.raises(DataError, match="'pear', which is none of the classes 'apple', 'fig', 'plum'"):
        _samples(Path("other.csv"), Path("named.onnx"), ["kind"], None)


def test_labels_of_a_table_go_to_their_output_whatever_inputs_are_called(folder: Path) -> None:
    from seqc.cli.quantize import _samples

    inputs = [seqc_keras.Input((2,), name="x"), seqc_keras.Input((), name="y")]
    joined = layers.Concatenate()([inputs[0], layers.Reshape((1,))(inputs[1])])
    one = seqc_keras.Model(inputs, layers.Dense(3, name="o")(joined))
    one.export("one.onnx", verbose=False)
    two = seqc_keras.Model(inputs, [layers.Dense(3, name="kind")(joined), layers.Dense(1, name="size")(joined)])
    two.export("two.onnx", verbose=False)
    Path("t.csv").write_text("x_0,x_1,y,kind\n1,2,7,0\n3,4,8,1\n")
    for source in (Path("one.onnx"), one):
        x, y = _samples(Path("t.csv"), source, ["kind"], None)
        assert (x["y"].tolist(), y.tolist()) == ([7, 8], [0, 1])
    for source in (Path("two.onnx"), two):
        x, y = _samples(Path("t.csv"), source, ["kind"], None)
        assert (x["y"].tolist(), list(y), y["kind"].tolist()) == ([7, 8], ["kind"], [0, 1])
        assert _samples(Path("t.csv"), source, [], None)[1] is None


def test_labels_of_a_second_table_are_numbers_where_those_of_the_first_are(folder: Path) -> None:
    table(folder / "t.csv")
    table(folder / "u.csv", ["0", "x", "2"], X[:3])
    file = write(folder, CLASSIFIER.partition("def data")[0])
    said = seqc("train", file, "--data", "t.csv", "--test", "u.csv", "--target", "kind", code=2).stderr
    assert "column 'kind' holds 'x', and nothing says which number such a class has" in said


def test_labels_with_underscores_are_texts() -> None:
    from seqc.cli._tables import _labels

    numbers, said = _labels(np.array(["1_0", "2_0", "1_0"], object), "t.csv", None)
    assert (numbers.tolist(), said) == ([0, 1, 0], ["1_0", "2_0"])


def test_no_file_that_is_read_is_overwritten(folder: Path) -> None:
    model = seqc_keras.Sequential([seqc_keras.Input((4,), name="x"), layers.Dense(3)])
    model.export("m.onnx", verbose=False)
    np.save("x.npy", X[:5].astype(np.float32))
    before = Path("x.npy").read_bytes()
    for how in (("x.npy",), ("--input", "x=x.npy")):
        assert (
            "x.npy is read, and would be overwritten" in seqc("predict", "m.onnx", *how, "-o", "x.npy", code=2).stderr
        )
    assert "m.onnx is read" in seqc("quantize", "m.onnx", "--data", "x.npy", "--log", "m.onnx", code=2).stderr
    assert Path("x.npy").read_bytes() == before
