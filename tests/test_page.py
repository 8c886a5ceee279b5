"""The server's page in a real browser: a newcomer draws a digit and reads its class."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="the page is driven with selenium")
pytest.importorskip("uvicorn", reason="the server runs on uvicorn")

from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402

ROOT = Path(__file__).parents[1]
CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs the Debian packages chromium and chromium-driver"),
]
# Strokes of digits on a square of side 1.
STROKES = {
    0: [
        [
            (0.5, 0.2),
            (0.36, 0.3),
            (0.33, 0.5),
            (0.36, 0.7),
            (0.5, 0.8),
            (0.64, 0.7),
            (0.67, 0.5),
            (0.64, 0.3),
            (0.5, 0.2),
        ]
    ],
    1: [[(0.5, 0.15), (0.5, 0.85)]],
    7: [[(0.3, 0.2), (0.7, 0.2), (0.45, 0.85)]],
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository: the digits model, trained, and one with two plain inputs."""
    folder = tmp_path_factory.mktemp("served")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "seqc",
            "train",
            str(ROOT / "models" / "digits_cnn.py"),
            "--no-plots",
            "-o",
            str(folder),
        ],
        check=True,
        capture_output=True,
    )
    first = folder / "repository" / "digits" / "1"
    first.mkdir(parents=True)
    (folder / "digits_cnn.onnx").rename(first / "model.onnx")
    second = folder / "repository" / "sums" / "3"
    second.mkdir(parents=True)
    two_inputs(second / "model.onnx")
    return folder / "repository"


def two_inputs(path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    shape = ["batch", 2]
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["sum"])],
        "sums",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("a", "b")],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, shape)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)


@pytest.fixture(scope="module")
def address(models: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "seqc_runtime", "serve", str(models), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield found[0]
                break
        else:
            pytest.fail("the server ended before it was ready")
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1200,1500"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def page(browser: Any, address: str) -> Any:
    browser.get(address + "/")
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "#fields fieldset"))
    return browser


def wait(browser: Any, condition: Any) -> Any:
    return WebDriverWait(browser, 60).until(lambda _: condition())


def draw(browser: Any, strokes: list[list[tuple[float, float]]]) -> None:
    pad = browser.find_element(By.CSS_SELECTOR, "canvas.pad")
    width, height = pad.size["width"], pad.size["height"]
    actions = webdriver.ActionChains(browser, duration=20)
    for stroke in strokes:
        (x, y), *rest = [(round((x - 0.5) * width), round((y - 0.5) * height)) for x, y in stroke]
        actions.move_to_element_with_offset(pad, x, y).click_and_hold()
        for x, y in rest:
            actions.move_to_element_with_offset(pad, x, y)
        actions.release()
    actions.perform()


@pytest.mark.parametrize("digit", sorted(STROKES))
def test_a_drawn_digit_is_read(page: Any, digit: int) -> None:
    draw(page, STROKES[digit])
    wait(page, lambda: page.find_elements(By.CSS_SELECTOR, ".answer"))
    assert page.find_element(By.CSS_SELECTOR, ".answer").text == str(digit)
    assert not page.find_element(By.ID, "problem").is_displayed()


def test_pasted_numbers_give_the_models_answer(page: Any) -> None:
    page.find_element(By.CSS_SELECTOR, "[data-name=sums]").click()
    wait(page, lambda: len(page.find_elements(By.CSS_SELECTOR, "#fields textarea")) == 2)
    first, second = page.find_elements(By.CSS_SELECTOR, "#fields textarea")
    first.send_keys("[[1, 2], [3, 4.5]]")
    second.send_keys("10 20\n30 40")
    page.find_element(By.ID, "run").click()
    wait(page, lambda: page.find_elements(By.CSS_SELECTOR, "#results pre"))
    assert page.find_element(By.CSS_SELECTOR, "#results pre").text == "11, 22, 33, 44.5"


def test_a_mistake_is_said_on_the_page(page: Any) -> None:
    page.find_element(By.CSS_SELECTOR, "[data-name=sums]").click()
    wait(page, lambda: len(page.find_elements(By.CSS_SELECTOR, "#fields textarea")) == 2)
    page.find_element(By.CSS_SELECTOR, "#fields textarea").send_keys("1, two")
    page.find_element(By.ID, "run").click()
    problem = page.find_element(By.ID, "problem")
    wait(page, problem.is_displayed)
    assert problem.text == "a needs numbers; got two"


def test_the_charts_follow_what_is_answered(page: Any, address: str) -> None:
    url = address + "/v2/models/sums/infer"
    tensors = [{"name": name, "shape": [1, 2], "datatype": "FP32", "data": [1, 2]} for name in ("a", "b")]
    body = str({"inputs": tensors}).replace("'", '"').encode()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        urllib.request.urlopen(url, body).read()
        if page.find_element(By.ID, "now-latency").text != "-":
            break
    assert re.fullmatch(r"[\d.]+ (µs|ms|s) / [\d.]+ (µs|ms|s)", page.find_element(By.ID, "now-latency").text)
    assert page.find_element(By.CSS_SELECTOR, "#chart-rate path").get_attribute("d")
    rows = [row.text.split() for row in page.find_elements(By.CSS_SELECTOR, "#counts tbody tr")]
    assert {row[0] for row in rows} == {"digits", "sums"}
    assert int(next(row for row in rows if row[0] == "sums")[2]) > 0


def test_the_page_asks_nobody_else_and_runs_without_complaints(page: Any, address: str) -> None:
    resources = page.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert resources
    assert all(name.startswith(address) for name in resources)
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_layouts_and_quantiles_are_told_right(browser: Any) -> None:
    browser.get("about:blank")
    source = (ROOT / "runtime/seqc_runtime/server/page/tensors.js").read_text("utf-8")

    def run(expression: str) -> Any:
        return browser.execute_script(f"{source}\nreturn {expression};")

    def layout(*shape: int) -> Any:
        return run(f"imageLayout({{datatype: 'FP32', shape: {list(shape)}}})")

    assert layout(-1, 28, 28, 1) == {"height": 28, "width": 28, "channels": 1, "order": "hwc"}
    assert layout(-1, 3, 32, 48) == {"height": 32, "width": 48, "channels": 3, "order": "chw"}
    assert layout(-1, 784) == {"height": 28, "width": 28, "channels": 1, "order": "flat"}
    assert layout(-1, 8) is None
    assert run("shapeFor({name: 'x', shape: [-1, 4]}, 12)") == [3, 4]
    bounds = [2.0**k for k in range(12)]
    latencies = np.random.default_rng(0).lognormal(4, 1, 5000)
    counts = np.histogram(latencies, [0, *bounds, np.inf])[0].tolist()
    for share in (0.5, 0.99):
        exact = np.quantile(latencies, share)
        assert exact / 2 <= run(f"quantile({counts}, {bounds}, {share})") <= exact * 2
