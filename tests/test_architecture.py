"""Who may import whom: the arrows of docs/architecture.md, read from the sources."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Lower numbers know nothing of higher ones. A package stands for all its modules unless they have a row of their own.
LEVELS = {
    "seqc._version": 0,
    "seqc.text": 0,
    "seqc.errors": 0,
    "seqc.utils.absent": 0,
    "seqc.utils.garbage": 0,
    "seqc.contexts": 0,
    "seqc.utils.naming": 0,
    "seqc.utils.signatures": 0,
    "seqc.utils.not_carried": 0,
    "seqc.utils.display": 0,
    "seqc.utils.batches": 0,
    "seqc.utils.silence": 0,
    "seqc.utils.files": 0,
    "seqc.utils.packing": 1,
    "seqc.utils.bounding_boxes": 6,
    "seqc.epsilon": 0,
    "seqc.argument_kinds": 1,
    "seqc.tree": 0,
    "seqc.structures": 1,
    "seqc.scopes": 1,
    "seqc.stored": 1,
    "seqc.seeds": 0,
    "seqc.limits": 1,
    "seqc.graph": 0,
    "seqc.graph.dims": 1,
    "seqc.graph.arrays": 1,
    "seqc.graph.element_types": 1,
    "seqc.graph.operators": 1,
    "seqc.graph.equal_sizes": 1,
    "seqc.graph.batch": 1,
    "seqc.file_scope": 1,
    "seqc.keras_places": 0,
    "seqc.known_classes": 0,
    "seqc.sure": 0,
    "seqc.serialization": 2,
    "seqc.dtype_policies": 3,
    "seqc.config": 4,
    "seqc.mixed_precision": 8,
    "seqc._aliases": 0,
    "seqc._tensorflow": 20,
    "seqc._tensorflow_functions": 20,
    "seqc.backend": 12,
    "seqc._old_backend": 12,
    "seqc.preprocessing": 12,
    "seqc.keras": 20,
    "seqc.compat": 20,
    "seqc.run": 20,
    "seqc.graph.ir": 2,
    "seqc.graph.rewriting": 3,
    "seqc.graph.printing": 3,
    "seqc.graph.layout": 3,
    "seqc.graph.target": 3,
    "seqc.graph.eager": 3,
    "seqc.graph.blas_threads": 0,
    "seqc.graph.interpreter": 3,
    "seqc.ops": 4,
    "seqc.backends.numpy": 7,
    "seqc.backends": 7,
    "seqc.graph.tracing": 5,
    "seqc.graph.autodiff": 5,
    "seqc.attributes": 6,
    "seqc.ops.branches": 6,
    "seqc.ops.derivatives": 6,
    "seqc.ops.loops": 6,
    "seqc.ops.vectorizing": 6,
    "seqc.passes": 6,
    "seqc.activations": 6,
    "seqc.random": 6,
    "seqc.draws": 6,
    "seqc.distributions": 6,
    "seqc.initializers": 6,
    "seqc.regularizers": 6,
    "seqc.constraints": 6,
    "seqc.layers": 7,
    "seqc.losses": 7,
    "seqc.metrics": 7,
    "seqc.optimizers": 7,
    "seqc.callbacks": 8,
    "seqc.training": 9,
    "seqc.stack": 9,
    "seqc.own_call": 10,
    "seqc.model": 10,
    "seqc.layer_order": 9,
    "seqc.mask_calls": 9,
    "seqc.operation_classes": 0,
    "seqc.operation_sizes": 8,
    "seqc.operations": 8,
    "seqc.graph_config": 9,
    "seqc.graph_checks": 9,
    "seqc.functional": 10,
    "seqc.connections": 11,
    "seqc.sequential": 10,
    "seqc.utils": 11,
    "seqc.saving": 11,
    "seqc.backends.onnxruntime": 11,
    "seqc.backends.onnxruntime_quantizer": 11,
    "seqc.export": 12,
    "seqc.datasets": 12,
    "seqc.applications": 12,
    "seqc.cloning": 11,
    "seqc.models": 13,
    "seqc.analysis": 13,
    "seqc.plots": 13,
    "seqc.wrappers": 14,
    "seqc": 15,
    "seqc.cli": 16,
    "seqc.__main__": 17,
}
# The only imports that go upwards, all of them when a function is called, with what they are for.
LATE = {
    (
        "seqc.graph.ir",
        "seqc.graph.eager",
    ): "the numbers of a value that depends on no input, when Python asks",
    ("seqc.graph.ir", "seqc.graph.printing"): "Graph as text, when Python asks",
    ("seqc.graph.ir", "seqc.mask_calls"): "the mask of a tensor, when a script reads it by Keras's name",
    ("seqc.graph.ir", "seqc.graph.tracing"): "the mask of a tensor, when a script assigns it",
    ("seqc.cli._source", "seqc"): "seqc.compat, for a FILE that was written for Keras",
    ("seqc.model", "seqc.utils.summary"): "Model.summary",
    ("seqc.callbacks.files", "seqc.saving.containers"): "ModelCheckpoint finds out before training what it can write",
    ("seqc.model", "seqc.saving"): "Model.save, save_weights, load_weights",
    ("seqc.model", "seqc.export.model"): "Model.export",
    ("seqc.ops.image_warps", "seqc.random"): "elastic_transform draws, by functions of seqc.ops",
    ("seqc.training.inference", "seqc.export.model"): "Model.predict in onnxruntime",
    ("seqc.training.inference", "seqc.export.session"): "Model.predict in onnxruntime",
    ("seqc.training.methods", "seqc.utils.progress"): "rich is loaded only where a bar is shown",
}
# Packages that only one part of seqc may import, so that a bare `import seqc` stays light.
ONLY = {
    "onnx": ("seqc.export", "seqc.cli", "seqc.wrappers"),
    "onnxruntime": ("seqc.backends.onnxruntime", "seqc.cli.doctor"),
    "h5py": ("seqc.saving",),
    "safetensors": ("seqc.saving",),
    "tensorboardX": ("seqc.callbacks",),
    "matplotlib": ("seqc.plots",),
    "pydot": ("seqc.utils.model_visualization",),
    "PIL": ("seqc.utils.pictures",),
    "platformdirs": ("seqc.datasets",),
    "rich": ("seqc.utils", "seqc.cli"),
    "typer": ("seqc.cli",),
    "seqc_runtime": ("seqc.cli",),
    "sklearn": ("seqc.wrappers",),
    "skl2onnx": ("seqc.wrappers",),
}


@cache
def modules() -> list[tuple[str, ast.Module]]:
    found = []
    for path in sorted((ROOT / "seqc").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append((name, ast.parse(path.read_text(encoding="utf-8"))))
    return found


def imported(tree: ast.AST, at_load: bool) -> Iterator[str]:
    """Yields imported module names; only those that loading the module imports when `at_load`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if at_load and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from imported(node, at_load)


