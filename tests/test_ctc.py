"""Connectionist temporal classification: against all alignments one by one, and in models that train."""

from __future__ import annotations

from itertools import groupby, product
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import ops
from seqc.errors import ConfigError, DataError, DTypeError, ExportError, NoLoweringError, ShapeError
from seqc.graph.autodiff import gradients
from seqc.graph.ir import constant


def log_softmax(x: Any) -> Any:
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def sequences_of(logits: Any, blank: int) -> dict[tuple[int, ...], float]:
    """Returns the probability of every label sequence of one sample, summed over all alignments."""
    steps, classes = logits.shape
    logs = log_softmax(logits)
    found: dict[tuple[int, ...], float] = {}
    for alignment in product(range(classes), repeat=steps):
        labels = tuple(c for c, _ in groupby(alignment) if c != blank)
        found[labels] = found.get(labels, 0.0) + np.exp(logs[range(steps), alignment].sum())
    return found


def draw(seed: int, batch: int, steps: int, classes: int) -> Any:
    return np.random.default_rng(seed).normal(0, 2, (batch, steps, classes))


TARGET = np.array([[1, 1], [2, 1], [2, 0], [1, 2], [0, 0]], np.int32)
TARGET_LENGTH, LENGTH = np.array([2, 2, 1, 2, 0], np.int32), np.array([5, 4, 5, 2, 3], np.int32)


@pytest.mark.parametrize("blank", [0, 2])
def test_loss_is_that_of_all_alignments_one_by_one(blank: int) -> None:
    logits = draw(1, 5, 5, 3)
    target = TARGET if blank == 0 else np.array([[1, 1], [0, 1], [0, 2], [1, 0], [2, 2]], np.int32)
    got = np.asarray(ops.ctc_loss(target, logits, TARGET_LENGTH, LENGTH, blank))
    for i, loss in enumerate(got):
        every = sequences_of(logits[i, : LENGTH[i]], blank)
        assert loss == pytest.approx(-np.log(every[tuple(target[i, : TARGET_LENGTH[i]])]), rel=1e-12)


def test_gradient_is_the_difference_quotient() -> None:
    logits, scale = draw(2, 5, 5, 3), np.array([1.0, -2.0, 0.5, 1.0, 3.0])
    value = constant(logits)
    total = ops.sum(ops.ctc_loss(TARGET, value, TARGET_LENGTH, LENGTH) * scale)
    got, h = np.asarray(gradients(total, [value])[0]), 1e-6

    def at(x: Any) -> float:
        return float(np.asarray(ops.ctc_loss(TARGET, x, TARGET_LENGTH, LENGTH)) @ scale)

    for place in np.ndindex(logits.shape):
        step = np.zeros_like(logits)
        step[place] = h
        assert got[place] == pytest.approx((at(logits + step) - at(logits - step)) / (2 * h), abs=1e-7)
    beyond = np.arange(5) >= LENGTH[:, None]
    assert not got[beyond].any()


def test_labels_that_do_not_fit_cost_infinitely_much_and_move_nothing() -> None:
    # Two equal labels need a blank between them: three steps.
    value = constant(draw(3, 2, 2, 3))
    loss = ops.ctc_loss([[1, 1], [1, 2]], value, np.array([2, 2], np.int32), np.array([2, 2], np.int32))
    slope = np.asarray(gradients(ops.sum(loss), [value])[0])
    assert np.isinf(np.asarray(loss)).tolist() == [True, False]
    assert not slope[0].any()
    assert slope[1].any()


def test_long_sequences_stay_finite_in_single_precision() -> None:
    logits = draw(4, 2, 400, 30).astype("float32") * 10
    target = np.random.default_rng(5).integers(1, 30, (2, 60))
    lengths = np.array([60, 45], np.int32), np.array([400, 380], np.int32)
    single = np.asarray(ops.ctc_loss(target, logits, *lengths))
    double = np.asarray(ops.ctc_loss(target, logits.astype("float64"), *lengths))
    assert single.dtype == np.float32
    assert double.min() > 1000
    np.testing.assert_allclose(single, double, rtol=1e-5)
    value = constant(logits)
    slope = np.asarray(gradients(ops.sum(ops.ctc_loss(target, value, *lengths)), [value])[0])
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("blank", [0, 2])
def test_a_wide_beam_finds_the_most_probable_sequences(blank: int) -> None:
    logits = draw(6, 3, 5, 3)
    paths, scores = (np.asarray(r) for r in ops.ctc_decode(logits, [5, 3, 4], "beam_search", 500, 6, mask_index=blank))
    for i, length in enumerate([5, 3, 4]):
        every = sorted(sequences_of(logits[i, :length], blank).items(), key=lambda pair: -pair[1])[:6]
        assert [tuple(path[path >= 0]) for path in paths[:, i]] == [labels for labels, _ in every]
        np.testing.assert_allclose(scores[i], [np.log(p) for _, p in every], rtol=1e-9)


