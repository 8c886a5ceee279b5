"""Names of layers and weights that not every kind of file has a place for."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from seqc.errors import SavingError
from seqc.model import Model

# What no member of a zip archive may be called on some system, or to some reader; and what would be read as an escape.
_UNSAFE = re.compile(r"[:\\\0]|^/|%(?=[0-9A-Fa-f]{2})|(?<![^/])\.\.(?![^/])")


def member_name(name: str) -> str:
    """Returns a name as a member of a zip archive has it: with escapes, as in addresses, where it would be unsafe."""
    return _UNSAFE.sub(lambda found: quote(found[0], safe="").replace(".", "%2E"), name)


def name_of_member(member: str) -> str:
    """Returns the name that `member_name` was given."""
    return unquote(member)


def check_names(model: Model, hdf5: bool) -> None:
    """Checks that a file can hold the names of a model's layers and weights.

    Args:
        model: what is to be saved. hdf5: whether the file is made of HDF5, whose names end where a NUL stands.

    Raises:
        SavingError: it cannot hold one.
    """
    for owner in model._owners():
        for what, name in [("layer", owner.name), *(("weight", v.name) for v in owner._own_weights())]:
            if any("\ud800" <= letter <= "\udfff" for letter in name):
                raise SavingError(
                    f"A {what} of model '{model.name}' is called {name!r}, which is no Unicode text: half a character "
                    "has no place in a file. Give it another name."
                )
            if hdf5 and "\0" in name:
                raise SavingError(
                    f"A {what} of model '{model.name}' is called {name!r}. A NUL character has no place in a name in "
                    "HDF5, which `.keras` and `.h5` files are made of. Give it another name, or keep the weights with "
                    "model.save_weights('NAME.npz')."
                )
