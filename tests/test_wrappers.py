"""Models as scikit-learn's estimators: its own checks, and what its users do."""

from __future__ import annotations

import functools
import pickle
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.estimator_models import QUICK, Named, classifier, data, network, regressor
from seqc import layers
from seqc.errors import ConfigError

pytest.importorskip("sklearn", reason='scikit-learn is not installed: pip install "seqc[sklearn]"')

import joblib
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from seqc.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer

pytestmark = pytest.mark.slow

# Keras's own tests expect six others to fail: three that need fits that can be repeated, one of decision_function with
# two classes, one with a class that only has weights of zero, and one for too few epochs. More do not run there, as its
# wrappers take no `sample_weight` and no seed.
EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": "a weight scales a sample's loss within its batch, and a sample "
    "that comes twice makes other batches"
}
# Single precision has no 1e-9, which the checks ask for between a sample alone and in a batch.
EXACT = {"dtype": "float64"}


@parametrize_with_checks(
    [
        SKLearnClassifier(Named("classifier"), model_kwargs=EXACT, fit_kwargs=QUICK),
        SKLearnRegressor(Named("regressor"), model_kwargs=EXACT, fit_kwargs=QUICK),
        SKLearnTransformer(Named("regressor"), model_kwargs=EXACT, fit_kwargs=QUICK),
    ],
    expected_failed_checks=lambda _: EXPECTED,
)
@pytest.mark.filterwarnings("ignore")
def test_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


X, Y, NUMBERS = data()
HELD, HELD_Y, _ = data(seed=1)
STANDARD = StandardScaler().fit(X)
XS, HELDS = STANDARD.transform(X), STANDARD.transform(HELD)


def make(**options: Any) -> SKLearnClassifier:
    kwargs = {name: options.pop(name) for name in ("warm_start", "random_state") if name in options}
    return SKLearnClassifier(classifier, model_kwargs=options, fit_kwargs=QUICK, **{"random_state": 0, **kwargs})


def test_predictions_are_those_of_the_model() -> None:
    fitted = make().fit(XS, Y)
    outputs = fitted.model_.predict(HELDS, verbose=0)
    np.testing.assert_array_equal(fitted.decision_function(HELDS), outputs)
    np.testing.assert_array_equal(fitted.predict(HELDS), outputs.argmax(1))
    np.testing.assert_allclose(fitted.predict_proba(HELDS), outputs, rtol=1e-6)
    single = SKLearnRegressor(regressor, fit_kwargs=QUICK).fit(XS, NUMBERS[:, 0])
    np.testing.assert_array_equal(single.predict(HELDS), single.model_.predict(HELDS, verbose=0)[:, 0])
    both = SKLearnRegressor(regressor, fit_kwargs=QUICK).fit(XS, NUMBERS)
    np.testing.assert_array_equal(both.predict(HELDS), both.model_.predict(HELDS, verbose=0))
    assert both.predict(HELDS).shape == (120, 2)
    assert both.score(HELDS, NUMBERS) < 1 < both.history_.history["loss"][0]
    moved = SKLearnTransformer(regressor, fit_kwargs=QUICK).fit(XS, NUMBERS)
    np.testing.assert_array_equal(moved.transform(HELDS), moved.model_.predict(HELDS, verbose=0))
    assert list(moved.get_feature_names_out()) == ["sklearntransformer0", "sklearntransformer1"]


