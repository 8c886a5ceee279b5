"""Arguments of layers are refused where Keras refuses them, but for what differs on purpose."""

from __future__ import annotations

import json
from typing import Any

import pytest

import seqc
from kit import argument_cases
from kit.argument_cases import ACCEPTED, CALLED, FOLDER, MADE, VALUES

RECORDED: dict[str, dict[str, str]] = json.loads((FOLDER / "layer_arguments.json").read_text())
REFUSED = (MADE, CALLED)
# Arguments of which Keras refuses a value that seqc takes, and why.
LOOSER = {
    "axis": "Softmax over no axes; Keras fails inside",
    "epsilon": "None is the default of every layer; Keras's BatchNormalization alone refuses it",
    **dict.fromkeys(("go_backwards", "keepdims"), "any truth value; Keras fails where it hashes its arguments"),
    "layers": "no layers give back what comes in; Keras fails inside",
    "offset": "an empty list has nothing to add to; Keras fails inside",
    "shared_axes": "an empty dictionary shares nothing; Keras fails inside",
    "synchronized": "there is one replica; Keras refuses it where its backend is not TensorFlow",
}
_QUANTIZED = "not carried, and refused by name at any value but the default"
_BOOLEAN = "a boolean or a fraction is no count"
_KIND = "must be what it says, also where Keras never looks at it"
# Arguments of which Keras takes a value that seqc refuses, and why.
STRICTER = {
    **dict.fromkeys(("gptq_unpacked_column_size", "lora_alpha", "lora_rank", "quantization_config"), _QUANTIZED),
    **dict.fromkeys(("renorm", "renorm_clipping", "renorm_momentum", "synchronized"), _QUANTIZED),
    "sparse": "no sparse tensors",
    **dict.fromkeys(("frame_step", "kernel_size", "num_bins", "num_chains", "num_ops", "salt"), _BOOLEAN),
    "sequence_stride": "a fraction of a sample",
    "alpha": "no distribution has it",
    **dict.fromkeys(("encoding", "oov_token", "weights"), _KIND),
    **dict.fromkeys(("depth_multiplier", "filters", "groups", "num_tokens", "rate", "stddev", "units"), _BOOLEAN),
    **dict.fromkeys(("height", "width"), "an image of no pixels, or of True pixels"),
    **dict.fromkeys(("data_format", "mode", "noise_shape", "value_range", "target_shape"), _KIND),
    **dict.fromkeys(("brightness_factor", "factor"), _KIND),
    "axis": "no axes, or a fraction of one",
    "epsilon": _KIND,
    "output_shape": "of another length than the equation says",
    "shared_axes": "the batch is no axis of a slope",
}


def differences(answers: dict[str, dict[str, str]]) -> list[tuple[str, str, Any, bool]]:
    """The layer, the argument, the value, and whether Keras is the one that refuses it."""
    found = []
    for name, arguments in RECORDED.items():
        for argument, said in arguments.items():
            for value, theirs, ours in zip(VALUES, said, answers[name][argument], strict=True):
                if theirs in REFUSED and ours == ACCEPTED:
                    found.append((name, argument, value, True))
                if theirs == ACCEPTED and ours in REFUSED:
                    found.append((name, argument, value, False))
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_bad_values_are_refused_where_keras_refuses_them() -> None:
    found = differences(argument_cases.answers(seqc))
    assert [row for row in found if row[1] not in (LOOSER if row[3] else STRICTER)] == []
    assert {argument for _, argument, _, looser in found if looser} == set(LOOSER)
    assert {argument for _, argument, _, looser in found if not looser} == set(STRICTER)
