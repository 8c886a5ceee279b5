"""Where each weight of a model is in a Keras file, and how it gets there and back.

A layer's arrays are at `PATH/vars/0, 1, ...`, trainable ones first. PATH is made of attribute names; inside a list each
layer is called by its class in snake case, numbered from the second of the same class: `layers/dense_1/vars/0`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from seqc.errors import SavingError, SeqcError
from seqc.graph.ir import Array
from seqc.layers._state import fill
from seqc.layers.base import Layer
from seqc.model import Model
from seqc.saving.h5 import Store
from seqc.utils.display import note
from seqc.utils.naming import snake_case

# Some versions of Keras keep the state of random generators in their files. Randomness is an input here.
_IGNORED = "seed_generator"


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
    for path, layer in walk(model):
        arrays: dict[str, Any] = {}
        layer.save_own_variables(arrays)
        found[path] = (layer.name, {k: np.asarray(v) for k, v in arrays.items()})
    if model.compiled and with_optimizer:
        optimizer = model.optimizer
        found["optimizer"] = (optimizer.name, {str(i): v.numpy() for i, v in enumerate(optimizer.variables)})
    return found


def model_assets(model: Model) -> dict[str, bytes]:
    """Returns the asset files of all layers by their path."""
    found: dict[str, bytes] = {}
    for path, layer in walk(model):
        save = getattr(layer, "save_assets", None)
        if save is not None:
            found |= {f"{path}/{name}": content for name, content in save().items()}
    return found


def restore_layers(
    model: Model,
    store: Store,
    assets: Callable[[str], dict[str, bytes]] | None = None,
    skip_mismatch: bool = False,
) -> list[str]:
    """Sets the weights of all layers from a file; what does not fit is skipped or, at the end, raised.

    Warns of weights that are not finite, by layer.

    Args:
        model: the model.
        store: the arrays.
        assets: gives the asset files of the layer at a path, if there are any; asked only for layers that load some.
        skip_mismatch: whether to go on without what does not fit.

    Returns:
        What was skipped, in words.

    Raises:
        SavingError: a weight is missing, has another shape, or is in the file and not in the model.
    """
    problems: list[str] = []
    strange: list[str] = []
    for path, layer in walk(model):
        try:
            load_assets = getattr(layer, "load_assets", None)
            own = assets(path) if assets is not None and load_assets is not None else {}
            if own and load_assets is not None:
                load_assets(own)
            layer.load_own_variables(store.group(f"{path}/vars" if path else "vars"))
        except SeqcError as error:
            problems.append(str(error))
        if not all(np.isfinite(v.array).all() for v in layer._own_weights()):
            strange.append(f"'{layer.name}'")
    problems += _unused(store)
    if problems and not skip_mismatch:
        more = f" And {len(problems) - 1} more like this." if len(problems) > 1 else ""
        raise SavingError(f"The weights in '{store.source}' do not fit model '{model.name}': {problems[0]}{more}")
    if strange:
        note(
            f"'{store.source}' holds weights that are not finite numbers, in layer{'s' * (len(strange) > 1)} "
            f"{', '.join(strange[:10])}{', ...' if len(strange) > 10 else ''}. What passes there becomes NaN or "
            "infinite: the training probably diverged before the file was written.",
            warn=True,
        )
    return problems


def _unused(store: Store) -> list[str]:
    left = [
        path
        for path in store.paths()
        if path not in store.used and path.split("/")[0] in ("layers", "vars") and _IGNORED not in path.split("/")
    ]
    return [
        f"the file holds '{path}' of shape {store.shape(path)}, and the model has no place for it." for path in left
    ]


def restore_optimizer(model: Model, store: Store, build: bool) -> str | None:
    """Sets the variables of the model's optimizer from a file.

    A model saved before its first training step holds only the counter and the learning rate; slots are not made then.

    Args:
        build: whether it is the optimizer of the file, which is made ready for what the file holds. The state of
        another one is taken only where the optimizer is in use already and has as many variables.

    Returns:
        Why the file's state is left out, None if it is not.
    """
    optimizer, group = model.optimizer, store.group("optimizer/vars")
    if len(group) == 0:
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