LOGITS = keras.losses.BinaryCrossentropy(from_logits=True)
MANY_LOGITS = keras.losses.CategoricalCrossentropy(from_logits=True)
TWO = (X[:, 1] > 5).astype(int)
# A model's options, labels, and whether its outputs are probabilities.
LABELS: dict[str, tuple[dict[str, Any], Any, bool]] = {
    "three": ({}, Y, True),
    "numbers with gaps": ({}, Y * 7 - 3, True),
    "strings": ({}, np.array(["low", "mid", "top"])[Y], True),
    "objects": ({}, np.array(["low", "mid", "top"], object)[Y], True),
    "booleans": ({}, TWO.astype(bool), True),
    "floats": ({}, Y + 1.0, True),
    "sparse": ({"loss": "sparse_categorical_crossentropy"}, Y, True),
    "logits": ({"loss": MANY_LOGITS, "activation": None}, Y, True),
    "logits of a softmax": ({"loss": MANY_LOGITS}, Y, True),
    "a sigmoid for each": ({"loss": "binary_crossentropy", "activation": "sigmoid"}, Y, True),
    "two columns": ({}, np.array(["no", "yes"])[TWO], True),
    "one sigmoid": ({"loss": "binary_crossentropy", "activation": "sigmoid", "outputs": 1}, TWO + 4, True),
    "one logit": ({"loss": LOGITS, "activation": None, "outputs": 1}, np.array(["no", "yes"])[TWO], True),
    "crossentropy": ({"loss": "crossentropy", "activation": "sigmoid", "outputs": 1}, TWO, True),
    "focal": ({"loss": "binary_focal_crossentropy", "activation": "sigmoid", "outputs": 1}, TWO, True),
    "hinge": ({"loss": "hinge", "activation": "tanh", "outputs": 1}, TWO, False),
    "squares of one": ({"loss": "mse", "activation": None, "outputs": 1}, TWO, False),
    "squares": ({"loss": "mse", "activation": None}, Y, False),
    "ones and zeros": ({}, np.eye(3, dtype=int)[Y], True),
    "several at once": ({}, (X[:, :3] > 5).astype(int), True),
}


@pytest.mark.filterwarnings("ignore:.*from_logits=True, but")
@pytest.mark.parametrize("name", LABELS)
def test_labels_of_all_kinds_come_back(name: str) -> None:
    options, y, probable = LABELS[name]
    fitted = make(**options).fit(XS, y, epochs=60)
    predicted = fitted.predict(XS)
    assert predicted.shape == y.shape
    assert predicted.dtype.kind == y.dtype.kind
    assert np.mean(predicted == y) > 0.9
    assert fitted.score(XS, y) > 0.8
    assert hasattr(fitted, "predict_proba") == probable
    scores = fitted.decision_function(XS)
    if len(fitted.classes_) == 2:
        assert scores.shape == (120,)
        np.testing.assert_array_equal(predicted, fitted.classes_[(scores > 0).astype(int)])
    if probable and y.ndim == 1:
        p = fitted.predict_proba(XS)
        assert p.shape == (120, len(fitted.classes_))
        np.testing.assert_allclose(p.sum(1), 1, rtol=1e-12)
        np.testing.assert_array_equal(fitted.classes_[p.argmax(1)], predicted)
    elif probable:
        np.testing.assert_array_equal(fitted.predict_proba(XS).round(), predicted)


