"""Weights in several files: those that Keras 3 wrote, see `kit.record_sharded`; and what such a set must not do."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc
from kit.oracle import ROOT
from seqc.errors import PathError, SavingError
from seqc.models import clone_model
from seqc.saving import load_model, load_weights
from seqc.saving.h5 import pack_store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with zipfile.ZipFile(ROOT / "tests" / "cases" / "sharded.zip") as archive:
        archive.extractall(tmp_path)
    return tmp_path


def emptied(folder: Path) -> Any:
    """The recorded model, with weights and an optimizer of its own."""
    model = clone_model(load_model(folder / "model.keras", compile=False))
    model.compile("adam", "mse")
    return model


@pytest.mark.slow
def test_weights_come_out_of_all_files_and_the_optimizer_goes_on(folder: Path) -> None:
    arrays = np.load(folder / "model.npz")
    whole, model = load_model(folder / "model.keras"), emptied(folder)
    model.fit(arrays["x"], arrays["y"], verbose=0)  # the optimizer has its variables from here on
    model.load_weights(folder / "model.weights.json")
    np.testing.assert_allclose(model.predict(arrays["x"], verbose=0), arrays["y"], rtol=1e-6, atol=1e-6)
    for one in (whole, model):
        one.fit(arrays["x"], arrays["y"][::-1], batch_size=6, epochs=2, shuffle=False, verbose=0)
    np.testing.assert_array_equal(model.predict(arrays["x"], verbose=0), whole.predict(arrays["x"], verbose=0))


def lose(folder: Path, content: dict[str, Any]) -> None:
    (folder / "model_00004.weights.h5").unlink()


def cut(folder: Path, content: dict[str, Any]) -> None:
    path = folder / "model_00001.weights.h5"
    path.write_bytes(path.read_bytes()[:5000])


def twice(folder: Path, content: dict[str, Any]) -> None:
    (folder / "again.h5").write_bytes((folder / "model_00000.weights.h5").read_bytes())
    content["weight_map"]["/again"] = "again.h5"


def forget(folder: Path, content: dict[str, Any]) -> None:
    files = {"model_00000.weights.h5"}
    content["weight_map"] = {key: [f for f in names if f in files] for key, names in content["weight_map"].items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lose, r"keeps weights in 'model_00004\.weights\.h5', which is missing: put it beside the file"),
        (cut, "is not an HDF5 file: .* It may be cut off or damaged"),
        (twice, "has the path of another array. Refused"),
        (forget, r"expected 4 variables \(gamma, beta, .*\), but received 1 variables"),
        (lambda _, c: c.update(weight_map={"/vars": "../other.h5"}), r"'\.\./other\.h5', which is no file beside it"),
        (lambda _, c: c.update(weight_map={"/vars": [["a.h5"]]}), "are in what is no file"),
        (lambda _, c: c.update(weight_map={}), "says of no weights in which file they are"),
        (lambda _, c: c.update(weight_map={str(i): f"{i}.h5" for i in range(300)}), "in 300 files; at most 256"),
    ],
)
def test_what_is_missing_damaged_or_elsewhere_is_refused_and_the_model_keeps_its_weights(
    folder: Path, change: Any, message: str
) -> None:
    path = folder / "model.weights.json"
    content = json.loads(path.read_text())
    change(folder, content)
    path.write_text(json.dumps(content))
    model = emptied(folder)
    before = model.get_weights()
    with pytest.raises(SavingError, match=message):
        load_weights(model, path)
    assert all(map(np.array_equal, model.get_weights(), before))


# -- writing ---------------------------------------------------------------------------------------------------------


def trained() -> Any:
    model = seqc.Sequential([seqc.Input((4,)), seqc.layers.Dense(8), seqc.layers.Flatten(), seqc.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(np.ones((2, 4)), np.ones((2, 1)), verbose=0)
    return model


def test_weights_go_to_files_of_the_size_asked_for_and_come_back(tmp_path: Path) -> None:
    model, path = trained(), tmp_path / "s.weights.json"
    model.save_weights(path, max_shard_size=200 / 2**30)
    content = json.loads(path.read_text())
    files = [f"s_{i:05}.weights.h5" for i in range(4)]
    assert {p.name for p in tmp_path.iterdir()} == {*files, path.name}
    assert content["weight_map"] == {
        "/layers/dense/vars": files[0],
        "/layers/dense_1/vars": files[0],
        "/optimizer/vars": files[1:],
    }
    state = [*model.weights, *model.optimizer.variables]
    assert content["metadata"]["total_size"] == sum(v.numpy().nbytes for v in state)
    other = trained()
    for v in other.weights:
        v.assign(np.zeros(v.shape))
    other.load_weights(path)
    for a, b in zip(state, [*other.weights, *other.optimizer.variables], strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_name_of_one_file_becomes_that_of_the_list(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"becomes '.*s\.weights\.json'"):
        seqc.saving.save_weights(trained(), tmp_path / "s.weights.h5", max_shard_size=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.weights.json", "s_00000.weights.h5"]
    with pytest.raises(SavingError, match="File exists"):
        trained().save_weights(tmp_path / "s.weights.json", overwrite=False, max_shard_size=1)
    (tmp_path / "s.weights.json").unlink()
    with pytest.raises(SavingError, match=r"File exists: filepath=.*s_00000\.weights\.h5"):
        trained().save_weights(tmp_path / "s.weights.json", overwrite=False, max_shard_size=1)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("s.weights.json", 100 / 2**30, "has 128 bytes, more than `max_shard_size`"),
        ("s.weights.json", 0, "number of gigabytes above 0"),
        ("s.weights.json", "5GB", "number of gigabytes above 0"),
        ("s.npz", 1, r"must end in `\.weights\.json`"),
    ],
)
def test_what_cannot_be_sharded_is_refused(tmp_path: Path, name: str, size: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trained().save_weights(tmp_path / name, max_shard_size=size)
    assert not list(tmp_path.iterdir())


def test_old_files_stay_where_one_of_the_new_ones_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, path = trained(), tmp_path / "s.weights.json"
    model.save_weights(path, max_shard_size=200 / 2**30)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    calls = iter([pack_store] * 2)

    def full(shard: Any) -> bytes:
        write = next(calls, None)
        if write is None:
            raise OSError(28, "No space left on device")
        return write(shard)

    monkeypatch.setattr("seqc.saving.sharded_writer.pack_store", full)
    model.layers[0].kernel.assign(np.zeros((4, 8)))
    with pytest.raises(PathError, match="No space left"):
        model.save_weights(path, max_shard_size=200 / 2**30)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
