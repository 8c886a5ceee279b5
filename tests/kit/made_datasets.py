"""Small files in the forms of Keras's data sets, and what Keras 3.15 gives for them.

Run by a Python with Keras to print `RECORDED` anew: `python tests/kit/made_datasets.py FOLDER`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np

CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("imdb", {}),
    ("imdb", {"num_words": 20, "skip_top": 5}),
    ("imdb", {"num_words": 20, "oov_char": None, "maxlen": 9, "seed": 7}),
    ("imdb", {"start_char": None, "index_from": 0}),
    ("reuters", {}),
    ("reuters", {"num_words": 15, "test_split": 0.5, "maxlen": 8}),
    ("reuters", {"start_char": None, "oov_char": None, "skip_top": 3}),
    ("boston_housing", {}),
    ("boston_housing", {"test_split": 0.3, "seed": 1}),
    ("california_housing", {"version": "small"}),
    ("california_housing", {"test_split": 0.1}),
    ("cifar100", {}),
    ("cifar100", {"label_mode": "coarse"}),
    ("fashion_mnist", {}),
)
# Shapes of x_train, y_train, x_test and y_test, and a hash of what they hold, one for each call.
RECORDED: tuple[list[Any], ...] = (
    [[[30], [30], [20], [20]], "58dd1d8cd4c62d42"],
    [[[30], [30], [20], [20]], "a921a84f3a8db8ed"],
    [[[16], [16], [12], [12]], "91326ef339405d21"],
    [[[30], [30], [20], [20]], "9ae1415ddde1e76a"],
    [[[32], [32], [8], [8]], "29c4eaf1c81ba2f8"],
    [[[11], [11], [11], [11]], "55277b6ec79c13d8"],
    [[[32], [32], [8], [8]], "4a3a1e6a71cbff60"],
    [[[40, 13], [40], [10, 13], [10]], "e247409f7c8289b6"],
    [[[35, 13], [35], [15, 13], [15]], "3f9715877f80abec"],
    [[[480, 8], [480], [120, 8], [120]], "3d17fb33f390f0c2"],
    [[[630, 8], [630], [70, 8], [70]], "a58419ea335ccde9"],
    [[[6, 32, 32, 3], [6, 1], [3, 32, 32, 3], [3, 1]], "8ccc4f97c1eb710e"],
    [[[6, 32, 32, 3], [6, 1], [3, 32, 32, 3], [3, 1]], "e06810608aef0fbf"],
    [[[5, 28, 28], [5], [4, 28, 28], [4]], "03a5187c87bd195a"],
)


def make(folder: Path) -> None:
    """Writes the files: those of texts and tables as .npz, pictures as pickles and as IDX."""
    rng = np.random.RandomState(0)

    def texts(n: int) -> np.ndarray:
        found = np.empty(n, object)
        found[:] = [rng.randint(1, 40, rng.randint(2, 12)).tolist() for _ in range(n)]
        return found

    held: dict[str, Any] = {
        "x_train": texts(30),
        "y_train": rng.randint(0, 2, 30),
        "x_test": texts(20),
        "y_test": rng.randint(0, 2, 20),
    }
    np.savez(folder / "imdb.npz", **held)
    np.savez(folder / "reuters.npz", x=texts(40), y=rng.randint(0, 46, 40))
    for name, rows, columns in (("boston_housing", 50, 13), ("california_housing", 700, 8)):
        np.savez(folder / f"{name}.npz", x=rng.normal(size=(rows, columns)), y=rng.normal(size=rows))
    inside = folder / "cifar-100-python-target" / "cifar-100-python"
    inside.mkdir(parents=True)
    for name, n in (("train", 6), ("test", 3)):
        batch = {
            b"data": rng.randint(0, 256, (n, 3072)).astype(np.uint8),
            b"fine_labels": rng.randint(0, 100, n).tolist(),
            b"coarse_labels": rng.randint(0, 20, n).tolist(),
        }
        (inside / name).write_bytes(pickle.dumps(batch, protocol=3))
    for name, n in (("train", 5), ("t10k", 4)):
        pictures = rng.randint(0, 256, (n, 28, 28)).astype(np.uint8)
        labels = rng.randint(0, 10, n).astype(np.uint8)
        head = np.array([2051, n, 28, 28], ">i4").tobytes(), np.array([2049, n], ">i4").tobytes()
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(head[0] + pictures.tobytes()))
        (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(head[1] + labels.tobytes()))


def digest(parts: Any) -> list[Any]:
    """Returns the shape of each of four arrays, and what they hold as a hash."""
    arrays = [np.asarray(a) for part in parts for a in part]
    text = json.dumps([[list(map(int, x)) for x in a] if a.dtype == object else a.tolist() for a in arrays])
    return [[list(a.shape) for a in arrays], hashlib.sha256(text.encode()).hexdigest()[:16]]


def main(folder: Path) -> None:
    import importlib

    make(folder)
    for name, options in CALLS:
        module: Any = importlib.import_module(f"keras.src.datasets.{name}")
        module.get_file = lambda fname=None, *_, **__: str(folder / str(fname))
        print(f"    {digest(module.load_data(**options))},")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
