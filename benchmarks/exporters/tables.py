"""The report of the comparison, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exporters.models import SPECS

# Figures of one model by the kind of file: its nodes, and the microseconds of a run by the batch.
Found = Mapping[str, Mapping[str, Mapping[str, Any]]]
# The most nodes a file is to have, and the most time beside another file.
NODES = {
    "mlp": 6,
    "lenet": 14,
    "vgg_bn": 21,
    "cnn1d": 12,
    "mobilenet": 27,
    "sepconv": 11,
    "lstm_text": 6,
    "masked": 12,
    "bigru": 9,
    "decoder": 10,
}
LIMITS = {"by_hand": 1.01, "torch": 0.97}
BATCHES = ("1", "32")
TITLES = {"by_hand": "by hand", "keras": "Keras", "torch": "PyTorch"}


def report(found: Found, versions: Mapping[str, str], setting: str) -> str:
    """Returns the report.

    Args:
        found: what was measured, by model. versions: of all that took part. setting: a sentence on the machine and the
        day.
    """
    lines = [
        "# ONNX files, beside other exporters",
        "",
        f"`make bench-onnx`. {setting}",
        f"{', '.join(f'{name} {version}' for name, version in versions.items())}.",
        "",
        "Every model is exported by seqc, by Keras with TensorFlow, by PyTorch's exporter from a model as one",
        "writes it in PyTorch, and written by hand. All files of a model have the same weights and are checked to give",
        "the same results. They run in one process in turns, with one thread; of all runs of a file the fastest",
        "counts, of those longer than a millisecond in time on the processor. Files of PyTorch take channels first,",
        "and so are compared with files that seqc exports with `channels_first_input=True`.",
        "",
        "## Nodes",
        "",
        "| model | what it is | seqc | at most | by hand | Keras | seqc, channels first | PyTorch |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, files in found.items():
        cells = [_nodes(files, kind) for kind in ("by_hand", "keras", "seqc_nchw", "torch")]
        lines.append(
            f"| {name} | {SPECS[name].title} | {_nodes(files, 'seqc')} | {NODES[name]} | {' | '.join(cells)} |"
        )
    lines += ["", "## Time of one run", "", "In microseconds for seqc; for the others, seqc's part of theirs.", ""]
    heads = [f"{title}, {batch}" for title in ("seqc", "by hand", "Keras", "PyTorch") for batch in BATCHES]
    lines += [f"| model, batch | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    for name, files in found.items():
        cells = [f"{files['seqc'][batch]:.1f}" for batch in BATCHES]
        cells += [_ratio(files, kind, batch) for kind in ("by_hand", "keras", "torch") for batch in BATCHES]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        "Files by seqc and by hand have the same operators, so that what these two differ by is noise. So do those of",
        "`mlp`, `vgg_bn`, `mobilenet` and `sepconv` by PyTorch, but for how they average: there is little to win.",
        "",
        "## Targets",
        "",
        *_targets(found),
    ]
    return "\n".join(lines) + "\n"


def _nodes(files: Mapping[str, Mapping[str, Any]], kind: str) -> str:
    return str(files[kind]["nodes"]) if kind in files else "-"


def ratio(files: Mapping[str, Mapping[str, Any]], kind: str, batch: str) -> float | None:
    """Returns seqc's time as a part of that of another file, None if that does not run."""
    ours = "seqc_nchw" if kind == "torch" and "seqc_nchw" in files else "seqc"
    if batch not in files.get(kind, {}):
        return None
    value: float = files[ours][batch] / files[kind][batch]
    return value


def _ratio(files: Mapping[str, Mapping[str, Any]], kind: str, batch: str) -> str:
    value = ratio(files, kind, batch)
    if value is None:
        return "does not run" if kind in files else "-"
    return f"{value:.3f}"


def _targets(found: Found) -> list[str]:
    more = [f"{name} {files['seqc']['nodes']}" for name, files in found.items() if files["seqc"]["nodes"] > NODES[name]]
    lines = [_target("no more nodes than listed", more)]
    for kind, limit in LIMITS.items():
        slower = [
            f"{name} at {batch} {value:.3f}"
            for name, files in found.items()
            for batch in BATCHES
            if (value := ratio(files, kind, batch)) is not None and round(value, 3) > limit
        ]
        lines.append(
            _target(
                f"at most {limit} of the time of files {'by' if kind == 'torch' else 'made'} {TITLES[kind]}", slower
            )
        )
    return lines


def _target(text: str, missed: list[str]) -> str:
    return f"- [{' ' if missed else 'x'}] {text}" + (f"; missed: {', '.join(missed)}" if missed else "")
