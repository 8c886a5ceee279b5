"""How `seqc train` compares predictions: what is a class, and what counts as the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from seqc import losses
from seqc.cli._compare import classes, compare_predictions, counted, median_seconds, true_classes

CASES: list[tuple[Any, list[list[float]], list[Any] | None]] = [
    ("sparse_categorical_crossentropy", [[0.1, 0.7, 0.2]], [1]),
    ("categorical_hinge", [[0.1, 0.7, 0.2]], [1]),
    ("binary_crossentropy", [[0.4], [0.6]], [[0], [1]]),
    ("binary_crossentropy", [[0.4, 0.6]], [[0, 1]]),
    (losses.BinaryCrossentropy(from_logits=True), [[0.4], [-0.6]], [[1], [0]]),
    ("hinge", [[0.4], [-0.6]], [[1], [0]]),
    ("mse", [[0.4, 0.6]], None),
    (None, [[0.4, 0.6]], None),
    ("crossentropy", [[0.1, 0.7, 0.2]], [1]),
    ("bce", [[0.6]], [[1]]),
    (losses.BinaryCrossentropy(name="mine"), [[0.6]], [[1]]),
]


@pytest.mark.parametrize(("loss", "predictions", "expected"), CASES, ids=[str(c[0]) for c in CASES])
def test_the_loss_says_what_a_class_is(loss: Any, predictions: list[list[float]], expected: list[Any] | None) -> None:
    found = classes(np.array(predictions), losses.resolve(loss, (None,), (None, len(predictions[0]))))
    assert (None if found is None else found.tolist()) == expected


def test_different_classes_are_counted_by_sample() -> None:
    a, b = np.eye(3)[[0, 1, 2]], np.eye(3)[[0, 2, 1]]
    found = compare_predictions(a, b, losses.get("categorical_crossentropy"))
    assert (found.differing, found.samples, found.agree) == (2, 3, False)
    assert str(found) == "2 of 3 samples differ in class (largest difference 1)"


def test_numbers_may_differ_by_rounding_only() -> None:
    a = np.array([[1000.0], [1.0]])
    loss = losses.get("mse")
    assert compare_predictions(a, a + 0.05, loss).agree
    assert not compare_predictions(a, a + 0.2, loss).agree
    assert str(compare_predictions(a, a + 0.05, loss)) == "largest difference 0.05, 0.1 allowed, over 2 samples"


def test_nan_agrees_with_nan_only() -> None:
    loss = losses.get("mse")
    strange = np.array([[np.nan], [np.inf], [1.0]])
    assert compare_predictions(strange, strange.copy(), loss).agree
    assert not compare_predictions(strange, np.nan_to_num(strange), loss).agree


def test_the_class_of_a_sample_that_is_not_finite_is_no_agreement() -> None:
    loss = losses.get("categorical_crossentropy")
    lost = np.full((2, 3), np.nan)
    found = compare_predictions(lost, lost.copy(), loss)
    assert not found.agree
    assert str(found) == "nothing to compare: all 2 samples have predictions that are not finite"
    half = np.concatenate([lost[:1], np.eye(3)[:1]])
    found = compare_predictions(half, half.copy(), loss)
    assert (found.differing, found.agree) == (1, False)
    assert str(found) == "1 of 2 samples differ in class (largest difference 0, 1 samples not finite)"


def test_numbers_of_which_none_is_finite_are_no_agreement() -> None:
    lost = np.full((2, 1), np.nan)
    assert not compare_predictions(lost, lost.copy(), losses.get("mse")).agree


def test_labels_become_classes_of_the_predictions_shape() -> None:
    assert true_classes([[2], [0]], np.array([1, 0])) is not None
    one_hot = true_classes(np.eye(3)[[2, 0]], np.array([1, 0]))
    assert one_hot is not None
    assert one_hot.tolist() == [2, 0]
    assert true_classes(np.zeros((2, 5, 3)), np.array([1, 0])) is None


def test_times_are_medians_of_runs_in_turn() -> None:
    calls: list[str] = []
    first, second = median_seconds(lambda: calls.append("a"), lambda: calls.append("b"), runs=3)
    assert calls == ["a", "b"] * 3
    assert first >= 0
    assert second >= 0


def test_labels_are_the_classes_that_their_loss_means() -> None:
    zeros = np.zeros((3, 1), np.int64)
    assert true_classes([-1, 1, -1], zeros, losses.Hinge()).ravel().tolist() == [0, 1, 0]  # type: ignore[union-attr]
    soft = true_classes([0.9, 0.1, 0.6], zeros, losses.BinaryCrossentropy())
    assert soft is not None
    assert soft.ravel().tolist() == [1, 0, 1]
    loss = losses.SparseCategoricalCrossentropy(ignore_class=-1)
    truth, predicted = counted(np.array([0, -1, 2]), np.array([0, 1, 1]), loss)
    assert (truth.tolist(), predicted.tolist()) == ([0, 2], [0, 1])
