"""Cuts a release: one version in both distributions, and the changelog's "Unreleased" under its name.

    python tools/release.py 0.2.0            # changes files; the commit and the tag are yours
    python tools/release.py --check 0.2.0    # says whether a checkout is this release

Nothing is written before everything has been looked at.
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
# Where a version stands, and how. Both distributions have the same, so that nobody has to know which go together.
PLACES = {
    "seqc/_version.py": re.compile(r'^(__version__ = ")([^"]+)(")$', re.M),
    "runtime/seqc_runtime/__init__.py": re.compile(r'^(__version__ = ")([^"]+)(")$', re.M),
    "CITATION.cff": re.compile(r"^(version: )(\S+)()$", re.M),
}
CHANGELOG = "CHANGELOG.md"
UNRELEASED = "## [Unreleased]\n"
SECTIONS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")


class ReleaseError(Exception):
    """Why there can be no release."""


def read(root: Path, name: str) -> str:
    return (root / name).read_text(encoding="utf-8")


def versions(root: Path) -> dict[str, str]:
    """Returns the version that each of `PLACES` has."""
    found = {}
    for name, pattern in PLACES.items():
        match = pattern.search(read(root, name))
        if match is None:
            raise ReleaseError(f"{name} states no version.")
        found[name] = match[2]
    return found


def numbers(version: str) -> tuple[int, ...]:
    match = VERSION.fullmatch(version)
    if match is None:
        raise ReleaseError(f"A version has three numbers, as in 0.2.0; got {version!r}.")
    return tuple(map(int, match.groups()))


def unreleased(changelog: str) -> str:
    """Returns what stands under "Unreleased"."""
    _, found, rest = changelog.partition(UNRELEASED)
    if not found:
        raise ReleaseError(f"{CHANGELOG} has no section '{UNRELEASED.strip()}'.")
    return rest.split("\n## [", 1)[0]


def sorted_sections(text: str) -> str:
    """Returns the lines of a release with each section once, in the order of Keep a Changelog.

    Raises:
        ReleaseError: there is nothing, or something outside the sections.
    """
    before, *parts = re.split(r"^### (.+)\n", text, flags=re.M)
    if before.strip():
        raise ReleaseError(f"{CHANGELOG} has lines outside a section: {before.strip().splitlines()[0]!r}.")
    bodies: dict[str, list[str]] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        if name.strip() not in SECTIONS:
            raise ReleaseError(f"{CHANGELOG} has a section '{name.strip()}'; it may be one of {', '.join(SECTIONS)}.")
        bodies.setdefault(name.strip(), []).append(body.strip("\n"))
    if not bodies:
        raise ReleaseError(f"{CHANGELOG} says nothing under {UNRELEASED.strip()}.")
    return "\n\n".join(f"### {name}\n\n" + "\n".join(bodies[name]) for name in SECTIONS if name in bodies)


def cut(root: Path, version: str, date: str) -> dict[str, str]:
    """Returns the files of a release, by name.

    Raises:
        ReleaseError: the version is none, or not newer than the last; or the changelog cannot be cut.
    """
    new = numbers(version)
    for name, old in versions(root).items():
        if numbers(old) >= new:
            raise ReleaseError(f"{name} is at {old} already; a release needs a newer version than that, not {version}.")
    files = {name: pattern.sub(rf"\g<1>{version}\g<3>", read(root, name), 1) for name, pattern in PLACES.items()}
    changelog = read(root, CHANGELOG)
    text = unreleased(changelog)
    released = f"{UNRELEASED}\n## [{version}] - {date}\n\n{sorted_sections(text)}\n"
    files[CHANGELOG] = changelog.replace(UNRELEASED + text, released, 1)
    return files


def check(root: Path, version: str) -> None:
    """Looks whether all files are of one release.

    Raises:
        ReleaseError: some file is not of this release.
    """
    numbers(version)
    wrong = [f"{name} is at {found}" for name, found in versions(root).items() if found != version]
    if f"## [{version}] - " not in read(root, CHANGELOG):
        wrong.append(f"{CHANGELOG} has no section of it")
    if wrong:
        raise ReleaseError(f"This is not {version}: {'; '.join(wrong)}.")


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        fresh = (root / name).with_suffix(".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(root / name)


def is_clean(root: Path) -> bool:
    done = subprocess.run(["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True, check=True)
    return not done.stdout.strip()


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("version")
    parser.add_argument("--check", action="store_true", help="say whether the checkout is this release")
    parser.add_argument("--date", default=datetime.date.today().isoformat(), help="of the release, today by default")
    parser.add_argument("--no-docs", action="store_true", help="do not build the documentation first")
    told = parser.parse_args(arguments)
    try:
        if told.check:
            check(root, told.version)
            print(f"This is {told.version}.")
            return 0
        if not is_clean(root):
            raise ReleaseError("There are changes that no commit has. Commit them first.")
        files = cut(root, told.version, told.date)
        if not told.no_docs and subprocess.run(["make", "docs"], cwd=root, check=False).returncode:
            raise ReleaseError("The documentation cannot be built.")
        write(root, files)
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Now: git commit --all --message 'Release {told.version}' && git tag v{told.version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
