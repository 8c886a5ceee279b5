"""Tensors of strings, and the layers that make numbers of them: Keras 3.15.1's numbers, in NumPy and in files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
import seqc_runtime
from seqc import layers, saving
from seqc.cli._self_check import check_alone
from seqc.errors import ConfigError, DataError, DTypeError, NoLoweringError, SavingError, SeqcError
from seqc.graph.strings import as_strings

TEXTS = [
    "", "a", "abcd", "éßü", "twelve bytes", "a text of nearly 32 letters is",
    "one with more than thirty-two and fewer than 64 of them, see", "x" * 64, "words " * 40,
]  # fmt: skip
BINS = 10**9
A, B = np.array(["A", "B", "é", ""]), np.array([101, -5, 0, 2**40])


@pytest.mark.parametrize(
    ("settings", "given", "expected"),
    [
        (
            {},
            TEXTS,
            [34397263, 809363939, 756105985, 954797118, 526892029, 318549202, 579637758, 298655160, 496459127],
        ),
        (
            {"salt": [133, 137]},
            np.array(TEXTS),
            [774450900, 121841354, 183015879, 328963601, 80212201, 288013497, 624074996, 227458993, 915260521],
        ),
        ({"salt": 7}, np.array(TEXTS[:3]).astype(object), [692642358, 70914166, 705185946]),
        ({}, np.array([[0], [-7], [2**40]]), [[252572735], [229130062], [186294378]]),
        ({"mask_value": 2.5}, np.array([2.5, 2.0, -3.9]), [0, 40079516, 96860299]),
        ({"num_bins": 9, "mask_value": 3}, np.array([3, 4, 5]), [0, 8, 4]),
        ({}, np.array([True, False]), [233537570, 653902757]),
    ],
)
def test_hashes_are_those_of_tensorflow(settings: dict[str, Any], given: Any, expected: Any) -> None:
    np.testing.assert_array_equal(layers.Hashing(**{"num_bins": BINS} | settings)(given), expected)


def test_combinations_are_hashed_as_tensorflow_does() -> None:
    crossed = layers.HashedCrossing(BINS)
    np.testing.assert_array_equal(crossed([A, B]), [188794891, 545363016, 755860389, 634883283])
    np.testing.assert_array_equal(
        crossed([x[:, None] for x in (B, A, A)]), [[241378751], [596508383], [128580403], [900592000]]
    )
    one_hot = layers.HashedCrossing(4, output_mode="one_hot")((A[:, None], B[:, None]))
    np.testing.assert_array_equal(np.asarray(one_hot).argmax(1), [3, 0, 1, 3])
    again = layers.HashedCrossing.from_config(crossed.get_config())
    np.testing.assert_array_equal(again([A, B]), crossed([A, B]))


@pytest.mark.parametrize(
    ("settings", "given", "expected"),
    [
        ({"oov_method": "farmhash"}, [100, 300, 10, -7, 20], [3, 3, 4, 2, 5]),
        ({"mask_token": 0}, [100, 303, 10, -7, 20, 0], [1, 4, 5, 2, 6, 0]),
        ({"oov_method": "farmhash", "salt": [1, 2]}, [100, 300, 10, -7, 20], [3, 0, 4, 2, 5]),
    ],
)
def test_unknown_integers_are_spread_as_keras_does(settings: dict[str, Any], given: Any, expected: Any) -> None:
    layer = layers.IntegerLookup(vocabulary=[10, 20], num_oov_indices=4, **settings)
    np.testing.assert_array_equal(layer(np.array(given)), expected)


@pytest.mark.parametrize(
    ("settings", "given", "expected"),
    [
        ({"output_mode": "one_hot"}, [["a", "b"], ["q", "a"]], [[[0, 1, 0], [0, 0, 1]], [[1, 0, 0], [0, 1, 0]]]),
        ({"output_mode": "one_hot"}, ["a", "q"], [[0, 1, 0], [1, 0, 0]]),
        ({"output_mode": "count"}, ["a", "q", "q"], [2, 1, 0]),
        ({"output_mode": "count"}, [[["a", "q"], ["q", "b"]]], [[[1, 1, 0], [1, 0, 1]]]),
        ({"mask_token": "m", "invert": True}, np.array([[0, 1, 2, 3, 9]]), [["m", "[UNK]", "a", "b", "[UNK]"]]),
        (
            {"output_mode": "tf_idf", "max_tokens": 6, "pad_to_max_tokens": True, "idf_weights": [0.5, 0.25]},
            [["a", "a", "q"], ["b", "q", "q"]],
            [[0.375, 1, 0, 0, 0, 0], [0.75, 0, 0.25, 0, 0, 0]],
        ),
    ],
)
def test_strings_are_looked_up_as_keras_does(settings: dict[str, Any], given: Any, expected: Any) -> None:
    np.testing.assert_array_equal(layers.StringLookup(vocabulary=["a", "b"], **settings)(given), expected)


SENTENCES = ["the cat; the dog", "a \t cat\nsat\xa0on", "", "The the the"]


def test_texts_become_numbers_as_keras_does() -> None:
    pairs = layers.TextVectorization(ngrams=2, output_sequence_length=6)
    pairs.adapt(SENTENCES)
    assert pairs.get_vocabulary() == [
        "", "[UNK]", "the", "the the", "cat", "the dog", "the cat", "sat\xa0on", "dog", "cat the", "cat sat\xa0on",
        "a cat", "a",
    ]  # fmt: skip
    expected = [[2, 4, 2, 8, 6, 9], [12, 4, 7, 11, 10, 0], [0] * 6, [2, 2, 2, 3, 3, 0]]
    np.testing.assert_array_equal(pairs(SENTENCES), expected)
    letters = layers.TextVectorization(
        ngrams=(2,), split="character", output_mode="count", standardize="strip_punctuation"
    )
    letters.adapt(["ab,ba", "é a"])
    assert letters.get_vocabulary() == ["[UNK]", "é  ", "b b", "b a", "a b", "  a"]
    np.testing.assert_array_equal(letters(["ab,ba", "é a"]), [[0, 0, 1, 1, 1, 0], [0, 1, 0, 0, 0, 1]])
    words = layers.TextVectorization(split=None, standardize=None, ngrams=2)
    rows = np.array([["a", "b", "c"], ["b", "", "a"]])
    words.adapt(rows)
    assert words.get_vocabulary() == ["", "[UNK]", "b", "a", "c", "b c", "b ", "a b", " a"]
    np.testing.assert_array_equal(words(rows), [[3, 2, 4, 7, 5], [2, 0, 3, 6, 8]])


def test_frequencies_of_words_are_those_of_keras() -> None:
    layer = layers.TextVectorization(output_mode="tf_idf")
    layer.adapt(SENTENCES)
    assert layer.get_vocabulary() == ["[UNK]", "the", "cat", "sat\xa0on", "dog", "a"]
    common, rare = 0.8472978472709656, 1.0986123085021973
    expected: list[list[float]] = [
        [0, 2 * common, common, 0, rare, 0], [0, 0, common, rare, 0, rare], [0] * 6, [0, 3 * common, 0, 0, 0, 0],
    ]  # fmt: skip
    np.testing.assert_allclose(layer(SENTENCES), expected, rtol=1e-6)


def test_a_function_may_standardize() -> None:
    layer = layers.TextVectorization(standardize=lambda x: np.char.replace(x, "-", " "), vocabulary=["a", "b"])
    np.testing.assert_array_equal(layer(["a-b", "b"]), [[2, 3], [3, 0]])


@pytest.mark.parametrize("data", [[["b", "a"], ["b", ""], ["[UNK]", "c"]], (x for x in (["b", "a", "b"], ["", "c"]))])
def test_adapt_leaves_special_tokens_out(data: Any) -> None:
    layer = layers.StringLookup(mask_token="", output_mode="multi_hot")
    layer.adapt(data)
    assert layer.get_vocabulary() == ["[UNK]", "b", "c", "a"]
    np.testing.assert_array_equal(layer([["b", "zz", ""], ["", "", ""]]), [[1, 1, 0, 0], [0, 0, 0, 0]])


# -- models ----------------------------------------------------------------------------------------------------------


def passengers(count: int = 60) -> tuple[dict[str, Any], Any]:
    rng = np.random.default_rng(4)
    x = {
        "sex": rng.choice(["female", "male"], count),
        "port": rng.choice(["S", "C", "Q", ""], count),
        "deck": rng.integers(1, 6, (count, 1)),
        "age": rng.normal(30, 12, (count, 1)).astype("float32"),
    }
    y = (x["sex"] == "female") * 1.0 + (x["deck"][:, 0] == 2) * 0.5
    return x, y.astype("float32")


def ship(x: dict[str, Any]) -> keras.Model:
    """A model of a passenger's features, adapted to data."""
    keras.utils.set_random_seed(1)
    inputs = {
        "sex": keras.Input((1,), dtype="string", name="sex"),
        "port": keras.Input((1,), dtype="string", name="port"),
        "deck": keras.Input((1,), dtype="int64", name="deck"),
        "age": keras.Input((1,), name="age"),
    }
    sex = layers.StringLookup(vocabulary=["female", "male"], num_oov_indices=0, output_mode="one_hot")
    port = layers.StringLookup(mask_token="", name="port_number")
    deck, age = layers.IntegerLookup(output_mode="one_hot"), layers.Normalization()
    port.adapt(x["port"])
    deck.adapt(x["deck"])
    age.adapt(x["age"])
    embedded = layers.Flatten()(layers.Embedding(5, 2)(port(inputs["port"])))
    parts = [sex(inputs["sex"]), embedded, deck(inputs["deck"]), age(inputs["age"])]
    y = layers.Dense(1)(layers.Dense(4, activation="relu")(layers.Concatenate()(parts)))
    model = keras.Model(inputs, y)
    model.compile(keras.optimizers.Adam(0.02), "mse")
    return model


