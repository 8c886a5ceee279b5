"""What a file says of the tensors inside it, beside what onnx infers and what onnxruntime computes."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import pytest

from kit import golden_models, value_infos
from kit.golden_models import ALL, Golden
from seqc import Input, Sequential, layers
from seqc.export import compile_graph
from seqc.export.model import inference_graph

NAMED = {g.name: g for g in ALL}
FAST = ("strided_images", "volumes_free", "group_norm", "sounds", "masked_words_both", "lstm_gelu_free", "tiles",
        "masked_bidirectional_lstm_sequences_free", "conv_lstm2d", "tokens", "average_same")  # fmt: skip


@pytest.mark.parametrize("golden", [pytest.param(g, marks=[] if g.name in FAST else pytest.mark.slow, id=g.name)
                                    for g in ALL])  # fmt: skip
def test_every_tensor_has_the_type_and_the_sizes_that_the_file_says(
    golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx.load_from_string(golden.content)
    inputs = []
    for rows, free in ((1, 7), (3, 12)):
        monkeypatch.setattr(golden_models, "FREE_SIZE", free)
        inputs.append(golden.samples(rows))
    value_infos.check_all(model, inputs)


def test_it_says_no_more_than_name_type_and_sizes() -> None:
    for name in FAST:
        for said in onnx.load_from_string(NAMED[name].content).graph.value_info:
            dims = said.type.tensor_type.shape.dim
            assert said.ByteSize() <= 12 + len(said.name.encode()) + sum(4 + dim.ByteSize() for dim in dims)
    # An MLP as it is used: less than a hundredth of the file.
    model = Sequential([Input((64,)), layers.Dense(64, "relu"), layers.Dense(32, "relu"), layers.Dense(10, "softmax")])
    file = compile_graph(inference_graph(model))
    assert sum(2 + said.ByteSize() for said in file.graph.value_info) < 0.01 * file.ByteSize()


@pytest.mark.parametrize("wrong", ["batch", "7", "dtype", "missing"])
def test_the_checks_notice_what_is_wrong(wrong: str) -> None:
    golden = NAMED["strided_images"]
    model = onnx.load_from_string(golden.content)
    found = model.graph.value_info[1].type.tensor_type
    if wrong == "missing":
        del model.graph.value_info[1]
    elif wrong == "dtype":
        found.elem_type = onnx.TensorProto.DOUBLE
    else:
        found.shape.dim[1].CopyFrom(onnx.TensorShapeProto.Dimension(**{"dim_param": wrong} if wrong == "batch" else
                                                                    {"dim_value": int(wrong)}))  # fmt: skip
    with pytest.raises(AssertionError):
        value_infos.check_all(model, [golden.samples(2)])


def _narrow() -> Sequential:
    """As many layers as networks for phones have, of few channels."""
    blocks = [layer for _ in range(8) for layer in (layers.DepthwiseConv2D(3, padding="same"), layers.Conv2D(64, 1))]
    return Sequential([Input((32, 32, 3)), layers.Conv2D(64, 3, strides=2), *blocks, layers.GlobalMaxPooling2D()])


def _recurrent() -> Sequential:
    bidirectional = layers.Bidirectional(layers.GRU(64, return_sequences=True))
    return Sequential([Input((None, 8)), layers.Masking(), bidirectional, layers.LSTM(64), layers.Dense(3)])


@pytest.mark.parametrize("make", [_narrow, _recurrent])
def test_what_is_said_is_a_fiftieth_of_a_file_at_most(make: Callable[[], Sequential]) -> None:
    model = compile_graph(inference_graph(make()))
    size = model.ByteSize()
    del model.graph.value_info[:]
    assert 0 < size - model.ByteSize() < model.ByteSize() / 50
