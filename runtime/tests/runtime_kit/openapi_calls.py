"""Asks a server with the protocol's own client, made from its OpenAPI description.

An environment of its own runs it, so it imports nothing of the package: python openapi_calls.py HTTP-PORT X.npy Y.npy
asks for X, and the answers must be Y.
"""

from __future__ import annotations

import asyncio
import sys

import numpy as np
from open_inference.openapi.client import AsyncOpenInferenceClient, OpenInferenceClient
from open_inference.openapi.core.api_error import ApiError
from open_inference.openapi.types import InferenceRequest, RequestInput

from runtime_kit.odd_cases import check_same

MODEL = "gemm"


def request(x: np.ndarray) -> InferenceRequest:
    """An inference request for x."""
    tensor = RequestInput(name="x", shape=list(x.shape), datatype="FP32", data=x.ravel().tolist())
    return InferenceRequest(id="a", inputs=[tensor])


def check(answer: object, y: np.ndarray) -> None:
    """The numbers of an answer."""
    (output,) = answer.outputs  # type: ignore[attr-defined]
    assert (output.name, output.datatype, list(output.shape)) == ("y", "FP32", list(y.shape))
    check_same(np.array(output.data.__root__, np.float32).reshape(y.shape), y, "y")


def ask(client: OpenInferenceClient, x: np.ndarray, y: np.ndarray) -> None:
    """Every call that it has."""
    client.check_server_liveness()
    client.check_server_readiness()
    client.check_model_readiness(model_name=MODEL)
    client.check_model_version_readiness(model_name=MODEL, model_version="1")
    assert client.read_server_metadata().name == "seqc-runtime"
    assert client.read_model_metadata(model_name=MODEL).inputs[0].name == "x"
    assert client.read_model_version_metadata(model_name=MODEL, model_version="1").versions == ["1"]
    check(client.model_infer(model_name=MODEL, request=request(x)), y)
    check(client.model_version_infer(model_name=MODEL, model_version="1", request=request(x)), y)
    try:
        client.model_infer(model_name="none", request=request(x))
    except ApiError as error:
        told = error
    assert told.status_code == 404
    assert "there is no model 'none'" in told.body["error"]


async def ask_at_once(client: AsyncOpenInferenceClient, x: np.ndarray, y: np.ndarray) -> None:
    """Fifty requests under way."""
    calls = [client.model_infer(model_name=MODEL, request=request(x)) for _ in range(50)]
    for answer in await asyncio.gather(*calls):
        check(answer, y)


def main(port: str, x_file: str, y_file: str) -> None:
    x, y = np.load(x_file), np.load(y_file)
    address = f"http://127.0.0.1:{port}"
    ask(OpenInferenceClient(base_url=address), x, y)
    asyncio.run(ask_at_once(AsyncOpenInferenceClient(base_url=address), x, y))


if __name__ == "__main__":
    main(*sys.argv[1:])
