"""Where each weight of a model is in a Keras file, and how it gets there and back.

A layer's arrays are at `PATH/vars/0, 1, ...`, trainable ones first. PATH is made of attribute names; inside a list each
layer is called by its class in snake case, numbered from the second of the same class: `layers/dense_1/vars/0`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from seqc.errors import ConfigError, SavingError
from seqc.graph.ir import Array
from seqc.layers._state import fill
from seqc.layers.base import Layer
from seqc.model import Model
from seqc.optimizers.base import Optimizer
from seqc.optimizers.loss_scale import LossScaleOptimizer
from seqc.saving.arrays import StoredArray, not_finite, settle, tried
from seqc.saving.assets import give_assets
from seqc.saving.h5 import Store
from seqc.saving.old_optimizer import fill_optimizer
from seqc.saving.old_paths import LAYERS, OLD_LAYERS, paths_in
from seqc.utils.naming import free_name, snake_case

# Some versions of Keras keep the state of random generators in their files. Randomness is an input here.
_IGNORED = "seed_generator"
Assets = Callable[[str], dict[str, bytes]]


def walk(layer: Layer, path: str = "") -> Iterator[tuple[str, Layer]]:
    """Yields every layer inside a layer with its path in the file, each once, the layer itself first."""
    yield from _walk(layer, path, set())


def _walk(layer: Layer, path: str, seen: set[int]) -> Iterator[tuple[str, Layer]]:
    if id(layer) in seen:
        return
    seen.add(id(layer))
    yield path, layer
    for name, value in _attributes(layer):
        yield from _walk_value(value, f"{path}/{name}" if path else name, seen)


def _walk_value(value: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Layer]]:
    if isinstance(value, Layer):
        yield from _walk(value, path, seen)
    elif isinstance(value, list | tuple | dict):
        used: Counter[str] = Counter()
        for item in value.values() if isinstance(value, dict) else value:
            is_layer = isinstance(item, Layer)
            if not is_layer and not isinstance(item, list | tuple | dict):
                continue
            base = snake_case(type(item).__name__) if is_layer else "container"
            name = f"{base}_{used[base]}" if used[base] else base
            used[base] += 1
            yield from _walk_value(item, f"{path}/{name}", seen)


def shared_layers(layer: Layer) -> dict[int, int]:
    """Returns a number for the `id` of every layer that occurs more than once, such as inside two nested models."""
    count: Counter[int] = Counter()

    def visit(one: Any) -> None:
        count[id(one)] += 1
        if count[id(one)] == 1:
            for inner in one.sublayers():
                visit(inner)

    visit(layer)
    return {key: number for number, key in enumerate((k for k, n in count.items() if n > 1), start=1)}


def _attributes(layer: Layer) -> list[tuple[str, Any]]:
    """Returns the attributes that hold layers: those of a model first, then by name, private ones last."""
    found = sorted(
        layer._children.items(), key=lambda item: item[0].replace("_", "~", 1) if item[0][0] == "_" else item[0]
    )
    if isinstance(layer, Model):
        found.sort(key=lambda item: item[0] != "layers")
    return found


def model_arrays(model: Model, with_optimizer: bool = True) -> dict[str, tuple[str | None, Mapping[str, Array]]]:
    """Returns for the path of each layer, and of the optimizer, its name and its arrays."""
    found: dict[str, tuple[str | None, Mapping[str, Array]]] = {}
    owners: list[tuple[str, Any]] = list(walk(model))
    if model.compiled and with_optimizer:
        owners += optimizers_in(model.optimizer)
    for path, owner in owners:
        arrays: dict[str, Any] = {}
        owner.save_own_variables(arrays)
        found[path] = (owner.name, {k: np.asarray(v) for k, v in arrays.items()})
    return found


def optimizers_in(optimizer: Optimizer, path: str = "optimizer") -> Iterator[tuple[str, Optimizer]]:
    """Yields an optimizer and those inside it with their paths in the file."""
    yield path, optimizer
    if isinstance(optimizer, LossScaleOptimizer):
        yield from optimizers_in(optimizer.inner_optimizer, f"{path}/inner_optimizer")
        return
    used: dict[str, int] = {}
    for one in optimizer.inner_optimizers:
        yield from optimizers_in(one, f"{path}/optimizers/{free_name(snake_case(type(one).__name__), used)}")


class PathWeights:
    """The weights of a file by the paths of layers, with the asset files of layers if it has some.

    Attributes:
        source: what messages call them. store: the arrays. assets: gives the asset files in the folder of the layer at
        a path, and in folders in it; asked only for layers that load some. version: of the Keras that wrote them, "" if
        it is not known.
    """

    def __init__(self, store: Store, assets: Assets | None = None, version: str = "") -> None:
        self.source, self.store, self._assets, self._version = store.source, store, assets, version

    @property
    def size(self) -> int:
        return self.store.size

    def listed(self) -> list[StoredArray]:
        """Returns all arrays."""
        return [self._array(path) for path in self.store.paths()]

    def unread(self) -> PathWeights:
        """Returns the same weights with zeros in place of their numbers, which are not read."""
        return PathWeights(self.store.unread(), self._assets, self._version)

    def fill(self, model: Model, skip_mismatch: bool, by_name: bool) -> list[str]:
        """Sets a model's weights, and returns in words what was skipped.

        Raises:
            SavingError: a weight is missing, has another shape, or is in the file and not in the model.
            ConfigError: `by_name` is asked for.
        """
        if by_name:
            raise ConfigError(
                "load_weights(by_name=True) belongs to the `.h5` files of Keras 2. A `.weights.h5` or `.keras` file "
                "holds weights by the place of their layer, not by its name: leave `by_name` out, and use "
                "skip_mismatch=True to load what fits and keep the rest."
            )
        problems: list[str] = []
        layers = dict(walk(model))
        paths = paths_in(self.store, layers)
        for path, layer in layers.items():
            said = tried(partial(self._fill_layer, layer, path, paths.get(path, path)))
            problems += [] if said is None else [said]
        problems += _unused(self.store)
        return settle(model, self.source, problems, not_finite(list(layers.values())), skip_mismatch)

    def _fill_layer(self, layer: Layer, path: str, place: str) -> None:
        layer.load_own_variables(self.store.group(f"{place}/vars" if place else "vars"))
        own = self._assets(path) if self._assets is not None and hasattr(layer, "load_assets") else {}
        if own:
            give_assets(layer, own)

    def fill_optimizer(self, model: Model, build: bool) -> str | None:
        """Sets the variables of a model's optimizer, or returns why not."""
        group = self.store.group("optimizer/vars")
        if self._version.startswith("2") or OLD_LAYERS in {path.split("/")[0] for path in self.store.paths()}:
            names = [f"optimizer/vars/{i}" for i in range(len(group))]
            if all(self.store.known(name) for name in names):
                arrays = [self._array(name) for name in names]
                return fill_optimizer(model, arrays, self._version or "2.13", self.source, build)
        return restore_optimizer(model, self.store, build)

    def _array(self, path: str) -> StoredArray:
        store = self.store
        return StoredArray(path, store.shape(path), store.dtype(path), partial(store.read, path))


