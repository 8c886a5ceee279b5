"""Scripts that import Keras, run as they are; and the modules that only such scripts ask for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc
from seqc import backend, layers, ops, preprocessing
from seqc.errors import DTypeError, ShapeError
from seqc.preprocessing.image import smart_resize

X = np.arange(6, dtype="float32").reshape(2, 3)
SCRIPT = """
import sys

import keras
import keras.backend as K
import numpy as np
import tensorflow as tf
from keras import layers
from keras.models import Sequential
from keras.preprocessing.sequence import pad_sequences
from tensorflow import keras as other
from keras._tf_keras.keras.layers import Dense as again
from keras.api.layers import Dense as completed
from tensorflow.keras.layers import Dense
from tensorflow.python.keras.layers import Dense as inside

import neighbour
import seqc
import seqc.keras.utils
from seqc.keras.layers import LSTM

assert Dense is again is completed is inside
assert tf.__version__ == keras.__version__
assert keras is seqc is other and Dense is layers.Dense and LSTM is layers.LSTM
assert seqc.layers.__name__ == seqc.layers.__spec__.name == "seqc.layers"
assert seqc.keras.utils is seqc.utils and K is seqc.backend
assert sys.argv[1:] == ["a", "b"] and __name__ == "__main__"
assert neighbour.answer == 42
model = Sequential([keras.Input((4,)), Dense(3, activation="relu"), Dense(1)])
model.compile("adam", "mse")
x = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
before = model.evaluate(x, x[:, :1], verbose=0)
model.fit(x, x[:, :1], epochs=20, verbose=0)
assert model.evaluate(x, x[:, :1], verbose=0) < before
assert pad_sequences([[1], [2, 3]]).tolist() == [[0, 1], [2, 3]]
for ask, words in (
    (lambda: tf.lite, "TensorFlow is not installed"),
    (lambda: tf.logaddexp, "Take keras.ops.logaddexp"),
    (lambda: K.logaddexp, "Take seqc.ops.logaddexp"),
    (lambda: keras.StatelessScope, "stateless_call"),
    (lambda: __import__("keras.nothing.here"), "seqc has no 'nothing'"),
):
    try:
        ask()
    except (AttributeError, ModuleNotFoundError) as error:
        assert words in str(error), error
    else:
        raise AssertionError(words)
for home, name, words in (
    ("tensorflow", "logaddexp", "Take keras.ops.logaddexp"),
    ("tensorflow", "saved_model", "model.export for ONNX"),
    ("tensorflow", "distribute", "Leave it out"),
    ("tensorflow", "no_such_thing", "TensorFlow is not installed"),
    ("tensorflow.keras.preprocessing.text", "Tokenizer", "TextVectorization"),
    ("keras.distribution", "DataParallel", "leave it out"),
    ("keras.layers", "CuDNNLSTM", "of Keras 2"),
):
    try:
        exec(f"from {home} import {name}")
    except ImportError as error:
        assert words in str(error), error
    else:
        raise AssertionError(name)
