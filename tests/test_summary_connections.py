"""model.summary() of functional models, as Keras prints it."""

from __future__ import annotations

from typing import Any

import pytest

import seqc as keras
from kit.branched_models import nested, operations, shared, states

# Printed by Keras 3.15 with 120 columns, for the same models; it calls the operation of a product Multiply, not Mul.
SHARED = """
Model: "twoinone"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━┓
┃ Layer (type)                 ┃ Output Shape             ┃          Param # ┃ Connected to            ┃ Trainable ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━┩
│ image (InputLayer)           │ (None, 4)                │                0 │ -                       │     -     │
├──────────────────────────────┼──────────────────────────┼──────────────────┼─────────────────────────┼───────────┤
│ text (InputLayer)            │ (None, 4)                │                0 │ -                       │     -     │
├──────────────────────────────┼──────────────────────────┼──────────────────┼─────────────────────────┼───────────┤
│ shared (Dense)               │ (None, 8)                │               40 │ image[0][0], text[0][0] │     Y     │
├──────────────────────────────┼──────────────────────────┼──────────────────┼─────────────────────────┼───────────┤
│ join (Concatenate)           │ (None, 16)               │                0 │ shared[0][0],           │     -     │
│                              │                          │                  │ shared[1][0]            │           │
├──────────────────────────────┼──────────────────────────┼──────────────────┼─────────────────────────┼───────────┤
│ drop (Dropout)               │ (None, 16)               │                0 │ join[0][0]              │     -     │
├──────────────────────────────┼──────────────────────────┼──────────────────┼─────────────────────────┼───────────┤
│ p (Dense)                    │ (None, 1)                │               17 │ join[0][0]              │     Y     │
├──────────────────────────────┼──────────────────────────┼──────────────────┼─────────────────────────┼───────────┤
│ q (Dense)                    │ (None, 2)                │               34 │ drop[0][0]              │     Y     │
└──────────────────────────────┴──────────────────────────┴──────────────────┴─────────────────────────┴───────────┘
 Total params: 91 (364.00 B)
 Trainable params: 91 (364.00 B)
 Non-trainable params: 0 (0.00 B)
"""
OPERATIONS = """
Model: "resid"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━━┓
┃ Layer (type)                  ┃ Output Shape              ┃         Param # ┃ Connected to               ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━━┩
│ x (InputLayer)                │ (None, 4)                 │               0 │ -                          │
├───────────────────────────────┼───────────────────────────┼─────────────────┼────────────────────────────┤
│ d (Dense)                     │ (None, 4)                 │              20 │ x[0][0]                    │
├───────────────────────────────┼───────────────────────────┼─────────────────┼────────────────────────────┤
│ multiply (Multiply)           │ (None, 4)                 │               0 │ d[0][0]                    │
├───────────────────────────────┼───────────────────────────┼─────────────────┼────────────────────────────┤
│ add (Add)                     │ (None, 4)                 │               0 │ multiply[0][0], x[0][0]    │
├───────────────────────────────┼───────────────────────────┼─────────────────┼────────────────────────────┤
│ relu (Relu)                   │ (None, 4)                 │               0 │ add[0][0]                  │
├───────────────────────────────┼───────────────────────────┼─────────────────┼────────────────────────────┤
│ ln (LayerNormalization)       │ (None, 4)                 │               8 │ relu[0][0]                 │
└───────────────────────────────┴───────────────────────────┴─────────────────┴────────────────────────────┘
 Total params: 28 (112.00 B)
 Trainable params: 28 (112.00 B)
 Non-trainable params: 0 (0.00 B)
"""
STATES = """
Model: "s2s"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━━┓
┃ Layer (type)                  ┃ Output Shape              ┃         Param # ┃ Connected to               ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━━┩
│ s (InputLayer)                │ (None, 5, 3)              │               0 │ -                          │
├───────────────────────────────┼───────────────────────────┼─────────────────┼────────────────────────────┤
│ enc (LSTM)                    │ [(None, 5, 4), (None, 4), │             128 │ s[0][0]                    │
│                               │ (None, 4)]                │                 │                            │
├───────────────────────────────┼───────────────────────────┼─────────────────┼────────────────────────────┤
│ dec (LSTM)                    │ (None, 4)                 │             144 │ enc[0][0], enc[0][1],      │
│                               │                           │                 │ enc[0][2]                  │
├───────────────────────────────┼───────────────────────────┼─────────────────┼────────────────────────────┤
│ mha (MultiHeadAttention)      │ (None, 5, 4)              │             118 │ enc[0][0], enc[0][0]       │
└───────────────────────────────┴───────────────────────────┴─────────────────┴────────────────────────────┘
 Total params: 390 (1.52 KB)
 Trainable params: 390 (1.52 KB)
 Non-trainable params: 0 (0.00 B)
"""
CHAIN = """
Model: "nested"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━┓
┃ Layer (type)                         ┃ Output Shape                ┃         Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━┩
│ x (InputLayer)                       │ (None, 4)                   │               0 │
├──────────────────────────────────────┼─────────────────────────────┼─────────────────┤
│ inner (Sequential)                   │ (None, 4)                   │              31 │
├──────────────────────────────────────┼─────────────────────────────┼─────────────────┤
│ fmod (Functional)                    │ (None, 4)                   │              20 │
├──────────────────────────────────────┼─────────────────────────────┼─────────────────┤
│ o (Dense)                            │ (None, 1)                   │               5 │
└──────────────────────────────────────┴─────────────────────────────┴─────────────────┘
 Total params: 56 (224.00 B)
 Trainable params: 56 (224.00 B)
 Non-trainable params: 0 (0.00 B)
"""


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


def text(model: Any, **options: Any) -> str:
    said: list[str] = []
    model.summary(print_fn=said.append, **options)
    return "\n".join(said)


def test_several_inputs_shared_layers_and_trainable_ones_are_shown_as_in_keras() -> None:
    assert text(shared(), show_trainable=True) == SHARED.strip("\n")


def test_operations_between_layers_are_rows_with_names_of_their_own() -> None:
    assert text(operations()) == OPERATIONS.strip("\n")
    x = keras.Input((4,), name="multiply")
    twice = text(keras.Model(x, x * 2 * 3 + x))
    assert "multiply_1 (Multiply)" in twice
    assert "multiply_1[0][0]" in twice
    assert "multiply_2[0][0]" in twice


def test_results_of_a_call_are_told_apart() -> None:
    assert text(states()) == STATES.strip("\n")


def test_a_graph_without_branches_is_shown_like_a_stack() -> None:
    assert text(nested()) == CHAIN.strip("\n")


def test_a_part_of_a_graph_names_only_what_is_in_it() -> None:
    model = shared()
    part = keras.Model(model.get_layer("join").output, model.outputs)
    shown = text(part)
    assert "shared" not in shown
    assert "join" not in shown  # the layer that made the input stays outside
    assert "drop (Dropout)" in shown


def test_layers_of_a_range_keep_their_connections() -> None:
    shown = text(shared(), layer_range=["shared", "join"])
    assert [line.split()[1] for line in shown.splitlines() if "│ " in line] == ["shared", "join"]
    assert "shared[0][0], shared[1][0]" in shown
