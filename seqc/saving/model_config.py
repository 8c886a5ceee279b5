"""The description of a model that goes into its file, checked by making the model from it again."""

from __future__ import annotations

import json
from types import FunctionType
from typing import Any

from seqc.errors import SavingError
from seqc.file_scope import one_file
from seqc.graph.ir import Graph, as_value, input_value
from seqc.graph.tracing import Trace, tracing
from seqc.model import Model
from seqc.saving.check import check_loads
from seqc.saving.state import shared_layers, walk
from seqc.serialization import noting_own_objects, serialize_object

# The release of Keras whose files these are. Keras reads any 3.x; the number tells people what to expect inside.
KERAS_VERSION = "3.15.1"


def model_config(model: Model) -> dict[str, Any]:
    """Returns the description of a model for a file: its layers, and as `compile_config` the arguments of `compile`.

    Raises:
        SavingError: it is not plain data, or the model could not be made from it again.
    """
    own: dict[str, Any] = {}
    with one_file(numbers=shared_layers(model)), noting_own_objects(own):
        try:
            config = serialize_object(model)
        except RecursionError as error:
            raise SavingError(f"Model '{model.name}' is nested too deep to be saved.") from error
    config.setdefault("compile_config", {})
    try:
        content = json.dumps(config).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise SavingError(f"The configuration of model '{model.name}' is not plain data: {error}.") from error
    found: dict[str, Any] = json.loads(content)
    _check_functions(model, check_loads(json.loads(content), own, model.name))
    return found


def _check_functions(model: Model, loaded: Model) -> None:
    """Raises SavingError where the name of a function, which is all that a file holds of it, leads to another one."""
    found = dict(walk(loaded))
    for path, layer in walk(model):
        for name, function in vars(layer).items():
            other = getattr(found.get(path), name, function)
            plain = isinstance(function, FunctionType) and "<locals>" not in function.__qualname__
            if plain and other is not function and _computed(other) != _computed(function):
                where = [f"{getattr(f, '__module__', '')}.{getattr(f, '__qualname__', f)}" for f in (function, other)]
                raise SavingError(
                    f"Layer '{layer.name}' has {name}={where[0]}, and the file would be read as {where[1]}. Use that "
                    "one, or wrap yours in a function of your own that is decorated with "
                    "@seqc.saving.register_keras_serializable()."
                )


def _computed(function: Any) -> str:
    """Returns what a function makes of a tensor, as text, or of itself where it cannot be told."""
    x = input_value("x", "float32", (3, 3))
    try:
        with tracing(Trace()):
            return str(Graph((x,), (as_value(function(x)),), ("y",)))
    except Exception:
        return repr(function)
