"""Callbacks that report a run to others: to a server, on the screen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from seqc.callbacks.base import Callback, Logs
from seqc.errors import ConfigError
from seqc.utils.display import note


class ProgbarLogger(Callback):
    """Shows the progress of `fit`, `evaluate` and `predict` as their `verbose` says, which they do without it as well.

    It is here for scripts that name it; as in Keras, it adds no second display and shows nothing with `verbose=0`.
    """


class RemoteMonitor(Callback):
    """Sends the logs of every epoch to a server, by HTTP POST. A server that does not answer is no error.

    Args:
        root: address of the server. path: where the logs go, after `root`.
        field: name of the form's field that holds the logs as JSON. headers: of the request, beside its own.
        send_as_json: whether the logs are the body of the request themselves, in JSON, and not a field of a form.

    Raises:
        ConfigError: `root` is no address of HTTP.
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: Mapping[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        if not str(root).startswith(("http://", "https://")):
            raise ConfigError(f"RemoteMonitor needs a `root` that begins with http:// or https://; got {root!r}.")
        self.root = root
        self.path = path
        self.field = field
        self.headers = headers
        self.send_as_json = send_as_json

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        from urllib.parse import urlencode  # both take long to load
        from urllib.request import Request, urlopen

        sent = json.dumps({"epoch": epoch} | {name: _plain(value) for name, value in (logs or {}).items()})
        kind = "application/json" if self.send_as_json else "application/x-www-form-urlencoded"
        body = sent if self.send_as_json else urlencode({self.field: sent})
        headers = {"Content-Type": kind, **(self.headers or {})}
        try:
            with urlopen(Request(self.root + self.path, body.encode(), headers), timeout=SECONDS) as answer:
                answer.read()
        except OSError as error:
            note(f"Could not reach RemoteMonitor root server at {self.root}: {error}", warn=True)


# How long a server may take to answer before training goes on.
SECONDS = 10


def _plain(value: Any) -> Any:
    array = np.asarray(value)
    return array.item() if array.ndim == 0 else array.tolist()
