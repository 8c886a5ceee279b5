"""Asks a server of odd models with NVIDIA's client, and has it load and unload them.

An environment of its own runs it: python triton_odd_calls.py HTTP-PORT GRPC-PORT FOLDER, of whose cases each answer
must be the one that is there, bit for bit.
"""

from __future__ import annotations

import asyncio
import queue
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as grpc
import tritonclient.grpc.aio as grpc_aio
import tritonclient.http as http
import tritonclient.http.aio as http_aio
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from runtime_kit.odd_cases import Tensors, check_same, finite, read_cases

Cases = list[tuple[str, Tensors, Tensors]]


def inputs(module: Any, feeds: Tensors, **options: bool) -> list[Any]:
    """The inputs of one of the client's modules."""
    made = []
    for name, array in feeds.items():
        one = module.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        one.set_data_from_numpy(array, **options)
        made.append(one)
    return made


def check(answer: Any, outputs: Tensors, how: str) -> None:
    """The numbers of an answer."""
    for name, wanted in outputs.items():
        check_same(answer.as_numpy(name), wanted, f"{how}, output {name[:50]!r}")


def every_case(http_client: Any, grpc_client: Any, cases: Cases) -> None:
    """Each case in all forms, and with a part of its outputs only."""
    for model, feeds, outputs in cases:
        halves = any(array.dtype == np.float16 for array in (*feeds.values(), *outputs.values()))
        for binary_in in (True, False):
            if not binary_in and (halves or not finite(feeds)):
                continue  # this client does not send them in JSON
            for binary_out in (True, False):
                wanted = [http.InferRequestedOutput(name, binary_data=binary_out) for name in outputs]
                given = inputs(http, feeds, binary_data=binary_in)
                check(http_client.infer(model, given, outputs=wanted), outputs, f"{model}, {binary_in} {binary_out}")
        check(http_client.infer(model, inputs(http, feeds), model_version="1"), outputs, f"{model}, all outputs")
        check(grpc_client.infer(model, inputs(grpc, feeds), model_version="1"), outputs, f"{model}, gRPC")
        for name in outputs:
            for module, client in ((http, http_client), (grpc, grpc_client)):
                answer = client.infer(model, inputs(module, feeds), outputs=[module.InferRequestedOutput(name)])
                check(answer, {name: outputs[name]}, f"{model}, one output")
                others = [other for other in outputs if other != name]
                assert all(answer.as_numpy(other) is None for other in others)


def told_of(answer: Any) -> str:
    """The id of an answer."""
    told = answer.get_response()
    result: str = told["id"] if isinstance(told, dict) else told.id
    return result


def options(http_client: Any, grpc_client: Any, cases: Cases) -> None:
    """What clients may say beside the tensors changes no number."""
    model, feeds, outputs = next(case for case in cases if case[0] == "mixed")
    said: dict[str, Any] = {"priority": 1, "timeout": 60_000_000, "parameters": {"who": "me", "n": 3, "b": True}}
    for module, client in ((http, http_client), (grpc, grpc_client)):
        for number in range(20):
            sequence = {"sequence_id": 7, "sequence_start": number == 0, "sequence_end": number == 19}
            identity = f"request {number} ß"
            answer = client.infer(model, inputs(module, feeds), request_id=identity, **said, **sequence)
            check(answer, outputs, "with options")
            assert told_of(answer) == identity
        refused(lambda m=module, c=client: c.infer(model, inputs(m, feeds), timeout=1), "time was over")
        top = [module.InferRequestedOutput("sum", class_count=2)]
        refused(lambda m=module, c=client, t=top: c.infer(model, inputs(m, feeds), outputs=t), "classification")
        twice = inputs(module, feeds) * 2
        refused(lambda c=client, t=twice: c.infer(model, t), "is there twice")
        less = inputs(module, dict(list(feeds.items())[1:]))
        refused(lambda c=client, t=less: c.infer(model, t), f"{next(iter(feeds))!r} missing")


