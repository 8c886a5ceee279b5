"""Data as other libraries hold them train as the arrays in them do; and files larger than the memory there is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers

pytestmark = pytest.mark.slow

rng = np.random.default_rng(4)
N, SIZE = 40, 8
A, B = rng.normal(size=(N, 3)).astype("float32"), rng.normal(size=N).astype("float32")
WORD = np.where(rng.normal(size=N) > 0, "x", "y")
KIND = rng.integers(0, 2, N)


def flat() -> Any:
    keras.utils.set_random_seed(5)
    made = keras.Sequential([keras.Input((3,), name="a"), layers.Dense(4, "tanh"), layers.Dense(2, "softmax")])
    made.compile("sgd", "sparse_categorical_crossentropy")
    return made


def mixed() -> Any:
    keras.utils.set_random_seed(5)
    b, word = keras.Input((1,), name="b"), keras.Input((1,), name="word", dtype="string")
    looked = layers.StringLookup(vocabulary=["x", "y"], output_mode="one_hot")(word)
    made = keras.Model([b, word], layers.Dense(2, "softmax")(layers.Concatenate()([b, looked])))
    made.compile("sgd", "sparse_categorical_crossentropy")
    return made


def trained(model: Any, x: Any, y: Any = None, **how: Any) -> list[float]:
    return list(model.fit(x, y, epochs=2, verbose=0, **{"batch_size": SIZE, "shuffle": False} | how).history["loss"])


def of_pandas(data: dict[str, Any]) -> Any:
    return pytest.importorskip("pandas", reason="needs pandas").DataFrame(data)


def of_polars(data: dict[str, Any]) -> Any:
    return pytest.importorskip("polars", reason="needs polars").DataFrame(data)


def of_arrow(data: dict[str, Any]) -> Any:
    return pytest.importorskip("pyarrow", reason="needs pyarrow").table(data)


@pytest.mark.parametrize("make", [of_pandas, of_polars, of_arrow])
def test_tables(make: Callable[[dict[str, Any]], Any]) -> None:
    numbers = make({"p": A[:, 0], "q": A[:, 1], "r": A[:, 2]})
    assert trained(flat(), numbers, KIND) == trained(flat(), A, KIND)
    expected = trained(mixed(), {"b": B, "word": WORD}, KIND)
    table = make({"word": WORD, "b": B, "kind": KIND})
    assert trained(mixed(), table) == expected
    assert trained(mixed(), {"b": table["b"], "word": table["word"]}, table["kind"]) == expected
    switches = make({"p": A[:, 0], "q": A[:, 1] > 0, "r": A[:, 2]})
    whole = np.stack([A[:, 0], A[:, 1] > 0, A[:, 2]], 1)
    np.testing.assert_array_equal(flat().predict(switches, verbose=0), flat().predict(whole, verbose=0))
    looked = layers.StringLookup()
    looked.adapt(table["word"])
    assert sorted(looked.get_vocabulary()) == ["[UNK]", "x", "y"]


def test_datasets_of_hugging_face() -> None:
    datasets = pytest.importorskip("datasets", reason="needs datasets")
    rows = datasets.Dataset.from_dict({"a": A.tolist(), "kind": KIND.tolist()})
    for shuffle in (False, True):
        expected = trained(flat(), A, KIND, shuffle=shuffle)
        assert trained(flat(), rows, shuffle=shuffle) == expected
        assert trained(flat(), rows.with_format("numpy"), shuffle=shuffle) == expected
        assert trained(flat(), rows["a"], rows["kind"], shuffle=shuffle) == expected
    expected = trained(flat(), A, KIND)
    stream = rows.to_iterable_dataset()
    assert trained(flat(), stream) == expected
    assert trained(flat(), stream.with_format("numpy").batch(SIZE), batch_size=None) == expected
    words = datasets.Dataset.from_dict({"word": WORD.tolist(), "b": B.tolist(), "kind": KIND.tolist()})
    assert trained(mixed(), words) == trained(mixed(), {"b": B, "word": WORD}, KIND)
    run = flat().fit(A, KIND, validation_data=rows, verbose=0)
    assert run.history["val_loss"] == flat().fit(A, KIND, validation_data=(A, KIND), verbose=0).history["val_loss"]


def test_arrays_in_hdf5_and_zarr(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a"], file["kind"], file["b"], file["word"] = A, KIND, B, WORD.tolist()
        for shuffle in (False, True):
            assert trained(flat(), file["a"], file["kind"], shuffle=shuffle) == trained(
                flat(), A, KIND, shuffle=shuffle
            )
        expected = trained(mixed(), {"b": B, "word": WORD}, KIND)
        assert trained(mixed(), {name: file[name] for name in ("b", "word")}, file["kind"]) == expected
    zarr = pytest.importorskip("zarr", reason="needs zarr")
    array = zarr.open(str(tmp_path / "x.zarr"), mode="w", shape=A.shape, dtype="f4", chunks=(7, 3))
    array[:] = A
    for shuffle in (False, True):
        assert trained(flat(), array, KIND, shuffle=shuffle) == trained(flat(), A, KIND, shuffle=shuffle)


def test_tensors_and_datasets_of_tensorflow() -> None:
    tf = pytest.importorskip("tensorflow", reason="needs TensorFlow")
    expected = trained(flat(), A, KIND)
    rows = tf.data.Dataset.from_tensor_slices((A, KIND))
    assert trained(flat(), rows.batch(SIZE)) == expected
    assert trained(flat(), rows.batch(SIZE).repeat(), steps_per_epoch=N // SIZE) == expected
    named = tf.data.Dataset.from_tensor_slices(({"b": B, "word": WORD}, KIND))
    assert trained(mixed(), named.batch(SIZE)) == trained(mixed(), {"b": B, "word": WORD}, KIND)
    assert trained(flat(), tf.constant(A), tf.constant(KIND)) == expected
    with pytest.raises(ValueError, match="gives single samples"):
        flat().fit(rows)
    with pytest.raises(ValueError, match="is ragged"):
        flat().predict(tf.ragged.constant([[1.0], [1.0, 2.0]]))


def test_loaders_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    expected = trained(flat(), A, KIND)
    rows = torch.utils.data.TensorDataset(torch.tensor(A), torch.tensor(KIND))
    loader = torch.utils.data.DataLoader
    assert trained(flat(), loader(rows, SIZE)) == expected
    assert trained(flat(), loader(rows, SIZE, num_workers=2, persistent_workers=True)) == expected
    assert trained(flat(), torch.tensor(A), torch.tensor(KIND)) == expected
    named = [{"a": a, "kind": kind} for a, kind in zip(A, KIND, strict=True)]
    assert trained(flat(), loader(named, SIZE)) == expected
    with pytest.raises(ValueError, match="cannot be made into an array"):
        flat().predict(torch.tensor(A).bfloat16())


MEMORY = """
import resource, sys
import numpy as np
import seqc as keras
from seqc import layers

