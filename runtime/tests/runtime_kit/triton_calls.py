"""Asks a server with NVIDIA's client, in the four ways it has.

An environment of its own runs it, so it imports nothing of the package: python triton_calls.py HTTP-PORT GRPC-PORT
X.npy Y.npy asks for X, and the answers must be Y.
"""

from __future__ import annotations

import asyncio
import sys

import numpy as np
import tritonclient.grpc as grpc
import tritonclient.grpc.aio as grpc_aio
import tritonclient.http as http
import tritonclient.http.aio as http_aio
from tritonclient.utils import InferenceServerException

from runtime_kit.odd_cases import check_same

MODEL = "gemm"


def tensor(module: object, x: np.ndarray, **options: bool) -> object:
    """An input of one of the client's modules."""
    made = module.InferInput("x", list(x.shape), "FP32")  # type: ignore[attr-defined]
    made.set_data_from_numpy(x, **options)
    return made


def check(answer: object, y: np.ndarray) -> None:
    """The numbers of an answer, bit for bit."""
    check_same(answer.as_numpy("y"), y, "y")  # type: ignore[attr-defined]


def over_http(address: str, x: np.ndarray, y: np.ndarray) -> None:
    """Every form of a request, and what tools ask besides."""
    client = http.InferenceServerClient(address)
    for binary_in in (True, False):
        for binary_out in (True, False):
            for packing in (None, "gzip", "deflate"):
                wanted = [http.InferRequestedOutput("y", binary_data=binary_out)]
                answer = client.infer(
                    MODEL,
                    [tensor(http, x, binary_data=binary_in)],
                    outputs=wanted,
                    request_id="a",
                    request_compression_algorithm=packing,
                    response_compression_algorithm=packing,
                )
                check(answer, y)
                assert answer.get_response()["id"] == "a"
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert client.get_model_metadata(MODEL)["inputs"][0]["name"] == "x"
    assert client.get_model_config(MODEL)["name"] == MODEL
    assert client.get_inference_statistics(MODEL)["model_stats"][0]["inference_stats"]["success"]["count"] >= 12
    assert client.get_model_repository_index()[0]["state"] == "READY"
    refused(lambda: client.infer("none", [tensor(http, x)]), "there is no model 'none'")
    refused(lambda: client.infer(MODEL, [tensor(http, x[:, :2])]), "shape needs to fit")


def over_grpc(address: str, x: np.ndarray, y: np.ndarray) -> None:
    """The same over gRPC."""
    client = grpc.InferenceServerClient(address)
    for packing in (None, "gzip", "deflate"):
        check(client.infer(MODEL, [tensor(grpc, x)], compression_algorithm=packing), y)
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert client.get_model_metadata(MODEL).inputs[0].name == "x"
    assert client.get_model_config(MODEL).config.name == MODEL
    assert client.get_inference_statistics(MODEL).model_stats[0].inference_stats.success.count >= 3
    assert client.get_model_repository_index().models[0].state == "READY"
    refused(lambda: client.infer("none", [tensor(grpc, x)]), "there is no model 'none'")
    refused(lambda: client.infer(MODEL, [tensor(grpc, x[:, :2])]), "shape needs to fit")


def refused(call: object, says: str) -> None:
    """The call fails with these words."""
    try:
        call()  # type: ignore[operator]
    except InferenceServerException as error:
        told = str(error)
    else:
        told = "it was answered"
    assert says in told, told


async def at_once(http_address: str, grpc_address: str, x: np.ndarray, y: np.ndarray) -> None:
    """Both asynchronous clients, a hundred requests under way."""
    first, second = http_aio.InferenceServerClient(http_address), grpc_aio.InferenceServerClient(grpc_address)
    calls = [first.infer(MODEL, [tensor(http_aio, x)]) for _ in range(50)]
    calls += [second.infer(MODEL, [tensor(grpc_aio, x)]) for _ in range(50)]
    for answer in await asyncio.gather(*calls):
        check(answer, y)
    await first.close()
    await second.close()


def main(http_port: str, grpc_port: str, x_file: str, y_file: str) -> None:
    x, y = np.load(x_file), np.load(y_file)
    over_http(f"127.0.0.1:{http_port}", x, y)
    over_grpc(f"127.0.0.1:{grpc_port}", x, y)
    asyncio.run(at_once(f"127.0.0.1:{http_port}", f"127.0.0.1:{grpc_port}", x, y))


if __name__ == "__main__":
    main(*sys.argv[1:])
