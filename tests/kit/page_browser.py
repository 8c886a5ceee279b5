"""A server and a browser for the tests of the server's page."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="the page is driven with selenium")
pytest.importorskip("uvicorn", reason="the server runs on uvicorn")

import uvicorn  # noqa: E402
from selenium.webdriver.common.by import By as By  # noqa: E402
from selenium.webdriver.common.keys import Keys as Keys  # noqa: E402
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402

import seqc_runtime  # noqa: E402
from seqc_runtime.server.app import App  # noqa: E402
from seqc_runtime.server.asgi import Asgi  # noqa: E402
from seqc_runtime.server.repository import Repository  # noqa: E402
from seqc_runtime.server.servable import Servable  # noqa: E402
from seqc_runtime.server.stats import Stats  # noqa: E402

PAGE = Path(__file__).parents[2] / "runtime/seqc_runtime/server/page"
CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
MARKS = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs the Debian packages chromium and chromium-driver"),
]


@contextlib.contextmanager
def serving(*arguments: object, port: int = 0) -> Iterator[str]:
    """`seqc-runtime serve ARGUMENTS`, ready: its address."""
    command = [sys.executable, "-m", "seqc_runtime", "serve", *map(str, arguments), "--port", str(port)]
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
        process.wait(60)
        if process.stdout is not None:
            process.stdout.close()


@contextlib.contextmanager
def mounted(models: dict[str, Path]) -> Iterator[str]:
    """Models, by any names, in an application of somebody else, which has other things beside /models: its address."""
    stats, repository = Stats(), Repository()
    for name, path in models.items():
        model = seqc_runtime.load(path, device="cpu", threads=1)
        repository.add(Servable(name, 1, model, counters=stats.model(name, 1)))
    ours = Asgi(App(repository, stats=stats))

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and f"{scope['path']}/".startswith("/models/"):
            await ours({**scope, "root_path": "/models"}, receive, send)
        elif scope["type"] == "http":
            await send({"type": "http.response.start", "status": 404, "headers": [(b"content-type", b"text/html")]})
            await send({"type": "http.response.body", "body": b"<p>not here</p>"})

    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        end = time.monotonic() + 60
        while not server.started:
            assert time.monotonic() < end
            time.sleep(0.02)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/models"
    finally:
        server.should_exit = True
        thread.join(60)


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A browser without a window of its own."""
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


def wait(browser: Any, condition: Any) -> Any:
    """What `condition()` gives once it is true."""
    return WebDriverWait(browser, 60).until(lambda _: condition())


def one(browser: Any, selector: str) -> Any:
    """The first element of a selector."""
    return browser.find_element(By.CSS_SELECTOR, selector)


def text(browser: Any, selector: str) -> str:
    """What is seen of an element, "" of one that is hidden."""
    return str(one(browser, selector).text)


def open_page(browser: Any, address: str) -> Any:
    """The page, with a model shown."""
    browser.get(address)
    wait(browser, one(browser, "#model").is_displayed)
    return browser


def choose(browser: Any, name: str) -> None:
    """Show a model of the list."""
    browser.execute_script(
        "[...document.querySelectorAll('#models button')].find((b) => b.dataset.name === arguments[0]).click()", name
    )
    wait(browser, lambda: text(browser, "#model-name") == name)


def run(browser: Any, *texts: str) -> str:
    """Put a text into each field, run, and give what is answered, or what is complained of."""
    for area, content in zip(browser.find_elements(By.CSS_SELECTOR, "#fields textarea"), texts, strict=True):
        browser.execute_script("arguments[0].value = arguments[1]", area, content)
    one(browser, "#run").click()
    wait(browser, lambda: text(browser, "#took") != "running")
    return text(browser, "#mistake") or text(browser, "#results")


def complaints(browser: Any) -> list[str]:
    """Errors in the browser's console; answers that refuse something are none."""
    found = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    return [message for message in found if "Failed to load resource" not in message]


def javascript(browser: Any, expression: str, *files: str) -> Any:
    """The value of an expression over some of the page's scripts, alone in a blank page."""
    source = "\n".join((PAGE / file).read_text("utf-8") for file in files)
    return browser.execute_script(f"{source}\nreturn {expression};")
