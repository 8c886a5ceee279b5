"""What a user gets from pip: seqc and nothing else of this repository."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import seqc._version

ROOT = Path(__file__).resolve().parents[1]


def run(*arguments: str | Path, cwd: Path = ROOT, **environment: str) -> str:
    done = subprocess.run(arguments, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    (built,) = folder.iterdir()
    return built


@pytest.mark.slow
def test_the_wheel_holds_seqc_with_its_data_and_licences_and_nothing_else(wheel: Path) -> None:
    version = seqc._version.__version__
    assert wheel.name == f"seqc-{version}-py3-none-any.whl"
    names = set(zipfile.ZipFile(wheel).namelist())
    info = f"seqc-{version}.dist-info"
    assert {name.split("/")[0] for name in names} == {"seqc", info}
    assert names >= {"seqc/__init__.py", "seqc/py.typed", "seqc/datasets/digits.npz", "seqc/datasets/digits.NOTICE.md"}
    assert names >= {f"{info}/licenses/LICENSE", f"{info}/licenses/seqc/datasets/digits.NOTICE.md"}


@pytest.mark.slow
def test_an_installed_seqc_runs_away_from_the_repository(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", site, wheel)
    code = "import seqc.datasets; print(seqc.__file__, len(seqc.datasets.digits.load_data()[0][0]))"
    output = run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(site))
    assert output.split() == [str(site / "seqc" / "__init__.py"), "1437"]


def test_workflows_name_actions_by_commit_bound_their_time_and_run_every_row() -> None:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML")
    for file in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        for name, job in yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"].items():
            assert job["timeout-minutes"] <= 120, name
            for step in job["steps"]:
                assert re.search(r"@[0-9a-f]{40}$", step.get("uses", "@" + "0" * 40)), step
                # What is put into a command before a shell reads it could be a command of its own.
                assert "${{" not in step.get("run", ""), step
            matrix = dict(job.get("strategy", {}).get("matrix", {}))
            rows = matrix.pop("include", [])
            # A row that only adds to a combination changes that one, and makes no job.
            assert [
                row for row in rows if all(row.get(key, values[0]) in values for key, values in matrix.items())
            ] == []
