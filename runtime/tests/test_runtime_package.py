from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

import seqc_runtime

PACKAGE = Path(seqc_runtime.__file__).parent
RUNTIME = Path(__file__).parents[1]
README = (RUNTIME / "README.md").read_text(encoding="utf-8")


def imported_names(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            names.add((node.module or "").split(".")[0])
    return names


# Parts that need an extra of the package: imported only when somebody asks for them.
EXTRAS = {"server", "cli", "ray.py", "files", "deploy", "progress.py"}


def test_what_runs_in_process_imports_numpy_and_the_standard_library_only() -> None:
    files = [path for path in sorted(PACKAGE.rglob("*.py")) if path.relative_to(PACKAGE).parts[0] not in EXTRAS]
    assert len(files) > 5
    for path in files:
        assert imported_names(path) <= {"numpy", "seqc_runtime"} | set(sys.stdlib_module_names), path.name


@pytest.mark.slow
def test_only_providers_names_onnxruntime_as_a_module() -> None:
    # Triton calls one of its backends so.
    of_triton = {PACKAGE / "server" / "config.py", PACKAGE / "deploy" / "triton.py", PACKAGE / "cli" / "repository.py"}
    for path in set(PACKAGE.rglob("*.py")) - of_triton:
        constants = {
            n.value for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Constant)
        }
        assert ("onnxruntime" in constants) == (path.name == "providers.py"), path.name


@pytest.mark.slow
def test_importing_the_package_imports_neither_onnxruntime_nor_seqc(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    ended = run_python("import sys, seqc_runtime; print(sorted({'onnxruntime', 'seqc', 'onnx'} & set(sys.modules)))")
    assert ended.stdout == "[]\n", ended.stderr


@pytest.mark.slow
def test_nothing_unpickles() -> None:
    """Files, requests, and what workers say to each other are never code that runs."""
    unpickling = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "multiprocessing"}
    for path in sorted((RUNTIME / "seqc_runtime").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not unpickling & {name.partition(".")[0] for name in names}, path
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert isinstance(node.value, ast.Constant), path
                assert node.value.value is False, path


@pytest.mark.slow
def test_a_server_imports_nothing_before_it_is_asked_for(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    pytest.importorskip("uvicorn", reason="the extra server brings it")
    asked = ("importlib.metadata", "importlib.resources", "grpc", "google.protobuf", "prometheus_client", "PIL", "rich")
    ended = run_python(
        "import sys, seqc_runtime.server.run, seqc_runtime.server.worker, seqc_runtime.server.auth\n"
        "import seqc_runtime.server.tls, seqc_runtime.server.build\n"
        f"print(sorted({set(asked)} & set(sys.modules)))"
    )
    assert ended.stdout.strip() == "[]", ended.stderr


def test_every_error_is_under_one_tree_and_is_a_built_in_kind() -> None:
    from seqc_runtime import errors

    members = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]
    assert len(members) > 5
    for error in members:
        assert issubclass(error, seqc_runtime.SeqcRuntimeError)
        assert getattr(seqc_runtime, error.__name__) is error
        assert error is seqc_runtime.SeqcRuntimeError or any(
            base.__module__ == "builtins"
            for base in error.__mro__[1:]
            if base not in (Exception, BaseException, object)
        )


def test_all_lists_what_exists() -> None:
    assert all(hasattr(seqc_runtime, name) for name in seqc_runtime.__all__)


def test_the_project_file_promises_numpy_only_and_the_rest_in_extras() -> None:
    project = tomllib.loads((RUNTIME / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [re.split("[<>=]", need)[0] for need in project["dependencies"]] == ["numpy"]
    extras = {
        name: [re.split("[<>=]", need)[0] for need in needs] for name, needs in project["optional-dependencies"].items()
    }
    assert extras["cpu"] == ["onnxruntime"]
    assert extras["gpu"] == ["onnxruntime-gpu"]
    # onnxruntime's two wheels overwrite each other, so no other extra may bring one of them.
    others = {need for name, needs in extras.items() if name not in ("cpu", "gpu") for need in needs}
    assert len(others) > 5
    assert not {need for need in others if need.startswith("onnxruntime")}


def test_the_types_are_shipped() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_the_readme_runs(
    gemm: bytes, two_inputs: bytes, two_outputs: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) >= 2
    for name, data in (("model", gemm), ("two_inputs", two_inputs), ("two_outputs", two_outputs)):
        (tmp_path / f"{name}.onnx").write_bytes(data)
    monkeypatch.chdir(tmp_path)
    exec(compile("\n".join(blocks), "README.md", "exec"), {})


def test_the_readme_names_every_error() -> None:
    named = set(re.findall(r"`(Runtime\w+Error|SeqcRuntimeError)`", README))
    assert named == {name for name in seqc_runtime.__all__ if name.endswith("Error")}
