"""Where a command's model comes from: a Python FILE, which is run, or a model file of Keras, which is only read."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.abc import Loader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from seqc.cli._kinds import require_file, require_model_file
from seqc.errors import ConfigError, DataError, SeqcError
from seqc.sure import present

if TYPE_CHECKING:
    from seqc.model import Model

# Of the names under which model FILEs are imported.
MODULE_PREFIX = "seqc_model_"


@dataclass(frozen=True)
class ModelFile:
    """A model FILE that has been run. What it may hold is in the help of `seqc train`."""

    path: Path
    module: ModuleType

    @property
    def name(self) -> str:
        return self.path.stem

    def build(self) -> Model:
        """Returns the model.

        Raises:
            ConfigError: there is none, it is something else, or the file's own code fails.
        """
        from seqc.model import Model

        make = getattr(self.module, "build", None)
        what = "build() returned" if callable(make) else "`model` is"
        model = _guarded(self.path, make) if callable(make) else getattr(self.module, "model", None)
        if isinstance(model, Model):
            return model
        if model is None and not callable(make):
            raise ConfigError(f"{self.path} has neither a function build() nor a global `model`. Add one of them.")
        hint = "Does build() end with `return model`?" if model is None else "It must be a seqc.Model."
        if type(model).__module__.split(".")[0] in ("keras", "tensorflow", "tf_keras"):
            hint = "Write `import seqc as keras` instead of `import keras`, and take the layers from there."
        raise ConfigError(f"{self.path}: {what} {_described(model)}. {hint}")

    def data(self) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        """Returns ((x_train, y_train), (x_test, y_test)).

        Raises:
            DataError: there is no data(), or it returns something else. ConfigError: the file's own code fails.
        """
        load = getattr(self.module, "data", None)
        wanted = "((x_train, y_train), (x_test, y_test))"
        if not callable(load):
            raise DataError(f"{self.path} has no function data(). Add one that returns {wanted}.")
        loaded = _guarded(self.path, load)
        try:
            (x_train, y_train), (x_test, y_test) = loaded
        except (TypeError, ValueError):
            raise DataError(f"{self.path}: data() must return {wanted}; got {_described(loaded)}.") from None
        return (x_train, y_train), (x_test, y_test)

    @property
    def target(self) -> dict[str, float]:
        """The metrics to reach on the test data, by name."""
        given = getattr(self.module, "TARGET", {})
        if not isinstance(given, Mapping) or not all(isinstance(v, int | float | np.number) for v in given.values()):
            raise ConfigError(f'{self.path}: TARGET must be like {{"accuracy": 0.98}}; got {given!r}.')
        return {str(name): float(value) for name, value in given.items()}

    @property
    def fit(self) -> dict[str, Any]:
        """The arguments of fit, numbers of NumPy as Python's own."""
        given = getattr(self.module, "FIT", {})
        if callable(given):
            given = _guarded(self.path, given)
        if not isinstance(given, Mapping):
            raise ConfigError(f'{self.path}: FIT must be like {{"epochs": 10}}, or a function that returns it.')
        return {name: value.item() if isinstance(value, np.generic) else value for name, value in given.items()}


def load_file(path: Path) -> ModelFile:
    """Runs a model FILE and returns it.

    Raises:
        ConfigError: it is not Python, or its code fails. DataError: it is not there.
    """
    if path.suffix != ".py":
        raise ConfigError(f"A model FILE ends in .py; got {path}.")
    require_file(path)
    name = f"{MODULE_PREFIX}{path.stem}"
    spec = present(importlib.util.spec_from_file_location(name, path))
    loader = present(spec.loader)
    module = importlib.util.module_from_spec(spec)
    # As with `python FILE`: what lies beside the file can be imported, and its classes know their module.
    sys.modules[name] = module
    sys.path.insert(0, str(path.resolve().parent))
    _guarded(path, lambda: _executed(loader, module))
    return ModelFile(path, module)


def _executed(loader: Loader, module: ModuleType) -> None:
    """Runs a FILE; one that was written for Keras, which is not installed, as `python -m seqc.run` does."""
    try:
        loader.exec_module(module)
    except ModuleNotFoundError as error:
        if error.name not in ("keras", "tensorflow"):
            raise
        import seqc.compat  # noqa: F401  # what the file imports as keras

        loader.exec_module(module)


def load_source(path: Path, weights: Path | None = None, compiled: bool = False) -> Model:
    """Returns the model of a Python FILE or a model file of any kind.

    With weights from another file if one is given; `compiled` if what only training needs is to be read, too.

    Raises:
        ConfigError, DataError: it is neither. SavingError: a file does not fit, is damaged, or needs what seqc lacks.
    """
    if path.suffix == ".py":
        model = load_file(path).build()
    else:
        from seqc.saving.loading import load_model

        require_model_file(path)
        # No command trains such a model, so that what only training needs may be missing.
        model = load_model(path, compile=compiled) if weights is None else load_layers(path, compiled)
    if weights is not None:
        model.load_weights(weights)
    return model


def load_layers(path: Path, compiled: bool = False) -> Model:
    """Returns the model that a file describes, with the file's weights where it holds some, for other ones to come."""
    from seqc.saving.containers import open_model
    from seqc.saving.loading import load_model, model_from_json

    with open_model(path) as opened:
        alone = opened.weights is None and opened.described is not None
    return model_from_json(path.read_text(encoding="utf-8")) if alone else load_model(path, compile=compiled)


def _guarded(path: Path, run: Callable[[], Any]) -> Any:
    """Returns what a function of the user's file returns; its errors say where in the file they happened."""
    try:
        return run()
    except SeqcError:
        raise
    except SyntaxError as error:
        raise ConfigError(f"{path}:{error.lineno or 0}: {error.msg}.") from error
    except (Exception, SystemExit) as error:
        own = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path.resolve()]
        line = f":{own[-1].lineno}" if own else ""
        what = "sys.exit() was called" if isinstance(error, SystemExit) else f"{type(error).__name__}: {error}"
        raise ConfigError(f"{path}{line}: {what}") from error


def _described(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__module__}.{type(value).__qualname__}"
