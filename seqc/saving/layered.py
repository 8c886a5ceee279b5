"""Weights by layer, as Keras 1 and 2 kept them: of each layer of a model a list, in an order that everybody knows.

A model inside a model counts as one layer. Names of arrays are hints: which array is which, the order says, and shapes
and the last parts of names have to agree with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from seqc.errors import SavingError
from seqc.graph.tracing import Variable
from seqc.layers._vocabulary_layer import VocabularyLayer
from seqc.layers.base import Layer
from seqc.model import Model
from seqc.saving.arrays import StoredArray, not_finite, settle, tried, zeros
from seqc.saving.old_arrays import converted
from seqc.saving.old_optimizer import fill_optimizer
from seqc.utils.display import note

# The last part of a name in older files, where it is another one today.
_ALIASES = {"depthwise_kernel": "kernel"}


@dataclass
class LayeredWeights:
    """The weights of a file by layer.

    Attributes:
        source: what messages call them. groups: the arrays of each layer that has some, by its name.
        loose: arrays of the model itself, outside of all layers. optimizer: those of the optimizer.
        no_optimizer: why there are none of it, "" if nothing is wrong.
        version: of the Keras that wrote them, "" if it is not known. backend: what computed for that Keras.
        doubtful: the layers that were filled though it is not known which way their kernels lie.
    """

    source: str
    groups: dict[str, list[StoredArray]]
    loose: list[StoredArray] = field(default_factory=list)
    optimizer: list[StoredArray] = field(default_factory=list)
    no_optimizer: str = ""
    version: str = ""
    backend: str = ""
    doubtful: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        return sum(array.size for array in self.listed())

    def listed(self) -> Sequence[StoredArray]:
        """Returns the arrays of all layers."""
        return [array for group in (*self.groups.values(), self.loose) for array in group]

    def unread(self) -> LayeredWeights:
        """Returns the same weights with zeros in place of their numbers, which are not read."""
        groups = {name: [zeros(array) for array in arrays] for name, arrays in self.groups.items()}
        return replace(self, groups=groups, loose=[zeros(array) for array in self.loose])

    def fill(self, model: Model, skip_mismatch: bool, by_name: bool) -> list[str]:
        """Sets a model's weights, and returns in words what was skipped.

        Args:
            model: the model. skip_mismatch: whether to go on without what does not fit.
            by_name: whether only layers are filled whose name the file has; otherwise all are, in their order where
            the names are others.
        """
        problems: list[str] = []
        # What a vocabulary weighs stands in the configuration too, where there is a vocabulary.
        for layer in model.layers:
            if isinstance(layer, VocabularyLayer):
                self.groups.pop(layer.name, None)
        pairs = self._named_pairs(model) if by_name else self._pairs(model, problems)
        for layer, arrays in pairs:
            said = tried(lambda layer=layer, arrays=arrays: self._fill_layer(layer, arrays, skip_mismatch))  # type: ignore[misc]
            problems += [] if said is None else [said]
        if self.loose and not by_name:
            own = list(model._variables)
            said = tried(lambda: _set(f"Model '{model.name}'", [own], self.loose, skip_mismatch))
            problems += [] if said is None else [said]
        found = settle(model, self.source, problems, not_finite(_owners(model)), skip_mismatch)
        if self.doubtful:
            note(
                f"'{self.source}' is of Keras 1, which did not say what computed for it: the kernels of "
                f"{', '.join(self.doubtful[:5])}{', ...' if len(self.doubtful) > 5 else ''} are taken as TensorFlow "
                "has them. Where it was Theano, they are turned around, and so are the numbers wrong.",
                warn=True,
            )
        return found

    def fill_optimizer(self, model: Model, build: bool) -> str | None:
        """Sets the variables of a model's optimizer, or returns why not."""
        if self.no_optimizer:
            return f"{self.no_optimizer} It starts anew."
        layers = {layer.name: layer for layer in model.layers}
        ordered = [layers[name] for name in self.groups if name in layers]
        weights = [v for layer in ordered for v in layer.weights]
        return fill_optimizer(model, self.optimizer, self.version, self.source, build, weights)

    def _named_pairs(self, model: Model) -> list[tuple[Layer, list[StoredArray]]]:
        return [(layer, self.groups[layer.name]) for layer in _with_weights(model) if layer.name in self.groups]

    def _pairs(self, model: Model, problems: list[str]) -> list[tuple[Layer, list[StoredArray]]]:
        layers = _with_weights(model)
        names = {layer.name for layer in layers}
        if names <= set(self.groups) or len(layers) != len(self.groups):
            problems += [
                f"the file holds weights of a layer '{name}', for which the model has no place."
                for name in self.groups
                if name not in names
            ]
            problems += [
                f"layer '{layer.name}' ({type(layer).__name__}) has no weights in the file."
                for layer in layers
                if layer.name not in self.groups
            ]
            return self._named_pairs(model)
        return list(zip(layers, self.groups.values(), strict=True))

    def _fill_layer(self, layer: Layer, arrays: list[StoredArray], skip_mismatch: bool) -> None:
        convolutions = [one for one in _owners(layer) if "Conv" in type(one).__name__]
        first = self.version.startswith("1") and not self.backend  # Keras 1 did not say what computed for it
        if convolutions and (self.backend == "theano" or (first and any(map(_is_of_theano, convolutions)))):
            raise SavingError(
                f"layer '{layer.name}' was computed by Theano{', as its order of axes says' if first else ''}, which "
                "turned the kernels of convolutions around in some versions of Keras and not in others. Which of them "
                "wrote the file cannot be told, so that the numbers could be wrong. Open the file in the Keras that "
                "wrote it, with its TensorFlow backend, and save it."
            )
        if first and any(max(one.kernel_size, default=1) > 1 for one in convolutions if hasattr(one, "kernel_size")):
            self.doubtful.append(layer.name)
        today = converted(layer, arrays, self.version.startswith("1"))
        _set(f"Layer '{layer.name}' ({type(layer).__name__})", _orders(layer), today, skip_mismatch)


