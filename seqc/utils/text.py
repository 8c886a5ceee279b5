"""Words for people and files."""

from __future__ import annotations

import re


def snake_case(name: str) -> str:
    """Returns a class name as Keras names objects after it: `MeanSquaredError` -> `mean_squared_error`."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
