"""Functions that move elements move strings as well: what TensorFlow's backend of Keras 3.15.1 gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers, ops
from seqc.errors import DTypeError
from seqc.utils.dataset import Dataset

WORDS = [["a", "b"], ["c", "dd"]]
KINDS = {"texts": np.array(WORDS), "objects": np.array(WORDS, object), "lists": WORDS}

# What NumPy makes of the array; a list where there are several.
MOVES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "expand_dims": (lambda x: ops.expand_dims(x, -1), lambda a: a[..., None]),
    "reshape": (lambda x: ops.reshape(x, (-1,)), lambda a: a.reshape(-1)),
    "ravel": (ops.ravel, np.ravel),
    "squeeze": (lambda x: ops.squeeze(ops.expand_dims(x, 0), 0), lambda a: a),
    "transpose": (ops.transpose, np.transpose),
    "swapaxes": (lambda x: ops.swapaxes(x, 0, 1), lambda a: a.T),
    "moveaxis": (lambda x: ops.moveaxis(x, 0, 1), lambda a: a.T),
    "concatenate": (lambda x: ops.concatenate([x, x], 1), lambda a: np.concatenate([a, a], 1)),
    "stack": (lambda x: ops.stack([x, x], 0), lambda a: np.stack([a, a])),
    "take": (lambda x: ops.take(x, [1, 0], axis=0), lambda a: a[[1, 0]]),
    "take_columns": (lambda x: ops.take(x, [1], axis=1), lambda a: a[:, [1]]),
    "repeat": (lambda x: ops.repeat(x, 2, axis=0), lambda a: np.repeat(a, 2, 0)),
    "tile": (lambda x: ops.tile(x, (1, 2)), lambda a: np.tile(a, (1, 2))),
    "flip": (lambda x: ops.flip(x, 0), lambda a: a[::-1]),
    "roll": (lambda x: ops.roll(x, 1, axis=1), lambda a: np.roll(a, 1, 1)),
    "split": (lambda x: ops.split(x, 2, axis=1), lambda a: np.split(a, 2, 1)),
    "unstack": (ops.unstack, list),
    "slice": (lambda x: ops.slice(x, (0, 1), (2, 1)), lambda a: a[:, 1:]),
    "broadcast_to": (lambda x: ops.broadcast_to(x, (3, 2, 2)), lambda a: np.broadcast_to(a, (3, 2, 2))),
    "get_item": (lambda x: ops.convert_to_tensor(x)[:, 0], lambda a: a[:, 0]),
    "copy": (ops.copy, lambda a: a),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MOVES)
def test_strings_are_moved_as_numpy_moves_them(name: str, kind: str) -> None:
    move, expected = MOVES[name]
    found, wanted = move(KINDS[kind]), expected(np.array(WORDS))
    if isinstance(wanted, list):
        assert [np.asarray(x).tolist() for x in found] == [x.tolist() for x in wanted]
    else:
        assert np.asarray(found).tolist() == wanted.tolist()


def test_shapes_of_strings_are_known() -> None:
    assert (ops.shape(WORDS), ops.size(WORDS)) == ((2, 2), 4)
    assert np.asarray(ops.expand_dims("a", -1)).tolist() == ["a"]


# No single tensor, or no batch any more.
ELSEWHERE = {"repeat", "split", "unstack", "roll", "reshape", "ravel"}


@pytest.mark.parametrize("name", [name for name in MOVES if name not in ELSEWHERE])
def test_strings_are_moved_in_a_model(name: str) -> None:
    x = keras.Input(batch_shape=(2, 2), dtype="string")
    model = keras.Model(x, layers.StringLookup(vocabulary=["a", "b", "c", "dd"])(MOVES[name][0](x)))
    numbers = np.array([[1, 2], [3, 4]])
    np.testing.assert_array_equal(model.predict(np.array(WORDS), verbose=0), MOVES[name][1](numbers))


def test_moved_strings_are_exported(tmp_path: Path) -> None:
    session = pytest.importorskip("onnxruntime")
    x = keras.Input((2,), dtype="string")
    both = ops.take(ops.concatenate([x, x[:, ::-1]], 1), [3, 0], axis=1)
    keras.Model(x, layers.StringLookup(vocabulary=["a", "b", "c", "dd"])(both)).export(tmp_path / "m.onnx")
    run = session.InferenceSession(tmp_path / "m.onnx")
    (found,) = run.run(None, {run.get_inputs()[0].name: np.array(WORDS, object)})
    assert found.tolist() == [[1, 1], [3, 3]]


@pytest.mark.parametrize("batched", [True, False])
def test_elements_of_a_dataset_get_axes(batched: bool) -> None:
    words = layers.TextVectorization(output_sequence_length=4)
    words.adapt(["a b", "b c"])
    data = Dataset.from_tensor_slices((["a b", "b c"], [0, 1]))
    data = data.batch(2) if batched else data
    found = [np.asarray(x).tolist() for x, _ in data.map(lambda x, y: (words(ops.expand_dims(x, -1)), y))]
    rows = [[4, 2, 0, 0], [2, 3, 0, 0]]  # of Keras
    assert found == ([rows] if batched else [[row] for row in rows])
    again = Dataset.from_tensor_slices(["a b", "b c"]).batch(2).map(lambda x: words(ops.reshape(x, (-1, 1))))
    assert [np.asarray(x).tolist() for x in again] == [rows]


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (lambda: ops.add("abc", 1), "must be a number or an array of numbers; got 'abc'"),
        (lambda: ops.add(ops.convert_to_tensor("abc"), 1), "Strings and numbers have no type in common"),
        (lambda: ops.concatenate([["a"], [1]]), "Strings and numbers .int32. have no type in common"),
        (lambda: ops.expand_dims(["a", ["b"]], 0), "which is no array"),
        (lambda: ops.relu(WORDS), "must be a number"),
        (lambda: ops.relu(ops.expand_dims(WORDS, 0)), "Relu takes numbers; got string"),
    ],
)
def test_what_computes_takes_no_strings(compute: Any, message: str) -> None:
    with pytest.raises(DTypeError, match=message):
        compute()
