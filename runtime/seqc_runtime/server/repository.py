"""Which models are served, in which versions, and how that changes.

Whoever answers requests reads dicts that are never changed, only replaced: a new version is opened, tried and warmed up
while the old one answers, and takes its place in one assignment. The old one goes when its last request has ended.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from seqc_runtime.errors import RuntimeModelError, SeqcRuntimeError
from seqc_runtime.server.config import ModelConfig
from seqc_runtime.server.layout import MODEL_NAME, VERSION, FoundModel, FoundVersion, Layout, Stamp
from seqc_runtime.server.messages import Refusal
from seqc_runtime.server.servable import Servable

__all__ = ["MODEL_NAME", "VERSION", "Repository"]

LOG = logging.getLogger("seqc_runtime.server")
State = Literal["READY", "LOADING", "UNAVAILABLE"]
Opener = Callable[[str, int, Path, ModelConfig], Servable]


@dataclass(frozen=True, slots=True)
class Status:
    """How a version is, and why it is not better."""

    state: State
    reason: str = ""


class Repository:
    """Names, versions, and what is loaded of them. Any thread may ask; changes wait for one another.

    layout: where to look for models; None when they are only added. opener: loads a version: (name, number, path,
    configuration) -> Servable. explicit: load only what `load` is called for.
    """

    def __init__(self, layout: Layout | None = None, opener: Opener | None = None, explicit: bool = False) -> None:
        self.explicit = explicit
        self._layout = layout
        self._opener = opener
        self._models: Mapping[str, Mapping[int, Servable]] = {}
        self._status: Mapping[tuple[str, int], Status] = {}
        self._problems: Mapping[str, str] = {}
        self._stamps: dict[tuple[str, int], Stamp] = {}
        self._seen: dict[tuple[str, int], Stamp] = {}
        self._wanted: set[str] = set()
        self._changing = threading.Lock()
        self._started = layout is None

    # --- What requests ask.

    def names(self) -> list[str]:
        """The models that can be used now, in order of their names."""
        return sorted(self._models)

    def versions(self, name: str) -> list[int]:
        """The loaded versions of a model. Raises Refusal, as `get` does."""
        return list(self._find(name))

    def get(self, name: str, version: str | None = None) -> Servable:
        """A version of a model, the latest unless told.

        Raises Refusal: 404 when there is none, 503 when it is being loaded or cannot be.
        """
        versions = self._models.get(name) or self._find(name)
        if version is None:
            return versions[max(versions)]
        number = int(version) if VERSION.fullmatch(version) else 0
        if number not in versions:
            self._refuse_status(name, number)
            there = ", ".join(str(v) for v in versions)
            raise Refusal(404, f"model {name!r} has no version {version[:30]!r}; there is {there}")
        return versions[number]

    def ready(self) -> bool:
        """Whether what was asked for at the start was loaded and warmed up."""
        return self._started and (bool(self._models) or self.explicit)

    def index(self, ready: bool = False) -> list[dict[str, str]]:
        """Every version with its state and the reason for it, as Triton's repository index has them.

        ready: leave out those that cannot be used.
        """
        status, problems = self._status, dict(self._problems)
        rows = [
            {"name": name, "version": str(version), "state": one.state, "reason": one.reason}
            for (name, version), one in sorted(status.items())
            if not ready or one.state == "READY"
        ]
        if not ready:
            listed = {name for name, _ in status}
            there = self._layout.find() if self._layout is not None and self.explicit else {}
            rows += [
                {"name": name, "version": "", "state": "UNAVAILABLE", "reason": problems.get(name, "")}
                for name in sorted({*problems, *there} - listed)
            ]
        return rows

    # --- Changes. They take as long as loading takes: not on an event loop.

    def add(self, servable: Servable) -> None:
        """Serve a version from now on, in place of the one of the same number."""
        with self._changing:
            self._put(servable)

    def start(self) -> None:
        """Load what is there. Raises RuntimeModelError when something cannot be served."""
        with self._changing:
            if not self.explicit:
                self._look(patient=False)
                problems = [f"{name}: {why}" for name, why in self._problems.items()]
                problems += [f"{n}, version {v}: {s.reason}" for (n, v), s in self._status.items() if s.reason]
                if problems:
                    raise RuntimeModelError("; ".join(problems))
                if not self._models:
                    paths = ", ".join(repr(str(path)) for path in self._layout.paths) if self._layout else ""
                    raise RuntimeModelError(
                        f"there is no model at {paths}: it needs an .onnx file, or folders such as m/1/model.onnx"
                    )
            self._started = True

    def poll(self) -> None:
        """Look again: load what is new or has changed, drop what is gone.

        A file counts once it was the same at two looks, so that one which is still being copied is let be. What cannot
        be loaded leaves the version that is there, and the index says why.

        Raises OSError when the folder of the models cannot be read or is gone, such as a disk; all stays as it is.
        """
        with self._changing:
            self._look(patient=True)

    def load(self, name: str) -> None:
        """Load a model, or its new versions. Raises Refusal: 404 when it is not there, 400 when it cannot be loaded."""
        with self._changing:
            found = self._layout.find().get(name) if self._layout is not None else None
            if found is None:
                raise Refusal(404, f"there is no model {name[:200]!r} in the repository")
            self._wanted.add(name)
            problem = self._apply(found, patient=False, again=True)
            if problem:
                raise Refusal(400, f"model {name!r} cannot be loaded: {problem}")

    def unload(self, name: str) -> None:
        """Serve a model no more; requests under way end normally. Raises Refusal (404) when it is not served."""
        with self._changing:
            if name not in self._models and name not in self._wanted:
                raise Refusal(404, f"model {name[:200]!r} is not loaded")
            self._wanted.discard(name)
            for version in list(self._models.get(name, ())):
                self._drop(name, version)
            self._say_unavailable(name, "unloaded")

    def remove_copies(self) -> None:
        """Remove the private copies of models that are not trusted, before the process ends. Nothing is served then."""
        for versions in self._models.values():
            for servable in versions.values():
                if servable.model.admission is not None:
                    servable.model.admission.held.close()

    def _look(self, patient: bool) -> None:
        if self._layout is None:
            return
        if patient:
            self._layout.check()
        found = self._layout.find()
        for name, model in found.items():
            if not self.explicit or name in self._wanted:
                self._apply(model, patient)
        for name in [name for name in self._models if name not in found]:
            if any(key[0] == name for key in self._stamps):
                for version in list(self._models[name]):
                    self._drop(name, version)
        self._forget({key for key in self._status if key[0] not in found and key[0] not in self._models})
        self._problems = {name: why for name, why in self._problems.items() if name in found}

    def _apply(self, model: FoundModel, patient: bool, again: bool = False) -> str | None:
        """Make what is served of a model what the disk has; the reason why that failed."""
        problems = {name: why for name, why in self._problems.items() if name != model.name}
        if model.problem is not None:
            # What is wrong at the start ends the server, which says so itself.
            if self._started and self._problems.get(model.name) != model.problem:
                LOG.warning("model %s: %s", model.name, model.problem)
            self._problems = {**problems, model.name: model.problem}
            return model.problem
        self._problems = problems
        chosen = model.config.chosen(set(model.versions))
        failure = None
        for version in sorted(chosen):
            failure = self._load_version(model, version, patient, again) or failure
        loaded = set(self._models.get(model.name, ()))
        for version in sorted(loaded - chosen):
            # The last that works stays until its successor does, and is what its files are.
            if loaded & chosen:
                self._drop(model.name, version)
            elif version in model.versions:
                problem = self._load_version(model, version, patient, again)
                failure = failure or problem
        kept = chosen | set(self._models.get(model.name, ()))
        self._forget({key for key in self._status if key[0] == model.name and key[1] not in kept})
        return failure

    def _load_version(self, model: FoundModel, version: int, patient: bool, again: bool) -> str | None:
        key, there = (model.name, version), model.versions[version]
        if self._stamps.get(key) == there.stamp and not (again and self._status[key].state != "READY"):
            return self._status[key].reason or None
        if patient and self._seen.get(key) != there.stamp:
            self._seen[key] = there.stamp
            return None
        return self._open(model, version, there)

    def _open(self, model: FoundModel, version: int, there: FoundVersion) -> str | None:
        if self._opener is None:
            raise RuntimeError("nothing opens the files of this repository")
        key = (model.name, version)
        old = self._models.get(model.name, {}).get(version)
        if old is None:
            self._set_status(key, Status("LOADING"))
        self._stamps[key] = there.stamp
        try:
            servable = self._opener(model.name, version, there.path, model.config)
        except Exception as error:
            if not isinstance(error, SeqcRuntimeError | Refusal):
                LOG.exception("model %s, version %d", model.name, version)
            reason = f"{error}" if isinstance(error, SeqcRuntimeError | Refusal) else "the log says why"
            kept = "; the one from before is still served" if old is not None else ""
            if self._started:
                LOG.warning("model %s, version %d cannot be loaded%s: %s", model.name, version, kept, reason)
            self._set_status(key, Status("UNAVAILABLE" if old is None else "READY", reason))
            return reason
        self._put(servable)
        LOG.info("model %s, version %d is ready: %s", model.name, version, "; ".join(servable.notes))
        return None

    def _put(self, servable: Servable) -> None:
        before = self._models.get(servable.name, {})
        versions = dict(sorted({**before, servable.version: servable}.items()))
        self._models = {**self._models, servable.name: versions}
        self._set_status((servable.name, servable.version), Status("READY"))
        if servable.version in before:
            before[servable.version].retire()

    def _drop(self, name: str, version: int) -> None:
        versions = dict(self._models[name])
        gone = versions.pop(version)
        models = {**self._models, name: versions}
        if not versions:
            del models[name]
        self._models = models
        self._forget({(name, version)})
        gone.retire()
        LOG.info("model %s, version %d is served no more", name, version)

    def _forget(self, keys: set[tuple[str, int]]) -> None:
        """Say nothing more of versions."""
        if keys:
            self._status = {key: status for key, status in self._status.items() if key not in keys}
        for key in keys:
            self._stamps.pop(key, None)
            self._seen.pop(key, None)

    def _say_unavailable(self, name: str, reason: str) -> None:
        self._status = {key: status for key, status in self._status.items() if key[0] != name}
        self._stamps = {key: stamp for key, stamp in self._stamps.items() if key[0] != name}
        self._problems = {**self._problems, name: reason}

    def _set_status(self, key: tuple[str, int], status: Status) -> None:
        self._status = {**self._status, key: status}

    # --- What cannot be had.

    def _find(self, name: str) -> Mapping[int, Servable]:
        versions = self._models.get(name)
        if versions:
            return versions
        self._refuse_status(name, None)
        names = self.names()
        there = ", ".join(map(repr, names[:10])) or "none"
        more = f" and {len(names) - 10} more" if len(names) > 10 else ""
        raise Refusal(404, f"there is no model {name[:200]!r}; there is {there}{more}")

    def _refuse_status(self, name: str, version: int | None) -> None:
        """Refuse (503) what is known but cannot be used now."""
        known = [one for (n, v), one in self._status.items() if n == name and version in (None, v)]
        if any(one.state == "LOADING" for one in known):
            raise Refusal(503, f"model {name!r} is being loaded: ask again soon", {"retry-after": "1"})
        if known:
            raise Refusal(503, f"model {name!r} cannot be used: {known[-1].reason}", {"retry-after": "60"})


def describe_index(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """The index by model: name, loaded versions, state, reason."""
    models: dict[str, dict[str, Any]] = {}
    for row in rows:
        model = models.setdefault(
            row["name"], {"name": row["name"], "versions": [], "state": "UNAVAILABLE", "reason": ""}
        )
        if row["state"] == "READY":
            model["versions"].append(row["version"])
            model["state"] = "READY"
        elif model["state"] != "READY":
            model["state"] = row["state"]
        model["reason"] = model["reason"] or row["reason"]
    return list(models.values())
