"""The table of docs/from-keras.md: `python -m kit.name_table` writes it anew.

It has every public name of Keras and what it is here. What is the same and what is not here follows from the code;
what differs is said in `DIFFERS`, a word for each name, and at length in docs/differences.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import seqc
from kit.oracle import ROOT
from kit.record_names import PAGE as RECORDED
from seqc.errors import MissingDependencyError
from seqc.utils.absent import reason

PAGE = ROOT / "docs" / "from-keras.md"
_ONE_PROCESSOR = "accepted; everything is computed on the processor"
_NO_EFFECT = "accepted; changes nothing"
_BOXES = "boxes become those around their corners, in any format, within the image"
_FLOATS = "vectors are floats, also on what is TensorFlow's backend in Keras; a new vocabulary acts at once"
_WILL_LOG = "refuses a metric that nothing will log, where Keras warns"
_STEP_BY_STEP = "trains step by step over a known length; of free length it predicts and exports"
_KNOWN = "in a model, what its shape depends on must be known"
_NO_RESULT = "raises an error for a matrix without result, where Keras on JAX gives NaN"
_NO_PARAMETERS = "no gradient reaches its parameters"
_ONLY_ONE = "accepts the one that there is, and refuses others"
DIFFERS: dict[str, str] = {
    "KerasTensor": "for isinstance, and to make inputs; neither sparse nor ragged",
    "Input": "neither sparse nor ragged",
    "Model": "exports ONNX; steps are traced once; `metrics` lists each metric",
    "RematScope": _NO_EFFECT,
    "device": _ONE_PROCESSOR,
    "name_scope": _NO_EFFECT,
    "remat": _NO_EFFECT,
    "version": "of seqc",
    "activations.sparsemax": "as in its paper; Keras 3.15 gives zeros for some inputs",
    "callbacks.BackupAndRestore": "goes on within an epoch, with the same bits",
    "callbacks.CSVLogger": "has `val_` columns only where there is validation",
    "callbacks.EarlyStopping": _WILL_LOG,
    "callbacks.ModelCheckpoint": _WILL_LOG,
    "callbacks.ReduceLROnPlateau": _WILL_LOG,
    "config.backend": '"numpy"',
    "config.disable_flash_attention": _NO_EFFECT,
    "config.disable_traceback_filtering": _NO_EFFECT,
    "config.enable_flash_attention": _NO_EFFECT,
    "config.enable_traceback_filtering": _NO_EFFECT,
    "config.enable_unsafe_deserialization": "refused: nothing in a file is ever run",
    "config.set_backend": _ONLY_ONE,
    "config.set_epsilon": _ONLY_ONE,
    "config.set_image_data_format": f"{_ONLY_ONE}; layers take `data_format`",
    "layers.AugMix": "chooses its layers for each batch",
    "layers.CategoryEncoding": "gives what its policy computes in",
    "layers.CutMix": "takes no boxes",
    "layers.IntegerLookup": _FLOATS,
    "layers.Lambda": "files hold the name of its function and no code; a Python lambda is cloned and not saved",
    "layers.MixUp": "mixes whole masks; each image has its own and its partner's boxes",
    "layers.Normalization": "weights that are set count at once",
    "layers.RandAugment": "moves boxes in the order of the images",
    "layers.RandomCrop": "gives images of its size always",
    "layers.RandomElasticTransform": "moves along columns and rows by different numbers; takes no boxes",
    **dict.fromkeys(
        ("layers.RandomRotation", "layers.RandomShear", "layers.RandomTranslation", "layers.RandomZoom"), _BOXES
    ),
    "layers.StringLookup": _FLOATS,
    "layers.TextVectorization": _FLOATS,
    "losses.CTC": "trains here; not in an exported training step",
    "metrics.AUC": "a prediction that is NaN is below every threshold",
    "metrics.Precision": "with `top_k`, a prediction that is NaN is not among them",
    "models.load_model": "reads Keras 1 to 3 and TensorFlow.js, by content; runs no code of a file",
    "models.save_model": "writes one file, which could be loaded again",
    "ops.associative_scan": "of one known size along its axis",
    "ops.cholesky": _NO_RESULT,
    "ops.cond": "in a model, computes both branches and chooses",
    "ops.ctc_loss": "infinite for labels that do not fit; not exported",
    "ops.fori_loop": _STEP_BY_STEP,
    "ops.image.affine_transform": "divides by 1 + c0 x + c1 y, as its documentation says",
    "ops.image.elastic_transform": "moves along columns and rows by different numbers",
    "ops.inv": _NO_RESULT,
    "ops.istft": "divides by the windows at the ends, too",
    "ops.ldexp": "scales denormal numbers",
    "ops.map": _STEP_BY_STEP,
    "ops.nonzero": _KNOWN,
    "ops.pad": "mirrors as many elements as there are",
    "ops.rearrange": "refuses patterns that make no sense; an axis that splits has a known size",
    "ops.saturate_cast": "of integers to floats keeps the numbers",
    "ops.scan": _STEP_BY_STEP,
    "ops.scatter_update": "which of two numbers for one place stays is not said",
    "ops.segment_max": "in a model, needs `num_segments`",
    "ops.segment_sum": "in a model, needs `num_segments`",
    "ops.shape": "of a symbol, open sizes are values with which one computes",
    "ops.solve": _NO_RESULT,
    "ops.switch": "in a model, computes all branches and chooses",
    "ops.unique": "in a model, needs `size`",
    "ops.while_loop": "needs `maximum_iterations` where numbers say when it ends",
    "optimizers.LossScaleOptimizer": "its state in a file is restored",
    "optimizers.Muon": "patterns are for paths that begin with a layer",
    "optimizers.OptimizerMap": "patterns are for paths that begin with a layer; one that matches nothing is warned of",
    **dict.fromkeys(("random.beta", "random.binomial", "random.gamma"), _NO_PARAMETERS),
    "regularizers.OrthogonalRegularizer": "0 of a matrix with one row; Keras gives NaN",
    "saving.KerasFileEditor": "counts each weight once; keeps names, and weights of layers inside layers",
    "saving.load_model": "as models.load_model",
    "saving.save_model": "as models.save_model",
    "saving.save_weights": "writes one file: `.weights.h5`, `.npz` or `.safetensors`",
    "tree.map_structure_up_to": "None is a leaf of the shallow structure, as its documentation says",
    "utils.get_file": "raises where an archive cannot be unpacked",
    "utils.pack_x_y_sample_weight": "keeps weights where y is None",
    "utils.split_dataset": "takes dictionaries and anything that gives samples; its parts are iterables",
}
# Modules whose names are those of another one.
SECOND = ("ops.linalg", "ops.nn", "ops.numpy")
SAME = "the same"


@cache
def recorded() -> dict[str, list[str]]:
    """Returns the names of Keras by module."""
    return {home: names.split() for home, names in json.loads(RECORDED.read_text()).items()}


def at(path: str) -> Any:
    """Returns what is at a path of Keras's names, None where nothing is; or what says that it needs a package."""
    found: Any = seqc
    try:
        for name in path.split(".") if path else ():
            found = getattr(found, name, None)
    except MissingDependencyError as error:
        return error
    return found


