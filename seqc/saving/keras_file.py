"""`.keras` files: Keras's own, written without Keras."""

from __future__ import annotations

import json
import os
import time
from typing import BinaryIO

from seqc._version import __version__
from seqc.model import Model
from seqc.saving.archive import ASSETS, CONFIG, METADATA, SEEDS, WEIGHTS, pack
from seqc.saving.assets import written_assets
from seqc.saving.h5 import pack_store
from seqc.saving.model_config import KERAS_VERSION, model_config
from seqc.saving.state import model_arrays, walk
from seqc.training.model_seeds import seeds_of


def write_keras(model: Model, with_optimizer: bool, file: BinaryIO) -> None:
    """Writes a model: layers, weights, asset files, the arguments of `compile` and perhaps the optimizer's state.

    The same model gives the same bytes but for the date, which is taken from the environment variable SOURCE_DATE_EPOCH
    (seconds since 1970) if it is set.
    """
    facts = _metadata() | {SEEDS: seeds_of(model)}
    members = {METADATA: json.dumps(facts).encode(), CONFIG: json.dumps(model_config(model)).encode()}
    members[WEIGHTS] = pack_store(model_arrays(model, with_optimizer))
    members |= {f"{ASSETS}/{name}": content for name, content in written_assets(walk(model)).items()}
    pack(members, file)


def _metadata() -> dict[str, str]:
    given = os.environ.get("SOURCE_DATE_EPOCH")
    moment = time.gmtime(int(given)) if given else time.localtime()
    return {
        "keras_version": KERAS_VERSION,
        "date_saved": time.strftime("%Y-%m-%d@%H:%M:%S", moment),
        "written_by": f"seqc {__version__}",
    }