def test_a_fit_is_that_of_the_model_itself() -> None:
    """With sample weights, and with class weights by label."""
    weights = np.linspace(0.2, 2.0, len(XS))
    names = np.array(["low", "mid", "top"])[Y]
    shares = {"low": 1.0, "mid": 3.0, "top": 0.5}
    ways: list[dict[str, Any]] = [{"sample_weight": weights}, {"class_weight": shares}, {"class_weight": "balanced"}]
    for given in ways:
        fitted = make().fit(XS, names, **given)
        balanced = {i: len(Y) / (3 * np.sum(i == Y)) for i in range(3)}
        own: dict[str, Any] = given if "sample_weight" in given else {"class_weight": balanced}
        if given.get("class_weight") is shares:
            own = {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}}
        keras.utils.set_random_seed(int(np.random.RandomState(0).randint(2**31 - 1)))
        model = classifier(XS, np.eye(3)[Y])
        model.fit(XS, np.eye(3, dtype="float32")[Y], **QUICK, **own)
        for ours, theirs in zip(fitted.model_.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def _state_of_numpy() -> Any:
    state: Any = np.random.get_state()  # noqa: NPY002
    return state[1]


def test_a_seed_repeats_a_fit_and_leaves_other_generators_alone() -> None:
    keras.utils.set_random_seed(7)
    before = random.random(), *_state_of_numpy(), *keras.random.uniform((2,))
    keras.utils.set_random_seed(7)
    a = make().fit(XS, Y)
    assert (random.random(), *_state_of_numpy(), *keras.random.uniform((2,))) == before
    b, other = make().fit(XS, Y), make(random_state=1).fit(XS, Y)
    np.testing.assert_array_equal(a.predict_proba(XS), b.predict_proba(XS))
    assert np.any(a.predict_proba(XS) != other.predict_proba(XS))


def test_a_model_is_cloned_and_a_warm_start_goes_on() -> None:
    model = classifier(XS, np.eye(3)[Y])
    before = [w.copy() for w in model.get_weights()]
    cold = SKLearnClassifier(model, fit_kwargs=QUICK).fit(XS, Y)
    assert cold.model_ is not model
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    warm = SKLearnClassifier(model, warm_start=True, fit_kwargs=QUICK).fit(XS, Y)
    assert warm.model_ is model
    first = warm.history_.history["loss"]
    assert warm.fit(XS, Y).model_ is model
    assert warm.history_.history["loss"][0] < first[0] / 2
    with pytest.raises(ValueError, match="warm_start goes on with the classes"):
        warm.fit(XS, Y + 1)
    made = make(warm_start=True).fit(XS, Y)
    assert made.fit(XS, Y).model_ is made.model_


def test_parameters_are_kept_and_never_changed() -> None:
    stop = keras.callbacks.EarlyStopping("val_loss", patience=2)
    given = {**QUICK, "epochs": 60, "callbacks": [stop], "validation_split": 0.2}
    kept = dict(given)
    estimator = SKLearnClassifier(classifier, model_kwargs={"units": 4, "rate": 0.3}, fit_kwargs=given)
    copy = clone(estimator)
    assert copy.get_params() | {"fit_kwargs": 0} == estimator.get_params() | {"fit_kwargs": 0}
    assert copy.fit_kwargs.keys() == given.keys()
    assert estimator.set_params(random_state=0).fit(XS, Y, verbose=0) is estimator
    assert given == kept
    assert estimator.epoch_ < 60
    assert len(estimator.history_.history["val_loss"]) == estimator.epoch_
    assert getattr(stop, "stopped_epoch", 0) == 0
    assert clone(estimator).epoch_ == 0
    seen = keras.callbacks.EarlyStopping("loss", patience=1, min_delta=9)
    estimator.fit(XS, Y, callbacks=[seen])
    assert seen.stopped_epoch > 0


def test_held_out_labels_are_those_of_the_data() -> None:
    names = np.array(["low", "mid", "top"])
    fitted = make().fit(XS, names[Y], validation_data=(HELDS, names[HELD_Y]))
    right = np.mean(fitted.predict(HELDS) == names[HELD_Y])
    np.testing.assert_allclose(fitted.history_.history["val_accuracy"][-1], right, atol=1e-6)
    with pytest.raises(ValueError, match="none of the classes"):
        make().fit(XS, names[Y], validation_data=(HELDS, np.array(["other"] * len(HELDS))))


def test_estimators_go_through_files_and_processes(tmp_path: Any) -> None:
    fitted = make().fit(XS, np.array(["low", "mid", "top"])[Y])
    expected = fitted.predict_proba(HELDS)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(HELDS), expected)
    joblib.dump(fitted, tmp_path / "fitted.joblib")
    np.testing.assert_array_equal(joblib.load(tmp_path / "fitted.joblib").predict_proba(HELDS), expected)
    two = cross_val_score(make_pipeline(StandardScaler(), make()), X, TWO, cv=2, n_jobs=2, scoring="roc_auc")
    one = cross_val_score(make_pipeline(StandardScaler(), make()), X, TWO, cv=2, scoring="roc_auc")
    np.testing.assert_array_equal(one, two)
    assert min(one) > 0.9


