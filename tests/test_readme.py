"""What the README tells is so: its figures are those of the pages that they come from, its demo prints what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from kit.page_blocks import blocks, matches

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
sys.path.insert(0, str(ROOT / "docs"))

from building.overview_picture import OUT, picture  # noqa: E402  (documentation is no package)
from building.tables import number, table  # noqa: E402


def rows_below(words: str) -> dict[str, list[str]]:
    """Returns the rows of the README's table behind some words, by what they begin with."""
    lines = README.split(words)[1].split("\n\n")[1].splitlines()
    return {cells[0]: cells[1:] for cells in ([c.strip() for c in line.strip("|").split("|")] for line in lines)}


def test_it_is_a_front_page() -> None:
    assert len(README.splitlines()) < 150


def test_every_file_it_links_to_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_speeds_are_those_of_the_comparison() -> None:
    shown = rows_below("**Training**")
    measured = {row["workload"]: row for row in table(ROOT / "benchmarks/RESULTS.md", "Training step, ms")}
    kinds = ("mlp", "cnn", "vggbn", "cnn1d", "lstm", "gru_text", "mobilenet", "autoencoder")
    for name, column in (("beside the best Keras", "best Keras / seqc"), ("beside PyTorch", "PyTorch / seqc")):
        assert [float(cell) for cell in shown[name]] == [number(measured[kind][column]) for kind in kinds]


def test_figures_of_older_code_are_called_so() -> None:
    said = "figures of an earlier version" in (ROOT / "benchmarks/RESULTS.md").read_text(encoding="utf-8")
    assert said == ("figures of an earlier version" in README)


def test_files_opened_are_those_that_were_counted() -> None:
    shown = rows_below("**Files opened**")
    counted = table(ROOT / "benchmarks/FILES.md", "Model files opened")[:-1]
    columns = ("of them", "seqc opens", "outputs", "the same in seqc", "Keras opens")
    for name, of_layers in (
        ("all layers, by five versions of Keras", True),
        ("networks of tf.keras and TensorFlow.js", False),
    ):
        rows = [row for row in counted if row["files"].startswith("all layers") == of_layers]
        assert [int(cell) for cell in shown[name]] == [sum(int(row[column]) for row in rows) for column in columns]


def test_nodes_are_those_that_were_counted() -> None:
    shown = rows_below("**Export**")
    counted = {row["model"]: row for row in table(ROOT / "benchmarks/ONNX.md", "Nodes")}
    models = ("mlp", "lenet", "vgg_bn", "cnn1d", "mobilenet", "lstm_text", "masked", "bigru")
    columns = {"seqc": "seqc", "by hand": "by hand", "Keras with TensorFlow": "Keras", "PyTorch": "PyTorch"}
    for name, column in columns.items():
        assert shown[name] == [counted[model][column] for model in models]


def test_the_picture_is_what_its_program_draws() -> None:
    assert OUT.read_text(encoding="utf-8") == picture()


@pytest.mark.slow
def test_the_demo_prints_what_is_shown(tmp_path: Path) -> None:
    (promised,) = (block.text for block in blocks(README) if block.kind == "text")
    command = [sys.executable, "-m", "seqc", "train", str(ROOT / "models/digits_cnn.py"), "--no-plots"]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=300).stdout
    # Accuracies, errors and bytes move a little between processors.
    shown = [re.sub(r"\d\.\d+(e-\d\d)?|\([\d,]+ bytes\)", "...", line) for line in promised.splitlines()]
    assert matches(["...", *shown, "..."], [line.rstrip() for line in printed.splitlines()])
