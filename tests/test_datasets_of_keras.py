"""Keras's data sets, from files of their forms: what Keras gives for them, and files that are no such."""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.made_datasets import CALLS, RECORDED, digest, make
from seqc import datasets
from seqc.datasets import _origins, _plain
from seqc.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make(folder)
    return folder


@pytest.fixture
def local(made: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Lets files come from a folder, and returns what was asked for."""
    asked: list[dict[str, Any]] = []

    def get_file(name: str, origin: str, **options: Any) -> str:
        asked.append({"name": name, "origin": origin, **options})
        return str(made / name)

    monkeypatch.setattr(_origins, "get_file", get_file)
    return asked


@pytest.mark.parametrize(("call", "recorded"), list(zip(CALLS, RECORDED, strict=True)), ids=str)
def test_a_data_set_is_what_keras_gives(call: Any, recorded: Any, local: list[dict[str, Any]]) -> None:
    name, options = call
    assert digest(getattr(datasets, name).load_data(**options)) == recorded
    assert all(len(one["file_hash"]) in (32, 64) and one["origin"].startswith("https://") for one in local)


def test_ten_kinds_of_pictures_come_from_six_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "cifar-10-batches-py"
    inside.mkdir()
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 256, (6, 2, 3072), np.uint8)
    for i, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        (inside / name).write_bytes(pickle.dumps({b"data": whole[i], b"labels": [i, i + 1]}, protocol=3))
    monkeypatch.setattr(_origins, "get_file", lambda *_, **__: str(tmp_path))
    (x_train, y_train), (x_test, y_test) = datasets.cifar10.load_data()
    assert (x_train.shape, x_test.shape, x_train.dtype) == ((10, 32, 32, 3), (2, 32, 32, 3), np.uint8)
    np.testing.assert_array_equal(x_train[3, 4, 5], whole[1, 1].reshape(3, 32, 32)[:, 4, 5])
    assert y_train[:, 0].tolist() == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5]
    assert y_test.tolist() == [[5], [6]]


class Evil:
    def __reduce__(self) -> Any:
        return print, ("run",)


def test_nothing_of_a_pickle_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held = np.empty(2, object)
    held[:] = [Evil(), 1]
    np.savez(tmp_path / "evil.npz", x=held)
    with pytest.raises(DataError, match=r"asks for builtins\.print, which no data set needs"):
        _plain.read_npz(tmp_path / "evil.npz")
    for content in (pickle.dumps(Evil()), b"", b"\x80\x04garbage", pickle.dumps([1] * 100)[:-20]):
        with pytest.raises(DataError, match="cannot be used"):
            _plain.read_pickle(content, "file")
    (tmp_path / "no.npz").write_bytes(b"no zip")
    with pytest.raises(DataError, match="Delete it"):
        _plain.read_npz(tmp_path / "no.npz")
    assert capsys.readouterr().out == ""


def test_arguments_that_make_no_sense_are_refused_before_anything_is_fetched(
    local: list[dict[str, Any]], made: Path
) -> None:
    with pytest.raises(ConfigError, match="`label_mode` must be one of"):
        datasets.cifar100.load_data("middle")
    with pytest.raises(ConfigError, match="'small', 'large'"):
        datasets.california_housing.load_data("tiny")
    with pytest.raises(ConfigError, match="Invalid `test_split`"):
        datasets.boston_housing.load_data(test_split=1)
    assert local == []
    with pytest.raises(DataError, match="Increase maxlen"):
        datasets.imdb.load_data(maxlen=2)


def test_word_indices_and_topics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "index.json").write_text('{"the": 1, "\u00e9t\u00e9": 2}', encoding="utf-8")
    monkeypatch.setattr(_origins, "get_file", lambda *_, **__: str(tmp_path / "index.json"))
    assert datasets.imdb.get_word_index() == datasets.reuters.get_word_index() == {"the": 1, "\u00e9t\u00e9": 2}
    topics = datasets.reuters.get_label_names()
    assert (len(topics), topics[3], topics[45]) == (46, "earn", "lead")


def test_a_data_set_that_is_not_there_says_where_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(_origins, "KERAS", "https://localhost:1/")
    monkeypatch.setattr(importlib.import_module("seqc.datasets.imdb"), "KERAS", "https://localhost:1/")
    with pytest.raises(DataError, match=r"https://localhost:1/imdb\.npz"):
        datasets.imdb.load_data()
