"""Vocabularies that are missing, come from files, or are of integers; and texts of which they are made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import seqc as keras
import seqc_runtime
from seqc import layers, saving
from seqc.errors import ConfigError, DataError, NoLoweringError, SavingError, VerificationError
from seqc.export.model import inference_graph
from seqc.export.samples import Sampler

WORDS = np.array(["the cat", "dog"], object)


# -- none yet --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "data"),
    [
        (lambda: layers.StringLookup(), WORDS),
        (lambda: layers.StringLookup(num_oov_indices=3), WORDS),
        (lambda: layers.StringLookup(mask_token=""), WORDS),
        (lambda: layers.StringLookup(invert=True), np.array([1, 2])),
        (lambda: layers.IntegerLookup(), np.array([1, 2])),
        (lambda: layers.IntegerLookup(num_oov_indices=0), np.array([1, 2])),
        (lambda: layers.IntegerLookup(max_tokens=3, output_mode="count", pad_to_max_tokens=True), np.array([1, 2])),
        (lambda: layers.TextVectorization(), WORDS),
        (lambda: layers.TextVectorization(max_tokens=5, output_mode="multi_hot", pad_to_max_tokens=True), WORDS),
    ],
)
def test_nothing_is_looked_up_before_there_is_a_vocabulary(layer: Callable[[], Any], data: Any) -> None:
    with pytest.raises(DataError, match="no vocabulary yet: call adapt"):
        layer()(data)


def reloaded(model: keras.Model, path: Path) -> keras.Model:
    model.save(path)
    return saving.load_model(path)


@pytest.mark.parametrize("change", ["none", "clone", "file"])
def test_models_ask_for_a_vocabulary_and_take_it_later(change: str, tmp_path: Path) -> None:
    layer = layers.TextVectorization(output_sequence_length=3)
    inputs = keras.Input((1,), dtype="string")
    model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(layers.Embedding(9, 2)(layer(inputs)))))
    if change == "clone":  # of an adapted one, whose vocabulary is not in its configuration
        layer.adapt(WORDS)
        model = keras.models.clone_model(model)
    elif change == "file":
        model = reloaded(model, tmp_path / "m.keras")
    model.compile("sgd", "mse")
    x, y = WORDS[:, None], np.array([[1.0], [0.0]])
    uses: list[Callable[[], Any]] = [lambda: model.fit(x, y, verbose=0), lambda: model.predict(x, verbose=0)]
    for use in uses:
        with pytest.raises(DataError, match="no vocabulary yet: call adapt"):
            use()
    with pytest.raises(NoLoweringError, match="no vocabulary yet: call adapt"):
        model.export(tmp_path / "m.onnx")
    model.layers[1].adapt(WORDS)
    model.fit(x, y, verbose=0)
    assert model.predict(x, verbose=0).shape == (2, 1)


def test_a_vocabulary_of_special_tokens_is_one(tmp_path: Path) -> None:
    layer = layers.StringLookup(vocabulary=["[UNK]"])
    np.testing.assert_array_equal(layer(WORDS), [0, 0])
    model = keras.Sequential([keras.Input((1,), dtype="string"), layer])
    model.export(tmp_path / "m.onnx")
    np.testing.assert_array_equal(seqc_runtime.load(tmp_path / "m.onnx").predict(WORDS[:, None]), [[0], [0]])


def test_an_h5_file_of_keras_without_its_vocabulary_is_refused(tmp_path: Path) -> None:
    """Keras writes such a file, and has an unknown word for each when it reads it again."""
    model = keras.Sequential(
        [keras.Input((1,), dtype="string", name="x"), layers.TextVectorization(vocabulary=["a", "b"], name="words")]
    )
    with pytest.warns(UserWarning, match="as an HDF5 file"):
        model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        config = file.attrs["model_config"]
        assert config.count('"vocabulary": ["a", "b"]') == 1
        file.attrs["model_config"] = config.replace('"vocabulary": ["a", "b"]', '"vocabulary": null')
    with pytest.raises(SavingError, match=r"'words' \(TextVectorization\) .* had 4 tokens that adapt\(\) found"):
        saving.load_model(tmp_path / "m.h5")


# -- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\nb\r", ["a", "b"]),
        (b"a\rb\nc\n", ["a\rb", "c"]),
        ("a\u2028b\nc\x85\n".encode(), ["a\u2028b", "c\x85"]),
    ],
)
def test_lines_of_a_file_are_tokens_as_in_keras(content: bytes, tokens: list[str], tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(content)
    assert layers.StringLookup(vocabulary=str(path)).get_vocabulary() == ["[UNK]", *tokens]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\n\nb\n", "line 2 is empty"),
        (b"a\r\n\r\n", "line 2 is empty"),
        (b"a\nb\n\n", "line 3 is empty"),
        (b"", "line 1 is empty"),
        (b"\xff", "cannot be read"),
    ],
)
def test_a_file_holds_a_token_a_line(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        layers.StringLookup(vocabulary=str(path))


# -- integers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "uint16", "uint32", "int32", "float16"])
def test_integers_of_any_kind_are_looked_up_in_a_file(dtype: str, tmp_path: Path) -> None:
    layer = layers.IntegerLookup(vocabulary=[1, 2, 2**40, -(2**40)])
    model = keras.Sequential([keras.Input((1,), dtype=dtype), layer])
    model.export(tmp_path / "m.onnx")
    x = np.array([[0], [1], [2], [3]]).astype(dtype)
    found = seqc_runtime.load(tmp_path / "m.onnx").predict(x)
    np.testing.assert_array_equal(found, [[0], [1], [1], [1]] if dtype == "bool" else [[0], [1], [2], [0]])


def test_narrow_integers_name_strings_in_a_file(tmp_path: Path) -> None:
    layer = layers.StringLookup(vocabulary=["a", "b"], invert=True)
    model = keras.Sequential([keras.Input((1,), dtype="uint8"), layer])
    model.export(tmp_path / "m.onnx")
    found = seqc_runtime.load(tmp_path / "m.onnx").predict(np.array([[2], [255]], "uint8"))
    assert found.tolist() == [["b"], ["[UNK]"]]


def test_integers_have_an_integer_for_what_is_unknown() -> None:
    with pytest.raises(ConfigError, match="`oov_token` of IntegerLookup is an integer"):
        layers.IntegerLookup(vocabulary=[3], oov_token=None)  # type: ignore[arg-type]


# -- texts -----------------------------------------------------------------------------------------------------------

DEEP = np.array([[["hello you"], ["you"]], [["x hello hello"], [""]]])


@pytest.mark.parametrize(
    ("settings", "given", "expected"),
    [
        ({}, "hello you", [2, 3]),
        ({"output_sequence_length": 4}, "hello you", [2, 3, 0, 0]),
        ({"output_mode": "count"}, "hello you", [0, 1, 1]),
        ({"ngrams": 2}, "hello you", [2, 3, 1]),
        ({"split": "character"}, "you", [1, 1, 1]),
        ({"split": None}, "you", 3),
        ({}, DEEP, [[[2, 3, 0], [3, 0, 0]], [[1, 2, 2], [0, 0, 0]]]),
        ({"output_sequence_length": 2}, DEEP, [[[2, 3], [3, 0]], [[1, 2], [0, 0]]]),
        ({"ngrams": 2}, DEEP, [[[2, 3, 1, 0, 0], [3, 0, 0, 0, 0]], [[1, 2, 2, 1, 1], [0] * 5]]),
        (
            {"output_mode": "multi_hot"},
            DEEP,
            [[[0, 1, 1], [0, 0, 1], [0, 0, 0]], [[1, 0, 0], [0, 1, 0], [0, 1, 0]]],
        ),
        ({"split": None, "ngrams": 2}, ["hello you", "you"], [1, 3, 1]),
        ({"split": None, "ngrams": 2}, [["hello", "you"], ["you", "x"]], [[2, 3, 1], [3, 1, 1]]),
        ({"split": None, "ngrams": 2}, DEEP, [[[1], [3]], [[1], [0]]]),
    ],
)
def test_texts_have_any_axes_as_in_keras(settings: dict[str, Any], given: Any, expected: Any) -> None:
    layer = layers.TextVectorization(vocabulary=["hello", "you"], **settings)
    np.testing.assert_array_equal(layer(given), expected)


@pytest.mark.parametrize("settings", [{}, {"ngrams": 2}, {"output_sequence_length": 2}])
@pytest.mark.parametrize("x", [DEEP, DEEP[:, 0, 0]])
def test_texts_of_any_axes_are_split_in_a_file(settings: dict[str, Any], x: Any, tmp_path: Path) -> None:
    layer = layers.TextVectorization(vocabulary=["hello", "you"], **settings)
    model = keras.Sequential([keras.Input(x.shape[1:], dtype="string"), layer])
    model.export(tmp_path / "m.onnx")
    np.testing.assert_array_equal(seqc_runtime.load(tmp_path / "m.onnx").predict(x), layer(x))


@pytest.mark.parametrize("data", ["a b b", ["a b", "b"], [["a b"], ["b"]], [[["a b"], ["b"]]]])
def test_words_are_learned_from_texts_of_any_axes(data: Any) -> None:
    adapted, updated = layers.TextVectorization(), layers.TextVectorization()
    adapted.adapt(data)
    updated.update_state(data)
    updated.finalize_state()
    assert adapted.get_vocabulary() == updated.get_vocabulary() == ["", "[UNK]", "b", "a"]


def test_lists_are_crossed_as_in_keras() -> None:
    crossed = layers.HashedCrossing(11)
    cases: list[tuple[Any, Any]] = [
        ((["a", "b"], ["c", "d"]), [9, 8]),
        ([["a", "b"], np.array(["c", "d"])], [9, 8]),
        ((["a", "b"], np.array([1, 2])), [0, 6]),
        (([1, 2], [3, 4]), [1, 0]),
        (("a", "b"), 7),
    ]
    for given, expected in cases:
        np.testing.assert_array_equal(crossed(given), expected)


def test_no_file_holds_crossings(tmp_path: Path) -> None:
    inputs = [keras.Input((1,), dtype="int64"), keras.Input((1,), dtype="int64")]
    with pytest.raises(NoLoweringError, match="no operator that hashes combinations"):
        keras.Model(inputs, layers.HashedCrossing(5)(inputs)).export(tmp_path / "m.onnx")


def test_no_samples_of_strings_are_none() -> None:
    model = keras.Sequential([keras.Input((1,), dtype="string"), layers.StringLookup(vocabulary=["a"])])
    with pytest.raises(DataError, match="There are no samples"):
        model.predict(np.zeros((0, 1), object))


# -- texts without words ---------------------------------------------------------------------------------------------

BEHIND: dict[str, Callable[[], list[Any]]] = {
    "mean": lambda: [layers.GlobalAveragePooling1D()],
    "max": lambda: [layers.GlobalMaxPooling1D()],
    "gru": lambda: [layers.GRU(2)],
    "both ways": lambda: [layers.Bidirectional(layers.LSTM(2))],
    "convolution": lambda: [layers.Conv1D(2, 2, padding="same"), layers.GlobalMaxPooling1D()],
}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("behind", BEHIND)
def test_texts_without_words_are_the_same_in_a_file(behind: str, masked: bool, tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    words = layers.TextVectorization(vocabulary=["the", "cat"])
    embed = layers.Embedding(5, 3, mask_zero=masked and behind not in ("max", "convolution"))
    model = keras.Sequential([keras.Input((1,), dtype="string"), words, embed, *BEHIND[behind]()])
    model.export(tmp_path / "m.onnx")
    loaded = seqc_runtime.load(tmp_path / "m.onnx", warm_up=True)
    beside = model.predict(np.array([["cat"], [""]], object), verbose=0)[1:]
    for text in ("", " \t\n ", "!?"):
        x = np.array([[text], [""]], object)
        expected = model.predict(x, verbose=0)
        np.testing.assert_allclose(loaded.predict(x), expected, rtol=1e-5, atol=1e-6)
        # They are what they are beside others.
        np.testing.assert_allclose(expected[:1], beside, rtol=1e-5, atol=1e-6)


def test_files_are_compared_on_texts_without_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = layers.TextVectorization(vocabulary=["a"])
    behind = [layers.Embedding(3, 2), layers.GlobalAveragePooling1D()]
    model = keras.Sequential([keras.Input((1,), dtype="string"), words, *behind])
    (x,) = Sampler(inference_graph(model)).draw_wordless(lambda arrays: None, {"batch": 3}, 0) or []
    assert x.tolist() == [[""]] * 3
    other = keras.Sequential([keras.Input((1,)), layers.Dense(2)])
    assert Sampler(inference_graph(other)).draw_wordless(lambda arrays: None, {"batch": 3}, 0) is None
    # Which splits all the other samples in the same way.
    plain = lambda e, texts: e.node_many("StringSplit", texts, outputs=2)[0]  # noqa: E731
    monkeypatch.setattr("seqc.ops.strings.split_at_whitespace", plain)
    with pytest.raises(VerificationError, match="computes other numbers"):
        model.export(tmp_path / "m.onnx")
