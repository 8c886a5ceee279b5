"""From a path to who answers it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from seqc_runtime.server.messages import Refusal

# Paths whose route is remembered: clients ask the same again and again.
_REMEMBERED = 1024
Scope = Literal["health", "metadata", "infer", "admin", "metrics"]


@dataclass(frozen=True)
class Route:
    """One endpoint.

    path: such as "/v2/models/{model}/infer"; a segment in braces matches any one segment, text after it must follow.
    methods: handlers by method. scope: what a client must be allowed to do.
    """

    path: str
    methods: Mapping[str, Callable[..., Any]]
    scope: Scope


class Router:
    """Finds the route of a path, by the number of its segments and then one by one."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._by_length: dict[int, list[tuple[list[tuple[str, str]], Route]]] = {}
        self._found: dict[str, tuple[Route, dict[str, str]]] = {}
        for route in routes:
            segments = [_segment(part) for part in route.path.split("/")]
            self._by_length.setdefault(len(segments), []).append((segments, route))

    def find(self, path: str) -> tuple[Route, dict[str, str]]:
        """The route, and the values of its segments in braces. Raises Refusal (404)."""
        found = self._found.get(path)
        if found is None:
            found = self._find(path)
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[path] = found
        return found

    def _find(self, path: str) -> tuple[Route, dict[str, str]]:
        parts = path.split("/")
        if len(parts) > 2 and not parts[-1]:
            parts.pop()
        for segments, route in self._by_length.get(len(parts), ()):
            values: dict[str, str] = {}
            for part, (name, rest) in zip(parts, segments, strict=True):
                if not name:
                    if part != rest:
                        break
                elif not part.endswith(rest) or len(part) == len(rest):
                    break
                else:
                    values[name] = part[: len(part) - len(rest)]
            else:
                return route, values
        raise Refusal(404, f"there is nothing at {path[:200]!r}; /openapi.json lists what there is")


def _segment(part: str) -> tuple[str, str]:
    """(name, text after it) of a segment in braces, ("", text) of another."""
    if part.startswith("{"):
        name, _, rest = part[1:].partition("}")
        return name, rest
    return "", part