rows = 1 << 15
x = np.lib.format.open_memmap(sys.argv[1] + "/x.npy", "w+", "float64", (rows, 2048))  # 512 MiB, of holes
y = np.lib.format.open_memmap(sys.argv[1] + "/y.npy", "w+", "uint8", (rows, 128))
x[::1024] = 1
model = keras.Sequential([keras.Input((2048,)), layers.Dense(128, use_bias=False)])
model.compile("sgd", "mse")
model.fit(np.ones((256, 2048)), np.ones((256, 128)), verbose=0)
taken = int(next(line for line in open("/proc/self/status") if line.startswith("VmData")).split()[1])
resource.setrlimit(resource.RLIMIT_DATA, ((taken << 10) + (160 << 20),) * 2)  # less than a third of x
try:
    np.zeros(x.shape)[:] = 1
except MemoryError:
    print("bounded")
how = {"batch_size": 256, "verbose": 0, "steps_per_epoch": 32}
for shuffle in (False, True):
    model.fit(x, y, shuffle=shuffle, validation_split=0.1, validation_steps=4, **how)
model.evaluate(x, y, batch_size=256, steps=8, verbose=0)
model.predict(x, batch_size=256, steps=8, verbose=0)
small = keras.Sequential([keras.Input((2048,)), layers.Dense(1)])
print(small.predict(x, batch_size=1024, verbose=0).shape)
layer = layers.Normalization()
layer.adapt(x)
print(layer.mean.shape)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is one of Linux")
def test_a_file_larger_than_the_memory_there_is_trains(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY, str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split("\n")[:2] == ["bounded", "(32768, 1)"]
