"""What is loaded when a program asks for it: under the right names, for files too, and not before."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from seqc import callbacks, layers, ops
from seqc.serialization import deserialize, serialize

PACKAGES = {"seqc.ops": ops._LATE, "seqc.layers": layers._LATE, "seqc.callbacks": callbacks._LATE}


@pytest.mark.parametrize("package", PACKAGES)
def test_names_are_loaded_from_where_type_checkers_see_them(package: str) -> None:
    source = Path(import_module(package).__file__ or "").read_text(encoding="utf-8")
    guards = [node for node in ast.parse(source).body if isinstance(node, ast.If)]
    seen = {
        (node.module, name.name)
        for guard in guards
        for node in guard.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    late = PACKAGES[package].items()
    assert {name for _, names in late for name in names.split()} <= set(import_module(package).__all__)
    assert seen == {(f"{package}.{module}", name) for module, names in late for name in names.split()}
    for module, name in seen:  # of functions of ops, symbols remember the call
        found = getattr(import_module(package), name)
        assert getattr(found, "__wrapped__", found) is getattr(import_module(str(module)), name)


def fresh(code: str) -> str:
    """Returns what a program prints that has loaded nothing yet."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_a_program_loads_the_layers_that_it_names() -> None:
    listed = fresh(
        "import sys, seqc; seqc.layers.LSTM(3); from seqc.layers import Flatten;"
        "print(*[m for m in sys.modules if m.startswith('seqc.layers.') and m.split('.')[2][0] != '_'])"
    )
    loaded = {module.removeprefix("seqc.layers.") for module in listed.split()}
    assert {"recurrent", "reshaping"} <= loaded
    assert not loaded & {"attention", "convolutional", "noise", "normalization", "pooling", "text_vectorization"}


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "layer",
    [layers.Conv2D(3, 2), layers.GroupQueryAttention(4, 2, 1), layers.Bidirectional(layers.GRU(2))],
    ids=lambda layer: type(layer).__name__,
)
@pytest.mark.parametrize("module", ["keras.layers", "keras", "", "keras.src.layers.core"])
def test_a_file_may_name_a_class_that_is_not_loaded(layer: layers.Layer, module: str) -> None:
    described = {**serialize(layer), "module": module}
    code = "import json, sys; from seqc.serialization import deserialize, serialize; "
    code += "print(json.dumps(serialize(deserialize(json.loads(sys.argv[1])))))"
    shown = subprocess.run(
        [sys.executable, "-c", code, json.dumps(described)], capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(shown) == json.loads(json.dumps(serialize(deserialize(described))))


def test_threads_that_ask_for_the_same_name_get_the_same_class() -> None:
    shown = fresh(
        "import threading, seqc, time\n"
        "start, found = threading.Barrier(8), []\n"
        "def ask():\n"
        "    start.wait(); found.append(seqc.layers.TextVectorization)\n"
        "threads = [threading.Thread(target=ask) for _ in range(8)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "print(len(found), len(set(found)))"
    )
    assert shown == "8 1"


@pytest.mark.parametrize("name", ["layers.convolutional.Conv2D", "callbacks.files.CSVLogger", "ops.rnn.lstm"])
def test_modules_of_a_package_are_there_as_if_they_had_been_loaded(name: str) -> None:
    assert fresh(f"import seqc; print(seqc.{name}.__name__)") == name.rsplit(".", 1)[1]


def test_loading_a_layer_compares_no_names() -> None:
    # What looks for slips of the pen is slow, and asked whenever a package seems not to have one of its own modules.
    code = "import sys, seqc; [getattr(seqc.layers, name) for name in seqc.layers.__all__]; "
    assert fresh(f"{code} print('difflib' in sys.modules)") == "False"


def test_an_optimizer_is_read_while_others_load_layers() -> None:
    shown = fresh(
        "import sys, threading, seqc\n"
        "sys.setswitchinterval(1e-6)\n"
        "config, done, errors = seqc.optimizers.serialize(seqc.optimizers.Adam()), threading.Event(), []\n"
        "def read():\n"
        "    while not done.is_set():\n"
        "        try: seqc.optimizers.deserialize(config)\n"
        "        except Exception as error: errors.append(error)\n"
        "threads = [threading.Thread(target=read) for _ in range(2)]\n"
        "[t.start() for t in threads]\n"
        "[getattr(seqc.layers, name) for name in seqc.layers.__all__]\n"
        "done.set(); [t.join() for t in threads]\n"
        "print(errors)"
    )
    assert shown == "[]"