@pytest.mark.slow
def test_a_model_of_strings_and_numbers_from_fit_to_file(tmp_path: Path) -> None:
    x, y = passengers()
    model = ship(x)
    losses = model.fit(x, y, epochs=12, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2
    expected = model.predict(x, verbose=0)
    as_lists = {name: array.tolist() if array.dtype.kind == "U" else array for name, array in x.items()}
    np.testing.assert_array_equal(model.predict(as_lists, verbose=0), expected)
    model.save(tmp_path / "model.keras")
    again = saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), expected)
    again.fit(x, y, epochs=1, verbose=0)
    model.export(tmp_path / "model.onnx")
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    for count in (1, 2, 60):
        given = {name: array[:count].reshape(count, 1) for name, array in x.items()}
        np.testing.assert_allclose(session.run(None, given)[0], expected[:count], rtol=1e-5, atol=1e-6)
    unknown = {name: array[:1].reshape(1, 1) for name, array in x.items()} | {"sex": np.array([["other"]])}
    with pytest.raises(Exception, match="out of data bounds"):
        session.run(None, unknown)
    with pytest.raises(DataError, match="all inputs should be in vocabulary; found \\['other'\\]"):
        model.predict(unknown, verbose=0)


@pytest.mark.parametrize("executor", ["tiled", "naive"])
def test_training_beside_strings_is_training_on_their_numbers(executor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQC_EXECUTOR", executor)
    words = np.array(["a", "b", "c", "d", "a", "c"])
    y = np.arange(6, dtype="float32")
    look = layers.StringLookup(vocabulary=["a", "b", "c"])

    def trained(*front: Any, x: Any) -> Any:
        keras.utils.set_random_seed(3)
        model = keras.Sequential([*front, layers.Embedding(4, 3), layers.Flatten(), layers.Dense(1)])
        model.compile("adam", "mse")
        model.fit(x, y, epochs=3, batch_size=4, shuffle=False, verbose=0)
        return model.get_weights()

    texts = trained(keras.Input((1,), dtype="string"), look, x=words)
    numbers = trained(keras.Input((1,), dtype="int64"), x=np.asarray(look(words)))
    for a, b in zip(texts, numbers, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("executor", ["tiled", "naive"])
def test_strings_may_come_out_and_go_in_again(executor: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEQC_EXECUTOR", executor)
    words = ["low", "middle", "high"]
    x = keras.Input((3,))
    best = keras.ops.argmax(layers.Dense(3, name="scores")(x), axis=-1)
    named = layers.StringLookup(vocabulary=words, num_oov_indices=0, invert=True, oov_token="?")(best)
    length = layers.StringLookup(vocabulary=words)(named)
    model = keras.Model(x, {"name": named, "number": length, "scores": keras.ops.cast(length, "float32") * 2.0})
    data = np.random.default_rng(0).normal(size=(9, 3)).astype("float32")
    kernel, bias = model.get_layer("scores").get_weights()
    classes = (data @ kernel + bias).argmax(-1)
    found = model.predict(data, batch_size=4, verbose=0)
    assert found["name"].tolist() == [words[i] for i in classes]
    np.testing.assert_array_equal(found["number"], classes + 1)
    np.testing.assert_array_equal(found["scores"], 2.0 * (classes + 1))
    model.export(tmp_path / "model.onnx")
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    got = session.run(None, {session.get_inputs()[0].name: data})
    assert [words[i] for i in classes] in [y.tolist() for y in got]


class OfWords(keras.Model):
    """A model of one's own that takes strings."""

    def __init__(self) -> None:
        super().__init__()
        self.look, self.embed = layers.StringLookup(vocabulary=["a", "b"]), layers.Embedding(3, 2)
        self.dense = layers.Dense(1)

    def call(self, x: Any) -> Any:
        return self.dense(keras.ops.mean(self.embed(self.look(x)), 1))


@pytest.mark.parametrize("start", ["fit", "call", "predict"])
def test_a_model_of_ones_own_takes_strings(start: str, tmp_path: Path) -> None:
    model, words = OfWords(), np.array([["a", "b"], ["c", "a"]])
    model.compile("sgd", "mse")
    if start == "fit":
        model.fit(words, np.ones(2), verbose=0)
    expected = model(words) if start == "call" else model.predict(words, verbose=0)
    model.export(tmp_path / "model.onnx")
    found = seqc_runtime.load(tmp_path / "model.onnx").predict(words)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_new_vocabulary_acts_at_once() -> None:
    layer, bins = layers.StringLookup(), layers.Discretization(num_bins=2)
    layer.adapt(["a", "a", "b"])
    model = keras.Sequential([keras.Input((1,), dtype="string"), layer])
    np.testing.assert_array_equal(model.predict(np.array(["a", "b"]), verbose=0), [[1], [2]])
    layer.adapt(["b", "b", "a"])
    np.testing.assert_array_equal(model.predict(np.array(["a", "b"]), verbose=0), [[2], [1]])
    bins.adapt(np.arange(10.0))
    model = keras.Sequential([keras.Input((1,)), bins])
    assert model.predict(np.array([8.0]), verbose=0) == 1
    bins.adapt(np.arange(100.0))
    assert model.predict(np.array([8.0]), verbose=0) == 0


@pytest.mark.parametrize(
    ("settings", "opset"),
    [
        ({}, 20),
        ({"output_sequence_length": 4}, 20),
        ({"output_mode": "multi_hot"}, 20),
        ({"output_mode": "tf_idf", "max_tokens": 20, "pad_to_max_tokens": True}, 20),
        ({"split": None}, 18),
        ({"standardize": "lower_and_strip_punctuation"}, 20),
        ({"standardize": "strip_punctuation", "split": None}, 20),
        ({"ngrams": 2}, 20),
        ({"ngrams": (3, 1), "output_sequence_length": 9}, 20),
        ({"ngrams": (2,), "output_mode": "count"}, 20),
        ({"standardize": None}, 20),
    ],
)
def test_texts_are_split_in_a_file_as_in_numpy(settings: dict[str, Any], opset: int, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    texts = [
        "the Cat sat\ton the mat",
        "a dog\n\nand a  cat ",
        "",
        "Über cat, dog!\r\nx\v\fy",
        "!?",
        "-a-_b_",
        "  ",
    ] * 2
    layer = layers.TextVectorization(**{"standardize": "lower"} | settings)
    layer.adapt(texts)
    model = keras.Sequential([keras.Input((1,), dtype="string"), layer])
    model.export(tmp_path / "model.onnx", opset=opset)
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    for given in (texts[:1], texts[2:3], texts[3:5], texts):
        x = np.array(given)[:, None]
        np.testing.assert_allclose(session.run(None, {session.get_inputs()[0].name: x})[0], layer(x), rtol=1e-6)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (lambda: layers.Hashing(5, name="h"), "Layer 'h': ONNX has no operator that hashes .* Apply the layer to the"),
        (lambda: layers.StringLookup(vocabulary=["a"], num_oov_indices=2, name="h"), "Layer 'h': .* hashes"),
        (lambda: layers.TextVectorization(vocabulary=["a"], standardize=None, split="character"), "characters"),
        (lambda: layers.TextVectorization(vocabulary=["a"], standardize=np.char.lower), "A Python function"),
        (lambda: layers.StringLookup(name="h"), "'h': .* no vocabulary yet: call adapt"),
    ],
)
def test_what_a_file_cannot_say_is_refused_by_name(layer: Any, reason: str, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((1,), dtype="string"), layer()])
    with pytest.raises(NoLoweringError, match=reason):
        model.export(tmp_path / "model.onnx")


def test_a_server_takes_texts_and_gives_them(tmp_path: Path) -> None:
    pytest.importorskip("orjson", reason="the server speaks JSON with orjson")
    from seqc_runtime.server.app import App
    from seqc_runtime.server.repository import Repository
    from seqc_runtime.server.servable import Servable
    from seqc_runtime.server.testing import TestClient

    x = keras.Input((2,), dtype="string", name="words")
    numbers = layers.StringLookup(vocabulary=["é", "b"])(x)
    named = layers.StringLookup(vocabulary=["first", "zweites"], invert=True, name="named")(numbers)
    keras.Model(x, [named, numbers]).export(tmp_path / "model.onnx")
    model = seqc_runtime.load(tmp_path / "model.onnx", device="cpu")
    expected = [["first", "[UNK]"], ["zweites", "first"]]
    texts = [["é", "no"], ["b", "é"]]
    assert [y.tolist() for y in model.predict(np.array(texts))] == [expected, [[1, 0], [2, 1]]]
    repository = Repository()
    repository.add(Servable("m", 1, model))
    tensor = {"name": "words", "shape": [2, 2], "datatype": "BYTES", "data": texts}
    answer = TestClient(App(repository)).post("/v2/models/m/infer", json={"inputs": [tensor]})
    assert answer.status == 200, answer.content
    first, second = answer.json()["outputs"]
    assert (first["datatype"], first["data"]) == ("BYTES", [*expected[0], *expected[1]])
    assert (second["datatype"], second["data"]) == ("INT64", [1, 0, 2, 1])


def test_the_command_looks_up_tokens_that_a_file_knows(tmp_path: Path) -> None:
    """What runs a model that takes nothing else has to give it some of its vocabulary."""
    model = keras.Sequential(
        [keras.Input((1,), dtype="string"), layers.StringLookup(vocabulary=["a", "b"], num_oov_indices=0)]
    )
    model.export(tmp_path / "model.onnx")
    checks = check_alone(tmp_path / "model.onnx", {})
    assert all(check.passed for check in checks), checks
    assert [check.name for check in checks][:3] == ["valid", "loads", "runs"]


# -- files and errors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "data"),
    [
        (lambda: layers.StringLookup(), ["a", "é", "two words", "line\nbreak"]),
        (lambda: layers.StringLookup(output_mode="tf_idf"), ["a", "", "a"]),
        (lambda: layers.StringLookup(output_mode="tf_idf", mask_token="m"), ["a", "b\x85c", "a", "m"]),
        (lambda: layers.IntegerLookup(output_mode="multi_hot"), [3, 3, -9]),
        (lambda: layers.TextVectorization(), ["a b", "b"]),
        (lambda: layers.TextVectorization(output_mode="tf_idf"), ["a b", "b"]),
    ],
)
def test_files_keep_what_was_adapted(make: Any, data: Any, tmp_path: Path) -> None:
    layer = make()
    layer.adapt(data)
    kind = "int64" if isinstance(data[0], int) else "string"
    model = keras.Sequential([keras.Input((1,), dtype=kind), layer])
    x = np.array([[one] for one in [*data, data[0] * 3]])
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "model.keras")
    again = saving.load_model(tmp_path / "model.keras")
    assert again.layers[0].get_vocabulary() == layer.get_vocabulary()
    np.testing.assert_array_equal(again.predict(x, verbose=0), expected)
    if layer.get_config()["vocabulary"] is None:  # for which that kind of file has no room
        with pytest.warns(UserWarning, match="as an HDF5 file"), pytest.raises(SavingError):
            model.save(tmp_path / "model.h5")


