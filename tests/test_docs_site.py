"""The documentation site: it builds without a warning, needs no network, and its search finds what people look for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# What somebody types, and pages that have to be among those with these words.
ASKED = {
    "open h5": "docs/files",
    "refused target": "docs/targets",
    "add op": "docs/inside/write-an-op",
    "clipnorm": "docs/differences",
    "training fast": "docs/reference/benchmarks",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for package in ("sphinx", "myst_parser", "furo", "sphinx_copybutton"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("site")
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-n",
        "-q",
        "-c",
        ROOT / "docs",
        ROOT,
        folder,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-4000:]
    shutil.rmtree(folder / ".doctrees", ignore_errors=True)
    return folder


@pytest.mark.slow
def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 50
    loaded = re.compile(r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=\"(?:https?:)?//[^\"]*\"")
    assert {hit for page in pages for hit in loaded.findall(page.read_text("utf-8"))} == set()
    assert not any("@import" in style.read_text("utf-8") for style in site.rglob("*.css"))


@pytest.mark.slow
def test_the_front_leads_to_the_index(site: Path) -> None:
    front = (site / "index.html").read_text("utf-8")
    (target,) = set(re.findall(r'href="([^"]+)"', front))
    assert (site / target).is_file()


@pytest.mark.slow
@pytest.mark.parametrize(("words", "page"), ASKED.items())
def test_the_search_finds_it(site: Path, words: str, page: str) -> None:
    index = json.loads((site / "searchindex.js").read_text("utf-8").removeprefix("Search.setIndex(").removesuffix(")"))
    number = index["docnames"].index(page)
    for word in words.split():
        found: set[int] = set()
        for kind in ("terms", "titleterms"):
            for term, where in index[kind].items():
                if term.startswith(word[:4]):
                    found |= set(where) if isinstance(where, list) else {where}
        assert number in found, word


@pytest.mark.slow
def test_each_thing_of_the_reference_stands_once(site: Path) -> None:
    sys.path.insert(0, str(ROOT / "docs"))
    from building.inventory import inventory

    text = "".join(page.read_text("utf-8") for page in (site / "docs/reference/api").glob("*.html"))
    for entry in inventory():
        assert len(re.findall(rf'id="{re.escape(entry.path)}"', text)) == 1, entry.path
    assert 'id="seqc.layers.Dense"' in text
    assert "seqc.layers.core" not in text