def test_searches_choose_arguments_of_the_model() -> None:
    pipeline = make_pipeline(StandardScaler(), make())
    grid = {"sklearnclassifier__model_kwargs": [{"units": 1, "rate": 1e-5}, {"units": 16}]}
    found = GridSearchCV(pipeline, grid, cv=2, scoring="neg_log_loss").fit(X, Y)
    assert found.best_params_ == {"sklearnclassifier__model_kwargs": {"units": 16}}
    assert found.score(HELD, HELD_Y) > found.cv_results_["mean_test_score"][0]
    rates = {"sklearnclassifier__fit_kwargs": [QUICK, {**QUICK, "epochs": 1}]}
    some = RandomizedSearchCV(pipeline, rates, n_iter=2, cv=2, random_state=0).fit(X, Y)
    assert some.best_params_["sklearnclassifier__fit_kwargs"]["epochs"] == 25


def test_estimators_serve_scikit_learns_tools() -> None:
    calibrated = CalibratedClassifierCV(make(), cv=2).fit(XS, TWO)
    assert calibrated.score(HELDS, HELD[:, 1] > 5) > 0.9
    assert calibrated.calibrated_classifiers_[0].estimator.decision_function(XS).shape == (120,)
    found = permutation_importance(make().fit(XS, Y, epochs=60), HELDS, HELD_Y, n_repeats=3, random_state=0)
    assert found.importances_mean.argmax() == 1


def test_frames_are_known_by_their_columns() -> None:
    pandas = pytest.importorskip("pandas")
    names = [f"f{i}" for i in range(6)]
    frame = pandas.DataFrame(XS, columns=names)
    fitted = make().fit(frame, pandas.Series(np.array(["low", "mid", "top"])[Y]))
    assert list(fitted.feature_names_in_) == names
    np.testing.assert_array_equal(fitted.predict(frame), make().fit(XS, np.array(["low", "mid", "top"])[Y]).predict(XS))
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(frame[names[::-1]])
    moved = make_pipeline(StandardScaler(), SKLearnTransformer(regressor, fit_kwargs=QUICK)).set_output(
        transform="pandas"
    )
    assert list(moved.fit(frame, NUMBERS).transform(frame).columns) == ["sklearntransformer0", "sklearntransformer1"]


def test_images_are_taken_by_models_for_images() -> None:
    digits, labels = keras.datasets.digits.load_data()[0]

    def images(X: Any, y: Any) -> keras.Sequential:
        stack = [layers.Rescaling(1 / 16), layers.Flatten(), layers.Dense(y.shape[1], activation="softmax")]
        model = keras.Sequential([keras.Input(X.shape[1:]), *stack])
        model.compile(keras.optimizers.Adam(0.05), "categorical_crossentropy")
        return model

    digits = digits[:300].reshape(300, *digits.shape[1:])
    fitted = SKLearnClassifier(images, fit_kwargs={"epochs": 10, "verbose": 0}).fit(digits, labels[:300])
    assert fitted.score(digits, labels[:300]) > 0.9


