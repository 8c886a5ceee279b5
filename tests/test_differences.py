"""The page on differences from Keras: its examples hold, it is linked, and says nothing twice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8")


def test_the_examples_run_one_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 5
    namespace: dict[str, object] = {"__name__": "differences"}
    for block in blocks:
        exec(compile(block, "docs/differences.md", "exec"), namespace)


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md"])
def test_other_pages_link_to_it(page: str) -> None:
    links = re.findall(r"\]\(([^)]*differences\.md)\)", (ROOT / page).read_text(encoding="utf-8"))
    assert links
    assert all(((ROOT / page).parent / link).is_file() for link in links)


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_nothing_is_said_twice() -> None:
    for lines in (re.findall(r"^#+ .*", PAGE, re.MULTILINE), re.findall(r"^- .*", PAGE, re.MULTILINE)):
        assert sorted(set(lines)) == sorted(lines)


def test_every_bullet_stands_under_a_heading() -> None:
    head, *sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    assert not re.search(r"^- ", head, re.MULTILINE)
    assert [section.splitlines()[0] for section in sections if not re.search(r"^- ", section, re.MULTILINE)] == []
