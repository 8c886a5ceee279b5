"""Vocabularies that layers learned from data: only `.keras` files have them, as files beside the configuration."""

from __future__ import annotations

from typing import Any

from seqc.errors import SavingError
from seqc.layers._vocabulary_layer import VocabularyLayer
from seqc.layers.index_lookup import IndexLookup
from seqc.layers.text_vectorization import TextVectorization
from seqc.model import Model
from seqc.saving.model_file import ModelFile


def refuse_learned(model: Model) -> None:
    """Raises SavingError where a layer has a vocabulary that is not in its configuration, for files without others."""
    for layer in model._owners():
        if isinstance(layer, IndexLookup | TextVectorization) and _lookup(layer)._has_assets:
            raise SavingError(
                f"Layer '{layer.name}' keeps a vocabulary that adapt() found, for which an `.h5` file has no place. "
                "Save the model as `.keras`."
            )


def _lookup(layer: Any) -> Any:
    return layer._lookup_layer if isinstance(layer, TextVectorization) else layer


def check_vocabularies(model: Model, opened: ModelFile) -> None:
    """Checks that layers have the vocabularies that they had when a file was written.

    Args:
        model: made from the file, with its weights. opened: the file.

    Raises:
        SavingError: one has not.
    """
    for layer in model._owners():
        # One that looks words up for another layer comes behind that one, by whose name it can be replaced.
        lookup = _lookup(layer)
        if not isinstance(lookup, VocabularyLayer) or lookup._known:
            continue
        if lookup._frozen_size is not None and lookup._frozen_size > lookup._first_token:
            raise SavingError(
                f"Layer '{layer.name}' ({type(layer).__name__}) in '{opened.source}' had {lookup._frozen_size} tokens "
                f"that adapt() found, and they are not in the file: {opened.kind} has no place for them. Save the "
                f"model as `.keras`, or pass custom_objects={{'{layer.name}': {type(layer).__name__}"
                "(vocabulary=[...])}."
            )
