"""What people have reported of other servers of these protocols, asked of this one."""

from __future__ import annotations

import gzip
import json
import struct
from typing import Any

import numpy as np
import pytest
from runtime_kit.odd_models import ODD_NAME, Odd, build, expected, extremes, node, odd_models, same, same_out, words
from runtime_kit.protocol_forms import LENGTH, binary_of, npz, oip, read_oip

import seqc_runtime
from seqc_runtime.server.app import App
from seqc_runtime.server.messages import Response
from seqc_runtime.server.repository import Repository
from seqc_runtime.server.servable import Servable
from seqc_runtime.server.testing import TestClient

F32 = np.float32
INFER = "/v2/models/m/infer"
ODDS = {odd.name: odd for odd in odd_models()}


def client(**files: bytes) -> TestClient:
    repository = Repository()
    for name, file in files.items():
        repository.add(Servable(name.replace("_", "-"), 1, seqc_runtime.load(file, device="cpu", threads=1)))
    return TestClient(App(repository))


def outputs(answer: Response) -> dict[str, np.ndarray]:
    assert answer.status == 200, answer.content
    return read_oip(answer.content, answer.header(LENGTH))


def two() -> bytes:
    pair: dict[str, tuple[Any, list[int | str | None] | None]] = {
        "y": (F32, ["batch", 2]),
        "z": (np.int32, ["batch", 2]),
    }
    nodes = [node("Neg", ["x"], ["y"]), node("Cast", ["x"], ["z"], to=6)]
    return build(nodes, {"x": (F32, ["batch", 2])}, pair)


def test_half_precision_travels_in_json_bit_for_bit() -> None:
    """Triton refuses FP16 in JSON, whose numbers hold it exactly."""
    x = extremes("float16", finite=True)[:, None]
    served = client(m=same_out(np.float16, ["batch", 1]))
    for nested in (False, True):
        body, _ = oip({"x": x}, nested=nested)
        assert same(outputs(served.post(INFER, body))["y"], x)


def test_binary_answers_asked_for_all_hold_for_outputs_that_are_listed() -> None:
    """KServe's server forgot the request's flag for outputs without one of their own."""
    x = np.array([[1.5, -2.0]], F32)
    served = client(m=two())
    cases: list[tuple[list[dict[str, Any]], set[str]]] = [
        ([{"name": "y"}, {"name": "z"}], {"y", "z"}),
        ([{"name": "z", "parameters": {"binary_data": False}}, {"name": "y"}], {"y"}),
        ([{"name": "z"}], {"z"}),
    ]
    for listed, binary in cases:
        body, headers = oip({"x": x}, binary_out=True, outputs=listed)
        answer = served.post(INFER, body, headers)
        told = json.loads(answer.content[: int(answer.header(LENGTH) or 0)])["outputs"]
        assert [one["name"] for one in told] == [one["name"] for one in listed]
        assert {one["name"] for one in told if "parameters" in one} == binary
        got = outputs(answer)
        wanted = {"y": -x, "z": x.astype(np.int32)}
        assert all(same(got[name], wanted[name]) for name in got)


@pytest.mark.parametrize("identity", [None, "", "a", "ß🙂\n", "i" * 100_000])
def test_an_id_comes_back_as_it_went_and_none_when_there_was_none(identity: str | None) -> None:
    """KServe's server answered null, which its own client then refused."""
    served = client(m=two())
    for binary_out in (False, True):
        body, _ = oip({"x": np.ones((1, 2), F32)}, binary_out=binary_out, id=identity)
        answer = served.post(INFER, body)
        told = json.loads(answer.content[: int(answer.header(LENGTH) or len(answer.content))])
        assert told.get("id", None) == identity
        assert ("id" in told) == (identity is not None)


def test_null_stands_for_what_a_client_does_not_say() -> None:
    """Clients made of data classes write all of their fields."""
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": None, "data": [1.5, -2]}
    request: dict[str, Any] = {"id": None, "parameters": None, "inputs": [tensor], "outputs": None}
    served = client(m=two())
    plain = served.post(INFER, json=request)
    assert sorted(outputs(plain)) == ["y", "z"]
    nothing = {"content_type": None, "binary_data_size": None, "binary_data": None, "binary_data_output": None}
    full = {
        **request,
        "parameters": {**nothing, "timeout": None},
        "inputs": [{**tensor, "parameters": {**nothing, "content_type": "np"}}],
        "outputs": [{"name": name, "parameters": nothing} for name in ("y", "z")],
    }
    assert served.post(INFER, json=full).content == plain.content


