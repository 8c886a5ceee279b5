"""The Dockerfile, as far as it can be checked without an engine that builds it."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from server_process import serving, write_gemm

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
    pytest.importorskip("typer", reason="the command needs typer")
    from seqc_runtime.cli.commands import run

    program, *arguments = [*json.loads(last("ENTRYPOINT")), *json.loads(last("CMD"))]
    assert program == "seqc-runtime"
    assert arguments[0] == "serve"
    # All options are known; the models are not there.
    assert run(arguments) == 2


def test_its_health_check_fails_unless_the_server_is_ready(tmp_path: Path) -> None:
    import subprocess

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
