"""Arrays of a layer to and from a file's store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seqc.errors import SavingError
from seqc.graph.tracing import Variable


def fill(variables: Sequence[Variable], store: Mapping[str, Any], who: str) -> None:
    """Sets variables from arrays called 0, 1, 2, ...; shapes are compared before anything is read.

    Args:
        store: the arrays by name; one that also has `shape(name)` is asked for shapes first, and one that has `place`
        is named by it in messages.

    Raises:
        SavingError: the number of arrays, a name or a shape differs. Nothing is set then.
    """
    where = f" at '{store.place}'" if hasattr(store, "place") else ""
    if set(store) != {str(i) for i in range(len(variables))}:
        raise SavingError(
            f"{who} expected {len(variables)} variables ({', '.join(v.name for v in variables) or 'none'}), but "
            f"received {len(store)} variables during loading{where} ({', '.join(sorted(store)) or 'none'}). The file "
            "comes from another architecture."
        )
    for i, variable in enumerate(variables):
        shape = store.shape(str(i)) if hasattr(store, "shape") else np.shape(store[str(i)])
        if shape != variable.shape:
            raise SavingError(
                f"{who} has weight '{variable.name}' of shape {variable.shape}; the file has {shape}{where} ({i})."
            )
    arrays = [np.asarray(store[str(i)]) for i in range(len(variables))]
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
