"""`seqc convert`: a model or its weights from one kind of file into another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seqc.cli._errors import Debug
from seqc.cli._output import AsJson, keep_apart, screen
from seqc.errors import ConfigError

# Of weights alone in parts and the file that names them, which "JSON" would take for layers.
JSON, SHARDED = ".json", ".weights.json"


def convert(
    source: Annotated[
        Path,
        typer.Argument(metavar="IN", help="A model file of Keras, of any version (only read), or a FILE (.py, run)."),
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write; its ending says which kind.")],
    weights: Annotated[Path | None, typer.Option(help="Take the weights from this file.", show_default=False)] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Convert a model file into another kind of model file.

    IN is told by its content: .keras and HDF5 files of all versions of Keras, model.json of TensorFlow.js, or the JSON
    of a model with --weights. OUT is a whole model (.keras, .h5), weights alone (.weights.h5, .npz, .safetensors), or
    the layers alone (.json). Compile settings and the optimizer's state come along where they can. For ONNX, see
    `seqc export`.

    \b
    Examples:
      seqc convert old_model.h5 model.keras
      seqc convert tfjs/model.json model.h5
      seqc convert architecture.json model.keras --weights legacy_weights.h5
      seqc convert model.keras weights.safetensors
    """
    from seqc.cli._source import load_source
    from seqc.saving.containers import MODEL_ENDINGS, WEIGHT_ENDINGS, check_packages, model_writer, weights_writer
    from seqc.saving.sharded_writer import shards_beside
    from seqc.utils.files import check_target, write_file

    with screen(as_json) as show:
        whole, alone = model_writer(target), weights_writer(target)
        if whole is None and alone is None and target.suffix != JSON:
            hint = f" Use: seqc export {source} -o {target}" if target.suffix == ".onnx" else ""
            endings = ", ".join((*MODEL_ENDINGS, *WEIGHT_ENDINGS, JSON))
            raise ConfigError(f"The file to write must have a name that ends in {endings}; got {target}.{hint}")
        if target.name.endswith(SHARDED):
            raise ConfigError(
                f"{target} would name weights in several files, which model.save_weights(path, max_shard_size=1) "
                f"writes. Here, weights go into one of {', '.join(WEIGHT_ENDINGS)}."
            )
        keep_apart(target, source, *([] if weights is None else [weights, *shards_beside(weights)]))
        check_target(target)
        check_packages(target)
        model = load_source(source, weights, compiled=True)
        if alone is not None:
            model.save_weights(target)
        elif whole is not None:
            model.save(target)
        else:
            write_file(target, model.to_json(indent=2).encode())
        what = "the weights of " if alone is not None else "the layers of " if whole is None else ""
        show.line(f"Wrote {what}model '{model.name}' to {target} ({target.stat().st_size:,} bytes).")
        show.result(
            {
                "source": str(source),
                "target": str(target),
                "name": model.name,
                "parameters": model.count_params(),
                "compiled": model.compiled,
                "bytes": target.stat().st_size,
            }
        )
