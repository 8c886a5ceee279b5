"""Two files that are run on the same inputs, where one fixes the size of an axis that the other leaves open."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seqc.errors import ConfigError


@dataclass(frozen=True)
class Narrowed:
    """A loaded file as far as it can stand beside another: what is open in both is open.

    Attributes:
        inputs, outputs: as the file declares them, with the sizes that the other fixes.
        fixed: sizes of axes that one of the two leaves open, by their names. predict: runs the file.
    """

    inputs: Sequence[Any]
    outputs: Sequence[Any]
    fixed: Mapping[str, int]
    predict: Callable[..., Any]

    def open_sizes(self, given: Mapping[str, int]) -> dict[str, int]:
        """Returns what the user gave for axes, without what one of the files says as well.

        Raises:
            ConfigError: it says something else.
        """
        for name, size in given.items():
            if self.fixed.get(name, size) != size:
                raise ConfigError(f"--size {name}={size}: one of the files fixes that axis at {self.fixed[name]}.")
        return {name: size for name, size in given.items() if name not in self.fixed}


def narrowed(model: Any, others: Mapping[str, Any]) -> Narrowed:
    """Returns a loaded file with the sizes that another fixes.

    Args:
        model: the file. others: what the other declares, by the names that this one has for its inputs and outputs.
    """
    pairs = [(info, others[info.name]) for info in (*model.inputs, *model.outputs) if info.name in others]
    axes = [pair for info, other in pairs for pair in zip(info.shape, other.shape, strict=False)]
    # An axis of one name has one size; those without a name have nothing to do with each other.
    either = [*axes, *((other, axis) for axis, other in axes)]
    fixed = {name: size for name, size in either if isinstance(name, str) and name != "?" and isinstance(size, int)}

    def sized(info: Any) -> Any:
        theirs = others[info.name].shape if info.name in others else info.shape
        shape = tuple(
            other if isinstance(axis, str) and isinstance(other, int) else fixed.get(axis, axis)
            for axis, other in zip(info.shape, theirs, strict=False)
        )
        return replace(info, shape=shape) if len(shape) == len(info.shape) else info

    return Narrowed([sized(x) for x in model.inputs], [sized(x) for x in model.outputs], fixed, model.predict)


def fits(feeds: Mapping[str, Any], inputs: Sequence[Any]) -> bool:
    """Tells whether arrays have the sizes that are declared, as far as those are known."""
    return all(
        len(x.shape) == feeds[x.name].ndim
        and all(isinstance(a, str) or a == n for a, n in zip(x.shape, feeds[x.name].shape, strict=True))
        for x in inputs
    )
