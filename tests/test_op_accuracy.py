"""What operations say of onnxruntime's exactness is what is measured."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("onnx", reason="needs onnx")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")
accuracy: Any = pytest.importorskip("op_accuracy")

ROWS = {name: rest for name, *rest in accuracy.rows()}


@pytest.mark.parametrize("name", ROWS)
def test_an_operation_says_how_many_places_of_one_it_is_off(name: str) -> None:
    op, x, operands = ROWS[name]
    theirs, ours = accuracy.places(op, x, *operands)
    # Twice what the errors put in by hand come to, or twice what NumPy is off: budgets allow more than that.
    assert theirs <= 2 * max(accuracy.allowed(op, x, *operands), ours) + 0.3


@pytest.mark.parametrize("name", ["Sigmoid", "Elu", "Elu(alpha=1.6732632)"])
def test_no_more_places_are_said_than_are_lost(name: str) -> None:
    op, x, operands = ROWS[name]
    assert accuracy.allowed(op, x, *operands) <= 3 * accuracy.places(op, x, *operands)[0]