def test_a_vocabulary_comes_from_a_file_but_not_by_way_of_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("a\nb c\n")
    layer = layers.StringLookup(vocabulary=str(path))
    np.testing.assert_array_equal(layer(["b c", "a", "b"]), [2, 1, 0])
    with pytest.raises(ConfigError, match="names a vocabulary file outside of the model"):
        layers.StringLookup.from_config({"vocabulary": str(path)})
    with pytest.raises(ConfigError, match="must hold an integer a line"):
        layers.IntegerLookup(vocabulary=str(path))
    with pytest.raises(ConfigError, match="does not exist"):
        layers.StringLookup(vocabulary=str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: layers.StringLookup(vocabulary=["a", "a"]), "at least one repeated term.*'a'"),
        (lambda: layers.StringLookup(vocabulary=["a", ""], mask_token=""), "reserved mask token '' at unexpected"),
        (lambda: layers.StringLookup(vocabulary=["a", "b"], max_tokens=2), "larger than the maximum vocab size"),
        (lambda: layers.StringLookup(vocabulary=[]), "takes strings|empty vocabulary"),
        (lambda: layers.StringLookup(vocabulary=["a"], idf_weights=[1.0]), "only be set if `output_mode`"),
        (lambda: layers.StringLookup(vocabulary=["a"], output_mode="tf_idf"), "`idf_weights` argument must also"),
        (lambda: layers.StringLookup(output_mode="one_hot")(["a"]), "you must set the vocabulary of layer"),
        (lambda: layers.StringLookup(output_mode="ints"), "Unknown arg for output_mode"),
        (lambda: layers.StringLookup(sparse=True, output_mode="count"), r"StringLookup\(sparse=True\) is not possible"),
        (lambda: layers.StringLookup(invert=True, output_mode="count"), "must be `'int'` when `invert` is true"),
        (lambda: layers.StringLookup(encoding="latin-1"), "in UTF-8 only"),
        (lambda: layers.StringLookup(vocabulary=["a"]).adapt(["a"]), "Cannot adapt layer"),
        (lambda: layers.StringLookup().adapt([1]), "takes strings"),
        (lambda: layers.IntegerLookup().adapt(["a"]), "takes integers"),
        (lambda: layers.IntegerLookup(salt=3), "`salt` can only be used when"),
        (lambda: layers.IntegerLookup(vocabulary=[1])(["a"]), "Cast takes numbers; got string"),
        (lambda: layers.StringLookup(vocabulary=["a"])(np.ones(2)), "keys of type string; got float32"),
        (lambda: layers.Hashing(0), "non-positive values"),
        (lambda: layers.Hashing(3, salt="a"), "`salt` argument for `Hashing`"),  # type: ignore[arg-type]
        (lambda: layers.Hashing(3, dtype="float32"), "should be an integer"),
        (lambda: layers.HashedCrossing(3)([A]), "at least two inputs"),
        (lambda: layers.HashedCrossing(3)([A, B[:2]]), "equal shape"),
        (lambda: layers.HashedCrossing(3)([A, B * 0.5]), "integer or string dtype"),
        (lambda: layers.TextVectorization(split="words"), "Unknown value for `split`"),
        (lambda: layers.TextVectorization(ragged=True), "ragged=True"),
        (lambda: layers.TextVectorization(output_mode="count", output_sequence_length=3), "must not be set"),
        (lambda: layers.TextVectorization(ngrams=0), "`ngrams` must be"),
        (lambda: layers.TextVectorization(vocabulary=["a"])(np.array([["a", "b"]])), "last shape dimension must be 1"),
        (lambda: layers.Dense(2)([["a"]]), "takes numbers; got string"),
        (lambda: keras.Input((1,), dtype="string") + keras.Input((1,)), "no type in common"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, reason: str) -> None:
    with pytest.raises(SeqcError, match=reason):
        make()


