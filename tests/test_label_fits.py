"""Which labels and weights fit an output, and what is said of those that do not or can hardly be meant."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers, losses, metrics, ops
from seqc.errors import DataError

N = 8
X = np.linspace(-1, 1, 3 * N, dtype="float32").reshape(N, 3)
SERIES = np.linspace(-1, 1, 12 * N, dtype="float32").reshape(N, 4, 3)
IMAGES = np.linspace(-1, 1, 12 * N, dtype="float32").reshape(N, 4, 3, 1)
ELEMENTWISE = [
    "mse", "mae", "mape", "msle", "huber", "log_cosh", "hinge", "squared_hinge", "categorical_hinge", "kl_divergence",
    "poisson", "cosine_similarity", "dice", "tversky",
]  # fmt: skip


def model(units: int, x: Any = X, loss: Any = "mse", activation: Any = None, **options: Any) -> keras.Sequential:
    made = keras.Sequential([keras.Input(x.shape[1:]), layers.Dense(units, activation=activation)])
    made.compile("sgd", loss, **options)
    return made


# -- shapes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [*ELEMENTWISE, losses.Huber(0.5)], ids=str)
@pytest.mark.parametrize(
    ("x", "units", "shape", "advice"),
    [
        (X, 5, (N, 1), r"compared with all outputs .* Give the last layer 1 unit; .* numpy.repeat\(.*, 5, axis=-1\)"),
        (X, 1, (N, 5), "Change the last layer's units or reshape"),
        (X, 5, (N,), "Give the last layer 1 unit"),
        (SERIES, 2, (N, 4), "Give the last layer 1 unit"),
        (SERIES, 2, (N, 2), "For one prediction per sample put Flatten"),
        (SERIES, 1, (N, 1), "For one prediction per sample put Flatten, .* without return_sequences"),
        (SERIES, 1, (N,), "For one prediction per sample put Flatten"),
        (SERIES, 2, (N, 4, 1), "compared with all outputs"),
    ],
)
def test_labels_that_would_only_broadcast_are_refused_before_training(
    loss: Any, x: Any, units: int, shape: tuple[int, ...], advice: str
) -> None:
    trained = model(units, x, loss)
    before = trained.get_weights()
    with pytest.raises(
        DataError, match=f"Loss '.*' needs labels of the output's shape .*; got labels.*{advice}|{advice}"
    ):
        trained.fit(x, np.ones(shape, "float32"), verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, trained.get_weights(), strict=True))


@pytest.mark.parametrize(
    "metric",
    [
        "mae",
        "cosine_similarity",
        metrics.RootMeanSquaredError(name="rmse"),
        metrics.PearsonCorrelation(),
        metrics.ConcordanceCorrelation(),
    ],
    ids=str,
)
def test_metrics_refuse_labels_that_would_only_broadcast(metric: Any) -> None:
    own = model(5, loss=lambda y, p: ops.mean((y - p) ** 2, -1), metrics=[metric])
    with pytest.raises(
        DataError, match=r"Metric '.*' needs labels of the output's shape \(batch, 5\); got .*\(batch, 1\)"
    ):
        own.evaluate(X, np.ones((N, 1)), verbose=0)


def test_a_last_axis_of_size_one_does_not_count() -> None:
    trained = model(1, metrics=["mae", metrics.RootMeanSquaredError(name="rmse"), metrics.Precision(), metrics.AUC()])
    y: np.ndarray = (np.arange(N) % 2).astype("float32")
    assert trained.evaluate(X, y, verbose=0) == trained.evaluate(X, y[:, None], verbose=0)
    steps = model(1, SERIES)
    y = np.arange(4.0 * N).reshape(N, 4)
    found = steps.evaluate(SERIES, y, verbose=0)
    assert found == pytest.approx(steps.evaluate(SERIES, y[..., None], verbose=0), rel=1e-6)


def test_labels_that_keep_the_axis_along_which_they_repeat_pass_with_a_warning() -> None:
    steps, y = model(2, SERIES), np.arange(2.0 * N).reshape(N, 1, 2)
    with pytest.warns(
        UserWarning, match=r"'mse' repeats labels of shape \(batch, 1, 2\) for an output .*\(batch, 4, 2\)"
    ):
        found = steps.evaluate(SERIES, y, verbose=0)
    assert found == pytest.approx(steps.evaluate(SERIES, np.repeat(y, 4, 1), verbose=0))


def test_a_loss_function_called_by_hand_broadcasts_as_in_keras() -> None:
    found = losses.mean_squared_error(np.zeros((2, 1)), np.array([[1.0, 2.0], [3.0, 4.0]]))
    np.testing.assert_allclose(np.asarray(found), [2.5, 12.5])


CLASSES = np.arange(N) % 3


@pytest.mark.parametrize(
    ("metric", "advice"),
    [
        *(
            (
                kind(name="found"),
                r"labels that are class numbers use .*, or make them one-hot with seqc.utils.to_categorical\(y, 3\)",
            )
            for kind in (metrics.Precision, metrics.Recall, metrics.AUC, metrics.TruePositives, metrics.F1Score)
        ),
        (metrics.R2Score(name="found"), r"to_categorical\(y, 3\)"),
        (metrics.SensitivityAtSpecificity(0.5, name="found"), "one-hot"),
        (metrics.CategoricalAccuracy(name="found"), "use sparse_categorical_accuracy, or make them one-hot"),
        (metrics.TopKCategoricalAccuracy(2, name="found"), "use sparse_categorical_accuracy"),
        (metrics.MeanIoU(3, name="found"), "For predictions with one score per class pass sparse_y_pred=False"),
        (metrics.OneHotMeanIoU(3, name="found"), "takes labels that are scores along axis -1 and predictions"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("labels", [CLASSES, CLASSES[:, None]], ids=["flat", "column"])
def test_a_metric_of_columns_says_what_to_do_with_class_numbers(metric: Any, advice: str, labels: Any) -> None:
    metric = type(metric).from_config(metric.get_config())
    trained = model(3, loss="sparse_categorical_crossentropy", activation="softmax", metrics=[metric])
    named = f"(found|{type(metric).__name__}|categorical_accuracy)"
    with pytest.raises(DataError, match=f"{named}.*{advice}"):
        trained.fit(X, labels, verbose=0)


def test_mean_iou_of_scores_works_as_its_message_advises() -> None:
    metric = metrics.MeanIoU(3, sparse_y_pred=False)
    trained = model(3, loss="sparse_categorical_crossentropy", activation="softmax", metrics=[metric])
    found = trained.evaluate(X, CLASSES, verbose=0)[1]
    predicted = trained.predict(X, verbose=0).argmax(-1)
    shares = [
        ((predicted == c) & (c == CLASSES)).sum() / max(((predicted == c) | (c == CLASSES)).sum(), 1) for c in range(3)
    ]
    assert found == pytest.approx(np.mean(shares), abs=1e-6)


def test_f1_score_asks_for_a_column_of_labels() -> None:
    flat = model(1, loss="binary_crossentropy", activation="sigmoid", metrics=[metrics.F1Score(threshold=0.5)])
    with pytest.raises(DataError, match=r"F1Score expects 2D inputs .* Give the labels a last axis, y\[..., None\]"):
        flat.fit(X, CLASSES == 0, verbose=0)
    flat.fit(X, (CLASSES == 0)[..., None], verbose=0)


# -- weights -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("x", "shape"), [(SERIES, "(n, 1)"), (IMAGES, "(n, 1, 1)")], ids=["series", "images"])
@pytest.mark.parametrize("loss", ["mse", "sparse_categorical_crossentropy"])
def test_the_advice_on_weights_per_sample_is_right(x: Any, shape: str, loss: str) -> None:
    sparse = loss.startswith("sparse")
    trained = model(3 if sparse else 1, x, loss, "softmax" if sparse else None)
    y = np.zeros(x.shape[:-1], int) if sparse else np.zeros((*x.shape[:-1], 1))
    weights = np.arange(N, dtype="float32")
    with pytest.raises(DataError, match="of shape .* do not broadcast against loss values") as caught:
        trained.fit(x, y, sample_weight=weights, verbose=0)
    assert f"One weight per sample is of shape {shape}: numpy.reshape(weights, (-1{', 1' * (x.ndim - 2)}))" in str(
        caught.value
    )
    found = trained.evaluate(x, y, sample_weight=np.reshape(weights, (-1, *[1] * (x.ndim - 2))), verbose=0)
    each = [trained.evaluate(x[i : i + 1], y[i : i + 1], verbose=0) for i in range(N)]
    assert found == pytest.approx(float(np.mean(weights * each)), rel=1e-5)


def test_weights_that_do_not_fit_a_masked_loss_get_the_same_advice() -> None:
    x = np.array([[1, 2, 0], [1, 0, 0], [2, 2, 1], [1, 1, 0]])
    masked = keras.Sequential([keras.Input((3,), dtype="int32"), layers.Embedding(3, 2, mask_zero=True)])
    masked.compile("sgd", "mse")
    with pytest.raises(DataError, match=r"of shape \(batch,\) do not broadcast .* numpy.reshape\(weights, \(-1, 1\)\)"):
        masked.fit(x, np.zeros((4, 3, 2)), sample_weight=np.ones(4), verbose=0)


def test_weights_that_do_not_fit_a_metric_name_it() -> None:
    trained = model(2, SERIES, "mse", weighted_metrics=[metrics.Precision(name="found")])
    own = lambda y, p: ops.mean(ops.square(y - p))  # noqa: E731
    trained.compile("sgd", own, weighted_metrics=[metrics.Precision(name="found")])
    with pytest.raises(DataError, match="do not fit metric 'found', .*decisions of shape .*batch, 4, 2"):
        trained.evaluate(SERIES, np.zeros((N, 4, 2)), sample_weight=np.ones((N, 7)), verbose=0)


@pytest.mark.parametrize(
    ("x", "loss", "y", "text"),
    [
        (SERIES, "sparse_categorical_crossentropy", np.tile([0, 1, 0, 0], (N, 1)), r"y has shape \(8, 4\).* \(8, 4\)"),
        (X, "binary_crossentropy", np.ones((N, 3)), r"row 0 of y is \[1.0, 1.0, 1.0\], which does not say which class"),
        (X, "binary_crossentropy", np.eye(3)[CLASSES] * (CLASSES > 0)[:, None], r"row 0 of y is \[0.0, 0.0, 0.0\]"),
        (X, "mse", np.tile([3.0, 0.0, 1.0], (N, 1)), "row 0 of y"),
    ],
    ids=["steps", "several", "none", "numbers"],
)
def test_class_weights_of_labels_that_say_no_class_are_refused(x: Any, loss: str, y: Any, text: str) -> None:
    trained = model(3, x, loss, "sigmoid")
    with pytest.raises(DataError, match=f"class_weight .*{text}"):
        trained.fit(x, y, class_weight={0: 1.0, 1: 2.0}, verbose=0)


def test_class_weights_take_one_hot_rows_and_rows_of_shares() -> None:
    weights = {0: 1.0, 1: 5.0, 2: 0.5}
    hot = model(3, loss="categorical_crossentropy", activation="softmax")
    expected = hot.evaluate(X, np.eye(3)[CLASSES], sample_weight=np.take([1.0, 5.0, 0.5], CLASSES), verbose=0)
    hot.optimizer.learning_rate = 0.0
    assert hot.fit(X, np.eye(3)[CLASSES], class_weight=weights, verbose=0).history["loss"] == pytest.approx([expected])
    smooth = np.eye(3)[CLASSES] * 0.9 + 0.1 / 3
    expected = hot.evaluate(X, smooth, sample_weight=np.take([1.0, 5.0, 0.5], CLASSES), verbose=0)
    assert hot.fit(X, smooth, class_weight=weights, verbose=0).history["loss"] == pytest.approx([expected])


# -- what can hardly be meant ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (CLASSES % 2 + 1, "takes labels from 0 to 1; got labels from 1 to 2. Subtract 1"),
        (CLASSES % 2 * 2 - 1, "got labels from -1 to 1. For labels -1 and 1 use loss='hinge'"),
        (CLASSES, "got labels from 0 to 2. .* more than two belong to loss='sparse_categorical_crossentropy'"),
    ],
)
@pytest.mark.parametrize("loss", ["binary_crossentropy", losses.BinaryFocalCrossentropy()], ids=["plain", "focal"])
def test_labels_beyond_zero_and_one_are_said_once(labels: Any, text: str, loss: Any) -> None:
    trained = model(1, loss=loss, activation="sigmoid")
    with pytest.warns(UserWarning, match=text) as said:
        trained.fit(X, labels, epochs=2, batch_size=2, validation_data=(X, labels), verbose=0)
    assert len(said) == 1


def test_labels_within_zero_and_one_are_not_remarked_on() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for labels in (CLASSES % 2, np.linspace(0, 1, N), np.full(N, 1.0000001)):
            model(1, loss="binary_crossentropy", activation="sigmoid").fit(X, labels, verbose=0)


def test_a_softmax_over_one_unit_is_remarked_on() -> None:
    for stack in ([layers.Dense(1, activation="softmax")], [layers.Dense(1), layers.Softmax()]):
        with pytest.warns(
            UserWarning, match=r"softmax over axis -1 .*\(None, 1\).* always 1, .* Did you mean a sigmoid"
        ):
            keras.Sequential([keras.Input((3,)), *stack])


@pytest.mark.parametrize(
    "loss", ["categorical_crossentropy", losses.CategoricalFocalCrossentropy()], ids=["plain", "focal"]
)
def test_a_categorical_loss_of_one_unit_is_remarked_on(loss: Any) -> None:
    with pytest.warns(UserWarning, match="one column per class, more than one; .* use loss='binary_crossentropy'"):
        model(1, loss=loss).fit(X, CLASSES % 2, verbose=0)


def test_class_numbers_for_one_unit_are_refused_with_the_way_out() -> None:
    with pytest.raises(
        DataError, match="needs one unit per class, and the output has one; .* 'binary_crossentropy'|sigmoid"
    ):
        model(1, loss="sparse_categorical_crossentropy").fit(X, CLASSES % 2, verbose=0)


class Crossed(losses.Loss):
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(ops.square(y_true - y_pred), -1)


class Pairs(losses.Loss):
    """Near labels shall have near predictions."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        flat = y_pred[:, 0]
        same = ops.cast(ops.equal(y_true[:, None], y_true), "float32")
        return ops.mean(ops.abs(same * ops.square(flat[:, None] - flat)), -1)


