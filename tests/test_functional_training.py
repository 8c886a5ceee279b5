"""Training of models with several inputs and outputs, by its numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.executor_runs import Cell, Conditions, Twin, assert_same
from kit.graph_runs import step_file
from kit.oracle import cases
from seqc import layers, ops
from seqc.backends.numpy.executor import Executor
from seqc.backends.numpy.naive import NaiveExecutor
from seqc.errors import ConfigError, DataError, SeqcError
from seqc.graph.interpreter import Interpreter
from seqc.passes.precision import promote_floats

RNG = np.random.default_rng(0)
P, Q = RNG.normal(size=(8, 4)).astype("float32"), RNG.normal(size=(8, 3)).astype("float32")
S, T = RNG.integers(0, 2, (8, 1)), RNG.normal(size=(8, 1)).astype("float32")
W = RNG.uniform(0.5, 2, 8).astype("float32")
SHARED = keras.metrics.MeanSquaredError(name="both")
LOSSES = ["sparse_categorical_crossentropy", "mse"]


def make(named: bool = False) -> Any:
    """Two inputs, a shortcut around a layer, two outputs."""
    p, q = keras.Input((4,), name="p"), keras.Input((3,), name="q")
    h = layers.Dense(4, activation="tanh", name="wide")(q) + p
    s, t = layers.Dense(2, activation="softmax", name="s")(h), layers.Dense(1, name="t")(h * h)
    return keras.Model({"p": p, "q": q} if named else [p, q], {"s": s, "t": t} if named else [s, t])


def compiled(named: bool = False, **options: Any) -> Any:
    keras.utils.set_random_seed(1)
    model = make(named)
    model.compile(**({"optimizer": keras.optimizers.SGD(0.1), "loss": LOSSES} | options))
    return model


# -- several results ---------------------------------------------------------------------------------------------------


def by_numpy(weights: list[Any], p: Any, q: Any) -> tuple[Any, Any]:
    k, b, ks, bs, kt, bt = (w.astype("float64") for w in weights)
    h = np.tanh(q @ k + b) + p
    z = h @ ks + bs
    return np.exp(z) / np.exp(z).sum(1, keepdims=True), (h * h) @ kt + bt


@pytest.mark.parametrize("executor", ["tiled", "naive"])
def test_predict_gives_all_outputs_in_the_form_of_the_model(executor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQC_EXECUTOR", executor)
    listed, named = make(), make(named=True)
    named.set_weights(listed.get_weights())
    expected = by_numpy(listed.get_weights(), P, Q)
    for found in (
        listed.predict([P, Q], batch_size=3, verbose=0),
        listed.predict({"q": Q, "p": P}, verbose=0),
        listed.predict(iter([((P[:5], Q[:5]),), ((P[5:], Q[5:]),)]), verbose=0),
        listed.predict_on_batch((P, Q)),
        list(named.predict([P, Q], batch_size=3, verbose=0).values()),
        list(named.predict_on_batch({"p": P, "q": Q}).values()),
    ):
        assert isinstance(found, list)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
    assert list(named.predict([P, Q], verbose=0)) == ["s", "t"]
    assert listed.predict([P, Q], verbose=0)[0].shape == (8, 2)


# -- training ----------------------------------------------------------------------------------------------------------


def wave(*shape: int, start: float = 0.0) -> Any:
    return np.sin(np.arange(int(np.prod(shape))) * 1.7 + start).reshape(shape).astype("float32")


# What Keras 3.15.1 (jax) recorded for the run below.
KERAS_HISTORY = {
    "loss": [2.623914, 1.567802],
    "s_accuracy": [0.625, 0.5],
    "s_loss": [1.014307, 0.8703947],
    "s_weighted_accuracy": [0.5384616, 0.4423077],
    "t_loss": [3.219213, 1.394815],
    "t_mae": [1.061936, 0.7671987],
    "t_weighted_mae": [0.9741672, 0.7382547],
    "val_loss": [3.789173, 3.104014],
    "val_s_accuracy": [0.5, 0.0],
    "val_s_loss": [1.592929, 1.495985],
    "val_s_weighted_accuracy": [0.4782609, 0.0],
    "val_t_loss": [4.392488, 3.216058],
    "val_t_mae": [0.8606229, 0.6836408],
    "val_t_weighted_mae": [0.8312722, 0.6558129],
}
KERAS_EVALUATE = [1.916838, 1.005389, 1.822898, 0.4, 0.3466667, 0.7041211, 0.6670897]
KERAS_SQUARES = [5.716764, 1.987204, 4.365562, 0.7958406, 1.977988, 0.5120482]


def test_training_of_two_outputs_gives_the_numbers_of_keras() -> None:
    model, p, q = make(), wave(10, 4), wave(10, 3, start=2.0)
    labels, weight = [np.arange(10)[:, None] % 2, wave(10, 1, start=1.0)], np.linspace(0.5, 2, 10).astype("float32")
    model.set_weights([wave(*w.shape, start=i) for i, w in enumerate(model.get_weights())])
    model.compile(
        keras.optimizers.Adam(0.05),
        LOSSES,
        loss_weights=[1, 0.5],
        metrics=[["accuracy"], ["mae"]],
        weighted_metrics=[["accuracy"], ["mae"]],
    )
    weights = [weight, weight * 2]
    options: dict[str, Any] = {"epochs": 2, "shuffle": False, "verbose": 0, "validation_split": 0.2}
    history = model.fit([p, q], labels, sample_weight=weights, batch_size=3, **options).history
    assert sorted(history) == sorted(KERAS_HISTORY)
    for name, values in KERAS_HISTORY.items():
        np.testing.assert_allclose(history[name], values, rtol=2e-5, err_msg=name)
    found = model.evaluate([p, q], labels, sample_weight=weights, batch_size=4, verbose=0)
    np.testing.assert_allclose(found, KERAS_EVALUATE, rtol=2e-5)
    np.testing.assert_allclose([np.square(w).sum() for w in model.get_weights()], KERAS_SQUARES, rtol=2e-5)


def test_a_step_of_two_outputs_is_what_numpy_computes_by_hand() -> None:
    model = compiled(loss_weights={"t": 3.0})
    k, b, ks, bs, kt, bt = start = [w.astype("float64") for w in model.get_weights()]
    model.train_on_batch({"p": P, "q": Q}, {"t": T, "s": S}, sample_weight={"s": W})
    a = np.tanh(Q @ k + b)
    h = a + P
    s, t = by_numpy(start, P, Q)
    ds = (s - np.eye(2)[S[:, 0]]) * W[:, None] / 8
    dt = 3 * 2 * (t - T) / 8
    dh = ds @ ks.T + (dt @ kt.T) * 2 * h
    da = dh * (1 - a * a)
    steps = (Q.T @ da, da.sum(0), h.T @ ds, ds.sum(0), (h * h).T @ dt, dt.sum(0))
    for before, slope, after in zip(start, steps, model.get_weights(), strict=True):
        np.testing.assert_allclose(after, before - 0.1 * slope, atol=1e-6)


class Numbered(keras.utils.PyDataset):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        rows = slice(index * 4, index * 4 + 4)
        return {"p": P[rows], "q": Q[rows]}, {"s": S[rows], "t": T[rows]}, {"s": W[rows], "t": W[rows]}


@pytest.mark.slow
def test_lists_dictionaries_generators_and_datasets_train_alike() -> None:
    def trained(x: Any, y: Any = None, named: bool = False, **options: Any) -> Any:
        model = compiled(named)
        model.fit(x, y, batch_size=None if y is None else 4, shuffle=False, verbose=0, epochs=2, **options)
        return model.get_weights()

    def batches() -> Any:
        for _ in range(2):
            for i in (0, 4):
                rows = slice(i, i + 4)
                yield (P[rows], Q[rows]), (S[rows], T[rows]), (W[rows], W[rows])

    expected = trained([P, Q], [S, T], sample_weight=W)
    for found in (
        trained((P, Q), (S, T), sample_weight=[W, W]),
        trained({"q": Q, "p": P}, {"t": T, "s": S}, sample_weight={"s": W, "t": W}),
        trained([P, Q], {"t": T, "s": S}, named=True, sample_weight=W),
        trained({"q": Q, "p": P}, {"t": T, "s": S}, named=True, sample_weight={"s": W, "t": W}),
        trained(batches(), steps_per_epoch=2),
        trained(Numbered()),
    ):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_what_is_logged_has_the_names_of_outputs() -> None:
    model = compiled(metrics={"s": "accuracy", "t": ["mae"]})
    assert model.metrics_names == ["loss"]
    listed = model.test_on_batch([P, Q], [S, T])
    assert model.metrics_names == ["loss", "s_loss", "t_loss", "s_accuracy", "t_mae"]
    by_name = model.test_on_batch([P, Q], [S, T], return_dict=True)
    assert listed == [by_name[name] for name in model.metrics_names]
    assert listed[0] == pytest.approx(listed[1] + listed[2])
    assert list(
        compiled(loss=[None, "mse"], metrics=[None, "mae"]).test_on_batch([P, Q], [None, T], return_dict=True)
    ) == [
        "loss",
        "t_mae",
    ]
    both = compiled(loss="mse").evaluate([P, Q], [np.eye(2)[S[:, 0]], T], verbose=0, return_dict=True)
    assert list(both) == ["loss", "s_loss", "t_loss"]


def test_validation_data_and_an_early_stop_know_the_losses_of_outputs(tmp_path: Path) -> None:
    model = compiled()
    stop = keras.callbacks.EarlyStopping("val_t_loss", patience=0, mode="max")
    data = ({"p": P, "q": Q}, [S, T])
    history = model.fit([P, Q], [S, T], validation_data=data, epochs=9, verbose=0, callbacks=[stop]).history
    assert len(history["val_t_loss"]) < 9
    found = model.evaluate(*data, verbose=0, return_dict=True)
    assert history["val_t_loss"][-1] == pytest.approx(found["t_loss"])


@pytest.mark.slow
def test_training_goes_on_from_a_backup_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                raise KeyboardInterrupt

    def run(model: Any, *callbacks: Any) -> Any:
        model.fit([P, Q], [S, T], epochs=4, batch_size=3, verbose=0, callbacks=list(callbacks))
        return model.get_weights()

    expected = run(compiled())
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        run(compiled(), backup, Stop())
    for a, b in zip(run(compiled(), keras.callbacks.BackupAndRestore(tmp_path / "backup")), expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_compute_loss_and_compute_metrics_are_given_trees() -> None:
    seen: dict[str, Any] = {}

    class Own(type(make())):  # type: ignore[misc]
        def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None, training: bool = True) -> Any:
            seen.update(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight)
            return super().compute_loss(x, y, y_pred, sample_weight, training) + ops.mean(ops.square(y_pred["t"]))

        def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            return super().compute_metrics(x, y, y_pred, sample_weight) | {"largest": ops.max(y_pred["t"])}

    base = make(named=True)
    model = Own(base.input, base.output)
    model.compile("sgd", {"s": LOSSES[0], "t": LOSSES[1]})
    s, t = model.predict([P, Q], verbose=0).values()
    logs = model.test_on_batch({"p": P, "q": Q}, {"s": S, "t": T}, sample_weight=W, return_dict=True)
    assert {name: list(found) for name, found in seen.items()} == {
        "x": ["p", "q"],
        "y": ["s", "t"],
        "y_pred": ["s", "t"],
        "sample_weight": ["s", "t"],
    }
    assert logs["largest"] == pytest.approx(t.max())
    own = (-np.log(s[np.arange(8), S[:, 0]]) * W).mean() + (np.square(t - T)[:, 0] * W).mean() + np.square(t).mean()
    assert logs["loss"] == pytest.approx(own, rel=1e-5)


# -- what does not fit -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"loss": ["mse"]}, "`loss` has 1 entries, and the model 2 outputs: 's', 't'"),
        (
            {"loss": {"s": "mse", "z": "mse"}},
            "`loss` names 'z', which is no output .* Its outputs are 's', 't'",
        ),
        ({"loss": {"t": "mse"}}, "`loss` says nothing about the output 's'.* Give None"),
        ({"loss_weights": [1.0]}, "`loss_weights` has 1 entries"),
        ({"loss_weights": 2.0}, "`loss_weights` is a list with an entry for each, or a dictionary"),
        ({"loss_weights": ["a", 1]}, "one number per output; got 'a' for output 's'"),
        ({"metrics": ["mae"]}, "`metrics` has 1 entries"),
        ({"weighted_metrics": {"u": "mae"}}, "`weighted_metrics` names 'u'"),
        ({"metrics": [[SHARED], [SHARED]]}, "'both' is given for the outputs 's' and 't', .* Make two objects"),
    ],
)
def test_compile_refuses_what_is_not_for_the_outputs(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        compiled(**options)


def test_a_model_with_one_output_knows_its_name() -> None:
    p = keras.Input((4,), name="p")
    model = keras.Model(p, layers.Dense(1, name="t")(p))
    for options in ({"loss": {"z": "mse"}}, {"loss": "mse", "metrics": {"z": "mae"}}):
        with pytest.raises(ConfigError, match="names 'z', which is no output of the model. Its output is 't'"):
            model.compile("sgd", **options)
    model.compile("sgd", {"t": "mse"}, loss_weights={"t": 2.0}, metrics={"t": "mse"})
    loss, squares = model.test_on_batch({"p": P}, {"t": T})
    assert loss == pytest.approx(2 * squares)
    with pytest.raises(DataError, match="has an output 't'; y is a dictionary with 'z'"):
        model.fit(P, {"z": T}, verbose=0)


@pytest.mark.parametrize(
    ("x", "y", "weight", "text"),
    [
        ([P], [S, T], None, "2 inputs: 'p', 'q'. x must be a list with an array for each, or .* got 1 in a list"),
        (P, [S, T], None, "2 inputs: 'p', 'q'. .*got one array of shape \\(8, 4\\)"),
        ({"p": P, "r": Q}, [S, T], None, "x is a dictionary of 'p', 'r': no input is called 'r'"),
        ({"p": P}, [S, T], None, "x is a dictionary of 'p': 'q' is missing"),
        ([P, Q[:5]], [S, T], None, "same number of samples.\n'x\\['p'\\]' sizes: 8\n'x\\['q'\\]' sizes: 5"),
        ([P, Q], [S], None, "2 outputs: 's', 't'. y must be a list"),
        ([P, Q], {"s": S, "u": T}, None, "no output is called 'u'"),
        ([P, Q], {"s": S}, None, "The loss 'mse' of output 't' needs labels: give y\\['t'\\]"),
        ([P, Q], None, None, "of output 's' needs labels"),
        ([P, Q], [S, T], [W], "2 outputs: 's', 't'. sample_weight must be a list"),
        ([P, Q], [S, T], {"v": W}, "no output is called 'v'"),
        ([P, Q], [S + 5, T], None, "label"),
        ([P, np.array([["a"] * 3] * 8)], [S, T], None, "The model needs numbers"),
    ],
)
def test_data_that_do_not_fit_say_which_and_what_to_do(x: Any, y: Any, weight: Any, text: str) -> None:
    model = compiled()
    before = model.get_weights()
    for use in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(DataError, match=text):
            use(x, y, sample_weight=weight)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_class_weights_are_for_one_output() -> None:
    with pytest.raises(ConfigError, match="`class_weight` is only supported for models with a single output"):
        compiled().fit([P, Q], [S, T], class_weight={0: 2.0}, verbose=0)


def test_an_input_of_the_wrong_shape_is_named() -> None:
    with pytest.raises(SeqcError, match="Input 'q'"):
        compiled().fit([P, np.ones((8, 5))], [S, T], verbose=0)


# -- one step, three ways ----------------------------------------------------------------------------------------------


def masked() -> Any:
    """Two inputs, one of them a masked sequence; an output per step and one per sample; a shortcut; training noise."""
    words, p = keras.Input((5,), dtype="int32", name="words"), keras.Input((4,), name="p")
    h = layers.Embedding(6, 4, mask_zero=True, name="embedding")(words)
    steps = layers.SimpleRNN(4, return_sequences=True, name="rnn")(h)
    first = layers.Dense(3, activation="softmax", name="steps")(steps)
    g = layers.BatchNormalization(name="norm")(layers.Dense(4, use_bias=False, name="d")(p)) + p
    return keras.Model([words, p], [first, layers.Dense(2, name="whole")(g)])


def step_of(build: Any, optimizer: Any, weighted: bool) -> tuple[Any, list[Any]]:
    keras.utils.set_random_seed(2)
    model, rng = build(), np.random.default_rng(1)
    model.compile(
        optimizer,
        LOSSES,
        metrics=[["accuracy"], ["mae"]],
        weighted_metrics=[["accuracy"], ["mse"]],
        loss_weights=[1, 2],
    )
    batches = []
    for count in (7, 7, 4):
        if build is masked:
            x = [rng.integers(0, 6, (count, 5)).astype("int32"), rng.normal(size=(count, 4)).astype("float32")]
            y = [rng.integers(0, 3, (count, 5)), rng.normal(size=(count, 2)).astype("float32")]
        else:
            x = [rng.normal(size=(count, n)).astype("float32") for n in (4, 3)]
            y = [rng.integers(0, 2, (count, 1)), rng.normal(size=(count, 1)).astype("float32")]
        first = rng.uniform(0.5, 2, (count, 5) if build is masked else count)
        weights = [first, rng.uniform(0.5, 2, count)] if weighted else None
        batches.append(model._trainer.labelled_data(x, y, weights).rows(slice(None)))
    model._trainer.prepare()
    return model._trainer.step_for("train", batches[0]), [[a for a in batch if a is not None] for batch in batches]


def check_executors(build: Any, optimizer: Any, weighted: bool, conditions: Conditions) -> None:
    step, batches = step_of(build, optimizer, weighted)
    cells = [
        Cell(a) for a in (v.array.astype("float64") if v.array.dtype == "float32" else v.array for v in step.reads)
    ]
    state = {kind.__name__: [Cell(c.array.copy()) for c in cells] for kind in (Executor, NaiveExecutor)}
    assert_same(Twin(promote_floats(step.graph), step, state), batches, conditions)


@pytest.mark.slow
@pytest.mark.parametrize("conditions", [Conditions(1, 1 << 20), Conditions(2, 64)], ids=str)
@pytest.mark.parametrize("build", [make, masked])
def test_the_executor_computes_what_the_naive_one_does(build: Any, conditions: Conditions) -> None:
    check_executors(build, "adam", True, conditions)


CONDITIONS = [Conditions(1, 1 << 20), Conditions(2, 64), Conditions(2, 64, tiny=True)]
OPTIMIZERS = ["sgd", "rmsprop", "adamw", "nadam", "adagrad", "adadelta", "lion", "ftrl"]


# The conditions by turns: each optimizer meets all three, and so do both models, with weights and without.
@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("number", "optimizer"), list(enumerate(OPTIMIZERS)), ids=OPTIMIZERS)
@pytest.mark.parametrize("build", [make, masked])
def test_the_executors_agree_for_every_optimizer(build: Any, number: int, optimizer: str, weighted: bool) -> None:
    conditions = CONDITIONS[(number + weighted + 2 * (build is masked)) % len(CONDITIONS)]
    check_executors(build, optimizer, weighted, conditions)


def test_a_training_step_of_two_inputs_and_two_outputs_equals_itself_on_onnxruntime() -> None:
    from seqc.backends.onnxruntime import Session

    step, batches = step_of(make, keras.optimizers.Adam(0.01), True)
    session = Session(step_file(step.graph), threads=1)
    states = [{v: v.array.copy() for v in step.reads} for _ in range(2)]
    for number, batch in enumerate(batches):
        results = []
        for i, state in enumerate(states):
            given = [*batch, np.int64(17), np.int64(number), *(state[v] for v in step.reads)]
            if i == 0:
                found = Interpreter(step.graph).run(given)
            else:
                named = dict(zip(step.graph.input_names, given, strict=True))
                by_name = session.run({name: named[name] for name in session.input_names})
                found = [by_name[name] for name in step.graph.output_names]
            state.update(zip(step.writes, found[1:], strict=True))
            results.append(found)
        for ours, theirs in zip(*results, strict=True):
            np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5)


# -- recorded models ---------------------------------------------------------------------------------------------------


def two_inputs_concatenate() -> Any:
    left, right = keras.Input((5,), name="left"), keras.Input((3,), name="right")
    sides = [layers.Dense(4, activation="relu")(left), layers.Dense(4, activation="tanh")(right)]
    return keras.Model([left, right], layers.Dense(2, activation="softmax")(ops.concatenate(sides, -1)))


def two_outputs() -> Any:
    x = keras.Input((6,), name="x_in")
    h = layers.Dense(7, activation="relu")(x)
    return keras.Model(x, [layers.Dense(3, activation="softmax", name="label")(h), layers.Dense(1, name="value")(h)])


def residual_mlp() -> Any:
    x = keras.Input((8,), name="features")
    h = layers.Dense(8, name="d2")(layers.Dense(8, activation="relu", name="d1")(x))
    return keras.Model(x, layers.Dense(2, name="out")(h + x))


RECORDED = {case.id: case for case in cases("functional")}


@pytest.mark.parametrize("build", [two_inputs_concatenate, two_outputs, residual_mlp])
def test_recorded_models_predict_what_keras_does(build: Any) -> None:
    if build.__name__ not in RECORDED:
        pytest.skip("needs the folder 'shared' beside the repository")
    case, model = RECORDED[build.__name__], build()
    model.set_weights(case.weights)
    found = model.predict({name: case.arrays[f"x_{name}"] for name in model.input_names}, batch_size=3, verbose=0)
    for i, y in enumerate(found if isinstance(found, list) else [found]):
        case.check(f"y_{i}", y)


def test_one_array_of_labels_is_for_the_only_output_with_a_loss() -> None:
    x = keras.Input((3,))
    hidden = layers.Dense(4, name="hidden")(x)
    model = keras.Model(x, [hidden, layers.Dense(1, name="out")(hidden)])
    model.compile("sgd", loss=[None, "mse"])
    given, wanted = np.ones((6, 3), "float32"), np.ones((6, 1), "float32")
    expected = model.evaluate(given, [None, wanted], verbose=0)
    assert model.evaluate(given, wanted, verbose=0) == expected
    assert model.evaluate(iter([(given, wanted)]), verbose=0) == expected
