"""Random numbers have the distributions that they are called by, at once and in a model, and follow their seeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import ops, random
from seqc.errors import ConfigError, ShapeError

SIZE = 40000
# At these parts of all numbers, scipy.stats of SciPy 1.17.1 has these quantiles.
PARTS = np.array([0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
QUANTILES: dict[str, tuple[Callable[..., Any], list[float]]] = {
    "truncated_normal": (
        lambda shape, seed: random.truncated_normal(shape, 1.0, 2.0, seed=seed),
        [1 + 2 * q for q in (-1.848084, -1.184032, -0.4984029, 0.0, 0.4984029, 1.184032, 1.848084)]),
    "gamma-0.05": (
        lambda shape, seed: random.gamma(shape, 0.05, seed=seed),
        [0.0, 5.844632e-21, 2.037897e-11, 5.573878e-07, 0.0004665637, 0.07631711, 1.087627]),
    "gamma-0.6": (
        lambda shape, seed: random.gamma(shape, 0.6, seed=seed),
        [0.0003848349, 0.01806044, 0.1199888, 0.315702, 0.674748, 1.560503, 3.606589]),
    "gamma-1": (
        lambda shape, seed: random.gamma(shape, 1, seed=seed),
        [0.01005034, 0.1053605, 0.3566749, 0.6931472, 1.203973, 2.302585, 4.60517]),
    "gamma-30": (
        lambda shape, seed: random.gamma(shape, [30.0], seed=seed),
        [18.74243, 23.22944, 26.90456, 29.66733, 32.61325, 37.1985, 44.18971]),
    "beta-small": (
        lambda shape, seed: random.beta(shape, 0.3, 0.4, seed=seed),
        [8.961884e-07, 0.001929061, 0.07263651, 0.3431704, 0.744521, 0.9812695, 0.9999402]),
    "beta-uniform": (lambda shape, seed: random.beta(shape, 1.0, 1.0, seed=seed), list(PARTS)),
    "beta-2-5": (
        lambda shape, seed: random.beta(shape, 2, 5, seed=seed),
        [0.02676319, 0.09259526, 0.1818035, 0.26445, 0.3603577, 0.5103163, 0.7056863]),
    "beta-large": (
        lambda shape, seed: random.beta(shape, [[50.0]], 20.0, seed=seed),
        [0.5817767, 0.6440448, 0.6874467, 0.7163365, 0.7440847, 0.7818513, 0.8289385]),
}  # fmt: skip
# Trials and probability; how many successes or fewer have which probability.
BINOMIALS: list[tuple[int, float, list[int], list[float]]] = [
    (1, 0.3, [0, 1], [0.7, 1.0]),
    (10, 0.5, [2, 4, 5, 6, 8], [0.0546875, 0.3769531, 0.6230469, 0.828125, 0.9892578]),
    (16, 0.9, [12, 14, 15, 16], [0.06840617, 0.4852722, 0.814698, 1.0]),
    (40, 0.02, [0, 1, 2], [0.4457004, 0.8095375, 0.9543298]),
    (1000, 0.37, [345, 362, 370, 378, 395], [0.05375755, 0.3124037, 0.5141924, 0.7118034, 0.9520878]),
    (100000, 0.999, [99883, 99895, 99900, 99905, 99916], [0.05212777, 0.3215205, 0.5133187, 0.7049234, 0.9537595]),
]


def assert_parts(drawn: Any, limits: Any, parts: Any) -> None:
    """So large a part of the numbers lies up to each limit, within four and a half standard deviations."""
    parts = np.asarray(parts)
    found = np.array([np.mean(np.asarray(drawn, "float64") <= limit) for limit in limits])
    assert np.all(np.abs(found - parts) <= 4.5 * np.sqrt(parts * (1 - parts) / drawn.size) + 1e-9), found - parts


@pytest.mark.parametrize("name", QUANTILES)
def test_numbers_have_the_quantiles_of_their_distribution(name: str) -> None:
    draw, quantiles = QUANTILES[name]
    drawn = np.asarray(draw((SIZE, 1), 5))
    assert drawn.shape == (SIZE, 1)
    assert drawn.dtype == np.float32
    first = 1 if name == "gamma-0.05" else 0  # float32 has no numbers as small as the first quantile
    assert_parts(drawn, quantiles[first:], PARTS[first:])
    np.testing.assert_array_equal(drawn, draw((SIZE, 1), 5))
    assert np.mean(drawn == np.asarray(draw((SIZE, 1), 6))) < 0.01
    assert abs(np.corrcoef(drawn[1:, 0], drawn[:-1, 0])[0, 1]) < 0.025


@pytest.mark.slow
@pytest.mark.parametrize("row", range(len(BINOMIALS)))
def test_as_many_trials_succeed_as_are_likely(row: int) -> None:
    count, probability, limits, parts = BINOMIALS[row]
    drawn = np.asarray(random.binomial((SIZE,), count, probability, seed=3))
    assert drawn.dtype == np.float32
    assert drawn.min() >= 0
    assert drawn.max() <= count
    np.testing.assert_array_equal(drawn, np.round(drawn))
    assert_parts(drawn, limits, parts)


@pytest.mark.slow
def test_trials_and_probabilities_may_differ_from_place_to_place() -> None:
    counts, chances = np.array([0, 3, 200, 5000]), np.array([[0.0], [0.25], [1.0]], "float32")
    drawn = np.asarray(random.binomial((2000, 3, 4), counts, chances, dtype="int32", seed=1))
    assert drawn.dtype == np.int32
    np.testing.assert_array_equal(drawn[:, 0], 0)
    np.testing.assert_array_equal(drawn[:, 2], np.broadcast_to(counts, (2000, 4)))
    spread = np.sqrt(counts * 0.25 * 0.75)
    assert np.all(np.abs(drawn[:, 1].mean(0) - counts / 4) <= 4.5 * spread / 2000**0.5)
    np.testing.assert_allclose(drawn[:, 1].std(0), spread, rtol=0.06)


@pytest.mark.slow
def test_shuffling_moves_whole_parts_into_any_order() -> None:
    x = np.arange(12).reshape(4, 3)
    rows, columns = np.asarray(random.shuffle(x, seed=2)), np.asarray(random.shuffle(x, axis=-1, seed=2))
    np.testing.assert_array_equal(rows[np.argsort(rows[:, 0])], x)
    np.testing.assert_array_equal(columns[:, np.argsort(columns[0])], x)
    orders = [tuple(np.asarray(random.shuffle(np.arange(3), seed=s))) for s in range(1200)]
    counts = [orders.count(order) for order in sorted(set(orders))]
    assert len(counts) == 6
    assert sum((n - 200) ** 2 / 200 for n in counts) < 25  # chi-squared, five degrees: once in 7000


class Drawn(keras.Layer):
    """Shows in a model what a function draws with a seed."""

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        super().__init__()
        self.draw = draw

    def call(self, x: Any) -> Any:
        return ops.cast(self.draw(x), "float32") + 0.0 * x


IN_MODELS: dict[str, Callable[[Any], Any]] = {
    "beta": lambda x: random.beta(ops.shape(x), 2.0, 0.5, seed=4),
    "binomial": lambda x: random.binomial(ops.shape(x), 50, 0.5, seed=4),
    "gamma": lambda x: random.gamma(ops.shape(x), 0.7, seed=4),
    "shuffle": lambda x: random.shuffle(ops.reshape(ops.cumsum(ops.ones_like(x)), ops.shape(x)), axis=0, seed=4),
    "truncated_normal": lambda x: random.truncated_normal(ops.shape(x), seed=4),
}


@pytest.mark.parametrize("name", IN_MODELS)
def test_a_model_draws_what_is_drawn_at_once(name: str) -> None:
    x = np.zeros((30, 4), "float32")
    model = keras.Sequential([keras.Input((4,)), Drawn(IN_MODELS[name])])
    np.testing.assert_allclose(model(x), IN_MODELS[name](x), rtol=1e-5)


def test_generators_go_on_and_describe_themselves() -> None:
    generator = random.SeedGenerator(3, name="mine")
    first, second = (np.asarray(random.gamma((5,), 2.0, seed=generator)) for _ in range(2))
    assert np.all(first != second)
    again = random.SeedGenerator.from_config(generator.get_config())
    np.testing.assert_array_equal(random.gamma((5,), 2.0, seed=again), first)
    assert generator.get_config() == {"seed": 3, "name": "mine"}
    assert random.SeedGenerator().get_config()["seed"] is None
    np.testing.assert_array_equal(random.SeedGenerator(9).next(), [9, 0])


def test_dropout_takes_the_shapes_and_rates_of_keras() -> None:
    x = np.ones((50, 6, 3), "float32")
    dropped = np.asarray(random.dropout(x, 0.5, noise_shape=(None, 1, None), seed=np.int64(1)))
    assert {0.0, 2.0} == set(np.unique(dropped))
    np.testing.assert_array_equal(dropped, np.broadcast_to(dropped[:, :1], x.shape))
    np.testing.assert_array_equal(random.dropout(x, 1.0), 0 * x)
    np.testing.assert_array_equal(random.dropout(x, 0.0), x)


NO_SEED = "either an integer or an instance of `SeedGenerator`"
REFUSED: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: random.uniform((2,), seed="one"), ConfigError, NO_SEED),  # type: ignore[arg-type]
    (lambda: random.gamma((2,), 1.0, seed=1.5), ConfigError, NO_SEED),
    (lambda: random.uniform((2,), dtype="int32"), ConfigError, "requires a floating point `dtype`"),
    (lambda: random.randint((2,), 0, 3, dtype="float32"), ConfigError, "requires an integer `dtype`"),
    (lambda: random.categorical(np.zeros(3), 2), ShapeError, "`logits` should be a 2-D tensor"),
    (lambda: random.binomial((2,), -1, 0.5), ConfigError, "needs `counts` from 0 to"),
    (lambda: random.SeedGenerator(1, colour="red"), ConfigError, "Unrecognized keyword arguments"),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_what_does_not_fit_is_refused(case: int) -> None:
    call, kind, message = REFUSED[case]
    with pytest.raises(kind, match=message):
        call()


def test_trials_must_be_known_when_a_model_is_made() -> None:
    unknown = Drawn(lambda x: random.binomial(ops.shape(x), x, 0.5))
    with pytest.raises(ConfigError, match="needs to know the `counts` when the model is made"):
        keras.Sequential([keras.Input((4,)), unknown])
