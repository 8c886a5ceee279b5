"""What tests import when they load is installed by `make test`, or its absence skips them."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# What `make test` installs, as the Makefile says it: a project's folder and its extras.
INSTALLED = re.search(r"^\$\(FOR_WORK\):.*\n\t\$\(INSTALL\) (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
OWN = {"seqc": "cpu,plot,dev", "seqc-runtime": "cpu,server,grpc,images"}
PROJECTS = {"seqc": ROOT / "pyproject.toml", "seqc-runtime": ROOT / "runtime/pyproject.toml"}
TESTS = sorted(path for folder in ("tests", "runtime/tests") for path in (ROOT / folder).rglob("*test*.py"))


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def wanted(name: str, extras: set[str]) -> Iterator[str]:
    """What distribution ``name`` asks for with these ``extras``, whatever the machine is."""
    if name in PROJECTS:
        project = tomllib.loads(PROJECTS[name].read_text())["project"]
        yield from project["dependencies"]
        yield from (line for extra in extras for line in project["optional-dependencies"][extra])
        return
    try:
        lines = requires(name) or []
    except PackageNotFoundError:
        return
    for line in lines:
        requirement, _, marker = line.partition(";")
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", marker)
        if extra is None or canonical(extra[1]) in extras:
            yield requirement


@cache
def installed_for_the_tests() -> set[str]:
    """The distributions that `make test` installs, those that others bring along among them."""
    found: set[str] = set()
    todo = [(name, frozenset(extras.split(","))) for name, extras in OWN.items()]
    while todo:
        name, extras = todo.pop()
        found.add(canonical(name))
        for requirement in wanted(name, set(extras)):
            inner = re.match(r"\s*([\w.-]+)\s*(?:\[([^\]]*)\])?", requirement)
            assert inner, requirement
            if canonical(inner[1]) not in found:
                todo.append((inner[1], frozenset(canonical(e.strip()) for e in (inner[2] or "").split(","))))
    return found


def packages() -> set[str]:
    """What these distributions have one import, by the lists of their files (which are long)."""
    found = set()
    for name in installed_for_the_tests() - set(PROJECTS):
        try:
            lines = (distribution(name).read_text("RECORD") or "").splitlines()
        except PackageNotFoundError:
            continue
        found |= {re.split(r"[/.,]", line, maxsplit=1)[0] for line in lines}
    return found


def loaded(path: Path) -> set[str]:
    """The packages that a module imports when it loads, until it first asks whether something is there."""
    text, _, _ = path.read_text().partition("importorskip(")
    return set(re.findall(r"^(?:import|from) (\w+)", re.sub(r'""".*?"""', "", text, flags=re.DOTALL), re.MULTILINE))


def test_the_makefile_installs_what_is_looked_at_here() -> None:
    assert INSTALLED is not None
    assert re.findall(r"\[([^\]]*)\]", INSTALLED[1]) == [OWN["seqc-runtime"], OWN["seqc"]]


def test_a_test_loads_only_what_is_installed_for_the_tests() -> None:
    folders = [ROOT, *(ROOT / name for name in ("benchmarks", "docs", "tools", "runtime", "tests", "runtime/tests"))]
    own = {other.stem for folder in folders for other in folder.iterdir()}
    there = packages() | own | set(sys.stdlib_module_names)
    missing = [
        f"{path.relative_to(ROOT)}: `make test` does not install {package}; pytest.importorskip"
        for path in TESTS
        for package in sorted(loaded(path) - there)
    ]
    assert not missing, "\n".join(missing)
