"""What variables and traced values are to Python, and that nobody else's arrays get into them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from seqc import Input, Layer, Sequential, Variable, layers, ops, optimizers
from seqc.errors import ShapeError, TraceError
from seqc.graph.ir import Constant, Value


class Remember(Layer):
    """Keeps the first row it was given, and counts its calls."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.row = self.add_weight((input_shape[-1],), "zeros", trainable=False)
        self.calls = self.add_weight((), "zeros", trainable=False)

    def call(self, x: Value) -> Value:
        self.row.assign(x[0])
        self.calls.assign_add(1)
        return x


def remembering() -> tuple[Sequential, Remember]:
    keep = Remember()
    model = Sequential([Input((3,)), keep, layers.Dense(1)])
    model.compile("sgd", "mse")
    return model, keep


def test_a_state_taken_from_the_data_is_no_view_of_the_users_array() -> None:
    model, keep = remembering()
    x = np.ones((4, 3), "float32")
    model.train_on_batch(x, np.ones((4, 1)))
    x[:] = 7
    np.testing.assert_array_equal(keep.row, [1, 1, 1])


def test_prediction_keeps_what_layers_assign_as_keras_does() -> None:
    model, keep = remembering()
    x, y = np.ones((4, 3), "float32"), np.ones((4, 1))
    runs: list[Callable[[], Any]] = [
        lambda: model.predict(x, verbose=0),
        lambda: model.test_on_batch(x, y),
        lambda: model(x),
    ]
    for i, run in enumerate(runs):
        run()
        assert float(keep.calls) == i + 1


def test_variables_compare_by_element_and_are_keys_by_identity() -> None:
    a, b = Variable([1.0, 2.0]), Variable([1.0, 3.0])
    assert (a == b).numpy().tolist() == [True, False]
    assert (a != 1).numpy().tolist() == [False, True]
    assert a not in {b: 0}
    assert {a: 1, b: 2}[a] == 1
    assert (a == None) is False  # type: ignore[comparison-overlap]  # noqa: E711


def test_an_optimizer_knows_its_variables_by_identity() -> None:
    w, other = Variable([1.0, 2.0]), Variable([1.0, 2.0])
    sgd = optimizers.SGD(0.5)
    sgd.apply([np.ones(2, "float32")], [w])
    np.testing.assert_array_equal(w, [0.5, 1.5])
    with pytest.raises(ValueError, match="Unknown variable"):
        sgd.apply([np.ones(2, "float32")], [other])


def test_a_learning_rate_is_a_python_number() -> None:
    adam = optimizers.Adam(0.25)
    assert float(adam.learning_rate) == 0.25
    assert int(adam.iterations) == 0


def test_only_one_element_is_a_number_and_none_is_a_condition() -> None:
    with pytest.raises(ShapeError, match="Only a variable of one element is a Python number; 'variable' is float32"):
        float(Variable([1.0, 2.0]))
    with pytest.raises(TraceError, match="cannot be a Python condition"):
        bool(Variable(1.0))


def test_python_numbers_make_variables_of_32_bits() -> None:
    dtypes = [Variable(v).dtype for v in (1.5, [1, 2], True, np.float64(1), np.zeros(2))]
    assert dtypes == ["float32", "int32", "bool", "float64", "float64"]


def test_numpy_copies_of_a_value_can_be_written_to() -> None:
    value = ops.convert_to_tensor([1.0, 2.0])
    copy = np.array(value)
    copy[0] = 9
    assert value.numpy().tolist() == [1, 2]
    assert np.array(value, "float64").dtype == "float64"


def test_a_constant_does_not_follow_the_array_behind_a_read_only_view() -> None:
    array = np.ones(3)
    view = array.view()
    view.flags.writeable = False
    constant = Constant(view)
    array[:] = 5
    np.testing.assert_array_equal(constant.array, [1, 1, 1])


def test_graphs_and_steps_equal_only_themselves() -> None:
    model, _ = remembering()
    a, b = model.graph()[0], model.graph()[0]
    assert a == a
    assert a != b
