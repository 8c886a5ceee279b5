"""Symbolic sizes calculate as the numbers they stand for, whatever these are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqc.errors import ShapeError
from seqc.graph import dims
from seqc.graph.dims import Dim, Sym

NAMES = ("batch", "height", "time")


class Expression(NamedTuple):
    """A size, and what it must be when the names have numbers."""

    dim: Dim
    value: Callable[[Mapping[str, int]], int]


def _leaves() -> st.SearchStrategy[Expression]:
    numbers = st.integers(-6, 6).map(lambda n: Expression(n, lambda sizes: n))
    names = st.sampled_from(NAMES).map(lambda n: Expression(dims.symbol(n), lambda sizes: sizes[n]))
    return st.one_of(numbers, names)


def _sums(parts: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    def combined(a: Expression, b: Expression, sign: str) -> Expression:
        if sign == "+":
            return Expression(a.dim + b.dim, lambda s: a.value(s) + b.value(s))
        if sign == "-":
            return Expression(a.dim - b.dim, lambda s: a.value(s) - b.value(s))
        return Expression(a.dim * b.dim, lambda s: a.value(s) * b.value(s))

    return st.builds(combined, parts, parts, st.sampled_from("+-*"))


def _divided(parts: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    return st.builds(lambda a, n: Expression(a.dim // n, lambda s: a.value(s) // n), parts, st.integers(1, 6))


polynomials = st.recursive(_leaves(), _sums, max_leaves=8)
expressions = st.recursive(_leaves(), lambda parts: st.one_of(_sums(parts), _divided(parts)), max_leaves=8)
bindings = st.fixed_dictionaries({name: st.integers(0, 40) for name in NAMES})
divisors = st.integers(1, 7)


@given(expressions, bindings)
def test_arithmetic_agrees_with_integers(expression: Expression, sizes: dict[str, int]) -> None:
    assert dims.evaluate(expression.dim, sizes) == expression.value(sizes)


@given(polynomials, polynomials)
def test_polynomials_are_equal_exactly_when_their_values_are(a: Expression, b: Expression) -> None:
    # Sizes so different that a polynomial with small coefficients that vanishes there vanishes everywhere.
    sizes = {"batch": 10**9, "height": 10**90, "time": 10**900}
    assert (a.dim == b.dim) == (a.value(sizes) == b.value(sizes))


@given(expressions, expressions, expressions)
def test_the_laws_of_rings_hold(a: Expression, b: Expression, c: Expression) -> None:
    assert a.dim + b.dim == b.dim + a.dim
    assert a.dim * b.dim == b.dim * a.dim
    assert (a.dim + b.dim) * c.dim == a.dim * c.dim + b.dim * c.dim
    assert a.dim - a.dim == 0
    assert hash(a.dim + b.dim) == hash(b.dim + a.dim)


@given(polynomials, divisors, divisors, st.integers(-5, 5))
def test_floor_divisions_of_one_size_are_written_in_one_way(a: Expression, m: int, n: int, k: int) -> None:
    assert (a.dim + k * m) // m == a.dim // m + k
    assert (a.dim // m) // n == a.dim // (m * n)
    assert (a.dim * n) // (m * n) == a.dim // m
    assert (a.dim // m + k) // n == (a.dim + k * m) // (m * n)


@given(expressions, divisors, bindings)
def test_ceil_div_rounds_up(a: Expression, n: int, sizes: dict[str, int]) -> None:
    assert dims.evaluate(dims.ceil_div(a.dim, n), sizes) == -(-a.value(sizes) // n)


@given(expressions, divisors)
def test_exact_quotient_times_the_divisor_is_the_size_again(a: Expression, n: int) -> None:
    assert dims.exact_quotient(a.dim * n, n) == a.dim
    quotient = dims.exact_quotient(a.dim, n)
    assert quotient is None or quotient * n == a.dim


@given(st.lists(expressions, max_size=4), bindings)
def test_product_is_that_of_the_values(parts: list[Expression], sizes: dict[str, int]) -> None:
    expected = 1
    for part in parts:
        expected *= part.value(sizes)
    assert dims.evaluate(dims.product(p.dim for p in parts), sizes) == expected


@given(expressions, bindings)
def test_only_the_names_of_a_size_decide_it(a: Expression, sizes: dict[str, int]) -> None:
    own = dims.names(a.dim)
    assert dims.evaluate(a.dim, {n: s for n, s in sizes.items() if n in own}) == a.value(sizes)
    assert isinstance(a.dim, int) == (not own)


@pytest.mark.parametrize(
    ("dim", "text"),
    [
        (dims.symbol("batch"), "batch"),
        (dims.symbol("height") - 2, "height - 2"),
        (2 - dims.symbol("height"), "-height + 2"),
        (2 * dims.symbol("batch") * dims.symbol("time") + 3, "2*batch*time + 3"),
        (dims.symbol("height") // 2, "floor(height/2)"),
        ((dims.symbol("height") - 3) // 2 + 1, "floor((height + 1)/2) - 1"),
        (dims.symbol("height") // 2 // 2, "floor(height/4)"),
        (3 * dims.symbol("height") // 2, "height + floor(height/2)"),
    ],
)
def test_sizes_read_as_one_would_write_them(dim: Sym, text: str) -> None:
    assert str(dim) == text


def test_a_size_without_a_number_says_which() -> None:
    with pytest.raises(ShapeError, match="The size of axis 'time' is not known here; known: batch"):
        dims.evaluate(dims.symbol("time") + 1, {"batch": 3})


def test_division_by_less_than_one_is_refused() -> None:
    with pytest.raises(ShapeError, match="divided by a positive number only; got batch // 0"):
        dims.symbol("batch") // 0


def test_known_gives_numbers_or_says_what_is_not() -> None:
    assert dims.known([2, 3]) == (2, 3)
    assert dims.is_known([2, 3])
    assert not dims.is_known([2, dims.symbol("batch")])
    with pytest.raises(ShapeError, match=r"Sizes must be known here; got \(batch, 3\)"):
        dims.known((dims.symbol("batch"), 3))
