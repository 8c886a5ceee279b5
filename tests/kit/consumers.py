"""Other programs that read our files: each runs a file's bytes on one input and returns the output.

The packages are those of the extra `consumers`; none of them is imported before its function is called.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray


def onnxruntime(content: bytes, x: Array) -> Array:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0])


def openvino(content: bytes, x: Array) -> Array:
    import openvino as ov

    core = ov.Core()
    # Its CPU plugin may compute in bfloat16 where the processor can.
    compiled = core.compile_model(core.read_model(content), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled(x)[0])


def opencv(content: bytes, x: Array) -> Array:
    import cv2

    net = cv2.dnn.readNetFromONNX(np.frombuffer(content, np.uint8))
    net.setInput(x)
    return np.asarray(net.forward())


def quant_pre_process(content: bytes, x: Array, symbolic: bool = True) -> Array:
    """What onnxruntime's quantizers run before they start: inference of shapes, symbolic or onnx's; an optimizer."""
    import tempfile

    from onnxruntime.quantization import quant_pre_process as prepare

    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "model.onnx"), Path(folder, "prepared.onnx")
        before.write_bytes(content)
        prepare(str(before), str(after), skip_symbolic_shape=not symbolic)
        return onnxruntime(after.read_bytes(), x)


def quantize_dynamic(content: bytes, x: Array, symbolic: bool = True) -> Array:
    """onnxruntime's quantizer of weights, on what its preparation gives."""
    import tempfile

    from onnxruntime.quantization import quant_pre_process as prepare
    from onnxruntime.quantization import quantize_dynamic as quantize

    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"{step}.onnx") for step in ("model", "prepared", "quantized")]
        files[0].write_bytes(content)
        prepare(str(files[0]), str(files[1]), skip_symbolic_shape=not symbolic)
        # Seven bits: where a processor has no VNNI, sums of products of eight bits saturate.
        quantize(files[1], files[2], op_types_to_quantize=["MatMul", "Gemm", "LSTM"], reduce_range=True)
        return onnxruntime(files[2].read_bytes(), x)


def onnxsim(content: bytes, x: Array) -> Array:
    import onnx
    import onnxsim as simplifier

    simplified, right = simplifier.simplify(onnx.load_from_string(content))
    assert right
    return onnxruntime(simplified.SerializeToString(), x)


def onnxslim(content: bytes, x: Array) -> Array:
    import onnx
    import onnxslim as slimmer

    return onnxruntime(slimmer.slim(onnx.load_from_string(content)).SerializeToString(), x)


def float16(content: bytes, x: Array) -> Array:
    """onnxruntime's converter to half precision, with inputs and outputs as they were."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    small = convert_float_to_float16(onnx.load_from_string(content), keep_io_types=True)
    return onnxruntime(small.SerializeToString(), x)


def float16_common(content: bytes, x: Array) -> Array:
    """The converter of onnxconverter-common."""
    import onnx
    from onnxconverter_common.float16 import convert_float_to_float16

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the float32 number")  # of weights that float16 has no number for
        small = convert_float_to_float16(onnx.load_from_string(content), keep_io_types=True)
    return onnxruntime(small.SerializeToString(), x)


CONSUMERS: dict[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (
        onnxruntime, openvino, opencv, quant_pre_process, quantize_dynamic, onnxsim, onnxslim, float16, float16_common,
    )
}  # fmt: skip
