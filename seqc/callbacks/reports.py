"""Callbacks that report a run to others: to TensorBoard, to a server, on the screen."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seqc.callbacks.base import Callback, Logs
from seqc.errors import ConfigError, MissingDependencyError
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


class TensorBoard(Callback):
    """Writes the metrics of a run for TensorBoard, under the names that Keras gives them.

    Training goes to the folder `train` in `log_dir`, validation to `validation`: `epoch_loss` and so on per epoch, with
    `epoch_learning_rate`; `batch_loss` and so on per batch where `update_freq` says so; and
    `evaluation_loss_vs_iterations` of every evaluation. It needs the package tensorboardX.

    Args:
        log_dir: the folder.
        histogram_freq: after every so many epochs the distribution of each weight is written; 0 for never.
        write_graph: taken and not needed: `plot_model` draws a model, `seqc inspect` tells of its file.
        write_images: whether weights are written as images. They are not.
        write_steps_per_second: whether the speed is written, too.
        update_freq: "epoch", or "batch", or how many batches lie between two of which the metrics are written.
        profile_batch: which batches are profiled. None is; `seqc bench train --profile` tells where the time goes.
        embeddings_freq, embeddings_metadata: for the projector of embeddings, which is not written.

    Raises:
        ConfigError: what is not written is asked for, or a number is out of range.
        MissingDependencyError: tensorboardX is not installed.
    """

    _state = ("_batch",)

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: int | str = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        for name, given in {
            "write_images": write_images,
            "profile_batch": profile_batch,
            "embeddings_freq": embeddings_freq,
            "embeddings_metadata": embeddings_metadata,
        }.items():
            if given:
                raise ConfigError(
                    f"TensorBoard writes metrics and histograms of weights; leave `{name}` out. Received: "
                    f"{name}={given!r}."
                )
        every = 1 if update_freq == "batch" else update_freq
        whole = isinstance(every, int) and not isinstance(every, bool) and every > 0
        if every != "epoch" and not whole:
            raise ConfigError(
                f"`update_freq` must be 'epoch', 'batch' or a number of batches. Received: update_freq={update_freq!r}."
            )
        self._make_writer = _summary_writer()
        self.log_dir = str(log_dir)
        self.histogram_freq = histogram_freq
        self.write_graph = write_graph
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = every
        self._writers: dict[str, Any] = {}
        self._batch = 0
        self._began = self._epoch_began = (0, 0.0)
        if whole:  # metrics of batches cost time, which only those pay who want them
            self.on_train_batch_begin = self._begin_batch  # type: ignore[method-assign]
            self.on_train_batch_end = self._write_batch  # type: ignore[method-assign]

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_writers": {}}

    def _writer(self, part: str) -> Any:
        if part not in self._writers:
            self._writers[part] = self._make_writer(str(Path(self.log_dir) / part))
        return self._writers[part]

    def _steps(self) -> tuple[int, float]:
        return int(np.asarray(self.model.optimizer.iterations)), time.perf_counter()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._batch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch_began = self._steps()

    def _begin_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._batch += 1
        self._began = (self._batch - 1, time.perf_counter())

    def _write_batch(self, batch: int, logs: Logs | None = None) -> None:
        if self._batch % self.update_freq:  # type: ignore[operator]
            return
        values = {f"batch_{name}": value for name, value in (logs or {}).items()}
        if self.write_steps_per_second:
            values["batch_steps_per_second"] = _speed(self._began, (self._batch, time.perf_counter()))
        self._write("train", values, self._batch)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        found = logs or {}
        train = {name: value for name, value in found.items() if not name.startswith("val_")} | self._rates()
        if self.write_steps_per_second:
            train["steps_per_second"] = _speed(self._epoch_began, self._steps())
        validation = {name[4:]: value for name, value in found.items() if name.startswith("val_")}
        for part, values in (("train", train), ("validation", validation)):
            self._write(part, {f"epoch_{name}": value for name, value in values.items()}, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            writer = self._writer("train")
            for weight in self.model.weights:
                writer.add_histogram(f"{weight.path}/histogram", weight.numpy(), epoch)
            writer.flush()

    def _rates(self) -> dict[str, float]:
        optimizer = self.model.optimizer
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        several = getattr(optimizer, "optimizers", None)
        if several is None:
            return {"learning_rate": float(optimizer.learning_rate)}
        return {f"learning_rate_{one.name}": float(one.learning_rate) for one in several}

    def on_test_end(self, logs: Logs | None = None) -> None:
        values = {f"evaluation_{name}_vs_iterations": value for name, value in (logs or {}).items()}
        self._write("validation", values, self._steps()[0])

    def _write(self, part: str, values: Mapping[str, Any], step: int) -> None:
        if not values:
            return
        writer = self._writer(part)
        for name, value in values.items():
            writer.add_scalar(name, float(np.mean(value)), step)
        writer.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}


def _speed(before: tuple[int, float], now: tuple[int, float]) -> float:
    """Returns steps per second between two moments, each a count of steps and a time in seconds."""
    return (now[0] - before[0]) / max(now[1] - before[1], 1e-9)


def _summary_writer() -> Any:
    """Returns the class that writes files of events.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise MissingDependencyError(
            "The callback TensorBoard writes its files with tensorboardX. Install it: pip install 'seqc[tensorboard]'"
        ) from error
    return SummaryWriter
