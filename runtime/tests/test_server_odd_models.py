"""Models that are seldom met, asked in every form over sockets: each answer is that of a bare session, bit for bit."""

from __future__ import annotations

import http.client
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runtime_kit.odd_models import (
    DATATYPES,
    Feeds,
    Odd,
    build,
    expected,
    extremes,
    node,
    numbers,
    odd_models,
    same,
    same_out,
    write,
)
from runtime_kit.protocol_forms import LENGTH, binary_of, from_binary, from_nested, npz, oip, read_oip
from runtime_kit.server_process import PATIENCE, ServerProcess, serving

import seqc_runtime
from seqc_runtime.server.app import App
from seqc_runtime.server.repository import Repository
from seqc_runtime.server.servable import Servable
from seqc_runtime.server.testing import TestClient

ODDS = {odd.name: odd for odd in odd_models()}
JSON = {"content-type": "application/json"}
CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    **{kind: f"{kind.lower()}_contents" for kind in ("INT64", "UINT64", "FP32", "FP64", "BYTES")},
}


class Asker:
    """Asks one server, over one connection of each kind."""

    def __init__(self, server: ServerProcess) -> None:
        grpc = pytest.importorskip("grpc", reason="gRPC is an extra")
        from seqc_runtime.server.grpc import schema

        self.request, self.answer = (schema.message(f"inference.ModelInfer{what}") for what in ("Request", "Response"))
        self.http = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        port = server.lines[0].partition("grpc://127.0.0.1:")[2].partition(",")[0]
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.call = self.channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=self.answer.FromString,
        )

    def post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> tuple[Any, bytes]:
        """The header and body of an answer."""
        self.http.request("POST", path, body, headers or {})
        answer = self.http.getresponse()
        content = answer.read()
        assert answer.status == 200, (path, answer.status, content[:500])
        return answer.headers, content

    def over_grpc(self, name: str, feeds: Feeds, raw: bool) -> Feeds:
        """The outputs, asked with tensors as bytes or as numbers."""
        request = self.request(model_name=name)
        for key, array in feeds.items():
            kind = DATATYPES[array.dtype.name]
            tensor = request.inputs.add(name=key, datatype=kind, shape=array.shape)
            if raw:
                request.raw_input_contents.append(binary_of(array))
            elif kind in CONTENTS:
                values = array.ravel().tolist()
                getattr(tensor.contents, CONTENTS[kind]).extend(
                    [text.encode() for text in values] if kind == "BYTES" else values
                )
        answer = self.call(request, timeout=PATIENCE)
        return {
            one.name: from_binary(piece, list(one.shape), one.datatype)
            for one, piece in zip(answer.outputs, answer.raw_output_contents, strict=True)
        }


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    folder = write(tmp_path_factory.mktemp("odd"), list(ODDS.values()))
    with serving(folder, "--grpc-port", 0) as server:
        asker = Asker(server)
        yield asker
        asker.channel.close()
        asker.http.close()


def check(got: Feeds, wanted: Feeds, how: str) -> None:
    assert list(got) == list(wanted), how
    for name, array in wanted.items():
        assert same(got[name], array), (how, name, got[name], array)


def finite(feeds: Feeds) -> bool:
    return all(array.dtype.kind != "f" or bool(np.isfinite(array).all()) for array in feeds.values())


def json_says_shapes(feeds: Feeds) -> bool:
    """Whether lists in lists say the shapes: they do not behind an axis without elements."""
    return all(0 not in array.shape[:-1] or array.shape == (0, 1) for array in feeds.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ODDS)
def test_each_form_of_the_protocol_says_what_a_bare_session_says(asker: Asker, name: str) -> None:
    session = ODDS[name].session()
    for feeds in ODDS[name].feeds:
        wanted = expected(session, feeds)
        for binary_in, binary_out, nested in np.ndindex(2, 2, 2):
            if (binary_in and nested) or not (binary_in or finite(feeds)):
                continue
            for padding in ("", "1", "12", "123"):  # which moves the tensors by a byte
                body, headers = oip(feeds, bool(binary_in), bool(binary_out), bool(nested), id=padding)
                answered, content = asker.post(f"/v2/models/{name}/infer", body, headers)
                check(read_oip(content, answered.get(LENGTH)), wanted, f"{binary_in} {binary_out} {nested}")
        check(asker.over_grpc(name, feeds, raw=True), wanted, "gRPC")
        if "float16" not in {array.dtype.name for array in feeds.values()}:
            check(asker.over_grpc(name, feeds, raw=False), wanted, "gRPC with numbers")


