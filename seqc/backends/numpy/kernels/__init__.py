"""Fast ways to run single operations, beside their `eval`, which stays the truth.

A kernel is bound once to the arrays it reads and writes and then called at every step, so that whatever follows from
shapes alone - views, strides, loops over a window - is worked out beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from seqc.graph.ir import Array, Op

# Does the work on the arrays it was bound to.
Call = Callable[[], Any]


class Scratch(Protocol):
    """Gives memory that a kernel may use while it runs; what was in it is lost afterwards."""

    def __call__(self, shape: tuple[int, ...], dtype: Any) -> Array: ...


# (op, results to write, operands to read, scratch) to a call, or None where the kernel does not know the case. A result
# that nobody reads is None. An operand of which only the shape matters may show arbitrary numbers.
Bind = Callable[..., Call | None]

_KERNELS: dict[type[Op], Bind] = {}


def kernel(*kinds: type[Op]) -> Callable[[Bind], Bind]:
    """Registers a function as the way to bind operations of these classes."""

    def register(bind: Bind) -> Bind:
        for kind in kinds:
            _KERNELS[kind] = bind
        return bind

    return register


def in_turn(*calls: Call) -> Call:
    """Returns a call that makes several, one after the other."""
    if len(calls) == 1:
        return calls[0]

    def run() -> None:
        for call in calls:
            call()

    return run


def find_kernel(kind: type[Op]) -> Bind | None:
    """Returns how operations of a class are bound, or None where only `eval` knows."""
    return _KERNELS.get(kind)
