"""Functions of slices as functions of whole tensors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import numpy as np

from seqc import tree
from seqc.errors import ConfigError, ShapeError
from seqc.graph.ir import Value, as_value
from seqc.ops.loops import map
from seqc.ops.rearranging import broadcast_to
from seqc.ops.shape import reshape

_CORE = re.compile(r"\(([^()]*)\)")


def vectorize(
    pyfunc: Callable[..., Any], *, excluded: Iterable[int | str] | None = None, signature: str | None = None
) -> Callable[..., Any]:
    """Returns a function that applies another to each slice of tensors, which broadcast, as NumPy's vectorize does.

    Args:
        pyfunc: from tensors without axes, or with those of the signature, to tensors. excluded: positions and names of
        arguments that are passed on as they are. signature: the axes of each argument and result that `pyfunc` takes
        and gives, such as "(n),(n)->()".
    """
    kept = frozenset(excluded or ())
    wanted = None if signature is None else _ranks(signature)

    @wraps(pyfunc)
    def call(*args: Any, **kwargs: Any) -> Any:
        at = [i for i in range(len(args)) if i not in kept]
        names = [name for name in kwargs if name not in kept]
        values = [as_value(x) for x in (*(args[i] for i in at), *(kwargs[n] for n in names))]
        ranks = [0] * len(values) if wanted is None else wanted
        if len(ranks) != len(values):
            raise ConfigError(f"vectorize with signature {signature} takes {len(ranks)} tensors; got {len(values)}.")
        outer = [_outer(x, rank) for x, rank in zip(values, ranks, strict=True)]
        whole = np.broadcast_shapes(*outer)
        cores = [x.type.shape[x.type.rank - rank :] for x, rank in zip(values, ranks, strict=True)]
        count = int(np.prod(whole, dtype=np.int64))

        def one(slices: Any) -> Any:
            given = list(args)
            for i, x in zip(at, slices, strict=False):
                given[i] = x
            return pyfunc(*given, **{**kwargs, **dict(zip(names, slices[len(at) :], strict=True))})

        if not whole:
            return one(values)
        flat = [
            reshape(broadcast_to(x, (*whole, *core)), (count, *core)) for x, core in zip(values, cores, strict=True)
        ]
        return tree.map_structure(lambda y: reshape(y, (*whole, *y.type.shape[1:])), map(one, flat))

    return call


def _ranks(signature: str) -> list[int]:
    """Returns how many axes of its own each argument has."""
    given, arrow, _ = signature.partition("->")
    if not arrow or not _CORE.search(given):
        raise ConfigError(f'A signature looks like "(n),(n)->()"; got {signature!r}.')
    return [len([name for name in core.split(",") if name.strip()]) for core in _CORE.findall(given)]


def _outer(x: Value, rank: int) -> tuple[int, ...]:
    sizes = x.type.shape[: x.type.rank - rank]
    if x.type.rank < rank or not all(isinstance(d, int) for d in sizes):
        raise ShapeError(
            f"vectorize goes over axes of known sizes, in front of {rank} that the function takes; got {x.type}."
        )
    return tuple(int(d) for d in sizes if isinstance(d, int))
