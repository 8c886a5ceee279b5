"""The page while its server asks for tokens, lies elsewhere, goes away, or serves other models than before."""

from __future__ import annotations

import contextlib
import http.server
import json
import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.page_browser import MARKS, By, choose, chromium, complaints, mounted, one, open_page, run, serving, text, wait
from kit.page_models import FLOAT, constant, echo, sums, write

pytestmark = MARKS
HOSTILE = "<img src=x onerror=alert(1)>"
TOKENS = """
all-of-it-all-of-it  infer,metadata
readonly-readonly-1  metadata
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser
        assert complaints(browser) == []


def give_token(browser: Any, token: str) -> None:
    field = one(browser, "#token")
    field.clear()
    field.send_keys(token)
    one(browser, "#use-token").click()


def test_a_token_is_asked_for_told_wrong_and_forgotten(browser: Any, tmp_path: Path) -> None:
    sums(tmp_path)
    (tmp_path / "tokens").write_text(TOKENS)
    (tmp_path / "tokens").chmod(0o600)
    with serving(tmp_path / "sums", "--token-file", tmp_path / "tokens") as address:
        browser.get(address)
        wait(browser, lambda: text(browser, "#problem") == "this server needs a token: give it under Token")
        for wrong in ("none-of-the-servers-tokens", "wörter-mit-umlauten"):
            give_token(browser, wrong)
            wait(browser, lambda: text(browser, "#problem").startswith("the token "))
        give_token(browser, "readonly-readonly-1")
        wait(browser, one(browser, "#model").is_displayed)
        assert text(browser, "#problem") == ""
        assert run(browser, "1 2", "3 4") == "the token does not have the scope 'infer'"
        give_token(browser, "all-of-it-all-of-it")
        assert run(browser, "1 2", "3 4") == "sum FP32 [1, 2]\n4, 6"
        assert "-H 'Authorization: Bearer TOKEN'" in one(browser, "#curl").get_attribute("textContent")
        kept = "return JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])"
        assert browser.execute_script(kept) == json.dumps([{}, {}, "", f"{address}/"], separators=(",", ":"))
        browser.get(address)
        wait(browser, lambda: text(browser, "#problem") == "this server needs a token: give it under Token")
        asked = "return performance.getEntriesByType('resource').length"
        before = browser.execute_script(asked)
        time.sleep(2.5)
        assert browser.execute_script(asked) == before, "what was refused is asked again and again"


class Proxy(http.server.BaseHTTPRequestHandler):
    """Passes on what is below /ml/ to the server of `target`, as reverse proxies do."""

    target = ""
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        size = int(self.headers.get("content-length", 0))
        body = self.rfile.read(size) if size else None
        headers = {key: value for key, value in self.headers.items() if key.lower() not in ("host", "connection")}
        request = urllib.request.Request(
            self.target + self.path.removeprefix("/ml"), body, headers, method=self.command
        )
        try:
            answer = urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            content = answer.read()
            self.send_response(answer.status)
            for key, value in answer.headers.items():
                if key.lower() not in ("connection", "content-length", "date", "server"):
                    self.send_header(key, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, *arguments: object) -> None:
        pass


@contextlib.contextmanager
def proxy() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def test_behind_a_proxy_with_a_prefix_it_works_and_says_what_lets_it(browser: Any, tmp_path: Path) -> None:
    sums(tmp_path)
    with proxy() as outside, serving(tmp_path, "--cors-origin", outside) as Proxy.target:
        unknown = outside.replace("127.0.0.1", "localhost")
        open_page(browser, f"{unknown}/ml/")
        refused = f"pages of '{unknown}' may not call this server; --cors-origin lets them"
        assert run(browser, "1 2", "3 4") == refused
        open_page(browser, f"{outside}/ml/")
        assert run(browser, "1 2", "3 4") == "sum FP32 [1, 2]\n4, 6"
        wait(browser, lambda: text(browser, "#counts tbody").startswith("sums 3 1 "))


def test_mounted_in_another_application_under_names_of_any_kind(browser: Any, tmp_path: Path) -> None:
    names = ["it's", "plain", HOSTILE, "naïve \u202egnp.exe 模型", "x" * 120]
    path = echo(tmp_path, "echo", FLOAT, ["n"])
    with mounted(dict.fromkeys(names, path)) as address:
        for slash in ("", "/"):
            open_page(browser, address + slash)
            for name in names:
                choose(browser, name)
                assert run(browser, "1.5 2") == "y FP32 [2]\n1.5, 2"
        choose(browser, "it's")
        run(browser, "1")
        command = one(browser, "#curl").get_attribute("textContent")
        assert command.startswith(f"curl '{address}/v2/models/it'\\''s/infer' -d '")
        assert browser.find_elements(By.CSS_SELECTOR, "main img") == []


def test_a_server_that_goes_away_and_comes_back(browser: Any, tmp_path: Path) -> None:
    sums(tmp_path)
    with serving(tmp_path) as address:
        open_page(browser, address)
        run(browser, "1 2", "3 4")
    wait(browser, lambda: text(browser, "#state") == "not connected, trying again: the server cannot be reached")
    assert run(browser, "1 2", "3 4") == "the server cannot be reached"
    with serving(tmp_path, port=int(address.rpartition(":")[2])):
        wait(browser, lambda: text(browser, "#state") == "1 model")
        assert one(browser, "#fields textarea").get_attribute("value") == "1 2"
        assert run(browser, "1 2", "3 4") == "sum FP32 [1, 2]\n4, 6"
        paths = browser.find_elements(By.CSS_SELECTOR, "#chart-rate path")
        assert all("-" not in (path.get_attribute("d") or "") for path in paths), "less than nothing was counted"


def put(folder: Path, name: str, content: bytes) -> None:
    folder = folder / name / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(content)


def test_models_that_come_go_change_and_fail_while_the_page_is_open(browser: Any, tmp_path: Path) -> None:
    sums(tmp_path, "sums", 3)
    constant(tmp_path, "stats", np.array([7.0], np.float32))
    with serving(tmp_path, "--poll", "0.3") as address:
        open_page(browser, address)
        assert text(browser, "#model-name") == "stats"
        assert run(browser) == "y FP32 [1]\n7", "a model whose name is a path of its own"
        choose(browser, "sums")
        run(browser, "1 2", "3 4")
        put(tmp_path, "broken", b"no model at all")
        put(tmp_path, HOSTILE, b"no model at all")
        wait(browser, lambda: text(browser, "#state") == "4 models, 2 ready")
        assert "is no name for a model" in text(browser, "#models")
        assert one(browser, "#fields textarea").get_attribute("value") == "1 2", "what was written is lost"
        for name in ("broken", HOSTILE):
            browser.execute_script(
                "[...document.querySelectorAll('#models button')].find((b) => b.dataset.name === arguments[0]).click()",
                name,
            )
            wait(browser, lambda name=name: text(browser, "#problem").startswith(f"{name}: "))
            assert not one(browser, "#model").is_displayed(), "another model stands there still"
        choose(browser, "sums")
        # The same name and version with other inputs.
        shape: list[int | str] = ["n"]
        write(tmp_path, "sums", [], {"z": (FLOAT, shape)}, {"z": (FLOAT, shape)}, version=4)
        wait(browser, lambda: text(browser, "#note") == "The model has changed since it was shown here.")
        assert run(browser, "5 6") == "z FP32 [2]\n5, 6"
        (tmp_path / "sums" / "5").mkdir()
        (tmp_path / "sums" / "5" / "model.onnx").write_bytes(b"no model")
        wait(browser, lambda: "a newer one cannot be loaded" in text(browser, "#models"))
        shutil.rmtree(tmp_path / "sums")
        wait(browser, lambda: text(browser, "#problem") == "sums is not served any more")
        assert browser.find_elements(By.CSS_SELECTOR, "main img") == []


def test_every_version_can_be_tried(browser: Any, tmp_path: Path) -> None:
    for version in (1, 2):
        constant_version(tmp_path, version)
    (tmp_path / "several" / "seqc.json").write_text('{"versions": "all"}')
    with serving(tmp_path) as address:
        open_page(browser, address)
        assert run(browser) == "y FP32 [1]\n2"
        browser.execute_script(
            "const s = document.getElementById('served'); s.value = '1'; s.dispatchEvent(new Event('change'))"
        )
        wait(browser, lambda: text(browser, "#results") == "")
        assert run(browser) == "y FP32 [1]\n1"


def constant_version(folder: Path, version: int) -> None:
    path = constant(folder, f"made-{version}", np.array([version], np.float32))
    (folder / "several").mkdir(exist_ok=True)
    path.parent.rename(folder / "several" / str(version))
    path.parent.parent.rmdir()


def test_two_tabs_count_the_same(browser: Any, tmp_path: Path) -> None:
    with mounted({"sums": sums(tmp_path)}) as address:
        first = browser.current_window_handle
        open_page(browser, address)
        run(browser, "1 2", "3 4")
        browser.switch_to.new_window("tab")
        open_page(browser, address)
        assert run(browser, "1 2", "x") == "b needs numbers; got x"
        run(browser, "1 2", "3 4")
        wait(browser, lambda: text(browser, "#counts tbody").startswith("sums 1 2 0"))
        browser.close()
        browser.switch_to.window(first)
        wait(browser, lambda: text(browser, "#counts tbody").startswith("sums 1 2 0"))
