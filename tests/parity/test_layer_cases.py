"""Every recorded layer case that seqc's layers can express: outputs, masks, gradients, states and penalties."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit import merge_runs
from kit.effort import turn
from kit.layer_runs import NOT_EXPORTED, OPSETS, check_case, check_in_double, check_on_onnxruntime
from kit.onnx_models import compiled, node_types
from kit.oracle import Case, cases, kept_cases, layer_classes, parameters
from kit.own_cells import CELLS
from seqc import saving
from seqc.errors import SeqcError
from seqc.export.model import inference_graph
from seqc.known_classes import classes

CASES = cases("layers")
CARRIED = {*classes("layers"), "DTypePolicy"}
# What seqc says no to, and how.
REFUSED = {
    "BatchNormalization-kt04-renorm_basics": "renorm=True",
    "BatchNormalization-kt05-renorm_basics": "renorm=True",
}


# Layers that only occur inside others.
INSIDE = {"LSTMCell": "LSTM", "GRUCell": "GRU", "SimpleRNNCell": "SimpleRNN", "StackedRNNCells": "RNN"}


def missing(case: Case) -> set[str]:
    return set(layer_classes(case.facts["layers"])) - CARRIED


EXPRESSIBLE = [case for case in CASES if not missing(case) and case.id not in REFUSED]
OTHERS = sorted({name for case in CASES for name in missing(case)})


# Two cases drop a mask, which is said; test_layers.py tells which layers do.
pytestmark = pytest.mark.filterwarnings("ignore:Layer .* does not support masking")


@pytest.mark.one_in(4)
@pytest.mark.parametrize("case", parameters(EXPRESSIBLE))
def test_layer_computes_what_keras_computes(case: Case) -> None:
    check_case(saving.load_model(case.file(".keras"), custom_objects=CELLS), case)


@pytest.mark.slow
@pytest.mark.parametrize("case", parameters(EXPRESSIBLE))
def test_exported_layer_computes_what_keras_computes(case: Case, tmp_path: Path) -> None:
    check_on_onnxruntime(saving.load_model(case.file(".keras"), custom_objects=CELLS), case, tmp_path / "model.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("case", parameters(turn(EXPRESSIBLE, 0, 3)))
def test_layer_in_double_precision_computes_what_keras_computes(case: Case, tmp_path: Path) -> None:
    check_in_double(saving.load_model(case.file(".keras"), custom_objects=CELLS), case, tmp_path / "model.onnx")


@pytest.mark.parametrize("case", parameters([case for case in CASES if case.id in REFUSED]))
def test_unsupported_option_is_refused_by_name(case: Case) -> None:
    with pytest.raises(SeqcError, match=REFUSED[case.id]):
        saving.load_model(case.file(".keras"))


def test_every_recorded_class_is_carried() -> None:
    assert OTHERS == []


@pytest.mark.skipif(not CASES, reason="needs the folder 'shared' beside the repository")
def test_every_carried_layer_has_a_recorded_case() -> None:
    recorded = [*EXPRESSIBLE, *kept_cases("layer_cases")]
    used = {name for case in recorded for name in (*layer_classes(case.facts["layers"]), "InputLayer")}
    used |= merge_runs.CLASSES  # layers of several tensors have cases of their own
    used.add("Equalization")  # Keras cannot put it into a model: see test_image_layers.py
    used.add("Lambda")  # see test_lambda_files.py
    assert {name for name in classes("layers") if INSIDE.get(name, name) not in used} == set()


# Files of one layer that have more than eight nodes, by what their cases begin with or hold, and why.
LONG = {
    "AutoContrast": "its arithmetic, with a lowest and highest value per image and what to do where they are one",
    "Conv1D-dynamic_length": "padding that depends on the length, computed in the file",
    "Conv2D-dynamic_hw": "padding that depends on the size, computed in the file",
    "ContrastLimited": "counts of the levels in each tile, which a pixel's own four tiles are blended by",
    "ConvLSTM": "a Scan around what is computed for all steps at once",
    "LayerNormalization-rank": "an axis that is not the last: no operator",
    "MelSpectrogram": "frames, a Fourier transform, a filter bank and decibels",
    "RNN-kt02": "a Scan over a user's cell, with a first state of as many rows as the batch",
    "RNN-kt06": "a Scan over a user's cell, with a first state of as many rows as the batch",
    "RNN-kt07": "a Scan over a user's cell, with a first state of as many rows as the batch",
    "STFTSpectrogram": "frames, a Fourier transform, and magnitudes or angles of it",
    "TextVectorization": "lower case, 32 characters left out, split at blanks, looked up and cut to length",
    "act-gelu": "gelu is five nodes, which onnxruntime fuses; one from opset 20 on",
}


# Three nodes for each of 32 characters that are left out of texts.
PER_CHARACTER = "TextVectorization"


@pytest.mark.slow
@pytest.mark.skipif(not CASES, reason="needs the folder 'shared' beside the repository")
def test_files_of_single_layers_are_short() -> None:
    counts = {}
    for case in EXPRESSIBLE:
        if len(case.facts["layers"]) == 1 and case.id not in NOT_EXPORTED:
            model = saving.load_model(case.file(".keras"), custom_objects=CELLS)
            counts[case.id] = len(node_types(compiled(inference_graph(model), opset=OPSETS.get(case.id, 18))))
    assert len(counts) > 450
    short = [count for name, count in counts.items() if not name.startswith(PER_CHARACTER)]
    assert sum(short) / len(short) <= 4
    long = [name for name, count in counts.items() if count > 8]
    reasons = {name: [start for start in LONG if start in name] for name in long}
    assert [name for name, found in reasons.items() if not found] == []
    assert {start for found in reasons.values() for start in found} == set(LONG)
