"""The `seqc-runtime` command: help, version, and how errors of users end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

import seqc_runtime

pytest.importorskip("click", reason="the command reads its options with click")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(run_python: Callable[..., subprocess.CompletedProcess[str]]) -> Run:
    """run(*arguments, before="code"): the command in a fresh interpreter."""

    def command(*arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
        return run_python(
            f"import sys; sys.argv[1:] = {list(arguments)!r}\n{before}\nfrom seqc_runtime.cli import main; main()"
        )

    return command


@pytest.mark.slow
def test_the_version_is_the_packages(run: Run) -> None:
    ended = run("--version")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"seqc-runtime {seqc_runtime.__version__}\n", "")


@pytest.mark.slow
def test_python_m_is_the_command() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "seqc_runtime", "--version"], capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout.startswith("seqc-runtime ")


@pytest.mark.slow
def test_help_lists_the_exit_codes_and_imports_nothing_slow(run: Run) -> None:
    slow = "{'onnxruntime', 'uvicorn', 'pyarrow', 'ray', 'rich'}"
    ended = run("--help", before=f"import atexit; atexit.register(lambda: print(*{slow} & set(sys.modules)))")
    assert ended.returncode == 0, ended.stderr
    assert "Exit codes: 0" in " ".join(ended.stdout.split())
    assert ended.stdout.endswith("\n\n"), "something slow was imported for help"


@pytest.mark.slow
def test_an_install_without_the_extra_says_which_one_and_no_more(run: Run) -> None:
    ended = run("--help", before="sys.modules['click'] = None")
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert 'pip install "seqc-runtime[cpu,server]"' in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--no-such-option"], ["no-such-command"]])
def test_a_wrong_command_line_is_one_line_and_exit_code_2(run: Run, arguments: list[str]) -> None:
    ended = run(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("Error: ")
    assert ended.stderr.count("\n") == 1
    assert arguments[0] in ended.stderr
