"""What a file says of the model it was made from, where that is asked for: configuration, training, classes, units.

All are texts among the file's metadata; those that hold more than one thing are JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seqc.errors import ArgumentTypeError, ConfigError
from seqc.graph.ir import Graph

if TYPE_CHECKING:
    from seqc.model import Model

CONFIG, TRAINING, CLASSES, UNITS = "seqc.config", "seqc.training", "seqc.classes", "seqc.units"


def texts_about(
    model: Model, graph: Graph, names: Mapping[str, str], *, describe: bool, classes: Any, units: Any
) -> dict[str, str]:
    """Returns the texts for a file's metadata, none where nothing is asked for.

    Args:
        graph: the model's, before its ends are changed. names: of its inputs and outputs in the file, by its own.
        describe: whether to give Keras's configuration of the model, and how it was trained. classes: their names, a
        list, or of several outputs a dictionary by name. units: of the numbers of inputs and outputs, texts by name.

    Raises:
        ArgumentTypeError, ConfigError: classes or units make no sense for the model.
    """
    found = {}
    if describe:
        found[CONFIG] = model.to_json()
        found[TRAINING] = json.dumps(_training(model), sort_keys=True)
    if classes is not None:
        found[CLASSES] = json.dumps(_classes(classes, graph, names), ensure_ascii=False)
    if units is not None:
        found[UNITS] = json.dumps(_units(units, names), ensure_ascii=False)
    return found


def _training(model: Model) -> dict[str, Any]:
    """Returns what a model was compiled with, its steps, and a hash that two models share only with all of it."""
    compiled = model.get_compile_config()
    steps = int(np.asarray(model.optimizer.iterations)) if model.compiled else None
    weights = hashlib.sha256()
    for variable in model.weights:
        array = np.ascontiguousarray(variable.numpy())
        weights.update(f"{variable.path} {array.dtype.str} {array.shape}\n".encode())
        weights.update(array.tobytes())
    said = {"compiled": compiled, "steps": steps, "weights_sha256": weights.hexdigest()}
    whole = json.dumps([model.to_json(), said], sort_keys=True, default=str)
    return {**said, "sha256": hashlib.sha256(whole.encode()).hexdigest()}


def without_weights(said: str) -> str:
    """Returns what a file says of a model's training for one with other weights: without the hashes."""
    try:
        found = json.loads(said)
        kept = {key: value for key, value in found.items() if not key.endswith("sha256")}
    except (ValueError, AttributeError, RecursionError):
        return said
    return json.dumps(kept, sort_keys=True)


def _classes(given: Any, graph: Graph, names: Mapping[str, str]) -> dict[str, list[str]]:
    """Returns names of classes by the output's name in the file."""
    own = graph.output_names
    by_name = given if isinstance(given, Mapping) else {own[0]: given}
    if not isinstance(given, Mapping) and len(own) > 1:
        raise ConfigError(
            f"classes must say of which output of {list(own)}: {{'{own[0]}': [...]}}, or --classes {own[0]}=A,B,..."
        )
    _check_known("classes", by_name, own)
    found = {}
    for name, listed in by_name.items():
        if not isinstance(listed, Sequence) or isinstance(listed, str) or not all(isinstance(c, str) for c in listed):
            raise ArgumentTypeError(f"classes must be a list of texts; got {listed!r} for output '{name}'.")
        y = graph.outputs[own.index(name)].type
        scores = y.shape[-1] if y.rank else 1
        # One score stands for two classes: how likely the second is.
        if isinstance(scores, int) and len(listed) != (scores if scores > 1 else 2):
            raise ConfigError(
                f"Output '{name}' is {y}, of {scores if scores > 1 else 2} classes; classes names {len(listed)}."
            )
        found[names[name]] = list(listed)
    return found


def _units(given: Any, names: Mapping[str, str]) -> dict[str, str]:
    """Returns units by the names of inputs and outputs in the file."""
    if not isinstance(given, Mapping) or not all(isinstance(unit, str) for unit in given.values()):
        raise ArgumentTypeError(f"units must be a dict of texts by the names of inputs and outputs; got {given!r}.")
    _check_known("units", given, [*names])
    return {names[name]: unit for name, unit in given.items()}


def _check_known(argument: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ConfigError(f"{argument} names {unknown}; the model has {list(known)}.")
