"""The server's page in a real browser: a newcomer draws a digit and reads its class."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
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
    one,
    open_page,
    run,
    serving,
    text,
    wait,
    webdriver,
)
from kit.page_models import sums

ROOT = Path(__file__).parents[1]
pytestmark = MARKS
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
    sums(folder / "repository")
    return folder / "repository"


@pytest.fixture(scope="module")
def address(models: Path) -> Iterator[str]:
    with serving(models) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Any, address: str) -> Any:
    return open_page(browser, address)


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
    assert text(page, ".answer") == str(digit)
    assert text(page, "#problem") == text(page, "#mistake") == ""


def test_a_digit_drawn_with_a_finger_is_read_and_others_do_not_disturb(page: Any) -> None:
    box = page.execute_script(
        "const b = document.querySelector('canvas.pad').getBoundingClientRect(); return [b.x, b.y, b.width]"
    )

    def touch(kind: str, *points: tuple[float, float]) -> None:
        listed = [{"x": box[0] + x * box[2], "y": box[1] + y * box[2], "id": n} for n, (x, y) in enumerate(points)]
        page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": listed})

    (start, *rest) = STROKES[7][0]
    other = (0.9, 0.9)
    touch("touchStart", start)
    touch("touchStart", start, other)
    for point in rest:
        touch("touchMove", point, other)
    touch("touchEnd")
    wait(page, lambda: page.find_elements(By.CSS_SELECTOR, ".answer"))
    assert text(page, ".answer") == "7"
    corner = page.execute_script(
        "return document.querySelector('canvas.pad').getContext('2d').getImageData(403, 403, 1, 1).data[0]"
    )
    assert corner == 0
    page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def test_nothing_drawn_is_no_digit(page: Any) -> None:
    assert run(page, "") == "image: draw something first"
    draw(page, STROKES[1])
    wait(page, lambda: page.find_elements(By.CSS_SELECTOR, ".answer"))
    one(page, "#fields button").click()
    one(page, "#run").click()
    wait(page, lambda: text(page, "#mistake") == "image: draw something first")
    assert text(page, "#results") == ""


def test_pasted_numbers_give_the_models_answer(page: Any) -> None:
    choose(page, "sums")
    assert run(page, "[[1, 2], [3, 4.5]]", "10 20\n30 40") == "sum FP32 [2, 2]\n11, 22\n33, 44.5"


def test_a_mistake_is_said_beside_the_button(page: Any) -> None:
    choose(page, "sums")
    run(page, "1, 2", "3, 4")
    assert run(page, "1, two", "3, 4") == "a needs numbers; got two"
    assert text(page, "#results") == ""
    distance = page.execute_script(
        "const [a, b] = ['run', 'mistake'].map((id) => document.getElementById(id).getBoundingClientRect());"
        "return b.top - a.bottom"
    )
    assert 0 <= distance < 40


def post(address: str, count: int) -> None:
    tensors = [{"name": name, "shape": [1, 2], "datatype": "FP32", "data": [1, 2]} for name in ("a", "b")]
    body = json.dumps({"inputs": tensors}).encode()
    for _ in range(count):
        urllib.request.urlopen(f"{address}/v2/models/sums/infer", body).read()


def counted(page: Any, model: str) -> list[str]:
    rows = page.execute_script(
        "return [...document.querySelectorAll('#counts tbody tr')].map((r) => [...r.cells].map((c) => c.textContent))"
    )
    return next(row for row in rows if row[0] == model)


def milliseconds(shown: str) -> float:
    number, unit = shown.split()
    return float(number) * {"µs": 1e-3, "ms": 1.0, "s": 1e3}[unit]


def test_the_charts_say_what_a_known_load_does(page: Any, address: str) -> None:
    """Five requests each fifth of a second, in a browser that looks once a second."""
    rates: list[float] = []
    took: list[float] = []
    seen: list[list[float]] = []
    begun = time.monotonic()
    sent = 0
    while time.monotonic() < begun + 6:
        start = time.perf_counter()
        post(address, 5)
        took.append((time.perf_counter() - start) / 5 * 1e3)
        sent += 5
        if time.monotonic() > begun + 2.5:
            latency = text(page, "#now-latency")
            rates.append(float(text(page, "#now-rate")))
            seen += [[milliseconds(part) for part in latency.split(" / ")]] if "/" in latency else []
        time.sleep(max(0.0, begun + sent / 25 - time.monotonic()))
    actual = sent / (time.monotonic() - begun)
    assert 0.7 * actual < np.median(rates) < 1.4 * actual
    assert seen
    # The server counts from a request's arrival to its answer, so less than a client waits.
    assert all(0 < p50 <= p99 for p50, p99 in seen)
    assert np.median([p50 for p50, _ in seen]) < np.median(took)
    assert (
        page.execute_script("return document.querySelector('#chart-rate path').getAttribute('d').split('L').length") > 4
    )
    assert "over the last two minutes: now " in one(page, "#chart-latency").get_attribute("aria-label")


def test_the_counts_are_those_of_the_metrics(page: Any, address: str) -> None:
    post(address, 7)
    lines = urllib.request.urlopen(f"{address}/metrics").read().decode().splitlines()
    total = next(
        float(line.split()[-1]) for line in lines if line.startswith('nv_inference_request_success{model="sums"')
    )
    wait(page, lambda: float(counted(page, "sums")[2]) == total)
    assert counted(page, "digits")[1] == "1"


def test_the_page_asks_nobody_else_and_runs_without_complaints(page: Any, address: str) -> None:
    resources = page.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert resources
    assert all(name.startswith(address) for name in resources)
    assert complaints(page) == []


def test_the_page_is_small_and_soon_there(page: Any, address: str) -> None:
    request = urllib.request.Request(f"{address}/", headers={"accept-encoding": "gzip"})
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        assert len(answer.read()) < 24_000
    painted = page.execute_script("return performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert painted < 5_000


def test_what_happened_between_two_looks_is_told_right(browser: Any) -> None:
    browser.get("about:blank")
    bounds = [2.0**k for k in range(12)]
    random = np.random.default_rng(0)

    def looked(at: float, latencies: np.ndarray, failures: int = 0) -> dict[str, Any]:
        buckets = np.histogram(latencies, [0, *bounds])[0].tolist()
        model = {"name": "m", "version": "1", "count": len(latencies), "failures": failures, "buckets": buckets}
        return {"time": at, "bounds_us": bounds, "models": [model]}

    def difference(old: dict[str, Any], new: dict[str, Any]) -> Any:
        return javascript(browser, f"difference({json.dumps(old)}, {json.dumps(new)})", "live.js")

    first, later = np.clip(random.lognormal(3, 1, (2, 5000)), 0, 2000)
    both = np.concatenate([first, later])
    step = difference(looked(100.0, first, 3), looked(102.0, both, 13))
    assert step["rate"] == (5000 + 10) / 2
    for share in (0.5, 0.99):
        exact = np.quantile(later, share)
        assert exact / 2 <= step[f"p{share * 100:.0f}"] <= exact * 2
    assert difference(looked(100.0, both), looked(101.0, both))["p50"] is None
    assert difference(looked(100.0, both), looked(101.0, first)) is None, "the server began anew"
    assert difference(looked(100.0, first), looked(700.0, both)) is None, "nobody looked for ten minutes"