def test_the_length_of_a_text_counts_bytes_not_characters() -> None:
    """Where it counted characters, what was left of one text was taken for a second one."""
    served = client(m=same_out(object, ["batch"]))
    text = "the accused’s spouse"
    tensor = {"name": "x", "shape": [1], "datatype": "BYTES"}

    def ask(length: int) -> Response:
        tail = struct.pack("<I", length) + text.encode()
        head = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": len(tail)}}]}).encode()
        return served.post(INFER, head + tail, {LENGTH: str(len(head))})

    assert outputs(ask(len(text.encode())))["y"].tolist() == [text]
    wrong = ask(len(text))
    assert (wrong.status, wrong.json()["error"]) == (
        400,
        f"input 'x': 1 elements of BYTES take {4 + len(text)} bytes; got {4 + len(text.encode())}",
    )


@pytest.mark.parametrize(
    ("tensor", "says"),
    [
        ({"shape": "-1", "datatype": "BYTES", "data": [{"b64": "YQ=="}]}, "shape needs a list of sizes"),
        ({"shape": [1], "datatype": "STRING", "data": ["a"]}, "datatype needs 'BYTES'"),
        ({"shape": [1], "datatype": "BYTES", "data": [{"b64": "YQ=="}]}, "element 0 is an object"),
        ({"shape": [1], "datatype": "BYTES", "data": {"b64": "YQ=="}}, "data needs a list; got an object"),
        ({"shape": [-1], "datatype": "BYTES", "data": ["a"]}, "shape needs a list of sizes"),
        ({"shape": [1.0], "datatype": "BYTES", "data": ["a"]}, "shape needs a list of sizes"),
        ({"shape": [1], "datatype": "BYTES", "data": "a"}, "data needs a list; got 'a'"),
    ],
)
def test_tensors_of_another_form_are_refused_by_the_field(tensor: dict[str, Any], says: str) -> None:
    """Such a request ended Triton."""
    served = client(m=same_out(object, ["batch"]))
    answer = served.post(INFER, json={"inputs": [{"name": "x", **tensor}]})
    assert (answer.status, says in answer.json()["error"]) == (400, True), answer.content


def test_lengths_that_do_not_fit_the_body_are_refused_with_both_numbers() -> None:
    """OpenVINO's server read beyond the body; a user of Triton's counted his bytes to the JSON."""
    served = client(m=two())
    x = np.ones((2, 2), F32)
    body, headers = oip({"x": x}, binary_in=True)
    length = int(headers[LENGTH])
    for told, says in (
        (len(body) + 1, f"is {len(body) + 1}, but the body has {len(body)} bytes"),
        (len(body), "the body is not JSON"),
        (length - 1, "the body is not JSON"),
        (length + 1, "the body is not JSON"),
    ):
        answer = served.post(INFER, body, {LENGTH: str(told)})
        assert (answer.status, says in answer.json()["error"]) == (400, True), answer.content
    for wrong, says in ((body[:-1], "only 15 bytes"), (body + b"\0", "1 bytes more")):
        answer = served.post(INFER, wrong, headers)
        assert (answer.status, says in answer.json()["error"]) == (400, True), answer.content
    assert same(outputs(served.post(INFER, body, headers))["y"], -x)


def test_the_length_of_the_json_counts_its_bytes_before_they_were_packed() -> None:
    """Triton once compared it with the packed body."""
    x = np.zeros((500, 2), F32)
    served = client(m=two())
    body, headers = oip({"x": x}, binary_in=True, binary_out=True)
    packed = gzip.compress(body)
    assert len(packed) < int(headers[LENGTH])
    asked = {**headers, "content-encoding": "gzip", "accept-encoding": "gzip"}
    answer = served.post(INFER, packed, asked)
    assert answer.header("content-encoding") == "gzip"
    got = read_oip(gzip.decompress(answer.content), answer.header(LENGTH))
    assert same(got["y"], -x)


