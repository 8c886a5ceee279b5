"""What readers of all kinds of files give: the description of a model, its weights, and who wrote them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from seqc.errors import SavingError
from seqc.saving.arrays import Weights
from seqc.saving.limits import MOST_CONFIG_BYTES
from seqc.saving.old_config import modern_config
from seqc.saving.old_training import modern_training
from seqc.saving.prepare import with_layers, without_unusable
from seqc.serialization import is_object


@dataclass(frozen=True)
class OpenFile:
    """A file that is being read.

    Attributes:
        file: its content. path: for messages. start: how it begins. size: in bytes.
    """

    file: BinaryIO
    path: str
    start: bytes
    size: int


@dataclass
class ModelFile:
    """What a file holds of a model.

    Attributes:
        kind: what the file is, in words. source: what messages call it.
        described: the description of the model as the file has it, None if it holds none.
        weights: None if it holds none.
        version, backend, written_by: of the Keras that wrote it, "" where the file does not say.
        training: the arguments of `compile` as the file has them, None if it holds none.
        is_old: whether the description and these arguments are in the words of Keras 2.
        seeds: that the model draws by, None where the file does not say.
    """

    kind: str
    source: str
    described: dict[str, Any] | None = None
    weights: Weights | None = None
    version: str = ""
    backend: str = ""
    written_by: str = ""
    training: Any = None
    is_old: bool = False
    date: str = ""
    seeds: Any = None

    def config(self, objects: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Returns the description of the model in the words of Keras 3.

        What only training needs and seqc does not have is left out, and a warning names it.

        Args:
            objects: the caller's own; layers among them take the place of those of their names.

        Raises:
            SavingError: the file holds none.
        """
        if self.described is None:
            raise SavingError(
                f"'{self.source}' is {self.kind}: it holds weights and no layers. Build the model and call "
                "model.load_weights(filepath)."
            )
        try:
            described = with_layers(self.described, objects) if objects else self.described
            made = modern_config(described, self.version) if self.is_old else described
            return without_unusable(made, f"'{self.source}'")
        except RecursionError as error:
            raise SavingError(f"The model in '{self.source}' is nested too deep.") from error
        except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
            if isinstance(error, SavingError):
                raise
            raise SavingError(f"The description of the model in '{self.source}' makes no sense: {error!r}.") from error

    def compile_arguments(self) -> dict[str, Any]:
        """Returns the arguments of `compile` in the words of Keras 3.

        Raises:
            SavingError: they make no sense.
        """
        if self.is_old:
            return modern_training(self.training)
        if not isinstance(self.training, dict):
            raise SavingError(f"they are {type(self.training).__name__} instead of a dictionary.")
        return self.training


def parsed(content: bytes | str, where: str, source: str) -> Any:
    """Returns what JSON in a file says.

    Args:
        content: the text. where: the part of the file that it is, for messages. source: what messages call the file.

    Raises:
        SavingError: it is too long, or no JSON.
    """
    if len(content) > MOST_CONFIG_BYTES:
        raise SavingError(
            f"{where} of '{source}' has {len(content)} bytes; at most {MOST_CONFIG_BYTES} are read. Refused."
        )
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise SavingError(f"{where} of '{source}' is damaged: {error}.") from error


def parsed_model(content: bytes | str, where: str, source: str) -> dict[str, Any]:
    """Returns the description of a model that JSON in a file holds; see `parsed`.

    Raises:
        SavingError: it describes none.
    """
    return checked_model(parsed(content, where, source), where, source)


def checked_model(value: Any, where: str, source: str) -> dict[str, Any]:
    """Returns a value that describes a model.

    Raises:
        SavingError: it does not.
    """
    if not is_object(value):
        raise SavingError(f"{where} of '{source}' does not describe a model.")
    return dict(value)


def text_of(value: Any) -> str:
    """Returns what a file says of itself as text, "" for anything else."""
    return value if isinstance(value, str) else ""


def facts_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns who wrote a description, where it says so."""
    return {
        "version": text_of(content.get("keras_version")),
        "backend": text_of(content.get("backend")),
        "written_by": text_of(content.get("written_by")),
    }
