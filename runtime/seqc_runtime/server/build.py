"""From settings to an application with its models loaded."""

from __future__ import annotations

import os
from pathlib import Path

import seqc_runtime
from seqc_runtime.errors import RuntimeArgumentError
from seqc_runtime.server.app import App
from seqc_runtime.server.auth import make_admission
from seqc_runtime.server.repository import MODEL_NAME, Repository
from seqc_runtime.server.servable import Servable
from seqc_runtime.server.settings import Settings


def build_app(settings: Settings) -> App:
    """Load the models and make the application. Raises SeqcRuntimeError."""
    repository = Repository()
    for path in settings.paths:
        if os.path.isdir(path):
            raise RuntimeArgumentError(f"{path!r} is a folder: an .onnx file was expected")
        name = settings.name or Path(path).stem
        if not MODEL_NAME.fullmatch(name):
            raise RuntimeArgumentError(
                f"{name!r} is no name for a model (letters, digits, . _ -): give one with --name"
            )
        model = seqc_runtime.load(
            path, device=settings.device, threads=settings.worker_threads(), untrusted=settings.untrusted
        )
        repository.add(Servable(name, 1, model))
    return App(repository, settings.make_limits(), make_admission(settings))


def describe(app: App) -> str:
    """The models in one line: names, versions, devices."""
    parts = []
    for name in app.repository.names():
        servable = app.repository.get(name)
        versions = ", ".join(str(version) for version in app.repository.versions(name))
        parts.append(f"{name} (version {versions}, {servable.model.device})")
    return ", ".join(parts) or "no model"
