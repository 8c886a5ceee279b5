"""Data that come in batches: generators, lists, what has numbers; their epochs, validation and ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.small_data import Foreign, X, Y, model
from seqc import layers
from seqc.errors import ConfigError, DataError


def batches(size: int = 4, weight: Any = None) -> Iterator[Any]:
    for start in range(0, 12, size):
        rows = slice(start, start + size)
        yield (X[rows], Y[rows]) if weight is None else (X[rows], Y[rows], weight[rows])


class Again:
    """Can be gone through again and again, as a tf.data.Dataset or a torch DataLoader."""

    def __iter__(self) -> Iterator[Any]:
        return iter([list(batch) for batch in batches()])


class Numbered(keras.utils.PyDataset):
    """Gives batches by number."""

    def __init__(self) -> None:
        super().__init__(workers=1)
        self.asked: list[int] = []
        self.epochs = 0

    def __len__(self) -> int:
        return 3

    def __getitem__(self, number: int) -> Any:
        self.asked.append(number)
        return X[4 * number : 4 * number + 4], Y[4 * number : 4 * number + 4]

    def on_epoch_end(self) -> None:
        self.epochs += 1


@pytest.mark.parametrize("source", [batches, Again, lambda: list_iterator(), Numbered])
def test_training_on_batches_equals_training_on_arrays(source: Any) -> None:
    arrays, iterable = model(rate=0.1), model(rate=0.1)
    expected = arrays.fit(X, Y, batch_size=4, shuffle=False, verbose=0).history
    assert iterable.fit(source(), shuffle=False, verbose=0).history == expected
    for a, b in zip(arrays.get_weights(), iterable.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert iterable.evaluate(source(), verbose=0) == pytest.approx(arrays.evaluate(X, Y, verbose=0), rel=1e-5)
    np.testing.assert_allclose(iterable.predict(source(), verbose=0), arrays.predict(X, verbose=0), rtol=1e-6)


def list_iterator() -> Iterator[Any]:
    return iter(list(batches()))


def test_batches_may_carry_weights_or_be_samples_alone() -> None:
    trained, weight = model(), np.linspace(0, 2, 12)
    expected = trained.evaluate(X, Y, sample_weight=weight, verbose=0)
    assert trained.evaluate(batches(5, weight), verbose=0) == pytest.approx(expected, rel=1e-5)
    for alone in ((x for x, _ in batches()), ((x,) for x, _ in batches())):
        np.testing.assert_allclose(trained.predict(alone, verbose=0), trained(X), rtol=1e-6)


def test_an_unbuilt_model_is_built_for_the_first_batch() -> None:
    fresh = keras.Sequential([layers.Dense(1)])
    fresh.compile("sgd", "mse")
    fresh.fit(batches(), verbose=0)
    assert fresh.input_shape == (None, 2)
    assert int(fresh.optimizer.iterations) == 3


def test_an_iterable_starts_anew_in_every_epoch_and_a_generator_goes_on() -> None:
    again = model(rate=0.1)
    assert again.fit(Again(), epochs=3, verbose=0).epoch == [0, 1, 2]
    assert int(again.optimizer.iterations) == 9

    def endless() -> Iterator[Any]:
        while True:
            yield from batches()

    steps = model(rate=0.1)
    history = steps.fit(endless(), epochs=3, steps_per_epoch=2, verbose=0)
    assert history.params["steps"] == 2
    assert int(steps.optimizer.iterations) == 6
    arrays = model(rate=0.1)
    expected = arrays.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0).history["loss"]
    assert again.fit(Again(), verbose=0).params["steps"] is None
    assert len(expected) == 2
    for a, b in zip(arrays.get_weights(), steps.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_batch_is_lost_to_looking_ahead() -> None:
    class Hidden:
        """Looks as if it could be gone through again."""

        def __init__(self) -> None:
            self.batches = batches()

        def __iter__(self) -> Iterator[Any]:
            return self.batches

    trained = model()
    assert trained.predict(Hidden(), verbose=0).shape == (12, 1)
    trained.fit(Hidden(), verbose=0)
    assert int(trained.optimizer.iterations) == 3


def test_a_validation_of_fewer_batches_than_steps_sees_them_all_each_time() -> None:
    trained = model()
    expected = trained.evaluate(X, Y, verbose=0)
    with pytest.warns(UserWarning, match="The data ran out: 3 of the 9 steps"):
        run = trained.fit(X, Y, epochs=3, validation_data=batches(), validation_steps=9, verbose=0)
    np.testing.assert_allclose(run.history["val_loss"], [expected] * 3, rtol=1e-6)


def test_a_generator_that_ends_ends_the_training_with_a_warning() -> None:
    trained = model()
    with pytest.warns(UserWarning, match="The training data ran out before epoch 2; training ends here"):
        history = trained.fit(batches(), epochs=3, verbose=0)
    assert history.epoch == [0]
    with pytest.warns(UserWarning, match="The data ran out: 1 of the 2 steps of the epoch were done"):
        assert trained.fit(batches(), epochs=2, steps_per_epoch=2, verbose=0).epoch == [0, 1]


def test_numbered_batches_are_shuffled_and_told_of_the_end_of_an_epoch() -> None:
    keras.utils.set_random_seed(1)
    source = Numbered()
    trained = model()
    trained.fit(source, epochs=4, verbose=0)
    orders = [source.asked[3 * i : 3 * i + 3] for i in range(4)]
    assert all(sorted(order) == [0, 1, 2] for order in orders)
    assert any(order != [0, 1, 2] for order in orders)
    assert source.epochs == 4
    source.asked.clear()
    trained.evaluate(source, verbose=0)
    assert source.asked == [0, 1, 2]


class Told(Numbered):
    """Says what it is asked for and told."""

    def __init__(self, log: list[Any]) -> None:
        super().__init__()
        self.log = log

    def __getitem__(self, number: int) -> Any:
        self.log.append(number)
        return super().__getitem__(number)

    def on_epoch_begin(self) -> None:
        self.log.append("begin")

    def on_epoch_end(self) -> None:
        self.log.append("end")


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (1, "begin 0 end logged begin 1 end logged begin 2 end logged begin 0 end logged"),
        (2, "begin 0 1 end logged begin 2 end logged begin 0 1 end logged begin 2 end logged"),
        (3, " ".join(["begin 0 1 2 end logged"] * 4)),
        (None, " ".join(["begin 0 1 2 end logged"] * 4)),
    ],
)
@pytest.mark.filterwarnings("ignore:The data ran out")
def test_numbered_batches_are_told_of_every_epoch_of_the_run(steps: int | None, expected: str) -> None:
    log: list[Any] = []
    logged = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: log.append("logged"))
    model().fit(Told(log), epochs=4, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[logged])
    assert " ".join(map(str, log)) == expected


def test_numbered_batches_are_told_of_validation_evaluation_and_prediction() -> None:
    log: list[Any] = []
    trained = model()
    trained.fit(X, Y, validation_data=Told(log), validation_steps=2, epochs=2, verbose=0)
    assert log == ["begin", 0, 1, "end"] * 2
    for use in (trained.evaluate, trained.predict):
        log.clear()
        use(Told(log), steps=2, verbose=0)
        assert log == ["begin", 0, 1, "end"]
    log.clear()
    stop = keras.callbacks.LambdaCallback(on_train_batch_end=lambda i, logs: setattr(trained, "stop_training", True))
    trained.fit(Told(log), shuffle=False, verbose=0, callbacks=[stop])
    assert log == ["begin", 0]


def test_validation_takes_batches_too() -> None:
    trained = model()
    expected = trained.evaluate(X, Y, verbose=0)
    found = trained.fit(X, Y, epochs=2, validation_data=Again(), verbose=0).history["val_loss"]
    np.testing.assert_allclose(found, [expected] * 2, rtol=1e-5)
    found = trained.fit(X, Y, validation_data=batches(), verbose=0).history["val_loss"]
    np.testing.assert_allclose(found, [expected], rtol=1e-5)
    with pytest.raises(ConfigError, match="validation_data .* can be gone through once, and there are 2 validations"):
        trained.fit(X, Y, epochs=2, validation_data=batches(), verbose=0)


def endless(log: list[int]) -> Iterator[Any]:
    while True:
        for start in range(0, 12, 3):
            log.append(start)
            yield X[start : start + 3], Y[start : start + 3]


@pytest.mark.parametrize("steps", [1, 2, 3, 6])
def test_every_validation_from_a_generator_sees_the_same_batches(steps: int) -> None:
    log: list[int] = []
    trained = model()
    rows = np.arange(3 * steps) % 12
    expected = trained.evaluate(X[rows], Y[rows], verbose=0)
    run = trained.fit(X, Y, epochs=4, validation_data=endless(log), validation_steps=steps, verbose=0)
    np.testing.assert_allclose(run.history["val_loss"], [expected] * 4, rtol=1e-6)
    assert len(log) == steps


def test_a_generator_may_fill_the_same_arrays_for_each_batch_of_validation() -> None:
    def refilled() -> Iterator[Any]:
        x, y, weight = np.zeros((4, 2), "float32"), np.zeros((4, 1), "float32"), np.zeros(4, "float32")
        for start in range(0, 12, 4):
            x[:], y[:], weight[:] = X[start : start + 4], Y[start : start + 4], start + np.arange(4)
            yield x, y, weight

    trained = model()
    expected = trained.evaluate(X, Y, sample_weight=np.arange(12), batch_size=4, verbose=0)
    run = trained.fit(X, Y, epochs=3, validation_data=refilled(), validation_steps=3, verbose=0)
    np.testing.assert_allclose(run.history["val_loss"], [expected] * 3, rtol=1e-6)


def test_a_generator_validates_once_in_every_validated_epoch() -> None:
    run = model().fit(
        X, Y, epochs=6, validation_data=endless([]), validation_steps=2, validation_freq=[1, 5], verbose=0
    )
    assert len(run.history["val_loss"]) == 2
    assert run.history["val_loss"][0] == run.history["val_loss"][1]


class Unmeasured:
    """What `len` and iteration say of data of TensorFlow that repeat for ever, or whose length it does not know."""

    def __init__(self, text: str, rounds: int) -> None:
        self.text, self.rounds = text, rounds

    def __len__(self) -> int:
        raise TypeError(self.text)

    def __iter__(self) -> Iterator[Any]:
        for _ in range(self.rounds):
            yield Foreign(X[:4]), Foreign(Y[:4])
            yield Foreign(X[4:]), Foreign(Y[4:])


def test_data_that_never_end_train_for_the_steps_of_an_epoch() -> None:
    trained = model()
    data = Unmeasured("The dataset is infinite.", 1000)
    run = trained.fit(data, steps_per_epoch=3, epochs=2, validation_data=data, validation_steps=2, verbose=0)
    assert int(trained.optimizer.iterations) == 6
    np.testing.assert_allclose(run.history["val_loss"], [trained.evaluate(X, Y, verbose=0)] * 2, rtol=1e-6)
    np.testing.assert_allclose(trained.evaluate(data, steps=2, verbose=0), run.history["val_loss"][0], rtol=1e-6)
    for use in (lambda: trained.fit(data, verbose=0), lambda: trained.predict(data, verbose=0)):
        with pytest.raises(DataError, match="never ends: say how many .* steps_per_epoch in fit"):
            use()


def test_data_that_do_not_know_their_length_are_gone_through() -> None:
    trained = model()
    trained.fit(Unmeasured("The dataset length is unknown.", 1), epochs=2, verbose=0)
    assert int(trained.optimizer.iterations) == 4


def test_samples_may_come_in_a_dictionary_that_names_the_input() -> None:
    trained = keras.Sequential([keras.Input((2,), name="image"), layers.Dense(1)])
    trained.compile(keras.optimizers.SGD(0.0), "mse")
    expected = trained.predict(X, verbose=0)
    np.testing.assert_array_equal(trained.predict({"image": X}, verbose=0), expected)
    np.testing.assert_array_equal(trained.predict_on_batch({"image": X}), expected)
    loss = trained.evaluate({"image": X}, Y, verbose=0)
    assert trained.fit({"image": X}, Y, verbose=0).history["loss"] == pytest.approx([loss])
    assert trained.fit(iter([({"image": X}, Y)]), verbose=0).history["loss"] == pytest.approx([loss])
    with pytest.raises(DataError, match="has an input 'image'; x is a dictionary with 'imag'"):
        trained.predict({"imag": X}, verbose=0)


def test_class_weights_apply_to_batches() -> None:
    sorting = model("sparse_categorical_crossentropy", 2, "softmax")
    labels = np.arange(12) % 2
    expected = sorting.fit(X, labels, class_weight={1: 3.0}, verbose=0).history["loss"]
    pairs = [(X[:7], labels[:7]), (X[7:], labels[7:])]
    found = sorting.fit(iter(pairs), class_weight={1: 3.0}, verbose=0).history["loss"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("kind", [bool, np.bool_, np.int8, np.float32])
def test_class_weights_may_be_keyed_by_what_labels_are(kind: Any) -> None:
    labels, losses = np.arange(12) % 2, []
    for weights in ({0: 2.0, 1: 3.0}, {kind(0): 2.0, kind(1): 3.0}):
        keras.utils.set_random_seed(1)
        losses.append(model("binary_crossentropy", 1, "sigmoid").fit(X, labels, class_weight=weights, verbose=0))
    assert losses[0].history == losses[1].history


def test_batches_of_several_lengths_train_one_model() -> None:
    reading = keras.Sequential([keras.Input((None, 2)), layers.LSTM(3), layers.Dense(1)])
    reading.compile("sgd", "mse")
    pairs = [(np.ones((2, n, 2)), np.ones((2, 1))) for n in (3, 5, 3, 4)]
    reading.fit(iter(pairs), verbose=0)
    assert reading.predict(iter(pairs), verbose=0).shape == (8, 1)
    shapes = [(np.ones((2, n, 2)),) for n in (3, 5)]
    same = keras.Sequential([keras.Input((None, 2)), layers.Dense(1)])
    with pytest.raises(ValueError, match="outputs of the batches have different shapes"):
        same.predict(iter(shapes), verbose=0)


@pytest.mark.parametrize(
    ("use", "error", "text"),
    [
        (
            lambda m: m.fit(batches(), Y),
            DataError,
            "x \\(generator\\) gives batches itself: y and sample_weight belong",
        ),
        (lambda m: m.fit(batches(), sample_weight=Y), DataError, "gives batches itself"),
        (lambda m: m.fit(batches(), validation_split=0.5), ConfigError, "validation_split needs arrays"),
        (lambda m: m.fit(x for x, _ in batches()), DataError, "The loss 'mse' needs labels"),
        (lambda m: m.fit(iter([])), DataError, "x \\(list_iterator\\) gave no batches"),
        (lambda m: m.predict(iter([])), DataError, "gave no batches"),
        (lambda m: m.fit(iter([(X, Y, Y, Y)])), DataError, "A batch of x must be .* got 4 parts"),
        (lambda m: m.fit(iter([(1, 2)])), DataError, "must be \\(x, y\\), .* made of arrays; got tuple of int, int"),
        (lambda m: m.fit(iter([(X, Y), (X, Y[:3])])), DataError, "Data cardinality is ambiguous"),
        (lambda m: m.fit(object()), DataError, "x holds Python objects"),
    ],
)
def test_batches_that_make_no_sense_are_refused(use: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        use(model())


# -- batches without samples -------------------------------------------------------------------------------------------


class ByNumber:
    def __init__(self, parts: list[Any]) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, number: int) -> Any:
        return self.parts[number]


@pytest.mark.parametrize("kind", [iter, list, ByNumber])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_batches_without_samples_are_passed_over(kind: Any, at: int) -> None:
    parts = [(X[:4], Y[:4]), (X[4:], Y[4:])]
    holed = [*parts[:at], (X[:0], Y[:0]), *parts[at:]]
    wrap = (lambda given: (one for one in given)) if kind is list else kind
    plain, trained = model(rate=0.1), model(rate=0.1)
    wanted = plain.fit(iter(parts), verbose=0).history["loss"]
    with pytest.warns(UserWarning, match="A batch of x has no samples; such are passed over"):
        found = trained.fit(wrap(holed), shuffle=False, verbose=0).history["loss"]
    assert found == wanted
    with pytest.warns(UserWarning, match="no samples"):
        assert trained.evaluate(wrap(holed), verbose=0) == plain.evaluate(iter(parts), verbose=0)
    with pytest.warns(UserWarning, match="no samples"):
        predicted = trained.predict(wrap([(x,) for x, _ in holed]), verbose=0)
    np.testing.assert_array_equal(predicted, plain.predict(X, verbose=0))


def test_data_of_nothing_but_batches_without_samples_are_refused() -> None:
    for use in (model().fit, model().evaluate, model().predict):
        with (
            pytest.warns(UserWarning, match="no samples"),
            pytest.raises(DataError, match="gave no batches but such without samples"),
        ):
            use(iter([(X[:0], Y[:0])]))
    with pytest.raises(DataError, match="cardinality is ambiguous"):
        model().fit(iter([(X[:0], Y)]))
