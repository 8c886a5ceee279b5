"""What holds while one file is read or written: which layers are one and the same, and how much it may ask for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from seqc.contexts import Scoped
from seqc.errors import SavingError


@dataclass
class Budget:
    """What a file that is being read may still ask for.

    Attributes:
        weight_bytes: for weights; as many as the file holds.
        free_bytes: for what no file holds: states of metrics, tables, constants.
        calls: how often layers may be called while the model is put together.
        building: whether the model is built; otherwise only its layers are made, without weights.
        replaced: whether the file has weights that replace those that layers make.
    """

    weight_bytes: int
    free_bytes: int
    calls: int
    building: bool = True
    replaced: bool = True


# In a file that is read: objects by number. In one that is written: numbers by `id` of the object.
_shared: Scoped[dict[Any, Any] | None] = Scoped("shared", default=None)
_budget: Scoped[Budget | None] = Scoped("budget", default=None)


def shared_objects() -> dict[Any, Any] | None:
    """Returns the table of objects that occur more than once in the file at hand, None outside of one."""
    return _shared.get()


@contextmanager
def one_file(budget: Budget | None = None, numbers: Mapping[int, int] | None = None) -> Iterator[None]:
    """Reads or writes one file inside: a layer that occurs twice stays one layer, and what is made is counted.

    Args:
        budget: for reading, what the file may ask for.
        numbers: for writing, a number for the `id` of each layer that occurs more than once.
    """
    with _shared.holding(dict(numbers or {})), _budget.holding(budget):
        yield


def reading() -> bool:
    """Tells whether a file is being read whose weights will replace those that layers make."""
    budget = _budget.get()
    return budget is not None and budget.replaced


def building() -> bool:
    """Tells whether models are built as soon as they know their input. Where a file is only checked, they are not."""
    budget = _budget.get()
    return budget is None or budget.building


def reserve(shape: Sequence[int], itemsize: int, who: str) -> None:
    """Counts a weight about to be made while a file is read.

    Raises:
        SavingError: the file's configuration asks for more weights than the file holds.
    """
    budget = _budget.get()
    if budget is None:
        return
    size = math.prod(map(int, shape)) * itemsize
    budget.weight_bytes -= size
    if budget.weight_bytes < 0:
        raise SavingError(
            f"The file's configuration makes weight '{who}' of shape {tuple(shape)} ({size} bytes), more than all the "
            "weights in the file. The file is damaged or made to exhaust memory; refused."
        )


def reserve_free(shape: Sequence[int], itemsize: int, who: str) -> None:
    """Counts an array about to be made while a file is read that the file says nothing of but its size.

    Raises:
        SavingError: it is too large, with those before it.
    """
    budget = _budget.get()
    if budget is None:
        return
    size = math.prod(map(int, shape)) * itemsize
    budget.free_bytes -= size
    if budget.free_bytes < 0:
        raise SavingError(
            f"The file's configuration makes {who} of shape {tuple(shape)} ({size} bytes), and the file holds nothing "
            "of that. It is damaged or made to exhaust memory; refused. If you mean it, make it in your own code: "
            "load the model with compile=False and compile it anew."
        )


def count_calls(count: int, who: str) -> None:
    """Counts calls of a layer, or steps that it takes one by one, while a file is read.

    Raises:
        SavingError: there are more than a model has.
    """
    budget = _budget.get()
    if budget is None:
        return
    budget.calls -= count
    if budget.calls < 0:
        raise SavingError(
            f"The file's configuration calls its layers too often, at last '{who}': models inside models multiply "
            "their calls, and steps that are taken one by one count too. The file is damaged or made to take forever; "
            "refused."
        )