def test_what_cannot_be_is_said() -> None:
    import scipy.sparse

    with pytest.raises(TypeError, match="Sparse data was passed"):
        make().fit(scipy.sparse.csr_matrix(XS), Y)
    with pytest.raises(TypeError, match="Sparse data was passed"):
        make_pipeline(OneHotEncoder(), make()).fit(Y[:, None], Y)
    with pytest.raises(NotFittedError):
        make().predict(XS)
    with pytest.raises(ConfigError, match="needs to be compiled"):
        SKLearnRegressor(lambda X, y: network(X, 2, 1, None)).fit(XS, NUMBERS[:, 0])
    with pytest.raises(ConfigError, match="must return a model; got None"):
        SKLearnRegressor(lambda X, y: None).fit(XS, NUMBERS)
    with pytest.raises(ConfigError, match="got model='mlp'"):
        SKLearnRegressor("mlp").fit(XS, NUMBERS)
    with pytest.raises(ConfigError, match="output has 3 columns; this one's is"):
        make(outputs=4).fit(XS, Y)
    with pytest.raises(ConfigError, match=r"output has 2 columns \(or one, for two classes\)"):
        make(outputs=4).fit(XS, TWO)
    with pytest.raises(ValueError, match="Unknown label type"):
        make().fit(XS, NUMBERS[:, 0])
    with pytest.raises(ValueError, match="Only binary and multiclass"):
        make().fit(XS, np.stack([Y, Y], 1))
    with pytest.raises(ValueError, match="only one class is present"):
        make().fit(XS, TWO, sample_weight=TWO)
    with pytest.raises(ConfigError, match=r"class_weight has \['top'\], which are none of the classes"):
        make().fit(XS, TWO, class_weight={"top": 1.0})
    with pytest.raises(AttributeError) as found:
        make(loss="mse", activation=None).fit(XS, Y).predict_proba(XS)
    assert "no softmax or sigmoid, and its loss is no crossentropy" in str(found.value.__cause__)
    with pytest.raises(ConfigError, match="1 inputs and 2 outputs. Join them by Concatenate"):
        SKLearnRegressor(two_outputs).fit(XS, NUMBERS)


def two_outputs(X: Any, y: Any) -> keras.Model:
    x = keras.Input(X.shape[1:])
    model = keras.Model(x, [layers.Dense(1)(x), layers.Dense(1)(x)])
    model.compile("sgd", "mse")
    return model


def test_subclasses_and_partial_functions_are_estimators_too() -> None:
    class Mine(SKLearnClassifier):
        pass

    fitted = Mine(functools.partial(classifier, units=4), fit_kwargs=QUICK, random_state=0).fit(XS, Y)
    np.testing.assert_array_equal(fitted.predict(XS), make(units=4).fit(XS, Y).predict(XS))


def three_classes(X: Any, y: Any) -> Any:
    model = keras.Sequential([keras.Input(X.shape[1:]), layers.Dropout(0.2), layers.Dense(3, "softmax")])
    model.compile("adam", "categorical_crossentropy")
    return model


@pytest.mark.parametrize("names", [np.arange(3) + 1, np.array(["a", "b", "c"])], ids=["numbers", "texts"])
def test_validation_labels_may_stand_in_a_column(names: Any) -> None:
    x, y = np.eye(3, dtype=np.float32).repeat(4, 0), names.repeat(4)
    losses = []
    for labels in (y, y[:, None]):
        given = {"epochs": 1, "verbose": 0, "validation_data": (x, labels)}
        estimator = SKLearnClassifier(three_classes, fit_kwargs=given, random_state=0).fit(x, y)
        losses.append(estimator.history_.history["val_loss"])
    assert losses[0] == losses[1]


def test_a_callback_that_cannot_be_copied_is_used_itself() -> None:
    class Counting(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.lock, self.epochs = threading.Lock(), 0

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.epochs += 1

    counting = Counting()
    x, y = np.eye(3, dtype=np.float32).repeat(4, 0), np.arange(3).repeat(4)
    SKLearnClassifier(three_classes, fit_kwargs={"epochs": 2, "verbose": 0, "callbacks": [counting]}).fit(x, y)
    assert counting.epochs == 2


def test_a_seed_gives_the_same_fit_in_several_threads() -> None:
    x, y = np.eye(3, dtype=np.float32).repeat(4, 0), np.arange(3).repeat(4)

    def outputs(_: int) -> bytes:
        estimator = SKLearnClassifier(three_classes, fit_kwargs={"epochs": 3, "verbose": 0}, random_state=0)
        return bytes(estimator.fit(x, y).predict_proba(x).tobytes())

    with ThreadPoolExecutor(3) as pool:
        assert len({*pool.map(outputs, range(6))}) == 1
