"""Proof that a program's memory plan is right: every byte that a call reads holds what the call means to read.

The planner decides where each value lies, when memory is used again, what is written over what, and which threads do
it at the same time. The checker believes none of that. It goes through the calls as they are bound, thread by thread
and barrier by barrier, and keeps for each place in memory which element of which value was last written there. A call
must find the elements of its operands where it reads, may not write where another thread reads or writes between the
same two barriers, and in the end the result, all new state and all constants must be in their places.

It runs on every program when SEQC_VERIFY is "1". What single calls compute is not its business: kernels are tested
against `eval`, and executors against each other.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NoReturn

import numpy as np

from seqc.backends.numpy.calls import Access, Record, same_memory
from seqc.backends.numpy.element_numbers import ElementNumbers, Owner, united
from seqc.backends.numpy.regions import Program
from seqc.backends.numpy.shadow import NOTHING, SCRATCH, Shadow
from seqc.errors import SeqcError
from seqc.graph.ir import Array, Value


class PlanError(SeqcError, AssertionError):
    """A program reads or writes memory wrongly: a fault of the planner."""


def is_wanted() -> bool:
    """Tells whether programs are to be checked, and their memory poisoned before each run: SEQC_VERIFY is "1"."""
    return os.environ.get("SEQC_VERIFY", "") == "1"


def check_plan(program: Program) -> None:
    """Proves that a program, with its records, reads and writes what it means to.

    Raises:
        PlanError: it does not; the message names the call, what it reads or writes, and what is there.
    """
    _Check(program).run()


class _Check:
    def __init__(self, program: Program) -> None:
        self.program, self.present = program, program.present
        self.batch = program.batch
        self.numbers = ElementNumbers(program.batch)
        arrays = [*self.present.values(), *program.results]
        for region in program.regions:
            for records in region.records:
                for bound in records:
                    arrays += [access.array for access in (*bound.reads, *bound.writes)] + list(bound.scratch)
        self.shadow = Shadow(arrays)
        self.where = "At the start"
        self.shared = False
        self.thread = 0

    def run(self) -> None:
        for x, array in self.present.items():
            held = self.shadow.numbers(array)
            if (held != NOTHING).any() and not self._holds(Access(array, (x,))):
                self._fail(f"{_name(x)} has the memory of another value that is there from the start")
            held[...] = self.numbers.of(Access(array, (x,)))[..., None]
        for at, region in enumerate(self.program.regions):
            self.shared = len(region.records) > 1
            for self.thread, records in enumerate(region.records):
                for place, bound in enumerate(records):
                    self.where = f"Region {at}, thread {self.thread}, call {place} ({_name(bound.value)})"
                    self._call(bound)
            self.shadow.barrier()
        self.where, self.shared = "In the end", False
        for y, array in zip(self.program.graph.outputs, self.program.results, strict=False):
            self._read(Access(array, (y,)))
        changed = [array for _, array in self.program.new_state]
        for y, array in self.program.new_state:
            self._read(Access(array, (y,)))
        for x, array in self.present.items():
            if x not in self.program.inputs and not any(np.may_share_memory(array, other) for other in changed):
                self._read(Access(array, (x,)))

    # -- calls -------------------------------------------------------------------------------------------------------

    def _call(self, bound: Record) -> None:
        _CHECKS[bound.kind](self, bound)
        self._check_overlaps(bound)
        for array in bound.scratch:
            self._note_write(array, "its scratch memory")
            self.shadow.numbers(array)[...] = SCRATCH

    def _compute(self, bound: Record) -> None:
        for read in bound.reads:
            self._read(read)
        for written in bound.writes:
            self._write(written, self.numbers.of(written))

    def _add(self, bound: Record) -> None:
        total, part = (self._sum(read) for read in bound.reads)
        both = united([*total[2], *part[2]])
        if both is None:
            self._fail(f"adds sums of {_name(bound.value)} over {_samples(total)} and {_samples(part)}")
        (written,) = bound.writes
        self._write(written, self.numbers.of_sum(bound.value, both))

    def _merge(self, bound: Record) -> None:
        if united([read.span for read in bound.reads]) != ((0, self.batch),):
            self._fail(f"merges parts for {[read.span for read in bound.reads]} of {self.batch} samples")
        self._compute(bound)

    def _check_overlaps(self, bound: Record) -> None:
        arrays = [access.array for access in bound.writes] + list(bound.scratch)
        for i, array in enumerate(arrays):
            if any(_overlap(array, other) for other in arrays[:i]):
                self._fail("writes two results, or a result and scratch memory, to the same place")
            for read in bound.reads:
                allowed = bound.in_place and same_memory(array, read.array)
                if not allowed and _overlap(array, read.array):
                    self._fail(f"writes over {_name(read.values[0])} while it reads it")

    # -- memory ------------------------------------------------------------------------------------------------------

    def _read(self, access: Access) -> None:
        if not self._holds(access):
            self._fail(f"reads {_describe(access)}, and finds {self._found(access)}")
        if self.shared and access.array.size and self.shadow.read(access.array, self.thread):
            self._fail(f"reads {_describe(access)} while another thread writes there")

    def _holds(self, access: Access) -> bool:
        if not access.array.size:
            return True
        meant = self.numbers.of(access).reshape(access.array.shape)
        return bool((self.shadow.numbers(access.array) == meant[..., None]).all())

    def _sum(self, access: Access) -> Owner:
        """Returns what sum an array holds."""
        (y,) = access.values
        if not access.array.size:
            return y, "", ()
        found = self.shadow.numbers(access.array)
        owner = self.numbers.owner(int(found.flat[0]))
        if owner is None or owner[0] is not y or not (found == self.numbers.of_sum(y, owner[2])[..., None]).all():
            self._fail(f"reads a sum of {_name(y)}, and finds {self._found(access)}")
        if self.shared and self.shadow.read(access.array, self.thread):
            self._fail(f"reads a sum of {_name(y)} while another thread writes there")
        return owner

    def _write(self, access: Access, numbers: Array) -> None:
        if access.array.size:
            self._note_write(access.array, _describe(access))
            self.shadow.numbers(access.array)[...] = numbers.reshape(access.array.shape)[..., None]

    def _note_write(self, array: Array, what: str) -> None:
        if self.shared and array.size and self.shadow.write(array, self.thread):
            self._fail(f"writes {what} where another thread reads or writes")

    # -- messages ----------------------------------------------------------------------------------------------------

    def _found(self, access: Access) -> str:
        meant = self.numbers.of(access).reshape(-1) if access.kind != "sum" else np.zeros(1, np.int64)
        found = self.shadow.numbers(access.array).reshape(access.array.size, -1)
        wrong = found[(found != meant[:, None]).any(axis=1)] if access.kind != "sum" else found
        number = int(wrong.flat[0])
        if number == NOTHING:
            return "memory that nothing was written to"
        if number == SCRATCH:
            return "what a kernel left in its scratch memory"
        owner = self.numbers.owner(number)
        if owner is None:
            return "unknown numbers"
        place = "" if owner[0] is not access.values[0] else " elsewhere"
        part = f" over {_samples(owner)}" if owner[2] != ((0, self.batch),) else ""
        return f"{_name(owner[0])}{part}{place}"

    def _fail(self, what: str) -> NoReturn:
        raise PlanError(f"{self.where} {what}. The planner has made a mistake; please report it with the model.")


_CHECKS = {"compute": _Check._compute, "copy": _Check._compute, "add": _Check._add, "merge": _Check._merge}


def _overlap(a: Array, b: Array) -> bool:
    """Tells whether two arrays have a byte in common."""
    if not np.may_share_memory(a, b):
        return False
    try:
        return np.shares_memory(a, b, max_work=100_000)  # type: ignore[arg-type]  # which is any number
    except np.exceptions.TooHardError:
        return True


def _describe(access: Access) -> str:
    names = ", ".join(_unique(map(_name, access.values[:3]))) + (" and others" if len(access.values) > 3 else "")
    if access.kind in ("whole", "sum"):
        return names
    return f"{access.kind} {access.span[0]} to {access.span[1]} of {names}"


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _name(v: Value) -> str:
    return f"{v.op!r} of '{v.scope}'" if v.scope else repr(v.op)


def _samples(owner: Owner) -> str:
    return "samples " + ", ".join(f"{a} to {b}" for a, b in owner[2])