def is_by_path(store: Store) -> bool:
    """Tells whether a file holds weights by the paths of layers."""
    return any(name.replace("\\", "/").split("/")[0] in (LAYERS, OLD_LAYERS, "vars") for name in store.root)


def _unused(store: Store) -> list[str]:
    left = [
        path
        for path in store.paths()
        if path not in store.used and path.split("/")[0] in (LAYERS, OLD_LAYERS, "vars") and not _is_ignored(path)
    ]
    return [
        f"the file holds '{path}' of shape {store.shape(path)}, and the model has no place for it." for path in left
    ]


def _is_ignored(path: str) -> bool:
    return _IGNORED in path.split("/")


def restore_optimizer(model: Model, store: Store, build: bool) -> str | None:
    """Sets the variables of the model's optimizer from a file.

    A model saved before its first training step holds only the counter and the learning rate; slots are not made then.

    Args:
        build: whether it is the optimizer of the file, which is made ready for what the file holds. The state of
        another one is taken only where the optimizer is in use already and has as many variables.

    Returns:
        Why the file's state is left out, None if it is not.
    """
    reason = _restore_all(model, store, build)
    if reason is not None:
        return reason
    for path, inner in list(optimizers_in(model.optimizer))[1:]:
        group = store.group(f"{path}/vars")
        if len(group) and _stores_what_it_likes(inner):
            inner.load_own_variables(group)
    return None


def _stores_what_it_likes(optimizer: Optimizer) -> bool:
    return type(optimizer).load_own_variables is not Optimizer.load_own_variables


def _restore_all(model: Model, store: Store, build: bool) -> str | None:
    """Sets the optimizer's variables, among which are those of the ones inside it; see `restore_optimizer`."""
    optimizer, group = model.optimizer, store.group("optimizer/vars")
    if len(group) == 0:
        return None
    if _stores_what_it_likes(optimizer):
        if build:
            optimizer.build(model.trainable_variables)
        optimizer.load_own_variables(group)
        return None
    if build and len(group) > len(optimizer.variables):
        optimizer.build(model.trainable_variables)
    variables = optimizer.variables
    if not build and len(group) != len(variables):
        return (
            f"'{store.source}' holds {len(group)} variables of an optimizer, and optimizer '{optimizer.name}' has "
            f"{len(variables)}: its learning rate and state stay as they are. Where it has not been used yet, "
            "model.optimizer.build(model.trainable_variables) beforehand makes it take them over, as load_model does."
        )
    few = [v for v in variables[:2] if v.shape == ()]
    chosen = variables if len(group) == len(variables) else few[: len(group)]
    if len(chosen) != len(group):
        return (
            f"'{store.source}' holds {len(group)} variables for optimizer '{optimizer.name}', which has "
            f"{len(variables)}. It starts anew."
        )
    try:
        fill(chosen, group, f"Optimizer '{optimizer.name}'")
    except SavingError as error:
        return f"{error} It starts anew."
    return None