@pytest.mark.slow
@pytest.mark.parametrize("name", ODDS)
def test_columns_rows_and_files_say_what_a_bare_session_says(asker: Asker, name: str) -> None:
    session = ODDS[name].session()
    for feeds in ODDS[name].feeds:
        wanted = expected(session, feeds)
        columns = json.dumps({key: array.tolist() for key, array in feeds.items()}).encode()
        if finite(feeds) and json_says_shapes(feeds):
            _, content = asker.post(f"/models/{name}/predict", columns, JSON)
            plain = json.loads(content)["outputs"]
            check({key: from_nested(value, wanted[key]) for key, value in plain.items()}, wanted, "plain")
            _, content = asker.post(f"/v1/models/{name}:predict", b'{"inputs": %s}' % columns)
            found = json.loads(content)["outputs"]
            found = found if len(wanted) > 1 else {next(iter(wanted)): found}
            check({key: from_nested(value, wanted[key]) for key, value in found.items()}, wanted, "columns")
        lengths = {array.shape[:1] for array in [*feeds.values(), *wanted.values()]}
        if finite(feeds) and len(lengths) == 1 and lengths != {()} and json_says_shapes(feeds):
            (count,) = lengths.pop()
            rows = [
                {
                    key: array[place].tolist() if array.ndim > 1 else array.tolist()[place]
                    for key, array in feeds.items()
                }
                for place in range(count)
            ]
            if len(feeds) == 1:
                rows = [next(iter(row.values())) for row in rows]
            _, content = asker.post(f"/v1/models/{name}:predict", json.dumps({"instances": rows}).encode())
            predictions = json.loads(content)["predictions"]
            assert len(predictions) == count
            found = {key: [row[key] if len(wanted) > 1 else row for row in predictions] for key in wanted}
            check({key: from_nested(value, wanted[key]) for key, value in found.items()}, wanted, "rows")
        if all(array.dtype != object for array in [*feeds.values(), *wanted.values()]):
            asked = {"content-type": "application/x-npz", "accept": "application/x-npz"}
            _, content = asker.post(f"/models/{name}/predict", npz(feeds), asked)
            check(dict(np.load(io.BytesIO(content))), wanted, "npz")


def client(*odds: Odd) -> TestClient:
    repository = Repository()
    for odd in odds:
        repository.add(Servable(odd.name, 1, seqc_runtime.load(odd.file, device="cpu", threads=1)))
    return TestClient(App(repository))


def test_the_length_of_an_id_does_not_change_the_numbers_of_a_binary_request() -> None:
    """onnxruntime sums up in another order where an array begins elsewhere in memory."""
    row = np.random.default_rng(0).random((11, 37)).astype(np.float32)
    total = build(
        [node("ReduceSum", ["x", "axes"], ["y"])],
        {"x": (np.float32, ["batch", 37])},
        {"y": (np.float32, ["batch", 1])},
        axes=np.array([1], np.int64),
    )
    odd = Odd("m", total, [])
    wanted = expected(odd.session(), {"x": row})["y"]
    served = client(odd)
    for length in range(16):
        body, headers = oip({"x": row}, binary_in=True, binary_out=True, id="i" * length)
        answer = served.post("/v2/models/m/infer", body, headers)
        assert same(read_oip(answer.content, answer.header(LENGTH))["y"], wanted), length


def test_one_text_alone_gets_one_text() -> None:
    served = client(ODDS["texts"], ODDS["one-text"])
    for name in ("texts", "one-text"):
        answer = served.post(f"/models/{name}/predict", json="Grüße", headers=JSON)
        assert (answer.status, answer.json()["outputs"]) == (200, {"y": "Grüße"})
    answer = served.post("/models/texts/predict", json="a", headers={**JSON, "accept": "text/csv"})
    assert (answer.status, answer.content) == (200, b"y\na\n")


