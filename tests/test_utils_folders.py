"""Folders of texts and sounds as data, against what Keras 3.15.1 gave for them."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc
from seqc import layers, utils
from seqc.errors import ConfigError, DataError

# In which order Keras has the files a/f0 to a/f6, b/f0 to b/f6 and c/f0 to c/f6 for seed=5.
ORDER = "a2 c3 c5 c6 c4 a5 a1 b6 b5 b3 a0 b4 b0 a4 b1 b2 c2 a6 c1 c0 a3"


@pytest.fixture
def words(tmp_path: Path) -> Path:
    for name in "abc":
        (tmp_path / name).mkdir()
        for i in range(7):
            (tmp_path / name / f"f{i}.txt").write_bytes(f"{name} é{i}".encode())
    (tmp_path / "a" / "left.out").write_text("no text")
    return tmp_path


def all_of(data: Any) -> list[tuple[str, Any]]:
    batches = [data[i] for i in range(len(data))]
    return [(str(x), np.asarray(y).tolist()) for xs, ys in batches for x, y in zip(xs, ys, strict=True)]


def test_texts_are_split_and_shuffled_as_in_keras(words: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common: dict[str, Any] = {"validation_split": 0.3, "seed": 5}
    train, check = utils.text_dataset_from_directory(words, subset="both", **common)
    assert capsys.readouterr().out == (
        "Found 21 files belonging to 3 classes.\nUsing 15 files for training.\nUsing 6 files for validation.\n"
    )
    wanted = [(f"{file[0]} é{file[1]}", "abc".index(file[0])) for file in ORDER.split()]
    assert all_of(train) == wanted[:15]
    assert all_of(check) == wanted[15:]
    assert train.class_names == ["a", "b", "c"]
    assert train[0][0].dtype.kind == "U"
    assert train[0][1].dtype == "int32"
    alone = utils.text_dataset_from_directory(words, subset="validation", **common)
    assert sorted(all_of(alone)) == sorted(wanted[15:])
    train.on_epoch_end()
    check.on_epoch_end()
    assert all_of(train) != wanted[:15]
    assert sorted(all_of(train)) == sorted(wanted[:15])
    assert all_of(check) == wanted[15:]


def test_labels_of_texts_have_the_forms_of_keras(words: Path) -> None:
    common: dict[str, Any] = {"shuffle": False, "verbose": False}
    binary = utils.text_dataset_from_directory(words, label_mode="binary", class_names=["c", "a"], **common)
    assert all_of(binary)[6:8] == [("c é6", [0.0]), ("a é0", [1.0])]
    several = utils.text_dataset_from_directory(words, label_mode="categorical", batch_size=4, **common)
    assert several[1][1].tolist() == [[1, 0, 0]] * 3 + [[0, 1, 0]]
    own = utils.text_dataset_from_directory(words, list(range(21)), **common)
    assert all_of(own)[20] == ("c é6", 20)
    plain = utils.text_dataset_from_directory(words, None, batch_size=None, max_length=3, **common)
    assert [plain[0], plain[8], len(plain)] == ["a ", "b ", 21]  # the third byte is the first of two of a letter


def test_texts_of_a_folder_train(words: Path) -> None:
    data = utils.text_dataset_from_directory(words, batch_size=7, verbose=False, seed=1)
    words_layer = layers.TextVectorization(output_mode="multi_hot", vocabulary=["a", "b", "c"])
    model = seqc.Sequential([layers.Input((), dtype="string"), words_layer, layers.Dense(3, "softmax")])
    model.compile(seqc.optimizers.Adam(0.3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(data, epochs=15, verbose=0)
    assert model.evaluate(data, verbose=0)[1] == 1.0


def sound(path: Path, samples: Any, channels: int = 1, width: int = 2) -> None:
    path.parent.mkdir(exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(8000)
        file.writeframes(np.asarray(samples, f"<i{width}").tobytes())


def test_sounds_have_zeros_behind_them(tmp_path: Path) -> None:
    sound(tmp_path / "a" / "one.wav", [16384, -32768])
    sound(tmp_path / "b" / "two.wav", [32767, 0, 8192])
    common: dict[str, Any] = {"shuffle": False, "verbose": False}
    x, y = utils.audio_dataset_from_directory(tmp_path, **common)[0]
    assert (x.shape, x.dtype) == ((2, 3, 1), "float32")
    np.testing.assert_array_equal(x[..., 0], [[0.5, -1, 0], [np.float32(32767 / 32768), 0, 0.25]])
    np.testing.assert_array_equal(y, [0, 1])
    cut = utils.audio_dataset_from_directory(tmp_path, output_sequence_length=1, sampling_rate=8000, **common)
    assert cut[0][0].tolist() == [[[0.5]], [[np.float32(32767 / 32768)]]]
    with pytest.raises(DataError, match="8000 samples a second"):
        utils.audio_dataset_from_directory(tmp_path, sampling_rate=16000, **common)[0]
    sound(tmp_path / "b" / "two.wav", [1, 2], width=1)
    with pytest.raises(DataError, match="of 8 bits"):
        utils.audio_dataset_from_directory(tmp_path, **common)[0]
    sound(tmp_path / "b" / "two.wav", [1, 2], channels=2)
    with pytest.raises(DataError, match="same number of channels"):
        utils.audio_dataset_from_directory(tmp_path, **common)[0]
    (tmp_path / "b" / "two.wav").write_text("no sound")
    with pytest.raises(DataError, match="no.*WAV|WAV"):
        utils.audio_dataset_from_directory(tmp_path, **common)[0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"format": "list"}, "`format`"), ({"label_mode": "x"}, "`label_mode`"), ({"labels": "x"}, "`labels`"),
        ({"labels": None, "class_names": ["a"]}, "`class_names`"), ({"validation_split": 2}, "between"),
        ({"subset": "both"}, "inversely"), ({"validation_split": 0.5, "subset": "x"}, "`subset`"),
        ({"validation_split": 0.5, "subset": "both"}, "`seed`"), ({"label_mode": "binary"}, "exactly 2"),
    ],
)  # fmt: skip
def test_arguments_of_folders_are_checked(words: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        utils.text_dataset_from_directory(words, verbose=False, **wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"labels": [1]}, "lengths of `labels`"), ({"class_names": ["d"]}, "`class_names`"), ({"directory": "no"}, "no")],
)
def test_folders_that_do_not_fit_are_refused(words: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        utils.text_dataset_from_directory(**{"directory": words, "verbose": False, **wrong})
    with pytest.raises(DataError, match="No files"):
        utils.audio_dataset_from_directory(words, verbose=False)
    (words / "c" / "f0.txt").write_bytes(b"\xff")
    with pytest.raises(DataError, match="UTF-8"):
        utils.text_dataset_from_directory(words, verbose=False, shuffle=False)[0]


@pytest.mark.parametrize(
    ("labels", "mode", "expected"),
    [
        ([0.5, 1.7, -0.4] * 7, "int", [0.5, 1.7, -0.4]),
        (list("aba") * 7, "int", ["a", "b", "a"]),
        ([(0.0, 1.0), (0.5, 1.0), (2.0, 2.0)] * 7, "int", [[0, 1], [0.5, 1], [2, 2]]),
        ([1, 2, 1] * 7, "categorical", [[0, 1], [0, 0], [0, 1]]),
    ],
)
def test_labels_stay_as_they_are(words: Path, labels: Any, mode: str, expected: Any) -> None:
    how: dict[str, Any] = {"shuffle": False, "verbose": False, "batch_size": None}
    data = utils.text_dataset_from_directory(words, labels=labels, label_mode=mode, **how)
    found = np.array([label for _, label in data])[:3]
    expected = np.array(expected, None if isinstance(expected[0], str) else "float32")
    assert found.dtype.kind == expected.dtype.kind
    assert (found == expected).all()
    with pytest.raises(ValueError, match="whole numbers"):
        utils.text_dataset_from_directory(words, labels=[0.5] * 21, label_mode="categorical", **how)


def test_texts_keep_what_ends_them(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"ab\0")
    assert utils.text_dataset_from_directory(tmp_path, labels=None, verbose=False)[0].tolist() == ["ab\0"]
