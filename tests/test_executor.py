"""The tiled executor computes what the naive one does, whatever the tiles, the threads and the batch."""

from __future__ import annotations

import itertools
import os
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import seqc as keras
from kit.drawn import may_be_odd
from kit.effort import effort
from kit.executor_runs import Conditions, assert_same, twin
from kit.random_models import models
from seqc import Sequential, layers
from seqc.backends.numpy import machine, make_executor
from seqc.backends.numpy.executor import Executor
from seqc.backends.numpy.horizontal_fusion import plan_turns
from seqc.backends.numpy.lowering import lower_for_numpy
from seqc.backends.numpy.naive import NaiveExecutor
from seqc.backends.numpy.rows import AddRows
from seqc.backends.numpy.stage import plan_stages
from seqc.backends.numpy.workers import available_cores
from seqc.errors import ConfigError, ShapeError
from seqc.graph.ir import Array
from seqc.ops.gather import GatherGrad

L = layers
OPTIMIZERS = ("adam", "sgd", "rmsprop", "adagrad", "lion", "lamb", "nadam")


def data(model: Sequential, batch: int, seed: int = 0) -> list[Array]:
    rng = np.random.default_rng(seed)
    shape = (batch, *(d or 6 for d in model.input_shape[1:]))
    x = rng.integers(0, 6, shape, dtype="int32") if model.input_dtype == "int32" else rng.normal(size=shape)
    x = x if model.input_dtype == "int32" else x.astype("float32")
    y = rng.normal(size=model.predict_on_batch(x).shape).astype("float32")
    return [x, y]


MODELS: dict[str, tuple[tuple[int | None, ...], list[Any]]] = {
    "mlp": ((7,), [L.Dense(16, "relu"), L.Dropout(0.3), L.Dense(5, "tanh"), L.Dense(3, "softmax")]),
    "cnn": (
        (9, 8, 1),
        [L.Conv2D(4, 3, activation="relu"), L.MaxPooling2D(2), L.Conv2D(5, 2, padding="same"), L.Flatten(), L.Dense(2)],
    ),
    "norms": (
        (6, 6, 3),
        [
            L.Conv2D(4, 3, padding="same", use_bias=False), L.BatchNormalization(), L.ReLU(),
            L.DepthwiseConv2D(3, strides=2, padding="same"), L.BatchNormalization(center=False), L.Activation("relu"),
            L.Conv2D(6, 1), L.LayerNormalization(), L.GlobalAveragePooling2D(), L.Dense(2),
        ],
    ),
    "sequences": (
        (12, 3),
        [L.Conv1D(4, 3, padding="causal", activation="relu"), L.MaxPooling1D(2), L.LSTM(4), L.Dense(1)],
    ),
    "two_ways": ((5, 3), [L.Masking(), L.Bidirectional(L.GRU(3, return_sequences=True)), L.SimpleRNN(2), L.Dense(2)]),
    "growing": (
        (4, 4, 2),
        [
            L.Conv2D(3, 3, 2, "same", activation="relu"), L.Conv2DTranspose(4, 3, 2, "same"), L.UpSampling2D(2),
            L.Conv2D(1, 3),
        ],
    ),
    "penalized": (
        (6,),
        [
            L.Dense(8, "relu", kernel_regularizer="l2", kernel_constraint="max_norm"),
            L.Dense(4, activity_regularizer="l1"), L.Dense(2),
        ],
    ),
}  # fmt: skip


def make(name: str) -> Sequential:
    keras.utils.set_random_seed(1)
    shape, stack = MODELS[name]
    # Layers keep their weights: each model is made of copies.
    return Sequential([keras.Input(shape), *(type(layer).from_config(layer.get_config()) for layer in stack)])


TILES = {"single": 1, "small": 4096, "large": 1 << 22}
# All of them; those in which every two of model, threads and tile meet are fast.
GRID = [
    pytest.param(name, threads, size, id=f"{tile}-{threads}-{name}", marks=[pytest.mark.slow] * ((i + j + k) % 3 > 0))
    for (i, name), (j, (tile, size)), (k, threads) in itertools.product(
        enumerate(MODELS), enumerate(TILES.items()), enumerate((1, 2, 3))
    )
]


