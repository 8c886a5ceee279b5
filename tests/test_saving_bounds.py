"""What reading a file may cost: time linear in its size, memory a multiple of it, whatever the file says."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.effort import effort, turn
from kit.keras_files import CONFIG, change_config, change_weights, members, write_members
from seqc import layers, serialization
from seqc.errors import SavingError, SeqcError
from seqc.known_classes import classes
from seqc.saving import load_model, save_model
from seqc.saving.limits import MOST_LAYERS, MOST_MEMBERS


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="first"), layers.Dense(2)])
    model.compile("sgd", "mse")
    save_model(model, tmp_path / "model.keras")
    return tmp_path / "model.keras"


def described(kind: str, class_name: str, /, **config: Any) -> dict[str, Any]:
    return {"module": f"keras.{kind}", "class_name": class_name, "config": config, "registered_name": None}


def layer(class_name: str, /, **config: Any) -> dict[str, Any]:
    return described("layers", class_name, **config)


def with_layers(saved: Path, *entries: dict[str, Any]) -> Path:
    """Puts layers between the input and the first layer."""

    def change(config: Any) -> None:
        config["config"]["layers"][1:1] = entries

    return change_config(saved, change)


def with_metrics(saved: Path, *entries: dict[str, Any]) -> Path:
    return change_config(saved, lambda config: config["compile_config"].update(metrics=list(entries)))


# -- time --------------------------------------------------------------------------------------------------------------


def doubling(depth: int) -> dict[str, Any]:
    """Describes a model that holds a smaller one of its kind twice, and so on: 2 ** depth calls in few bytes."""
    made = layer("Sequential", name="m0", layers=[layer("ReLU", name="r")]) | {"shared_object_id": 0}
    for level in range(1, depth + 1):
        again = layer("Sequential") | {"shared_object_id": level - 1}
        inner = [layer("Sequential", name=f"{side}{level}", layers=[one]) for side, one in zip("ab", (made, again))]  # noqa: B905
        made = layer("Sequential", name=f"m{level}", layers=inner) | {"shared_object_id": level}
    return made


@pytest.mark.slow
def test_models_that_double_their_calls_at_each_level_are_refused_in_time(saved: Path) -> None:
    start = time.process_time()
    with pytest.raises(SavingError, match="calls its layers too often"):
        load_model(with_layers(saved, doubling(24)))  # twice as many models inside each other
    assert time.process_time() - start < 20


@pytest.mark.slow
def test_a_layer_shared_by_many_models_is_no_such_thing(tmp_path: Path) -> None:
    shared = layers.Dense(4, name="shared")
    model = keras.Sequential([keras.Input((4,)), *(keras.Sequential([shared]) for _ in range(50))])
    save_model(model, tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert len(loaded.weights) == 2


@pytest.mark.slow
def test_more_layers_than_any_model_has_are_refused_early(saved: Path) -> None:
    many = [layer("ReLU", name=f"r{i}") for i in range(MOST_LAYERS)]
    start = time.perf_counter()
    with pytest.raises(SavingError, match=f"describes more than {MOST_LAYERS} layers"):
        load_model(with_layers(saved, *many))
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("path", [("class_name",), ("config", "layers", 1, "class_name"),
                                  ("config", "layers", 1, "config", "name"), ("config", "layers", 1, "config", "units"),
                                  ("config", "dtype"), ("compile_config", "loss"),
                                  ("compile_config", "optimizer", "class_name")])  # fmt: skip
def test_a_name_of_a_megabyte_is_told_in_part(saved: Path, path: tuple[Any, ...]) -> None:
    change_config(saved, lambda config: config.update(replaced(config, path, "X" * 1_000_000)))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        said = refusal(saved)
    assert said or told or path[-1] == "name"
    assert len(said) < 2000
    assert all(len(str(warning.message)) < 2000 for warning in told)


def refusal(path: Path) -> str:
    try:
        load_model(path)
    except SeqcError as error:
        return str(error)
    return ""


def test_a_configuration_of_hundreds_of_megabytes_is_not_parsed(saved: Path) -> None:
    content = members(saved) | {CONFIG: b"[" + b"[]," * 6_000_000 + b"[]]"}
    with pytest.raises(SavingError, match=r"'config.json' of .* has 18000004 bytes; at most 16777216 are read"):
        load_model(write_members(saved, content))


@pytest.mark.slow
def test_the_time_to_load_is_linear_in_the_number_of_layers(tmp_path: Path) -> None:
    times = []
    for count in (200, 800):
        model = keras.Sequential([keras.Input((2,)), *(layers.Dense(2) for _ in range(count))])
        save_model(model, tmp_path / "model.keras")
        runs = []
        for _ in range(2):
            start = time.process_time()
            load_model(tmp_path / "model.keras")
            runs.append(time.process_time() - start)
        times.append(min(runs))
    assert times[1] < 7 * times[0]


# -- memory ------------------------------------------------------------------------------------------------------------

HUGE = {
    "thresholds of AUC": described("metrics", "AUC", num_thresholds=10**8),
    "thresholds of Recall": described("metrics", "RecallAtPrecision", precision=0.5, num_thresholds=10**9),
    "classes": described("metrics", "MeanIoU", num_classes=30_000),
}


@pytest.mark.parametrize("metric", HUGE)
def test_a_metric_that_takes_gigabytes_is_not_made(saved: Path, metric: Any) -> None:
    start = time.perf_counter()
    with pytest.warns(UserWarning, match=r"model is left uncompiled: .*and the file holds nothing of that"):
        loaded = load_model(with_metrics(saved, HUGE[metric]))
    assert time.perf_counter() - start < 5
    assert not loaded.compiled


@pytest.mark.slow
def test_metrics_that_take_gigabytes_together_are_not_made(saved: Path) -> None:
    many = [described("metrics", "AUC", num_thresholds=100_000, name=f"auc{i}") for i in range(100)]
    with pytest.warns(UserWarning, match="and the file holds nothing of that"):
        load_model(with_metrics(saved, *many))


@pytest.mark.parametrize(
    "entry",
    [
        layer("Dense", units=10**9),
        layer("Dense", units=10**9, use_bias=False, kernel_initializer=described("initializers", "Constant", value=1)),
        layer("Dense", units=10**400),
        layer("SimpleRNN", units=10**6),
        layer("Bidirectional", layer=layer("LSTM", units=10**6)),
        layer("Embedding", input_dim=10**9, output_dim=10**6),
    ],
    ids=lambda entry: str(entry["config"])[:60],
)
def test_weights_that_the_file_does_not_hold_are_not_made(saved: Path, entry: Any) -> None:
    steps = [layer("Reshape", target_shape=[2, 2])] if entry["class_name"] in ("SimpleRNN", "Bidirectional") else []
    start = time.perf_counter()
    with pytest.raises(SavingError, match="more than all the weights in the file|cannot be made"):
        load_model(with_layers(saved, *steps, entry | {"config": entry["config"] | {"name": "huge"}}))
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    "entries",
    [
        [layer("RepeatVector", n=10**9), layer("Permute", dims=[2, 1]), layer("LayerNormalization", center=False,
                                                                            scale=False)],
        [layer("RepeatVector", n=10**9), layer("LSTM", units=1, activation="gelu", implementation=1)],
        [layer("RepeatVector", n=10**9), layer("TimeDistributed", layer=layer("Dense", units=10**8))],
        [layer("Reshape", target_shape=[2, 2, 1]), layer("UpSampling2D", size=[10**5, 10**5], interpolation="bicubic"),
         layer("Flatten"), layer("Dense", units=2)],
        [layer("Reshape", target_shape=[2, 2, 1]), layer("ZeroPadding2D", padding=10**9), layer("Flatten"),
         layer("Dense", units=1)],
    ],
    ids=["constants", "steps", "inside", "upsampling", "padding"],
)  # fmt: skip
def test_layers_that_blow_up_what_passes_do_not_take_memory_or_time(saved: Path, entries: Any) -> None:
    named = [e | {"config": e["config"] | {"name": f"l{i}"}} for i, e in enumerate(entries)]
    start = time.perf_counter()
    with pytest.raises(SavingError):
        load_model(with_layers(saved, *named))
    assert time.perf_counter() - start < 5


@pytest.mark.slow
def test_assets_that_no_layer_asks_for_are_not_read(saved: Path) -> None:
    with zipfile.ZipFile(saved, "a", zipfile.ZIP_DEFLATED) as file:
        for i in range(16):
            file.writestr(f"assets/layers/dense/{i}", bytes(1 << 23))
    assert peak_bytes(saved) < 1 << 23


def peak_bytes(path: Path) -> int:
    import tracemalloc

    tracemalloc.start()
    try:
        load_model(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_members_that_share_their_bytes_cannot_be_read_again_and_again(saved: Path) -> None:
    """Each is below the limit for one member; all together are not."""
    from seqc.saving.archive import open_archive

    with zipfile.ZipFile(saved, "a", zipfile.ZIP_DEFLATED) as appended:
        for i in range(4):
            appended.writestr(f"assets/layers/dense/{i}", bytes(1 << 23))
    size, refused = saved.stat().st_size, pytest.raises(SavingError, match="unpack to more than 16 times the size")
    with saved.open("rb") as file, open_archive(file, str(saved), size) as archive, refused:
        archive.assets("layers/dense")


@pytest.mark.slow
def test_an_archive_of_millions_of_members_is_refused_before_they_are_listed(saved: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(saved, "a") as file:
        for i in range(MOST_MEMBERS):
            file.writestr(f"assets/{i}", b"")
    with pytest.raises(SavingError, match=f"holds {MOST_MEMBERS + 3} members"):
        load_model(saved)
    with zipfile.ZipFile(tmp_path / "many.keras", "w") as file:
        for i in range(300):
            file.writestr(f"{i:0>60000}", b"")
    with pytest.raises(SavingError, match="the list of its members takes"):
        load_model(tmp_path / "many.keras")


def test_one_chunk_of_an_array_is_not_a_bomb_either(saved: Path) -> None:
    def change(file: Any) -> None:
        group = file["layers/dense/vars"]
        del group["0"]
        chunks = (1 << 14, 1 << 14)  # a gigabyte, of which twelve numbers are the array's
        group.create_dataset("0", (4, 3), "f4", maxshape=(None, None), chunks=chunks, compression="gzip")

    change_weights(saved, change)
    with pytest.raises(SavingError, match="Refused as a bomb: the arrays of a file may take 16 times its size"):
        load_model(saved)


def test_arrays_that_are_small_each_are_a_bomb_together(saved: Path) -> None:
    def change(file: Any) -> None:
        for i in range(100):
            file.create_dataset(f"layers/dense_{i + 2}/vars/0", (1 << 18,), "f4", chunks=(1 << 18,), compression="gzip")

    with pytest.raises(SavingError, match="Refused as a bomb"):
        load_model(change_weights(saved, change))


@pytest.mark.slow
def test_groups_nested_without_end_are_refused(saved: Path) -> None:
    def change(file: Any) -> None:
        group = file
        for _ in range(1_000):
            group = group.create_group("g" * 100)

    with pytest.raises(SavingError, match="nests its groups too deep|is damaged"):
        load_model(change_weights(saved, change))


SCRIPT = """
import resource, sys
from seqc.saving import load_model
load_model(sys.argv[1])
import h5py
small, path = sys.argv[1:3]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
load_model(path, compile=False)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="getrusage counts kilobytes on Linux")
def test_a_file_of_keras_takes_at_most_four_times_its_size(saved: Path, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((2000,)), *(layers.Dense(2000) for _ in range(4))])
    save_model(model, tmp_path / "large.keras")
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(saved), str(tmp_path / "large.keras")],
        capture_output=True,
        text=True,
        check=True,
    )
    size = (tmp_path / "large.keras").stat().st_size
    assert size > 60_000_000
    assert int(run.stdout) < 4 * size


