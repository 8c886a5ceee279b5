"""Model files that other people made with all versions of Keras predict what Keras predicted, also when exported."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import seqc
from kit.oracle import ROOT
from seqc.errors import SavingError
from seqc.saving import load_model

FOLDER = ROOT.parent / "shared" / "realfiles"
REAL = sorted(
    path for path in FOLDER.glob("*") if path.suffix in (".h5", ".hdf5", ".keras") and "lambda" not in path.name
)
# What cannot be restored of their compile settings, beside what a model computes; the others come along whole.
UNCOMPILED = {
    "keras220_masking_two_lstm": None,  # never compiled
    "teachable_machine": None,
    "tfkeras215_windows_rnn": "the model is left uncompiled: .*HammingLoss",
}
STARTS_ANEW = {
    "keras122_lstm": "state of an optimizer of Keras 1.2.2, in an order that it does not say. It starts anew",
    "keras205_mini_xception": "state of an optimizer of Keras 2.0.5, in an order that it does not say. It starts anew",
    "keras38_nadam": "It starts anew",
}
RECORDED = sorted((ROOT.parent / "shared" / "oracle" / "models").glob("*.h5"))
pytestmark = pytest.mark.skipif(not REAL, reason="needs the files that other people made")


def recorded(path: Path) -> tuple[list[Any], Any]:
    arrays = np.load(f"{path}.npz")
    return [arrays[key] for key in sorted(arrays) if key.startswith("x")], arrays["y0"]


def close(y: Any, wanted: Any) -> None:
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5 * max(1, np.abs(wanted).max()))


@pytest.mark.slow
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_a_file_from_the_wild_predicts_what_keras_predicted(path: Any, tmp_path: Path) -> None:
    xs, wanted = recorded(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = load_model(path, compile=False)
    close(model.predict(xs if len(xs) > 1 else xs[0], batch_size=len(wanted), verbose=0), wanted)
    receipt = model.export(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    kinds = {"tensor(float)": "float32", "tensor(int32)": "int32"}
    feed = {i.name: x.astype(kinds[i.type]) for i, x in zip(session.get_inputs(), xs, strict=True)}
    close(session.run(None, feed)[0], wanted)
    # Their swish is no activation of ONNX's node; a hard_sigmoid of Keras 2 is one.
    fused = any(word in path.stem for word in ("lstm", "gru", "rnn")) and path.stem != "tfkeras213_lstm"
    assert any(kind in receipt.nodes for kind in ("LSTM", "GRU", "RNN")) == fused


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_settings_of_training_come_along_where_they_can(path: Any) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = load_model(path)
    expected = UNCOMPILED.get(path.stem) or STARTS_ANEW.get(path.stem)
    assert model.compiled == (path.stem not in UNCOMPILED)
    assert len(said) == (expected is not None), [str(one.message) for one in said]
    if expected is not None:
        with pytest.warns(UserWarning, match=expected):
            load_model(path)


def test_training_goes_on_with_the_state_of_the_optimizer() -> None:
    for name, steps in (("tfkeras26_mnist.h5", 4688), ("tfkeras213_lstm.h5", 0), ("keras35_gru.h5", 0)):
        model = load_model(FOLDER / name)
        assert int(model.optimizer.iterations.numpy()) > steps
        assert len(model.optimizer.variables) == 2 + 2 * len(model.trainable_variables)
        assert all(np.abs(v.numpy()).max() > 0 for v in model.optimizer.variables[2:])


def test_code_is_refused_with_a_way_out() -> None:
    path = FOLDER / "keras209_lambda.h5"
    with pytest.raises(
        SavingError, match=r"Lambda 'lambda_1', which is code.*'lambda_1': .*Rescaling\(1 / 127.5, offset=-1\)"
    ):
        load_model(path)
    objects = {"lambda_1": seqc.layers.Rescaling(2.0), "lambda_2": seqc.layers.Rescaling(3.0)}
    model = load_model(path, custom_objects=objects, compile=False)
    assert [layer.name for layer in model.layers if isinstance(layer, seqc.layers.Rescaling)] == list(objects)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name)
def test_an_h5_file_of_the_corpus_predicts_what_keras_predicted(path: Any) -> None:
    stem = path.name.partition(".")[0]
    if path.name.endswith(".weights.h5"):
        model = load_model(path.with_name(f"{stem}.keras"), compile=False)
        model.set_weights([0 * array for array in model.get_weights()])
        model.load_weights(path)
    else:
        model = load_model(path, compile=False)
    recorded = np.load(path.with_name(f"{stem}.npz"))
    close(model.predict(recorded["x"], verbose=0), recorded["y"])