@pytest.mark.parametrize(("name", "threads", "tile"), GRID)
def test_every_kind_of_model_trains_alike_in_both_executors(name: str, threads: int, tile: int) -> None:
    model = make(name)
    batches = [data(model, 7, seed) for seed in range(3)]
    both = twin(model, batches[0], "adam", "mse")
    assert_same(both, batches, Conditions(threads, tile))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_changes_its_arenas_as_it_changes_single_arrays(optimizer: str) -> None:
    model = make("mlp")
    batches = [data(model, 5, seed) for seed in range(4)]
    assert_same(twin(model, batches[0], optimizer, "mse"), batches, Conditions(2, 1 << 20))


@pytest.mark.parametrize(
    "arguments",
    [
        {"clipnorm": 0.1}, {"global_clipnorm": 0.1}, {"clipvalue": 0.01}, {"weight_decay": 0.1}, {"use_ema": True},
        {"use_ema": True, "ema_overwrite_frequency": 2}, {"gradient_accumulation_steps": 2}, {"amsgrad": True},
        {"loss_scale_factor": 8.0},
    ],
    ids=str,
)  # fmt: skip
def test_every_way_to_use_an_optimizer_gives_the_same_state(arguments: dict[str, Any]) -> None:
    model = make("mlp")
    batches = [data(model, 5, seed) for seed in range(4)]
    both = twin(model, batches[0], keras.optimizers.Adam(0.01, **arguments), "mse")
    assert_same(both, batches, Conditions(2, 1 << 20))


def test_sample_weights_and_a_mask_enter_before_the_tiles_are_summed() -> None:
    model = make("two_ways")
    x, y = data(model, 6)
    x[:, 3:] = 0
    both = twin(model, (x, y), "sgd", "mse", weighted=True)
    assert_same(both, [[x, y, np.linspace(0, 2, 6, dtype="float32")]] * 2, Conditions(2, 1))


def test_batches_of_other_sizes_share_one_state() -> None:
    model = make("cnn")
    batches = [data(model, size, size) for size in (8, 8, 3, 8, 1, 3)]
    assert_same(twin(model, batches[0], "adam", "mse"), batches, Conditions(2, 2048))


def test_sequences_of_other_lengths_share_one_state() -> None:
    model = Sequential([keras.Input((None, 3)), L.Conv1D(4, 3, padding="same"), L.GRU(3), L.Dense(1)])
    rng = np.random.default_rng(0)
    batches = [
        [rng.normal(size=(4, steps, 3)).astype("float32"), rng.normal(size=(4, 1)).astype("float32")]
        for steps in (5, 9, 5, 2)
    ]
    assert_same(twin(model, batches[0], "adam", "mse", free=(1,)), batches, Conditions(2, 4096))


def test_classes_and_integer_labels_train_alike() -> None:
    model = Sequential([keras.Input((5,)), L.Dense(8, "relu"), L.Dense(4, "softmax")])
    rng = np.random.default_rng(0)
    batches = [[rng.normal(size=(9, 5)).astype("float32"), rng.integers(0, 4, 9)] for _ in range(3)]
    both = twin(model, batches[0], "adam", "sparse_categorical_crossentropy")
    assert_same(both, batches, Conditions(2, 64))


few = settings(max_examples=effort(12, 25), suppress_health_check=[HealthCheck.too_slow], deadline=None)
many = settings(max_examples=effort(60, 300), suppress_health_check=[HealthCheck.too_slow], deadline=None)
CONDITIONS = st.builds(
    Conditions, st.integers(1, 3), st.sampled_from([1, 512, 4096, 1 << 20]), st.sampled_from([True, True, False])
)


def check_any(model: Sequential, conditions: Conditions, batch: int) -> None:
    note(f"{model.get_config()} {conditions} {batch}")
    rng = np.random.default_rng(7)
    model.set_weights([rng.uniform(0.2, 0.9, w.shape).astype(w.dtype) for w in model.get_weights()])
    batches = [data(model, batch, seed) for seed in range(2)]
    assert_same(twin(model, batches[0], "sgd", "mse"), batches, conditions, 1e-5)


@few
@may_be_odd
@given(model=models(numbers=True), conditions=CONDITIONS, batch=st.integers(1, 6))
def test_any_small_model_trains_alike(model: Sequential, conditions: Conditions, batch: int) -> None:
    check_any(model, conditions, batch)


@pytest.mark.slow
@many
@may_be_odd
@given(model=models(most=8, numbers=True), conditions=CONDITIONS, batch=st.integers(1, 9))
def test_any_model_trains_alike(model: Sequential, conditions: Conditions, batch: int) -> None:
    check_any(model, conditions, batch)


