"""What goes into the page's fields, and what comes out below them, for models of every kind."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.page_browser import (
    MARKS,
    By,
    choose,
    chromium,
    complaints,
    javascript,
    mounted,
    one,
    open_page,
    run,
    text,
    wait,
)
from kit.page_models import FLOAT, INT64, STRING, constant, echo, means, scores, sums, write

Image = pytest.importorskip("PIL.Image", reason="pictures are made with pillow")
pytestmark = MARKS
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    sums(folder)
    echo(folder, "whole", INT64, ["n"])
    echo(folder, "texts", STRING, ["n"])
    echo(folder, "scalar", FLOAT, [])
    echo(folder, "grid", FLOAT, ["h", "w"])
    scores(folder, "thousand", [HOSTILE, *(f"class {i}" for i in range(1, 1000))])
    means(folder, "colours", ["batch", 224, 224, 3], [1, 2])
    means(folder, "first", [1, 3, 16, 24], [2, 3])
    means(folder, "open", ["batch", 3, "h", "w"], [2, 3])
    echo(folder, "pixels", FLOAT, ["batch", 12, 8, 3])
    echo(folder, "planes", FLOAT, ["batch", 3, 12, 8])
    constant(folder, "floats", np.array([1.5, np.nan, np.inf, -np.inf, 1e-30, 0.1], np.float32))
    constant(folder, "large", np.array([2**62 + 1, 123456789, -1]))
    constant(
        folder, "words", np.array([f"<script>{HOSTILE}</script>", "a,b", "two\nlines", ""], object), f"<b>{HOSTILE}"
    )
    constant(folder, "million", np.arange(1e6, dtype=np.float32))
    constant(folder, "nothing", np.zeros((0, 3), np.float32))
    write(folder, "bad", [], {f"{HOSTILE}": (FLOAT, ["n"])}, {f"{HOSTILE}": (FLOAT, ["n"])})
    with mounted({path.parents[1].name: path for path in folder.glob("*/*/model.onnx")}) as address:
        yield address


@pytest.fixture(scope="module")
def browser(address: str) -> Iterator[Any]:
    with chromium() as browser:
        yield open_page(browser, address)
        assert complaints(browser) == []


def values(page: Any) -> str:
    return text(page, "#results pre")


def test_texts_scalars_and_no_inputs_at_all_are_run(browser: Any) -> None:
    choose(browser, "texts")
    run(browser, " kept as it is \n\nlast")
    assert values(browser) == '" kept as it is ", "", "last"'
    choose(browser, "scalar")
    run(browser, "2.5")
    assert values(browser) == "2.5"
    choose(browser, "floats")
    run(browser)
    assert values(browser) == "1.5, NaN, Infinity, -Infinity, 1e-30, 0.1"


def test_numbers_are_shown_as_they_are(browser: Any) -> None:
    choose(browser, "large")
    run(browser)
    assert values(browser) == "4611686018427387905, 123456789, -1"
    choose(browser, "nothing")
    run(browser)
    assert "an axis of this output has size 0" in values(browser)
    choose(browser, "million")
    run(browser)
    assert values(browser).startswith("0, 1, 2, ")
    assert values(browser).endswith("999\n... (1000000 in all)")
    choose(browser, "grid")
    run(browser, "1 2 3\n4 5 6")
    assert text(browser, "#results h3") == "y FP32 [2, 3]"
    assert values(browser) == "1, 2, 3\n4, 5, 6"


def test_classes_have_their_names_and_every_row_its_own(browser: Any, address: str) -> None:
    choose(browser, "thousand")
    rows = np.random.default_rng(1).normal(size=(3, 8)).round(3)
    run(browser, "\n".join(",".join(map(str, row)) for row in rows))
    answer = browser.execute_async_script(
        "const [url, body, done] = arguments; fetch(url, {method: 'POST', body}).then((r) => r.json()).then(done)",
        f"{address}/v2/models/thousand/infer",
        json.dumps({"inputs": [{"name": "x", "shape": [3, 8], "datatype": "FP32", "data": rows.ravel().tolist()}]}),
    )
    scores = np.array(answer["outputs"][0]["data"]).reshape(3, 1000)
    best = [f"class {i}" if i else HOSTILE for i in scores.argmax(1)]
    assert text(browser, ".answer") == best[0]
    shown = text(browser, "#results").splitlines()
    assert "the first 10 of 1000 classes, row 1 of 3" in shown
    assert shown[-2:] == [f"row {n + 1}: {best[n]} ({100 * scores[n].max():.1f} %)" for n in (1, 2)]


def test_nothing_of_a_file_or_an_answer_becomes_markup(browser: Any) -> None:
    choose(browser, "words")
    run(browser)
    assert values(browser) == json.dumps([f"<script>{HOSTILE}</script>", "a,b", "two\nlines", ""])[1:-1]
    choose(browser, "bad")
    assert run(browser, HOSTILE) == f"{HOSTILE} needs numbers; got {HOSTILE.split()[0]}"
    assert browser.find_elements(By.CSS_SELECTOR, "main img, main script, main b:not([id])") == []


def test_a_command_to_paste_is_whole_and_quotes_what_a_shell_would_read(
    browser: Any, address: str, tmp_path: Path
) -> None:
    choose(browser, "texts")
    run(browser, "it's $HOME")
    command = one(browser, "#curl").get_attribute("textContent")
    body = '{"inputs":[{"name":"x","datatype":"BYTES","data":["it\'\\\'\'s $HOME"],"shape":[1]}]}'
    assert command == f"curl '{address}/v2/models/texts/infer' -d '{body}'"
    give(browser, "colours", picture(300, 200), "photo.png")
    assert one(browser, "#curl").get_attribute("textContent").endswith("/colours/infer' -d @request.json")
    behaviour = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
    browser.execute_script("document.querySelector('#save a').click()")
    saved = tmp_path / "request.json"
    wait(browser, saved.exists)
    assert len(json.loads(saved.read_text())["inputs"][0]["data"]) == 224 * 224 * 3


COLOUR = (200, 100, 50)


def picture(width: int, height: int, kind: str = "PNG", mode: str = "RGB", colour: tuple[int, ...] = COLOUR) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (width, height), colour).save(file, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return file.getvalue()


DROP = """
const [bytes, name, way] = arguments;
const data = new DataTransfer();
if (name) data.items.add(new File([new Uint8Array(bytes)], name));
const event = new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true});
document.querySelector(way).dispatchEvent(event);
return event.defaultPrevented;
"""


def give(browser: Any, model: str, content: bytes, name: str) -> None:
    """Drop an image, whichever way is chosen, and wait for what the model says."""
    choose(browser, model)
    assert browser.execute_script(DROP, list(content), name, "#fields fieldset")
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "#results pre"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("model", ["colours", "first", "open"])
def test_an_image_of_another_size_is_dropped_in_the_models_layout(browser: Any, model: str, kind: str) -> None:
    give(browser, model, picture(640, 360, kind), f"photo.{kind}")
    found = np.array(values(browser).split(", "), float)
    np.testing.assert_allclose(found, np.array(COLOUR) / 255, atol=0.01)


@pytest.mark.parametrize(("model", "axes"), [("pixels", (0, 1, 2)), ("planes", (2, 0, 1))])
def test_every_pixel_lies_where_the_model_expects_it(browser: Any, model: str, axes: tuple[int, ...]) -> None:
    corners = Image.fromarray(np.random.default_rng(0).integers(0, 256, (3, 2, 3), np.uint8))
    photo = corners.resize((120, 200), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    photo.save(file, "PNG")
    give(browser, model, file.getvalue(), "photo.png")
    found = np.array(values(browser).replace("\n", ", ").split(", "), float)
    exact = np.asarray(photo.resize((8, 12), Image.Resampling.BOX), float) / 255
    np.testing.assert_allclose(found, exact.transpose(axes).ravel(), atol=0.02)


def test_an_open_size_is_the_images_own(browser: Any) -> None:
    give(browser, "open", picture(100, 60), "photo.png")
    size = browser.execute_script(
        "return [...document.querySelectorAll('canvas.small')].map((c) => [c.width, c.height])"
    )
    assert [100, 60] in size


def test_transparent_places_are_white_as_the_server_reads_them(browser: Any) -> None:
    give(browser, "colours", picture(50, 50, mode="RGBA", colour=(0, 0, 0, 0)), "clear.png")
    assert values(browser) == "1, 1, 1"


def test_what_is_no_image_is_told_and_a_file_beside_the_field_does_no_harm(browser: Any) -> None:
    choose(browser, "colours")
    assert run(browser, "") == "x: choose or drop an image first"
    browser.execute_script(DROP, [1, 2, 3], "notes.txt", "#fields fieldset")
    wait(browser, lambda: "notes.txt cannot be read as an image: take a PNG" in text(browser, "#fields"))
    assert browser.execute_script(DROP, [1], "photo.png", "header"), "the browser would open the file"
    assert not browser.execute_script(DROP, [], "", "#fields textarea"), "a text cannot be dragged into a field"


def test_a_file_of_numbers_is_dropped_on_a_field(browser: Any) -> None:
    choose(browser, "grid")
    browser.execute_script(DROP, list(b"1,2\n3,4\n"), "table.csv", "#fields fieldset")
    wait(browser, lambda: one(browser, "#fields textarea").get_attribute("value"))
    one(browser, "#run").click()
    wait(browser, lambda: text(browser, "#results pre") if text(browser, "#results") else "")
    assert values(browser) == "1, 2\n3, 4"


def test_an_image_that_comes_late_runs_no_other_model(browser: Any) -> None:
    choose(browser, "colours")
    browser.execute_script(
        "const real = createImageBitmap; window.createImageBitmap = async (file) => {"
        "window.createImageBitmap = real; await new Promise((done) => setTimeout(done, 500)); window.late = true;"
        "return real(file); }"
    )
    browser.execute_script(DROP, list(picture(300, 200)), "photo.png", "#fields fieldset")
    choose(browser, "scalar")
    wait(browser, lambda: browser.execute_script("return window.late"))
    time.sleep(0.5)
    assert text(browser, "#mistake") == text(browser, "#results") == ""


def read(browser: Any, written: str, shape: list[int], datatype: str = "FP32") -> Any:
    tensor = json.dumps({"name": "x", "shape": shape, "datatype": datatype})
    tried = (
        f"(() => {{ try {{ const r = readNumbers({json.dumps(written)}, {tensor}); return [r.shape, r.data]; }}"
        "catch (error) { return error.message; } })()"
    )
    return javascript(browser, tried, "tensors.js", "numbers.js")


@pytest.mark.parametrize(
    ("written", "shape", "expected"),
    [
        (
            "1,2;3,4",
            [-1, 2],
            "x: is 1,2 one number or two? Write decimals with a point, 1.5, and one kind of sign between numbers",
        ),
        (
            "1,5 2,5",
            [-1, 2],
            "x: is 1,5 one number or two? Write decimals with a point, 1.5, and one kind of sign between numbers",
        ),
        ("1,5\n2,5", [-1, 2], [[2, 2], [1, 5, 2, 5]]),
        ("1,5", [-1, 1], [[2, 1], [1, 5]]),
        ("1,5", [1], "x needs 1 number for [1]; got 2; commas are between numbers, decimals need a point: 1.5"),
        ("1, 2, 3, 4", [-1, 2], [[2, 2], [1, 2, 3, 4]]),
        ("1 2\t3;4", [2, 2], [[2, 2], [1, 2, 3, 4]]),
        ("\u22121 2", [-1, 2], [[1, 2], [-1, 2]]),
        ("[[1. 2.]\n [3. 4.]]", [-1, 2], [[2, 2], [1, 2, 3, 4]]),
        ("[[1, 2], [3, 4]]", [-1, -1], [[2, 2], [1, 2, 3, 4]]),
        ("[1, 2, 3, 4]", [-1, 2, 2], [[1, 2, 2], [1, 2, 3, 4]]),
        ("[[1, 2], [3, 4]]", [-1, 2, 2], [[1, 2, 2], [1, 2, 3, 4]]),
        ('{"x": [1, 2]}', [-1, 2], [[1, 2], [1, 2]]),
        ('{"inputs": [{"name": "x", "data": [1, 2]}]}', [-1, 2], [[1, 2], [1, 2]]),
        ('{"z": [1, 2]}', [-1, 2], 'x: the JSON has no list "x"; give a list of 2 numbers or a multiple of that'),
        ("[[1, 2], [3]]", [-1, 2], "x: the lists at depth 2 of the JSON differ in length"),
        ("[[1, 2, 3], [4, 5, 6]]", [-1, 2], "x needs [any, 2]; the lists are [2, 3]"),
        ("[1, null]", [-1, 2], "x needs numbers; got null"),
        ("[1, true]", [-1, 2], "x needs numbers; got true"),
        ("", [-1, 8], "x is empty: write 8 numbers or a multiple of that, or fill it with zeros"),
        ("1 2 3", [-1, 8], "x needs 8 numbers or a multiple of that for [any, 8]; got 3"),
        ("1 2 3", [8], "x needs 8 numbers for [8]; got 3"),
        ("a,b\n1,2", [-1, 2], "x: leave out the first line, which has names: a,b"),
        ("1,2\n3", [-1, 3], "x: line 2 has 1 number, the first 2"),
        ("1,2,3\n4,5,6", [-1, 2], "x needs 2 numbers a row; the lines have 3"),
        ("1,,2", [-1, 2], "x: a number is missing in 1,,2"),
        ("1 nan", [-1, 2], "x needs finite numbers: this page sends JSON, which has no nan"),
        ("1 1e999", [-1, 2], "x needs numbers; got 1e999"),
        ("1 two", [-1, 2], "x needs numbers; got two"),
    ],
)
def test_pasted_numbers_are_read_or_the_message_says_what_to_do(
    browser: Any, written: str, shape: list[int], expected: Any
) -> None:
    assert read(browser, written, shape) == expected


def test_whole_numbers_booleans_and_texts_are_read_as_such(browser: Any) -> None:
    assert read(browser, "1.5", [-1], "INT64") == "x needs whole numbers; got 1.5"
    assert read(browser, "9007199254740993", [-1], "INT64").startswith("x needs whole numbers below 2^53")
    assert read(browser, "true 0", [-1], "BOOL") == [[2], [True, False]]
    assert read(browser, "[true, false]", [-1], "BOOL") == [[2], [True, False]]
    assert read(browser, "yes", [-1], "BOOL") == "x needs true or false; got yes"
    assert read(browser, '["a", "b"]', [-1], "BYTES") == [[2], ["a", "b"]]
    for written in ("[a], 1", '{"a": [1]}', "[1, 2]"):
        assert read(browser, f"{written}\nb", [-1], "BYTES") == [[2], [written, "b"]]
        assert read(browser, written, [-1], "BYTES") == [[1], [written]]


def test_layouts_and_ranges_are_told_right(browser: Any) -> None:
    def layout(*shape: int, datatype: str = "FP32") -> Any:
        tensor = json.dumps({"datatype": datatype, "shape": shape})
        found = javascript(browser, f"imageLayout({tensor})", "tensors.js")
        return found and (found["height"], found["width"], found["channels"], found["order"])

    assert layout(-1, 28, 28, 1) == (28, 28, 1, "hwc")
    assert layout(-1, 3, 32, 48) == (32, 48, 3, "chw")
    assert layout(1, 4, 32, 48) == (32, 48, 4, "chw")
    assert layout(-1, 784) == (28, 28, 1, "flat")
    assert layout(-1, 8) is None
    assert layout(4, 28, 28, 1) is None, "four images at once are numbers"
    assert layout(-1, 28, 28, 1, datatype="BYTES") is None

    def pixel(datatype: str, scale: str) -> list[float]:
        one = '{height: 1, width: 1, channels: 3, order: "hwc"}'
        expression = f'pixelsToTensor([255, 0, 51, 255], {one}, "{scale}", false, "{datatype}")'
        found: list[float] = javascript(browser, expression, "tensors.js")
        return found

    assert pixel("FP32", "0..1") == [1, 0, 0.2]
    assert pixel("FP32", "-1..1") == [1, -1, -0.6]
    assert pixel("UINT8", "0..255") == [255, 0, 51]
    assert pixel("INT8", "-128..127") == [127, -128, -77]
    assert pixel("FP32", "ImageNet") == pytest.approx(
        [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225], abs=1e-4
    )
