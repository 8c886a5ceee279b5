"""What comes along with training: copies meanwhile, logs of callbacks, data with more than the inputs, no epochs."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers
from seqc.errors import DataError

X, Y = np.ones((2000, 10), "float32"), np.ones((2000, 1), "float32")


def model(**compiled: Any) -> keras.Sequential:
    made = keras.Sequential([keras.Input((10,), name="x"), layers.Dense(1, kernel_initializer="ones", name="d")])
    made.compile(**{"optimizer": keras.optimizers.SGD(0.01), "loss": "mse", **compiled})
    return made


def batches() -> Any:
    while True:
        yield X[:8], Y[:8]


@pytest.mark.parametrize("when", ["on_train_batch_end", "on_epoch_end"])
@pytest.mark.parametrize("data", ["arrays", "arrays by steps", "generator"])
def test_a_copy_made_during_training_has_no_data_and_goes_on(when: str, data: str) -> None:
    copies: list[Any] = []
    sizes: list[int] = []

    def take(*_: Any) -> None:
        if not copies:
            sizes.append(len(pickle.dumps(trained)))
            copies.extend([pickle.loads(pickle.dumps(trained)), copy.deepcopy(trained)])
            copies.append(trained.get_weights())

    trained = model()
    follow = [keras.callbacks.LambdaCallback(**{when: take})]
    if data == "generator":
        trained.fit(batches(), steps_per_epoch=3, verbose=0, callbacks=follow)
    else:
        steps = {"steps_per_epoch": 3} if data != "arrays" else {}
        trained.fit(X, Y, batch_size=200, verbose=0, callbacks=follow, **steps)  # type: ignore[arg-type]
    assert sizes[0] < X.nbytes / 4
    for one in copies[:2]:
        for a, b in zip(one.get_weights(), copies[2], strict=True):
            np.testing.assert_array_equal(a, b)
        assert one.fit(X, Y, epochs=2, batch_size=500, verbose=0).epoch == [0, 1]


def test_no_epochs_leave_weights_as_they_are() -> None:
    averaged = model(optimizer=keras.optimizers.SGD(0.1, use_ema=True))
    averaged.fit(X, Y, batch_size=500, verbose=0)
    averaged.set_weights([np.full((10, 1), 5.0), np.full((1,), 5.0)])
    averaged.fit(X, Y, epochs=0, verbose=0)
    np.testing.assert_array_equal(averaged.get_weights()[0], 5)


@pytest.mark.parametrize("verbose", [1, 2])
def test_the_end_of_an_epoch_shows_what_callbacks_add_to_its_logs(
    verbose: int, capsys: pytest.CaptureFixture[str]
) -> None:
    class Adds(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs["mine"] = 7.0

    follow = [Adds(), keras.callbacks.LearningRateScheduler(lambda epoch: 0.01)]
    model().fit(X, Y, verbose=verbose, callbacks=follow)
    assert "- mine: 7.0000 - learning_rate: 0.0100" in " ".join(capsys.readouterr().out.split())


def test_logs_may_have_names_that_are_no_texts(capsys: pytest.CaptureFixture[str]) -> None:
    class Adds(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs[3] = 7.0

    history: Any = model().fit(X, Y, verbose=2, callbacks=[Adds()]).history
    assert history[3] == [7.0]
    assert "- 3: 7.0000" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("verbose", "shown"), [(None, ""), (3, "Epoch 1/2\nEpoch 2/2"), (np.False_, ""), (0.0, "")])
def test_other_levels_of_verbosity_show_what_keras_does(
    verbose: Any, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model().fit(X, Y, epochs=2, verbose=verbose)
    assert capsys.readouterr().out.strip() == shown


def test_a_dictionary_may_have_more_than_the_inputs() -> None:
    expected = model().fit(X, Y, verbose=0).history["loss"]
    more = {"x": X, "note": np.zeros(2000), "y": Y}
    trained = model()
    assert trained.fit(more, Y, verbose=0).history["loss"] == expected
    np.testing.assert_array_equal(trained.predict(more, verbose=0), trained.predict(X, verbose=0))
    np.testing.assert_array_equal(trained.predict_on_batch(more), trained.predict_on_batch(X))
    with pytest.raises(DataError):
        trained.fit({"other": X, "note": Y}, Y, verbose=0)


def test_validation_without_labels_is_refused_only_where_a_loss_wants_them() -> None:
    class Own(keras.Sequential):
        def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:  # type: ignore[override]
            return keras.ops.mean(keras.ops.square(y_pred))

    own = Own([keras.Input((10,)), layers.Dense(1)])
    own.compile("sgd")
    assert len(own.fit(X, validation_data=X, verbose=0).history["val_loss"]) == 1
    with pytest.raises(DataError, match="validation_data must be a tuple"):
        model().fit(X, Y, validation_data=X, verbose=0)
