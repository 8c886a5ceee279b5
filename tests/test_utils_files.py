"""Downloads that are kept and checked, bars, and data in two parts, under the names of `keras.utils`."""

from __future__ import annotations

import hashlib
import io
import logging
import re
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc
from seqc import layers, utils
from seqc.errors import ArgumentTypeError, ConfigError, DataError

CONTENT = b"some data\n" * 300


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "data.txt").write_bytes(CONTENT)
    return tmp_path / "from"


def get(origin: Path, name: str = "data.txt", **more: Any) -> Path:
    return Path(utils.get_file(origin=(origin / name).as_uri(), cache_dir=origin.parent / "cache", **more))


def test_a_file_is_downloaded_once_and_again_where_it_changed(origin: Path) -> None:
    path = get(origin)
    assert path == origin.parent / "cache" / "datasets" / "data.txt"
    assert path.read_bytes() == CONTENT
    (origin / "data.txt").unlink()
    assert get(origin) == path
    path.write_bytes(b"half")
    (origin / "data.txt").write_bytes(CONTENT)
    for hashed in (
        {"md5_hash": hashlib.md5(CONTENT).hexdigest()},
        {"file_hash": hashlib.sha256(CONTENT).hexdigest().upper()},
    ):
        path.write_bytes(b"half")
        assert get(origin, **hashed).read_bytes() == CONTENT
    path.write_bytes(b"half")
    assert get(origin).read_bytes() == b"half"
    assert get(origin, force_download=True).read_bytes() == CONTENT
    assert get(origin, fname="other", cache_subdir="deep/er").parent == origin.parent / "cache" / "deep" / "er"


def test_what_is_not_what_it_should_be_is_not_kept(origin: Path) -> None:
    with pytest.raises(DataError, match="does not match"):
        get(origin, file_hash="0" * 64)
    with pytest.raises(DataError, match=r"no\.txt.*by hand"):
        get(origin, "no.txt")
    with pytest.raises(DataError, match="by hand"):
        utils.get_file(origin="http://127.0.0.1:9/file.txt", cache_dir=origin.parent / "cache")
    assert list((origin.parent / "cache" / "datasets").iterdir()) == []
    for wrong in ({"origin": None}, {"origin": "http://x/"}, {"origin": "http://x/y", "fname": "a/b"}):
        with pytest.raises(ConfigError, match="origin|fname"):
            utils.get_file(**wrong)


def archives(folder: Path, name: str) -> None:
    """Writes a tar and a zip file with one entry of this name."""
    with tarfile.open(folder / "all.tar.gz", "w:gz") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = 3
        tar.addfile(entry, io.BytesIO(b"abc"))
    with zipfile.ZipFile(folder / "all.zip", "w") as zipped:
        zipped.writestr(name, "abc")


@pytest.mark.parametrize("name", ["all.tar.gz", "all.zip"])
def test_archives_are_unpacked_into_the_folders_of_keras(origin: Path, name: str) -> None:
    archives(origin, "in/one.txt")
    cache = origin.parent / "cache" / "datasets"
    assert get(origin, name, extract=True) == cache / name
    assert (cache / name / "in" / "one.txt").read_text() == "abc"
    assert (cache / f"{name}_archive").is_file()
    assert get(origin, name, fname="mine", extract=True, archive_format=["zip", "tar"]) == cache / "mine"
    assert get(origin, name, fname="mine.x", extract=True) == cache / "mine_extracted"
    with pytest.raises(DataError, match="no archive"):
        get(origin, name, fname="third", extract=True, archive_format="zip" if "tar" in name else "tar")


@pytest.mark.parametrize("name", ["all.tar.gz", "all.zip"])
@pytest.mark.parametrize("entry", ["../outside.txt", "in/../../outside.txt"])
def test_archives_that_would_write_elsewhere_are_refused_whole(origin: Path, name: str, entry: str) -> None:
    archives(origin, entry)
    with pytest.raises(DataError, match="outside"):
        get(origin, name, extract=True)
    assert not list(origin.parent.rglob("outside.txt"))
    assert not (origin.parent / "cache" / "datasets" / name).exists()


# What Keras 3.15.1 wrote, with the times left out and its colors.
BARS: list[tuple[dict[str, Any], str]] = [
    (
        {"target": 12, "width": 10, "stateful_metrics": ["a"]},
        " 1/12 ━━━━━━━━━━ T/step - a: 1.0000 - b: 5.0000e-04| 3/12 ━━━━━━━━━━ T/step - a: 2.0000 - b: 2.6668"
        "| 4/12 ━━━━━━━━━━ T/step - a: 5.0000 - b: 2.6668|12/12 ━━━━━━━━━━ T/step - a: 7.0000 - b: 2.6668\n",
    ),
    (
        {"target": None},
        "      1/Unknown T/step - a: 1.0000 - b: 5.0000e-04|      3/Unknown T/step - a: 1.6667 - b: 2.6668"
        "|      4/Unknown T/step - a: 2.5000 - b: 2.6668|      9/Unknown T/step - a: 7.0000 - b: 2.6668\n",
    ),
    ({"target": 5, "verbose": 2}, "5/5 - T/step - a: 7.0000 - b: 2.6668\n"),
    ({"target": 5, "verbose": 0}, ""),
]


