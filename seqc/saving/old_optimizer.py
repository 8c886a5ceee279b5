"""The state of an optimizer as lists of arrays, which each generation of Keras put into another order.

Keras 3 and TensorFlow from 2.11 on: the number of steps, perhaps the learning rate, then all slots of the first
weight, of the second, ... Before: the number of steps, then the first slot of all weights, the second slot, ...
"""

from __future__ import annotations

from collections.abc import Sequence

from seqc.errors import SavingError
from seqc.graph.tracing import Variable
from seqc.model import Model
from seqc.saving.arrays import StoredArray

# Optimizers of which it is known that their slots mean the same in all generations, in the same order.
_ALIKE = ("SGD", "RMSprop", "Adagrad", "Adadelta", "Adam", "AdamW", "Adamax")


def fill_optimizer(model: Model, arrays: Sequence[StoredArray], version: str, source: str, build: bool) -> str | None:
    """Sets the variables of a model's optimizer from the arrays of a file.

    Args:
        model: a compiled one. arrays: as the file has them. version: of the Keras that wrote them.
        source: what messages call the file. build: whether to make the slots first, as the file's own optimizer needs.

    Returns:
        Why the file's state is left out, None if it is not.
    """
    if not arrays:
        return None
    optimizer = model.optimizer
    if build and len(arrays) > len(optimizer.variables):
        optimizer.build(model.trainable_variables)
    places = _places(optimizer.variables, list(arrays), version, len(model.trainable_variables))
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
    variables: list[Variable], arrays: list[StoredArray], version: str, weights: int
) -> list[tuple[Variable, StoredArray]] | None:
    """Returns what goes where, None where it does not fit."""
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
    if len(arrays) != len(slots):
        return None if arrays else found
    kinds = len(slots) // weights if weights else 0
    if _by_slot(arrays, version) and kinds:
        arrays = [arrays[k * weights + i] for i in range(weights) for k in range(kinds)]
    if any(v.shape != a.shape for v, a in zip(slots, arrays, strict=True)):
        return None
    return found + list(zip(slots, arrays, strict=True))


def _by_slot(arrays: list[StoredArray], version: str) -> bool:
    """Tells whether the first slots of all weights come first."""
    major, _, rest = version.partition(".")
    minor = rest.partition(".")[0]
    if major.isdigit() and minor.isdigit():
        if (int(major), int(minor)) < (2, 11):
            return True
        if int(major) >= 3:
            return False
    # The optimizers of before are in TensorFlow 2.11 and later under another name, and name their slots last.
    ends = {array.name.rpartition("/")[2].partition(":")[0] for array in arrays}
    return not ends & {"kernel", "bias", "gamma", "beta", "embeddings", "recurrent_kernel"}
