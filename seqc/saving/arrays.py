"""The weights in a file, whatever it calls them, and what is said of them when they do not fit a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from seqc.errors import SavingError, SeqcError
from seqc.graph.ir import Array
from seqc.layers.base import Layer
from seqc.model import Model
from seqc.utils.display import note


@dataclass(frozen=True)
class StoredArray:
    """An array that is not read yet.

    Attributes:
        name: in the file. shape, dtype: as the file declares them. read: returns the array.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], Array]

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def zeros(array: StoredArray) -> StoredArray:
    """Returns an array of the same name and shape that is nothing but zeros, and takes no memory."""
    kind = "float32" if array.dtype in ("bfloat16", "|V2") else array.dtype
    return replace(array, read=lambda: np.broadcast_to(np.zeros((), kind), array.shape))


def widened(array: Array) -> Array:
    """Returns an array as files hold it that have no bfloat16: in float32, where each of its numbers is one."""
    return array.astype("float32") if array.dtype.name == "bfloat16" else array


class Weights(Protocol):
    """The weights in a file, in one of the ways in which files hold them.

    Attributes:
        source: what messages call them.
    """

    source: str

    @property
    def size(self) -> int:
        """Bytes of all arrays."""

    def listed(self) -> Sequence[StoredArray]:
        """Returns all arrays."""

    def unread(self) -> Weights:
        """Returns the same weights with zeros in place of their numbers, which are not read."""

    def fill(self, model: Model, skip_mismatch: bool, by_name: bool) -> list[str]:
        """Sets a model's weights, and returns in words what was skipped."""

    def fill_optimizer(self, model: Model, build: bool) -> str | None:
        """Sets the variables of a model's optimizer, or returns why not."""


def not_finite(layers: Sequence[Layer]) -> list[str]:
    """Returns the names of layers with weights that are not finite numbers."""
    return [f"'{one.name}'" for one in layers if not all(np.isfinite(v.array).all() for v in one._own_weights())]


def settle(model: Model, source: str, problems: list[str], strange: list[str], skip_mismatch: bool) -> list[str]:
    """Says what did not fit when all layers were filled, and returns it where that is allowed.

    Args:
        model: the model. source: what messages call the file. problems: what did not fit, in words.
        strange: layers with weights that are not finite. skip_mismatch: whether to go on without what does not fit.

    Raises:
        SavingError: something did not fit.
    """
    if problems and not skip_mismatch:
        more = f" And {len(problems) - 1} more like this." if len(problems) > 1 else ""
        raise SavingError(f"The weights in '{source}' do not fit model '{model.name}': {problems[0]}{more}")
    if strange:
        note(
            f"'{source}' holds weights that are not finite numbers, in layer{'s' * (len(strange) > 1)} "
            f"{', '.join(strange[:10])}{', ...' if len(strange) > 10 else ''}. What passes there becomes NaN or "
            "infinite: the training probably diverged before the file was written.",
            warn=True,
        )
    return problems


def tried(what: Callable[[], None]) -> str | None:
    """Does something and returns what an error of seqc says, if there is one."""
    try:
        what()
    except SeqcError as error:
        return str(error)
    return None
