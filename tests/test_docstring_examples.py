"""What docstrings show runs, and gives what they say."""

from __future__ import annotations

import doctest
import inspect
import re
import sys
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs"))

from building.inventory import function_of, inventory  # noqa: E402
from building.rst import docstring_lines  # noqa: E402

seqc_runtime = pytest.importorskip("seqc_runtime")

# What people use most has an example. Those that write files and run them are for the slow tests.
SLOW = {"seqc.Model.export", "seqc.callbacks.ModelCheckpoint", "seqc.export.quantize", "seqc_runtime.load"}
QUICK = {
    "seqc.Input", "seqc.Model.compile", "seqc.Model.evaluate", "seqc.Model.fit", "seqc.Model.predict",
    "seqc.Sequential", "seqc.callbacks.EarlyStopping", "seqc.datasets.digits.load_data",
    "seqc.layers.BatchNormalization", "seqc.layers.Conv2D", "seqc.layers.Dense", "seqc.layers.Dropout",
    "seqc.layers.Embedding", "seqc.layers.Flatten", "seqc.layers.LSTM", "seqc.layers.MaxPooling2D",
    "seqc.layers.Normalization", "seqc.layers.TextVectorization", "seqc.losses.SparseCategoricalCrossentropy",
    "seqc.metrics.BinaryAccuracy", "seqc.models.Functional", "seqc.models.load_model", "seqc.ops.einsum",
    "seqc.ops.softmax", "seqc.optimizers.Adam", "seqc.random.set_random_seed", "seqc.utils.pad_sequences",
    "seqc.utils.to_categorical",
}  # fmt: skip


def documented() -> Iterator[tuple[str, Any]]:
    """Yields the path of everything public, methods included, and what has its docstring."""
    for entry in inventory():
        yield entry.path, entry.thing
        for member in entry.members:
            yield f"{entry.path}.{member}", function_of(entry.thing, member)


def examples() -> dict[str, str]:
    found = {path: inspect.getdoc(thing) or "" for path, thing in documented()}
    return {path: doc for path, doc in found.items() if ">>>" in doc}


def failures(path: str, doc: str) -> str:
    """Returns what an example does otherwise than its docstring says; it knows `np`, `seqc` and `seqc_runtime`."""
    names = {"np": np, "seqc": seqc, "seqc_runtime": seqc_runtime}
    test = doctest.DocTestParser().get_doctest(doc, names, path, None, None)
    told: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=told.append)
    return "".join(told)


def test_examples_of_what_people_use_most_give_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in sorted(QUICK):
        doc = inspect.getdoc(attrgetter(path.partition(".")[2])(seqc)) or ""
        assert ">>>" in doc, path
        assert failures(path, doc) == ""


@pytest.mark.slow
def test_all_other_examples_give_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert SLOW - examples().keys() == set()
    others = {path: doc for path, doc in examples().items() if path not in QUICK}
    assert "".join(failures(path, doc) for path, doc in others.items()) == ""


@pytest.mark.slow
def test_no_example_stands_where_nobody_runs_it() -> None:
    shown = sum(doc.count(">>> ") for doc in examples().values())
    files = [*(ROOT / "seqc").rglob("*.py"), *(ROOT / "runtime" / "seqc_runtime").rglob("*.py")]
    written = sum(len(re.findall(r"^ *>>> ", path.read_text(encoding="utf-8"), re.MULTILINE)) for path in files)
    assert shown == written


def test_an_example_that_is_wrong_is_noticed() -> None:
    assert failures("wrong", ">>> 1 + 1\n2\n") == ""
    assert "Got:\n    2" in failures("wrong", ">>> 1 + 1\n3\n")
    assert "NameError" in failures("wrong", ">>> nothing\n")


@pytest.mark.slow
def test_the_reference_shows_examples_as_they_are_typed() -> None:
    lines = docstring_lines("seqc.layers.MaxPooling2D", seqc.layers.MaxPooling2D)
    start = lines.index(".. code-block:: pycon")
    assert lines[start + 2 : start + 5] == [
        "   >>> seqc.layers.MaxPooling2D(2)(np.arange(16.0).reshape(1, 4, 4, 1)).numpy()[0, :, :, 0]",
        "   array([[ 5.,  7.],",
        "          [13., 15.]], dtype=float32)",
    ]
