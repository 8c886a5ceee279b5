"""tools/release.py: one version in both distributions, and a changelog that is cut."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def release() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / "tools" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def root(release: ModuleType, tmp_path: Path) -> Path:
    for name in release.PLACES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    text = "# Changelog\n\n## [Unreleased]\n\n### Fixed\n\n- One.\n\n### Added\n\n- Two.\n\n### Fixed\n\n- Three.\n"
    (tmp_path / "CHANGELOG.md").write_text(text)
    return tmp_path


def test_both_distributions_have_one_version(release: ModuleType) -> None:
    assert len(set(release.versions(ROOT).values())) == 1


def test_the_changelog_of_today_can_be_cut(release: ModuleType) -> None:
    released = release.sorted_sections(release.unreleased((ROOT / "CHANGELOG.md").read_text()) or "### Added\n\n- x\n")
    assert released.startswith("### ")


def test_a_release_is_cut_and_known_again(
    release: ModuleType, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(release, "is_clean", lambda _: True)
    assert release.main(["99.0.1", "--date", "2030-01-02", "--no-docs"], root) == 0
    assert set(release.versions(root).values()) == {"99.0.1"}
    text = (root / "CHANGELOG.md").read_text()
    sections = "### Added\n\n- Two.\n\n### Fixed\n\n- One.\n- Three.\n"
    assert text == f"# Changelog\n\n## [Unreleased]\n\n## [99.0.1] - 2030-01-02\n\n{sections}"
    assert release.main(["--check", "99.0.1"], root) == 0
    assert release.main(["--check", "99.0.2"], root) == 1
    assert "This is not 99.0.2: seqc/_version.py is at 99.0.1" in capsys.readouterr().err
    assert release.main(["99.0.2", "--no-docs"], root) == 1  # nothing to say of it
    assert "says nothing under" in capsys.readouterr().err
    assert set(release.versions(root).values()) == {"99.0.1"}


@pytest.mark.parametrize(
    ("version", "message"),
    [("0.0.1", "a release needs a newer version"), ("1.2", "A version has three numbers"), ("v1.2.3", "three numbers")],
)
def test_what_is_no_new_version_is_refused(
    release: ModuleType,
    root: Path,
    version: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(release, "is_clean", lambda _: True)
    assert release.main([version, "--no-docs"], root) == 1
    assert message in capsys.readouterr().err
