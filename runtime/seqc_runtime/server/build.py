"""From settings to an application with its models loaded."""

from __future__ import annotations

import os

from seqc_runtime.server.app import App
from seqc_runtime.server.auth import make_admission
from seqc_runtime.server.layout import Layout
from seqc_runtime.server.loading import Loader
from seqc_runtime.server.repository import Repository
from seqc_runtime.server.settings import Settings
from seqc_runtime.server.stats import Stats


def build_app(settings: Settings, stats: str | os.PathLike[str] | None = None) -> App:
    """Load the models and make the application.

    stats: the directory where all processes of the server count; None when there is one.

    Raises SeqcRuntimeError.
    """
    layout = Layout(settings.paths, settings.name)
    loader = Loader(
        Stats(stats),
        settings.device,
        settings.worker_threads(),
        # Threads that wait busily take the time of other processes.
        False if settings.workers > 1 else None,
        settings.untrusted,
        settings.max_batch,
        settings.max_delay,
        settings.exact,
        packing=settings.workers == 1 or not settings.share_weights,
        named=frozenset(layout.paths),
    )
    explicit = settings.model_control == "explicit"
    repository = Repository(layout, loader, explicit)
    repository.start()
    return App(repository, settings.make_limits(), make_admission(settings), loader.stats)


def describe(app: App) -> str:
    """The models in one line: names, versions, devices."""
    parts = []
    for name in app.repository.names():
        servable = app.repository.get(name)
        versions = ", ".join(str(version) for version in app.repository.versions(name))
        parts.append(f"{name} (version {versions}, {servable.model.device})")
    return ", ".join(parts) or "no model"
