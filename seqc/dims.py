"""Axis sizes, known or symbolic.

A size is an `int`, or a `Sym`: a polynomial with integer coefficients over named sizes and floor divisions, kept in a
canonical form so that two sizes are equal exactly when they are written the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from seqc.errors import ShapeError


@dataclass(frozen=True)
class FloorDiv:
    """`numerator // divisor` that could not be simplified."""

    numerator: Sym
    divisor: int

    def __str__(self) -> str:
        return f"floor(({self.numerator})/{self.divisor})"


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
        if divisor == 1:
            return self
        if all(c % divisor == 0 for monomial, c in self.terms if monomial):
            return _canonical({monomial: c // divisor for monomial, c in self.terms})
        return _canonical({(FloorDiv(self, divisor),): 1})

    def __str__(self) -> str:
        parts = []
        for monomial, coefficient in self.terms:
            body = "*".join(map(str, monomial))
            parts.append(str(coefficient) if not body else body if coefficient == 1 else f"{coefficient}*{body}")
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


def product(dims: tuple[Dim, ...]) -> Dim:
    """Returns the product of sizes; 1 for none."""
    total: Dim = 1
    for dim in dims:
        total = total * dim
    return total


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
