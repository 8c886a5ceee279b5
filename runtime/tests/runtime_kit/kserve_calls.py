"""Asks a server with KServe's clients, over REST and gRPC, with tensors as numbers and as bytes.

An environment of its own runs it, so it imports nothing of the package: python kserve_calls.py HTTP-PORT GRPC-PORT
X.npy Y.npy asks for X, and the answers must be Y.
"""

from __future__ import annotations

import asyncio
import sys

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

from runtime_kit.odd_cases import check_same


def request(x: np.ndarray, binary: bool) -> InferRequest:
    """A request for the model "gemm"."""
    tensor = InferInput("x", list(x.shape), "FP32")
    tensor.set_data_from_numpy(x, binary_data=binary)
    return InferRequest("gemm", [tensor])


async def main(http_port: str, grpc_port: str, x_file: str, y_file: str) -> None:
    x, y = np.load(x_file), np.load(y_file)
    address = f"http://127.0.0.1:{http_port}"
    rest, grpc = InferenceRESTClient(RESTConfig(protocol="v2")), InferenceGRPCClient(f"127.0.0.1:{grpc_port}")
    # These two decode JSON, which an empty answer is not.
    assert await rest.is_server_live(address)
    assert await rest.is_server_ready(address)
    assert await rest.is_model_ready(address, "gemm")
    assert await grpc.is_server_live()
    assert await grpc.is_server_ready()
    assert await grpc.is_model_ready("gemm")
    for binary in (False, True):
        for answer in (
            await rest.infer(address, request(x, binary), model_name="gemm"),
            await grpc.infer(request(x, binary)),
        ):
            check_same(answer.outputs[0].as_numpy(), y, "y")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
