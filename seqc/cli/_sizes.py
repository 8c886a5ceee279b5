"""Sizes that a model leaves open and the user gives: `--size time=50`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

import typer

from seqc.errors import ConfigError

# More than any axis has, and little enough that products of sizes stay numbers that can be shown.
LARGEST = 10**9

SizeOptions = Annotated[
    list[str] | None,
    typer.Option("--size", metavar="NAME=N", help="Size of an axis that the model leaves open.", show_default=False),
]


def parse_sizes(given: list[str] | None) -> dict[str, int]:
    """Returns sizes by name.

    Raises:
        ConfigError: one is not like NAME=N with a positive whole number, or is absurdly large.
    """
    sizes: dict[str, int] = {}
    for text in given or ():
        name, _, value = text.partition("=")
        if not name or not value.isascii() or not value.isdigit() or int(value) < 1:
            raise ConfigError(f"--size needs NAME=N with a positive whole number, such as time=50; got {text!r}.")
        if len(value) > len(str(LARGEST)) or int(value) > LARGEST:
            raise ConfigError(f"--size takes sizes of at most {LARGEST:,}; got {text!r}.")
        sizes[name] = int(value)
    return sizes


def check_names(sizes: Mapping[str, int], known: Iterable[str]) -> None:
    """Raises ConfigError if a size is given for an axis that there is not.

    Args:
        sizes: what the user gave. known: names of the axes whose size is open.
    """
    names = sorted(known)
    for name in sizes:
        if name not in names:
            there = f"the open axes are {', '.join(names)}" if names else "only the batch is open, and stays so"
            raise ConfigError(f"--size {name}={sizes[name]}: no axis is called {name!r}; {there}.")
