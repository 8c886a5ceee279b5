"""Operations are what their attributes are."""

from __future__ import annotations

from dataclasses import Field
from typing import Any, ClassVar


class ByAttributes:
    """A dataclass whose objects are equal where their types and fields are, whatever else they remember.

    It says once what `dataclass` would compile for each class, each time seqc is imported.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return type(self) is type(other) and self._attributes() == other._attributes()

    def __hash__(self) -> int:
        return hash((type(self), self._attributes()))

    def _attributes(self) -> tuple[Any, ...]:
        return tuple(map(self.__dict__.get, self.__dataclass_fields__))
