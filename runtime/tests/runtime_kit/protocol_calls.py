"""Asks a server with the generated gRPC client of the protocol's own authors.

An environment of its own runs it: its names and those of other clients exclude each other in one process. It imports
nothing of the package: python protocol_calls.py HTTP-PORT GRPC-PORT X.npy Y.npy asks for X, and the answers must be Y.
"""

from __future__ import annotations

import sys

import grpc
import numpy as np
from open_inference.grpc import protocol, service

from runtime_kit.odd_cases import check_same


def main(http_port: str, grpc_port: str, x_file: str, y_file: str) -> None:
    x, y = np.load(x_file), np.load(y_file)
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        stub = service.GRPCInferenceServiceStub(channel)
        assert stub.ServerLive(protocol.ServerLiveRequest()).live
        assert stub.ServerReady(protocol.ServerReadyRequest()).ready
        assert stub.ModelReady(protocol.ModelReadyRequest(name="gemm")).ready
        assert stub.ServerMetadata(protocol.ServerMetadataRequest()).name == "seqc-runtime"
        known = stub.ModelMetadata(protocol.ModelMetadataRequest(name="gemm", version="1"))
        assert [(one.name, one.datatype, list(one.shape)) for one in known.inputs] == [("x", "FP32", [-1, 4])]
        for raw in (False, True):
            request = protocol.ModelInferRequest(model_name="gemm", id="seven")
            tensor = request.inputs.add(name="x", datatype="FP32", shape=x.shape)
            if raw:
                request.raw_input_contents.append(x.tobytes())
            else:
                tensor.contents.fp32_contents.extend(x.ravel().tolist())
            answer = stub.ModelInfer(request)
            assert answer.id == "seven"
            got = np.frombuffer(answer.raw_output_contents[0], np.float32).reshape(answer.outputs[0].shape)
            check_same(got, y, "y")
        code = None
        try:
            stub.ModelInfer(protocol.ModelInferRequest(model_name="none"))
        except grpc.RpcError as error:
            code = error.code()
        assert code == grpc.StatusCode.NOT_FOUND, code


if __name__ == "__main__":
    main(*sys.argv[1:])
