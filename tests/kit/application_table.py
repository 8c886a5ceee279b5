"""The table of docs/applications.md: `python -m kit.application_table` in tests/ writes it anew.

Parameters and files are those that Keras gave, see record_applications.py; nodes are those of the files that
test_applications_in_use.py exports and verifies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kit.made_applications import ANSWERS, FAMILIES, RECORDED, label_of
from kit.oracle import ROOT
from seqc import applications
from seqc.applications import imagenet_utils

PAGE = ROOT / "docs" / "applications.md"
PREPARED = {"caffe": "BGR less means", "tf": "from -1 to 1", "torch": "normalized", "unchanged": "by the model"}
HASHES = {64: "SHA-256", 32: "MD5"}


@dataclass(frozen=True)
class Exported:
    """What a file of a network is made of.

    Attributes:
        nodes: how many. inside: Transposes that are not at a border of the model.
    """

    nodes: int
    inside: int = 0


# Of one small network per family; in ConvNeXt, layers that read the last axis lie between convolutions.
EXPORTED = {
    "ConvNeXtTiny": Exported(213, 34),
    "DenseNet121": Exported(369),
    "EfficientNetB0": Exported(240),
    "EfficientNetV2B0": Exported(269),
    "InceptionResNetV2": Exported(579),
    "InceptionV3": Exported(216),
    "MobileNet": Exported(58),
    "MobileNetV2": Exported(101),
    "MobileNetV3Small": Exported(125),
    "NASNetMobile": Exported(636),
    "ResNet50": Exported(123),
    "ResNet50V2": Exported(144),
    "VGG16": Exported(34),
    "VGG19": Exported(40),
    "Xception": Exported(129),
}
SMALL = {name: (name, options) for name, options in ANSWERS if name in EXPORTED}
SMALL["VGG19"] = ("VGG19", SMALL["VGG16"][1])


def lines() -> list[str]:
    """Returns the lines of the table."""
    head = "| network | parameters | image, at least | images are prepared | published file | checked by | ONNX nodes |"
    return [head, "|---|---|---|---|---|---|---|", *_rows(json.loads(RECORDED.read_text(encoding="utf-8")))]


def _rows(recorded: dict[str, Any]) -> Iterator[str]:
    for module, names in FAMILIES.items():
        mode = _mode(getattr(applications, module).preprocess_input)
        for name in names:
            _, file, _, file_hash = recorded["files"][label_of((name, {"include_top": True}))]
            cells = [
                f"`{name}`",
                f"{recorded['made'][f'{name}()'][2]:,}",
                _sizes(getattr(applications, name).__doc__),
                PREPARED[mode],
                f"`{file}`",
                HASHES[len(file_hash)] if file_hash else "-",
                f"{EXPORTED[name].nodes}, verified" if name in EXPORTED else "",
            ]
            yield f"| {' | '.join(cells)} |"


def _mode(prepare: Any) -> str:
    return next(mode for mode in PREPARED if getattr(imagenet_utils, mode) is prepare)


def _sizes(doc: str) -> str:
    """Returns how large an image is by default, and at least."""
    least = re.search(r"each side (\d+)", doc)
    size = re.search(r"\((\d+|None), \1, 3\)", doc)
    assert least is not None
    assert size is not None
    return f"{size[1].replace('None', 'any')}, {least[1]}"


def update() -> None:
    """Writes the table anew, in place of the one on the page."""
    page = PAGE.read_text(encoding="utf-8").splitlines()
    first = next(i for i, line in enumerate(page) if line.startswith("|"))
    last = max(i for i, line in enumerate(page) if line.startswith("|"))
    PAGE.write_text("\n".join([*page[:first], *lines(), *page[last + 1 :]]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    update()
