"""A part of the recorded layer cases lives in the repository, so that every layer is compared in any clone."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.layer_runs import check_case, check_on_onnxruntime
from kit.merge_runs import CLASSES as OF_SEVERAL_TENSORS
from kit.oracle import Case, kept_cases, layer_classes, parameters
from seqc import Input, Sequential
from seqc.known_classes import classes
from seqc.serialization import deserialize

CASES = kept_cases("layer_cases")
# Layers that only occur inside others.
INSIDE = {"LSTMCell": "LSTM", "GRUCell": "GRU", "SimpleRNNCell": "SimpleRNN", "StackedRNNCells": "RNN"}
# Two cases drop a mask, which is said; test_layers.py tells which layers do.
pytestmark = pytest.mark.filterwarnings("ignore:Layer .* does not support masking")


def built(case: Case) -> Sequential:
    """The stack of a case, made from its configurations, with its weights."""
    model = Sequential([Input(batch_shape=case.facts["input_shape"], dtype=case.facts["input_dtype"])])
    for described in case.facts["layers"]:
        model.add(deserialize({"module": "keras.layers", "registered_name": None, **described}))
    model.set_weights(case.weights)
    if "vocabulary" in case.facts:
        model.layers[0].set_vocabulary(case.facts["vocabulary"])
    return model


@pytest.mark.parametrize("case", parameters(CASES))
def test_kept_case(case: Case) -> None:
    check_case(built(case), case)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("case", parameters(CASES))
def test_kept_case_on_onnxruntime(case: Case, tmp_path: Path) -> None:
    check_on_onnxruntime(built(case), case, tmp_path / "model.onnx")


def test_every_layer_has_a_kept_case() -> None:
    used = {name for case in CASES for name in (*layer_classes(case.facts["layers"]), "InputLayer")}
    # Keras cannot put Equalization into a model: see test_image_layers.py. Lambda: see test_lambda_files.py.
    elsewhere = OF_SEVERAL_TENSORS | {"Equalization", "Lambda"}
    assert {name for name in set(classes("layers")) - elsewhere if INSIDE.get(name, name) not in used} == set()


@pytest.mark.parametrize("name", ["y", "g0", "dx", "s0", "y_train"])
def test_a_wrong_number_is_noticed(name: str) -> None:
    """The comparison itself: one recorded number moved by more than its tolerance must fail."""
    case = next(case for case in CASES if case.id == "BatchNormalization-rank3_default")
    arrays = {key: array.copy() for key, array in case.arrays.items()}
    arrays[name].flat[0] += 1e-3
    with pytest.raises(AssertionError, match=name):
        check_case(built(case), Case(case.id, case.facts, arrays, case.folder))
