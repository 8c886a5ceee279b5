"""Arguments of fit that make no sense, and losses that are no numbers."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.small_models import X, Y, regression, same
from seqc.errors import ConfigError, DataError

# -- arguments that make no sense --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"batch_size": 0}, "batch_size must be a positive integer; got 0"),
        ({"batch_size": -3}, "batch_size must be a positive integer; got -3"),
        ({"batch_size": 2.5}, "batch_size must be a positive integer; got 2.5"),
        ({"batch_size": "32"}, "batch_size must be a positive integer; got '32'"),
        ({"batch_size": True}, "batch_size must be a positive integer; got True"),
        ({"epochs": -1}, "epochs must be an integer of at least 0; got -1"),
        ({"epochs": 1.5}, "epochs must be an integer of at least 0; got 1.5"),
        ({"initial_epoch": "2"}, "initial_epoch must be an integer of at least 0; got '2'"),
        ({"steps_per_epoch": -1}, "steps_per_epoch must be a positive integer; got -1"),
        ({"verbose": "loud"}, "verbose must be .* got 'loud'"),
        ({"validation_split": 1.5}, "validation_split must lie between 0 and 1; got 1.5"),
        ({"validation_split": -0.1}, "validation_split must lie between 0 and 1; got -0.1"),
        ({"validation_data": (X, Y), "validation_freq": 0}, "validation_freq must be a positive integer; got 0"),
        (
            {"validation_data": (X, Y), "validation_freq": "all"},
            "validation_freq must be a positive integer; got 'all'",
        ),
        ({"validation_data": (X, Y), "validation_steps": -2}, "validation_steps must be a positive integer; got -2"),
        ({"validation_data": (X, Y), "validation_batch_size": 0.5}, "validation_batch_size must be a positive integer"),
        (
            {"class_weight": {0: 1.0}, "sample_weight": np.ones(20)},
            "cannot give `class_weight` and `sample_weight` at the same time",
        ),
    ],
)
def test_fit_refuses_arguments_out_of_range_before_it_trains(options: dict[str, Any], text: str) -> None:
    model = regression()
    before = model.get_weights()
    with pytest.raises(ConfigError, match=text):
        model.fit(X, Y, **({"verbose": 0} | options))
    assert same(before, model.get_weights())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"validation_split": 0.999}, "validation_split=0.999 of 20 samples leaves one part empty"),
        ({"validation_data": (X, Y, Y, Y)}, "validation_data must be .* got 4 parts"),
        ({"validation_data": X}, "validation_data must be a tuple .* got one array"),
        ({"validation_data": (X, Y[:5])}, "Data cardinality is ambiguous"),
        ({"validation_data": (X,)}, "The loss 'mse' needs labels"),
        ({"sample_weight": np.ones(3)}, "Data cardinality is ambiguous"),
        ({"class_weight": [1.0, 2.0]}, "class_weight must be a dictionary"),
        ({"class_weight": {0.6: 5.0}}, r"from class number to weight; got the key 0\.6"),
        ({"class_weight": {"cat": 2.0}}, "from class number to weight; got the key 'cat'"),
    ],
)
def test_fit_refuses_data_that_do_not_fit(options: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError, match=text):
        regression().fit(X, Y, verbose=0, **options)


# -- losses that are no numbers ----------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_is_said_once_with_its_place() -> None:
    x = X.copy()
    x[13] = np.nan
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        regression().fit(x, Y, batch_size=5, epochs=3, shuffle=False, verbose=0)
    assert len(said) == 1
    text = str(said[0].message)
    assert "The loss became nan in epoch 1, batch 2 (step 3)" in text
    assert "TerminateOnNaN" in text
    assert said[0].filename == __file__


def test_a_batch_whose_loss_is_no_number_is_said() -> None:
    model = regression(keras.optimizers.SGD(1e30))
    model.train_on_batch(X, Y)
    with pytest.warns(UserWarning, match="The loss became (inf|nan) in step 2\\."):
        model.train_on_batch(X, Y)


def test_labels_of_a_model_that_joins_rows_of_its_fixed_batch() -> None:
    x = np.arange(24, dtype=np.float32).reshape(8, 3)
    given = keras.layers.Input((3,), batch_size=4)
    model = keras.Model(given, keras.ops.reshape(keras.layers.Dense(3, kernel_initializer="identity")(given), (2, -1)))
    model.compile("sgd", "mse")
    np.testing.assert_array_equal(model.predict(x, batch_size=4, verbose=0), x.reshape(4, 6))
    message = re.escape("Loss 'mse' needs labels of the output's shape (2, 6); got labels of shape (4, 6).")
    for run in (model.fit, model.evaluate):
        with pytest.raises(DataError, match=message):
            run(x, np.zeros((8, 6)), batch_size=4, verbose=0)
