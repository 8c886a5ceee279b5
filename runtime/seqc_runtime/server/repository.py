"""Which models are served, in which versions."""

from __future__ import annotations

import re

from seqc_runtime.server.messages import Refusal
from seqc_runtime.server.servable import Servable

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
VERSION = re.compile(r"[1-9][0-9]{0,17}")


class Repository:
    """Names, versions, and what is loaded of them. Reading is safe from any thread: a load swaps whole dicts."""

    def __init__(self) -> None:
        self._models: dict[str, dict[int, Servable]] = {}

    def add(self, servable: Servable) -> None:
        """Serve a version from now on."""
        versions = {**self._models.get(servable.name, {}), servable.version: servable}
        self._models = {**self._models, servable.name: dict(sorted(versions.items()))}

    def names(self) -> list[str]:
        """The models, in order of their names."""
        return sorted(self._models)

    def versions(self, name: str) -> list[int]:
        """The loaded versions of a model. Raises Refusal (404) when there is no such model."""
        return list(self._find(name))

    def get(self, name: str, version: str | None = None) -> Servable:
        """A version of a model, the latest unless told. Raises Refusal: 404 when there is none."""
        versions = self._find(name)
        if version is None:
            return versions[max(versions)]
        number = int(version) if VERSION.fullmatch(version) else None
        if number not in versions:
            there = ", ".join(str(v) for v in versions)
            raise Refusal(404, f"model {name!r} has no version {version!r}; there is {there}")
        return versions[number]

    def ready(self) -> bool:
        """Whether every model that was asked for can be used."""
        return bool(self._models)

    def _find(self, name: str) -> dict[int, Servable]:
        versions = self._models.get(name)
        if not versions:
            there = ", ".join(repr(n) for n in self.names()[:10]) or "none"
            raise Refusal(404, f"there is no model {name!r}; there is {there}")
        return versions