# -- every number of every class ---------------------------------------------------------------------------------------

PROBE = """
import json, resource, sys, time, warnings
from pathlib import Path
from seqc.errors import SeqcError
from seqc.saving import load_model
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
warnings.simplefilter("ignore")
for path in sorted(Path(sys.argv[1]).iterdir()):
    start = time.perf_counter()
    try:
        load_model(path)
        said = "loaded"
    except SeqcError as error:
        said = "MEMORY" if "allocate" in str(error) or "MemoryError" in repr(error.__cause__) else "refused"
    except BaseException as error:
        said = f"RAISED {error!r}"
    print(path.stem, said, "SLOW" if time.perf_counter() - start > 5 else "", flush=True)
"""


def numbers_in(config: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = config.items() if isinstance(config, dict) else enumerate(config) if isinstance(config, list) else ()
    found = [path] if isinstance(config, int | float) and not isinstance(config, bool) else []
    return found + [p for key, inner in items for p in numbers_in(inner, (*path, key))]


def replaced(config: Any, path: tuple[Any, ...], value: Any) -> Any:
    made = json.loads(json.dumps(config))
    target = made
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    return made


def sample_layers() -> list[tuple[tuple[int, ...], dict[str, Any]]]:
    """Returns an input shape and a description for layers of all kinds."""
    k = layers
    flat: list[layers.Layer] = [k.Dense(2), k.RepeatVector(2), k.Reshape((2, 2)), k.Embedding(5, 2), k.Dropout(0.5)]
    flat += [k.BatchNormalization(), k.LayerNormalization()]
    steps: list[layers.Layer] = [
        k.LSTM(2),
        k.GRU(2),
        k.SimpleRNN(2),
        k.LSTM(2, activation="gelu"),
        k.Bidirectional(k.LSTM(2)),
    ]
    steps += [k.TimeDistributed(k.Dense(2)), k.Permute((2, 1)), k.Conv1D(2, 2), k.SeparableConv1D(2, 2)]
    steps += [k.DepthwiseConv1D(2), k.Conv1DTranspose(2, 2), k.MaxPooling1D(2), k.AveragePooling1D(2)]
    steps += [k.UpSampling1D(2), k.ZeroPadding1D(2), k.Cropping1D(1)]
    images: list[layers.Layer] = [
        k.Conv2D(2, 2),
        k.SeparableConv2D(2, 2),
        k.DepthwiseConv2D(2),
        k.Conv2DTranspose(2, 2),
    ]
    images += [k.MaxPooling2D(2), k.AveragePooling2D(2), k.UpSampling2D(2), k.ZeroPadding2D(2), k.Cropping2D(1)]
    images += [k.UpSampling2D(2, interpolation="bicubic")]
    rows = (((4,), flat), ((4, 2), steps), ((4, 4, 2), images))
    return [(shape, serialization.serialize_object(one)) for shape, listed in rows for one in listed]


def sample_metrics() -> list[dict[str, Any]]:
    made = []
    for _, cls in sorted(classes("metrics").items()):
        for options in ({}, {"num_classes": 2}, {"num_classes": 2, "target_class_ids": [0]}, {"precision": 0.5},
                        {"recall": 0.5}, {"specificity": 0.5}, {"sensitivity": 0.5}):  # fmt: skip
            try:
                made.append(serialization.serialize_object(cls(**options)))
            except (TypeError, SeqcError, AttributeError):
                continue
            break
    return made


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is kept on Linux")
@pytest.mark.parametrize(("at", "value"), list(enumerate((10**9, 10**7, -(10**9), 10**400, math.nan, math.inf))))
def test_no_number_in_a_file_makes_it_take_memory_or_time(tmp_path: Path, at: int, value: Any) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    count = 0

    def write(shape: tuple[int, ...], entry: dict[str, Any], of_metric: bool) -> None:
        nonlocal count
        model = keras.Sequential([keras.Input(shape), layers.Flatten(), layers.Dense(2)])
        model.compile("adam", "mse")
        path = folder / f"{count:04d}-{entry['class_name']}.keras"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            save_model(model, path)
        (with_metrics if of_metric else with_layers)(path, entry)
        count += 1

    for shape, entry in sample_layers():
        for place in turn(numbers_in(entry["config"]), at, 3):
            write(shape, entry | {"config": replaced(entry["config"], place, value)}, False)
    for entry in sample_metrics():
        for place in turn(numbers_in(entry["config"]), at, 3):
            write((4,), entry | {"config": replaced(entry["config"], place, value)}, True)
    assert count > effort(20, 60)
    run = subprocess.run([sys.executable, "-c", PROBE, str(folder)], capture_output=True, text=True, timeout=500)
    said = run.stdout.splitlines()
    assert len(said) == count, run.stderr[-2000:]
    assert not [line for line in said if "RAISED" in line or "MEMORY" in line or "SLOW" in line]


def test_a_description_alone_makes_fresh_weights_and_no_more_than_memory_holds() -> None:
    text = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)]).to_json()
    assert np.ptp(keras.models.model_from_json(text).get_weights()[0]) > 0
    with pytest.raises(SavingError, match="refused"):
        keras.models.model_from_json(text.replace('"units": 4', '"units": 1000000000'))
