"""Plain POST: what people have, and numbers back."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

pytest.importorskip("orjson", reason="the server speaks JSON with orjson")

from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import Response
from seqc_runtime.server.testing import TestClient

Serve = Callable[..., TestClient]
Reference = Callable[[np.ndarray], np.ndarray]
X = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)


def send(client: TestClient, body: bytes, kind: str, accept: str = "*/*", path: str = "/predict") -> Response:
    return client.post(path, body, {"Content-Type": kind, "Accept": accept})


def npy(array: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


@pytest.mark.parametrize("path", ["/predict", "/models/m/predict", "/models/m/versions/1/predict"])
def test_json_in_every_natural_form(serve: Serve, gemm: bytes, gemm_reference: Reference, path: str) -> None:
    client = serve(gemm)
    rows = X.tolist()
    for data in (
        rows,
        {"x": rows},
        {"instances": rows},
        {"inputs": rows},
        {"inputs": {"x": rows}},
        [{"x": r} for r in rows],
    ):
        answer = client.post(path, json=data)
        assert answer.status == 200, answer.content
        assert np.allclose(answer.json()["outputs"]["y"], gemm_reference(X), atol=1e-6)
    assert np.allclose(client.post(path, json=rows[0]).json()["outputs"]["y"], gemm_reference(X[:1])[0], atol=1e-6)


@pytest.mark.parametrize("one", [[], [1]])
def test_a_record_of_numbers_is_one_sample(serve: Serve, make: Callable[..., bytes], one: list[int]) -> None:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *one]) for name in "aby"]
    client = serve(make([helper.make_node("Sub", ["a", "b"], ["y"])], ends[:2], ends[2:]))
    assert np.ravel(client.post("/predict", json={"a": 5, "b": 2}).json()["outputs"]["y"]) == [3]
    assert np.ravel(client.post("/predict", json=[{"a": 5, "b": 2}]).json()["outputs"]["y"]) == [3]
    assert np.ravel(client.post("/predict", json={"a": [5, 1], "b": [2, 2]}).json()["outputs"]["y"]).tolist() == [3, -1]


def test_classes_are_called_by_their_names(serve: Serve, gemm: bytes, gemm_reference: Reference) -> None:
    client = serve(gemm)
    expected = ["abc"[place] for place in gemm_reference(X).argmax(axis=1)]
    content = client.post("/predict", json=X.tolist()).json()
    assert content["classes"] == {"y": expected}
    assert content["labels"] == {"y": ["a", "b", "c"]}
    assert client.post("/predict", json=X[0].tolist()).json()["classes"] == {"y": expected[0]}
    assert client.get("/v2/models/m").json()["labels"] == {"y": ["a", "b", "c"]}


@pytest.mark.parametrize("array", [X, X.astype(">f8"), np.asfortranarray(X), X.astype(np.float16)])
def test_npy_in_and_out(serve: Serve, gemm: bytes, gemm_reference: Reference, array: np.ndarray) -> None:
    answer = send(serve(gemm), npy(array), "application/x-npy", "application/x-npy")
    assert answer.status == 200, answer.content
    assert np.allclose(np.load(io.BytesIO(answer.content)), gemm_reference(X), atol=1e-2)


def test_npz_of_several_inputs(serve: Serve, two_inputs: bytes) -> None:
    body = npz(a=np.array([[3, 4]], np.float32), b=np.array([[1, 1]], np.float32))
    answer = send(serve(two_inputs), body, "application/x-npz", "application/x-npz")
    assert np.array_equal(np.load(io.BytesIO(answer.content))["y"], [[2, 3]])


@pytest.mark.parametrize("header", ["", "a,b,c,d\n", "\ufeffa,b,c,d\r\n"])
def test_csv_in_and_out(serve: Serve, gemm: bytes, gemm_reference: Reference, header: str) -> None:
    text = header + "\n".join(",".join(repr(float(cell)) for cell in row) for row in X) + "\n"
    answer = send(serve(gemm), text.encode(), "text/csv; charset=utf-8", "text/csv")
    assert answer.status == 200, answer.content
    lines = answer.content.decode().splitlines()
    assert lines[0] == "y_0,y_1,y_2"
    assert np.allclose([list(map(float, line.split(","))) for line in lines[1:]], gemm_reference(X), atol=1e-6)


TABLES = [
    (b"1;2;3;4\n5;6;7;8", "", [[1, 2, 3, 4], [5, 6, 7, 8]]),
    (b"1\t2\t3\t4\n", "", [[1, 2, 3, 4]]),
    (b"0,1,2,3\n1,2,3,4", "; header=present", [[1, 2, 3, 4]]),
    (b"0,1,2,3\n1,2,3,4", '; charset=utf-8; Header="absent"', [[0, 1, 2, 3], [1, 2, 3, 4]]),
    (b"a,b,c,2020\n1,2,3,4", "; header=present", [[1, 2, 3, 4]]),
    (b"a,b,c,2020\n1,2,3,4", "", [[1, 2, 3, 4]]),
    (b"0,1,2,3", "", [[0, 1, 2, 3]]),
    (b"x,y,z,w\n1,2,3,4", "", [[1, 2, 3, 4]]),
    (b'"t; C",b,c,d\n1,2,3,4', "", [[1, 2, 3, 4]]),
    (b"t; C,b,c,y\n1,2,3,4", "", [[1, 2, 3, 4]]),
    (b'"a\n;","b;",c,"d\r\n""x"""\n1,2,3,4', "", [[1, 2, 3, 4]]),
    (b"1,5;2,5;3;4\n1;2;3;4", "; header=present", [[1, 2, 3, 4]]),
    (b"id,x_3,x_2,x_1,x_0\n9,1,2,3,4", "", [[4, 3, 2, 1]]),
    (b"a,b,c,d\n", "", []),
    (b"", "", []),
]


