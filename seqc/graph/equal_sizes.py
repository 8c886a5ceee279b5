"""Free sizes of different inputs, and which of them turn out to be equal.

Nobody knows at first whether two inputs are as long as each other. Where an operation needs it, its `infer` raises
`SizesDiffer`, and the graph is built as if it were said: one free size becomes what the other is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from seqc.contexts import Scoped
from seqc.errors import ShapeError
from seqc.graph import dims
from seqc.graph.arity import check_arity, check_kinds
from seqc.graph.dims import Dim, Sym

if TYPE_CHECKING:
    from seqc.graph.ir import Op, Type

# So many free sizes in one equation are tried in every order.
_FEW = 3


class SizesDiffer(ShapeError):
    """Two sizes would have to be equal.

    Args:
        message: what needs that. pair: the sizes.
    """

    def __init__(self, message: str, pair: tuple[Dim, Dim] = (0, 1)) -> None:
        super().__init__(message)
        self.pair = pair


class EqualSizes:
    """What free sizes are known to be.

    Args:
        free: names of the sizes that may be anything; by default those of symbols outside of models, `input.axis`.

    Attributes:
        found: by name, a number or a polynomial over the free sizes that remain.
    """

    def __init__(self, free: Iterable[str] | None = None) -> None:
        self._free = None if free is None else frozenset(free)
        self.found: dict[str, Dim] = {}

    def applied(self, dim: Dim) -> Dim:
        """Returns a size in terms of those that remain."""
        return dims.substitute(dim, self.found) if self.found else dim

    def require(self, one: Dim, other: Dim) -> bool:
        """Lets two sizes be equal; returns False where they cannot be, or where that depends on more than free sizes.

        Where many sizes would do, such as halves that are equal, the simplest answer is taken: the whole is equal.
        """
        one, other = self.applied(one), self.applied(other)
        if one == other:
            return True
        solved = self._linear(one - other) or self._renamed(one, other)
        if solved is None:
            return False
        self.found = {name: dims.substitute(dim, solved) for name, dim in self.found.items()} | solved
        return True

    def _is_free(self, name: str) -> bool:
        return "." in name if self._free is None else name in self._free

    def _linear(self, rest: Dim) -> dict[str, Dim] | None:
        """Returns one size that makes `rest` zero, in terms of the others."""
        if isinstance(rest, int) or not all(map(self._is_free, dims.names(rest))):
            return None
        common = math.gcd(*(c for _, c in rest.terms))
        for monomial, factor in rest.terms:
            (name, *more), c = monomial or ("",), factor // common
            if more or not isinstance(name, str) or not name or abs(c) != 1:
                continue
            answer = ((rest - Sym(((monomial, factor),))) // common) * -c
            if name not in dims.names(answer) and not (isinstance(answer, int) and answer < 1):
                return {name: answer}
        return None

    def _renamed(self, one: Dim, other: Dim) -> dict[str, Dim] | None:
        """Returns free sizes of one side by those of the other, where that makes both sides the same."""
        ours, theirs = (
            sorted(filter(self._is_free, dims.names(a) - dims.names(b))) for a, b in ((one, other), (other, one))
        )
        if len(ours) != len(theirs) or not 0 < len(ours) <= _FEW:
            return None
        for order in itertools.permutations(ours):
            guess: dict[str, Dim] = dict(zip(theirs, map(dims.symbol, order), strict=True))
            if dims.substitute(other, guess) == one:
                return guess
        return None


_current: Scoped[EqualSizes | None] = Scoped("equal_sizes", default=None)


def collecting(sizes: EqualSizes) -> AbstractContextManager[object]:
    """Notes in `sizes` what the operations inside need to be equal."""
    return _current.holding(sizes)


def inferred(op: Op, types: Sequence[Type]) -> tuple[Sequence[Type], Type | tuple[Type, ...]]:
    """Returns operand types whose free sizes are as equal as `op` needs, and what it gives then.

    Raises:
        SizesDiffer: sizes must be equal that cannot be. ShapeError: the operation takes another number of operands.
    """
    check_arity(op, types)
    check_kinds(op, types)
    try:
        return types, op.infer(*types)
    except SizesDiffer as error:
        reason = first = error
    known = _current.get() or EqualSizes()
    while reason.pair[0] != reason.pair[1] and known.require(*reason.pair):
        types = [_applied(known, t) for t in types]
        try:
            return types, op.infer(*types)
        except SizesDiffer as again:
            reason = again
    raise first


def _applied(known: EqualSizes, t: Type) -> Type:
    size = None if t.size is None else known.applied(t.size)
    return replace(t, shape=tuple(map(known.applied, t.shape)), size=size)


def check_equal(one: Iterable[Dim], other: Iterable[Dim], message: str) -> None:
    """Checks that two shapes of one rank are the same.

    Raises:
        SizesDiffer: they are not; with `message`.
    """
    for a, b in zip(one, other, strict=True):
        if a != b:
            raise SizesDiffer(message, (a, b))