def _with_weights(model: Model) -> list[Layer]:
    return [layer for layer in model.layers if layer.weights]


def _owners(layer: Any) -> list[Any]:
    return list(layer._owners())


def _is_of_theano(layer: Any) -> bool:
    """Tells whether a layer has its axes in Theano's order, so that which way its kernel lies matters."""
    sizes = getattr(layer, "kernel_size", ())
    return getattr(layer, "data_format", None) == "channels_first" and max(sizes, default=1) > 1


def _orders(layer: Layer) -> list[list[Variable]]:
    """Returns the orders in which a layer's arrays may stand, the likelier ones first.

    What trains first as the layers were when they were saved, or as if all of them trained, or layer by layer.
    """
    weights = layer.weights
    learned = {id(v) for owner in layer._owners() for v in owner._learned()}
    return [layer._weights_by_kind(), sorted(weights, key=lambda v: id(v) not in learned), weights]


def fill_in_order(who: str, owner: Any, arrays: list[StoredArray], convert: bool = False) -> None:
    """Sets all weights of a layer or model from arrays in one of the orders in which files have them.

    Args:
        who: the layer, for messages. owner: the layer or model. arrays: in the order of the file.
        convert: whether they may be in a form that only older Keras had.

    Raises:
        SavingError: they fit in no order.
    """
    _set(who, _orders(owner), converted(owner, arrays) if convert else arrays)


def _set(who: str, orders: list[list[Variable]], arrays: list[StoredArray], skip_mismatch: bool = False) -> None:
    """Sets variables from arrays in the first order in which they fit.

    Args:
        who: the layer, for messages. orders: of its variables, the likelier ones first. arrays: in the file's order.
        skip_mismatch: whether to set those that fit where some do not, in the order in which the fewest do not.

    Raises:
        SavingError: they fit in none.
    """
    variables = orders[0]
    if len(variables) != len(arrays):
        raise SavingError(
            f"{who} has {len(variables)} weights ({', '.join(v.name for v in variables[:8])}), and the file holds "
            f"{len(arrays)} arrays for it ({', '.join(a.name for a in arrays[:8]) or 'none'})."
        )
    found = [_misfits(order, arrays) for order in orders]
    best = min(range(len(orders)), key=lambda i: sum(said is not None for said in found[i]))
    wrong = [said for said in found[best] if said is not None]
    if not wrong or skip_mismatch:
        pairs = zip(orders[best], arrays, found[best], strict=True)
        for variable, array in [(v, a.read()) for v, a, said in pairs if said is None]:
            variable.assign(array)
    if wrong:
        raise SavingError(f"{who} {wrong[0]}")


def _misfits(variables: list[Variable], arrays: list[StoredArray]) -> list[str | None]:
    """Returns of each array what keeps it from being the variable at its place, None if nothing does."""
    names = {v.name for v in variables}
    return [_misfit(variable, array, names) for variable, array in zip(variables, arrays, strict=True)]


def _misfit(variable: Variable, array: StoredArray, names: set[str]) -> str | None:
    if variable.shape != array.shape:
        return f"has weight '{variable.name}' of shape {variable.shape}; the file has {array.shape} ('{array.name}')."
    part = array.name.rpartition("/")[2].partition(":")[0]
    part = part if part in names else _ALIASES.get(part, part)
    if part in names and part != variable.name:
        return f"has weight '{variable.name}' where the file has '{array.name}'."
    return None
