"""Weights that lie side by side under names: NumPy's `.npz`, safetensors, TensorFlow.js."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seqc.errors import SavingError
from seqc.graph.ir import Array
from seqc.graph.tracing import Variable
from seqc.model import Model
from seqc.saving.arrays import StoredArray, not_finite, settle, tried, widened, zeros
from seqc.saving.layered import fill_in_order

# What numpy.savez calls arrays that nobody named.
_NUMBERED = re.compile(r"arr_(\d+)")


@dataclass
class FlatWeights:
    """The weights of a file by name.

    Attributes:
        source: what messages call them. arrays: in the order of the file.
    """

    source: str
    arrays: list[StoredArray]

    @property
    def size(self) -> int:
        return sum(array.size for array in self.arrays)

    def listed(self) -> Sequence[StoredArray]:
        """Returns all arrays."""
        return self.arrays

    def unread(self) -> FlatWeights:
        """Returns the same weights with zeros in place of their numbers, which are not read."""
        return replace(self, arrays=[zeros(array) for array in self.arrays])

    def fill(self, model: Model, skip_mismatch: bool, by_name: bool) -> list[str]:
        """Sets a model's weights, and returns in words what was skipped.

        Names count where the file has those that `weight_names` gives, or begins them with names of layers. Otherwise
        the order counts, which is that of `model.get_weights()` or has what trains first.

        Args:
            model: the model. skip_mismatch: whether to go on without what does not fit.
            by_name: whether to leave out what has no place by its name.
        """
        problems: list[str] = []
        named = weight_names(model)
        found = {array.name: array for array in self.arrays}
        if by_name or skip_mismatch or set(named) == set(found):
            _fill_named(named, found, problems if not by_name else [])
        else:
            problems += self._fill_rest(model, named)
        return settle(model, self.source, problems, not_finite(list(model._owners())), skip_mismatch)  # type: ignore[arg-type]

    def _fill_rest(self, model: Model, named: Mapping[str, Variable]) -> list[str]:
        arrays = self.arrays
        numbers = [_NUMBERED.fullmatch(array.name) for array in arrays]
        if all(numbers):
            arrays = [a for _, a in sorted(zip((int(m[1]) for m in numbers if m), arrays, strict=True), key=_first)]
        by_layer = _by_layer(model, arrays)
        problems: list[str] = []
        if by_layer is None:
            missing = sorted(set(named) - {a.name for a in arrays})
            said = tried(lambda: fill_in_order(f"Model '{model.name}'", model, arrays))
            hint = f" By its names, it lacks {', '.join(missing[:5])}." if missing and not any(numbers) else ""
            return [] if said is None else [said + hint]
        for owner, own in by_layer:
            said = tried(lambda owner=owner, own=own: fill_in_order(f"Layer '{owner.name}'", owner, own, True))  # type: ignore[misc]
            problems += [] if said is None else [said]
        return problems

    def fill_optimizer(self, model: Model, build: bool) -> str | None:
        """Does nothing: such files hold no optimizer."""
        return None


def _first(pair: tuple[int, Any]) -> int:
    return pair[0]


def _fill_named(named: Mapping[str, Variable], found: Mapping[str, StoredArray], problems: list[str]) -> None:
    for name, variable in named.items():
        if name not in found:
            problems.append(f"the file has no array '{name}', of shape {variable.shape}.")
        elif found[name].shape != variable.shape:
            problems.append(f"weight '{name}' has shape {variable.shape}; the file has {found[name].shape}.")
        else:
            variable.assign(found[name].read())
    problems += [f"the file holds '{name}', and the model has no place for it." for name in found if name not in named]


def _by_layer(model: Model, arrays: list[StoredArray]) -> list[tuple[Any, list[StoredArray]]] | None:
    """Returns the arrays of each layer that has weights of its own, told by the first part of their names.

    None if they do not begin with names of layers, or several layers are called the same.
    """
    owners = [layer for model_ in _leaves(model) for layer in model_]
    names = Counter(layer.name for layer in owners)
    grouped: dict[str, list[StoredArray]] = {name: [] for name in names}
    for array in arrays:
        first = array.name.partition("/")[0]
        if first not in grouped:
            return None
        grouped[first].append(array)
    if any(count > 1 for count in names.values()) or not all(grouped.values()):
        return None
    return [(layer, grouped[layer.name]) for layer in owners]


def _leaves(model: Any) -> list[list[Any]]:
    """Returns the layers with weights inside a model and the models in it, those models themselves left out."""
    inside: list[list[Any]] = []
    for layer in model.layers:
        if isinstance(layer, Model):
            inside += _leaves(layer)
        elif layer.weights:
            inside.append([layer])
    return inside


def weight_names(model: Model) -> dict[str, Variable]:
    """Returns a model's weights by the names under which files without layers keep them.

    Those are the names of the layers around a weight, from the outside in, and its own; the same in any process, and
    never two alike.
    """
    found: dict[str, Variable] = {}
    seen: set[int] = set()

    def visit(owner: Any, path: str) -> None:
        if id(owner) in seen:
            return
        seen.add(id(owner))
        for variable in owner._own_weights():
            name = f"{path}{variable.name}"
            while name in found:
                name += "_"
            found[name] = variable
        for inner in owner.sublayers():
            visit(inner, f"{path}{inner.name}/")

    visit(model, "")
    return found


def weight_arrays(model: Model) -> dict[str, Array]:
    """Returns a model's weights by name, to be written.

    Raises:
        SavingError: the model has none.
    """
    arrays = {name: widened(variable.numpy()) for name, variable in weight_names(model).items()}
    if not arrays:
        raise SavingError(f"Model '{model.name}' has no weights to save.")
    return arrays
