"""Arguments of layers are refused where Keras refuses them: recorded answers to bad values, and what differs on purpose."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest

import seqc
from kit import argument_cases
from kit.argument_cases import ACCEPTED, CALLED, FOLDER, MADE, VALUES

RECORDED: dict[str, dict[str, str]] = json.loads((FOLDER / "layer_arguments.json").read_text())
REFUSED = (MADE, CALLED)
# What Keras refuses, by argument, or by layer and argument, and value, and seqc takes.
LOOSER = {
    ("epsilon", None): "stands for the default, as it does for LayerNormalization",
    **{("keepdims", repr(v)): "any truth value; Keras fails where it hashes its arguments" for v in ([], [1], {})},
}
# What seqc refuses and Keras, by chance or because it never looks, takes: by argument, and why.
STRICTER: dict[str, str] = {}


def differences(answers: dict[str, dict[str, str]]) -> list[tuple[str, str, Any, bool]]:
    """The layer, the argument, the value, and whether Keras is the one that refuses it."""
    found = []
    for name, arguments in RECORDED.items():
        for argument, said in arguments.items():
            for value, theirs, ours in zip(VALUES, said, answers[name][argument], strict=True):
                if theirs in REFUSED and ours == ACCEPTED:
                    found.append((name, argument, value, True))
                if theirs == ACCEPTED and ours in REFUSED:
                    found.append((name, argument, value, False))
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for row in differences(argument_cases.answers(seqc)):
        print(row)
