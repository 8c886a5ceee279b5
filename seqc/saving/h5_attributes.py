"""Attributes of HDF5 groups that hold text, read without trusting the sizes that they declare."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count
from typing import Any

from seqc.errors import SavingError
from seqc.saving.limits import MOST_NAMES, text_room


@dataclass(frozen=True)
class Texts:
    """Reads the texts in one file.

    Attributes:
        source: what messages call the file. file_bytes: its size.
        text_bytes: how many of them belong to no array; each text of a length of its own is made of these, but several
        may be the same.
    """

    source: str
    file_bytes: int
    text_bytes: int

    def one(self, group: Any, name: str) -> str | None:
        """Returns an attribute of a group that is one text, None if there is none of that name.

        Raises:
            SavingError: it holds something else, or asks for too much.
        """
        if name not in group.attrs:
            return None
        found = self._read(group, name)
        if len(found) != 1:
            raise SavingError(f"Attribute '{name}' in '{self.source}' holds {len(found)} texts instead of one.")
        return found[0]

    def listed(self, group: Any, name: str) -> list[str] | None:
        """Returns an attribute of a group that is a list of names, None if there is none of that name.

        HDF5 limits the size of an attribute, so that Keras splits longer ones into `name0`, `name1`, ...
        """
        if name in group.attrs:
            return self._read(group, name)
        found: list[str] = []
        for i in count():
            if f"{name}{i}" not in group.attrs:
                return found if i else None
            found += self._read(group, f"{name}{i}")
            if len(found) > MOST_NAMES:
                break
        raise SavingError(f"Attribute '{name}' of '{self.source}' lists more than {MOST_NAMES} names. Refused.")

    def _read(self, group: Any, name: str) -> list[str]:
        import h5py

        attribute = h5py.h5a.open(group.id, name.encode())
        length, kind = math.prod(attribute.shape), attribute.get_type()
        if not length:  # NumPy says of an empty list that it holds numbers
            return []
        if not isinstance(kind, h5py.h5t.TypeStringID):
            raise SavingError(f"Attribute '{name}' in '{self.source}' holds no text.")
        longest = self.text_bytes if kind.is_variable_str() else kind.get_size()
        if length > MOST_NAMES or length * longest > text_room(self.file_bytes):
            raise SavingError(
                f"Attribute '{name}' in '{self.source}' holds {length} texts, more than any model has. Refused."
            )
        value = group.attrs[name]
        listed = [value] if isinstance(value, str | bytes) else value.reshape(-1).tolist()
        try:
            return [text.decode() if isinstance(text, bytes) else str(text) for text in listed]
        except UnicodeDecodeError as error:
            raise SavingError(f"Attribute '{name}' in '{self.source}' holds no text: {error}.") from error