def streamed(client: Any, cases: Cases) -> None:
    """One stream of all cases, whose answers come in the order of the requests."""
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    for number, (model, feeds, _) in enumerate(cases):
        client.async_stream_infer(model, inputs(grpc, feeds), request_id=str(number))
        client.async_stream_infer("none", inputs(grpc, feeds), request_id=f"no {number}")
    for number, (model, _, outputs) in enumerate(cases):
        result, error = answers.get(timeout=60)
        assert error is None, error
        assert told_of(result) == str(number)
        check(result, outputs, f"{model}, streamed")
        result, error = answers.get(timeout=60)
        assert result is None
        assert "there is no model 'none'" in str(error)
    client.stop_stream()


async def at_once(http_address: str, grpc_address: str, cases: Cases) -> None:
    """All cases under way at the same time, several times, by both asynchronous clients."""
    first, second = http_aio.InferenceServerClient(http_address), grpc_aio.InferenceServerClient(grpc_address)
    calls, wanted = [], []
    for turn in range(3):
        for number, (model, feeds, outputs) in enumerate(cases):
            for module, client in ((http_aio, first), (grpc_aio, second)):
                identity = f"{turn} {number}"
                calls.append(client.infer(model, inputs(module, feeds), request_id=identity))
                wanted.append((identity, outputs))
    for answer, (identity, outputs) in zip(await asyncio.gather(*calls), wanted, strict=True):
        assert told_of(answer) == identity
        check(answer, outputs, identity)
    await first.close()
    await second.close()


def loading(http_client: Any, grpc_client: Any, cases: Cases) -> None:
    """Models come and go as they are told, and their numbers stay the same."""
    model, feeds, outputs = next(case for case in cases if case[0] == "only-float16")
    pairs = (http, http_client), (grpc, grpc_client)
    for module, client in pairs:
        client.unload_model(model)
        for other_module, other in pairs:
            assert not other.is_model_ready(model)
            refused(lambda m=other_module, o=other: o.infer(model, inputs(m, feeds)), f"there is no model {model!r}")
        assert states(client)[model] == "UNAVAILABLE"
        client.load_model(model)
        assert states(client)[model] == "READY"
        for other_module, other in pairs:
            assert other.is_model_ready(model)
            check(other.infer(model, inputs(other_module, feeds)), outputs, "after loading")
        refused(lambda c=client: c.load_model("none"), "none")
        refused(lambda c=client: c.load_model(model, config="{}"), "config")
        check(client.infer(model, inputs(module, feeds)), outputs, "after a load that failed")


def states(client: Any) -> dict[str, str]:
    """The state of every model."""
    index = client.get_model_repository_index()
    if isinstance(index, list):
        return {one["name"]: one["state"] for one in index}
    return {one.name: one.state for one in index.models}


def refused(call: Any, says: str) -> None:
    """The call fails with this word."""
    try:
        call()
    except InferenceServerException as error:
        told = str(error)
    else:
        told = "it was answered"
    assert says in told, told


def main(http_port: str, grpc_port: str, folder: str) -> None:
    cases = list(read_cases(Path(folder)))
    assert len(cases) > 40
    addresses = f"127.0.0.1:{http_port}", f"127.0.0.1:{grpc_port}"
    http_client = http.InferenceServerClient(addresses[0], network_timeout=60, connection_timeout=60)
    grpc_client = grpc.InferenceServerClient(addresses[1])
    for number, (model, _, _) in enumerate(cases):
        if not http_client.is_model_ready(model):
            (http_client, grpc_client)[number % 2].load_model(model)
    every_case(http_client, grpc_client, cases)
    options(http_client, grpc_client, cases)
    streamed(grpc_client, cases)
    asyncio.run(at_once(*addresses, cases))
    loading(http_client, grpc_client, cases)


if __name__ == "__main__":
    main(*sys.argv[1:])
