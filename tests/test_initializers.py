"""Initializers, regularizers and constraints: numbers against their definitions, seeds, names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import seqc
from seqc import constraints, initializers, regularizers
from seqc.errors import ConfigError, SeqcError, ShapeError
from seqc.graph.autodiff import gradients
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Graph, input_value
from seqc.known_classes import classes

# name, arguments, standard deviation for shape (3, 4, 50, 70), largest magnitude (None for no bound)
SPREADS: list[tuple[str, dict[str, Any], float, float | None]] = [
    ("RandomNormal", {"stddev": 0.5}, 0.5, None),
    ("RandomUniform", {"minval": -2.0, "maxval": 2.0}, 4 / 12**0.5, 2.0),
    ("TruncatedNormal", {"stddev": 0.5}, 0.5 * 0.87962566, 1.0),
    ("GlorotUniform", {}, (1 / 720) ** 0.5, (3 / 720) ** 0.5),
    ("GlorotNormal", {}, (1 / 720) ** 0.5, None),
    ("HeUniform", {}, (2 / 600) ** 0.5, (6 / 600) ** 0.5),
    ("HeNormal", {}, (2 / 600) ** 0.5, None),
    ("LecunUniform", {}, (1 / 600) ** 0.5, (3 / 600) ** 0.5),
    ("LecunNormal", {}, (1 / 600) ** 0.5, None),
    ("VarianceScaling", {"scale": 3.0, "mode": "fan_out"}, (3 / 840) ** 0.5, None),
    ("VarianceScaling", {"distribution": "untruncated_normal"}, (1 / 600) ** 0.5, None),
    ("VarianceScaling", {"input_axes": [0], "output_axes": [1], "distribution": "uniform"}, (1 / 3) ** 0.5, 1.0),
]


@pytest.mark.parametrize(("name", "arguments", "deviation", "bound"), SPREADS)
def test_random_initializer_has_the_spread_it_names(
    name: str, arguments: dict[str, Any], deviation: float, bound: float | None
) -> None:
    drawn = getattr(initializers, name)(**arguments, seed=5)((3, 4, 50, 70))
    assert drawn.dtype == np.float32
    assert drawn.std() == pytest.approx(deviation, rel=0.02)
    assert abs(drawn.mean()) < 0.02 * deviation
    if bound is not None:
        assert np.abs(drawn).max() <= bound


def test_normal_initializers_cut_off_at_two_deviations() -> None:
    drawn = initializers.GlorotNormal(seed=1)((100, 100))
    assert np.abs(drawn).max() <= 2 * (1 / 100) ** 0.5 / 0.8796 * 1.001


@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 6), (2, 3, 4)])
def test_orthogonal_rows_or_columns(shape: tuple[int, ...]) -> None:
    q = initializers.Orthogonal(gain=2.0, seed=1)(shape, "float64").reshape(-1, shape[-1])
    product = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)


def test_fixed_initializers() -> None:
    assert initializers.Zeros()((2,)).tolist() == [0, 0]
    assert initializers.Ones()((2,), "float64").dtype == np.float64
    assert initializers.Constant(3)((2,)).tolist() == [3, 3]
    assert initializers.Identity(2.0)((2, 3)).tolist() == [[2, 0, 0], [0, 2, 0]]
    assert initializers.get(np.eye(2))((2, 2), "float32").tolist() == [[1, 0], [0, 1]]


def test_seeds_repeat_and_the_global_one_sets_the_rest() -> None:
    seeded = initializers.GlorotUniform(seed=3)
    np.testing.assert_array_equal(seeded((3, 4)), seeded((3, 4)))
    free = initializers.get("glorot_uniform")
    assert (free((3, 4)) != free((3, 4))).any()
    seqc.utils.set_random_seed(11)
    first = free((3, 4))
    seqc.utils.set_random_seed(11)
    np.testing.assert_array_equal(free((3, 4)), first)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: initializers.VarianceScaling(scale=0.0), "`scale` must be positive float. Received: scale=0.0"),
        (lambda: initializers.VarianceScaling(mode="fan"), "Invalid `mode` argument: fan"),
        (lambda: initializers.VarianceScaling(distribution="x"), "Invalid `distribution` argument: x"),
        (lambda: initializers.Identity()((2, 2, 2)), "can only be used for 2D matrices. Received: shape=(2, 2, 2)"),
        (lambda: initializers.Orthogonal()((2,)), "at least two-dimensional. Received: shape=(2,)"),
        (lambda: initializers.get(np.eye(2))((3, 3)), "Expected `shape` to be (2, 2) for direct tensor"),
        (
            lambda: initializers.get("foo"),
            "Could not interpret initializer identifier: foo. Known: ",
        ),
        (lambda: initializers.get(3), "Could not interpret initializer identifier: 3"),
        (lambda: regularizers.get("l1_l2"), "Could not interpret regularizer identifier: l1_l2"),
        (lambda: regularizers.L2(-1.0), "expected a non-negative float. Received: l2=-1.0"),
        (lambda: regularizers.L1(float("nan")), "expected a non-negative float. Received: l1=nan"),
        (lambda: regularizers.OrthogonalRegularizer(mode="x"), 'Expected one of {"rows", "columns"}. Received: mode=x'),
        (lambda: regularizers.OrthogonalRegularizer()(np.ones(3)), "must have rank 2. Received: inputs.shape=(3,)"),
        (lambda: constraints.get("foo"), "Could not interpret constraint identifier: foo"),
    ],
)
def test_wrong_arguments_are_refused(make: Any, text: str) -> None:
    with pytest.raises((ConfigError, ShapeError)) as caught:
        make()
    assert text in str(caught.value)
    assert isinstance(caught.value, SeqcError)


W = np.array([[3.0, -0.5, 0.0], [4.0, 0.5, 0.0]])


@pytest.mark.parametrize(
    ("penalty", "expected"),
    [
        (regularizers.L1(0.1), 0.1 * 8),
        (regularizers.L2(0.1), 0.1 * 25.5),
        (regularizers.L1L2(0.1, 0.2), 0.1 * 8 + 0.2 * 25.5),
        (regularizers.L1L2(), 0.0),
        (regularizers.get("l2"), 0.01 * 25.5),
        (regularizers.OrthogonalRegularizer(0.5, "columns"), 0.5 * abs(0.5 / (5 * 0.5**0.5)) / 3),
    ],
)
def test_penalties(penalty: Any, expected: float) -> None:
    assert float(penalty(W)) == pytest.approx(expected)


def test_orthogonal_penalty_is_zero_for_orthogonal_rows() -> None:
    q = initializers.Orthogonal(seed=1)((3, 5), "float64")
    assert float(regularizers.OrthogonalRegularizer()(q)) == pytest.approx(0, abs=1e-12)


def test_gradient_of_an_l1_penalty_at_zero_is_zero() -> None:
    x = input_value("x", "float64", (3,))
    (gradient,) = gradients(regularizers.L1(0.5)(x), [x])
    (found,) = Interpreter(Graph((x,), (gradient,), ("g",))).run([np.array([-2.0, 0.0, 2.0])])
    assert found.tolist() == [-0.5, 0.0, 0.5]


def test_constraints() -> None:
    def norms(constraint: Any, axis: Any = 0) -> Any:
        return np.linalg.norm(np.asarray(constraint(W)), axis=axis)

    np.testing.assert_allclose(norms(constraints.MaxNorm(2)), [2, 0.5**0.5, 0], atol=1e-6)
    np.testing.assert_allclose(norms(constraints.UnitNorm()), [1, 1, 0], atol=1e-6)
    np.testing.assert_allclose(norms(constraints.UnitNorm(axis=1), 1), [1, 1], atol=1e-6)
    np.testing.assert_allclose(norms(constraints.UnitNorm(axis=[0, 1]), (0, 1)), 1, atol=1e-6)
    np.testing.assert_allclose(norms(constraints.MinMaxNorm(1.0, 2.0)), [2, 1, 0], atol=1e-6)
    np.testing.assert_allclose(norms(constraints.MinMaxNorm(1.0, 2.0, rate=0.5))[0], 3.5, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(constraints.NonNeg()(W)), np.maximum(W, 0))


@pytest.mark.parametrize("module", [initializers, regularizers, constraints], ids=lambda m: m.__name__)
def test_objects_come_back_from_their_description(module: Any) -> None:
    kind = module.__name__.rpartition(".")[2]
    for name, cls in classes(kind).items():
        if name != cls.__name__:
            continue  # another name, for files
        made: Any = cls()
        described = module.serialize(made)
        assert described["module"] == f"keras.{kind}"
        assert described["class_name"] == name
        again: Any = module.deserialize(described)
        assert again.get_config() == made.get_config()
        assert type(again) is cls
        assert type(module.get(described)) is cls
        assert type(module.get(cls)) is cls
        assert module.get(made) is made


def test_lower_case_names_are_the_classes() -> None:
    assert initializers.glorot_uniform is initializers.GlorotUniform
    assert regularizers.l1_l2 is regularizers.L1L2
    assert constraints.max_norm is constraints.MaxNorm
    assert initializers.get(None) is regularizers.get(None) is constraints.get(None) is None


@pytest.mark.parametrize(("mode", "shape"), [("rows", (1, 3)), ("columns", (3, 1))])
def test_one_vector_alone_is_orthogonal_to_all_others(mode: str, shape: tuple[int, ...]) -> None:
    assert float(regularizers.OrthogonalRegularizer(0.5, mode)(np.ones(shape, "float32"))) == 0.0
