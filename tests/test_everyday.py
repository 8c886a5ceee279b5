"""Everyday functional models in training, against what real Keras logged and learned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc
from kit.everyday_programs import PROGRAMS, classes, numbers, run

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "cases" / "everyday.json").read_text())


def _check(found: Any, expected: Any, where: str) -> None:
    if isinstance(expected, dict):
        assert sorted(found) == sorted(expected), where
        for key, value in expected.items():
            _check(found[key], value, f"{where}/{key}")
    elif isinstance(expected, list) and expected and isinstance(expected[0], str):
        assert found == expected, where
    else:
        np.testing.assert_allclose(found, expected, rtol=3e-4, atol=3e-5, err_msg=where)


@pytest.mark.parametrize(
    "program", [pytest.param(p, marks=[pytest.mark.slow] * (i % 2), id=p.__name__) for i, p in enumerate(PROGRAMS)]
)
def test_everyday_programs_give_the_numbers_of_keras(program: Any) -> None:
    _check(run(seqc, program), RECORDED[program.__name__], program.__name__)


@pytest.mark.parametrize("form", [lambda y: {"y": y}, lambda y: [y]], ids=["dictionary", "list"])
def test_one_output_in_a_list_or_dictionary_trains_like_one_alone(form: Any) -> None:
    x, labels = numbers(1, 4), classes(2, 3)
    found = []
    for given, made in ((labels, lambda y: y), (labels, form), (form(labels), form)):
        seqc.utils.set_random_seed(1)
        ends = seqc.Input((4,))
        model = seqc.Model(ends, made(seqc.layers.Dense(3, activation="softmax", name="y")(ends)))
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        options: dict[str, Any] = {"class_weight": {0: 1.0, 1: 3.0, 2: 1.0}, "validation_split": 0.25, "verbose": 0}
        found.append(model.fit(x, given, **options).history)
    assert found[0] == found[1] == found[2]
