"""Losses beyond the recorded cases: names, masks, messages, users' own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers, losses, metrics, ops
from seqc.errors import ConfigError, DataError
from seqc.graph.autodiff import gradients
from seqc.graph.dims import symbol
from seqc.graph.ir import Value, constant, input_value
from seqc.graph.tracing import Trace, tracing
from seqc.initializers import Constant
from seqc.serialization import register_keras_serializable

BATCH, TIME = symbol("batch"), symbol("time")


def number(value: Value) -> float:
    return float(np.asarray(value).item())


# -- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mse", "mean_squared_error"),
        ("MSE", "mean_squared_error"),
        ("mae", "mean_absolute_error"),
        ("mape", "mean_absolute_percentage_error"),
        ("msle", "mean_squared_logarithmic_error"),
        ("bce", "binary_crossentropy"),
        ("kld", "kl_divergence"),
        ("huber", "huber"),
        ("sparse_categorical_crossentropy", "sparse_categorical_crossentropy"),
    ],
)
def test_name_stands_for_the_function(name: str, expected: str) -> None:
    assert losses.get(name).__name__ == expected


def test_class_name_stands_for_an_object() -> None:
    assert isinstance(losses.get("CategoricalCrossentropy"), losses.CategoricalCrossentropy)


def test_every_identifier_of_keras_is_known(shared_dir: Any) -> None:
    import json

    known = json.loads((shared_dir / "oracle" / "identifiers.json").read_text())["losses"]
    for identifier, meaning in known.items():
        if identifier == "Loss":
            continue
        found = losses.get(identifier)
        assert meaning in (getattr(found, "__name__", ""), type(found).__name__)


@pytest.mark.parametrize("identifier", ["foo", 3, {"class_name": "Foo", "config": {}}])
def test_unknown_loss_is_named(identifier: Any) -> None:
    with pytest.raises(ConfigError, match="Could not interpret loss identifier: "):
        losses.get(identifier)


def test_none_is_no_loss() -> None:
    assert losses.get(None) is None
    assert losses.resolve(None, (None, 1), (None, 1)) is None


@pytest.mark.parametrize("name", ["crossentropy", "ce"])
@pytest.mark.parametrize(
    ("y_true", "y_pred", "expected"),
    [
        ((None, 1), (None, 1), "binary_crossentropy"),
        ((None,), (None, 3), "sparse_categorical_crossentropy"),
        ((None, 1), (None, 3), "sparse_categorical_crossentropy"),
        ((None, 3), (None, 3), "categorical_crossentropy"),
    ],
)
def test_crossentropy_is_chosen_by_the_shapes(name: str, y_true: Any, y_pred: Any, expected: str) -> None:
    loss = losses.resolve(name, y_true, y_pred)
    assert isinstance(loss, losses.LossFunctionWrapper)
    assert loss.fn.__name__ == expected
    assert loss.name == name


# -- users' own ----------------------------------------------------------------------------------------------------


def pinball(y_true: Any, y_pred: Any, quantile: float = 0.9) -> Value:
    error = y_true - y_pred
    return ops.mean(ops.maximum(error * quantile, error * (quantile - 1.0)), -1)


def test_function_is_wrapped_under_its_own_name() -> None:
    loss = losses.resolve(pinball, (None, 1), (None, 1))
    assert loss is not None
    assert loss.name == "pinball"
    assert number(loss(np.array([[2.0]]), np.array([[1.0]]))) == pytest.approx(0.9)


def test_wrapped_function_with_arguments_comes_back_from_its_configuration() -> None:
    registered = register_keras_serializable("tests", "pinball")(pinball)
    loss = losses.LossFunctionWrapper(registered, name="low", reduction="sum", quantile=0.1)
    again = losses.get(losses.serialize(loss))
    assert again.get_config() == loss.get_config()
    assert number(again([[2.0]], [[1.0]])) == pytest.approx(0.1)


def test_own_class_takes_part_like_any_other() -> None:
    class Cubed(losses.Loss):
        def __init__(self, factor: float = 1.0, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.factor = factor

        def call(self, y_true: Value, y_pred: Value) -> Value:
            return ops.mean(ops.absolute(y_true - y_pred) ** 3.0, -1) * self.factor

    loss = Cubed(factor=2.0, reduction="sum")
    assert number(loss(np.zeros((2, 1)), np.array([[1.0], [2.0]]))) == pytest.approx(18.0)
    assert loss.get_config() == {"name": loss.name, "reduction": "sum", "factor": 2.0}
    assert losses.resolve(loss, (None, 1), (None, 1)) is loss


def test_class_without_call_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Loss does not define call"):
        losses.Loss()([1.0], [1.0])


# -- reductions, weights and masks ---------------------------------------------------------------------------------


def test_unknown_reduction_is_refused() -> None:
    with pytest.raises(ConfigError, match="Invalid value for argument `reduction`. Expected one of .*reduction=foo"):
        losses.MeanSquaredError(reduction="foo")


def test_none_as_reduction_keeps_a_value_per_sample() -> None:
    values = np.asarray(losses.MeanSquaredError(reduction=None)(np.zeros((2, 2)), np.array([[1.0, 1.0], [2.0, 2.0]])))
    np.testing.assert_allclose(values, [1.0, 4.0])


def test_mean_with_weights_divides_by_the_number_of_samples_not_by_their_weights() -> None:
    true, pred, weight = np.zeros((2, 1)), np.ones((2, 1)), np.array([3.0, 1.0])
    assert number(losses.MeanSquaredError()(true, pred, weight)) == pytest.approx(2.0)
    by_weight = losses.MeanSquaredError(reduction="mean_with_sample_weight")
    assert number(by_weight(true, pred, weight)) == pytest.approx(1.0)


def test_mask_makes_the_mean_one_over_the_valid_steps() -> None:
    pred = np.array([[[1.0], [2.0], [3.0]], [[4.0], [5.0], [6.0]]])
    mask = np.array([[True, True, False], [True, False, False]])
    loss = losses.MeanSquaredError()(np.zeros_like(pred), pred, mask=mask)
    assert number(loss) == pytest.approx((1 + 4 + 16) / 3)


def test_sum_with_a_mask_adds_the_valid_steps() -> None:
    pred, mask = np.array([[[1.0], [2.0]]]), np.array([[True, False]])
    assert number(losses.MeanSquaredError(reduction="sum")(np.zeros_like(pred), pred, mask=mask)) == pytest.approx(1.0)


def test_mask_without_a_valid_step_gives_zero() -> None:
    pred, mask = np.ones((1, 2, 1)), np.zeros((1, 2), bool)
    assert number(losses.MeanSquaredError()(np.zeros_like(pred), pred, mask=mask)) == 0.0


def test_mask_carried_by_the_output_is_used() -> None:
    loss = losses.MeanAbsoluteError()
    trace = Trace()
    with tracing(trace):
        pred = constant(np.array([[[1.0], [5.0]]], "float32"))
        trace.masks[pred] = constant(np.array([[True, False]]))
        value = loss(np.zeros((1, 2, 1)), pred)
    assert number(value) == pytest.approx(1.0)


def test_weights_multiply_the_mask() -> None:
    pred, mask = np.array([[[1.0], [2.0]], [[3.0], [4.0]]]), np.array([[True, False], [True, True]])
    loss = losses.MeanSquaredError()(np.zeros_like(pred), pred, np.array([[2.0], [1.0]]), mask)
    assert number(loss) == pytest.approx((2 * 1 + 9 + 16) / 3)


def test_weights_per_sample_do_not_fit_values_per_step() -> None:
    shape = (BATCH, 5, 1)
    with pytest.raises(DataError, match=r"weights of shape \(batch,\) .* shape \(batch, 5\).* of shape \(n, 1\)"):
        losses.MeanSquaredError()(
            input_value("y", "float32", shape),
            input_value("p", "float32", shape),
            input_value("w", "float32", (BATCH,)),
        )


# -- probabilities made by softmax or sigmoid ----------------------------------------------------------------------


def test_softmax_before_the_loss_is_undone_so_that_saturated_outputs_learn() -> None:
    logits = constant(np.array([[200.0, 0.0, -200.0]], "float32"))
    loss = losses.SparseCategoricalCrossentropy()(np.array([2]), ops.softmax(logits))
    assert number(loss) == pytest.approx(400.0)
    np.testing.assert_allclose(np.asarray(gradients(loss, [logits])[0]), [[1.0, 0.0, -1.0]], atol=1e-6)


@pytest.mark.parametrize(
    "function", [losses.sparse_categorical_crossentropy, ops.sparse_categorical_crossentropy], ids=["loss", "op"]
)
def test_classes_ruled_out_by_minus_infinity_neither_spoil_the_loss_nor_its_gradient(function: Any) -> None:
    low = -np.inf
    logits = constant(np.array([[1, 2, low], [0.5, low, 0.2], [low, 1, 1]], "float32"))
    values = function(np.array([0, 2, 0]), logits, from_logits=True)
    slope = np.asarray(gradients(ops.sum(values), [logits])[0])  # before numbers are asked for, see below
    np.testing.assert_allclose(np.asarray(values), [1.313262, 0.854355, np.inf], rtol=1e-5)
    p, q = 0.7310586, 0.5744425
    np.testing.assert_allclose(slope, [[-p, p, 0], [q, 0, -q], [-1, 0.5, 0.5]], atol=1e-6)


def test_softmax_along_another_axis_is_kept() -> None:
    logits = constant(np.array([[1.0, 2.0], [3.0, 0.5]], "float32"))
    onehot, by_column = np.eye(2, dtype="float32"), ops.softmax(logits, 0)
    kept = losses.CategoricalCrossentropy()(onehot, by_column)
    assert number(kept) == pytest.approx(number(losses.CategoricalCrossentropy()(onehot, by_column.numpy())), rel=1e-6)


def test_sigmoid_before_the_loss_is_undone_so_that_saturated_outputs_learn() -> None:
    logits = constant(np.array([[90.0]], "float32"))
    loss = losses.BinaryCrossentropy()(np.zeros((1, 1)), ops.sigmoid(logits))
    assert number(loss) == pytest.approx(90.0)
    assert number(gradients(loss, [logits])[0]) == pytest.approx(1.0)


def test_probabilities_given_as_numbers_are_cut_at_keras_epsilon() -> None:
    loss = losses.BinaryCrossentropy()(np.zeros((1, 1)), np.ones((1, 1)))
    assert number(loss) == pytest.approx(-np.log(np.float32(1) - np.float32(1 - 1e-7)), rel=1e-6)


@pytest.mark.parametrize("function", [losses.sparse_categorical_crossentropy, ops.sparse_categorical_crossentropy])
def test_rows_that_are_no_distribution_have_the_loss_of_their_logarithms_as_logits(function: Any) -> None:
    """The numbers of Keras 3.15.1 on TensorFlow, finite where a row is all zero."""
    rows = constant(np.array([[1, 0, 1], [1, 1, 0], [0.5, 0.2, 0.9], [0, 0, 0]], "float32"))
    found = function(np.array([1, 2, 0, 1]), rows)
    gradient = gradients(ops.sum(found), [rows])[0]  # before numbers are asked for: constants stand for them then
    np.testing.assert_allclose(np.asarray(found), [16.811243, 16.811243, 1.1631508, 1.0986123], rtol=1e-6)
    slope = np.zeros((4, 3))
    slope[2] = -1.375, 0.625, 0.625
    np.testing.assert_allclose(np.asarray(gradient), slope, rtol=1e-6)


def test_a_head_that_gives_only_zeros_keeps_its_weights_finite() -> None:
    model = keras.Sequential([keras.Input((2,)), layers.Dense(3, "relu", kernel_initializer=Constant(-1.0))])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=[metrics.SparseCategoricalCrossentropy()])
    history = model.fit(np.ones((3, 2)), np.array([0, 1, 2]), epochs=2, verbose=0).history
    for found in history.values():
        assert found == pytest.approx([np.log(3)] * 2, rel=1e-6)
    np.testing.assert_array_equal(model.get_weights()[0], -np.ones((2, 3)))


@pytest.mark.parametrize(
    ("loss", "activation", "label"),
    [
        (losses.CategoricalCrossentropy, ops.softmax, [[1.0, 0.0]]),
        (losses.SparseCategoricalCrossentropy, ops.softmax, [1]),
        (losses.BinaryCrossentropy, ops.sigmoid, [[1.0, 0.0]]),
    ],
)
def test_from_logits_on_probabilities_warns_and_takes_the_logits(loss: Any, activation: Any, label: Any) -> None:
    logits = constant(np.array([[0.3, -0.7]], "float32"))
    with pytest.warns(UserWarning, match="has from_logits=True, but the output went through S"):
        warned = loss(from_logits=True)(np.array(label), activation(logits))
    assert number(warned) == pytest.approx(number(loss(from_logits=True)(np.array(label), logits)))


# -- labels that do not fit ----------------------------------------------------------------------------------------


def labels(*shape: Any, dtype: str = "float32") -> Value:
    return input_value("y", dtype, shape)


def output(*shape: Any) -> Value:
    return input_value("p", "float32", shape)


def test_class_numbers_for_one_hot_labels_are_explained() -> None:
    with pytest.raises(
        DataError,
        match=r"Loss 'categorical_crossentropy' needs one-hot labels, one column per class, of the output's shape "
        r"\(batch, 3\); got labels of shape \(batch,\).* use loss='sparse_categorical_crossentropy'.*to_categorical",
    ):
        losses.CategoricalCrossentropy()(labels(BATCH, dtype="int32"), output(BATCH, 3))


def test_one_hot_labels_for_class_numbers_are_explained() -> None:
    with pytest.raises(
        DataError,
        match=r"needs one class number per prediction: labels of shape \(batch,\) for an output of shape \(batch, 3\); "
        r"got labels of shape \(batch, 3\). One-hot labels belong to loss='categorical_crossentropy'",
    ):
        losses.SparseCategoricalCrossentropy()(labels(BATCH, 3), output(BATCH, 3))


@pytest.mark.parametrize("loss", [losses.MeanSquaredError(), losses.Huber(), losses.KLDivergence(), losses.Poisson()])
def test_labels_of_another_width_are_explained(loss: losses.Loss) -> None:
    with pytest.raises(
        DataError, match=r"needs labels of the output's shape \(batch, 3\); got labels of shape \(batch, 2\)"
    ):
        loss(labels(BATCH, 2), output(BATCH, 3))


def test_binary_crossentropy_does_not_broadcast() -> None:
    with pytest.raises(DataError, match=r"'binary_crossentropy' needs labels of the output's shape \(batch, 1\)"):
        losses.BinaryCrossentropy()(labels(BATCH, 2), output(BATCH, 1))


def test_categorical_crossentropy_of_another_number_of_steps_does_not_talk_of_classes() -> None:
    with pytest.raises(DataError, match=r"needs labels of the output's shape \(batch, 4, 3\)"):
        losses.CategoricalCrossentropy()(labels(BATCH, 5, 3), output(BATCH, 4, 3))


def test_mean_squared_error_broadcasts_as_keras_does() -> None:
    value = losses.MeanSquaredError()(np.array([[1.0, 2.0, 3.0]]), np.array([[2.0]]))
    assert number(value) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("options", "expected"), [({}, 0.08664), ({"label_smoothing": 0.2}, 0.08664), ({"axis": 1}, 0.3662)], ids=str
)
def test_focal_crossentropy_broadcasts_as_keras_does(options: dict[str, Any], expected: float) -> None:
    loss = losses.CategoricalFocalCrossentropy(**options)
    assert number(loss(np.ones((4, 3, 1)), np.full((4, 3, 2), 0.3))) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("y", [np.array([0, 1, 2, 1]), np.array([[0], [1], [2], [1]])], ids=["flat", "column"])
def test_focal_crossentropy_of_class_numbers_is_refused_before_training(y: Any) -> None:
    model = keras.Sequential([keras.Input((2,)), layers.Dense(3, "softmax")])
    model.compile("sgd", losses.CategoricalFocalCrossentropy())
    with pytest.raises(DataError, match=r"labels that are class numbers use .*to_categorical\(y, 3\)"):
        model.fit(np.ones((4, 2)), y, verbose=0)


def test_vector_of_labels_fits_a_column_of_outputs() -> None:
    assert losses.MeanSquaredError(reduction="none")(labels(BATCH), output(BATCH, 1)).type.shape == (BATCH,)


def test_the_number_of_classes_may_be_open_where_labels_are_numbers() -> None:
    loss = losses.SparseCategoricalCrossentropy(reduction="none")
    assert loss(labels(BATCH), output(BATCH, TIME)).type.shape == (BATCH,)
    with pytest.raises(DataError, match="needs to know the number of classes"):
        losses.CategoricalCrossentropy(label_smoothing=0.1)(output(BATCH, TIME), output(BATCH, TIME))


# -- label values --------------------------------------------------------------------------------------------------

SPARSE = losses.SparseCategoricalCrossentropy()


@pytest.mark.parametrize("y", [np.array([0, 2, 1]), np.array([[0.0], [2.0]]), np.array([True, False]), np.array([])])
def test_class_numbers_within_the_output_pass(y: Any) -> None:
    losses.check_labels(SPARSE, y, (None, 3))


@pytest.mark.parametrize(("y", "found"), [([0, 3], "3"), ([-1, 0], "-1"), ([1.0, 7.0], "7")])
def test_class_number_beyond_the_output_is_reported(y: Any, found: str) -> None:
    with pytest.raises(DataError, match=rf"needs labels from 0 to 2, because the output has 3 classes; got {found}\."):
        losses.check_labels(losses.sparse_categorical_crossentropy, np.array(y), (None, 3))


def test_ignored_class_may_lie_beyond_the_output() -> None:
    ignoring = losses.SparseCategoricalCrossentropy(ignore_class=255)
    losses.check_labels(ignoring, np.array([0, 255, 2]), (None, 3))
    with pytest.raises(DataError, match="got 254"):
        losses.check_labels(ignoring, np.array([0, 255, 254]), (None, 3))


def test_class_numbers_are_whole() -> None:
    with pytest.raises(DataError, match="needs labels that are whole numbers, one class each; got 0.5"):
        losses.check_labels(SPARSE, np.array([1.0, 0.5]), (None, 3))


def test_class_names_are_not_class_numbers() -> None:
    with pytest.raises(DataError, match="needs labels that are class numbers; got an array of <U3"):
        losses.check_labels(SPARSE, np.array(["cat", "dog"]), (None, 3))


def test_other_losses_take_any_number() -> None:
    losses.check_labels(losses.MeanSquaredError(), np.array([-3.5]), (None, 1))


def test_classes_lie_along_the_axis_of_the_loss() -> None:
    first = losses.SparseCategoricalCrossentropy(axis=1)
    with pytest.raises(DataError, match="from 0 to 1"):
        losses.check_labels(first, np.array([[2, 0, 1]]), (None, 2, 3))


@pytest.mark.parametrize("y", [[0, 3], [0, -1], [[0], [3]]], ids=str)
def test_losses_and_metrics_called_by_hand_refuse_labels_that_are_no_class(y: Any) -> None:
    p, labels = np.array([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]], "float32"), np.array(y)
    calls: list[Any] = [
        SPARSE,
        losses.sparse_categorical_crossentropy,
        keras.metrics.SparseCategoricalCrossentropy(),
    ]
    for call in calls:
        with pytest.raises(DataError, match="needs labels from 0 to 2"):
            call(labels, p)
    ignoring = losses.SparseCategoricalCrossentropy(ignore_class=int(labels.flat[1]))
    assert number(ignoring(labels, p)) == pytest.approx(-np.log(0.2), rel=1e-5)


# -- numbers at the edges ------------------------------------------------------------------------------------------


def test_hinge_reads_zeros_and_ones_as_signs_and_leaves_other_labels() -> None:
    pred = np.array([[0.5, -0.25]])
    assert number(losses.Hinge()([[1.0, 0.0]], pred)) == pytest.approx(number(losses.Hinge()([[1.0, -1.0]], pred)))
    assert number(losses.Hinge()([[1.0, 0.5]], pred)) == pytest.approx((0.5 + 1.125) / 2)


def test_cosine_similarity_of_a_zero_vector_is_zero_and_its_gradient_finite() -> None:
    pred = constant(np.zeros((1, 3), "float32"))
    value = losses.CosineSimilarity()(np.ones((1, 3)), pred)
    slope = np.asarray(gradients(value, [pred])[0])  # before numbers are asked for: constants stand for them then
    assert np.isfinite(slope).all()
    assert slope.any()
    assert number(value) == 0.0


@pytest.mark.parametrize(("length", "expected"), [(1e-7, -0.8), (1e-9, -0.01789), (1e-11, -0.00018)])
def test_cosine_similarity_takes_vectors_for_no_shorter_than_keras_does(length: float, expected: float) -> None:
    pred = np.array([[2.0, 1.0]], "float32") * np.float32(length)
    assert number(losses.CosineSimilarity()(np.array([[1.0, 2.0]]), pred)) == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("q", [0.0, 1.0, -0.5])
def test_exponent_of_the_generalized_crossentropy_lies_between_zero_and_one(q: float) -> None:
    with pytest.raises(ConfigError, match=r"q must be in the interval \(0, 1\)"):
        losses.CategoricalGeneralizedCrossEntropy(q=q)


def test_half_precision_outputs_are_computed_in_single_precision() -> None:
    value = losses.MeanSquaredError()(np.zeros((1, 1)), np.full((1, 1), 300.0, "float16"))
    assert value.dtype == "float32"
    assert number(value) == 90000.0


# Loss and gradient by the logit, as Keras 3.15.1 has them on TensorFlow; its gradients with gamma=0 are NaN.
@pytest.mark.parametrize(
    ("logit", "label", "options", "expected", "slope"),
    [
        (-20.0, 1.0, {}, 20.0, -1.0),
        (-40.0, 1.0, {}, 40.0, -1.0),
        (-3.0, 1.0, {}, 2.7663, -1.127),
        (40.0, 1.0, {}, 0.0, 0.0),
        (60.0, 0.0, {}, 60.0, 1.0),
        (-40.0, 1.0, {"label_smoothing": 0.1}, 34.295, -0.857),
        (-40.0, 1.0, {"apply_class_balancing": True, "alpha": 0.7}, 28.0, -0.7),
        (60.0, 0.0, {"gamma": 0.0}, 60.0, 1.0),
        (-40.0, 0.0, {"gamma": 0.0}, 0.0, 0.0),
    ],
)
@pytest.mark.parametrize("from_logits", [False, True], ids=["sigmoid", "logits"])
def test_focal_crossentropy_of_sure_mistakes_has_a_gradient(
    logit: float, label: float, options: dict[str, Any], expected: float, slope: float, from_logits: bool
) -> None:
    x = constant(np.array([[logit]], "float32"))
    loss = losses.BinaryFocalCrossentropy(from_logits=from_logits, **options)
    value = loss([[label]], x if from_logits else keras.ops.sigmoid(x))
    assert number(value) == pytest.approx(expected, abs=2e-4)
    assert number(gradients(value, [x])[0]) == pytest.approx(slope, abs=1e-3)


# -- pairs of embeddings -------------------------------------------------------------------------------------------


def circle_by_hand(labels: Any, x: Any, gamma: float, margin: float) -> list[float]:
    """The loss of each sample, pair by pair in double precision."""
    found = []
    for i, anchor in enumerate(x):
        near = [1 - anchor @ x[j] for j in range(len(x)) if labels[j] == labels[i] and j != i]
        far = [1 - anchor @ x[j] for j in range(len(x)) if labels[j] != labels[i]]
        pull = sum(np.exp(-gamma * max(margin + d, 0) * (margin - d)) for d in near)
        push = sum(np.exp(gamma * max(1 + margin - d, 0) * (1 - margin - d)) for d in far)
        found.append(np.log1p(pull * push))
    return found


@pytest.mark.parametrize("shape", [(7,), (7, 1)])
def test_circle_loss_is_that_of_all_pairs_one_by_one(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(4).normal(size=(7, 3))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    labels = np.array([0, 0, 1, 1, 1, 2, 0])  # class 2 has no pair of its own
    expected = circle_by_hand(labels, x, 5.0, 0.3)
    value = constant(x)
    loss = losses.circle(labels.reshape(shape), value, gamma=5.0, margin=0.3)
    np.testing.assert_allclose(loss, expected, rtol=1e-9, atol=1e-12)
    whole = losses.Circle(5.0, 0.3, dtype="float64")(labels.reshape(shape), value)
    assert float(whole) == pytest.approx(np.mean([one for one in expected if one > 0]), rel=1e-9)
    slope = np.asarray(gradients(whole, [value])[0])
    step = np.zeros_like(x)
    step[2, 1] = 1e-6
    above, below = (float(losses.Circle(5.0, 0.3, dtype="float64")(labels, x + s)) for s in (step, -step))
    assert slope[2, 1] == pytest.approx((above - below) / 2e-6, abs=1e-6)


def test_circle_loss_of_samples_without_pairs_is_zero_and_has_no_slope() -> None:
    value = constant(np.eye(3, dtype="float32"))
    loss = losses.Circle()([0, 1, 2], value)
    assert float(loss) == 0.0
    assert not np.asarray(gradients(loss, [value])[0]).any()


def test_circle_loss_takes_reference_samples_and_names_what_does_not_fit() -> None:
    x = np.eye(3)[[0, 1, 2, 0]]
    alone = np.asarray(losses.circle([0, 1, 1, 0], x, gamma=4.0))
    beside = np.asarray(losses.circle([0, 1], x[:2], [0, 1, 1, 0], x, gamma=4.0))
    np.testing.assert_allclose(beside, alone[:2], rtol=1e-6)
    with pytest.raises(DataError, match="Loss 'circle' needs labels that are class numbers"):
        losses.circle(np.ones((4, 2)), x)
