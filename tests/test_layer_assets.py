"""Files that layers of one's own keep in a `.keras` file: `save_assets(dir_path)` and `load_assets(dir_path)`."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc.errors import SavingError
from seqc.saving import load_model

CONTENT = bytes(range(256))


class Keeps(keras.layers.Layer):
    """Keeps two files, one of them in a folder, and a layer that keeps one, too."""

    name_of_file = "deep/er/b.bin"
    found: Any = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inner = Inner()

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight((2,), initializer="ones")

    def call(self, x: Any) -> Any:
        return self.inner(x) * self.scale

    def save_assets(self, dir_path: str) -> None:
        Path(dir_path, "name.txt").write_text(self.name)
        path = Path(dir_path, self.name_of_file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENT)

    def load_assets(self, dir_path: str) -> None:
        folder = Path(dir_path)
        # Weights are there already, as in Keras.
        self.found = (folder / "name.txt").read_text(), (folder / "deep/er/b.bin").read_bytes(), self.scale.numpy()
        (folder / "left.txt").write_text("is gone afterwards")


class Inner(keras.layers.Layer):
    found: Any = None

    def call(self, x: Any) -> Any:
        return x

    def save_assets(self, dir_path: str) -> None:
        Path(dir_path, "inner.txt").write_text("inner")

    def load_assets(self, dir_path: str) -> None:
        self.found = sorted(path.name for path in Path(dir_path).iterdir())


class Whole(keras.Model):
    """A model that keeps a file itself: its folder is that of all."""

    found: Any = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.part = Inner()

    def call(self, x: Any) -> Any:
        return self.part(x)

    def save_assets(self, dir_path: str) -> None:
        Path(dir_path, "m.txt").write_text("model")

    def load_assets(self, dir_path: str) -> None:
        self.found = Path(dir_path, "m.txt").read_text()


OBJECTS: dict[str, Any] = {"Keeps": Keeps, "Inner": Inner, "Whole": Whole}


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


def saved(path: Path) -> Path:
    model = keras.Sequential([keras.Input((2,)), Keeps(name="one"), Keeps(name="two")])
    model.layers[1].scale.assign([3.0, 4.0])
    model.save(path)
    return path


def test_files_of_layers_come_back_where_keras_has_them(tmp_path: Path, folders: Path) -> None:
    path = saved(tmp_path / "m.keras")
    with zipfile.ZipFile(path) as archive:
        assert {name: archive.read(name) for name in archive.namelist() if name.startswith("assets/")} == {
            f"assets/layers/keeps{number}/{name}": content
            for number, called in (("", b"one"), ("_1", b"two"))
            for name, content in (("name.txt", called), ("deep/er/b.bin", CONTENT), ("inner/inner.txt", b"inner"))
        }
    model = load_model(path, custom_objects=OBJECTS)
    for layer, name, scale in zip(model.layers, ("one", "two"), ([1, 1], [3, 4]), strict=True):
        assert layer.found[:2] == (name, CONTENT)
        assert layer.inner.found == ["inner.txt"]
        np.testing.assert_array_equal(layer.found[2], scale)
    assert not list(folders.iterdir())


def test_a_model_keeps_files_beside_those_of_its_layers(tmp_path: Path, folders: Path) -> None:
    model = Whole()
    model(np.ones((1, 2), "float32"))
    model.save(tmp_path / "m.keras")
    other: Any = load_model(tmp_path / "m.keras", custom_objects=OBJECTS)
    assert (other.found, other.part.found) == ("model", ["inner.txt"])


def test_an_h5_file_has_no_place_for_them_as_in_keras(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="legacy"):
        saved(tmp_path / "m.h5")
    model = load_model(tmp_path / "m.h5", custom_objects=OBJECTS)
    assert model.layers[0].found is None


@pytest.mark.parametrize("name", ["a:b", "a\\b", "a\nb"])
def test_a_name_that_could_not_be_read_is_not_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Keeps, "name_of_file", name)
    with pytest.raises(SavingError, match="have no place in the name of a file"):
        saved(tmp_path / "m.keras")
    assert not (tmp_path / "m.keras").exists()


@pytest.mark.parametrize("name", ["name.txt/below", "deep", "./name.txt", "x" * 300, "a/" * 1500 + "b"])
def test_files_that_cannot_lie_in_a_folder_are_refused(name: str, tmp_path: Path, folders: Path) -> None:
    path = saved(tmp_path / "m.keras")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"assets/layers/keeps/{name}", b"more")
    with pytest.raises(SavingError, match="files of layer 'one' cannot be unpacked"):
        load_model(path, custom_objects=OBJECTS)
    assert not list(folders.iterdir())


def test_files_of_layers_that_ask_for_none_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras", "a") as archive:
        archive.writestr("assets/layers/dense/f.txt", b"more")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    load_model(tmp_path / "m.keras")


def test_a_vocabulary_is_written_to_a_folder_by_hand(tmp_path: Path) -> None:
    layer, other = keras.layers.StringLookup(), keras.layers.StringLookup()
    layer.adapt(np.array(["b", "a", "b"], object))
    layer.save_assets(str(tmp_path))
    other.load_assets(str(tmp_path))
    assert (tmp_path / "vocabulary.txt").read_text() == "[UNK]\nb\na"
    assert other.get_vocabulary() == ["[UNK]", "b", "a"]
