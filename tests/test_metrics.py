"""Metrics beyond the recorded cases: which one a name means, masks, users' own, messages."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from kit.graph_runs import on_numpy
from seqc import metrics, ops
from seqc.errors import ConfigError, DataError, NotBuiltError
from seqc.graph.dims import symbol
from seqc.graph.ir import Graph, Value, constant, input_value
from seqc.graph.tracing import Trace, tracing
from seqc.serialization import register_keras_serializable

BATCH = symbol("batch")


def number(value: Any) -> float:
    return float(np.asarray(value).item())


# -- which metric a name means -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["accuracy", "acc", "Accuracy"])
@pytest.mark.parametrize(
    ("y_true", "y_pred", "expected"),
    [
        ((None, 1), (None, 1), metrics.BinaryAccuracy),
        ((None,), (None, 1), metrics.BinaryAccuracy),
        ((None,), (None, 3), metrics.SparseCategoricalAccuracy),
        ((None, 1), (None, 3), metrics.SparseCategoricalAccuracy),
        ((None, 5), (None, 5, 3), metrics.SparseCategoricalAccuracy),
        ((None, 3), (None, 3), metrics.CategoricalAccuracy),
        ((None, 5, 3), (None, 5, 3), metrics.CategoricalAccuracy),
    ],
)
def test_accuracy_is_chosen_by_the_shapes_and_keeps_its_name(
    name: str, y_true: Any, y_pred: Any, expected: type
) -> None:
    metric = metrics.resolve(name, y_true, y_pred)
    assert type(metric) is expected
    assert metric.name == name


@pytest.mark.parametrize(
    ("y_true", "y_pred", "expected"),
    [
        ((None, 1), (None, 1), metrics.BinaryCrossentropy),
        ((None,), (None, 3), metrics.SparseCategoricalCrossentropy),
        ((None, 3), (None, 3), metrics.CategoricalCrossentropy),
    ],
)
def test_crossentropy_is_chosen_by_the_shapes(y_true: Any, y_pred: Any, expected: type) -> None:
    assert type(metrics.resolve("crossentropy", y_true, y_pred)) is expected


def test_short_name_names_the_metric() -> None:
    metric = metrics.resolve("mse", (None, 1), (None, 1))
    assert type(metric) is metrics.MeanSquaredError
    assert metric.name == "mse"


def test_object_keeps_its_own_name() -> None:
    given = metrics.BinaryAccuracy(name="hits", threshold=0.3)
    assert metrics.resolve(given, (None, 1), (None, 1)) is given
    assert given.name == "hits"


def test_accuracy_by_get_compares_for_equality_whatever_the_shapes() -> None:
    assert type(metrics.get("accuracy")) is metrics.Accuracy


def test_every_identifier_of_keras_is_known_unless_its_metric_is_left_out(shared_dir: Any) -> None:
    known = json.loads((shared_dir / "oracle" / "identifiers.json").read_text())["metrics"]
    for identifier, meaning in known.items():
        if hasattr(metrics, meaning) and meaning != "Metric":
            assert type(metrics.get(identifier)).__name__ == meaning


@pytest.mark.parametrize("identifier", ["foo", 3, {"class_name": "Foo", "config": {}}])
def test_unknown_metric_is_named(identifier: Any) -> None:
    with pytest.raises(ConfigError, match="Could not interpret metric identifier: "):
        metrics.get(identifier)


# -- users' own ----------------------------------------------------------------------------------------------------


def mean_distance(y_true: Any, y_pred: Any, power: float = 1.0) -> Value:
    return ops.mean(ops.absolute(y_true - y_pred) ** power, -1)


def test_function_is_wrapped_under_its_own_name() -> None:
    metric = metrics.resolve(mean_distance, (None, 1), (None, 1))
    assert isinstance(metric, metrics.MeanMetricWrapper)
    assert metric.name == "mean_distance"
    assert number(metric(np.array([[1.0], [2.0]]), np.array([[2.0], [5.0]]))) == 2.0


def test_wrapped_function_with_arguments_comes_back_from_its_configuration() -> None:
    registered = register_keras_serializable("tests", "mean_distance")(mean_distance)
    metric = metrics.MeanMetricWrapper(registered, name="d", power=2.0)
    again = metrics.get(metrics.serialize(metric))
    assert again.get_config() == metric.get_config()
    assert number(again([[1.0]], [[4.0]])) == 9.0


@pytest.mark.parametrize("name", ["mean_squared_error", "sparse_categorical_accuracy"])
def test_wrapper_takes_the_name_of_one_of_our_functions(name: str) -> None:
    metric = metrics.MeanMetricWrapper(name)
    assert metric.fn is getattr(metrics, name)
    assert metric.name == name


def test_own_class_with_other_metrics_inside_reports_and_resets_all_state() -> None:
    class Spread(metrics.Metric):
        def __init__(self, name: str = "spread", scale: float = 1.0) -> None:
            super().__init__(name=name)
            self.scale = scale
            self.largest = self.add_weight(name="largest")
            self.inner = metrics.Mean(name="inner")

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.inner.update_state(y_pred)
            self.largest.assign(ops.maximum(self.largest, ops.max(ops.absolute(y_pred))))

        def result(self) -> Value:
            return (self.largest - self.inner.result()) * self.scale

    metric = Spread(scale=2.0)
    metric.update_state(None, np.array([1.0, 5.0], "float32"))
    assert number(metric.result()) == 4.0
    assert [v.path for v in metric.variables] == ["spread/largest", "inner/total", "inner/count"]
    assert metric.get_config() == {"name": "spread", "dtype": "float32", "scale": 2.0}
    metric.reset_state()
    assert [number(v) for v in metric.variables] == [0.0, 0.0, 0.0]


def test_arguments_of_variables_stand_in_the_order_of_keras() -> None:
    metric = metrics.Mean()
    made = [
        metric.add_variable((2,), "ones", "float64", "mean", "one"),
        metric.add_variable((2,), "ones", dtype="float64", aggregation="sum", name="one"),
        metric.add_weight((2,), "ones", "float64", "one"),
    ]
    assert [(v.name, v.dtype, v.shape, v.numpy().tolist()) for v in made] == [("one", "float64", (2,), [1.0, 1.0])] * 3


def test_class_without_its_methods_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Metric does not define update_state"):
        metrics.Metric().update_state([1.0], [1.0])
    with pytest.raises(NotImplementedError, match="Metric does not define result"):
        metrics.Metric().result()


# -- state ---------------------------------------------------------------------------------------------------------


def test_mean_before_the_first_batch_is_zero() -> None:
    assert number(metrics.Mean().result()) == 0.0


def test_reset_starts_again() -> None:
    metric = metrics.MeanAbsoluteError()
    metric.update_state([[0.0]], [[4.0]])
    metric.reset_state()
    metric.update_state([[0.0]], [[2.0]])
    assert number(metric.result()) == 2.0


def test_update_in_a_graph_changes_nothing_until_it_runs() -> None:
    metric, trace = metrics.Sum(), Trace()
    with tracing(trace):
        metric.update_state(np.array([3.0], "float32"))
        inside = metric.result()
    assert number(metric.result()) == 0.0
    assert inside.inputs == (trace.updates[metric.total],)  # nothing passes a gradient back through an assignment


def test_state_has_the_dtype_of_the_metric() -> None:
    metric = metrics.Mean(dtype="float64")
    metric.update_state(np.array([0.1]))
    assert metric.total.dtype == "float64"
    assert number(metric.result()) == 0.1


# -- masks and weights ---------------------------------------------------------------------------------------------


def test_steps_masked_in_the_output_do_not_count() -> None:
    metric = metrics.SparseCategoricalAccuracy()
    scores = np.eye(3, dtype="float32")[[[0, 1, 2], [0, 0, 0]]]
    trace = Trace()
    with tracing(trace):
        pred = constant(scores)
        trace.masks[pred] = constant(np.array([[True, True, True], [True, False, False]]))
        metric.update_state(np.array([[0, 1, 0], [0, 1, 1]]), pred)
        outputs = tuple(trace.updates[v] for v in metric.variables)
    run = on_numpy(Graph(tuple(trace.reads.values()), outputs, ("total", "count")))
    total, count = run([v.array for v in trace.reads])
    # The mean over the steps of each sample comes first, as in Keras.
    assert number(total) == pytest.approx(2 / 3 + 1 / 3)
    assert number(count) == pytest.approx(1 + 1 / 3)


def test_ignored_class_counts_as_zero_and_only_weights_leave_it_out() -> None:
    labels, scores = np.array([0, -1]), np.array([[0.5, 0.5], [0.9, 0.1]], "float32")
    plain = metrics.SparseCategoricalCrossentropy(ignore_class=-1)
    plain.update_state(labels, scores)
    weighted = metrics.SparseCategoricalCrossentropy(ignore_class=-1)
    weighted.update_state(labels, scores, sample_weight=np.ones(2))
    assert number(weighted.result()) == pytest.approx(np.log(2))
    assert number(plain.result()) == pytest.approx(np.log(2) / 2)


def test_weights_per_sample_broadcast_over_steps() -> None:
    metric = metrics.MeanSquaredError()
    metric.update_state(np.zeros((2, 2, 1)), np.array([[[1.0], [3.0]], [[2.0], [2.0]]]), sample_weight=[1.0, 3.0])
    assert number(metric.result()) == pytest.approx((5.0 + 3 * 4.0) / 4)


# -- accuracies ----------------------------------------------------------------------------------------------------


def test_binary_accuracy_takes_the_threshold_itself_for_a_zero() -> None:
    assert number(metrics.BinaryAccuracy()([[0.0], [1.0]], [[0.5], [0.5]])) == 0.5


@pytest.mark.parametrize(("dtype", "hits"), [("float16", "0011100"), ("float32", "0000000"), ("float64", "0000110")])
def test_binary_accuracy_compares_in_single_precision_at_least(dtype: str, hits: str) -> None:
    """As Keras 3.15.1 does: a threshold is a float32, and so is not less than itself in other precisions."""
    for threshold, expected in zip((0.1, 0.5, 0.3, 0.6, 0.7, 0.9, 1), hits, strict=True):
        scores, labels = np.array([[threshold]], dtype), np.ones((1, 1), "float32")
        for value in (
            metrics.BinaryAccuracy(threshold=threshold)(labels, scores),
            metrics.binary_accuracy(labels, scores, threshold=threshold),
        ):
            assert number(value) == float(expected), threshold


def test_first_of_several_equal_scores_is_the_prediction() -> None:
    assert number(metrics.SparseCategoricalAccuracy()([0, 1], [[0.5, 0.5], [0.5, 0.5]])) == 0.5


def test_top_k_counts_ties_with_the_last_place_as_hits() -> None:
    scores = np.array([[0.2, 0.2, 0.2, 0.4]], "float32")
    assert number(metrics.SparseTopKCategoricalAccuracy(k=2)([1], scores)) == 1.0
    assert number(metrics.SparseTopKCategoricalAccuracy(k=1)([1], scores)) == 0.0


@pytest.mark.parametrize(
    ("scores", "label", "k", "hit"),
    [
        ([1.0, 2.0, -np.inf], 0, 1, 0.0),
        ([1.0, 2.0, -np.inf], 1, 1, 1.0),
        ([1.0, 2.0, -np.inf], 2, 3, 0.0),
        ([1.0, np.inf, 0.0], 0, 1, 0.0),
        ([1.0, np.inf, 0.0], 1, 1, 0.0),
        ([np.nan] * 3, 0, 1, 0.0),
        ([-3.0, -2.0, -1.0], 7, 3, 0.0),
    ],
)
def test_top_k_hits_finite_scores_of_classes_only(scores: list[float], label: int, k: int, hit: float) -> None:
    pred = np.array([scores], "float32")
    assert number(metrics.SparseTopKCategoricalAccuracy(k=k)([label], pred)) == hit
    if label < 3:
        assert number(metrics.TopKCategoricalAccuracy(k=k)(np.eye(3)[[label]], pred)) == hit


def test_sorted_ids_are_searched_for_the_label() -> None:
    metric = metrics.SparseTopKCategoricalAccuracy(k=2, from_sorted_ids=True)
    assert number(metric([3, 3], [[3.0, 1.0, 0.0], [0.0, 1.0, 3.0]])) == 0.5


def test_labels_of_another_shape_are_explained() -> None:
    with pytest.raises(
        DataError, match=r"Metric 'sparse_categorical_accuracy' needs one class number per prediction.*got labels"
    ):
        metrics.SparseCategoricalAccuracy().update_state(
            input_value("y", "int64", (BATCH, 2)), input_value("p", "float32", (BATCH, 3))
        )


def test_top_k_needs_a_known_number_of_classes() -> None:
    with pytest.raises(DataError, match="Top-k accuracy needs to know the number of classes"):
        metrics.SparseTopKCategoricalAccuracy().update_state(
            input_value("y", "int64", (BATCH,)), input_value("p", "float32", (BATCH, symbol("classes")))
        )


# -- counts, curves and scores -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: metrics.Precision(thresholds=1.5), "Threshold values must be in [0, 1]. Received: [1.5]"),
        (lambda: metrics.TruePositives(thresholds=[0.5, -1.0]), "Threshold values must be in [0, 1]. Received: [-1.0]"),
        (
            lambda: metrics.AUC(curve="foo"),
            'Invalid AUC curve value: "foo". Expected values are ["PR", "ROC", "PRGAIN"]',
        ),
        (lambda: metrics.AUC(summation_method="foo"), 'Invalid AUC summation method value: "foo".'),
        (lambda: metrics.AUC(num_thresholds=1), "`num_thresholds` must be an integer > 1."),
        (lambda: metrics.AUC(num_labels=3), "`num_labels` is needed only when `multi_label` is True."),
        (lambda: metrics.PrecisionAtRecall(1.5), "Argument `recall` must be in the range [0, 1]. Received: recall=1.5"),
        (lambda: metrics.PrecisionAtRecall(0.5, num_thresholds=0), "`num_thresholds` must be an integer > 0."),
        (
            lambda: metrics.FBetaScore(average="foo"),
            "Invalid `average` argument value. Expected one of: {None, 'micro'",
        ),
        (lambda: metrics.FBetaScore(beta=-1.0), "Invalid `beta` argument value."),
        (lambda: metrics.F1Score(threshold=1.5), "Invalid `threshold` argument value."),
        (lambda: metrics.R2Score(class_aggregation="foo"), "Invalid value for argument `class_aggregation`."),
        (lambda: metrics.R2Score(num_regressors=-1), "Invalid value for argument `num_regressors`."),
        (lambda: metrics.IoU(2, [2]), "Target class id 2 is out of range, which is [0, 2)."),
    ],
)
def test_argument_out_of_range_is_explained(make: Any, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        make()
    assert message in str(error.value)


def test_single_threshold_gives_a_number_and_several_give_one_each() -> None:
    labels, scores = np.array([1.0, 1.0, 0.0]), np.array([0.9, 0.4, 0.6])
    assert number(metrics.Recall()(labels, scores)) == 0.5
    np.testing.assert_allclose(np.asarray(metrics.Recall(thresholds=[0.3, 0.95])(labels, scores)), [1.0, 0.0])


def test_of_equal_scores_the_first_are_among_the_top_k() -> None:
    metric = metrics.Precision(top_k=1)
    assert number(metric([[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.5], [0.5, 0.5]])) == 0.5


def test_class_id_needs_classes() -> None:
    with pytest.raises(DataError, match=r"class_id needs predictions \(samples, classes\); got float32\[2\]"):
        metrics.Precision(class_id=1).update_state([0.0, 1.0], [0.5, 0.5])


CLASS_METRICS = [
    (metrics.Precision, ()),
    (metrics.Recall, ()),
    (metrics.SensitivityAtSpecificity, (0.5,)),
    (metrics.PrecisionAtRecall, (0.5,)),
]


@pytest.mark.parametrize(("kind", "options"), CLASS_METRICS)
def test_class_id_counts_from_the_end_where_it_is_negative_and_is_one_of_the_classes(kind: Any, options: Any) -> None:
    labels = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    scores = np.array([[0.1, 0.2, 0.9], [0.9, 0.3, 0.6], [0.8, 0.7, 0.7]], "float32")
    for negative in (-1, -2, -3):
        found = number(kind(*options, class_id=negative)(labels, scores))
        assert found == number(kind(*options, class_id=negative + 3)(labels, scores))
        assert found > 0 or negative == -3
    for beyond in (3, -4):
        with pytest.raises(DataError, match=f"class_id={beyond} is none of the 3 classes"):
            kind(*options, class_id=beyond).update_state(labels, scores)


def test_area_under_the_curve_of_a_perfect_and_a_reversed_ranking() -> None:
    labels, scores = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.2, 0.8, 0.9])
    assert number(metrics.AUC()(labels, scores)) == pytest.approx(1.0)
    assert number(metrics.AUC()(labels, 1 - scores)) == pytest.approx(0.0)


def test_area_from_logits_is_that_of_their_probabilities() -> None:
    labels, logits = np.array([0.0, 1.0, 0.0, 1.0]), np.array([-2.0, -1.0, 0.5, 3.0])
    direct = metrics.AUC(from_logits=True)(labels, logits)
    assert number(direct) == pytest.approx(number(metrics.AUC()(labels, 1 / (1 + np.exp(-logits)))))


def test_area_with_given_thresholds_comes_back_from_its_configuration() -> None:
    metric = metrics.AUC(thresholds=[0.7, 0.3], curve="pr", label_weights=[1.0, 2.0])
    again = metrics.get(metrics.serialize(metric))
    assert again.get_config() == metric.get_config()
    assert again.get_config()["num_thresholds"] == 4


@pytest.mark.parametrize(
    "metric", [metrics.AUC(multi_label=True), metrics.F1Score(), metrics.R2Score()], ids=lambda m: type(m).__name__
)
def test_result_before_the_number_of_columns_is_known_is_refused(metric: metrics.Metric) -> None:
    with pytest.raises(NotBuiltError, match="after its first batch only"):
        metric.result()


@pytest.mark.parametrize("metric", [metrics.F1Score(), metrics.R2Score()], ids=lambda m: type(m).__name__)
def test_scores_per_column_need_columns(metric: metrics.Metric) -> None:
    with pytest.raises(DataError, match=r"expects 2D inputs with shape \(batch_size, output_dim\)"):
        metric.update_state(np.zeros(3), np.zeros(3))


@pytest.mark.parametrize("average", [None, "micro", "macro", "weighted"])
def test_labels_in_a_row_make_no_table_with_a_column_of_predictions(average: str | None) -> None:
    metric = metrics.F1Score(average, 0.5)
    labels, scores = np.array([1.0, 0.0, 1.0]), np.array([[0.9], [0.2], [0.3]], "float32")
    with pytest.raises(DataError, match="F1Score expects 2D inputs"):
        metric.update_state(labels, scores)
    metric.update_state(labels[:, None], scores)
    assert float(np.squeeze(np.asarray(metric.result()))) == pytest.approx(2 / 3)
    with pytest.raises(DataError, match="F1Score expects 2D inputs"):  # nor later on
        metric.update_state(labels, scores)


def test_explained_variance_of_labels_that_do_not_vary_is_what_keras_says() -> None:
    labels = np.ones((3, 1))
    assert np.isnan(number(metrics.R2Score()(labels, labels)))
    assert number(metrics.R2Score()(labels, labels * 2)) == 0.0


def test_adjusted_score_falls_back_where_there_are_too_few_samples() -> None:
    true, pred = np.array([[1.0], [2.0], [4.0]]), np.array([[1.0], [2.5], [3.5]])
    plain, adjusted = metrics.R2Score()(true, pred), metrics.R2Score(num_regressors=2)(true, pred)
    assert number(adjusted) == number(plain)


def test_class_numbers_out_of_range_do_not_count() -> None:
    metric = metrics.MeanIoU(num_classes=2)
    assert number(metric([0, 1, 7, -3], [0, 1, 0, 1])) == pytest.approx(1.0)
