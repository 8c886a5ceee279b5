"""What `seqc inspect` says of a model file before its layers are made."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqc.cli._output import count
from seqc.text import shorten

if TYPE_CHECKING:
    from seqc.model import Model
    from seqc.saving.model_file import ModelFile

# Of the kinds of layers in one row, in characters.
_LONGEST = 300


def facts_of_file(opened: ModelFile, source: Path) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    """Returns rows that say what a file is, who wrote it and what is in it, and the same for JSON.

    Args:
        opened: the file. source: where it is.
    """
    keras = f"Keras {opened.version}" if opened.version else "not said"
    writer = ", ".join(part for part in (opened.written_by, keras, opened.backend, opened.date) if part)
    rows = [("kind", opened.kind), ("written by", writer)]
    facts: dict[str, Any] = {
        "file": {
            "kind": opened.kind,
            "keras_version": opened.version or None,
            "backend": opened.backend or None,
            "written_by": opened.written_by or None,
            "date": opened.date or None,
        }
    }
    if opened.described is not None:
        layers = _layers(opened.described)
        name = str(opened.described["class_name"])
        listed = ", ".join(f"{n} {kind}" for kind, n in layers.most_common())
        rows.append(("model", f"{name} of {count(layers.total(), 'layer')} ({shorten(listed, _LONGEST)})"))
        facts["described"] = {"class": name, "layers": dict(layers)}
    if opened.weights is not None:
        arrays = opened.weights.listed()
        rows.append(("weights", f"{count(len(arrays), 'array')}, {opened.weights.size:,} bytes"))
        facts["weights"] = {
            "bytes": opened.weights.size,
            "arrays": [{"name": a.name, "shape": list(a.shape), "dtype": a.dtype} for a in arrays],
        }
    if opened.described is not None:
        rows.append(("training", _training(opened)))
        facts["compiled"] = opened.training is not None
    return rows, facts


def fitting_model(opened: ModelFile) -> Model:
    """Returns the model that a file describes, with zeros for its weights, which are not read.

    Raises:
        SavingError: it cannot be made, or the weights do not fit it.
    """
    from seqc.saving.loading import make_model
    from seqc.saving.vocabularies import check_vocabularies

    model, _ = make_model(opened, {}, 0 if opened.weights is None else opened.weights.size)
    if opened.weights is not None:
        opened.weights.unread().fill(model, skip_mismatch=False, by_name=False)
        check_vocabularies(model, opened)
    return model


def _training(opened: ModelFile) -> str:
    training = opened.training
    if not isinstance(training, dict):
        return "not compiled"
    optimizer = training.get("optimizer_config", training.get("optimizer"))
    name = optimizer.get("class_name") if isinstance(optimizer, dict) else optimizer
    loss = training.get("loss")
    named = loss.get("class_name", loss.get("config")) if isinstance(loss, dict) and "class_name" in loss else loss
    return shorten(f"compiled with {name}, loss {named}", _LONGEST)


def _layers(described: Any) -> Counter[str]:
    """Returns how many layers of each class a description has, those inside models too."""
    found: Counter[str] = Counter()
    waiting = [described.get("config")]
    while waiting:
        config = waiting.pop()
        listed = config.get("layers") if isinstance(config, dict) else config if isinstance(config, list) else None
        for entry in listed if isinstance(listed, list) else ():
            if isinstance(entry, dict) and isinstance(entry.get("class_name"), str):
                found[entry["class_name"]] += 1
                waiting.append(entry.get("config"))
    return found
