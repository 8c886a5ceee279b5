"""Weights of a file, changed without the model: `keras.saving.KerasFileEditor`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from seqc.errors import ArgumentTypeError, ConfigError, SavingError
from seqc.graph.ir import Array
from seqc.model import Model
from seqc.saving.containers import open_model
from seqc.saving.h5 import pack_store
from seqc.saving.state import PathWeights, model_arrays
from seqc.saving.weights_file import require_model
from seqc.text import printable
from seqc.utils.display import note
from seqc.utils.files import check_target, replace_file

# An object of a file: its weights, as arrays, and the objects inside it, by name.
Object = dict[str, Any]
_VARS = "vars"
_ENDING = ".weights.h5"
_DEEPEST = 100  # objects in each other; Keras's files have about ten


class KerasFileEditor:
    """Shows, changes and writes anew the weights of a file, for a model whose layers have changed since.

    Objects are layers and the optimizer. A path such as "layers/dense_2" leads to one; a name alone will do where only
    one object has it. Weights are called "0", "1" and so on within an object, trainable ones first.

    Args:
        filepath: a `.keras` file, `.weights.h5` or the `.weights.json` of several; its content says which.

    Raises:
        SavingFileNotFound: there is no file. SavingError: it is damaged, or holds no weights by paths of layers.

    Attributes:
        filepath: as given.
        weights_dict: the objects in each other, and their arrays.
        object_metadata: for the path of an object, {"name": its name}, where the file says it.
        config, metadata: of a `.keras` file, the description of the model and who wrote it; None of any other.
    """

    def __init__(self, filepath: str | os.PathLike[str]) -> None:
        self.filepath = os.fspath(filepath)
        self.weights_dict: Object = {}
        self.object_metadata: dict[str, dict[str, str]] = {}
        with open_model(filepath) as opened:
            weights = opened.weights
            if not isinstance(weights, PathWeights):
                raise SavingError(
                    f"'{self.filepath}' is {opened.kind}. KerasFileEditor edits weights by the paths of layers, which "
                    "`.keras` and `.weights.h5` files have: load this one into its model and save it as one of these."
                )
            self.config = opened.described
            known = {"keras_version": opened.version, "date_saved": opened.date}
            self.metadata = None if self.config is None else known
            self._read(weights)
        note(f"Keras model file '{self.filepath}'")
        if self.metadata is not None:
            note(f"Saved with Keras {known['keras_version'] or '?'} - date: {known['date_saved'] or '?'}")

    def _read(self, weights: PathWeights) -> None:
        store = weights.store
        for path in sorted(store.paths(), key=_natural):
            *folders, name = path.split("/")
            if folders[-1:] == [_VARS]:
                folders.pop()
            if len(folders) > _DEEPEST:
                raise SavingError(f"'{self.filepath}' nests its objects deeper than {_DEEPEST}. Refused.")
            inside = self.weights_dict
            for folder in folders:
                inside = inside.setdefault(folder, {})
                if not isinstance(inside, dict):
                    raise SavingError(f"'{path}' in '{self.filepath}' lies in an array. It is damaged.")
            inside[name] = store.read(path)
            label = store.label(path)
            if label is not None:
                self.object_metadata["/".join(folders)] = {"name": label}

    def summary(self, print_fn: Callable[[str], Any] | None = None) -> None:
        """Prints the objects and their weights, with shapes and element types.

        Args:
            print_fn: called with the text instead of printing it.
        """
        text = "\n".join(["Weights structure", *self._drawn(self.weights_dict, "", "  ")])
        (print_fn or note)(printable(text))

    def _drawn(self, inside: Object, path: str, margin: str) -> Iterator[str]:
        for i, (name, value) in enumerate(inside.items()):
            last = i == len(inside) - 1
            line, place = f"{margin}{'└─' if last else '├─'} {name}", _joined(path, name)
            if isinstance(value, dict):
                label = self.object_metadata.get(place, {}).get("name")
                yield line + (f" ('{label}')" if label else "")
                yield from self._drawn(value, place, margin + ("   " if last else "│  "))
            else:
                yield f"{line}: shape={value.shape}, dtype={value.dtype}"

    def compare(self, reference_model: Model) -> dict[str, Any]:
        """Prints what differs between the file and a model, and returns how much.

        Args:
            reference_model: a built model; the state of its optimizer counts where it is compiled.

        Returns:
            "status": "success" or "error"; "error_count" and "match_count": of weights and objects.
        """
        require_model(reference_model)
        wanted: Object = {}
        for path, (_, arrays) in model_arrays(reference_model).items():
            if arrays:
                _made(wanted, path).update(arrays)
        note("Running comparison")
        problems: list[str] = []
        matches = _differences(self.weights_dict, wanted, "", problems)
        for problem in problems:
            note(f"...{problem}")
        what, count = ("error", len(problems)) if problems else ("matching weight", matches)
        verdict = "not compatible" if problems else "compatible"
        note(f"Found {count} {what}{'s' * (count != 1)}: saved file is {verdict} with the reference model")
        status = "error" if problems else "success"
        return {"status": status, "error_count": len(problems), "match_count": matches}

    def rename_object(self, object_name: str, new_name: str) -> None:
        """Gives an object another name within the object that holds it.

        Args:
            object_name: its path, or its name. new_name: a name, not a path.

        Raises:
            ConfigError: there is no such object, or several, or one of the new name beside it.
        """
        if "/" in new_name:
            raise ConfigError(f"`new_name` must be a name, not a path; got '{new_name}'.")
        path, parent = self._find(object_name)
        name = path.rpartition("/")[2]
        if new_name == name:
            return
        if new_name in parent:
            raise ConfigError(f"There is an object '{new_name}' beside '{path}' already: delete or rename it first.")
        parent[new_name] = parent.pop(name)
        after = _joined(path.rpartition("/")[0], new_name)
        self.object_metadata = {
            after + place.removeprefix(path) if _within(place, path) else place: said
            for place, said in self.object_metadata.items()
        }

    def delete_object(self, object_name: str) -> None:
        """Removes an object with all in it.

        Args:
            object_name: its path, or its name.

        Raises:
            ConfigError: there is no such object, or several.
        """
        path, parent = self._find(object_name)
        del parent[path.rpartition("/")[2]]
        self._forget(path)

    def add_object(self, object_path: str, weights: Mapping[str, Any]) -> None:
        """Adds an object, or puts it in the place of the one that is there.

        Args:
            object_path: such as "layers/dense_2"; the object that holds it must be there.
            weights: arrays by name, such as {"0": kernel, "1": bias}; dictionaries are objects inside.

        Raises:
            ConfigError: nothing can hold it there, or a weight is no array of numbers.
        """
        made = _checked(weights, object_path)
        *folders, name = _parts(object_path)
        inside = self.weights_dict
        for folder in folders:
            inside = inside.get(folder)  # type: ignore[assignment]
            if not isinstance(inside, dict):
                raise ConfigError(f"Path '{'/'.join(folders)}' not found in '{self.filepath}'. {self._listed()}")
        inside[name] = made
        self._forget("/".join([*folders, name]))

    def add_weights(self, object_name: str, weights: Mapping[str, Any]) -> None:
        """Adds weights to an object, or puts them in the place of those of their names.

        Args:
            object_name: its path, or its name. weights: arrays by name.

        Raises:
            ConfigError: there is no such object, or several; or a weight is no array of numbers.
        """
        path, parent = self._find(object_name)
        parent[path.rpartition("/")[2]].update(_checked(weights, path))

    def delete_weight(self, object_name: str, weight_name: str) -> None:
        """Removes a weight from an object.

        Args:
            object_name: its path, or its name. weight_name: such as "0".

        Raises:
            ConfigError: there is no such object or weight, or there are several objects.
        """
        path, parent = self._find(object_name)
        weights = parent[path.rpartition("/")[2]]
        if isinstance(weights.get(weight_name, {}), dict):
            own = [name for name, value in weights.items() if not isinstance(value, dict)]
            raise ConfigError(f"Weight {weight_name} not found in object {object_name}. Weights found: {own}.")
        del weights[weight_name]

    def save(self, filepath: str | os.PathLike[str]) -> None:
        """Writes the weights to a file, whole or not at all.

        Args:
            filepath: ends in `.weights.h5`; `model.load_weights` reads it.

        Raises:
            SavingError: it ends in something else. MissingFolderError, PathError: no file can be written there.
        """
        target = os.fspath(filepath)
        if not target.endswith(_ENDING):
            raise SavingError(f"Invalid `filepath` argument: it must end in `{_ENDING}`. Received: filepath={target}")
        content = pack_store(dict(self._groups(self.weights_dict, "")))
        with replace_file(check_target(target)) as file:
            file.write(content)

    def resave_weights(self, filepath: str | os.PathLike[str]) -> None:
        """Does what `save` does."""
        self.save(filepath)

    def _groups(self, inside: Object, path: str) -> Iterator[tuple[str, tuple[str | None, Mapping[str, Array]]]]:
        own = {name: value for name, value in inside.items() if not isinstance(value, dict)}
        if own:
            yield path, (self.object_metadata.get(path, {}).get("name"), own)
        for name, value in inside.items():
            if isinstance(value, dict):
                yield from self._groups(value, _joined(path, name))

    def _find(self, name: str) -> tuple[str, Object]:
        """Returns the path of an object and the object that holds it."""
        wanted = "/".join(_parts(name))
        whole = "/" in wanted
        found = [one for one in _objects(self.weights_dict, "") if (one[0] if whole else one[1]) == wanted]
        if not found:
            raise ConfigError(f"Object '{name}' not found in '{self.filepath}'. {self._listed()}")
        if len(found) > 1:
            paths = ", ".join(path for path, *_ in found)
            raise ConfigError(f"Name '{name}' occurs more than once: give a whole path, one of {paths}.")
        path, _, parent = found[0]
        return path, parent

    def _listed(self) -> str:
        paths = [path for path, *_ in _objects(self.weights_dict, "")]
        return f"It holds {', '.join(paths[:20]) or 'nothing'}{' ...' * (len(paths) > 20)}."

    def _forget(self, path: str) -> None:
        self.object_metadata = {place: said for place, said in self.object_metadata.items() if not _within(place, path)}


def _objects(inside: Object, path: str) -> Iterator[tuple[str, str, Object]]:
    """Yields the path and the name of each object, and the object that holds it."""
    for name, value in inside.items():
        if isinstance(value, dict):
            place = _joined(path, name)
            yield place, name, inside
            yield from _objects(value, place)


def _differences(there: Object, wanted: Object, path: str, problems: list[str]) -> int:
    """Returns how many weights of a file are as a model has them, and adds to what is said of the others."""
    matches = 0
    for name in dict.fromkeys([*wanted, *there]):
        place = f"{path}/{name}"
        here, model = there.get(name), wanted.get(name)
        if isinstance(here, dict) and isinstance(model, dict):
            matches += _differences(here, model, place, problems)
        elif here is None or model is None or isinstance(here, dict) or isinstance(model, dict):
            missing, one = ("saved file", model) if here is None else ("reference model", here)
            kind = f"Object {place} with {list(one)}" if isinstance(one, dict) else f"Weight {place}"
            other = "saved file" if missing == "reference model" else "reference model"
            problems.append(f"{kind} present in {other}, missing from {missing}")
        elif here.shape != model.shape:
            problems.append(
                f"Weight shape mismatch for {place}: {model.shape} in reference model, {here.shape} in saved file"
            )
        else:
            matches += 1
    return matches


def _checked(weights: Any, path: str) -> Object:
    """Returns weights as arrays."""
    if not isinstance(weights, Mapping):
        raise ArgumentTypeError(
            f"`weights` must be a dictionary of arrays, such as {{'0': kernel, '1': bias}}; got {weights!r:.80}."
        )
    found: Object = {}
    for name, value in weights.items():
        if not isinstance(name, str) or not name or "/" in name:
            raise ConfigError(f"Weights are called by texts without slashes, such as '0'; got {name!r}.")
        if isinstance(value, Mapping):
            found[name] = _checked(value, _joined(path, name))
            continue
        array = np.asarray(value)
        if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
            raise ConfigError(f"Weight '{name}' of '{path}' must be an array of numbers; got {value!r:.80}.")
        found[name] = array
    return found


def _made(inside: Object, path: str) -> Object:
    """Returns the object at a path, which it makes."""
    for name in filter(None, path.split("/")):
        inside = inside.setdefault(name, {})
    return inside


def _parts(path: Any) -> list[str]:
    parts = [part for part in path.split("/") if part] if isinstance(path, str) else []
    if not parts:
        raise ConfigError(f"An object has a path such as 'layers/dense_2', or a name; got {path!r}.")
    return parts


def _natural(path: str) -> list[tuple[int, str]]:
    """Returns what sorts "dense_10" behind "dense_2"."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path)]


def _joined(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _within(place: str, path: str) -> bool:
    return place == path or place.startswith(f"{path}/")