def test_an_own_loss_that_sets_every_label_against_every_prediction_is_remarked_on() -> None:
    y = np.arange(N, dtype="float32")
    with pytest.warns(
        UserWarning, match=r"Loss 'crossed.*\[batch\] against predictions .*\[batch, 1\] .* every prediction"
    ):
        model(1, loss=Crossed()).fit(X, y, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(1, loss=Crossed()).fit(X, y[:, None], verbose=0)
        model(1, loss=Pairs()).fit(X, y, verbose=0)


NEEDED: dict[str, dict[str, Any]] = {
    "IoU": {"num_classes": 5, "target_class_ids": [0]}, "MeanIoU": {"num_classes": 5},
    "OneHotIoU": {"num_classes": 5, "target_class_ids": [0]}, "OneHotMeanIoU": {"num_classes": 5},
    "PrecisionAtRecall": {"recall": 0.5}, "RecallAtPrecision": {"precision": 0.5},
    "SensitivityAtSpecificity": {"specificity": 0.5}, "SpecificityAtSensitivity": {"sensitivity": 0.5},
}  # fmt: skip
# What takes values or a function, and no labels by itself.
OF_VALUES = {"Metric", "Mean", "Sum", "MeanMetricWrapper"}


class MeanOfOutputs(keras.Sequential):
    """A model whose loss has nothing to say about labels."""

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        return keras.ops.mean(y_pred)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(6, 1), (6,)], ids=str)
def test_no_metric_but_those_of_class_numbers_takes_one_label_for_five_outputs(shape: Any) -> None:
    classes = {
        n: c for n, c in vars(keras.metrics).items() if isinstance(c, type) and issubclass(c, keras.metrics.Metric)
    }
    taken = set()
    for name in sorted(classes.keys() - OF_VALUES):
        model = MeanOfOutputs([keras.Input((3,)), keras.layers.Dense(5, activation="softmax")])
        model.compile("sgd", metrics=[classes[name](**NEEDED.get(name, {}))])
        try:
            model.evaluate(np.ones((6, 3)), np.ones(shape), verbose=0)
            taken.add(name)
        except DataError:
            pass
    assert {name for name in taken if not name.startswith("Sparse")} == set()
    assert len(taken) == 3
