"""Which array is which: what a user gives for a model's inputs, outputs and weights, put in the model's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc import structures, tree
from seqc.errors import DataError


@dataclass(frozen=True)
class Port:
    """One input of a model: its name, its shape with the batch first (None before it is known), and its dtype."""

    name: str
    shape: tuple[int | None, ...] | None
    dtype: str


def is_array(value: Any) -> bool:
    """Tells whether a value is an array, tensor, table or column, and not a single number."""
    return (hasattr(value, "__array__") or hasattr(value, "to_numpy")) and np.ndim(value) > 0


def holds_arrays(value: Any) -> bool:
    """Tells whether a value is an array, or a list or dictionary with one in it."""
    return any(map(is_array, tree.flatten(value))) if not is_array(value) else True


def without_others(given: Any, names: Sequence[str], form: Any = None) -> Any:
    """Returns samples without what a dictionary has besides all of a model's inputs; of others, themselves.

    Args:
        given: the samples. names: of the inputs. form: lists and dictionaries in which the model has them.
    """
    if isinstance(given, Mapping):
        for wanted in ([form] if isinstance(form, Mapping) else []) + [names]:
            if set(wanted) < set(given):
                return {name: given[name] for name in wanted}
    return given


def arrange(
    given: Any, names: Sequence[str], what: str, kind: str, optional: bool = False, form: Any = None
) -> list[Any]:
    """Returns what was given for each of several inputs or outputs.

    Args:
        given: a list in their order, or a dictionary by their names. names: of the inputs or outputs.
        form: lists and dictionaries in which the model has them, in which they may be given, too.
        what: how errors call what was given, such as "x". kind: "input" or "output".
        optional: whether a dictionary may leave some out, which are None then.

    Raises:
        DataError: they are not as many, or a name is missing or unknown.
    """
    shown = ", ".join(f"'{name}'" for name in names)
    if tree.is_nested(form) and structures.has_form(form, given):
        found = structures.flatten_up_to(form, given)
        if len(found) == len(names):
            return found
    if isinstance(given, Mapping):
        unknown = [key for key in given if key not in names]
        missing = [name for name in names if name not in given]
        if unknown or (missing and not optional):
            wrong = f"no {kind} is called {_quoted(unknown)}" if unknown else f"{_quoted(missing)} is missing"
            raise DataError(
                f"The model has {len(names)} {kind}s: {shown}. {what} is a dictionary of {_quoted(list(given))}: "
                f"{wrong}."
            )
        return [given.get(name) for name in names]
    parts = given if isinstance(given, list | tuple) else [given]
    if len(parts) != len(names) and all(map(tree.is_nested, parts)):
        parts = tree.flatten(parts)
    if is_array(given) or len(parts) != len(names):
        got = f"one array of shape {np.shape(given)}" if is_array(given) else f"{len(parts)} in a list"
        raise DataError(
            f"The model has {len(names)} {kind}s: {shown}. {what} must be a list with an array for each, or a "
            f"dictionary by their names; got {got}."
        )
    return list(parts)


def arrange_weights(given: Any, names: Sequence[str], form: Any = None) -> list[Any]:
    """Returns the sample weights of each of several outputs; one array is for all of them."""
    if given is None or is_array(given):
        return [given] * len(names)
    if isinstance(given, list | tuple) and all(isinstance(one, int | float) for one in given):
        return [given] * len(names)
    return arrange(given, names, "sample_weight", "output", optional=True, form=form)


def only_one(value: Any, name: str, what: str, kind: str, owner: str) -> Any:
    """Takes the array of a model's one input or output out of a list of one, or a dictionary that names it.

    Raises:
        DataError: they are several, or the dictionary names another.
    """
    if isinstance(value, Mapping) and len(value) == 1:
        (called, array), *_ = value.items()
        if name and called != name:
            raise DataError(
                f"Model '{owner}' has an {kind} '{name}'; {what} is a dictionary with '{called}'. Give {what} itself, "
                f'or {{"{name}": {what}}}.'
            )
        return array
    table = isinstance(value, Mapping)
    if not table and not (isinstance(value, list | tuple) and any(is_array(v) for v in value)):
        return value
    if not table and len(value) == 1:
        return value[0]
    raise DataError(
        f"Model '{owner}' has one {kind}; got {'a dictionary of ' if table else ''}{len(value)} arrays as {what}. If "
        f"they are the samples, stack them into one array first (numpy.stack). A model of several {kind}s is a "
        "seqc.Model(inputs, outputs)."
    )


def labelled(what: str, names: Sequence[str]) -> list[str]:
    """Returns how errors call the array of each input or output."""
    return [what] if len(names) == 1 else [f"{what}['{name}']" for name in names]


def _quoted(names: Sequence[Any]) -> str:
    return ", ".join(f"'{name}'" for name in names)
