"""The scripts of examples/ run, say what they lack, and are what their notebooks show."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kit.effort import THOROUGH

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
PAGE = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
NAMES = sorted(file.stem for file in EXAMPLES.glob("*.py"))
# What an example needs beside what `make demo` installs.
PACKAGES = {"sklearn_pipeline": ("pandas", "sklearn", "skl2onnx")}
# What makes it a matter of seconds.
ARGUMENTS = {"mnist": ("--images", "200")}
# MNIST, where it is beside the repository; no test fetches it.
DATA = ROOT.parent / "shared" / "data"


def script(name: str) -> str:
    return (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")


def notebook(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((EXAMPLES / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    return content


def as_script(cells: list[dict[str, Any]]) -> list[str]:
    """Returns the lines of cells in the percent format, without the empty ones."""
    lines: list[str] = []
    for cell in cells:
        text = "".join(cell["source"]).splitlines()
        if cell["cell_type"] == "markdown":
            lines += ["# %% [markdown]", *(f"# {line}".rstrip() for line in text)]
        else:
            lines += ["# %%", *text]
    return [line for line in lines if line]


def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("notebooks_tool", ROOT / "tools" / "notebooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_has_a_notebook_a_picture_and_a_row_in_the_page() -> None:
    assert sorted(file.stem for file in (EXAMPLES / "notebooks").glob("*.ipynb")) == NAMES
    pictures = sorted(file.stem for file in (ROOT / "docs" / "pictures").glob("*.png"))
    assert pictures == NAMES
    assert sorted(re.findall(r"\(\.\./examples/(\w+)\.py\)", PAGE)) == NAMES
    assert sorted(re.findall(r"\(\.\./examples/notebooks/(\w+)\.ipynb\)", PAGE)) == NAMES
    assert sorted(re.findall(r"\(pictures/(\w+)\.png\)", PAGE)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_has_the_cells_of_its_script_and_their_outputs(name: str) -> None:
    found = notebook(name)
    lines = [line for line in script(name).splitlines() if line]
    assert as_script(found["cells"]) == lines, f"run `make notebooks NAMES={name}`"
    outputs = [output for cell in found["cells"] for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 1
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    printed = "".join("".join(output.get("text", [])) for output in outputs)
    assert printed.count("\n") >= 4
    folders = {name for name in re.findall(r"(?<![\w.:/])/(\w+)/", printed) if Path("/", name).is_dir()}
    assert not folders, "a path of the machine that made it"
    assert not re.search(r"\b[A-Z]:\\", printed), "a path of the machine that made it"


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_and_pictures_are_small_and_scripts_short(name: str) -> None:
    limits = tool()
    assert (EXAMPLES / "notebooks" / f"{name}.ipynb").stat().st_size <= limits.NOTEBOOK_LIMIT
    assert (ROOT / "docs" / "pictures" / f"{name}.png").stat().st_size <= limits.PICTURE_LIMIT
    assert 60 <= len(script(name).splitlines()) <= 150


def run(name: str, folder: Path, data: Path = DATA) -> subprocess.CompletedProcess[str]:
    """Runs an example in a process of its own, with the data sets in a folder."""
    path = str(EXAMPLES / f"{name}.py")
    arguments = ["x", "--out", "made", *ARGUMENTS.get(name, ())]
    main = f"import runpy, sys; sys.argv = {arguments!r}; runpy.run_path({path!r}, run_name='__main__')"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "runtime"))),
        "MPLBACKEND": "Agg",
        "PYTHONWARNINGS": "error::UserWarning",
        "SEQC_DATA_HOME": str(data),
        "https_proxy": "http://127.0.0.1:1",
        # What they are made of is proved in all other tests.
        "SEQC_VERIFY": str(int(THOROUGH)),
    }
    return subprocess.run(
        [sys.executable, "-c", main], cwd=folder, env=environment, capture_output=True, text=True, timeout=280
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_example_runs_and_makes_its_picture(name: str, tmp_path: Path) -> None:
    for package in ("matplotlib", "onnxruntime", *PACKAGES.get(name, ())):
        pytest.importorskip(package)
    if name == "mnist" and not DATA.is_dir():
        pytest.skip("needs the folder 'shared' beside the repository, with MNIST")
    done = run(name, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert (tmp_path / "made" / f"{name}.png").stat().st_size > 5000
    assert list((tmp_path / "made").rglob("*.onnx"))
    assert [file.name for file in tmp_path.iterdir()] == ["made"]


@pytest.mark.slow
def test_the_example_of_mnist_goes_on_with_small_digits_where_mnist_cannot_be_had(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("onnxruntime")
    done = run("mnist", tmp_path, data=tmp_path / "nothing")
    assert done.returncode == 0, done.stderr
    first, second, *_ = done.stdout.splitlines()
    assert first == "Small digits stand in for MNIST: train-images-idx3-ubyte.gz could not be downloaded"
    assert second == "200 images to learn from, 40 kept aside to measure with"
    assert (tmp_path / "made" / "mnist.png").stat().st_size > 5000
    assert (tmp_path / "made" / "mnist.onnx").is_file()


# One process for all of them: what takes long is to start it.
WITHOUT = """
import json, runpy, sys
asked, said = json.loads(sys.argv[1]), []
sys.argv = ["x", "--out", "made"]
for path, package in asked:
    loaded = {name: module for name, module in sys.modules.items() if f"{name}.".startswith(f"{package}.")}
    for name in loaded:
        del sys.modules[name]
    sys.modules[package] = None
    try:
        runpy.run_path(path, run_name="__main__")
        said.append([path, package, "ran"])
    except SystemExit as ended:
        said.append([path, package, ended.code])
    del sys.modules[package]
    sys.modules.update(loaded)
print(json.dumps(said))
"""


@pytest.mark.slow
def test_every_example_says_in_one_sentence_what_is_not_installed(tmp_path: Path) -> None:
    asked = [(str(EXAMPLES / f"{n}.py"), package) for n in NAMES for package in ("matplotlib", *PACKAGES.get(n, ()))]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, json.dumps(asked)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "runtime"))), "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=280,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert [(path, package) for path, package, _ in found] == asked
    # A text that a program ends with goes to the standard error, and the status is 1.
    assert [one for one in found if not re.fullmatch(r"This example [^\n]+: pip install [^\n]+", str(one[2]))] == []


@pytest.mark.slow
def test_a_notebook_is_made_and_run_from_its_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("jupytext", "nbclient", "nbformat", "ipykernel", "matplotlib"):
        pytest.importorskip(package, reason=f"{package} is not installed; the extra examples brings it")
    made = tool()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "digits.py").write_text(script("digits"), encoding="utf-8")
    monkeypatch.setattr(made, "ROOT", tmp_path)
    monkeypatch.setattr(made, "EXAMPLES", tmp_path)
    monkeypatch.setattr(made, "PICTURES", tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(ROOT), str(ROOT / "runtime"))))
    made.main(["digits"])
    found = json.loads((tmp_path / "notebooks" / "digits.ipynb").read_text(encoding="utf-8"))
    assert as_script(found["cells"]) == as_script(notebook("digits")["cells"])
    kinds = [[output["output_type"] for output in cell.get("outputs", [])] for cell in found["cells"]]
    assert kinds == [
        [output["output_type"] for output in cell.get("outputs", [])] for cell in notebook("digits")["cells"]
    ]
