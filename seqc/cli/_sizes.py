"""Sizes that a model leaves open and the user gives: `--size time=50`."""

from __future__ import annotations

from typing import Annotated

import typer

from seqc.errors import ConfigError

SizeOptions = Annotated[
    list[str] | None,
    typer.Option("--size", metavar="NAME=N", help="Size of an axis that the model leaves open.", show_default=False),
]


def parse_sizes(given: list[str] | None) -> dict[str, int]:
    """Returns sizes by name.

    Raises:
        ConfigError: one is not like NAME=N with a positive whole number.
    """
    sizes: dict[str, int] = {}
    for text in given or ():
        name, _, value = text.partition("=")
        if not name or not value.isascii() or not value.isdigit() or int(value) < 1:
            raise ConfigError(f"--size needs NAME=N with a positive whole number, such as time=50; got {text!r}.")
        sizes[name] = int(value)
    return sizes
