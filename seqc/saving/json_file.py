"""JSON: the description of a model alone, as `to_json` gives it, and what says in which files beside it weights are."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from seqc.errors import SavingError
from seqc.saving.limits import MOST_CONFIG_BYTES
from seqc.saving.model_file import ModelFile, OpenFile, checked_model, facts_of, parsed
from seqc.saving.sharded import read_sharded
from seqc.saving.tensorflow_js import read_tensorflow_js

CONFIGURATION = "the description of a model in JSON"


@contextmanager
def read_json(opened: OpenFile) -> Iterator[ModelFile]:
    """Reads JSON.

    Raises:
        SavingError: it describes no model.
    """
    content = opened.file.read(MOST_CONFIG_BYTES + 1)
    try:
        value = parsed(content, "The text", opened.path)
        if isinstance(value, str):  # json.dump(model.to_json(), file) writes the text as JSON once more
            value = parsed(value, "The text", opened.path)
    except SavingError as error:
        raise SavingError(f"'{opened.path}' is not the JSON of a model. {error}") from error
    if isinstance(value, Mapping) and "modelTopology" in value:
        yield read_tensorflow_js(value, opened.path)
        return
    if isinstance(value, Mapping) and "weight_map" in value:
        with read_sharded(value, opened.path) as found:
            yield found
        return
    described = checked_model(value, "The JSON", opened.path)
    yield ModelFile(CONFIGURATION, opened.path, described=described, is_old=True, **facts_of(described))


def model_of_text(text: str | bytes, source: str) -> ModelFile:
    """Returns what the JSON of a model says, which lies in no file.

    Args:
        text: the JSON. source: what messages call it.
    """
    content = text.encode() if isinstance(text, str) else text
    with read_json(OpenFile(io.BytesIO(content), source, content[:1], len(content))) as found:
        if found.weights is not None:
            raise SavingError(f"{source} refers to files with weights. Load the model from its file.")
        return found