@pytest.mark.parametrize(("body", "said", "expected"), TABLES)
def test_every_row_of_a_table_is_a_sample_but_one_of_names(
    serve: Serve, relu: Callable[..., bytes], body: bytes, said: str, expected: list[list[float]]
) -> None:
    answer = send(serve(relu(["n", 4], ["n", 4])), body, "text/csv" + said)
    assert answer.status == 200, answer.content
    assert answer.json()["outputs"]["y"] == expected


def test_texts_in_a_table_are_told_from_names(serve: Serve, identity: Callable[..., bytes]) -> None:
    client = serve(identity(8))
    for body, said, expected in (
        (b"x\nold\nnew", "", ["old", "new"]),
        (b"old", "", ["old"]),
        (b'x\r\nold\r\n""\r\n\r\nnew\r\n\r\n', "", ["old", "", "new"]),
        (b"text\nold", "; header=present", ["old"]),
        (b"text\nold", "; header=absent", ["text", "old"]),
    ):
        assert send(client, body, "text/csv" + said).json()["outputs"]["y"] == expected
    refused = send(client, b"text\nold", "text/csv")
    assert (refused.status, "header=present" in refused.json()["error"]) == (400, True)


def test_an_empty_line_of_a_table_of_one_column_is_no_sample(serve: Serve, relu: Callable[..., bytes]) -> None:
    client = serve(relu(["n", 1], ["n", 1]))
    for body in (b"1.5\n2.5\n\n", b"v\r\n1.5\r\n\r\n2.5\r\n\r\n"):
        assert send(client, body, "text/csv").json()["outputs"]["y"] == [[1.5], [2.5]]
    assert "the value is missing" in send(client, b'1.5\n""\n', "text/csv").json()["error"]


def test_truths_in_a_table_are_no_names(serve: Serve, identity: Callable[..., bytes]) -> None:
    answer = send(serve(identity(9, ["n", 2])), b"true,false\n0,1", "text/csv")
    assert answer.json()["outputs"]["y"] == [[True, False], [False, True]]


def test_images_are_resized_and_divided_only_when_asked(serve: Serve, relu: Callable[..., bytes]) -> None:
    image_module = pytest.importorskip("PIL.Image", reason="images are read with pillow")
    client = serve(relu(["n", 4, 6, 3], ["n", 4, 6, 3]))
    pixels = np.random.default_rng(1).integers(0, 256, (4, 6, 3), np.uint8)
    file = io.BytesIO()
    image_module.fromarray(pixels).save(file, "PNG")
    assert np.array_equal(send(client, file.getvalue(), "image/png").json()["outputs"]["y"], pixels)
    scaled = send(client, file.getvalue(), "image/png", path="/predict?scale=255").json()["outputs"]["y"]
    assert np.allclose(scaled, pixels / 255, atol=1e-6)
    file = io.BytesIO()
    image_module.new("L", (60, 40), 128).save(file, "JPEG")
    resized = np.array(send(client, file.getvalue(), "image/jpeg").json()["outputs"]["y"])
    assert resized.shape == (4, 6, 3)
    assert np.all(np.abs(resized - 128) <= 1)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [(["n", 3, 4, 6], (3, 4, 6)), (["n", 4, 6], (4, 6)), (["n", 16], (16,)), (["n", 4, 6, 1], (4, 6, 1))],
)
def test_images_fit_the_layouts_of_models(
    serve: Serve, relu: Callable[..., bytes], shape: list[Any], expected: tuple[int, ...]
) -> None:
    image_module = pytest.importorskip("PIL.Image", reason="images are read with pillow")
    file = io.BytesIO()
    image_module.new("RGBA", (6, 4), (0, 0, 0, 0)).save(file, "PNG")
    answer = send(serve(relu(shape, shape)), file.getvalue(), "image/png")
    result = np.array(answer.json()["outputs"]["y"])
    assert result.shape == expected
    assert np.all(result == 255)  # what cannot be seen is white


