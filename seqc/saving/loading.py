"""Models from files of any kind, whoever wrote them, without Keras and without running anything from them."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from seqc.errors import ConfigError, SavingError
from seqc.file_scope import Budget, one_file
from seqc.model import Model
from seqc.saving.check import check_classes
from seqc.saving.containers import open_model
from seqc.saving.json_file import model_of_text
from seqc.saving.limits import CALLS_PER_LAYER, DESCRIBED_WEIGHT_BYTES, FREE_CALLS, METRIC_BYTES, WEIGHT_SLACK_BYTES
from seqc.saving.model_file import ModelFile
from seqc.saving.prepare import stand_ins
from seqc.saving.vocabularies import check_vocabularies
from seqc.saving.weights_file import require_model, resume_optimizer
from seqc.seeds import undisturbed
from seqc.serialization import custom_object_scope, deserialize, revive
from seqc.sure import present
from seqc.training.model_seeds import set_seeds
from seqc.utils.display import note


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Model:
    """Reads a model that seqc or Keras saved.

    A `.keras` file, an `.h5` file of any Keras since its first version, or a `model.json` of TensorFlow.js. Keras is
    not needed, and no code from the file is ever run.

    What the file is, its content says, whatever its name ends in. What reading it may cost is bounded by its size; see
    `docs/inside/files.md`.

    Args:
        filepath: the file.
        custom_objects: own classes and functions by the name the file has for them; or, by the name of a layer in the
        file, a layer that takes its place, such as one that does what a Lambda did.
        compile: whether to restore optimizer, loss and metrics too; a model saved uncompiled stays so. Where they
        cannot be restored, a warning says why and the model is left uncompiled.
        safe_mode: accepted for Keras's sake. Code in a file is refused whatever it says.

    Raises:
        SavingFileNotFound: there is no file. SavingError: it is damaged, unsafe, or needs what seqc does not have.

    Example:
        >>> model = seqc.Sequential([seqc.Input((4,)), seqc.layers.Dense(3, "softmax")])
        >>> model.save("model.keras")
        >>> again = seqc.saving.load_model("model.keras")
        >>> np.array_equal(again.get_weights()[0], model.get_weights()[0])
        True
    """
    path = os.fspath(filepath)
    with undisturbed(), open_model(path) as opened, custom_object_scope(stand_ins(custom_objects)):
        weights = opened.weights
        if opened.described is not None and weights is None:
            raise SavingError(
                f"'{path}' is {opened.kind}, without weights. Make a model of it with "
                "seqc.models.model_from_json(text), and load the weights from their own file; or join the two: "
                f"seqc convert {path} model.keras --weights FILE"
            )
        model, budget = make_model(opened, custom_objects or {}, 0 if weights is None else weights.size)
        weights = present(weights)
        weights.fill(model, skip_mismatch=False, by_name=False)
        check_vocabularies(model, opened)
        if compile and opened.training is not None and _compile(model, opened, budget):
            resume_optimizer(model, weights, build=True)
        if opened.seeds is not None:
            with suppress(ConfigError):  # layers of one's own may have other generators by now
                set_seeds(model, opened.seeds)
    return model


def model_from_json(json_string: str, custom_objects: dict[str, Any] | None = None) -> Model:
    """Returns the model that `Model.to_json` described, of seqc or of any Keras, with fresh weights.

    Raises:
        SavingError: the text does not describe a model.
    """
    if not isinstance(json_string, str | bytes):
        raise SavingError(f"The JSON of a model is text; got {type(json_string).__name__}.")
    with custom_object_scope(stand_ins(custom_objects)):
        opened = model_of_text(json_string, "the JSON")
        config = opened.config()
        count = check_classes(config, opened.source)
        calls = FREE_CALLS + CALLS_PER_LAYER * count
        with one_file(Budget(DESCRIBED_WEIGHT_BYTES, METRIC_BYTES, calls, replaced=False)):
            model = deserialize(config)
    require_model(model)
    return model  # type: ignore[no-any-return]


def make_model(opened: ModelFile, objects: Mapping[str, Any], weight_bytes: int) -> tuple[Model, Budget]:
    """Returns the model that a file describes, whose weights are not set yet, and what the file may still ask for.

    Args:
        opened: the file. objects: the caller's own, by name. weight_bytes: how large its weights may be.

    Raises:
        SavingError: it describes none, or one that needs what seqc does not have.
    """
    config = opened.config(objects)
    count = check_classes(config, f"'{opened.source}'")
    budget = Budget(weight_bytes + WEIGHT_SLACK_BYTES, METRIC_BYTES, FREE_CALLS + CALLS_PER_LAYER * count)
    with one_file(budget):
        model = deserialize(config)
    require_model(model)
    return model, budget


def _compile(model: Model, opened: ModelFile, budget: Budget) -> bool:
    """Compiles a model as its file says, and returns whether that was possible.

    A model predicts and exports without; so whatever is wrong here is a warning. Who wants to go on with the training
    compiles it anew.
    """
    accepted = inspect.signature(model.compile).parameters
    try:
        arguments = opened.compile_arguments()
        with one_file(budget):
            model.compile(**{k: revive(v) for k, v in arguments.items() if k in accepted})
    except Exception as error:
        note(
            f"The arguments of compile() in '{opened.source}' cannot be restored, and the model is left uncompiled: "
            f"{error} Call model.compile(...) to train it, or load it with compile=False to be rid of this warning.",
            warn=True,
        )
        return False
    return True
