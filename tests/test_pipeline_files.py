"""Fitted pipelines of scikit-learn as ONNX files, held against the pipelines on data that neither saw."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from typer.testing import CliRunner

import seqc as keras
from kit.estimator_models import QUICK, classifier, data, regressor
from seqc import layers, losses
from seqc.cli import app
from seqc.errors import ArgumentTypeError, DataError, ExportError, MissingFolderError, VerificationError

pytest.importorskip("sklearn", reason='scikit-learn is not installed: pip install "seqc[sklearn]"')
pytest.importorskip("skl2onnx", reason='skl2onnx is not installed: pip install "seqc[skl2onnx]"')
pytest.importorskip("pandas", reason="pandas is not installed")

import pandas
from sklearn import calibration
from sklearn.base import is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.decomposition import PCA
from sklearn.ensemble import StackingClassifier, VotingClassifier, VotingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)

from seqc.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer, converting, export_pipeline

pytestmark = pytest.mark.slow

X, Y, NUMBERS = data()
HELD = data(seed=1)[0]
NAMES = np.array(["low", "mid", "top"], object)[Y]
TWO = (X[:, 1] > 5).astype(int)


def net(**options: Any) -> Any:
    return SKLearnClassifier(classifier, model_kwargs=options, fit_kwargs=QUICK, random_state=0)


def scaled() -> Any:
    return make_pipeline(StandardScaler(), net())


def numbers() -> Any:
    return SKLearnRegressor(regressor, fit_kwargs=QUICK, random_state=0)


def features() -> Any:
    return SKLearnTransformer(regressor, fit_kwargs=QUICK, random_state=0)


def with_missing(x: Any) -> Any:
    x = x.copy()
    x[::5, 2] = np.nan
    return x


SOFT = {"voting": "soft", "flatten_transform": False}
WITH_MEAN = {"standardscaler__with_mean": [True]}
LOGITS = {"loss": losses.CategoricalCrossentropy(from_logits=True), "activation": None}
ONE = {"loss": "binary_crossentropy", "activation": "sigmoid", "outputs": 1}
SIGMOIDS = {"loss": "binary_crossentropy", "activation": "sigmoid"}
BESIDE = [("s", StandardScaler(), [0, 1]), ("m", MinMaxScaler(), [3, 4])]
SCALED = "Scaler Gemm Relu Gemm Softmax ArgMax"
# Pipelines, their targets, and the nodes of their files where these say something.
PIPELINES: dict[str, tuple[Callable[[], Any], Any, str]] = {
    "standard": (scaled, NAMES, f"{SCALED} LabelEncoder"),
    "numbers": (scaled, Y, SCALED),
    "gaps": (scaled, Y * 7 - 3, f"{SCALED} Gather"),
    "min-max": (lambda: make_pipeline(MinMaxScaler(clip=True), net(**LOGITS)), NAMES, ""),
    "robust": (lambda: make_pipeline(RobustScaler(), net(**SIGMOIDS)), Y, ""),
    "one column": (lambda: make_pipeline(MaxAbsScaler(), net(**ONE)), TWO, ""),
    "booleans": (scaled, TWO.astype(bool), ""),
    "scores": (lambda: make_pipeline(StandardScaler(), net(loss="mse", activation=None)), Y, ""),
    "two scores": (lambda: make_pipeline(StandardScaler(), net(loss="mse", activation=None)), TWO, ""),
    "several at once": (scaled, (X[:, :3] > 5).astype(int), ""),
    "ones and zeros": (scaled, np.eye(3, dtype=int)[Y], ""),
    "imputed": (lambda: make_pipeline(SimpleImputer(), StandardScaler(), net()), NAMES, ""),
    "pca": (lambda: make_pipeline(StandardScaler(), PCA(3), net()), NAMES, ""),
    "union": (lambda: make_pipeline(make_union(StandardScaler(), PCA(2)), net()), Y, ""),
    "beside": (lambda: make_pipeline(ColumnTransformer(BESIDE, remainder="passthrough"), net()), Y, ""),
    "bins": (lambda: make_pipeline(KBinsDiscretizer(4, encode="onehot-dense"), net()), Y, ""),
    "norms": (lambda: make_pipeline(Normalizer(), numbers()), NUMBERS, ""),
    "regression": (lambda: make_pipeline(StandardScaler(), numbers()), NUMBERS[:, 0], "Scaler Gemm Relu Gemm"),
    "polynomials": (lambda: make_pipeline(StandardScaler(), PolynomialFeatures(2), numbers()), NUMBERS[:, 0], ""),
    "powers": (lambda: make_pipeline(PowerTransformer(), numbers()), NUMBERS, ""),
    "features": (lambda: make_pipeline(StandardScaler(), features()), NUMBERS, "Scaler Gemm Relu Gemm"),
    "features before": (lambda: make_pipeline(StandardScaler(), features(), LogisticRegression()), Y, ""),
    "alone": (net, Y, "Gemm Relu Gemm Softmax ArgMax"),
    "search": (lambda: GridSearchCV(scaled(), WITH_MEAN, cv=2), Y, ""),
    "calibrated": (lambda: CalibratedClassifierCV(scaled(), cv=2), Y, ""),
    "stacked": (lambda: StackingClassifier([("a", net())], LogisticRegression(), cv=2), Y, ""),
    "voting": (
        lambda: VotingClassifier([("a", net()), ("b", LogisticRegression())], **SOFT), Y, "",
    ),
    "mean": (lambda: VotingRegressor([("a", numbers()), ("b", LinearRegression())]), NUMBERS[:, 0], ""),
}  # fmt: skip


def run(path: Path, x: Any) -> list[Any]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found: list[Any] = session.run(None, x if isinstance(x, dict) else {"X": x.astype(np.float32)})
    return found


def names_of(path: Path) -> str:
    return " ".join(node.op_type for node in onnx.load(path).graph.node)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PIPELINES)
def test_a_file_answers_as_its_pipeline(name: str, tmp_path: Path) -> None:
    make, y, nodes = PIPELINES[name]
    x, held = (with_missing(X), with_missing(HELD)) if name == "imputed" else (X, HELD)
    pipeline, path = make().fit(x, y), tmp_path / "m.onnx"
    receipt = export_pipeline(pipeline, path, x)
    assert receipt.report is not None
    assert receipt.report is not None
    assert receipt.report.worst.passed
    assert receipt.report.compared > 0
    got = run(path, held)
    if is_classifier(pipeline):
        scores = pipeline.predict_proba if hasattr(pipeline, "predict_proba") else pipeline.decision_function
        expected = scores(held)
        np.testing.assert_allclose(got[1], expected, atol=2e-5 * max(1, np.abs(expected).max()))
        np.testing.assert_array_equal(got[0], pipeline.predict(held))
        assert [o.name for o in receipt.outputs] == ["label", "probabilities" if "scores" not in name else "scores"]
    else:
        expected = pipeline.predict(held) if hasattr(pipeline, "predict") else pipeline.transform(held)
        np.testing.assert_allclose(got[0], expected.reshape(got[0].shape), atol=2e-5 * np.abs(expected).max())
    for op in ("Identity", "ZipMap"):
        assert op not in receipt.nodes or name == "stacked"
    if nodes:
        assert names_of(path) == nodes
    one = run(path, held[:1])
    assert all(len(array) == 1 for array in one)


def hinged() -> Any:
    return net(loss="hinge", activation=None, outputs=1)


# What is calibrated, from which data, how, and the targets.
CALIBRATED: dict[str, tuple[Callable[[], Any], dict[str, Any], Any]] = {
    "folds": (net, {"cv": 2}, NAMES),
    "one of all": (net, {"cv": 2, "ensemble": False}, Y),
    "two classes": (net, {"cv": 2}, TWO),
    "one column": (lambda: net(**ONE), {"cv": 2}, TWO.astype(bool)),
    "logits": (lambda: net(**LOGITS), {"cv": 2}, Y * 7 - 3),
    "scores": (hinged, {"cv": 2}, TWO),
    "frozen": (lambda: FrozenEstimator(net().fit(X, NAMES)), {}, NAMES),
    "frozen pipeline": (lambda: FrozenEstimator(scaled().fit(X, TWO)), {}, TWO),
    "other classifiers": (lambda: make_pipeline(StandardScaler(), LogisticRegression()), {"cv": 2}, Y),
    "no decision_function": (lambda: GaussianNB(), {"cv": 2}, NAMES),
}


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
@pytest.mark.parametrize("name", CALIBRATED)
def test_calibrated_probabilities_are_those_of_scikit_learn(name: str, method: str, tmp_path: Path) -> None:
    if method == "temperature" and not hasattr(calibration, "_TemperatureScaling"):
        pytest.skip("this scikit-learn knows no temperatures")
    make, options, y = CALIBRATED[name]
    calibrated = CalibratedClassifierCV(make(), method=method, **options).fit(X, y)
    path = tmp_path / "m.onnx"
    export_pipeline(calibrated, path, HELD)
    labels, probabilities = run(path, HELD)
    np.testing.assert_allclose(probabilities, calibrated.predict_proba(HELD), atol=2e-5)
    np.testing.assert_array_equal(labels, calibrated.predict(HELD))
    assert len(run(path, HELD[:1])[1]) == 1


def test_frozen_steps_and_calibrated_ones_among_others(tmp_path: Path) -> None:
    frozen = FrozenEstimator(features().fit(X, NUMBERS))
    calibrated = CalibratedClassifierCV(net(), cv=2, method="isotonic")
    several = VotingClassifier([("a", calibrated), ("b", LogisticRegression())], **SOFT)
    for pipeline in (make_pipeline(StandardScaler(), frozen, LogisticRegression()), make_pipeline(frozen, several)):
        export_pipeline(pipeline.fit(X, Y), tmp_path / "m.onnx", HELD)
        np.testing.assert_allclose(run(tmp_path / "m.onnx", HELD)[1], pipeline.predict_proba(HELD), atol=2e-5)


def test_calibrated_classifiers_that_lack_a_class_are_refused(tmp_path: Path) -> None:
    calibrated = CalibratedClassifierCV(net(), cv=KFold(3)).fit(X[np.argsort(Y)], np.sort(Y))
    with pytest.raises(ExportError, match="was fitted on 2 of 3 classes; a file needs all of them"):
        export_pipeline(calibrated, tmp_path / "m.onnx", HELD)
    assert not list(tmp_path.iterdir())


def table(seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    count = 100
    frame = pandas.DataFrame(
        {
            "age": rng.normal(40, 12, count),
            "yearly income": rng.normal(5e4, 1e4, count),
            "city": rng.choice(["Oslo", "Rome", "Lima", "Zürich"], count),
            "kids": rng.integers(0, 4, count),
            "member": rng.random(count) < 0.5,
            "label": rng.choice(["a", "b"], count),
            "unused": rng.choice(["x", "y"], count),
        }
    )
    frame.loc[::7, "age"] = np.nan
    frame.loc[::9, "city"] = None
    return frame, np.where((frame["kids"] > 1) ^ (frame["city"] == "Rome"), "yes", "no")


def of_table() -> Any:
    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    texts[0].set_params(missing_values=None)
    columns = [
        ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "yearly income"]),
        ("city", texts, ["city"]),
        ("known", OneHotEncoder(handle_unknown="ignore"), ["kids", "label"]),
        ("member", OrdinalEncoder(), ["member"]),
    ]
    return Pipeline([("columns", ColumnTransformer(columns, sparse_threshold=0)), ("net", net())])


def as_file(frame: Any) -> dict[str, Any]:
    """Returns what a caller of the file makes of a frame, by hand."""
    types = {"age": "float32", "yearly income": "float32", "kids": "int64", "member": "int64"}
    given: dict[str, Any] = {name: frame[[name]].to_numpy(dtype) for name, dtype in types.items()}
    given["city"] = np.array([[city if isinstance(city, str) else ""] for city in frame["city"]], object)
    return given | {"label": frame[["label"]].to_numpy(object)}


def test_columns_of_a_frame_are_inputs_by_name(tmp_path: Path) -> None:
    frame, y = table()
    frame["city"] = frame["city"].astype(object).where(frame["city"].notna(), None)
    pipeline, path = of_table().fit(frame, y), tmp_path / "m.onnx"
    receipt = export_pipeline(pipeline, path, frame)
    assert [str(port) for port in receipt.inputs] == [
        "age float32[batch, 1]", "yearly income float32[batch, 1]", "city string[batch, 1]", "kids int64[batch, 1]",
        "member int64[batch, 1]", "label string[batch, 1]",
    ]  # fmt: skip
    assert [str(port) for port in receipt.outputs] == ["label_output string[batch]", "probabilities float32[batch, 2]"]
    held = table(seed=1)[0]
    held["city"] = held["city"].astype(object).where(held["city"].notna(), None)
    held.loc[3, "city"], held.loc[4, "kids"], held.loc[5, "label"] = "Nowhere", 9, "c"
    label, p = run(path, as_file(held))
    np.testing.assert_allclose(p, pipeline.predict_proba(held), atol=1e-5)
    np.testing.assert_array_equal(label, pipeline.predict(held))
    said = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert json.loads(said["seqc.classes"]) == {"probabilities": ["no", "yes"]}


def test_other_programs_of_seqc_take_the_file(tmp_path: Path) -> None:
    from seqc_runtime import load

    pipeline, path = make_pipeline(StandardScaler(), net()).fit(X, NAMES), tmp_path / "m.onnx"
    export_pipeline(pipeline, path, X, record=True, metadata={"who": "me"})
    found = load(path).predict(HELD.astype(np.float32), named=True)
    np.testing.assert_array_equal(found["label"], pipeline.predict(HELD))
    np.testing.assert_allclose(found["probabilities"], pipeline.predict_proba(HELD), atol=1e-5)
    runner = CliRunner()
    shown = runner.invoke(app, ["inspect", str(path), "--json"])
    assert shown.exit_code == 0, shown.output
    assert "Scaler" in shown.output
    assert "label" in shown.output
    verified = runner.invoke(app, ["verify", str(path), "--json"])
    assert verified.exit_code == 0, verified.output
    assert "record:probabilities" in verified.output
    held = np.load(f"{path}.verified.npz", allow_pickle=False)
    assert held["0/input/0"].shape == X.shape


def test_a_wrapper_alone_needs_no_skl2onnx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    scaled = StandardScaler().fit_transform(X)
    fitted, path = net().fit(scaled, NAMES), tmp_path / "m.onnx"
    receipt = fitted.export(path, record=True, opset=20)
    assert (receipt.opset, receipt.record) == (20, f"{path}.verified.npz")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    label, p = session.run(None, {session.get_inputs()[0].name: scaled.astype(np.float32)})
    np.testing.assert_array_equal(label, fitted.predict(scaled))
    np.testing.assert_allclose(p, fitted.predict_proba(scaled), atol=1e-6)
    assert CliRunner().invoke(app, ["verify", str(path)]).exit_code == 0
    for other, y in ((numbers(), NUMBERS), (features(), NUMBERS), (net(**ONE), TWO), (net(**LOGITS), Y)):
        assert other.fit(scaled, y).export(path).report.passed
    with pytest.raises(ArgumentTypeError, match="has no option 'zipmap'"):
        fitted.export(path, zipmap=True)
    with pytest.raises(NotFittedError):
        net().export(path)


def test_probabilities_come_as_dictionaries_on_request(tmp_path: Path) -> None:
    pipeline, path = make_pipeline(StandardScaler(), net()).fit(X, NAMES), tmp_path / "m.onnx"
    receipt = export_pipeline(pipeline, path, X, zipmap=True)
    assert receipt.nodes["ZipMap"] == 1
    label, p = run(path, HELD)
    expected = pipeline.predict_proba(HELD)
    np.testing.assert_allclose([[row[c] for c in pipeline.classes_] for row in p], expected, atol=1e-5)


@pytest.mark.parametrize("opset", [13, 17, 21])
def test_other_opsets(opset: int, tmp_path: Path) -> None:
    pipeline, path = make_pipeline(StandardScaler(), net(**SIGMOIDS)).fit(X, Y), tmp_path / "m.onnx"
    assert export_pipeline(pipeline, path, X, opset=opset).opset == opset
    assert {o.domain: o.version for o in onnx.load(path).opset_import}[""] == opset
    np.testing.assert_array_equal(run(path, HELD)[0], pipeline.predict(HELD))


def test_what_cannot_be_converted_is_named_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"old")
    steps = [("roots", FunctionTransformer(np.cbrt)), ("splines", SplineTransformer())]
    for name, step in steps:
        pipeline = Pipeline([("scale", StandardScaler()), (name, step), ("net", numbers())]).fit(X, NUMBERS)
        with pytest.raises(
            ExportError, match=rf"skl2onnx [\d.]+ cannot convert step '{name}' \({type(step).__name__}\)"
        ):
            export_pipeline(pipeline, path, X)
    inner = ColumnTransformer([("beside", Pipeline([("splines", SplineTransformer())]), [0, 1])])
    with pytest.raises(ExportError, match=r"cannot convert step '\w+.beside.splines' \(SplineTransformer\)"):
        export_pipeline(make_pipeline(inner, numbers()).fit(X, NUMBERS), path, X)
    with pytest.raises(NotFittedError):
        export_pipeline(make_pipeline(StandardScaler(), net()), path, X)
    fitted = make_pipeline(StandardScaler(), net()).fit(X, Y)
    with pytest.raises(DataError, match="X has no rows"):
        export_pipeline(fitted, path, X[:0])
    with pytest.raises(DataError, match="is of type datetime64"):
        export_pipeline(fitted, path, pandas.DataFrame({"when": pandas.to_datetime(["2020-01-01"])}))
    with pytest.raises(DataError, match="Columns become inputs by their names"):
        export_pipeline(fitted, path, pandas.DataFrame(X))
    with pytest.raises(MissingFolderError):
        export_pipeline(fitted, tmp_path / "no" / "m.onnx", X)
    with pytest.raises(ArgumentTypeError, match="takes a fitted estimator of scikit-learn; got Sequential"):
        export_pipeline(fitted[-1].model_, path, X)
    with pytest.raises(ExportError, match="this KMeans is none of these"):
        export_pipeline(make_pipeline(StandardScaler(), KMeans(2)).fit(X), path, X)
    with pytest.raises(ExportError, match=r"skl2onnx [\d.]+ writes opset \d+ at most; got opset=28"):
        export_pipeline(fitted, path, X, opset=28)
    far = X * 1e-3 + 1e6
    with pytest.raises(
        VerificationError, match="of 120 rows changes by more than 1% when inputs are rounded to float32"
    ):
        export_pipeline(make_pipeline(StandardScaler(), net()).fit(far, Y), path, far)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize(
    ("node", "attribute", "output"), [("Scaler", "scale", "probabilities"), ("LabelEncoder", "values_strings", "label")]
)
def test_a_file_that_computes_something_else_is_not_written(
    node: str, attribute: str, output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = converting.convert

    def wrong(*args: Any) -> onnx.ModelProto:
        model = right(*args)
        held = next(a for n in model.graph.node if n.op_type == node for a in n.attribute if a.name == attribute)
        if held.floats:
            held.floats[0] *= 1.001
        else:
            held.strings[0] = b"high"
        return model

    monkeypatch.setattr("seqc.wrappers.exporting.convert", wrong)
    pipeline = make_pipeline(StandardScaler(), net()).fit(X, NAMES)
    with pytest.raises(VerificationError, match=rf"Output '{output}' .* in onnxruntime.*Nothing was written"):
        export_pipeline(pipeline, tmp_path / "m.onnx", X)
    assert list(tmp_path.iterdir()) == []
    export_pipeline(pipeline, tmp_path / "m.onnx", X, verify=False)


def test_rows_at_a_limit_do_not_hide_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that goes to the other side of a limit in float32 is left out, and all others are compared as ever."""
    held = X.copy()
    tree = make_pipeline(KBinsDiscretizer(4, encode="onehot-dense"), net()).fit(X, NAMES)
    held[0, 0] = tree[0].bin_edges_[0][2] * (1 - 1e-9)
    path = tmp_path / "m.onnx"
    report = export_pipeline(tree, path, held).report
    assert report is not None
    assert report.worst.budget < 1e-4
    right = converting.convert

    def wrong(*args: Any) -> onnx.ModelProto:
        model = right(*args)
        kernel = next(array for array in model.graph.initializer if array.name.endswith("kernel"))
        kernel.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(kernel) * np.float32(1.01), kernel.name))
        return model

    monkeypatch.setattr("seqc.wrappers.exporting.convert", wrong)
    with pytest.raises(VerificationError, match="Output 'probabilities' computes other numbers"):
        export_pipeline(tree, path, held)


