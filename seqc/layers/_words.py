"""Docstrings of layers of one family, which differ in the number of axes only."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeVar

C = TypeVar("C", bound=type)


def with_words_of(family: type) -> Callable[[C], C]:
    """Decorates a class: between its own summary and what else it says comes what the family's docstring says.

    Args:
        family: the base class with the arguments and shapes, whose own summary the class replaces.
    """

    def joined(cls: C) -> C:
        if cls.__doc__ and family.__doc__:  # python -OO has neither
            (summary, *rest), (_, *shared) = (
                inspect.cleandoc(doc).split("\n\n") for doc in (cls.__doc__, family.__doc__)
            )
            cls.__doc__ = "\n\n".join([summary, *shared, *rest])
        return cls

    return joined
