"""What TensorBoard itself makes of the files that the callback writes: it is started, and asked as its page asks it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np
import pytest

import seqc as keras
from seqc import callbacks, layers
from seqc.errors import ConfigError

pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
X = np.random.default_rng(0).normal(size=(32, 6, 6, 3)).astype("float32")
Y = np.arange(32) % 2


def picture_model() -> keras.Sequential:
    keras.utils.set_random_seed(2)
    made = keras.Sequential(
        [
            keras.Input((6, 6, 3), name="picture"),
            layers.Conv2D(4, 3, activation="relu", name="seen"),
            keras.Sequential([layers.Flatten(name="flat"), layers.Dropout(0.2)], name="inner"),
            layers.Dense(2, "softmax", name="kind"),
        ],
        name="pictures",
    )
    made.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


@contextmanager
def tensorboard(folder: Path) -> Iterator[Any]:
    """Starts TensorBoard and yields what asks it."""
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", "0", "--load_fast", "false"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stderr is not None
            said = []
            for line in running.stderr:
                said.append(line)
                if "http://" in line:
                    break
            address = next((word for word in "".join(said).split() if word.startswith("http://")), None)
            assert address, "".join(said)

            def ask(path: str, **query: Any) -> Any:
                url = f"{address.rstrip('/')}/data/{path}{'?' + urlencode(query) if query else ''}"
                with urlopen(url, timeout=60) as answer:
                    body = answer.read()
                return body.decode() if path.endswith("/graph") else json.loads(body)

            for _ in range(600):  # until it has read the files
                if len(ask("runs")) == 2 and "train" in ask("plugin/scalars/tags"):
                    break
                time.sleep(0.1)
            yield ask
        finally:
            running.kill()


@pytest.mark.slow
def test_tensorboard_shows_curves_distributions_pictures_and_the_graph(tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="Pillow is not installed")
    net = picture_model()
    board = callbacks.TensorBoard(tmp_path, histogram_freq=1, write_images=True)
    history = net.fit(X, Y, epochs=3, verbose=0, validation_data=(X, Y), callbacks=[board]).history
    with tensorboard(tmp_path) as ask:
        tags = ask("plugin/scalars/tags")
        assert set(tags["train"]) == {"epoch_loss", "epoch_accuracy", "epoch_learning_rate"}
        for run, before in (("train", ""), ("validation", "val_")):
            for name in ("loss", "accuracy"):
                points = ask("plugin/scalars/scalars", run=run, tag=f"epoch_{name}")
                assert [step for _, step, _ in points] == [0, 1, 2]
                assert [value for _, _, value in points] == pytest.approx(history[before + name])
        assert set(ask("plugin/histograms/tags")["train"]) == {f"{w.path}/histogram" for w in net.weights}
        (_, step, bins), *_ = ask("plugin/histograms/histograms", run="train", tag="kind/kernel/histogram")[-1:]
        kernel = next(w for w in net.weights if w.path == "kind/kernel").numpy()
        assert step == 2
        assert sum(count for _, _, count in bins) == kernel.size
        assert min(low for low, _, count in bins if count) <= kernel.min()
        assert max(high for _, high, count in bins if count) >= kernel.max()
        assert "kind/kernel/image" in ask("plugin/images/tags")["train"]
        info = ask("plugin/graphs/info")["train"]
        assert info["run_graph"]
        text = ask("plugin/graphs/graph", run="train", conceptual="false")
    names = [line.split('"')[1] for line in text.splitlines() if line.startswith("  name: ")]
    assert len(set(names)) == len(names)
    assert {"picture", "seen/kernel", "seen/bias", "kind/kernel", "output/kind"} <= set(names)
    assert any(name.startswith("seen/Conv") for name in names)
    assert any(name.startswith("inner/flat/") for name in names)
    taken = {line.split('"')[1].partition(":")[0] for line in text.splitlines() if line.startswith("  input: ")}
    assert taken <= set(names)


@pytest.mark.slow
@pytest.mark.parametrize("write", [False, True])
def test_a_graph_is_written_where_it_is_wanted(tmp_path: Path, write: bool) -> None:
    net = picture_model()
    net.fit(X, Y, verbose=0, callbacks=[callbacks.TensorBoard(tmp_path, write_graph=write)])
    (file,) = (tmp_path / "train").glob("events*")
    assert (b"seen/kernel" in file.read_bytes()) is write


def test_rows_of_embeddings_are_written_under_their_names(tmp_path: Path) -> None:
    keras.utils.set_random_seed(2)
    net = keras.Sequential([keras.Input((3,)), layers.Embedding(4, 2, name="words"), layers.Flatten(), layers.Dense(1)])
    net.compile("sgd", "mse")
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\n")
    x, y = np.arange(12).reshape(4, 3) % 4, np.ones((4, 1))

    def board(names: Any) -> Any:
        return callbacks.TensorBoard(tmp_path, write_graph=False, embeddings_freq=1, embeddings_metadata=names)

    net.fit(x, y, verbose=0, callbacks=[board({"words": "names.txt"})])
    (table,) = (tmp_path / "train").rglob("tensors.tsv")
    np.testing.assert_allclose(np.loadtxt(table), net.layers[0].get_weights()[0], rtol=1e-6)
    assert (table.parent / "metadata.tsv").read_text().split() == ["a", "b", "c", "d"]
    assert "words" in (tmp_path / "train" / "projector_config.pbtxt").read_text()
    with pytest.raises(ConfigError, match="names 'phrases', which is no Embedding of the model; it has 'words'"):
        net.fit(x, y, verbose=0, callbacks=[board({"phrases": "names.txt"})])
    (tmp_path / "names.txt").write_text("a\nb\n")
    with pytest.raises(ConfigError, match="has 2 names for the 4 rows of 'words'"):
        net.fit(x, y, verbose=0, callbacks=[board("names.txt")])
