"""Files made to do harm: nothing in them is run, followed or believed."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from kit.effort import effort
from kit.keras_files import CONFIG, WEIGHTS, change_config, change_weights, members, write_members
from seqc import layers
from seqc.errors import SavingError
from seqc.saving import load_model, load_weights, save_model
from seqc.sequential import Sequential

# What a changed byte may bring about as well.
UNCOMPILED_OR_NOT = pytest.mark.filterwarnings(
    "ignore:.*left uncompiled:UserWarning",
    "ignore:.*starts anew:UserWarning",
    "ignore:.*not finite:UserWarning",
    "ignore:.*seqc does not have:UserWarning",
)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model = Sequential([layers.Input((4,)), layers.Dense(3, name="first"), layers.Dense(2)])
    model.compile("sgd", "mse")
    save_model(model, tmp_path / "model.keras")
    return tmp_path / "model.keras"


_watching: list[list[str]] = []


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if not _watching:
        return
    foreign = event == "import" and str(arguments[0]).split(".")[0] in ("antigravity", "their_package", "keras")
    if foreign or event in ("os.system", "os.exec", "subprocess.Popen", "pickle.find_class", "socket.connect"):
        _watching[-1].append(f"{event} {arguments[0]}")


sys.addaudithook(_watch)


@pytest.fixture(autouse=True)
def _nothing_runs() -> Iterator[None]:
    """Fails a test in which a program is started, a pickle is read or a module named by the file is imported."""
    _watching.append([])
    yield
    assert _watching.pop() == []


def first_layer(**changes: Any) -> Callable[[dict[str, Any]], None]:
    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"][1].update(changes)

    return change


# -- code ------------------------------------------------------------------------------------------------------------


def test_a_lambda_layer_is_refused_even_without_safe_mode(saved: Path) -> None:
    code = {"class_name": "__lambda__", "config": {"value": ["4wEAAAA=", None, None]}}
    change_config(
        saved, first_layer(class_name="Lambda", config={"name": "trick", "trainable": True, "function": code})
    )
    for safe_mode in (True, False):
        with pytest.raises(
            SavingError, match="holds a Lambda 'trick', which is code. seqc never runs code from a file"
        ):
            load_model(saved, safe_mode=safe_mode)


def test_a_lambda_inside_an_argument_is_refused(saved: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"][1]["config"]["activation"] = {
            "class_name": "__lambda__",
            "config": {"value": "4wEA"},
        }

    with pytest.raises(SavingError, match="holds a __lambda__, which is code"):
        load_model(change_config(saved, change))


def test_a_lambda_in_the_compile_arguments_is_refused(saved: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config["compile_config"]["loss"] = {"class_name": "__lambda__", "config": {"value": "4wEA"}}

    with pytest.raises(SavingError, match="holds a __lambda__, which is code"):
        load_model(change_config(saved, change))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("builtins", "__import__"),
        ("os", "system"),
        ("subprocess", "Popen"),
        ("antigravity", "Dense"),
        ("their_package.layers", "Thing"),
        ("keras.utils", "get_file"),
        ("keras.src.utils.python_utils", "func_load"),
        ("seqc.saving", "load_model"),
        ("numpy", "load"),
        ("", "os.system"),
    ],
)
@pytest.mark.parametrize("place", ["layer", "argument", "function", "loss"])
def test_a_class_or_function_named_by_the_file_is_not_imported(saved: Path, module: str, name: str, place: str) -> None:
    described = {
        "module": module,
        "class_name": name,
        "config": {"name": "x", "command": "id"},
        "registered_name": name,
    }
    function = {"module": module, "class_name": "function", "config": name, "registered_name": name}

    def change(config: dict[str, Any]) -> None:
        first = config["config"]["layers"][1]
        if place == "layer":
            first.update(described)
        elif place == "loss":
            config["compile_config"]["loss"] = described
        else:
            first["config"]["activation"] = described if place == "argument" else function

    change_config(saved, change)
    if place == "loss":  # a model predicts without
        with pytest.warns(UserWarning, match="cannot be restored, and the model is left uncompiled"):
            assert not load_model(saved).compiled
    else:
        with pytest.raises(SavingError):
            load_model(saved)


@pytest.mark.parametrize("name", [None, 3, ["Dense"], {"class_name": "Dense"}, "__class__", "__globals__", ""])
def test_a_class_name_that_is_no_class_is_refused(saved: Path, name: Any) -> None:
    with pytest.raises(SavingError):
        load_model(change_config(saved, first_layer(class_name=name)))


@pytest.mark.parametrize("config", [None, [], "units", {"units": "many"}, {"units": -1}, {"self": 1, "units": 2}])
def test_a_configuration_that_makes_no_layer_is_refused(saved: Path, config: Any) -> None:
    with pytest.raises(SavingError):
        load_model(change_config(saved, first_layer(config=config)))


def test_pickled_arrays_are_not_unpickled(saved: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (os.system, ("id",))

    blob = pickle.dumps(Bomb()).decode("latin1")
    value = {"class_name": "__numpy__", "config": {"value": blob, "dtype": "object"}}

    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"][1]["config"]["kernel_initializer"] = {
            "module": "keras.initializers",
            "class_name": "Constant",
            "config": {"value": value},
            "registered_name": None,
        }

    with pytest.warns(UserWarning, match="loaded without: kernel_initializer Constant of layer"):
        load_model(change_config(saved, change))


def test_a_pickle_in_place_of_the_weights_is_refused(saved: Path) -> None:
    with pytest.raises(SavingError, match="is not an HDF5 file"):
        load_model(write_members(saved, members(saved) | {WEIGHTS: pickle.dumps([np.zeros(3)])}))


# -- the archive -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../escaped", "assets/../../escaped", "/escaped", "assets\\..\\escaped", "c:/escaped"]
)
def test_a_member_that_leaves_the_archive_is_refused_and_not_written(saved: Path, name: str) -> None:
    write_members(saved, members(saved) | {name: b"x"})
    with pytest.raises(SavingError, match="holds a member whose name leaves the archive"):
        load_model(saved)
    assert not list(saved.parent.parent.rglob("escaped"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(saved: Path) -> None:
    with zipfile.ZipFile(saved, "a") as file:
        file.writestr(CONFIG, "{}")
    with pytest.raises(SavingError, match="holds 'config.json' twice"):
        load_model(saved)


@pytest.mark.slow
def test_a_member_that_unpacks_a_hundredfold_is_refused(saved: Path) -> None:
    with zipfile.ZipFile(saved, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("assets/bomb", bytes(1 << 25))
    with pytest.raises(SavingError, match="Member 'assets/bomb' .* unpacks from .* Refused as a decompression bomb"):
        load_model(saved)


def test_a_member_that_lies_about_its_size_is_refused(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    entry = content.rindex(b"PK\x01\x02", 0, content.rindex(WEIGHTS.encode()))
    struct.pack_into("<II", content, entry + 20, 0x7FFFFFF0, 0x7FFFFFF0)
    saved.write_bytes(content)
    with pytest.raises(SavingError, match="unpack to more than 16 times the size of the file, with 'model.weights.h5'"):
        load_model(saved)


def test_an_endlessly_nested_configuration_is_refused(saved: Path, tmp_path: Path) -> None:
    deep = b'{"class_name": "Sequential", "config": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(SavingError, match="damaged|nested more than"):
        load_model(write_members(tmp_path / "deep.keras", members(saved) | {CONFIG: deep}))
    deep_argument: object = {}
    for _ in range(900):
        deep_argument = {"inner": deep_argument}
    with pytest.raises(SavingError, match="nested too deep"):
        load_model(change_config(saved, first_layer(config={"name": "x", "units": deep_argument})))


# -- the weights -----------------------------------------------------------------------------------------------------


def replaced(saved: Path, make: Callable[[Any], object]) -> Path:
    """Rewrites the kernel of the first layer."""

    def change(file: Any) -> None:
        group = file["layers/dense/vars"]
        del group["0"]
        make(group)

    return change_weights(saved, change)


def test_links_are_not_followed(saved: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["kernel"] = np.zeros((4, 3), "f4")

    def external(group: Any) -> None:
        group["0"] = h5py.ExternalLink(str(secret), "/kernel")

    def soft(group: Any) -> None:
        group["0"] = h5py.SoftLink("/layers/dense_1/vars/0")

    with pytest.raises(SavingError, match="'layers/dense/vars/0' .* is a ExternalLink: it points somewhere else"):
        load_model(replaced(saved, external))
    with pytest.raises(SavingError, match="'layers/dense/vars/0' .* is a SoftLink"):
        load_model(replaced(saved, soft))


def test_a_link_in_place_of_a_group_is_not_followed(saved: Path, tmp_path: Path) -> None:
    def change(file: Any) -> None:
        del file["layers/dense"]
        file["layers/dense"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/")

    with pytest.raises(SavingError, match="'layers/dense' .* is a ExternalLink"):
        load_model(change_weights(saved, change))


def test_a_group_inside_itself_is_refused(saved: Path) -> None:
    def change(file: Any) -> None:
        file["layers/dense/again"] = file["layers"]

    with pytest.raises(SavingError, match="is a second name of another object"):
        load_model(change_weights(saved, change))


def test_data_in_another_file_are_not_read(saved: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(48))

    def external(group: Any) -> None:
        group.create_dataset("0", (4, 3), "f4", external=[(str(secret), 0, 48)])

    with pytest.raises(SavingError, match="keeps its data in another file"):
        load_model(replaced(saved, external))

    def virtual(group: Any) -> None:
        layout = h5py.VirtualLayout((4, 3), "f4")
        layout[:] = h5py.VirtualSource(str(secret), "kernel", (4, 3))
        group.create_virtual_dataset("0", layout)

    change_weights(saved, lambda file: file["layers/dense/vars"].pop("0"))
    with pytest.raises(SavingError, match="keeps its data in another file"):
        load_model(change_weights(saved, lambda file: virtual(file["layers/dense/vars"])))


def test_an_array_that_declares_more_than_it_stores_is_refused(saved: Path) -> None:
    def bomb(group: Any) -> None:
        group.create_dataset("0", (1 << 20, 1 << 16), "f4", chunks=(1024, 1024), compression="gzip", fillvalue=0)

    with pytest.raises(SavingError, match="declares 274877906944 bytes, but only 0 are stored. Refused as a bomb"):
        load_model(replaced(saved, bomb))


def test_an_array_of_objects_is_not_read(saved: Path) -> None:
    def strings(group: Any) -> None:
        group.create_dataset("0", data=np.full((4, 3), "x", object), dtype=h5py.string_dtype())

    with pytest.raises(SavingError, match="weights are floats or integers"):
        load_model(replaced(saved, strings))


def test_a_configuration_larger_than_its_weights_is_refused_before_memory_is_taken(saved: Path) -> None:
    def huge(config: dict[str, Any]) -> None:
        for entry in config["config"]["layers"][1:]:
            entry["config"]["units"] = 1 << 40

    with pytest.raises(SavingError, match=r"makes weight 'first/kernel' of shape \(4, 1099511627776\).*refused"):
        load_model(change_config(saved, huge))


def test_weights_alone_are_not_trusted_either(saved: Path, tmp_path: Path) -> None:
    model = load_model(saved)
    path = tmp_path / "trick.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers"] = h5py.ExternalLink("other.h5", "/layers")
    with pytest.raises(SavingError, match="'layers' .* is a ExternalLink"):
        load_weights(model, path)


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:.*left uncompiled:UserWarning",
    "ignore:.*starts anew:UserWarning",
    "ignore:.*not finite:UserWarning",
    "ignore:.*seqc does not have:UserWarning",
)
def test_any_single_changed_byte_gives_the_model_or_a_saving_error(saved: Path, rng: np.random.Generator) -> None:
    original = saved.read_bytes()
    config = members(saved)[CONFIG]
    for _ in range(effort(30, 60)):
        changed = bytearray(original)
        changed[rng.integers(len(changed))] ^= 1 << rng.integers(8)
        saved.write_bytes(changed)
        with contextlib.suppress(SavingError):
            load_model(saved)
    for _ in range(effort(60, 150)):
        changed = bytearray(config)
        changed[rng.integers(len(changed))] = rng.integers(32, 127)
        write_members(saved, _members_of(original, saved) | {CONFIG: bytes(changed)})
        with contextlib.suppress(SavingError):
            load_model(saved)


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:.*left uncompiled:UserWarning",
    "ignore:.*starts anew:UserWarning",
    "ignore:.*not finite:UserWarning",
    "ignore:.*seqc does not have:UserWarning",
)
def test_any_changed_byte_of_the_weights_gives_the_model_or_a_saving_error(
    saved: Path, rng: np.random.Generator
) -> None:
    content = members(saved)
    for _ in range(effort(80, 200)):
        changed = bytearray(content[WEIGHTS])
        changed[rng.integers(len(changed))] ^= 1 << rng.integers(8)
        write_members(saved, content | {WEIGHTS: bytes(changed)})
        with contextlib.suppress(SavingError):
            load_model(saved)


@UNCOMPILED_OR_NOT
@pytest.mark.parametrize("steps", [30, pytest.param(effort(300, 1500), marks=pytest.mark.slow)])
def test_a_file_cut_off_anywhere_gives_the_model_or_a_saving_error(saved: Path, steps: int) -> None:
    content = saved.read_bytes()
    model = load_model(saved)
    for length in range(0, len(content), max(1, len(content) // steps)):
        saved.write_bytes(content[:length])
        with contextlib.suppress(SavingError):
            load_model(saved)
        with contextlib.suppress(SavingError):
            load_weights(model, saved)


@pytest.mark.slow
@UNCOMPILED_OR_NOT
def test_any_changed_byte_of_a_recurrent_model_gives_the_model_or_a_saving_error(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    path = tmp_path / "model.keras"
    model = Sequential([layers.Input((3, 2)), layers.Bidirectional(layers.LSTM(2)), layers.BatchNormalization()])
    model.compile("adam", "mse", metrics=["accuracy"])
    save_model(model, path)
    content = members(path)
    for i in range(effort(400, 1500)):
        name = (WEIGHTS, CONFIG)[i % 2]
        changed = bytearray(content[name])
        for _ in range(rng.integers(1, 4)):
            changed[rng.integers(len(changed))] = rng.choice([0, 1, 0x22, 0x30, 0x39, 0x5B, 0x7F, 0x80, 0xFF])
        write_members(path, content | {name: bytes(changed)})
        with contextlib.suppress(SavingError):
            load_model(path)


def _members_of(original: bytes, path: Path) -> dict[str, bytes]:
    path.write_bytes(original)
    return members(path)


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:.*left uncompiled:UserWarning",
    "ignore:.*starts anew:UserWarning",
    "ignore:.*not finite:UserWarning",
    "ignore:.*seqc does not have:UserWarning",
)
def test_json_values_of_every_kind_in_every_place_give_the_model_or_a_saving_error(saved: Path) -> None:
    original = saved.read_bytes()
    text = json.loads(members(saved)[CONFIG])

    def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        yield path
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, inner in items:
            yield from places(inner, (*path, key))

    odds: list[Any] = [None, True, -1, 0.5, "odd", [], {}, [None]]
    for path in list(places(text))[1::7]:
        for odd in odds:
            config = json.loads(json.dumps(text))
            target = config
            for key in path[:-1]:
                target = target[key]
            target[path[-1]] = odd
            write_members(saved, _members_of(original, saved) | {CONFIG: json.dumps(config).encode()})
            with contextlib.suppress(SavingError):
                load_model(saved)
