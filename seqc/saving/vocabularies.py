"""Vocabularies that layers learned from data: only `.keras` files have them, as files beside the configuration."""

from __future__ import annotations

from seqc.errors import SavingError
from seqc.layers._vocabulary_layer import VocabularyLayer
from seqc.model import Model
from seqc.saving.model_file import ModelFile


def vocabulary_layers(model: Model) -> list[VocabularyLayer]:
    """Returns all layers of a model that look tokens up, those inside others too."""
    return [one for one in model._owners() if isinstance(one, VocabularyLayer)]


def check_vocabularies(model: Model, opened: ModelFile) -> None:
    """Checks that layers have the vocabularies that they had when a file was written.

    Args:
        model: made from the file, with its weights. opened: the file.

    Raises:
        SavingError: one has not; it would take every token for an unknown one.
    """
    for layer in vocabulary_layers(model):
        if layer._frozen_size is not None and not layer._tokens and layer._frozen_size > layer._first_token:
            raise SavingError(
                f"Layer '{layer.name}' ({type(layer).__name__}) in '{opened.source}' had {layer._frozen_size} tokens "
                f"that adapt() found, and they are not in the file: {opened.kind} has no place for them. Save the "
                f"model as `.keras`, or pass custom_objects={{'{layer.name}': {type(layer).__name__}"
                "(vocabulary=[...])}."
            )


def refuse_learned(model: Model, kind: str) -> None:
    """Checks that a kind of file has room for all vocabularies of a model.

    Raises:
        SavingError: one was learned from data.
    """
    for layer in vocabulary_layers(model):
        if layer._tokens and layer._in_config[0] is None:  # type: ignore[attr-defined]
            raise SavingError(
                f"Model '{model.name}' is not saved: {kind} has no place for the vocabulary that adapt() found for "
                f"layer '{layer.name}' ({type(layer).__name__}). Save it as `.keras`."
            )
