"""The code blocks of Markdown pages, run as a reader would: one after another, in an empty folder.

`python` blocks share one namespace. In `console` blocks, lines behind "$ " are typed: commands of seqc and seqc-runtime
run and must print what stands below them, if anything does; a line "..." is any lines, "..." within a line anything.
A comment in front of a block changes what is done with it:

    <!-- file: model.py -->     it is written to that file, too
    <!-- not run: why -->       it is only read
    <!-- prints -->             it is what the Python block before it prints
    <!-- setup                  (up to -->) Python that runs here, which readers need not see
"""

from __future__ import annotations

import re
import shlex
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

from typer.testing import CliRunner

import seqc

_PART = re.compile(
    r"<!-- setup\n(?P<setup>.*?)-->"
    r"|(?:<!-- (?P<mark>file|not run|prints):? ?(?P<said>[^>]*?) ?-->\n+)?"
    r"^(?P<fence>```+|~~~+)(?P<language>[\w{}-]*)[^\n]*\n(?P<text>.*?)^(?P=fence)[ ]*$",
    re.DOTALL | re.MULTILINE,
)
# What else is typed: installing, fetching and building are not for a test of a page.
_ELSEWHERE = {
    ".ci/run",
    ".venv/bin/python",
    "pip",
    "python3",
    "git",
    "make",
    "cd",
    "curl",
    "docker",
    "python",
    "eval",
    "apt-get",
    "export",
    "dot",
}


@dataclass(frozen=True)
class Block:
    """A block of a page.

    Attributes:
        kind: "python", "console", "setup" and so on.
        text: what is in it.
        mark: "file", "not run", "prints" or nothing.
        said: what the mark says.
        line: where it begins.
    """

    kind: str
    text: str
    mark: str
    said: str
    line: int


@dataclass(frozen=True)
class Typed:
    """A command of a console block, and what it prints, as the page has it."""

    command: str
    printed: list[str]


def blocks(page: str) -> list[Block]:
    """Returns the blocks of a page's text."""
    found = []
    for match in _PART.finditer(page):
        line = page.count("\n", 0, match.start()) + 1
        if match["setup"] is not None:
            found.append(Block("setup", match["setup"], "", "", line))
        else:
            text = match["text"]
            found.append(Block(match["language"], text, match["mark"] or "", match["said"] or "", line))
    return found


def typed(text: str) -> list[Typed]:
    """Returns the commands of a console block."""
    commands: list[Typed] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            commands.append(Typed(re.sub(r"\s+# .*", "", line[2:]), []))
        else:
            commands[-1].printed.append(line)
    return commands


def run_page(path: Path, folder: Path) -> int:
    """Runs the blocks of a page in a folder, which has to be the current one, and returns how many it ran.

    Args:
        path: the page.
        folder: where files are read and written.
    """
    # Classes of a script belong to a module, which dataclasses look into; layers are counted from one.
    module = ModuleType(path.stem.replace("-", "_").lower() + "_page")
    sys.modules[module.__name__] = module
    seqc.utils.clear_session()
    try:
        return _run_blocks(path, folder, vars(module))
    finally:
        del sys.modules[module.__name__]


def _run_blocks(path: Path, folder: Path, namespace: dict[str, Any]) -> int:
    ran, printed = 0, ""
    for block in blocks(path.read_text(encoding="utf-8")):
        if block.mark == "not run":
            continue
        if block.mark == "file":
            (folder / block.said).write_text(block.text, encoding="utf-8")
        if block.kind in ("python", "setup"):
            # Lines are those of the page, for whoever reads the traceback.
            output = StringIO()
            with redirect_stdout(output):
                exec(compile("\n" * block.line + block.text, path.name, "exec"), namespace)
            printed = output.getvalue()
            ran += 1
        elif block.mark == "prints":
            lines = [line.rstrip() for line in printed.splitlines()]
            if not matches(block.text.splitlines(), lines):
                raise AssertionError(f"{path.name}:{block.line}: printed is\n{printed}\nand the page has\n{block.text}")
        elif block.kind == "console":
            for one in typed(block.text):
                ran += _run(one, f"{path.name}:{block.line}")
    return ran


def _run(one: Typed, where: str) -> int:
    program, *arguments = shlex.split(one.command)
    if program in _ELSEWHERE:
        return 0
    assert program in ("seqc", "seqc-runtime"), f"{where}: {one.command}: nobody knows how to run this"
    from seqc.cli import app
    from seqc_runtime.cli.commands import run as runtime

    if program == "seqc-runtime":
        assert runtime(arguments) == 0, f"{where}: {one.command}"
        return 1
    result = CliRunner().invoke(app, arguments, prog_name="seqc")
    output = [line.rstrip() for line in result.output.splitlines()]
    said = "\n".join(output)
    assert result.exit_code in (0, 1, 2), f"{where}: {one.command}: {said}"
    if not one.printed:
        assert result.exit_code == 0, f"{where}: {one.command} ends with {result.exit_code}: {said}"
    elif not matches(one.printed, output):
        raise AssertionError(f"{where}: {one.command} prints\n{said}\nand the page has\n" + "\n".join(one.printed))
    return 1


def matches(shown: list[str], output: list[str]) -> bool:
    """Tells whether output is what is shown, whose "..." stand for anything."""
    lines = [r"(?:.*\n)*?" if line.strip() == "..." else _line(line) for line in shown]
    return re.fullmatch("".join(lines), "".join(f"{line}\n" for line in output)) is not None


def _line(line: str) -> str:
    return ".*".join(re.escape(part) for part in line.rstrip().split("...")) + r"\n"
