"""What docs/serving.md and the README tell to type works as it stands there, and what they name exists."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import orjson
import pytest
from runtime_kit.server_process import serving, write_gemm

from seqc_runtime.cli.commands import app as command
from seqc_runtime.server.auth import parse_tokens
from seqc_runtime.server.build import build_app
from seqc_runtime.server.config import read_config
from seqc_runtime.server.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
SERVING = (ROOT / "docs" / "serving.md").read_text("utf-8") if (ROOT / "docs").is_dir() else ""
README = (ROOT / "runtime" / "README.md").read_text("utf-8")
pytestmark = pytest.mark.skipif(not SERVING, reason="the documentation is beside the package in its repository")
Y = [1.1, 2.1, 3.1]  # of write_gemm for 1, 2, 3, 4


def blocks(page: str, language: str) -> list[str]:
    """What is between fences, of one language."""
    pairs = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return [text for kind, text in pairs if kind == language]


def test_every_option_that_is_named_is_one_of_the_command() -> None:
    commands = command.commands
    known = {option for one in commands.values() for parameter in one.params for option in parameter.opts}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", re.sub(r"(?m)^curl .*$", "", SERVING + README)))
    assert len(named) > 15
    assert named <= known
    assert "--host" in known


def test_every_path_that_is_named_is_answered(tmp_path: Path) -> None:
    app = build_app(Settings(paths=(str(write_gemm(tmp_path, "M")),), threads=1))
    table = SERVING.partition("## What there is to ask")[2].partition("\n\nMistakes")[0]
    asked = set()
    for line in table.splitlines():
        method = "GET"
        for told in re.findall(r"`([^`]+)`", line.split(" | ")[0]):
            verb, _, path = told.rpartition(" ")
            method = verb or method
            if path.startswith(("/", "...")):
                whole = path.replace("...", "/v2/models/M").replace("[/versions/V]", "")
                # Of the last two, the start is that of the one before.
                whole = {"/unload": "/v2/repository/models/M/unload"}.get(whole, whole)
                asked.add((method, whole))
                if "[/versions/V]" in path:
                    asked.add((method, path.replace("[/versions/V]", "/versions/1")))
    assert len(asked) > 20
    nothing = bytes(app.handle("GET", "/nothing", {}, b"").content)
    for method, path in asked:
        answer = app.handle(method, path, {}, b"")
        # Bodies are missing, and nobody may load; what matters is that there is such a path for such a method.
        said = b"" if answer.status == 200 else bytes(answer.content)
        assert answer.status in (200, 400, 403, 404), (method, path, answer.status)
        assert said.replace(path.encode(), b"") != nothing.replace(b"/nothing", b""), (method, path)


def test_the_files_that_are_shown_are_read(tmp_path: Path) -> None:
    shown = re.search(r'`(\{"versions".*?\})`', SERVING)
    assert shown
    (tmp_path / "seqc.json").write_text(shown[1])
    config = read_config(tmp_path)
    assert (config.max_batch, config.max_delay, config.file) == (32, 0.002, "model.onnx")
    tokens = next(block for block in blocks(SERVING, "") if "s3cr3t" in block)
    (grant,) = parse_tokens(tokens, "tokens").values()
    assert grant.name == "shop"


def test_the_lines_that_set_the_readme_going_are_the_ones_that_are_tested() -> None:
    typed = [line.split("#")[0].strip() for block in blocks(README, "sh") for line in block.splitlines()]
    assert [line.split()[0] for line in typed] == ["pip", "pip", "seqc-runtime", "curl", "curl"]
    told = [line for block in blocks(SERVING, "console") for line in block.splitlines()]
    assert [line.split()[1] if line[0] == "$" else line.split()[0] for line in told] == [
        "pip", "seqc-runtime", "serving",
    ]  # fmt: skip


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A line as a user types it, with the command of this tree."""
    tools = folder / "bin"
    if not tools.exists():
        tools.mkdir()
        program = tools / "seqc-runtime"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m seqc_runtime "$@"\n')
        program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(ROOT / "runtime")
    return subprocess.run(
        line, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_lines_with_curl_get_answers(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("1,2,3,4\n")
    (typed,) = (block for block in blocks(README, "sh") if "curl" in block)
    with serving(write_gemm(tmp_path, "model", bias=0.1)) as server:
        answers = [shell(line.replace(":8000", f":{server.port}"), tmp_path) for line in typed.splitlines()]
    assert [answer.returncode for answer in answers] == [0, 0]
    infer, plain = (orjson.loads(answer.stdout) for answer in answers)
    assert np.allclose(infer["outputs"][0]["data"], Y, atol=1e-6)
    assert np.allclose(plain["outputs"]["y"], [Y], atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a shell of Unix")
def test_the_server_starts_with_the_line_that_is_shown(tmp_path: Path) -> None:
    told = next(line for block in blocks(SERVING, "console") for line in block.splitlines() if line[0] != "$")
    with serving(write_gemm(tmp_path, "digits")) as server:
        line = server.lines[0].strip().replace(f":{server.port}", ":8000")
    # How long it takes is another matter.
    assert re.sub(r"[0-9.]+ s$", "", line) == re.sub(r"[0-9.]+ s$", "", told)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a shell of Unix")
def test_the_other_commands_work_as_they_are_shown(tmp_path: Path) -> None:
    write_gemm(tmp_path, "model", bias=0.1)
    (tmp_path / "table.csv").write_text("a,b,c,d\n1,2,3,4\n")
    score = re.search(r"`(seqc-runtime score [^`]+)`", SERVING)
    assert score
    done = shell(score[1], tmp_path)
    assert done.returncode == 0, done.stderr
    assert np.allclose(np.loadtxt(tmp_path / "scores.csv", delimiter=",", skiprows=1), Y, atol=1e-6)
    repository = re.search(r"`(seqc-runtime repository --triton DIR)`", SERVING)
    assert repository
    done = shell(f"{repository[1]} model.onnx --kserve - --image registry/models:1", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "DIR" / "model" / "config.pbtxt").is_file()
    assert "kind: InferenceService" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a shell of Unix")
def test_make_serve_demo_prints_lines_that_work(tmp_path: Path) -> None:
    """The example that it runs: it trains, exports, and serves, and what it prints is typed."""
    example = tmp_path / "runtime" / "examples"
    example.mkdir(parents=True)
    shutil.copy(ROOT / "runtime" / "examples" / "serve_digits.py", example)
    (tmp_path / "models").symlink_to(ROOT / "models")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "runtime")])
    log = tmp_path / "log"
    with open(log, "w") as output:
        process = subprocess.Popen(
            [sys.executable, example / "serve_digits.py"],
            cwd=tmp_path,
            env={**os.environ, "PORT": str(port), "PYTHONPATH": paths},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        limit = time.monotonic() + 300
        while "ready in" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < limit, log.read_text()
            time.sleep(0.2)
        said = log.read_text()
        digit = re.search(r"A picture of a (\d)", said)
        assert digit
        curl, python = re.findall(r"^  ((?:curl|python3) .*)$", said, re.MULTILINE)
        assert shell(python, tmp_path).stdout.strip() == digit[1]
        if shutil.which("curl"):
            chances = orjson.loads(shell(curl, tmp_path).stdout)["outputs"][0]["data"]
            assert int(np.argmax(chances)) == int(digit[1])
        assert f"Or draw one in a browser: http://127.0.0.1:{port}/" in said
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
