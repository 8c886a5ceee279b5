"""Every recorded layer case that seqc's layers can express: outputs, masks, gradients, states and penalties."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit import merge_runs
from kit.layer_runs import check_case, check_in_double, check_on_onnxruntime
from kit.oracle import Case, cases, kept_cases, layer_classes, parameters
from kit.own_cells import CELLS
from seqc import saving
from seqc.errors import SeqcError
from seqc.serialization import classes

CASES = cases("layers")
CARRIED = {*classes("layers"), "DTypePolicy"}
# What seqc says no to, and how.
REFUSED = {
    "BatchNormalization-kt04-renorm_basics": "renorm=True",
    "BatchNormalization-kt05-renorm_basics": "renorm=True",
    "RNN-kt02-basics": "RNNCellWithDropout",
}


# Layers that only occur inside others.
INSIDE = {"LSTMCell": "LSTM", "GRUCell": "GRU", "SimpleRNNCell": "SimpleRNN", "StackedRNNCells": "RNN"}


def missing(case: Case) -> set[str]:
    return set(layer_classes(case.facts["layers"])) - CARRIED


EXPRESSIBLE = [case for case in CASES if not missing(case) and case.id not in REFUSED]
OTHERS = sorted({name for case in CASES for name in missing(case)})


@pytest.mark.parametrize("case", parameters(EXPRESSIBLE))
def test_layer_computes_what_keras_computes(case: Case) -> None:
    check_case(saving.load_model(case.file(".keras"), custom_objects=CELLS), case)


@pytest.mark.slow
@pytest.mark.parametrize("case", parameters(EXPRESSIBLE))
def test_exported_layer_computes_what_keras_computes(case: Case, tmp_path: Path) -> None:
    check_on_onnxruntime(saving.load_model(case.file(".keras"), custom_objects=CELLS), case, tmp_path / "model.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("case", parameters(EXPRESSIBLE))
def test_layer_in_double_precision_computes_what_keras_computes(case: Case, tmp_path: Path) -> None:
    check_in_double(saving.load_model(case.file(".keras"), custom_objects=CELLS), case, tmp_path / "model.onnx")


@pytest.mark.parametrize("case", parameters([case for case in CASES if case.id in REFUSED]))
def test_unsupported_option_is_refused_by_name(case: Case) -> None:
    with pytest.raises(SeqcError, match=REFUSED[case.id]):
        saving.load_model(case.file(".keras"))


@pytest.mark.skipif(not OTHERS, reason="every recorded layer class is carried, or none is recorded here")
def test_cases_of_other_layers() -> None:
    left = [case for case in CASES if missing(case)]
    pytest.skip(f"{len(left)} of {len(CASES)} cases use layers that seqc does not have: {', '.join(OTHERS)}")


@pytest.mark.skipif(not CASES, reason="needs the folder 'shared' beside the repository")
def test_every_carried_layer_has_a_recorded_case() -> None:
    recorded = [*EXPRESSIBLE, *kept_cases("layer_cases")]
    used = {name for case in recorded for name in (*layer_classes(case.facts["layers"]), "InputLayer")}
    used |= merge_runs.CLASSES  # layers of several tensors have cases of their own
    assert {name for name in classes("layers") if INSIDE.get(name, name) not in used} == set()
