"""Damaged and made-up model files give the model or a SavingError, in little time, whatever is wrong with them."""

from __future__ import annotations

import contextlib
import json
import random
import time
import warnings
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from kit.effort import effort, turn
from kit.oracle import ROOT
from seqc.errors import SavingError, SeqcError
from seqc.models import model_from_json
from seqc.saving import load_model

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    0.5,
    10**9,
    "odd",
    "",
    [],
    {},
    [None],
    [["a", 0, 0]],
    {"class_name": 3, "config": 1},
)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    with zipfile.ZipFile(ROOT / "tests" / "cases" / "old_models.zip") as archive:
        archive.extractall(folder)
    return folder


def loads(path: Path) -> bool:
    """Tells whether a file loads; anything but that and an error of seqc's own is a failure."""
    start = time.perf_counter()
    try:
        load_model(path)
    except SavingError:
        return False
    finally:
        assert time.perf_counter() - start < 10
    return True


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stack.h5", "nested.h5", "recurrent.keras"])
def test_flipped_and_cut_bytes_give_the_model_or_a_saving_error(old: Path, tmp_path: Path, name: str) -> None:
    content, chance = (old / name).read_bytes(), random.Random(4)
    path = tmp_path / name
    loaded, rounds = 0, effort(50, 150)
    for round_ in range(rounds):
        changed = bytearray(content)
        if round_ % 5 == 0:
            changed = changed[: chance.randrange(len(content))]
        for _ in range(chance.choice((1, 4, 30)) if round_ % 5 else 0):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        path.write_bytes(changed)
        loaded += loads(path)
    # The archive has checksums, so that nothing of it loads.
    assert 0 < loaded < rounds if name.endswith(".h5") else loaded < rounds


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, inner in items for found in places(inner, (*path, key)))]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stack", "nested", "attention", "recurrent"])
def test_old_words_with_odd_values_in_every_place_give_a_model_or_a_saving_error(old: Path, name: str) -> None:
    text = (old / f"{name}.json").read_text()
    chance = random.Random(name)
    for path in turn(places(json.loads(text))[1:], 0, 3):
        config = json.loads(text)
        target = config
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = chance.choice(ODD)
        with contextlib.suppress(SeqcError):
            model_from_json(json.dumps(config))


def entry(chance: random.Random, depth: int) -> Any:
    """Returns a layer or model by a grammar of the words of all versions."""
    if chance.random() < 0.05:
        return chance.choice(ODD)
    name = chance.choice("abcdef")
    if depth and chance.random() < 0.3:
        kind = chance.choice(("Sequential", "Functional", "Model", "Bidirectional", "TimeDistributed", "Own"))
        layers = [entry(chance, depth - 1) for _ in range(chance.randrange(4))]
        if kind in ("Bidirectional", "TimeDistributed"):
            config: Any = {"name": name, "layer": entry(chance, depth - 1)}
        elif kind == "Sequential" and chance.random() < 0.3:
            config = layers
        else:
            config = {"name": name, "layers": layers}
            if kind != "Sequential":
                config |= {
                    end: chance.choice(([["a", 0, 0]], ["b", 1, 0], [], 3)) for end in ("input_layers", "output_layers")
                }
        made = {"class_name": kind, "config": config, "name": name}
    else:
        kinds = (
            "Dense",
            "LSTM",
            "GRU",
            "Conv1D",
            "InputLayer",
            "Merge",
            "Embedding",
            "Convolution2D",
            "CuDNNGRU",
            "Lambda",
        )
        words = (
            "units",
            "output_dim",
            "batch_input_shape",
            "nb_filter",
            "W_regularizer",
            "init",
            "dtype",
            "activation",
            "axis",
        )
        values = (3, [None, 4], [None, 4, 3.0], "relu", "hard_sigmoid", {"name": "L2", "l2": 0.1}, *ODD)
        config = {word: chance.choice(values) for word in chance.sample(words, 3)} | {"name": name}
        made = {"class_name": chance.choice(kinds), "config": config, "name": name}
    tensor = [chance.choice("abcdef"), chance.randrange(3), 0, {}]
    made["inbound_nodes"] = chance.choice(
        ([], [[tensor]], [[tensor, tensor[:3]]], [[["a", 0, 0, {"mask": ["b", 0, 0]}]]], [3])
    )
    return made


@pytest.mark.slow
def test_a_grammar_of_descriptions_gives_a_model_or_a_saving_error() -> None:
    for seed in range(effort(500, 1500)):
        chance = random.Random(seed)
        config = entry(chance, 3)
        if isinstance(config, dict):
            config["keras_version"] = chance.choice(("1.2.2", "2.0.5", "2.13.1", "3.6.0", "", "odd"))
        with contextlib.suppress(SeqcError):
            model_from_json(json.dumps(config))


# -- what HDF5 can say -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_lists_of_names_may_not_repeat_one_long_text_without_end(tmp_path: Path) -> None:
    """Texts of a length of their own may all be one; reading a list of them makes a copy of each."""
    path = tmp_path / "bomb.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array(["a" * (1 << 20)] * 300, dtype=object)
    with pytest.raises(SavingError, match="holds 300 texts, more than any model has"):
        load_model(path)


def test_names_that_are_no_names_are_refused(old: Path, tmp_path: Path) -> None:
    for value, message in ((3.0, "holds no text"), (np.array([b"a", b"a"]), "does not say which layers")):
        path = tmp_path / "m.h5"
        path.write_bytes((old / "stack.h5").read_bytes())
        with h5py.File(path, "r+") as file:
            file["model_weights"].attrs["layer_names"] = value
        with pytest.raises(SavingError, match=message):
            load_model(path)
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = "{"
    with pytest.raises(SavingError, match="Attribute 'model_config' of .* is damaged"):
        load_model(path)


def test_arrays_of_numpy_are_held_to_their_size(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", a=np.ones(3))
    with zipfile.ZipFile(tmp_path / "w.npz") as archive:
        content = archive.read("a.npy")
    for changed in (
        content.replace(b"(3,)", b"(9,)"),
        content[:-4],
        b"\x93NUMPY\x01\x00",
        content.replace(b"<f8", b"|O8"),
    ):
        with zipfile.ZipFile(tmp_path / "bad.npz", "w") as archive:
            archive.writestr("a.npy", changed)
        with pytest.raises(SavingError, match="Array 'a.npy' in .* (is damaged|holds object|It is damaged)"):
            load_model(tmp_path / "bad.npz")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
