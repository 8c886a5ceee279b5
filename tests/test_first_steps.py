"""What a script written for Keras, and its usual mistakes, meet first."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers, ops
from seqc.errors import ConfigError, DataError, LayerError, SavingError

X = np.linspace(-1, 1, 24, dtype="float32").reshape(6, 4)
Y = np.array([0, 1, 2, 0, 1, 2])


def classifier(**options: Any) -> keras.Sequential:
    made = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="softmax")])
    made.compile("sgd", "sparse_categorical_crossentropy", **options)
    return made


# -- what is printed ---------------------------------------------------------------------------------------------------


def test_a_known_value_shows_its_numbers() -> None:
    loss = keras.losses.MeanSquaredError()(np.zeros((2, 2)), np.full((2, 2), 2.0))
    assert str(loss) == repr(loss) == "<float32[] 4.>"
    assert f"{loss:.2f}" == "4.00"
    assert round(loss, 1) == 4.0
    assert "[[1., 1.]]" in str(ops.add(np.zeros((1, 2), "float32"), 1.0))


def test_a_value_that_waits_for_data_shows_its_operation() -> None:
    shown = []

    class Showing(layers.Layer):
        def call(self, x: Any) -> Any:
            shown.append(str(ops.relu(x)))
            return x

    keras.Sequential([keras.Input((2,)), Showing()])
    assert shown[0] == "<Relu: float32[batch, 2]>"


def test_level_two_is_a_line_without_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    classifier().fit(X, Y, epochs=2, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Epoch 1/2"
    assert lines[1].startswith(("1/1 - 0s - ", "1/1 - 1s - ", "1/1 - 2s - "))
    assert "━" not in lines[1]


def test_a_single_epoch_is_not_numbered(capsys: pytest.CaptureFixture[str]) -> None:
    classifier().fit(X, Y)
    assert "Epoch" not in capsys.readouterr().out


def test_histories_are_in_alphabetical_order() -> None:
    history = classifier(metrics=["accuracy"]).fit(X, Y, validation_data=(X, Y), verbose=0)
    assert list(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]


def test_a_summary_counts_the_optimizer_once_it_has_trained(capsys: pytest.CaptureFixture[str]) -> None:
    model = classifier()
    model.summary()
    assert "Optimizer params" not in capsys.readouterr().out
    model.fit(X, Y, verbose=0)
    model.summary()
    assert "Optimizer params: 2" in capsys.readouterr().out


def test_metrics_of_one_name_are_numbered() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "bce", metrics=["Precision", keras.metrics.Precision(0.9, name="Precision")])
    history = model.fit(X, Y > 0, verbose=0)
    assert list(history.history) == ["Precision", "Precision_1", "loss"]


def test_a_warning_shows_the_line_of_the_script() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        classifier().fit(X * np.nan, Y, verbose=0)
        logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model = classifier()
        model.compile("sgd", logits)
        model.fit(X, Y, verbose=0)
    assert [w.filename for w in seen] == [__file__, __file__]


# -- helpers -----------------------------------------------------------------------------------------------------------


def test_sequences_are_padded_and_cut_as_keras_does() -> None:
    given = [[1], [2, 3], [4, 5, 6], []]
    pad = keras.utils.pad_sequences
    assert pad(given).tolist() == [[0, 0, 1], [0, 2, 3], [4, 5, 6], [0, 0, 0]]
    assert pad(given, 2, padding="post").tolist() == [[1, 0], [2, 3], [5, 6], [0, 0]]
    assert pad(given, 2, truncating="post", value=9).tolist() == [[9, 1], [2, 3], [4, 5], [9, 9]]
    assert pad([np.ones((1, 2)), np.ones((3, 2))], dtype="float32").shape == (2, 3, 2)
    assert pad(given).dtype == np.int32


@pytest.mark.parametrize(
    ("given", "options", "error"),
    [
        ([1, 2], {}, DataError),
        ([["a"]], {}, DataError),
        ([np.ones((1, 2)), np.ones((1, 3))], {}, DataError),
        ([[1]], {"padding": "left"}, ConfigError),
    ],
)
def test_what_cannot_be_padded_is_refused(given: Any, options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        keras.utils.pad_sequences(given, **options)


def test_a_clone_has_weights_of_its_own() -> None:
    model = classifier()
    clone = keras.models.clone_model(model)
    assert [layer.name for layer in clone.layers] == [layer.name for layer in model.layers]
    clone.set_weights([w + 1 for w in model.get_weights()])
    assert not np.array_equal(clone.get_weights()[0], model.get_weights()[0])


def test_json_describes_the_layers() -> None:
    model = classifier()
    again = keras.models.model_from_json(model.to_json())
    again.set_weights(model.get_weights())
    assert np.array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))


@pytest.mark.parametrize("text", ["{", '{"module": "keras.layers", "class_name": "Flatten", "config": {}}'])
def test_json_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(SavingError):
        keras.models.model_from_json(text)


def test_a_layer_alone_makes_a_model() -> None:
    assert len(keras.Sequential(layers.Dense(2)).layers) == 1


# -- mistakes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [keras, keras.models])
def test_a_misspelt_name_of_a_module_is_said(module: Any) -> None:
    with pytest.raises(AttributeError, match="seqc.* has no 'aplications'"):
        _ = module.aplications


@pytest.mark.parametrize("module", [keras.ops, keras.random, keras.saving, keras.datasets])
def test_what_a_module_lacks_is_said_in_a_sentence(module: Any) -> None:
    with pytest.raises(AttributeError, match=rf"{module.__name__} has no 'nothing_like_it'\. dir\({module.__name__}\)"):
        _ = module.nothing_like_it


def test_a_model_called_as_a_function_takes_a_dictionary_that_names_its_input() -> None:
    model = keras.Sequential([keras.Input((3,), name="image"), layers.Dense(2)])
    x = np.linspace(-1, 1, 6, dtype="float32").reshape(2, 3)
    np.testing.assert_array_equal(np.asarray(model({"image": x})), np.asarray(model(x)))
    with pytest.raises(DataError, match="x is a dictionary with 'img'"):
        model({"img": x})


def test_calling_a_layer_on_a_layer_is_refused_with_the_way_out() -> None:
    with pytest.raises(LayerError, match=r"Call it on what that layer gives: layer\(other\(x\)\)"):
        layers.Dense(2)(layers.Dense(3))


def test_a_missing_flatten_is_named() -> None:
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(2, 3), layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(DataError, match="put Flatten"):
        model.fit(np.zeros((6, 4, 4, 1)), Y, verbose=0)


def test_a_dictionary_must_name_the_input() -> None:
    with pytest.raises(DataError, match=r"has an input '\w+'; x is a dictionary with 'a'\. Give x itself, or"):
        classifier().fit({"a": X}, Y, verbose=0)


def test_class_weights_are_a_dictionary() -> None:
    with pytest.raises(DataError, match="class_weight must be a dictionary .* got 'balanced'"):
        classifier().fit(X, Y, class_weight="balanced", verbose=0)  # type: ignore[arg-type]
