"""model.summary() prints what Keras prints."""

from __future__ import annotations

from typing import Any

import pytest

import seqc as keras
from seqc import layers
from seqc.errors import ConfigError

# Printed by Keras 3.15 with 100 columns, for the same models.
UNBUILT = """
Model: "model"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━┓
┃ Layer (type)                         ┃ Output Shape                ┃         Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━┩
│ first (Dense)                        │ ?                           │     0 (unbuilt) │
├──────────────────────────────────────┼─────────────────────────────┼─────────────────┤
│ dropout (Dropout)                    │ ?                           │               0 │
├──────────────────────────────────────┼─────────────────────────────┼─────────────────┤
│ inner (Sequential)                   │ ?                           │     0 (unbuilt) │
├──────────────────────────────────────┼─────────────────────────────┼─────────────────┤
│ last_layer_with_a_very_long_name_in… │ ?                           │     0 (unbuilt) │
│ (Dense)                              │                             │                 │
└──────────────────────────────────────┴─────────────────────────────┴─────────────────┘
 Total params: 0 (0.00 B)
 Trainable params: 0 (0.00 B)
 Non-trainable params: 0 (0.00 B)
"""
EXPANDED = """
Model: "model"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┳━━━━━━━━━┓
┃ Layer (type)                        ┃ Output Shape                 ┃       Param # ┃ Traina… ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━╇━━━━━━━━━┩
│ first (Dense)                       │ (None, 5)                    │            40 │    Y    │
├─────────────────────────────────────┼──────────────────────────────┼───────────────┼─────────┤
│ dropout (Dropout)                   │ (None, 5)                    │             0 │    -    │
├─────────────────────────────────────┼──────────────────────────────┼───────────────┼─────────┤
│ inner (Sequential)                  │ (None, 3)                    │            30 │    Y    │
├─────────────────────────────────────┼──────────────────────────────┼───────────────┼─────────┤
│    └ i1 (Dense)                     │ (None, 3)                    │            18 │    N    │
├─────────────────────────────────────┼──────────────────────────────┼───────────────┼─────────┤
│    └ bn (BatchNormalization)        │ (None, 3)                    │            12 │    Y    │
├─────────────────────────────────────┼──────────────────────────────┼───────────────┼─────────┤
│ last_layer_with_a_very_long_name_i… │ (None, 2)                    │             8 │    Y    │
│ (Dense)                             │                              │               │         │
└─────────────────────────────────────┴──────────────────────────────┴───────────────┴─────────┘
 Total params: 78 (312.00 B)
 Trainable params: 54 (216.00 B)
 Non-trainable params: 24 (96.00 B)
"""
NARROW = """
Model: "images"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━┓
┃ Layer (type)             ┃ Output Shape      ┃   Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━┩
│ conv2d (Conv2D)          │ (None, None,      │        56 │
│                          │ None, 2)          │           │
└──────────────────────────┴───────────────────┴───────────┘
 Total params: 56 (224.00 B)
 Trainable params: 56 (224.00 B)
 Non-trainable params: 0 (0.00 B)
"""


@pytest.fixture(autouse=True)
def _hundred_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    keras.utils.clear_session()


def nested() -> keras.Sequential:
    inner = keras.Sequential([layers.Dense(3, name="i1"), layers.BatchNormalization(name="bn")], name="inner")
    last = layers.Dense(2, activation="softmax", name="last_layer_with_a_very_long_name_indeed_really")
    return keras.Sequential([layers.Dense(5, name="first"), layers.Dropout(0.1), inner, last], name="model")


def summary(model: keras.Sequential, **options: Any) -> str:
    said: list[str] = []
    model.summary(print_fn=said.append, **options)
    assert len(said) == 1
    return f"\n{said[0]}\n"


def test_an_unbuilt_model_knows_no_shapes() -> None:
    assert summary(nested()) == UNBUILT


def test_a_built_model_shows_nested_layers_and_which_of_them_train() -> None:
    model = nested()
    model.build((None, 7))
    model.layers[2].get_layer("i1").trainable = False
    assert summary(model, expand_nested=True, show_trainable=True) == EXPANDED


def test_a_given_width_breaks_long_shapes() -> None:
    model = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(2, 3)], name="images")
    assert summary(model, line_length=60) == NARROW


def test_it_is_printed_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    nested().summary()
    assert f"\n{capsys.readouterr().out}" == UNBUILT


def test_a_trained_model_counts_the_state_of_its_optimizer() -> None:
    model = keras.Sequential([keras.Input((7,)), layers.Dense(2)])
    model.compile("adam", "mse")
    assert "Optimizer" not in summary(model)
    model.train_on_batch([[0.0] * 7], [[0.0, 1.0]])
    text = summary(model)
    assert " Total params: 50 (" in text
    assert " Trainable params: 16 (64.00 B)" in text
    assert " Optimizer params: 34 (" in text


def test_sizes_are_shown_in_the_unit_that_fits() -> None:
    model = keras.Sequential([keras.Input((1000,)), layers.Dense(600)])
    assert " Total params: 600,600 (2.29 MB)" in summary(model)


def test_a_range_of_layers_is_shown() -> None:
    model = nested()
    model.build((None, 7))
    for chosen in (["dropout", "inner"], ["inner", "dropout"], ["dr.*", "in.*"]):
        text = summary(model, layer_range=chosen)
        assert "dropout (Dropout)" in text
        assert "inner (Sequential)" in text
        assert "first" not in text
        assert "last" not in text
        assert " Total params: 78 " in text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"line_length": 10}, "Insufficient console width to print summary"),
        ({"layer_range": ["first"]}, "layer_range must be the names of the first and the last layer"),
        ({"layer_range": [0, 1]}, "layer_range must be the names"),
        (
            {"layer_range": ["first", "nowhere"]},
            "Passed layer_names do not match .* Received: \\['first', 'nowhere'\\]",
        ),
    ],
)
def test_what_cannot_be_shown_is_an_error(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        summary(nested(), **options)


def test_an_empty_model_is_an_empty_table() -> None:
    text = summary(keras.Sequential(name="empty"))
    assert 'Model: "empty"' in text
    assert " Total params: 0 (0.00 B)" in text


def test_brackets_in_names_are_no_markup() -> None:
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1, name="a[bold]b")], name="c[red]d")
    assert 'Model: "c[red]d"' in summary(model)
    assert "a[bold]b (Dense)" in summary(model)
