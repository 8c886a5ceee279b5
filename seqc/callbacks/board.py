"""The callback that writes files of events for TensorBoard."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from seqc.callbacks.base import Callback, Logs
from seqc.errors import ConfigError, MissingDependencyError, SeqcError
from seqc.graph.ir import Array
from seqc.utils.display import note
from seqc.utils.files import open_file

# Of the files begun by this process.
_numbers = count()


class TensorBoard(Callback):
    """Writes the metrics of a run for TensorBoard, under the names that Keras gives them.

    Training goes to the folder `train` in `log_dir`, validation to `validation`: `epoch_loss` and so on per epoch, with
    `epoch_learning_rate`; `batch_loss` and so on per batch where `update_freq` says so; and
    `evaluation_loss_vs_iterations` of every evaluation. The model's graph has a box for each layer with its operations
    inside. It needs the package tensorboardX.

    Args:
        log_dir: the folder.
        histogram_freq: after every so many epochs the distribution of each weight is written; 0 for never.
        write_graph: whether the model's graph is written when training begins.
        write_images: whether weights are written as images, too, where their distributions are: those of up to three
        axes, and of four with one, three or four channels. It needs Pillow.
        write_steps_per_second: whether the speed is written, too.
        update_freq: "epoch", or "batch", or how many batches lie between two of which the metrics are written.
        profile_batch: which batches are profiled. None is, with a warning; `seqc bench train --profile` tells where the
        time goes.
        embeddings_freq: after every so many epochs the table of each Embedding is written for the projector.
        embeddings_metadata: a file with the name of each row, one a line; of several tables a dictionary by the names
        of layers.

    Raises:
        ConfigError: a number is out of range, or names are for no table.
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
        profile_batch: int | str | Sequence[int] = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        if profile_batch:
            note(
                f"TensorBoard writes no profile, which profile_batch={profile_batch!r} asks for; "
                "`seqc bench train --profile` tells where the time goes.",
                warn=True,
            )
        every = 1 if update_freq == "batch" else update_freq
        whole = isinstance(every, int) and not isinstance(every, bool) and every > 0
        if every != "epoch" and not whole:
            raise ConfigError(
                f"`update_freq` must be 'epoch', 'batch' or a number of batches. Received: update_freq={update_freq!r}."
            )
        self._make_writer = _summary_writer()
        if write_images:
            _require_pillow()
        self.log_dir = str(log_dir)
        self.histogram_freq = histogram_freq
        self.write_graph = write_graph
        self.write_images = write_images
        self.embeddings_freq = embeddings_freq
        self.embeddings_metadata = embeddings_metadata
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
            # Files are named by the second in which they are begun: another writer of that second would empty this one.
            number = f".{os.getpid()}.{next(_numbers)}"
            self._writers[part] = self._make_writer(str(Path(self.log_dir) / part), filename_suffix=number)
        return self._writers[part]

    def _steps(self) -> tuple[int, float]:
        return int(np.asarray(self.model.optimizer.iterations)), time.perf_counter()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._batch = 0
        if self.embeddings_freq:
            self._check_names()
        if self.write_graph:
            self._write_graph()

    def _write_graph(self) -> None:
        from seqc.callbacks.board_graph import graph_event

        try:
            event = graph_event(self.model)
        except SeqcError as error:
            note(f"TensorBoard gets no graph of model '{self.model.name}': {error}", warn=True)
            return
        writer = self._writer("train")
        writer.file_writer.add_event(event)
        writer.flush()

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
            self._write_weights(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            for path, table, names in self._tables():
                self._writer("train").add_embedding(table, names, global_step=epoch, tag=path)

    def _write_weights(self, epoch: int) -> None:
        writer = self._writer("train")
        for weight in self.model.weights:
            array = weight.numpy()
            writer.add_histogram(f"{weight.path}/histogram", array, epoch)
            images = _as_images(array) if self.write_images else None
            if images is not None:
                writer.add_images(f"{weight.path}/image", images, epoch, dataformats="NHWC")
        writer.flush()

    def _tables(self) -> list[tuple[str, Array, list[str] | None]]:
        """Returns the table of each Embedding with its path and the names of its rows."""
        tables = [w for w in self.model.weights if w.path.endswith("/embeddings")]
        return [(w.path, w.numpy(), self._names_of(w.path.split("/")[-2])) for w in tables]

    def _names_of(self, layer: str) -> list[str] | None:
        given = self.embeddings_metadata
        path = given.get(layer) if isinstance(given, Mapping) else given
        if path is None:
            return None
        with open_file(Path(self.log_dir, path)) as file:
            return file.read().decode().splitlines()

    def _check_names(self) -> None:
        """Finds out before training whether the names of embeddings are there, as many as there are rows."""
        tables = {path.split("/")[-2]: (table, names) for path, table, names in self._tables()}
        given = self.embeddings_metadata
        for name in given if isinstance(given, Mapping) else ():
            if name not in tables:
                raise ConfigError(
                    f"`embeddings_metadata` names '{name}', which is no Embedding of the model; it has "
                    f"{', '.join(map(repr, tables)) or 'none'}."
                )
        for name, (table, names) in tables.items():
            if names is not None and len(names) != len(table):
                raise ConfigError(
                    f"`embeddings_metadata` has {len(names)} names for the {len(table)} rows of '{name}'; give one "
                    "a line."
                )

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


def _as_images(array: Array) -> Array | None:
    """Returns a weight as images (images, height, width, channels) of numbers from 0 to 1, as Keras lays them out.

    None where it cannot be one: it has more axes, or other channels than one, three or four.
    """
    image = np.squeeze(array).astype("float32")
    if image.ndim == 1:
        image = image[None, :, None, None]
    elif image.ndim == 2:
        image = (image.T if image.shape[0] > image.shape[1] else image)[None, :, :, None]
    elif image.ndim == 3:
        image = image.transpose(2, 0, 1)[..., None]
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4):
        return None
    low, high = image.min(), image.max()
    return np.asarray((image - low) / (high - low) if high > low else np.zeros_like(image))


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


def _require_pillow() -> None:
    if find_spec("PIL") is None:
        raise MissingDependencyError(
            "TensorBoard(write_images=True) writes pictures with Pillow. Install it: pip install 'seqc[images]'"
        )