def test_an_image_for_a_file_that_takes_several_at_a_time_is_refused(serve: Serve, relu: Callable[..., bytes]) -> None:
    image_module = pytest.importorskip("PIL.Image", reason="images are read with pillow")
    file = io.BytesIO()
    image_module.new("L", (6, 4), 128).save(file, "PNG")
    answer = send(serve(relu([2, 4, 6, 1], [2, 4, 6, 1])), file.getvalue(), "image/png")
    assert answer.status == 400
    assert "shape needs to fit FP32[2, 4, 6, 1]; got [1, 4, 6, 1]" in answer.json()["error"]


def test_a_request_that_is_refused_is_counted_under_either_path(serve: Serve, identity: Callable[..., bytes]) -> None:
    client = serve(identity(TensorProto.INT8, ["n", 2]))
    (name,) = client.app.repository.names()
    array = io.BytesIO()
    np.save(array, np.array([[1, 300]]))
    for path in ("/predict", f"/models/{name}/predict"):
        for body, kind in (
            (b"[1]", "application/json"),
            (b"1,300", "text/csv"),
            (array.getvalue(), "application/x-npy"),
        ):
            assert send(client, body, kind, path=path).status == 400
    assert client.app.repository.get(name).counters.snapshot().fail["invalid"] == 6


def test_pixels_for_int8_are_128_less(serve: Serve, identity: Callable[..., bytes]) -> None:
    image_module = pytest.importorskip("PIL.Image", reason="images are read with pillow")
    file = io.BytesIO()
    image_module.fromarray(np.array([[0, 127], [128, 255]], np.uint8)).save(file, "PNG")
    answer = send(serve(identity(TensorProto.INT8, ["n", 2, 2])), file.getvalue(), "image/png")
    assert answer.json()["outputs"]["y"] == [[-128, -1], [0, 127]]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_of_grey_become_eight(serve: Serve, relu: Callable[..., bytes], channels: int) -> None:
    image_module = pytest.importorskip("PIL.Image", reason="images are read with pillow")
    file, shape = io.BytesIO(), ["n", 1, 4, channels]
    image_module.fromarray(np.array([[0, 256, 30000, 65535]], np.uint16)).save(file, "PNG", transparency=30000)
    found = np.array(send(serve(relu(shape, shape)), file.getvalue(), "image/png").json()["outputs"]["y"])
    clear = 117 if channels == 4 else 255
    assert found[0, :, 0].tolist() == [0, 1, clear, 255]
    if channels == 4:
        assert found[0, :, 3].tolist() == [255, 255, 0, 255]


def test_images_are_turned_as_browsers_turn_them(serve: Serve, relu: Callable[..., bytes]) -> None:
    image_module = pytest.importorskip("PIL.Image", reason="images are read with pillow")
    ops = pytest.importorskip("PIL.ImageOps")
    client = serve(relu(["n", "height", "width", 1], ["n", "height", "width", 1]))
    pixels = np.array([[0, 50, 100], [150, 200, 250]])
    for kind in (np.uint8, np.uint16):
        image = image_module.fromarray((pixels * (257 if kind == np.uint16 else 1)).astype(kind))
        for orientation in range(10):
            file, exif = io.BytesIO(), image_module.Exif()
            exif[0x0112] = orientation
            image.save(file, "PNG", exif=exif)
            upright = ops.exif_transpose(image_module.open(file)) if kind == np.uint8 else None
            found = np.array(send(client, file.getvalue(), "image/png").json()["outputs"]["y"])[..., 0]
            assert found.shape == ((3, 2) if orientation in (5, 6, 7, 8) else (2, 3))
            assert upright is None or np.array_equal(found, np.asarray(upright))
            assert found[0, 0] == {2: 100, 3: 250, 4: 150, 6: 150, 7: 250, 8: 100}.get(orientation, 0)
    file = io.BytesIO()
    image.save(file, "PNG", exif=b"Exif\0\0no exif at all")
    assert send(client, file.getvalue(), "image/png").status == 200


def test_a_digit_may_be_784_numbers_in_a_row(serve: Serve, relu: Callable[..., bytes]) -> None:
    client = serve(relu(["n", 28, 28, 1], ["n", 28, 28, 1]))
    digit = list(range(784))
    assert np.shape(client.post("/predict", json=digit).json()["outputs"]["y"]) == (28, 28, 1)
    assert np.shape(client.post("/predict", json=[digit, digit]).json()["outputs"]["y"]) == (2, 28, 28, 1)