def test_as_many_predictions_come_as_instances_went_or_none() -> None:
    tokens = Odd("tokens", same_out(np.int64, ["batch", "time"]), [])
    served = client(tokens, ODDS["some-rows"], ODDS["no-inputs"])

    def ask(name: str, instances: list[Any]) -> tuple[int, Any]:
        answer = served.post(f"/v1/models/{name}:predict", json={"instances": instances})
        return answer.status, answer.json().get("predictions", answer.json().get("error"))

    assert ask("tokens", [[1, 2], [3, 4]]) == (200, [[1, 2], [3, 4]])
    assert ask("tokens", []) == (200, [])
    status, said = ask("tokens", [1, 2])
    assert status == 400
    assert "needs to fit INT64[batch, time]; got shape [2]" in said
    assert ask("some-rows", [[1, 2], [3, 4]]) == (200, [[1.0, 2.0], [3.0, 4.0]])
    status, said = ask("some-rows", [[1, 2], [-1, -2]])
    assert status == 400
    assert "one row each per instance" in said
    assert ask("no-inputs", [{}]) == (200, [[1.5, -0.0]])
    assert ask("no-inputs", [{}, {}])[0] == 400


def test_rows_by_name_may_hold_plain_numbers_for_columns_of_width_one() -> None:
    """What exporters make of a table: an input of shape [batch, 1] for each of its columns."""
    column: tuple[Any, list[int | str | None] | None] = (np.float32, ["batch", 1])
    table = build([node("Sub", ["a", "b"], ["y"])], {"a": column, "b": column}, {"y": column})
    served = client(Odd("m", table, []))
    rows = [{"a": 3.5, "b": 1}, {"a": 1, "b": 2}]
    for count in (2, 1):
        wanted = [[2.5], [-1.0]][:count]
        answer = served.post("/models/m/predict", json=rows[:count], headers=JSON)
        assert answer.json()["outputs"] == {"y": wanted}
        answer = served.post("/v1/models/m:predict", json={"instances": rows[:count]})
        assert answer.json() == {"predictions": wanted}


@pytest.mark.parametrize("name", [odd.name for odd in numbers()])
@pytest.mark.parametrize("suffix", ["y", "z"])
def test_arrays_in_files_are_taken_in_every_layout_or_refused_but_never_other_numbers(name: str, suffix: str) -> None:
    """Byte orders, Fortran's order, other widths: as they are, or 400."""
    odd = ODDS[name]
    served = client(odd)
    kind = f"application/x-np{suffix}"

    def ask(array: np.ndarray) -> tuple[int, Any]:
        file = io.BytesIO()
        (np.savez(file, x=array) if suffix == "z" else np.save(file, array))
        asked = {"content-type": kind, "accept": "application/x-npy"}
        answer = served.post(f"/models/{name}/predict", file.getvalue(), asked)
        assert answer.status in (200, 400), answer.content
        return answer.status, np.load(io.BytesIO(answer.content)) if answer.status == 200 else answer.json()["error"]

    for feeds in odd.feeds:
        x = feeds["x"]
        for form in (x, x.astype(x.dtype.newbyteorder(">")), np.asfortranarray(x)):
            status, got = ask(form)
            assert status == 200, got
            assert same(got, x)
    others = [other for other in DATATYPES if other != "object"]
    for other in others:
        for array in (np.array([[0], [1]], other), extremes(other, finite=True)[:, None]):
            status, got = ask(array)
            if status == 200 and x.dtype.kind in "iub":
                assert got.tolist() == array.tolist()
            elif status == 200:
                with np.errstate(over="raise"):
                    assert same(got, array.astype(x.dtype))
            else:
                assert "needs" in got
    # The smallest numbers of every type are in the others of its kind.
    for other in others:
        if np.dtype(other).kind == x.dtype.kind:
            assert ask(np.array([[0], [1]], other))[0] == 200


def test_a_model_without_inputs_says_so() -> None:
    served = client(ODDS["no-inputs"])
    assert served.post("/models/no-inputs/predict", json={}, headers=JSON).json()["outputs"] == {"y": [[1.5, -0.0]]}
    answer = served.post("/models/no-inputs/predict", json=[1], headers=JSON)
    assert (answer.status, answer.json()["error"]) == (
        400,
        "the body is a list, and the model has no inputs: send {} as JSON",
    )


def test_two_models_whose_names_differ_in_case_are_two(tmp_path: Path) -> None:
    served = client(ODDS["Case"], ODDS["case"])
    for name, wanted in (("Case", 1.5), ("case", 2.5)):
        body, _ = oip(ODDS[name].feeds[0])
        answer = served.post(f"/v2/models/{name}/infer", body).json()
        assert (answer["model_name"], answer["outputs"][0]["data"]) == (name, [wanted])
    assert served.get("/v2/models/CASE").status == 404
