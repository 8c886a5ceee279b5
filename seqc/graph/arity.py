"""How many operands an operation takes, as many as its `infer` names, and which may be strings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from math import inf
from typing import TYPE_CHECKING, Any

from seqc.errors import DTypeError, ShapeError
from seqc.graph.strings import STRING

if TYPE_CHECKING:
    from seqc.graph.ir import Op, Type


def check_arity(op: Op, types: Sequence[Type]) -> None:
    """Checks the number of operands.

    Raises:
        ShapeError: the operation takes another number of them.
    """
    least, most, named = _operands(type(op).infer)
    if least <= len(types) <= most:
        return
    wanted = least if least == most else f"{least} or more" if most == inf else f"{least} to {most}"
    raise ShapeError(
        f"{op.name} takes {wanted} operand{'' if wanted == 1 else 's'}; got {len(types)}. It is {op.name}({named}), "
        f"and was applied to ({', '.join(map(str, types))})."
    )


def check_kinds(op: Op, types: Sequence[Type]) -> None:
    """Checks that an operation on numbers is given no strings.

    Raises:
        DTypeError: it is.
    """
    if op.strings or op.moves_strings or op.symbolic or op.kind == "view":
        return
    for i, t in enumerate(types):
        if t.dtype == STRING and i not in op.shape_only:
            raise DTypeError(
                f"{op.name} takes numbers; got {t}. Make numbers of strings first: with StringLookup, Hashing or "
                "TextVectorization."
            )


@cache
def _operands(infer: Callable[..., Any]) -> tuple[int, float, str]:
    """Returns how many operands there are, at least and at most, and what they are called."""
    _, *operands = inspect.signature(infer).parameters.values()
    least = sum(p.default is p.empty and p.kind is not p.VAR_POSITIONAL for p in operands)
    most = inf if any(p.kind is p.VAR_POSITIONAL for p in operands) else len(operands)
    return least, most, ", ".join(str(p.replace(annotation=p.empty)) for p in operands)
