"""The page on benchmarks: pictures of what benchmarks/*.md have in tables, and where each comes from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from building.charts import Bar, bars
from building.tables import number, table

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
_PEERS = ("Keras on TensorFlow", "Keras on JAX", "Keras on PyTorch", "PyTorch")
KINDS = {
    "mlp_tiny": "dense, tiny",
    "mlp": "dense",
    "cnn": "Conv2D",
    "vggbn": "Conv2D, deep",
    "cnn1d": "Conv1D",
    "lstm": "LSTM",
    "gru_text": "GRU on text",
    "mobilenet": "depthwise",
    "autoencoder": "autoencoder",
    "residual": "residual CNN",
    "transformer": "transformer block",
    "embedding": "embedding, 20,000 words",
    "mlp_1": "dense, batch of 1",
    "mlp_1024": "dense, batch of 1,024",
}


def pages() -> dict[str, str]:
    """Returns the page's text by its name."""
    parts = [
        "# Benchmarks",
        "",
        "Each picture is drawn from a table in the repository when the site is built; the table's page has the command",
        "that measured it, the machine, the versions, and the rows in which seqc loses. To measure here: `make bench`,",
        "`make bench-onnx`, `make bench-serve`, and `seqc bench train model.py` for a model of your own.",
        "",
        *_training(),
        *_opened(),
        *_files(),
        *_quantizing(),
        *_serving(),
        *_rest(),
    ]
    return {"benchmarks.md": "\n".join(parts) + "\n"}


def _drawn(picture: str) -> Iterator[str]:
    yield from ("```{raw} html", picture, "```", "")


def _training() -> Iterator[str]:
    page = FOLDER / "RESULTS.md"
    yield from (
        "## How fast training is, by kind of model",
        "",
        "How many times as fast seqc is, per training step, as the faster of Keras on TensorFlow and on JAX, and as",
        "PyTorch; above 1 seqc is faster. [All rows in milliseconds, with memory and",
        "start-up](../../benchmarks/RESULTS.md); `make bench` makes the comparison on your machine.",
        "",
    )
    rows = []
    for row in table(page, "Training step, ms"):
        if row["workload"] in KINDS:
            found = [(row["best Keras / seqc"], 0), (row["PyTorch / seqc"], 1)]
            cells = [Bar(number(text), text.replace("x", " x"), series) for text, series in found]
            rows.append((KINDS[row["workload"]], cells))
    yield from _drawn(bars("Times as fast per training step", rows, ("beside the best Keras", "beside PyTorch")))
    rows = []
    for row in table(page, "Peak memory of the training process, MiB"):
        cells = [Bar(number(row[name]), row[name], n) for n, name in enumerate(("seqc", _PEERS[0], "PyTorch"))]
        rows.append((KINDS[row["workload"]], cells))
    yield from _drawn(bars("Peak memory of training, MiB", rows, ("seqc", _PEERS[0], "PyTorch")))


def _opened() -> Iterator[str]:
    yield from (
        "## How many model files open",
        "",
        "Of the files that the repository keeps because they are hard, how many open; in most of them one layer that",
        "cannot be read keeps all of it shut. [With what they predict](../../benchmarks/FILES.md).",
        "",
    )
    rows = []
    names = {"seqc opens": "seqc opens", "Keras opens": "Keras 3.15.1 opens", "of them": "files there are"}
    for row in table(FOLDER / "FILES.md", "Model files opened")[:-1]:
        cells = [Bar(number(row[name]), row[name], n) for n, name in enumerate(names)]
        kind = row["files"].removeprefix("all layers, ").removeprefix("networks, ").replace(" on tensorflow", ", TF")
        rows.append((kind.replace(" on jax", ", JAX"), cells))
    yield from _drawn(bars("Model files", rows, tuple(names.values())))


def _files() -> Iterator[str]:
    page = FOLDER / "ONNX.md"
    yield from (
        "## How good exported files are",
        "",
        "Nodes of the same model's file, by exporter; fewer is better.",
        "[With the time of a run](../../benchmarks/ONNX.md), where most rows are within a few",
        "hundredths of files written by hand.",
        "",
    )
    names = ("seqc", "by hand", "Keras", "PyTorch")
    rows = []
    for row in table(page, "Nodes"):
        cells = [Bar(number(row[name]), row[name], n) for n, name in enumerate(names) if row[name] != "-"]
        rows.append((row["model"], cells))
    yield from _drawn(bars("Nodes of an exported file", rows, names))


def _quantizing() -> Iterator[str]:
    page = FOLDER / "QUANTIZE.md"
    yield from (
        "## What quantization brings",
        "",
        "Size of the smallest file that `seqc quantize` tried, as a part of the float file's, and the speed of the",
        "fastest, at a batch of 32. [Every recipe tried](../../benchmarks/QUANTIZE.md).",
        "",
    )
    sizes, speeds = [], []
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("## ") and "_" in line:
            model = line.removeprefix("## ")
            tried = [row for row in table(page, model) if row["of float"]]
            small = min(tried, key=lambda row: number(row["of float"]))
            fast = max(tried, key=lambda row: number(row["speed, batch 32"]))
            sizes.append((model, [Bar(number(small["of float"]), f"{small['of float']} {small['recipe']}")]))
            text = f"{fast['speed, batch 32']} {fast['recipe']}"
            speeds.append((model, [Bar(number(fast["speed, batch 32"]), text)]))
    yield from _drawn(bars("Bytes, in % of the float file", sizes, ("",)))
    yield from _drawn(bars("Speed at a batch of 32, beside float", speeds, ("",)))


def _serving() -> Iterator[str]:
    page = FOLDER / "SERVING.md"
    yield from (
        "## How fast serving is",
        "",
        "Requests a second that a server on one core answers over 64 connections, JSON, a small network.",
        "[Other bodies, models and loads, latencies and memory](../../benchmarks/SERVING.md).",
        "",
    )
    rows = []
    for row in table(page, "MLP 8-32-16-3"):
        if row["body"] == "JSON":
            own = row["server"].startswith("**")
            rows.append((row["server"].strip("*"), [Bar(number(row["64"]), row["64"], 0 if own else 1)]))
    yield from _drawn(bars("Requests a second", rows, ("seqc-runtime", "other servers")))


def _rest() -> Iterator[str]:
    yield from (
        "## More",
        "",
        "- [Memory and time of an export](../../benchmarks/EXPORT.md)",
        "- [The example models, trained and exported](../../models/README.md)",
        "",
        "```{toctree}",
        ":hidden:",
        "",
        "../../benchmarks/RESULTS",
        "../../benchmarks/FILES",
        "../../benchmarks/ONNX",
        "../../benchmarks/QUANTIZE",
        "../../benchmarks/SERVING",
        "../../benchmarks/EXPORT",
        "../../models/README",
        "```",
    )