def test_weights_that_are_not_known_yet_are_asked_for(tmp_path: Path) -> None:
    layer = layers.StringLookup(output_mode="tf_idf", max_tokens=4, pad_to_max_tokens=True, name="words")
    model = keras.Sequential([keras.Input((2,), dtype="string"), layer])
    uses: list[Callable[[], Any]] = [
        lambda: model.predict(np.array([["a", "b"]]), verbose=0),
        lambda: layer([["a", "b"]]),
    ]
    for use in uses:
        with pytest.raises(DataError, match="In layer 'words': It has no vocabulary yet: call adapt"):
            use()
    with pytest.raises(NoLoweringError, match="no vocabulary yet|no `idf_weights` yet"):
        model.export(tmp_path / "model.onnx")
    layer.adapt([["a", "b"], ["a", "c"]])
    assert model.predict(np.array([["a", "b"]]), verbose=0).shape == (1, 4)


def test_data_of_the_wrong_kind_are_refused() -> None:
    model = keras.Sequential([keras.Input((1,), dtype="string"), layers.StringLookup(vocabulary=["a"])])
    with pytest.raises(DataError, match="needs strings; got an array of int64"):
        model.predict(np.array([1, 2]))
    with pytest.raises(DataError, match="Python objects"):
        model.predict(np.array(["a", None], object))
    with pytest.raises(DTypeError, match="takes numbers; got string"):
        keras.Sequential([keras.Input((2,), dtype="string"), layers.Dense(1)])
    np.testing.assert_array_equal(model.predict(np.array([b"a", b"b"]), verbose=0), [[1], [0]])
    np.testing.assert_array_equal(model.predict([np.str_("a"), "b"], verbose=0), [[1], [0]])


def test_arrays_of_strings_are_objects() -> None:
    """NumPy's own strings lose zeros at their end."""
    found = as_strings([b"\xc3\xa9", "a\0", np.str_("b")])
    assert found.dtype == object
    assert found.tolist() == ["é", "a\0", "b"]
    np.testing.assert_array_equal(layers.StringLookup(vocabulary=found)(found), [1, 2, 3])


def test_what_stands_for_nothing_is_of_the_kind_of_the_inputs() -> None:
    with pytest.raises(ConfigError, match="mask_token"):
        layers.StringLookup(mask_token=0)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="mask_value"):
        layers.Hashing(3, mask_value=[1])
    with pytest.raises(DTypeError, match="never among inputs of string"):
        layers.Hashing(3, mask_value=0)(np.array(["0", "1"]))
    with pytest.raises(DTypeError, match="never among inputs of int64"):
        layers.Hashing(3, mask_value="")(np.array([0, 1]))
