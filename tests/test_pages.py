"""What the pages tell to type works, and what they say is printed is printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kit.page_blocks import blocks, matches, run_page, typed

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    path
    for path in [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "models/README.md",
        ROOT / "runtime/README.md",
    ]
    if "reference" not in path.parts and "building" not in path.parts and path.name != "CHANGELOG.md"
]
# Whose blocks another test runs, with what they need beside them.
ELSEWHERE = {
    "docs/differences.md": "tests/test_differences.py",
    "docs/serving.md": "runtime/tests/test_server_docs.py",
    "models/README.md": "tests/test_readme.py",
    "runtime/README.md": "runtime/tests/test_runtime_package.py",
}
# Run on every day; the others take seconds each.
QUICK = ("README.md",)
# What is shown and is no code that runs: printed things, drawings, directives of the site.
SHOWN = ("", "text", "sh", "yaml", "json", "{raw}", "{toctree}", "{note}", "{include}")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def with_code() -> list[object]:
    found: list[object] = []
    for path in PAGES:
        kinds = {block.kind for block in blocks(path.read_text(encoding="utf-8")) if block.mark != "not run"}
        if kinds & {"python", "console"} and name_of(path) not in ELSEWHERE:
            marks = [] if name_of(path) in QUICK else [pytest.mark.slow]
            found.append(pytest.param(path, id=name_of(path), marks=marks))
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")  # docs/files.md does, and says why not
@pytest.mark.parametrize("path", with_code())
def test_the_blocks_of_a_page_run_one_after_another(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("seqc_runtime")
    (tmp_path / "models").symlink_to(ROOT / "models")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    # A page that only tells to install and build has nothing to run here.
    lines = re.findall(r"^```python|^\$ seqc", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert run_page(path, tmp_path) > 0 or not lines


@pytest.mark.parametrize(("page", "test"), ELSEWHERE.items())
def test_pages_that_other_tests_run_are_named_there(page: str, test: str) -> None:
    assert Path(page).name in (ROOT / test).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_block_says_what_it_is(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    for block in blocks(page):
        assert block.kind in ("python", "console", "setup", *SHOWN), f"{name_of(path)}:{block.line}: {block.kind!r}"
        if block.mark == "not run":
            assert len(block.said) > 10, f"{name_of(path)}:{block.line} says nowhere why it is not run"
    fences = re.findall(r"^```", page, re.MULTILINE)
    assert len(fences) == 2 * sum(block.kind != "setup" for block in blocks(page))


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_targets_of_make_and_commands_that_are_typed_exist(path: Path) -> None:
    from typer.main import get_command

    from seqc.cli import app

    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for block in blocks(path.read_text(encoding="utf-8")):
        for one in typed(block.text) if block.kind == "console" else ():
            program, *rest = one.command.split()
            if program == "make":
                assert re.search(rf"^{rest[0]}:", makefile, re.MULTILINE), one.command
            if program == "seqc" and not rest[0].startswith("-"):
                assert rest[0] in get_command(app).commands, one.command  # type: ignore[attr-defined]


def test_a_page_that_shows_something_else_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- setup\nx = 1\n-->\n\n```python\nassert x == 1\n```\n\n```console\n$ seqc --version\nseqc ...\n```\n"
    )
    assert run_page(page, tmp_path) == 3
    page.write_text("```console\n$ seqc --version\nsomething else\n```\n")
    with pytest.raises(AssertionError, match="the page has\nsomething else"):
        run_page(page, tmp_path)
    page.write_text("```python\nassert False\n```\n")
    with pytest.raises(AssertionError):
        run_page(page, tmp_path)
    page.write_text("```console\n$ rm -r x\n```\n")
    with pytest.raises(AssertionError, match="nobody knows"):
        run_page(page, tmp_path)


def test_dots_stand_for_anything() -> None:
    assert matches(["a", "...", "c ... e"], ["a", "b", "b", "c d e"])
    assert matches(["a", "..."], ["a"])
    assert not matches(["a", "c"], ["a", "b", "c"])
    assert not matches(["a.c"], ["abc"])