@pytest.mark.parametrize("shape", [(0, 2), (3, 0), (0, 0)])
def test_tensors_without_elements_have_a_size_of_nothing(shape: tuple[int, int]) -> None:
    """Servers have crashed, and clients stumbled, over tensors of no bytes."""
    served = client(m=build([node("Neg", ["x"], ["y"])], {"x": (F32, ["a", "b"])}, {"y": (F32, ["a", "b"])}))
    for binary_in in (False, True):
        body, headers = oip({"x": np.empty(shape, F32)}, binary_in, binary_out=True)
        answer = served.post(INFER, body, headers)
        (told,) = json.loads(answer.content[: int(answer.header(LENGTH) or 0)])["outputs"]
        assert (told["shape"], told["parameters"]) == (list(shape), {"binary_data_size": 0})
        assert outputs(answer)["y"].shape == shape


def test_scalars_have_an_empty_shape_both_ways() -> None:
    """Triton's configurations cannot say that an array has no axes."""
    served = client(m=ODDS["scalar"].file)
    x = np.array(0.1, F32)
    for binary_in, binary_out in np.ndindex(2, 2):
        body, headers = oip({"x": x}, bool(binary_in), bool(binary_out))
        assert same(outputs(served.post(INFER, body, headers))["y"], x)
    assert served.post("/v1/models/m:predict", json={"inputs": 0.5}).json() == {"outputs": 0.5}


def test_base64_of_the_alphabet_for_addresses_is_refused_by_name() -> None:
    served = client(m=same_out(object, ["batch"]))
    path = "/v1/models/m:predict"
    assert served.post(path, json={"instances": [{"b64": "w7/Dvw=="}]}).json() == {"predictions": ["ÿÿ"]}
    for wrong in ("w7_Dvw==", "w7/Dvw", "w7/D\nvw==", "w7/Dvw==.."):
        answer = served.post(path, json={"instances": [{"b64": wrong}]})
        assert (answer.status, "b64 needs base64" in answer.json()["error"]) == (400, True), answer.content


def test_the_names_of_the_models_are_listed_as_kserve_lists_them() -> None:
    served = client(b=two(), a=two())
    assert served.get("/v1/models").json() == {"models": ["a", "b"]}
    assert served.get("/v1/models/").status == 200


def test_large_answers_with_infinities_are_whole_and_json() -> None:
    """Triton's JSON ended where a number was none."""
    odd = Odd("m", build([node("Log", ["x"], ["y"])], {"x": (F32, ["batch", 3])}, {"y": (F32, ["batch", 3])}), [])
    x = np.tile(np.array([[-1, 0, 7]], F32), (5000, 1))
    body, _ = oip({"x": x})
    answer = client(m=odd.file).post(INFER, body)
    told = json.loads(answer.content, parse_constant=pytest.fail)["outputs"][0]["data"]
    assert told[:2] == ["NaN", "-Infinity"]
    np.testing.assert_array_equal(outputs(answer)["y"], expected(odd.session(), {"x": x})["y"])


def test_a_batch_of_plain_numbers_or_texts_has_an_axis_in_the_configuration() -> None:
    """Without one, perf_analyzer says that it is unable to set the shape."""
    numbers = build([node("Neg", ["x"], ["y"])], {"x": (F32, ["batch"])}, {"y": (F32, ["batch"])})
    for file in (numbers, ODDS["texts"].file):
        config = client(m=file).get("/v2/models/m/config").json()
        assert (config["max_batch_size"], config["input"][0]["dims"]) == (0, [-1])
        assert "dynamic_batching" not in config


def test_a_model_without_inputs_is_asked_without_a_list_of_them() -> None:
    """Triton's client for C++ leaves out what is empty."""
    served = client(m=ODDS["no-inputs"].file, x=two())
    wanted = expected(ODDS["no-inputs"].session(), {})["y"]
    for body in (b"{}", b'{"inputs":[]}', b'{"inputs":null,"id":"a"}'):
        assert same(outputs(served.post(INFER, body))["y"], wanted)
        assert same(outputs(served.post(INFER, body, {LENGTH: str(len(body))}))["y"], wanted)
    answer = served.post("/v2/models/x/infer", b"{}")
    assert (answer.status, "needs the key 'inputs'" in answer.json()["error"]) == (400, True)


