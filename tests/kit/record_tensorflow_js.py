"""Records models that TensorFlow.js's own converter writes, in an environment with `tf_keras` and `tensorflowjs`:

    python tests/kit/record_tensorflow_js.py tests/cases/tensorflow_js.zip

The archive has a folder for each model, as it is and with its weights rounded in every way that the converter knows,
with what Keras predicts with the weights that come of it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import types
import zipfile
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"
# The converter imports these for other kinds of models.
for _name in ("tensorflow_decision_forests", "tensorflow_hub", "jax", "jax.experimental", "jax.experimental.jax2tf"):
    sys.modules.setdefault(_name, types.ModuleType(_name))
sys.modules["jax"].experimental = sys.modules["jax.experimental"]  # type: ignore[attr-defined]
sys.modules["jax.experimental"].jax2tf = sys.modules["jax.experimental.jax2tf"]  # type: ignore[attr-defined]

import numpy as np  # noqa: E402
from record_old_models import hard_swish, nested, spread, stack  # noqa: E402
from tensorflowjs import read_weights  # noqa: E402
from tensorflowjs.converters import converter, keras_h5_conversion  # noqa: E402

ROUNDINGS = {"float16": {"float16": True}, "uint8": {"uint8": True}, "uint16": {"uint16": True}}
SHARD_BYTES = 300


def read_back(folder: Path) -> dict[str, Any]:
    """Returns the weights that the converter itself reads, by name."""
    manifest = json.loads((folder / "model.json").read_text())["weightsManifest"]
    return {one["name"]: one["data"] for one in read_weights.read_weights(manifest, str(folder), flatten=True)}


def main(target: str) -> None:
    rng = np.random.default_rng(12)
    with tempfile.TemporaryDirectory() as temporary, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for make in (stack, nested, hard_swish):
            model = make()
            spread(model, rng)
            whole, folder = Path(temporary) / f"{model.name}.h5", Path(temporary)
            model.save(whole)
            keras_h5_conversion.save_keras_model(model, str(folder / model.name), weight_shard_size_bytes=SHARD_BYTES)
            for rounding, told in ROUNDINGS.items() if make is stack else ():
                converter.dispatch_keras_h5_to_tfjs_layers_model_conversion(
                    str(whole), str(folder / f"{model.name}_{rounding}"), quantization_dtype_map=told
                )
            xs = [rng.normal(size=(4, *x.shape[1:])).astype("float32") for x in model.inputs]
            for path in sorted(p for p in folder.glob(f"{model.name}*") if p.is_dir()):
                weights = read_back(path)
                for weight in model.weights:
                    weight.assign(weights[weight.name.removesuffix(":0")])
                ys = model.predict(xs, verbose=0)
                arrays = {f"x{i}": x for i, x in enumerate(xs)}
                arrays |= {f"y{i}": y for i, y in enumerate(ys if isinstance(ys, list) else [ys])}
                np.savez(path / "recorded.npz", **arrays)  # type: ignore[arg-type]
                for file in sorted(path.iterdir()):
                    archive.write(file, f"{path.name}/{file.name}")


if __name__ == "__main__":
    main(sys.argv[1])