@cache
def all_imports() -> list[tuple[str, str]]:
    """Every module with each name that it imports, whenever it does."""
    return [(name, target) for name, tree in modules() for target in imported(tree, at_load=False)]


def level(name: str) -> int | None:
    while name:
        if name in LEVELS and (name != "seqc"):
            return LEVELS[name]
        name = name.rpartition(".")[0]
    return None


@pytest.mark.slow
def test_every_module_has_a_level() -> None:
    assert [name for name, _ in modules() if name != "seqc" and level(name) is None] == []


@pytest.mark.slow
def test_no_module_imports_one_of_a_higher_level_when_it_loads() -> None:
    wrong = []
    for name, tree in modules():
        if name == "seqc":
            continue
        for target in imported(tree, at_load=True):
            above = level(target) if target.startswith("seqc.") else None
            if above is not None and above > (level(name) or 0):
                wrong.append(f"{name} imports {target}")
    assert wrong == []


@pytest.mark.slow
def test_imports_that_go_upwards_are_those_listed() -> None:
    upwards = {
        (name, target.rpartition(".")[0])
        for name, tree in modules()
        if name != "seqc"
        for target in set(imported(tree, at_load=False)) - set(imported(tree, at_load=True))
        if target.startswith("seqc.") and (level(target) or 0) > (level(name) or 0)
    }
    assert upwards == set(LATE)


