"""The Dockerfile, as far as it can be checked without an engine that builds it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from runtime_kit.server_process import PATIENCE, serving, until, write_gemm

FILE = Path(__file__).parents[1] / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    lines = [line for line in FILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found = [line.partition(" ") for line in joined.splitlines() if line.strip()]
    return [(name, rest.strip()) for name, _, rest in found]


def last(name: str) -> str:
    return next(rest for given, rest in reversed(instructions()) if given == name)


def test_the_image_has_two_stages_and_does_not_run_as_root() -> None:
    stages = [rest for name, rest in instructions() if name == "FROM"]
    assert len(stages) == 2
    assert stages[0].endswith(" AS build")
    assert all(stage.startswith("python:3.") and "-slim" in stage for stage in stages)
    user, _, group = last("USER").partition(":")
    assert int(user) > 0
    assert int(group) > 0
    second = instructions()[[name for name, _ in instructions()].index("FROM", 1) :]
    assert not any(name in ("ADD", "RUN") for name, _ in second)
    assert [rest for name, rest in second if name == "COPY"] == ["--from=build /opt/seqc /opt/seqc"]


def test_its_command_is_one_that_the_program_understands(tmp_path: Path) -> None:
    pytest.importorskip("click", reason="the command needs click")
    from seqc_runtime.cli.commands import run

    words: list[str] = json.loads(last("ENTRYPOINT")) + json.loads(last("CMD"))
    program, *arguments = words
    assert program == "seqc-runtime"
    assert arguments[0] == "serve"
    # All options are known; the models are not there.
    assert run(arguments) == 2


@pytest.mark.slow
def test_its_health_check_fails_unless_the_server_is_ready(tmp_path: Path) -> None:
    _, _, command = last("HEALTHCHECK").partition(" CMD ")
    program, *arguments = json.loads(command)
    assert program == "python"
    with serving(write_gemm(tmp_path)) as server:
        check = [argument.replace(":8000/", f":{server.port}/") for argument in arguments]
        assert check != arguments
        assert subprocess.run([sys.executable, *check], timeout=60, check=False).returncode == 0
        server.stop()
    done = subprocess.run([sys.executable, *check], timeout=60, check=False, capture_output=True)
    assert done.returncode != 0


def test_what_it_says_one_can_type_is_what_it_does() -> None:
    text = FILE.read_text()
    typed = re.search(r"docker run ((?:.*\\\n)*.*)\n", text)
    assert typed
    words = shlex.split(typed[1].replace("\\\n#", " "))
    assert "--read-only" in words
    assert "127.0.0.1:8000:8000" in words
    assert last("EXPOSE") == "8000"
    assert json.loads(last("CMD"))[0] == "/models"


def test_both_ways_to_start_get_the_signals_that_are_sent() -> None:
    """Lists, not lines that a shell would run: a shell keeps signals to itself."""
    assert last("STOPSIGNAL") == "SIGTERM"
    for name in ("ENTRYPOINT", "CMD"):
        assert isinstance(json.loads(last(name)), list)
    assert last("HEALTHCHECK").partition(" CMD ")[2].startswith("[")
    assert not re.search(r"\b(curl|wget)\b", last("HEALTHCHECK"))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs Linux's unshare")
def test_the_first_process_of_a_container_ends_when_it_is_told_to(tmp_path: Path) -> None:
    """It gets no signal that it does not ask for, so the command asks for them before it does anything else."""
    alone = ["unshare", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*alone, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("this user may not make namespaces")
    # One that waits for ever, at a place that can be seen: for rows.
    command = [sys.executable, "-m", "seqc_runtime", "score", str(write_gemm(tmp_path)), "-", "-o", "y.npy"]
    pipe = subprocess.PIPE
    with subprocess.Popen([*alone, *command], cwd=tmp_path, text=True, stdin=pipe, stderr=pipe) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write("1,2,3,4\n" * 3000)
        process.stdin.flush()
        until(lambda: len(os.listdir(tmp_path)) == 2 or process.poll() is not None, "the command to write")
        assert process.poll() is None, process.stderr.read()
        os.kill(_first(process.pid), signal.SIGTERM)
        assert process.wait(PATIENCE) == 143
        assert os.listdir(tmp_path) == ["gemm.onnx"]
        process.stdin.close()


def _first(parent: int) -> int:
    """The only child of a process."""
    return int(Path(f"/proc/{parent}/task/{parent}/children").read_text())
