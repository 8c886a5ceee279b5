"""gRPC beside HTTP, as `seqc-runtime serve --grpc-port` starts it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runtime_kit.server_process import WEIGHT, serving, write_gemm

grpc = pytest.importorskip("grpc", reason="gRPC is an extra")
pytest.importorskip("google.protobuf", reason="gRPC is an extra")
schema = pytest.importorskip("seqc_runtime.server.grpc.schema", reason="the part that speaks gRPC")

ModelInferResponse = schema.ModelInferResponse
ModelInferRequest = schema.message("inference.ModelInferRequest")
INFER = "/inference.GRPCInferenceService/ModelInfer"
X = np.arange(8, dtype=np.float32).reshape(2, 4)


def request() -> Any:
    asked = ModelInferRequest(model_name="gemm")
    tensor = asked.inputs.add(name="x", datatype="FP32")
    tensor.shape.extend(X.shape)
    asked.raw_input_contents.append(X.tobytes())
    return asked


def ask(channel: Any, *metadata: tuple[str, str]) -> np.ndarray:
    call = channel.unary_unary(
        INFER,
        request_serializer=ModelInferRequest.SerializeToString,
        response_deserializer=ModelInferResponse.FromString,
    )
    answer = call(request(), timeout=60, metadata=metadata)
    return np.frombuffer(answer.raw_output_contents[0], np.float32).reshape(2, 3)


def port_of(line: str) -> int:
    return int(line.partition("grpc://127.0.0.1:")[2].partition(",")[0])


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_grpc_answers_beside_http_and_loses_no_call_at_the_end(tmp_path: Path, workers: int) -> None:
    with serving(write_gemm(tmp_path), "--grpc-port", 0, "--workers", workers) as server:
        assert server.get("/v2/health/ready")[0] == 200
        problems: list[str] = []
        counts = [0] * 4

        def client(number: int) -> None:
            with grpc.insecure_channel(f"127.0.0.1:{port_of(server.lines[0])}") as channel:
                while True:
                    try:
                        assert np.allclose(ask(channel), X @ WEIGHT, atol=1e-5)
                        counts[number] += 1
                    except grpc.RpcError as error:
                        # Refused before it began, by the server or because nobody listens: not broken off.
                        told = error.details() or ""
                        before = "the server is ending" in told or "failed to connect" in told
                        if error.code() != grpc.StatusCode.UNAVAILABLE or not before:
                            problems.append(repr(error))
                        return

        threads = [threading.Thread(target=client, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        while min(counts) < 20 and not problems:
            threads[0].join(0.05)
        assert server.stop() == 0
        for thread in threads:
            thread.join(60)
        assert problems == []


@pytest.mark.slow
def test_a_token_is_needed_over_grpc_as_over_http(tmp_path: Path) -> None:
    token = "g" * 32
    with (
        serving(write_gemm(tmp_path), "--grpc-port", 0, SEQC_RUNTIME_TOKENS=token) as server,
        grpc.insecure_channel(f"127.0.0.1:{port_of(server.lines[0])}") as channel,
    ):
        with pytest.raises(grpc.RpcError) as error:
            ask(channel)
        assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED
        assert np.allclose(ask(channel, ("authorization", f"Bearer {token}")), X @ WEIGHT, atol=1e-5)
