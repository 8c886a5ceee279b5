"""Axis sizes, known or symbolic.

A size is an `int`, or a `Sym`: a polynomial with integer coefficients over named sizes and floor divisions, kept in a
canonical form. Two polynomials compare equal exactly when they have the same value for all sizes; so do floor divisions
of one expression by constants, however they are nested or shifted. Sums of different floor divisions that happen to
agree, such as `n // 2 + (n + 1) // 2` and `n`, are not recognized.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from seqc.errors import ShapeError


@dataclass(frozen=True)
class FloorDiv:
    """`numerator // divisor` in lowest terms: nothing whole can be taken out of it."""

    numerator: Sym
    divisor: int

    def __str__(self) -> str:
        whole = str(self.numerator)
        return f"floor({whole if whole.isidentifier() else f'({whole})'}/{self.divisor})"


Atom = str | FloorDiv
Monomial = tuple[Atom, ...]


@dataclass(frozen=True)
class Sym:
    """A symbolic size: `terms` maps monomials (sorted tuples of atoms) to non-zero coefficients."""

    terms: tuple[tuple[Monomial, int], ...]

    def __add__(self, other: Dim) -> Dim:
        total = dict(self.terms)
        for monomial, coefficient in _terms(other):
            total[monomial] = total.get(monomial, 0) + coefficient
        return _canonical(total)

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        return self + other * -1

    def __rsub__(self, other: int) -> Dim:
        return self * -1 + other

    def __mul__(self, other: Dim) -> Dim:
        total: dict[Monomial, int] = {}
        for left, a in self.terms:
            for right, b in _terms(other):
                monomial = tuple(sorted(left + right, key=str))
                total[monomial] = total.get(monomial, 0) + a * b
        return _canonical(total)

    __rmul__ = __mul__

    def __floordiv__(self, divisor: int) -> Dim:
        if divisor < 1:
            raise ShapeError(f"A size can be divided by a positive number only; got {self} // {divisor}.")
        whole = _canonical({monomial: c // divisor for monomial, c in self.terms})
        rest = _canonical({monomial: c % divisor for monomial, c in self.terms})
        return whole + _fraction(rest, divisor)

    def __str__(self) -> str:
        parts = []
        for monomial, coefficient in self.terms:
            body = "*".join(map(str, monomial))
            factor = {1: "", -1: "-"}.get(coefficient, f"{coefficient}*")
            parts.append(factor + body if body else str(coefficient))
        return " + ".join(parts).replace("+ -", "- ")

    __repr__ = __str__


Dim = int | Sym


def symbol(name: str) -> Sym:
    """Returns the symbolic size called `name`."""
    return Sym((((name,), 1),))


def evaluate(dim: Dim, sizes: Mapping[str, int]) -> int:
    """Returns the value of `dim` where the names have the given sizes.

    Raises:
        ShapeError: a name has no size.
    """
    if isinstance(dim, int):
        return dim
    total = 0
    for monomial, coefficient in dim.terms:
        product = coefficient
        for atom in monomial:
            product *= _atom_value(atom, sizes)
        total += product
    return total


def substitute(dim: Dim, sizes: Mapping[str, Dim]) -> Dim:
    """Returns `dim` with sizes in the place of the names that have one; other names stay."""
    if isinstance(dim, int):
        return dim
    total: Dim = 0
    for monomial, coefficient in dim.terms:
        part: Dim = coefficient
        for atom in monomial:
            if isinstance(atom, FloorDiv):
                part = part * (substitute(atom.numerator, sizes) // atom.divisor)
            else:
                part = part * sizes.get(atom, symbol(atom))
        total = total + part
    return total


def names(dim: Dim) -> frozenset[str]:
    """Returns the names a size depends on."""
    if isinstance(dim, int):
        return frozenset()
    found: set[str] = set()
    for monomial, _ in dim.terms:
        for atom in monomial:
            found |= {atom} if isinstance(atom, str) else names(atom.numerator)
    return frozenset(found)


def ceil_div(dim: Dim, divisor: int) -> Dim:
    """Returns `dim / divisor` rounded up."""
    return (dim + (divisor - 1)) // divisor


def product(dims: Iterable[Dim]) -> Dim:
    """Returns the product of sizes; 1 for none."""
    total: Dim = 1
    for dim in dims:
        total = total * dim
    return total


def exact_quotient(dim: Dim, divisor: Dim) -> Dim | None:
    """Returns `dim / divisor` if that is whole whatever the sizes, else None; by long division of polynomials."""
    if isinstance(divisor, int):
        return dim // divisor if divisor > 0 and all(c % divisor == 0 for _, c in _terms(dim)) else None
    quotient: Dim = 0
    rest = dim
    while rest != 0:
        part = _divided(_leading(rest), _leading(divisor))
        if part is None:
            return None
        quotient, rest = quotient + part, rest - part * divisor
    return quotient


def may_grow(dim: Sym) -> bool:
    """Tells whether a size has a part that grows with the sizes it depends on."""
    return any(c > 0 for monomial, c in dim.terms if monomial)


def is_never_less(dim: Dim, other: Dim) -> bool:
    """Tells whether a size can be seen to be at least another, whatever the sizes of the axes."""
    return all(c >= 0 for _, c in _terms(dim - other))


def may_be_nothing(dim: Dim) -> bool:
    """Tells whether a size may be zero although no axis that it depends on is."""
    return not is_never_less(substitute(dim, {name: symbol(name) + 1 for name in names(dim)}), 1)


def known(shape: Iterable[Dim]) -> tuple[int, ...]:
    """Returns sizes that must be numbers.

    Raises:
        ShapeError: one of them is symbolic.
    """
    listed = tuple(shape)
    numbers = tuple(d for d in listed if isinstance(d, int))
    if len(numbers) != len(listed):
        raise ShapeError(f"Sizes must be known here; got ({', '.join(map(str, listed))}).")
    return numbers


def is_known(shape: Iterable[Dim]) -> bool:
    """Returns whether every size is a number."""
    return all(isinstance(d, int) for d in shape)


def _leading(dim: Dim) -> tuple[Monomial, int]:
    """Returns the term of the highest degree, the last by names among several."""
    return max(_terms(dim), key=lambda term: (len(term[0]), [str(atom) for atom in term[0]]))


def _divided(term: tuple[Monomial, int], by: tuple[Monomial, int]) -> Dim | None:
    left = list(term[0])
    for atom in by[0]:
        if atom not in left:
            return None
        left.remove(atom)
    return None if term[1] % by[1] else _canonical({tuple(left): term[1] // by[1]})


def _fraction(numerator: Dim, divisor: int) -> Dim:
    """Returns `numerator // divisor` where every coefficient of the numerator lies in [0, divisor)."""
    if isinstance(numerator, int):
        return numerator // divisor
    common = math.gcd(divisor, *(c for monomial, c in numerator.terms if monomial))
    if common > 1:
        # floor((c a + r) / (c d)) = floor((a + floor(r / c)) / d)
        reduced = _canonical({monomial: c // common for monomial, c in numerator.terms})
        return reduced // (divisor // common)
    inner = _only_fraction(numerator)
    if inner is not None:
        # floor((p + floor(n / d)) / e) = floor((p d + n) / (d e))
        rest = numerator - _canonical({(inner,): 1})
        return (rest * inner.divisor + inner.numerator) // (inner.divisor * divisor)
    return _canonical({(FloorDiv(numerator, divisor),): 1})


def _only_fraction(numerator: Sym) -> FloorDiv | None:
    """Returns the floor division that a sum contains, if it is one only, and once."""
    found = [(m, c) for m, c in numerator.terms if any(isinstance(atom, FloorDiv) for atom in m)]
    if len(found) == 1 and found[0][1] == 1 and len(found[0][0]) == 1:
        (atom,) = found[0][0]
        return atom if isinstance(atom, FloorDiv) else None
    return None


def _atom_value(atom: Atom, sizes: Mapping[str, int]) -> int:
    if isinstance(atom, FloorDiv):
        return evaluate(atom.numerator, sizes) // atom.divisor
    if atom not in sizes:
        raise ShapeError(f"The size of axis '{atom}' is not known here; known: {', '.join(sizes) or 'none'}.")
    return sizes[atom]


def _terms(dim: Dim) -> tuple[tuple[Monomial, int], ...]:
    return (((), dim),) if isinstance(dim, int) else dim.terms


def _canonical(terms: Mapping[Monomial, int]) -> Dim:
    kept = {monomial: c for monomial, c in terms.items() if c}
    if not kept:
        return 0
    if list(kept) == [()]:
        return kept[()]
    # Names before the constant, so that `height - 2` prints as it is said.
    return Sym(tuple(sorted(kept.items(), key=lambda item: (item[0] == (), str(item[0])))))


def bind_sizes(shapes: Iterable[tuple[Sequence[Dim], Sequence[int]]]) -> dict[str, int]:
    """Returns the size of every name that stands alone as an axis, read off actual shapes."""
    sizes: dict[str, int] = {}
    for declared, actual in shapes:
        for dim, size in zip(declared, actual, strict=True):
            for name in names(dim):
                if dim == symbol(name):
                    sizes.setdefault(name, size)
    return sizes