def test_columns_are_found_however_they_are_chosen(tmp_path: Path) -> None:
    frame = pandas.DataFrame(
        {
            "a": pandas.array([1, 2, 3, 4] * 5, dtype="Int64"),
            "b": np.linspace(0, 1, 20),
            "c": pandas.Categorical(["x", "y"] * 10),
            "d": pandas.array(["u", "v", "w", "u"] * 5, dtype="string"),
        }
    )
    y = np.arange(20) % 2
    for numbers_in in (slice("a", "b"), slice(0, 2), [True, True, False, False], ["a", "b"], [0, 1]):
        columns = [
            ("n", StandardScaler(), numbers_in),
            ("t", OneHotEncoder(), make_column_selector(dtype_exclude="number")),
        ]
        table = ColumnTransformer(columns, sparse_threshold=0)
        pipeline = Pipeline([("nothing", "passthrough"), ("table", table), ("net", net())]).fit(frame, y)
        receipt = export_pipeline(pipeline, tmp_path / "m.onnx", frame)
        assert [str(port) for port in receipt.inputs] == [
            "a float32[batch, 1]", "b float32[batch, 1]", "c string[batch, 1]", "d string[batch, 1]",
        ]  # fmt: skip
        given = {name: frame[[name]].to_numpy(np.float32 if name in "ab" else object) for name in "abcd"}
        np.testing.assert_allclose(run(tmp_path / "m.onnx", given)[1], pipeline.predict_proba(frame), atol=1e-5)