def test_paths_that_there_are_not_are_empty_and_impossible() -> None:
    paths, scores = (np.asarray(r) for r in ops.ctc_decode(draw(7, 1, 1, 2), [1], "beam_search", 9, 4))
    assert sorted(paths[:, 0, 0].tolist()) == [-1, -1, -1, 1]
    assert np.isfinite(scores).sum() == 2


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.ctc_loss([[3]], np.ones((1, 2, 3)), [1], [2]), DataError, "labels from 0 to 2 other than 0"),
        (lambda: ops.ctc_loss([[0]], np.ones((1, 2, 3)), [1], [2]), DataError, "other than 0, the class of no label"),
        (lambda: ops.ctc_loss([[1]], np.ones((1, 2, 3)), [2], [2]), DataError, "label lengths from 0 to 1; got 2"),
        (lambda: ops.ctc_loss([[1]], np.ones((1, 2, 3)), [1], [3]), DataError, "output lengths from 0 to 2; got 3"),
        (lambda: recognizer().fit(waves()[0], waves()[1] + 1, verbose=0), DataError, "labels from 1 to 3, and 0 where"),
        (lambda: recognizer().fit(waves()[0], waves()[1] / 2, verbose=0), DataError, "that are whole numbers"),
        (lambda: ops.ctc_loss([1], np.ones((1, 2, 3)), [1], [2]), ShapeError, "labels (batch, labels), outputs"),
        (lambda: ops.ctc_loss([[1]], np.ones((2, 2, 3)), [1], [2]), ShapeError, "as many labels and lengths"),
        (lambda: ops.ctc_loss([[1]], np.ones((1, 2, 3)), [1], [2], 3), ShapeError, "no class 3 for no label"),
        (lambda: ops.ctc_loss([[1]], np.ones((1, 2, 3)), [1.0], [2]), DTypeError, "target_length are integers"),
        (lambda: ops.ctc_decode(np.ones((1, 2, 3)), [2], "best"), ConfigError, "Invalid strategy best."),
        (lambda: ops.ctc_decode(np.ones((1, 2, 3)), [2], "beam_search", 2, 3), ConfigError, "1 to beam_width=2 paths"),
        (lambda: ops.ctc_decode(np.ones((2, 3)), [2]), ShapeError, "outputs (batch, steps, classes)"),
        (lambda: keras.losses.ctc(np.ones((2, 3, 1)), np.ones((2, 5, 4))), DataError, "Loss 'ctc' needs class numbers"),
    ],
)
def test_what_does_not_fit_is_named(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as found:
        np.asarray(call())
    assert message in str(found.value)


def recognizer() -> Any:
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((None, 2)),
            keras.layers.Conv1D(8, 3, padding="same", activation="tanh"),
            keras.layers.Bidirectional(keras.layers.LSTM(8, return_sequences=True)),
            keras.layers.Dense(4),
        ]
    )
    model.compile(keras.optimizers.Adam(0.03), keras.losses.CTC())
    return model


def waves() -> tuple[Any, Any]:
    """Returns sequences in which three kinds of pulses follow each other, and which ones."""
    rng = np.random.default_rng(8)
    labels = rng.integers(1, 4, (48, 3))
    labels[::3, 2] = 0
    x = rng.normal(0, 0.05, (48, 12, 2)).astype("float32")
    for i, row in enumerate(labels):
        for k, label in enumerate(row[row > 0]):
            x[i, 4 * k + 1 : 4 * k + 3] += ((1, 0), (0, 1), (1, 1))[label - 1]
    return x, labels


@pytest.mark.slow
def test_a_recognizer_learns_to_read_and_its_file_decodes(tmp_path: Any) -> None:
    model, (x, labels) = recognizer(), waves()
    history = model.fit(x, labels, epochs=25, batch_size=16, verbose=0).history["loss"]
    assert history[-1] < 0.2 < 3 < history[0]
    assert model.evaluate(x, labels, verbose=0) == pytest.approx(
        float(keras.losses.CTC()(labels, model.predict(x, verbose=0))), rel=1e-5
    )
    read = np.asarray(ops.ctc_decode(model.predict(x, verbose=0), np.full(48, 12, "int32"))[0])[0]
    assert (read[:, :3] == np.where(labels > 0, labels, -1)).all(1).mean() > 0.9
    model.save(tmp_path / "reader.keras")
    again = keras.models.load_model(tmp_path / "reader.keras")
    assert type(again.loss) is keras.losses.CTC
    assert again.evaluate(x, labels, verbose=0) == model.evaluate(x, labels, verbose=0)


def test_a_mask_of_steps_which_a_loss_per_sample_cannot_take_is_named() -> None:
    model = keras.Sequential([keras.Input((6, 2)), keras.layers.Masking(), keras.layers.Dense(4)])
    model.compile("sgd", "ctc")
    with pytest.raises(DataError, match=r"carries a mask of shape \(batch, 6\), .* gives values of shape \(batch,\)"):
        model.fit(np.ones((4, 6, 2)), np.ones((4, 2)), verbose=0)


def test_greedy_decoding_in_a_model_is_exported_and_a_beam_search_refused(tmp_path: Any) -> None:
    x = keras.Input((None, 4))
    lengths = keras.Input((), dtype="int32")
    greedy = keras.Model([x, lengths], list(ops.ctc_decode(x, lengths)))
    greedy.export(tmp_path / "greedy.onnx", verbose=False)
    beam = keras.Model([x, lengths], list(ops.ctc_decode(x, lengths, "beam_search", 3)))
    logits = draw(9, 2, 6, 4).astype("float32")
    wanted = ops.ctc_decode(logits, np.array([6, 4], np.int32), "beam_search", 3)
    for got, one in zip(beam.predict([logits, np.array([6, 4], np.int32)], verbose=0), wanted, strict=True):
        np.testing.assert_allclose(got, np.asarray(one), rtol=1e-6)
    with pytest.raises((NoLoweringError, ExportError), match="CTCBeamSearch cannot be expressed in ONNX"):
        beam.export(tmp_path / "beam.onnx", verbose=False)