WRONG = [
    (b"{", "application/json", 400, "not JSON"),
    (b"[[1,2,3]]", "application/json", 400, "needs to fit FP32[batch, 4]"),
    (b"[[1,2,3,true]]", "application/json", 400, "element 3 is true"),
    (b"[[1,2,3,4],[1,2]]", "application/json", 400, "lists of 2"),
    (b'{"z": 1}', "application/json", 400, "needs the name of an input"),
    (b"null", "application/json", 400, "needs to fit"),
    (b"1,2,3,z\n1,2,3,4", "text/csv", 400, "say text/csv; header=present or header=absent"),
    (b"1,2,3,z\n1,2,3,4", "text/csv; header=absent", 400, "line 1, column '3': 'z' is no number"),
    (b"1,2,3,4\n1,2", "text/csv", 400, "line 2: 2 values; the first line has 4"),
    (b"1,2,3,nan", "text/csv", 400, "line 1, column '3': the value is missing"),
    (b"na,na,na,na\n1,2,3,4", "text/csv", 400, "line 1, column '0': the value is missing"),
    (b",,,\n1,2,3,4", "text/csv", 400, "the value is missing"),
    (b"0,1,2,3\n1,2,3,4", "text/csv", 400, "may be names of columns or a sample"),
    (b"1,2,3,1_000", "text/csv; header=absent", 400, "'1_000' is no number"),
    (b"1,2,3,1e999", "text/csv", 400, "1e999 is too large"),
    (b"1,2,3,4", "text/csv; header=perhaps", 400, "needs present or absent"),
    (b"x_0,x_1,x_3,x_4\n1,2,3,4", "text/csv", 400, "leave some out"),
    (b"a,a,b,c\n1,2,3,4", "text/csv", 400, "names of their own"),
    (b"1,2,3,1e39", "text/csv", 400, "needs float32[batch, 4], so values up to 3.403e+38"),
    (b"\xff\xfe", "text/csv", 400, "not CSV"),
    (b"abc", "application/x-npy", 400, "not npy"),
    (npy(X)[:-1], "application/x-npy", 400, "needs 48"),
    (npy(np.array([{}]), allow_pickle=True), "application/x-npy", 400, "array of numbers"),
    (npy(np.ones(4, complex)), "application/x-npy", 400, "array of numbers"),
    (b"PK\3\4", "application/x-npz", 400, "not npz"),
    (npz(z=X), "application/x-npz", 400, "needs the name of an input"),
    (b"abc", "image/png", 400, "not an image of a kind that is read: PNG, JPEG"),
    (b"", "image/png", 400, "the body is empty"),
    (b"", "image/jpeg", 400, "the body is empty"),
    (b"", "application/x-npy", 400, "not npy"),
    (b"", "application/x-npz", 400, "not npz"),
    (b"", "application/json", 400, "not JSON"),
    (b"abc", "application/pdf", 415, "content-type"),
]


@pytest.mark.parametrize(("body", "kind", "status", "message"), WRONG)
def test_mistakes_say_what_is_wrong(
    serve: Serve, gemm: bytes, body: bytes, kind: str, status: int, message: str
) -> None:
    answer = send(serve(gemm), body, kind)
    assert answer.status == status
    assert message in answer.json()["error"]
    assert " at 0x" not in answer.json()["error"]  # the address of an object says nothing


def test_files_that_grow_are_stopped(serve: Serve, gemm: bytes, relu: Callable[..., bytes]) -> None:
    client = serve(gemm, Limits(body=100_000, pixels=1000))
    assert send(client, npz(x=np.zeros((100_000, 4), np.float32)), "application/x-npz").status == 413
    image_module = pytest.importorskip("PIL.Image", reason="images are read with pillow")
    file = io.BytesIO()
    image_module.new("L", (100, 100)).save(file, "PNG")
    answer = send(serve(relu(["n", 4, 4], ["n", 4, 4]), Limits(pixels=1000)), file.getvalue(), "image/png")
    assert answer.status == 413
    assert "pixels" in answer.json()["error"]


def test_an_answer_that_cannot_be_written_as_asked_is_406(serve: Serve, two_outputs: bytes) -> None:
    client = serve(two_outputs)
    assert send(client, b"[[1,2]]", "application/json", "image/png").status == 406
    assert send(client, b"[[1,2]]", "application/json", "application/x-npy").status == 406
    assert send(client, b"[[1,2]]", "application/json", "image/png, application/json;q=0.5").status == 200