def trained(threads: int | None, monkeypatch: pytest.MonkeyPatch) -> list[Array]:
    if threads is not None:
        monkeypatch.setenv("SEQC_NUM_THREADS", str(threads))
    keras.utils.set_random_seed(5)
    model = Sequential(
        [keras.Input((28, 28, 1)), L.Conv2D(16, 3, activation="relu"), L.MaxPooling2D(2), L.Flatten(), L.Dense(10)]
    )
    model.compile("adam", "mse")
    rng = np.random.default_rng(0)
    model.fit(rng.random((70, 28, 28, 1)), rng.random((70, 10)), batch_size=32, epochs=2, verbose=0)
    return model.get_weights()


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_results_do_not_depend_on_the_timing_of_threads(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for a, b in zip(trained(threads, monkeypatch), trained(threads, monkeypatch), strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.slow
def test_one_and_several_threads_differ_by_rounding_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for a, b in zip(trained(1, monkeypatch), trained(3, monkeypatch), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_weights_set_between_steps_are_the_ones_that_train_on() -> None:
    model = make("mlp")
    model.compile("adam", "mse")
    x, y = data(model, 4)
    model.train_on_batch(x, y)
    new = [np.full_like(w, 0.1) for w in model.get_weights()]
    model.set_weights(new)
    np.testing.assert_allclose(model.predict(x, verbose=0), model.predict(x[:1], verbose=0)[[0] * 4], rtol=1e-5)
    model.train_on_batch(x, y)
    assert all(np.abs(w - 0.1).max() < 0.01 for w in model.get_weights())


def test_variables_of_one_optimizer_lie_side_by_side() -> None:
    model = make("mlp")
    model.compile("adam", "mse")
    x, y = data(model, 4)
    model.train_on_batch(x, y)
    bases = {id(v.array.base) for v in model.trainable_weights}
    assert len(bases) == 1
    assert all(v.array.base is not None for v in model.trainable_weights)


def test_small_variables_change_together_at_the_end_however_many_stages_a_gradient_has() -> None:
    layers = [L.Conv2D(3, 3), L.BatchNormalization(), L.Conv2D(4, 3), L.BatchNormalization(), L.Flatten(), L.Dense(2)]
    model = Sequential([keras.Input((8, 8, 2)), *layers])
    model.compile("adam", "mse")
    x, y = data(model, 8)
    model.train_on_batch(x, y)
    step = next(s for key, s in model._trainer._steps.items() if key[0] == "train")
    graph = lower_for_numpy(step.graph, {})
    cut, stages, _ = plan_stages(graph, 8)
    chains = [g.chains for g in plan_turns(cut, graph)[1]]
    adam = [each for each in chains if any(v.op.name == "Sqrt" and not v.scope for v in each[0].nodes)]
    assert len(stages) > 4
    assert [len(each) for each in adam] == [
        8,
        2,
    ]  # the gradients of the two gammas take more arithmetic than the others


@pytest.mark.parametrize(("width", "grows"), [(16, True), (512, False)], ids=["short calls", "long calls"])
def test_tiles_are_larger_where_calls_are_short(width: int, grows: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cache_bytes", {2: 1 << 16, 3: 1 << 24}.__getitem__)
    monkeypatch.setattr(machine, "cores_of_cache", lambda level: 2)
    hidden = [L.Dense(width, activation="tanh") for _ in range(3)]
    model = Sequential([keras.Input((64, width)), *hidden, L.GlobalAveragePooling1D()])
    x, tiles, results = (
        np.random.default_rng(0).normal(size=(300 if grows else 40, 64, width)).astype("float32"),
        [],
        [],
    )
    for share in (machine.TILE_SHARE, machine.LARGEST_TILE_SHARE):
        monkeypatch.setattr(machine, "LARGEST_TILE_SHARE", share)
        model._trainer.forget_steps()
        results.append(model.predict_on_batch(x))
        (step,) = model._trainer._steps.values()
        tiles.append(plan_stages(lower_for_numpy(step.graph, {}), len(x))[1][0].tile)
    assert (tiles[1] > tiles[0]) is grows
    assert tiles[0] <= tiles[1] < len(x) // 2
    monkeypatch.setenv("SEQC_EXECUTOR", "naive")
    model._trainer.forget_steps()
    for result in results:
        np.testing.assert_allclose(result, model.predict_on_batch(x), rtol=1e-4, atol=1e-6)


def test_arrays_that_were_handed_out_do_not_change_with_the_weights() -> None:
    model = make("mlp")
    model.compile("adam", "mse")
    x, y = data(model, 4)
    before, predicted = model.get_weights(), model.predict(x, verbose=0)
    kept = [w.copy() for w in before], predicted.copy()
    for _ in range(3):
        model.train_on_batch(x, y)
        model.predict(x, verbose=0)
    for a, b in zip(before, kept[0], strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(predicted, kept[1])


def test_a_failing_step_names_the_layer_and_leaves_the_state_as_it_was() -> None:
    model = Sequential([keras.Input((3,), dtype="int32"), L.Embedding(5, 4, name="words"), L.Flatten(), L.Dense(1)])
    model.compile("adam", "mse")
    good, y = np.ones((8, 3), "int32"), np.ones((8, 1))
    model.train_on_batch(good, y)
    before = [w.copy() for w in model.get_weights()]
    bad = good.copy()
    bad[6, 1] = 9
    with pytest.raises(ShapeError, match=r"'words'.*\[0, 5\)"):
        model.train_on_batch(bad, y)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.isfinite(model.train_on_batch(good, y))


def test_memory_does_not_grow_with_the_number_of_batches() -> None:
    model = make("cnn")
    model.compile("adam", "mse")
    x, y = data(model, 8)
    for _ in range(3):
        model.train_on_batch(x, y)
    tracemalloc.start()
    try:
        model.train_on_batch(x, y)
        _, first = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in range(30):
            model.train_on_batch(x, y)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < first + 20_000


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_trains_with_threads_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQC_NUM_THREADS", "2")
    trained(None, monkeypatch)
    child = os.fork()
    if not child:
        code = 1
        try:
            trained(None, monkeypatch)
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


def test_the_executor_is_chosen_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make("mlp")
    graph, _ = model.graph()
    monkeypatch.setenv("SEQC_EXECUTOR", "naive")
    assert isinstance(make_executor(graph, (), ()), NaiveExecutor)
    monkeypatch.setenv("SEQC_EXECUTOR", "tiled")
    assert isinstance(make_executor(graph, (), ()), Executor)
    monkeypatch.setenv("SEQC_EXECUTOR", "fast")
    with pytest.raises(ConfigError, match="SEQC_EXECUTOR must be 'tiled' or 'naive'; got 'fast'"):
        make_executor(graph, (), ())


@pytest.mark.parametrize("told", ["0", "-1", "many", "1.5"])
def test_a_wrong_number_of_threads_is_refused(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQC_NUM_THREADS", told)
    model = make("mlp")
    with pytest.raises(ConfigError, match=f"SEQC_NUM_THREADS must be a positive whole number; got '{told}'"):
        model.predict(np.ones((2, 7), "float32"), verbose=0)


def test_no_more_threads_than_cores() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


def test_threads_that_predict_with_one_model_get_their_own_answers() -> None:
    model = make("cnn")
    inputs = [data(model, 4, seed)[0] for seed in range(8)]
    expected = [model.predict(x, verbose=0) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for a, b in zip(pool.map(lambda x: model.predict(x, verbose=0), inputs), expected, strict=True):
                np.testing.assert_array_equal(a, b)


def test_predictions_are_collected_in_one_array(rng: np.random.Generator) -> None:
    model = make("mlp")
    x = rng.normal(size=(50, 7)).astype("float32")
    whole = model.predict(x, batch_size=50, verbose=0)
    for size, steps, rows in ((7, None, 50), (7, 3, 21), (60, None, 50)):
        part = model.predict(x, batch_size=size, steps=steps, verbose=0)
        assert part.shape == (rows, 3)
        np.testing.assert_allclose(part, whole[:rows], rtol=1e-5)


def table_model(rows: int = 9) -> Sequential:
    return Sequential([keras.Input((4,), dtype="int32"), L.Embedding(rows, 6), L.Flatten(), L.Dense(2)])


@pytest.mark.parametrize("optimizer", ["sgd", keras.optimizers.SGD(0.1, momentum=0.9), "adam", "adagrad"])
def test_a_table_trains_alike_whether_its_gradient_is_dense_or_not(optimizer: Any) -> None:
    model = table_model()
    batches = [data(model, 5, seed) for seed in range(3)]
    batches[1][0][:, 1] = -1  # counts from the end
    assert_same(twin(model, batches[0], optimizer, "mse"), batches, Conditions(2, 1))


def test_plain_gradient_descent_makes_no_gradient_of_the_tables_size() -> None:
    model = table_model(rows=100_000)
    model.compile("sgd", "mse")
    x, y = data(model, 8)
    model.train_on_batch(x, y)
    before, array = model.get_weights()[0], model.weights[0].array
    step = next(s for key, s in model._trainer._steps.items() if key[0] == "train")
    kinds = [type(v.op) for v in lower_for_numpy(step.graph, {}).walk()]
    assert (kinds.count(AddRows), kinds.count(GatherGrad)) == (1, 0)
    model.train_on_batch(x, y)
    changed = np.flatnonzero((model.get_weights()[0] != before).any(1))
    assert 0 < len(changed) <= 6
    assert model.weights[0].array is array
    tracemalloc.start()
    try:
        model.train_on_batch(x, y)
        assert tracemalloc.get_traced_memory()[1] < array.nbytes / 10
    finally:
        tracemalloc.stop()


def test_steps_that_share_variables_stop_moving_them() -> None:
    a, b, c = (L.Dense(4) for _ in range(3))
    first, second = Sequential([keras.Input((4,)), a, b]), Sequential([keras.Input((4,)), b, a, c])
    x = np.ones((3, 4), "float32")
    for model in (first, second):
        model.compile("sgd", "mse")
    for _ in range(12):
        first.train_on_batch(x, x)
        second.train_on_batch(x, x)
    arrays = [v.array for v in second.weights]
    first.train_on_batch(x, x)
    second.train_on_batch(x, x)
    assert all(v.array is array for v, array in zip(second.weights, arrays, strict=True))


def test_an_interruption_is_raised_as_it_is() -> None:
    model = Sequential([keras.Input((3,), dtype="int32"), L.Embedding(5, 4)])
    executor = model._trainer.step_for(
        "predict", model._trainer.samples(np.ones((2, 3), "int32")).rows(slice(None))
    ).executor
    assert isinstance(executor, Executor)
    given = [np.ones((2, 3), "int32"), np.array(0, np.int64), np.array(0, np.int64)]
    executor.run(given)

    def interrupt() -> None:
        raise KeyboardInterrupt

    (bound,) = (one for key, one in executor._programs.items() if key[1:] == tuple(a.shape for a in given))
    calls = bound.program.regions[0].lists[0]
    calls.append(interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        executor.run(given)
    assert caught.value.__cause__ is None
    del calls[-1]
    assert executor.run(given)[0].shape == (2, 3, 4)


def test_two_metrics_that_share_a_sum_are_both_right() -> None:
    x = np.linspace(-1, 1, 8, dtype="float32")[:, None]
    y = np.array([0, 1, 0, 1, 1, 0, 1, 1], "float32")[:, None]
    model = Sequential([keras.Input((1,)), L.Dense(1, activation="sigmoid", kernel_initializer="ones")])
    model.compile("sgd", "binary_crossentropy", metrics=[keras.metrics.Precision(), keras.metrics.Recall()])
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0), [0.6201254, 0.75, 0.6], rtol=1e-6)


def test_clipping_beside_a_penalty_trains() -> None:
    x = np.linspace(-1, 1, 32, dtype="float32").reshape(8, 4)
    model = Sequential([keras.Input((4,)), L.Dense(2, kernel_regularizer="l2"), L.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9, clipnorm=1.0), "mse")
    model.set_weights([np.full(w.shape, 0.1, "float32") for w in model.get_weights()])
    model.fit(x, x[:, :1], epochs=3, batch_size=4, shuffle=False, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0][:, 0], [0.113292, 0.112666, 0.112039, 0.111413], rtol=1e-5)


def test_a_gradient_of_what_is_taken_across_samples_is_planned_by_its_size() -> None:
    x = keras.Input((3,))
    h = L.Dense(3)(x)
    model = keras.Model(x, h - keras.ops.quantile(h, 0.3, -1, keepdims=True))
    rng = np.random.default_rng(0)
    batches = [[rng.normal(size=(7, 3)).astype("float32") for _ in range(2)] for _ in range(2)]
    assert_same(twin(model, batches[0], "sgd", "mse"), batches, Conditions(2, 64))
