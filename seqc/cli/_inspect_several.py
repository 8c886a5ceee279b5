"""`seqc inspect` of several model files: a line for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqc.cli._kinds import MODEL_KINDS, kind_of, require_file
from seqc.cli._output import Screen
from seqc.cli._several import each, expanded, finish
from seqc.errors import ConfigError


def inspect_several(show: Screen, sources: Sequence[Path]) -> None:
    """Shows what each of several model files is and what stops it; the weights are not read.

    Args:
        show: where to print. sources: files, folders and patterns.
    """
    results, failed = each(show, expanded(sources), _line)
    show.result({"files": results, "failed": failed})
    finish(failed)


def _line(source: Path) -> tuple[str, Any]:
    from seqc.cli._model_file import facts_of_file, fitting_model
    from seqc.saving.containers import open_model

    require_file(source)
    if kind_of(source) not in MODEL_KINDS and source.suffix in (".onnx", ".npy", ".py"):
        raise ConfigError("It is no model file of Keras. Of such files, `seqc inspect` takes one at a time.")
    with open_model(source) as opened:
        rows, facts = facts_of_file(opened, source)
        said = dict(rows)
        if opened.described is not None:
            fitting_model(opened)
    return f"{said['kind']}, {said.get('model', said.get('weights', ''))}, by {said['written by']}", facts