def why_not(path: str) -> str:
    """Returns what is said of a path at which nothing is: of the first name on it that is not there."""
    home: Any = seqc
    for name in path.split("."):
        if getattr(home, name, None) is None:
            return reason(home.__name__, name) or ""
        home = getattr(home, name)
    raise ValueError(f"{path} is there.")


def lines() -> Iterator[str]:
    """Yields the lines of the table."""
    yield "| in Keras | names | here |"
    yield "|---|---|---|"
    for home, names in recorded().items():
        title = f"`keras.{home}`".replace(".`", "`")
        if home in SECOND:
            yield f"| {title} | {len(names)} names of `keras.ops` | as there |"
            continue
        for here, group in _grouped(home, names).items():
            yield f"| {title} | {' '.join(f'`{name}`' for name in group) or 'all'} | {here} |"


def _grouped(home: str, names: list[str]) -> dict[str, list[str]]:
    """Returns the names of a module by what they are here; the same first, and what is not here last."""
    if at(home) is None:
        return {f"not here: {why_not(home)}": names}
    found: dict[str, list[str]] = {SAME: []}
    absent: dict[str, list[str]] = {}
    for name in names:
        path = f"{home}.{name}".lstrip(".")
        if at(path) is None:
            absent.setdefault(f"not here: {why_not(path)}", []).append(name)
        elif path in DIFFERS:
            found.setdefault(f"differs: {DIFFERS[path]}", []).append(name)
        else:
            found[SAME].append(name)
    return {here: group for here, group in (found | absent).items() if group}


def update() -> None:
    """Writes the table anew."""
    page = PAGE.read_text(encoding="utf-8").splitlines()
    table = [i for i, line in enumerate(page) if line.startswith(("| in Keras", "| `keras"))]
    page[table[0] : table[-1] + 1] = list(lines())
    PAGE.write_text("\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    update()