@pytest.mark.slow
@pytest.mark.parametrize("package", sorted(ONLY))
def test_a_heavy_package_is_imported_in_one_place_only(package: str) -> None:
    wrong = [
        f"{name} imports {target}"
        for name, target in all_imports()
        if target.split(".")[0] == package and not name.startswith(ONLY[package])
    ]
    assert wrong == []


@pytest.mark.slow
def test_the_runtime_never_imports_seqc() -> None:
    for path in (ROOT / "runtime" / "seqc_runtime").rglob("*.py"):
        names = {
            target.split(".")[0] for target in imported(ast.parse(path.read_text(encoding="utf-8")), at_load=False)
        }
        assert "seqc" not in names, path.name


@pytest.mark.slow
def test_import_seqc_is_light() -> None:
    code = (
        "import sys, time; import numpy; start = time.perf_counter(); import seqc; spent = time.perf_counter() - start;"
        "print(spent, *sorted({m.split('.')[0] for m in sys.modules}))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    loaded = set(shown[1:])
    assert not loaded & {"onnx", "onnxruntime", "h5py", "rich", "typer", "matplotlib", "seqc_runtime"}


def test_import_seqc_takes_little_beside_numpy() -> None:
    code = (
        "from time import process_time as now; a = now(); import numpy; b = now(); import seqc; c = now(); "
        "print((c - b) / (b - a))"
    )
    # Processor time beside that of NumPy's own import in the same process, and the best of several: machines differ,
    # and so does one from minute to minute. Compiled modules are kept, as they are for a user from the second start on.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    ratios = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True).stdout)
        for _ in range(5)
    ]
    assert min(ratios) < 2


@pytest.mark.slow
def test_import_seqc_loads_no_executor() -> None:
    code = "import sys, seqc; print('seqc.backends.numpy.executor' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip() == b"False"


def test_nothing_in_the_numpy_backend_imports_in_a_circle() -> None:
    arrows = {
        name: {
            node.module
            for node in ast.walk(tree)  # also what is imported late, or only for types
            if isinstance(node, ast.ImportFrom) and node.module
        }
        for name, tree in modules()
        if name.startswith("seqc.backends.numpy.")
    }
    while free := {name for name, targets in arrows.items() if not targets & set(arrows) - {name}}:
        arrows = {name: targets for name, targets in arrows.items() if name not in free}
    assert arrows == {}


def test_the_page_names_every_part_and_none_that_is_not_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("## The parts")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([\w/]*(?:\.py|/))`", table))
    words = {word for name in named for word in re.findall(r"\w+(?:\.py|/)", name)} | {"_version.py"}
    found = [*(ROOT / "seqc").iterdir(), *(ROOT / "seqc" / "graph").iterdir()]
    parts = [part.name for part in found if part.suffix == ".py" and not part.stem.startswith("__")]
    parts += [f"{part.name}/" for part in found if (part / "__init__.py").is_file()]
    assert [part for part in parts if part not in words] == []
    files = [
        f"/{path.relative_to(ROOT).as_posix()}"
        for part in ("seqc", "runtime", "tests")
        for path in (ROOT / part).rglob("*.py")
    ]
    assert [name for name in named if not any(f"/{name}" in file for file in files)] == []


@pytest.mark.parametrize(
    ("folder", "most"), [("seqc", 500), ("runtime/seqc_runtime", 500), ("seqc/backends/numpy", 250)]
)
def test_source_files_fit_one_reading(folder: str, most: int) -> None:
    long = {
        path.relative_to(ROOT).as_posix(): count
        for path in (ROOT / folder).rglob("*.py")
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > most
    }
    assert long == {}
