"""`.keras` files: Keras's own, written without Keras."""

from __future__ import annotations

import json
import os
import time
import warnings
from pathlib import Path
from types import FunctionType
from typing import Any

from seqc._version import __version__
from seqc.errors import ConfigError, SavingError
from seqc.file_scope import one_file
from seqc.graph.ir import Graph, as_value, input_value
from seqc.graph.tracing import Trace, tracing
from seqc.model import Model
from seqc.saving.archive import ASSETS, CONFIG, METADATA, WEIGHTS, pack
from seqc.saving.check import check_loads
from seqc.saving.h5 import pack_store
from seqc.saving.state import model_arrays, model_assets, shared_layers, walk
from seqc.saving.weights_file import check_overwrite, require_model
from seqc.serialization import noting_own_objects, serialize_object
from seqc.utils.files import replace_file

# The release of Keras whose files these are. Keras reads any 3.x; the number tells people what to expect inside.
KERAS_VERSION = "3.15.1"


def save_model(model: Model, filepath: str | os.PathLike[str], overwrite: bool = True, **options: Any) -> None:
    """Writes a model as Keras does: layers, weights, the arguments of `compile` and the optimizer's state.

    The file is whole or not there. The same model gives the same bytes but for the date, which is taken from the
    environment variable SOURCE_DATE_EPOCH (seconds since 1970) if it is set.

    Args:
        filepath: ends in `.keras`. overwrite: whether a file that is there may be replaced.
        options: `include_optimizer=False` leaves the optimizer's state out. `zipped` may only be True.

    Raises:
        SavingError: the path's ending, a layer's configuration or an existing file does not allow it, or the file could
        not be loaded again.
        MissingFolderError, PathError: no file can be written there, which is found out first.
    """
    with_optimizer = bool(options.pop("include_optimizer", True))
    zipped = options.pop("zipped", None)
    if options:
        raise ConfigError(f"The following argument(s) are not supported: {list(options)}")
    require_model(model)
    path = Path(filepath)
    if path.suffix != ".keras" or zipped is False:
        raise SavingError(
            "Invalid filepath extension for saving. Please add a `.keras` extension: the Keras format is the one seqc "
            f"writes. Use `model.export(filepath)` for ONNX. Received: filepath={filepath}."
        )
    if not model.built:
        warnings.warn(
            f"Model '{model.name}' is saved before it was built: the file holds no weights. Build it first with "
            "model.build((None, ...)) or by calling it on data.",
            stacklevel=2,
        )
    check_overwrite(path, overwrite)
    members = {METADATA: json.dumps(_metadata()).encode(), CONFIG: _config_json(model)}
    members[WEIGHTS] = pack_store(model_arrays(model, with_optimizer))
    members |= {f"{ASSETS}/{name}": content for name, content in sorted(model_assets(model).items())}
    with replace_file(path) as file:
        pack(members, file)


def _metadata() -> dict[str, str]:
    given = os.environ.get("SOURCE_DATE_EPOCH")
    moment = time.gmtime(int(given)) if given else time.localtime()
    return {
        "keras_version": KERAS_VERSION,
        "date_saved": time.strftime("%Y-%m-%d@%H:%M:%S", moment),
        "written_by": f"seqc {__version__}",
    }


def _config_json(model: Model) -> bytes:
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
    _check_functions(model, check_loads(json.loads(content), own, model.name))
    return content


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