def test_values_that_a_file_gives_itself_are_no_inputs() -> None:
    """Old exporters list all weights as inputs: nobody shall be asked for them, nor change them."""
    served = client(m=ODDS["with-default"].file)
    (feeds,) = ODDS["with-default"].feeds
    assert [one["name"] for one in served.get("/v2/models/m").json()["inputs"]] == ["x"]
    assert outputs(served.post(INFER, oip(feeds)[0]))["y"].tolist() == [[2.0, 3.0], [2.0, 3.0]]
    answer = served.post(INFER, oip({**feeds, "n": feeds["x"]})[0])
    assert (answer.status, answer.json()["error"]) == (
        400,
        "inputs[1].name needs the name of an input, 'x' FP32[batch, 2]; got 'n'",
    )


def test_models_of_hundreds_of_columns_can_be_asked() -> None:
    """What exporters make of wide tables, and of networks that keep a state in every layer."""
    names = [f"c{number}" for number in range(300)]
    column: tuple[Any, list[int | str | None] | None] = (F32, ["batch", 1])
    table: tuple[Any, list[int | str | None] | None] = (F32, ["batch", 300])
    served = client(
        wide=build([node("Concat", names, ["y"], axis=1)], dict.fromkeys(names, column), {"y": table}),
        split=build([node("Split", ["x"], names, axis=1, num_outputs=300)], {"x": table}, dict.fromkeys(names, column)),
    )
    x = np.random.default_rng(0).random((2, 300)).astype(F32)
    columns = {name: x[:, [place]] for place, name in enumerate(names)}
    for binary in (False, True):
        body, headers = oip(columns, binary, binary)
        assert same(outputs(served.post("/v2/models/wide/infer", body, headers))["y"], x)
        body, headers = oip({"x": x}, binary, binary, outputs=[{"name": name} for name in reversed(names)])
        got = outputs(served.post("/v2/models/split/infer", body, headers))
        assert list(got) == names[::-1]
        assert all(same(got[name], columns[name]) for name in names)
    answer = served.post("/models/wide/predict", npz(columns), {"content-type": "application/x-npz"})
    assert np.array_equal(np.array(answer.json()["outputs"]["y"], F32), x)
    body, _ = oip({**columns, "more": x})
    answer = served.post("/v2/models/wide/infer", body)
    assert (answer.status, answer.json()["error"]) == (400, "inputs has 301 tensors; at most 300")


def test_names_with_spaces_slashes_and_quotes_are_names() -> None:
    served = client(m=ODDS["odd-names"].file)
    (feeds,) = ODDS["odd-names"].feeds
    (wanted,) = expected(ODDS["odd-names"].session(), feeds).values()
    for binary in (False, True):
        body, headers = oip(feeds, binary, binary, outputs=[{"name": "out/put ß"}])
        assert same(outputs(served.post(INFER, body, headers))["out/put ß"], wanted)
    body, _ = oip({**feeds, ODD_NAME: feeds[ODD_NAME][:, :1]})
    refused = served.post(INFER, body)
    assert refused.status == 400
    assert "shape needs to fit" in refused.json()["error"]


@pytest.mark.parametrize("name", list(ODDS))
def test_every_example_of_the_description_is_answered_by_odd_models(name: str) -> None:
    served = client(**{name.replace("-", "_"): ODDS[name].file})
    tried = 0
    for path, operations in served.get("/openapi.json").json()["paths"].items():
        body = operations.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json", {})
        for example in body.get("examples", {}).values():
            answer = served.post(path.replace("{model}", name).replace("{version}", "1"), json=example["value"])
            assert answer.status == 200, (path, example["value"], answer.content[:300])
            tried += 1
    assert tried > 0


def test_texts_of_every_kind_come_back_in_every_form() -> None:
    served = client(m=same_out(object, ["batch"]))
    x = words(16)
    for binary_in, binary_out in np.ndindex(2, 2):
        body, headers = oip({"x": x}, bool(binary_in), bool(binary_out))
        assert same(outputs(served.post(INFER, body, headers))["y"], x)
    assert len(binary_of(x)) > 10_000