@pytest.mark.parametrize(("arguments", "wanted"), BARS)
def test_bars_say_what_those_of_keras_say(
    arguments: dict[str, Any], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bar = utils.Progbar(interval=0, **arguments)
    bar.update(1, [("a", 1.0), ("b", 0.0005)])
    bar.update(3, [("a", 2.0), ("b", 4)])
    bar.add(1, [("a", 5.0)])
    last = arguments["target"] or 9
    bar.update(last, [("a", 7.0)], finalize=True)
    plain = re.sub(r"\x1b\[\d+m|\x08", "", capsys.readouterr().out)
    shown = "|".join(part.rstrip(" ") for part in re.split("\r|(?<!^)\n(?! *$)", plain) if part.strip())
    # A line is as long as that before, which a longer time made longer.
    assert re.sub(r"[\d:]+s (- )?\d+[mu]?s/", "T/", re.sub(r" +\n", "\n", shown)) == wanted


def test_what_is_said_goes_to_a_logger_on_demand(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    model = seqc.Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    assert utils.is_interactive_logging_enabled()
    utils.disable_interactive_logging()
    try:
        assert not seqc.config.is_interactive_logging_enabled()
        with caplog.at_level(logging.INFO, "seqc"):
            model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=2, verbose=2)
            utils.Progbar(1).update(1)
    finally:
        utils.enable_interactive_logging()
    assert capsys.readouterr().out == ""
    text = "\n".join(caplog.messages)
    assert "Epoch 2/2" in text
    assert text.count("loss:") == 2


X, Y = np.arange(20).reshape(10, 2), np.arange(10)
# Which samples Keras 3.15.1 puts left and right.
SPLITS: list[tuple[dict[str, Any], list[int], list[int]]] = [
    ({"left_size": 0.8}, [0, 1, 2, 3, 4, 5, 6, 7], [8, 9]),
    ({"left_size": 0.5, "right_size": 0.2}, [0, 1, 2, 3, 4], [8, 9]),
    ({"right_size": 0.3, "shuffle": True, "seed": 4}, [8, 2, 0, 7, 6, 9, 5], [1, 4, 3]),
]


@pytest.mark.parametrize(("arguments", "left", "right"), SPLITS)
def test_data_are_split_as_by_keras(arguments: dict[str, Any], left: list[int], right: list[int]) -> None:
    for found, wanted in zip(utils.split_dataset((X, Y), **arguments), (left, right), strict=True):
        assert [y.item() for _, y in found] == wanted
        np.testing.assert_array_equal(found.arrays[0], X[wanted])
        assert len(found) == found.cardinality() == len(wanted)
    batches = utils.split_dataset(iter(zip(X, Y, strict=True)), **arguments)[0].batch(2, drop_remainder=True)
    np.testing.assert_array_equal([y for _, y in batches], np.reshape(left[: len(left) // 2 * 2], (-1, 2)))


def test_one_part_of_the_data_trains() -> None:
    left, right = utils.split_dataset((X.astype("float32") / 20, Y.astype("float32")[:, None] / 10), right_size=0.2)
    model = seqc.Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile(seqc.optimizers.SGD(0.3), "mse")
    model.fit(left.batch(4), epochs=60, verbose=0, validation_data=right.batch(2))
    assert model.evaluate(right.batch(2), verbose=0) < 1e-2


@pytest.mark.parametrize(
    "wrong",
    [{}, {"left_size": 0}, {"left_size": 11}, {"left_size": 1.5}, {"left_size": 0.7, "right_size": 0.7},
     {"left_size": 7, "right_size": 7}, {"left_size": 0.01}, {"left_size": "a"}],
)  # fmt: skip
def test_sizes_of_parts_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises((ConfigError, ArgumentTypeError), match=r"left_size|right_size"):
        utils.split_dataset(X, **wrong)


def test_symbols_know_their_inputs_and_their_class() -> None:
    first, second = seqc.Input((3,)), seqc.Input((3,))
    y = layers.Add()([layers.Dense(3)(first), second])
    assert {id(x) for x in utils.get_source_inputs(y)} == {id(first), id(second)}
    assert utils.get_source_inputs(first) == [first]
    with pytest.raises(ArgumentTypeError, match="Input"):
        utils.get_source_inputs(X)
    assert isinstance(y, seqc.KerasTensor)
    assert not isinstance(X, seqc.KerasTensor)
    made = seqc.KerasTensor((None, 3), dtype="int32", name="ids")
    assert (made.shape, made.dtype, made.name) == ((None, 3), "int32", "ids")
    with pytest.raises(ConfigError, match="sparse"):
        seqc.KerasTensor((None, 3), sparse=True)
