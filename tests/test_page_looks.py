"""Whether the page can be read and used: in every width, in the dark, without a mouse, with many models."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from kit.page_browser import (
    MARKS,
    By,
    Keys,
    choose,
    chromium,
    complaints,
    mounted,
    one,
    open_page,
    run,
    text,
    wait,
    webdriver,
)
from kit.page_models import FLOAT, constant, echo, scores, sums

pytestmark = MARKS
NAMES = [f"model-{i:02d}{'.very-long-name' * (i % 8)}" for i in range(50)]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    classes = ["W" * 300, "ostrich", "a class with a name of several words"]
    models = {
        "classes": scores(folder, "classes", classes),
        "digits": echo(folder, "digits", FLOAT, ["batch", 8, 8, 1]),
        "sums": sums(folder),
    }
    with mounted(models) as address:
        yield address


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mounted({"digits": echo(tmp_path_factory.mktemp("alone"), "digits", FLOAT, ["batch", 8, 8, 1])}) as address:
        yield address


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("crowd")
    path = constant(folder, "one", np.array([1.0], np.float32))
    with mounted(dict.fromkeys(NAMES, path)) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser
        assert complaints(browser) == []


@pytest.fixture(autouse=True)
def plain(browser: Any) -> Iterator[None]:
    yield
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    emulate(browser)


def emulate(browser: Any, **features: str) -> None:
    listed = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": listed})


def resize(browser: Any, width: int, height: int = 740) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def overflow(browser: Any) -> list[Any]:
    """What reaches beyond the window, unless it is in a box of its own that scrolls."""
    return list(
        browser.execute_script("""
        const inside = (node) => { for (let n = node.parentElement; n; n = n.parentElement)
          if (["auto", "scroll", "hidden"].includes(getComputedStyle(n).overflowX)) return true; };
        const wide = document.documentElement.clientWidth;
        const beyond = (node) => node.getBoundingClientRect().right > wide + 1 && !inside(node);
        return [document.documentElement.scrollWidth - wide,
          ...[...document.querySelectorAll("body *")].filter(beyond).map((node) => node.outerHTML.slice(0, 80))];
        """)
    )


# 600 is what is left of 1200 at a zoom of 200 %.
@pytest.mark.parametrize("width", [360, 600, 1200, 2560])
def test_nothing_reaches_beyond_the_window(browser: Any, address: str, crowded: str, width: int) -> None:
    resize(browser, width)
    open_page(browser, address)
    for model in ("classes", "digits"):
        choose(browser, model)
        if model == "classes":
            run(browser, "1 2 3 4 5 6 7 8")
        browser.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
        assert overflow(browser) == [0]
    open_page(browser, crowded)
    assert overflow(browser) == [0]


def test_a_drawing_and_its_answer_are_on_one_small_screen(browser: Any, alone: str) -> None:
    resize(browser, 360)
    open_page(browser, alone)
    places = (
        "const places = ['canvas.pad', '.small', '#run', '#results'].map((s) => document.querySelector(s));"
        "return places.map((node) => node.getBoundingClientRect().top)"
    )
    pad, seen, button, results = browser.execute_script(places)
    assert seen == pad
    assert pad < button < results < pad + 400
    # Below the results' top are the name of an output and the class.
    assert results + 70 < 740


def test_fifty_models_leave_the_page_short_and_are_found_by_name(browser: Any, crowded: str) -> None:
    for width in (360, 1200):
        resize(browser, width)
        open_page(browser, crowded)
        wait(browser, lambda: text(browser, "#counts tbody"))
        assert browser.execute_script("return document.documentElement.scrollHeight") < 2000
    one(browser, "#filter").send_keys("Model-49")
    listed = [button for button in browser.find_elements(By.CSS_SELECTOR, "#models button") if button.is_displayed()]
    assert [button.get_attribute("data-name") for button in listed] == [NAMES[49]]


CONTRAST = """
const parse = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
const over = (top, below) => top.slice(0, 3).map((v, i) => v * top[3] + below[i] * (1 - top[3]));
const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const light = (colour) => {
  const [r, g, b] = colour.map((v) => linear(v / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ratio = (one, other) => {
  const [high, low] = [light(one), light(other)].sort((p, q) => q - p);
  return (high + 0.05) / (low + 0.05);
};
const above = (node) => (node ? [...above(node.parentElement), node] : []);
const back = (node) => above(node).map((n) => parse(getComputedStyle(n).backgroundColor))
  .reduce((below, top) => over(top, below), [255, 255, 255]);
const opacity = (node) => above(node).reduce((product, n) => product * getComputedStyle(n).opacity, 1);
const found = [];
const note = (kind, node, text, below) => {
  const colour = parse(text);
  const seen = over([...colour.slice(0, 3), colour[3] * opacity(node)], below);
  found.push([ratio(seen, below), kind, node.outerHTML.slice(0, 80)]);
};
for (const node of document.querySelectorAll("body *")) {
  const own = [...node.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  const field = /^(INPUT|TEXTAREA|SELECT)$/.test(node.tagName);
  if (!(own || field) || !node.getClientRects().length) continue;
  const style = getComputedStyle(node);
  note("text", node, style.color, back(node));
  if (field && !/^(radio|checkbox|file)$/.test(node.type)) {
    note("edge", node, style.borderTopColor, back(node.parentElement));
  }
  if (node.placeholder) note("placeholder", node, getComputedStyle(node, "::placeholder").color, back(node));
}
for (const path of document.querySelectorAll("path")) note("line", path, getComputedStyle(path).stroke, back(path));
return found;
"""
NEEDED = {"text": 4.5, "placeholder": 4.5, "edge": 3, "line": 3}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_a_contrast_of_4_5_and_edges_of_3(browser: Any, address: str, crowded: str, scheme: str) -> None:
    emulate(browser, prefers_color_scheme=scheme)
    open_page(browser, crowded)
    measured = browser.execute_script(CONTRAST)
    open_page(browser, address)
    choose(browser, "sums")
    assert "needs numbers" in run(browser, "x", "1 2")
    measured += browser.execute_script(CONTRAST)
    choose(browser, "classes")
    run(browser, "1 2 3 4 5 6 7 8")
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "#chart-rate path"))
    browser.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    measured += browser.execute_script(CONTRAST)
    assert {kind for _, kind, _ in measured} == set(NEEDED)
    assert [row for row in measured if row[0] < NEEDED[row[1]]] == []
    background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, background[4:-1].split(","))) < 64) == (scheme == "dark")


def test_everything_has_a_name_a_role_and_an_order(browser: Any, address: str) -> None:
    open_page(browser, address)
    choose(browser, "digits")
    tree = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named = {"button", "textbox", "radio", "checkbox", "combobox", "searchbox", "img", "image", "region", "navigation"}
    shown = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in tree if not n["ignored"] and "role" in n]
    assert {"button", "radio", "checkbox", "combobox", "navigation", "main", "status"} <= {role for role, _ in shown}
    assert [node for node in shown if node[0] in named and not node[1]] == []
    levels = browser.execute_script(
        "const shown = [...document.querySelectorAll('h1, h2, h3')].filter((h) => h.getClientRects().length);"
        "return shown.map((h) => +h.tagName[1])"
    )
    assert levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))
    assert browser.execute_script("return document.documentElement.lang") == "en"
    assert all(cell.text for cell in browser.find_elements(By.CSS_SELECTOR, "#counts th"))


def test_the_keyboard_alone_is_enough(browser: Any, address: str) -> None:
    open_page(browser, address)
    keys = webdriver.ActionChains(browser)
    focus = "return [document.activeElement.id, document.activeElement.dataset.name, document.activeElement.tagName]"

    def go(wanted: str) -> None:
        for _ in range(30):
            keys.send_keys(Keys.TAB).perform()
            if wanted in browser.execute_script(focus):
                outline = "const s = getComputedStyle(document.activeElement); return [s.outlineStyle, s.outlineWidth]"
                assert browser.execute_script(outline) in (["solid", "3px"], ["dashed", "3px"])
                return
        pytest.fail(f"the key Tab never comes to {wanted}")

    go("sums")
    keys.send_keys(Keys.ENTER).perform()
    wait(browser, lambda: text(browser, "#model-name") == "sums")
    assert "sums" in browser.execute_script(focus)
    go("TEXTAREA")
    keys.send_keys("1 2").perform()
    keys.send_keys(Keys.TAB, Keys.TAB).perform()
    keys.send_keys("3 4").perform()
    go("run")
    keys.send_keys(Keys.SPACE).perform()
    wait(browser, lambda: text(browser, "#results pre") if text(browser, "#results") else "")
    assert text(browser, "#results pre") == "4, 6"


def test_nothing_moves_on_its_own(browser: Any, address: str) -> None:
    emulate(browser, prefers_reduced_motion="reduce")
    open_page(browser, address)
    assert browser.execute_script("return document.getAnimations().length") == 0
    moving = (
        "return [...document.querySelectorAll('*')].map((n) => getComputedStyle(n).transitionDuration)"
        ".filter((duration) => duration !== '0s')"
    )
    assert browser.execute_script(moving) == []
