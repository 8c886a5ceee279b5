"""The state of an optimizer as lists of arrays, which each generation of Keras put into another order.

Keras 3 and TensorFlow from 2.11 on: the number of steps, perhaps the learning rate, then all slots of the first
weight, of the second, ... Before: the number of steps, then the first slot of all weights, the second slot, ...
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from seqc.errors import SavingError
from seqc.graph.tracing import Variable
from seqc.model import Model
from seqc.saving.arrays import StoredArray

# Optimizers of which it is known that their slots mean the same in all generations, in the same order.
_ALIKE = ("SGD", "RMSprop", "Adagrad", "Adadelta", "Adam", "AdamW", "Adamax")
_SLOTS = ("m", "v", "momentum", "rms", "accumulator", "accum_grad", "accum_var")


def fill_optimizer(
    model: Model,
    arrays: Sequence[StoredArray],
    version: str,
    source: str,
    build: bool,
    weights: Sequence[Variable] | None = None,
) -> str | None:
    """Sets the variables of a model's optimizer from the arrays of a file.

    Args:
        model: a compiled one. arrays: as the file has them. version: of the Keras that wrote them.
        source: what messages call the file. build: whether to make the slots first, as the file's own optimizer needs.
        weights: those that train, in the order of the file; by default that of the model.

    Returns:
        Why the file's state is left out, None if it is not.
    """
    if not arrays:
        return None
    if (0, 0) < _release(version) < (2, 1):
        kept = f"'{source}' holds the state of an optimizer of Keras {version}"
        return f"{kept}, in an order that it does not say. It starts anew."
    optimizer = model.optimizer
    if build and len(arrays) > len(optimizer.variables):
        optimizer.build(model.trainable_variables)
    place = {id(v): i for i, v in enumerate(model.trainable_variables)}
    order = [place[id(v)] for v in weights or model.trainable_variables if id(v) in place]
    places = _places(optimizer.variables, list(arrays), version, order)
    kind = type(optimizer).__name__
    if places is None or (not version.startswith("3") and kind not in _ALIKE):
        return (
            f"'{source}' holds {len(arrays)} arrays as the state of optimizer '{optimizer.name}' ({kind}), which has "
            f"{len(optimizer.variables)}, and they do not fit it. It starts anew."
        )
    try:
        for variable, array in [(v, a.read()) for v, a in places]:
            variable.assign(array)
    except SavingError as error:
        return f"{error} The optimizer starts anew."
    return None


def _places(
    variables: list[Variable], arrays: list[StoredArray], version: str, order: list[int]
) -> list[tuple[Variable, StoredArray]] | None:
    """Returns what goes where, None where it does not fit.

    Args:
        variables: of the optimizer. arrays: of the file. version: of the Keras that wrote them.
        order: the numbers of the model's weights in the order of the file.
    """
    if _release(version) >= (3, 0) and [v.shape for v in variables] == [a.shape for a in arrays]:
        return list(zip(variables, arrays, strict=True))
    scalars = {v.name: v for v in variables[:2] if v.shape == ()}
    slots = variables[len(scalars) :]
    found: list[tuple[Variable, StoredArray]] = []
    while arrays and arrays[0].shape == () and len(arrays) > len(slots):
        name = "learning_rate" if "learning_rate" in arrays[0].name else "iteration"
        if name in scalars:
            found.append((scalars[name], arrays[0]))
        del arrays[0]
    # Without amsgrad, Keras 2 kept a place for it nevertheless.
    while len(arrays) > len(slots) and arrays[-1].shape == (1,):
        del arrays[-1]
    kinds = len(slots) // len(order) if order else 0
    if len(arrays) != len(slots) or kinds * len(order) != len(slots):
        return None if arrays else found
    by_weight = [slots[i * kinds + k] for i in order for k in range(kinds)]
    by_slot = [slots[i * kinds + k] for k in range(kinds) for i in order]
    choices = [by_slot, by_weight] if _by_slot(arrays, version) else [by_weight, by_slot]
    for chosen in choices:
        if all(v.shape == a.shape for v, a in zip(chosen, arrays, strict=True)):
            return found + list(zip(chosen, arrays, strict=True))
    return None


def _by_slot(arrays: list[StoredArray], version: str) -> bool:
    """Tells whether the first slots of all weights come first."""
    release = _release(version)
    if (0, 0) < release < (2, 11):
        return True
    if release >= (3, 0):
        return False
    # TensorFlow kept the optimizers of before as well: they name their slots last, the others a weight.
    return all(array.name.rpartition("/")[2].partition(":")[0] in _SLOTS for array in arrays)


def _release(version: str) -> tuple[int, int]:
    """Returns the first two numbers of a version, zeros where there are none."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)
