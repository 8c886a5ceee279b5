"""Asks a server of odd models with the generated gRPC client of the protocol's own authors, message by message.

An environment of its own runs it: python protocol_odd_calls.py GRPC-PORT FOLDER, of whose cases each answer must be the
one that is there, bit for bit.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from open_inference.grpc import protocol, service

from runtime_kit.odd_cases import Tensors, check_same, read_cases

# Each datatype, and the field for its elements; FP16 has none.
FIELDS = {
    "bool": ("BOOL", "bool_contents"),
    "float16": ("FP16", ""),
    "float32": ("FP32", "fp32_contents"),
    "float64": ("FP64", "fp64_contents"),
    "object": ("BYTES", "bytes_contents"),
    **{f"int{n}": (f"INT{n}", "int_contents") for n in (8, 16, 32)},
    **{f"uint{n}": (f"UINT{n}", "uint_contents") for n in (8, 16, 32)},
    "int64": ("INT64", "int64_contents"),
    "uint64": ("UINT64", "uint64_contents"),
}
DTYPES = {datatype: np.dtype(name) for name, (datatype, _) in FIELDS.items()}


def request(model: str, feeds: Tensors, raw: bool) -> Any:
    """A request with its tensors as bytes, or as numbers."""
    made = protocol.ModelInferRequest(model_name=model, id="seven")
    for name, array in feeds.items():
        datatype, field = FIELDS[array.dtype.name]
        tensor = made.inputs.add(name=name, datatype=datatype, shape=array.shape)
        values = array.ravel().tolist()
        if datatype == "BYTES":
            values = [text.encode() for text in values]
        if not raw:
            if values:
                getattr(tensor.contents, field).extend(values)
        elif datatype == "BYTES":
            made.raw_input_contents.append(b"".join(struct.pack("<I", len(one)) + one for one in values))
        else:
            made.raw_input_contents.append(array.tobytes())
    return made


def read(answer: Any) -> Tensors:
    """The outputs of an answer."""
    found: Tensors = {}
    for output, content in zip(answer.outputs, answer.raw_output_contents, strict=True):
        dtype = DTYPES[output.datatype]
        if dtype.hasobject:
            texts = []
            while content:
                size = struct.unpack_from("<I", content)[0] + 4
                texts.append(content[4:size])
                content = content[size:]
            array = np.empty(len(texts), object)
            array[:] = texts
        else:
            array = np.frombuffer(content, dtype)
        found[output.name] = array.reshape(tuple(output.shape))
    return found


def main(port: str, folder: str) -> None:
    cases = list(read_cases(Path(folder)))
    assert len(cases) > 40
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = service.GRPCInferenceServiceStub(channel)
        for model, feeds, outputs in cases:
            declared = stub.ModelMetadata(protocol.ModelMetadataRequest(name=model))
            assert [one.name for one in declared.inputs] == list(feeds), model
            assert [one.datatype for one in declared.inputs] == [FIELDS[a.dtype.name][0] for a in feeds.values()]
            assert [one.name for one in declared.outputs] == list(outputs), model
            for raw in (True, False):
                if not raw and any(array.dtype == np.float16 and array.size for array in feeds.values()):
                    continue
                answer = stub.ModelInfer(request(model, feeds, raw))
                got = read(answer)
                assert (answer.id, answer.model_name, list(got)) == ("seven", model, list(outputs))
                for name, wanted in outputs.items():
                    check_same(got[name], wanted, f"{model}, {raw}, output {name[:50]!r}")


if __name__ == "__main__":
    main(*sys.argv[1:])