def test_a_model_of_numbers_of_words_takes_whole_numbers(tmp_path: Path) -> None:
    words = np.random.default_rng(0).integers(0, 10, (60, 5))

    def embedded(X: Any, y: Any) -> keras.Sequential:
        stack = [layers.Embedding(10, 4), layers.Flatten(), layers.Dense(y.shape[1], activation="softmax")]
        model = keras.Sequential([keras.Input(X.shape[1:], dtype="int32"), *stack])
        model.compile("adam", "categorical_crossentropy")
        return model

    fitted = SKLearnClassifier(embedded, fit_kwargs=QUICK).fit(words, words[:, 0] % 3)
    assert str(export_pipeline(fitted, tmp_path / "m.onnx", words).inputs[0]) == "X int64[batch, 5]"


def test_steps_with_loops_inside_go_into_the_file(tmp_path: Path) -> None:
    """The body of a Scan keeps its own names, also of two models with layers of the same names."""

    def recurrent(X: Any, y: Any) -> keras.Sequential:
        stack = [
            layers.Reshape((6, 1)),
            layers.LSTM(3, activation="gelu", name="lstm"),
            layers.Dense(y.shape[1], name="out"),
        ]
        model = keras.Sequential([keras.Input(X.shape[1:]), *stack])
        model.compile("adam", "mse")
        return model

    def one() -> Any:
        return SKLearnRegressor(recurrent, fit_kwargs={"epochs": 1, "verbose": 0})

    pipeline = make_pipeline(StandardScaler(), VotingRegressor([("a", one()), ("b", one())])).fit(X, NUMBERS[:, 0])
    receipt = export_pipeline(pipeline, tmp_path / "m.onnx", X)
    assert receipt.nodes["Scan"] == 2
    np.testing.assert_allclose(run(tmp_path / "m.onnx", HELD)[0][:, 0], pipeline.predict(HELD), atol=1e-5)