print("ran")
"""


@pytest.mark.slow
def test_a_script_written_for_keras_runs_as_it_is(tmp_path: Path) -> None:
    try:
        import tensorflow  # noqa: F401
    except ImportError:
        pass
    else:
        pytest.skip("TensorFlow is installed, which the script then gets")
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "neighbour.py").write_text("answer = 42\n")
    command = [sys.executable, "-m", "seqc.run", str(tmp_path / "script.py"), "a", "b"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "ran\n"), done.stderr


def test_run_says_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    from seqc.run import main

    assert main([]) == 2
    assert main(["--help"]) == 0
    assert main(["nowhere.py"]) == 2
    said = capsys.readouterr()
    assert "Usage: python -m seqc.run SCRIPT.py" in said.out
    assert "there is no file nowhere.py" in said.err


@pytest.mark.slow
def test_keras_that_was_imported_before_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", type(sys)("keras"))
    code = "import sys; sys.modules['keras'] = type(sys)('keras'); import seqc.compat"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "Import seqc.compat first" in done.stderr


def test_images_are_cut_to_the_wanted_shape_as_keras_does() -> None:
    x = np.arange(2 * 5 * 8 * 3, dtype="float32").reshape(2, 5, 8, 3)
    # Recorded from Keras 3.15.
    for size, total, first in (((3, 3), 6372, 12), ((4, 2), 5736, 12), ((10, 10), 70800, 3)):
        y = smart_resize(x, size)
        assert y.shape == (2, *size, 3)
        np.testing.assert_allclose((y.sum(), y[0, 0, 0, 0]), (total, first), rtol=1e-5)
    whole = np.random.default_rng(2).integers(0, 256, (9, 5, 3)).astype("uint8")
    np.testing.assert_array_equal(
        smart_resize(whole, (4, 4)), smart_resize(whole.astype("float32"), (4, 4)), strict=True
    )
    assert smart_resize(whole, (4, 4), "nearest").dtype == "uint8"
    near = smart_resize(x[0], (3, 3), interpolation="nearest")[..., 0]
    np.testing.assert_array_equal(near, [[3, 9, 15], [51, 57, 63], [99, 105, 111]])
    with pytest.raises(ShapeError, match="incorrect rank"):
        smart_resize(x[0, 0], (3, 3))


def test_questions_about_types_have_the_answers_of_keras() -> None:
    assert [backend.is_float_dtype(t) for t in ("float16", "int8", "bool", "bfloat16")] == [True, False, False, True]
    assert [backend.is_int_dtype(t) for t in ("uint8", "int32", "bool", "float32")] == [True, True, False, False]
    assert backend.result_type("int32", "float16") == "float16"
    assert backend.result_type("bool", "int8") == "int8"
    assert backend.result_type() == "float32"
    assert [backend.get_uid("a b"), backend.get_uid("a b"), backend.get_uid("c d")] == [1, 2, 1]


def test_names_are_where_keras_has_them() -> None:
    assert seqc.preprocessing is preprocessing
    assert preprocessing.image_dataset_from_directory is seqc.utils.image_dataset_from_directory
    assert seqc.version() == seqc.__version__
    with pytest.raises(AttributeError, match="TextVectorization"):
        _ = preprocessing.text
    with pytest.raises(AttributeError, match="image_dataset_from_directory"):
        _ = preprocessing.image.ImageDataGenerator


def test_a_model_is_made_of_the_configuration_of_a_functional_one() -> None:
    x = seqc.Input((3,))
    model = seqc.Model(x, layers.Dense(2, name="out")(x), name="made")
    again = seqc.Model.from_config(model.get_config())
    assert isinstance(again, seqc.models.Functional)
    assert (again.name, again.layers[1].name, again.output_shape) == ("made", "out", (None, 2))
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))


def test_strings_are_tensors_where_a_script_makes_them_so() -> None:
    lookup = layers.StringLookup(vocabulary=["a", "b"])
    x = seqc.Input((1,), dtype="string")
    model = seqc.Model(x, lookup(x))
    given = ops.convert_to_tensor([["b"], ["c"]])
    assert (given.shape, given.dtype) == ((2, 1), "string")
    assert ops.convert_to_numpy(given).tolist() == [["b"], ["c"]]
    assert model.predict(given, verbose=0).tolist() == [[2], [0]]
    assert lookup(given).numpy().tolist() == [[2], [0]]
    with pytest.raises(DTypeError):
        ops.convert_to_tensor(["b"], dtype="float32")


@seqc.saving.register_keras_serializable(package="compat")
class Twice(layers.Layer):
    def call(self, x: Any) -> Any:
        return x * 2.0


def test_registered_layers_come_back_from_h5_files(tmp_path: Path) -> None:
    model = seqc.Sequential([seqc.Input((3,)), Twice(), layers.Dense(1)])
    with pytest.warns(UserWarning, match="as an HDF5 file"):
        model.save(tmp_path / "m.h5")
    again = seqc.models.load_model(tmp_path / "m.h5")
    assert type(again.layers[0]) is Twice
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))


class Penalized(layers.Layer):
    def call(self, x: Any) -> Any:
        self.add_loss(0.5 * ops.mean(ops.square(x)))
        return x


def test_losses_tell_what_the_last_call_on_arrays_added() -> None:
    inner = Penalized()
    outer = seqc.Sequential([seqc.Input((3,)), layers.Dense(3, kernel_initializer="ones", use_bias=False), inner])
    layer = Penalized()
    layer(np.full((1, 3), 2.0))
    assert [float(loss) for loss in layer.losses] == [2.0]
    layer(np.zeros((1, 3)))
    assert [float(loss) for loss in layer.losses] == [0.0]
    outer(np.ones((2, 3), "float32"))
    assert [float(loss) for loss in outer.losses] == [4.5]
    outer.compile("sgd", "mse")
    loss = outer.evaluate(np.ones((2, 3), "float32"), np.full((2, 3), 3.0), verbose=0)
    assert loss == 4.5  # once: what a call by hand added is not a part of it


class Twofold(seqc.Model):
    """Its step asks a layer, and not the model, for what was added to the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = seqc.Sequential([layers.Dense(1, kernel_regularizer=seqc.regularizers.L2(1.0)), Penalized()])
        self.beside = Penalized()

    def call(self, x: Any) -> Any:
        return self.inside(self.beside(x))

    def train_step(self, data: Any) -> Any:
        x, _ = data
        self(2.0 * x)  # which the next call makes forgotten, as in Keras
        self(x)
        logged = {"inside": self.inside.losses, "beside": self.beside.losses, "all": self.losses}
        once = {f"count_{name}": float(len(found)) for name, found in logged.items()}
        return once | {name: sum(found) for name, found in logged.items()}


def test_losses_of_a_layer_in_a_step_are_its_own() -> None:
    model = Twofold()
    model(np.ones((1, 2), "float32"))
    model.inside.layers[0].set_weights([np.array([[1.0], [2.0]]), np.zeros(1)])
    model.compile("sgd")
    got = model.fit(np.ones((4, 2), "float32"), np.ones(4), verbose=0).history
    # Recorded from Keras 3.15.1 on TensorFlow.
    expected = {"count_inside": 2, "count_beside": 1, "count_all": 3, "inside": 5 + 4.5, "beside": 0.5, "all": 10.0}
    assert {name: values[0] for name, values in got.items()} == pytest.approx(expected)


class Contrasts(seqc.Model):
    """Each sample of a batch is a class of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = layers.Dense(3, kernel_initializer="ones")

    def call(self, x: Any) -> Any:
        return self.seen(x)

    def train_step(self, data: Any) -> Any:
        a, b = data
        near = ops.matmul(self.seen(a), ops.transpose(self.seen(b)))
        numbers = ops.arange(ops.shape(a)[0])
        loss = seqc.losses.sparse_categorical_crossentropy(numbers, near, from_logits=True)
        return {"loss": ops.mean(loss)}


def test_a_crossentropy_may_have_as_many_classes_as_samples() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 6, 4)).astype("float32")
    model = Contrasts()
    model.compile("sgd")
    got = model.fit(a, b, batch_size=6, verbose=0).history["loss"]
    near = (a @ np.ones((4, 3))) @ (b @ np.ones((4, 3))).T
    expected = np.mean(np.log(np.exp(near).sum(1)) - np.diag(near))
    np.testing.assert_allclose(got, [expected], rtol=1e-5)