def texts(missing: Any = None) -> Any:
    rng = np.random.default_rng(0)
    one = rng.choice(["a", "b", "c", "d"], 120, p=[0.5, 0.3, 0.15, 0.05]).astype(object)
    one[::6] = missing or "a"
    return pandas.DataFrame({"one": one, "other": rng.choice(["x", "y"], 120).astype(object)})


def encoder(**options: Any) -> Any:
    return OneHotEncoder(sparse_output=False, **options)


GAPS = pandas.DataFrame(with_missing(X)).add_prefix("f")
# What the public trackers have reports of: preprocessing, and the data that it takes.
REPORTED: dict[str, tuple[Callable[[], Any], Any]] = {
    "first dropped": (lambda: encoder(drop="first"), texts()),
    "rare ones together": (lambda: encoder(min_frequency=20, handle_unknown="infrequent_if_exist"), texts()),
    "missing as a category": (encoder, texts(missing=np.nan)),
    "missing filled in": (
        lambda: make_pipeline(SimpleImputer(strategy="most_frequent"), encoder()),
        texts(missing=np.nan),
    ),
    "a constant": (lambda: SimpleImputer(strategy="constant", fill_value=-1), GAPS),
    "numbers as objects": (StandardScaler, pandas.DataFrame(X.astype(object)).add_prefix("f")),
    "a table in a table": (
        lambda: ColumnTransformer([("a", ColumnTransformer([("b", StandardScaler(), ["f1"])]), ["f0", "f1"])]),
        pandas.DataFrame(X).add_prefix("f"),
    ),
    "words": (lambda: ColumnTransformer([("t", TfidfVectorizer(), "one")], sparse_threshold=0), texts() + " word Word"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REPORTED)
def test_preprocessing_that_others_reported(name: str, tmp_path: Path) -> None:
    make, x = REPORTED[name]
    receipt = export_pipeline(make_pipeline(make(), net()).fit(x, Y), tmp_path / "m.onnx", x)
    assert receipt.report is not None
    assert receipt.report.worst.passed
    assert receipt.report.worst.budget < 1e-4
    assert {port.name for port in receipt.inputs} <= set(x.columns)


def test_what_skl2onnx_would_leave_out_is_refused(tmp_path: Path) -> None:
    imputer = SimpleImputer(add_indicator=True)
    with pytest.raises(ExportError, match=r"step 'simpleimputer' \(SimpleImputer\) with add_indicator=True"):
        export_pipeline(make_pipeline(imputer, net()).fit(with_missing(X), Y), tmp_path / "m.onnx", with_missing(X))
    halves = np.round(X[:, :2]) / 2
    with pytest.raises(ExportError, match=r"step 'onehotencoder' \(OneHotEncoder\): Category .* is not an int64"):
        export_pipeline(make_pipeline(encoder(), net()).fit(halves, Y), tmp_path / "m.onnx", halves)
