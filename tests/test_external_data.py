"""Weights in a file beside the model: what is in it, who can read it, and that both files are replaced together."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.cli_models import seqc, seqc_json
from kit.effort import effort
from kit.small_graphs import BATCH, Weights, dense, graph, named
from seqc import ops
from seqc.backends.onnxruntime import Session
from seqc.errors import ArgumentTypeError, ExportError, PathError, VerificationError
from seqc.export import disk, export_graph, wire
from seqc.export import options as export_options
from seqc.export.record import file_hash, read_record, record_path
from seqc.graph import ir
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph
from seqc.ops.transcendental import Tanh
from seqc.utils import files
from seqc.utils import working as progress

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")

X = np.random.default_rng(0).normal(size=(3, 40)).astype("float32")


def small(seed: int = 0) -> Graph:
    """A graph with a large kernel, a small one, and biases that are too small for another file."""
    w, x = Weights(seed), ir.input_value("x", "float32", (BATCH, 40))
    y = named(ops.tanh, "tanh", dense(w, "first", x, 500))
    return graph(x, dense(w, "second", y, 3))


def pair(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def answer(path: Path) -> Array:
    return next(iter(Session(path, threads=1).run({"x": X}).values()))


def entries(path: Path) -> dict[str, dict[str, str]]:
    model = onnx.load(path, load_external_data=False)
    return {t.name: {e.key: e.value for e in t.external_data} for t in model.graph.initializer}


# -- what is written --------------------------------------------------------------------------------------------------


def test_weights_lie_beside_the_model_where_pages_begin_and_the_model_knows_their_hash(tmp_path: Path) -> None:
    receipt = export_graph(small(), tmp_path / "m.onnx", external_data=True)
    assert receipt.report is not None
    assert receipt.report.passed
    assert receipt.data_file is not None
    assert pair(tmp_path) == ["m.onnx", receipt.data_file]
    data = (tmp_path / receipt.data_file).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    assert receipt.data_file == f"m.onnx.{digest[:16]}.data"
    assert (receipt.file_bytes, receipt.data_bytes) == ((tmp_path / "m.onnx").stat().st_size, len(data))
    model = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    assert {p.key: p.value for p in model.metadata_props}[disk.HASH] == digest
    found = entries(tmp_path / "m.onnx")
    assert int(found["first/kernel"]["offset"]) % 4096 == 0
    assert all(int(said["offset"]) % 64 == 0 for said in found.values() if said)
    assert not found["second/bias"]
    assert "beside it" in str(receipt)
    np.testing.assert_allclose(answer(tmp_path / "m.onnx"), Interpreter(small()).run([X])[0], rtol=1e-5, atol=1e-6)


def test_one_file_and_two_hold_the_same_numbers(tmp_path: Path) -> None:
    for name, outside in (("one.onnx", False), ("two.onnx", True)):
        export_graph(small(), tmp_path / name, external_data=outside)
    one, two = (onnx.load(tmp_path / name) for name in ("one.onnx", "two.onnx"))
    for a, b in zip(one.graph.initializer, two.graph.initializer, strict=True):
        assert (a.name, a.raw_data) == (b.name, b.raw_data)
    assert answer(tmp_path / "one.onnx").tobytes() == answer(tmp_path / "two.onnx").tobytes()
    onnx.checker.check_model(str(tmp_path / "two.onnx"), full_check=True)


def test_offsets_leave_room_and_no_more() -> None:
    arrays = {name: np.zeros(n, "uint8") for name, n in (("a", 1024), ("b", 70_000), ("c", 1023), ("d", 1025))}
    assert disk.place(arrays) == {"a": 0, "b": 4096, "d": 74_112}


@pytest.mark.parametrize(("asked", "outside"), [(True, True), (0, True), (80_000, True), (10**6, False), (None, False)])
def test_a_number_of_bytes_says_from_when_on(asked: Any, outside: bool, tmp_path: Path) -> None:
    receipt = export_graph(small(), tmp_path / "m.onnx", external_data=asked, verify=False)
    assert (receipt.data_file is not None) == outside


def test_what_one_file_cannot_hold_lies_beside_it_unless_that_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_options, "LARGEST_FILE", 50_000)
    with pytest.raises(ExportError, match="external_data=True"):
        export_graph(small(), tmp_path / "m.onnx", external_data=False)
    assert pair(tmp_path) == []
    assert export_graph(small(), tmp_path / "m.onnx").data_file is not None
    assert export_graph(small(), tmp_path / "m.onnx", external_data=10**9).data_file is not None


@pytest.mark.parametrize("wrong", ["yes", -1, 1.5, [True]])
def test_what_is_no_size_is_refused(wrong: Any, tmp_path: Path) -> None:
    with pytest.raises(ArgumentTypeError, match="external_data must be True, False, or a number of bytes"):
        export_graph(small(), tmp_path / "m.onnx", external_data=wrong)


# -- who reads it -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("untrusted", [False, True])
def test_the_runtime_loads_both_files(untrusted: bool, tmp_path: Path) -> None:
    runtime = pytest.importorskip("seqc_runtime", reason="needs seqc-runtime")
    if untrusted and sys.platform != "linux":
        pytest.skip("elsewhere there is no Landlock")
    receipt = export_graph(small(), tmp_path / "m.onnx", external_data=True)
    loaded = runtime.load(tmp_path / "m.onnx", device="cpu", untrusted=untrusted)
    np.testing.assert_allclose(loaded.predict(X), Interpreter(small()).run([X])[0], rtol=1e-5, atol=1e-6)
    if untrusted:
        assert set(loaded.admission.digests) == {"m.onnx", receipt.data_file}


@pytest.mark.slow
def test_commands_take_such_a_file(tmp_path: Path) -> None:
    pytest.importorskip("seqc_runtime", reason="needs seqc-runtime")
    import seqc as keras

    model = keras.Sequential([keras.Input((40,)), keras.layers.Dense(300), keras.layers.Dense(2)])
    model.save(tmp_path / "m.keras")
    path = tmp_path / "m.onnx"
    name = seqc_json("export", tmp_path / "m.keras", "-o", path, "--external-data", "20KB")["data_file"]
    assert pair(tmp_path) == ["m.keras", "m.onnx", name]
    assert f"{name} beside it ({(tmp_path / name).stat().st_size:,} bytes)" in seqc("inspect", path).stdout
    assert seqc_json("verify", path, "--against", tmp_path / "m.keras")["parity"]["values"] > 0
    assert "the weights beside it: m.onnx." in seqc("verify", path).stdout
    np.save(tmp_path / "x.npy", X)
    seqc("predict", path, tmp_path / "x.npy", "-o", tmp_path / "y.npy")
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)
    linked = tmp_path / "linked"
    linked.mkdir()
    for file in (path, tmp_path / name):
        (linked / file.name).symlink_to(file)
    assert f"{name} beside it ({(tmp_path / name).stat().st_size:,} bytes)" in seqc("inspect", linked / "m.onnx").stdout
    data = bytearray((tmp_path / name).read_bytes())
    data[-1] ^= 1
    (tmp_path / name).write_bytes(data)
    assert "has SHA-256" in seqc("verify", path, code=1).stdout
    (tmp_path / name).unlink()
    assert "beside it (missing)" in seqc("inspect", path).stdout
    assert name in seqc("verify", path, code=1).stdout


@pytest.mark.parametrize("size", ["", "x", "-1", "5 apples", "1e3"])
def test_a_size_that_is_none_is_refused_by_the_command(size: str) -> None:
    from seqc.cli._beside import parse_bytes
    from seqc.errors import ConfigError

    with pytest.raises(ConfigError, match="takes a size such as 0, 500MB or"):
        parse_bytes(size)


def test_sizes_have_the_usual_units() -> None:
    from seqc.cli._beside import parse_bytes

    assert [*map(parse_bytes, ("0", "500MB", "1.5GiB", "2 kb"))] == [0, 500_000_000, 1_610_612_736, 2000]


# -- both at once, or neither -----------------------------------------------------------------------------------------


def test_a_new_pair_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "m.onnx.0123456789abcdef.data").write_bytes(b"somebody else's")
    names = [export_graph(small(i), tmp_path / "m.onnx", external_data=True).data_file for i in (0, 1, 1)]
    assert names[0] != names[1] == names[2]
    assert pair(tmp_path) == sorted(["m.onnx", str(names[1]), "m.onnx.0123456789abcdef.data"])
    os.chmod(tmp_path / "m.onnx", 0o640)
    last = export_graph(small(2), tmp_path / "m.onnx", external_data=True).data_file
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("m.onnx", str(last))} == {0o640}
    export_graph(small(), tmp_path / "m.onnx")
    assert pair(tmp_path) == ["m.onnx", "m.onnx.0123456789abcdef.data"]


def test_weights_that_another_file_names_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.onnx"
    names = [export_graph(small(), path, external_data=True, verify=False).data_file]
    before = answer(path)
    shutil.copy(path, tmp_path / "copy.onnx")
    (tmp_path / "link.onnx").symlink_to("m.onnx")
    names += [export_graph(small(i), path, external_data=True, verify=False).data_file for i in (1, 2)]
    assert pair(tmp_path) == sorted(["copy.onnx", "link.onnx", "m.onnx", *map(str, (names[0], names[2]))])
    assert answer(tmp_path / "copy.onnx").tobytes() == before.tobytes()
    # What there is no time to look at may need them.
    monkeypatch.setattr(disk, "_MOST_SEARCHED", 100)
    export_graph(small(), path, external_data=True, verify=False)
    assert names[2] in pair(tmp_path)


class Old:
    """A pair that is there, which a failure must leave as it is, and nothing beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "m.onnx"
        export_graph(small(), self.path, external_data=True, record=True)
        self.there = {name: (folder / name).read_bytes() for name in pair(folder)}
        self.answer = answer(self.path)

    def check(self) -> None:
        assert {name: (self.folder / name).read_bytes() for name in pair(self.folder)} == self.there
        assert answer(self.path).tobytes() == self.answer.tobytes()


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Old]:
    found = Old(tmp_path)
    yield found
    found.check()


def failing(real: Callable[..., Any], at: str) -> Callable[..., Any]:
    def fails(source: Any, target: Any) -> None:
        if os.fspath(target).endswith(at):
            raise OSError(5, "Input/output error")
        real(source, target)

    return fails


@pytest.mark.parametrize("at", [".data", ".npz", "m.onnx"])
@pytest.mark.parametrize("seed", [0, 1], ids=["same weights", "other weights"])
def test_a_renaming_that_fails_leaves_the_old_pair(
    at: str, seed: int, old: Old, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "replace", failing(os.replace, at))
    with pytest.raises(PathError, match="Input/output error"):
        export_graph(small(seed), old.path, external_data=True, record=True)


def test_a_new_model_that_somebody_tidies_away_leaves_the_old_pair(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "take_mode", lambda file, _: file.name == "m.onnx" and file.unlink())
    with pytest.raises(PathError, match="No such file"):
        export_graph(small(1), old.path, external_data=True, verify=False)


def test_a_new_record_comes_with_its_model(old: Old, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other") / "m.onnx"
    export_graph(small(1), other, record=True)
    export_graph(small(), old.path, external_data=True)
    assert read_record(record_path(other)).model_hash == file_hash(other)
    assert read_record(record_path(old.path)).model_hash == file_hash(old.path)


def test_a_file_that_computes_other_numbers_leaves_the_old_pair(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tanh, "lower", lambda self, e, y, *names: e.node("Sin", *names))
    with pytest.raises(VerificationError):
        export_graph(small(1), old.path, external_data=True)


def test_a_layer_that_is_refused_leaves_the_old_pair(old: Old) -> None:
    x = ir.input_value("x", "float32", (BATCH, 0))
    with pytest.raises(ExportError, match="axis of size zero"):
        export_graph(graph(x, ops.tanh(x)), old.path, external_data=True)


def test_a_disk_without_room_is_found_before_any_work(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"total": 10**9, "free": 1000})())
    monkeypatch.setattr("seqc.export.compile_with_names", lambda *_, **__: pytest.fail("work was done"))
    with pytest.raises(PathError, match=r"takes 8\d,\d{3} bytes, and the disk of folder .* has room for 1,000"):
        export_graph(small(1), old.path, external_data=True)


FULL = """
import resource, sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
import seqc.export.writing
from seqc.errors import PathError
from test_external_data import export_graph, small
seqc.export.check_room = seqc.export.writing.check_room = lambda *_: None
if sys.argv[1].startswith("limit:"):
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    export_graph(small(1), Path(sys.argv[1].removeprefix("limit:")) / "m.onnx", external_data=True)
except PathError as error:
    print(error)
"""


def refused_by_a_full_disk(target: str) -> str:
    here = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
    command = [sys.executable, "-c", FULL, target, *here]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits of processes are those of Unix")
def test_a_file_that_may_not_grow_leaves_the_old_pair(old: Old) -> None:
    assert "Cannot write" in refused_by_a_full_disk(f"limit:{old.folder}")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small disk as Linux does")
def test_a_disk_that_fills_up_leaves_the_old_pair(tmp_path: Path) -> None:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160k", "seqc", tmp_path], capture_output=True)
    if mounted.returncode:
        pytest.skip("no disk may be mounted here")
    try:
        there = Old(tmp_path)
        assert "No space left on device" in refused_by_a_full_disk(str(tmp_path))
        there.check()
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_model_marked_read_only_is_refused_before_any_work(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chmod(old.path, 0o444)
    monkeypatch.setattr("seqc.export.compile_with_names", lambda *_, **__: pytest.fail("work was done"))
    with pytest.raises(PathError, match="read-only"):
        export_graph(small(1), old.path, external_data=True)


def test_a_link_to_another_folder_is_refused_where_weights_would_not_be_found(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "m.onnx").symlink_to(tmp_path / "store" / "m.onnx")
    with pytest.raises(PathError, match="it is a link to .* Give the path that it leads to"):
        export_graph(small(), tmp_path / "m.onnx", external_data=True)
    assert pair(tmp_path / "store") == []
    export_graph(small(), tmp_path / "m.onnx")
    assert pair(tmp_path / "store") == ["m.onnx"]


def test_a_name_too_long_for_the_second_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PathError, match="name is too long"):
        export_graph(small(), tmp_path / ("m" * 240 + ".onnx"), external_data=True)
    assert pair(tmp_path) == []


# -- Ctrl-C -----------------------------------------------------------------------------------------------------------


def interrupted(folder: Path, first: int, step: int) -> int:
    """Exports other weights over a pair with Ctrl-C at every `step`-th instruction; returns how often that was."""
    path = folder / "m.onnx"
    answers = []
    for seed in (0, 1):
        export_graph(small(seed), path, external_data=True, verify=False)
        answers.append(answer(path).tobytes())
    graphs = [small(0), small(1)]
    watched = [module.__file__ for module in (disk, files, wire, contextlib)]
    from kit.interruptions import in_a_thread

    gc.freeze()  # what other tests left behind would be looked at after every interruption
    try:
        return in_a_thread(_interruptions, folder, watched, graphs, answers, (first, step))
    finally:
        gc.unfreeze()


def _interruptions(
    folder: Path, watched: list[Any], graphs: list[Any], answers: list[bytes], places: tuple[int, int]
) -> int:
    from kit.interruptions import Injector

    path, now, count, (first, step) = folder / "m.onnx", 1, 0, places
    while True:
        injector = Injector(watched, first + step * count)
        error = injector.run(partial(export_graph, graphs[1 - now], path, external_data=True, verify=False))
        if not injector.raised:
            return count
        assert isinstance(error, KeyboardInterrupt), error
        where = str(error)
        del error
        gc.collect()
        names = disk.own_data(path)
        assert pair(folder) == sorted(["m.onnx", *(name.name for name in names)]), where
        now, count = answers.index(answer(path).tobytes()), count + 1


# Between the opening of a file and the `with` that closes it, an interruption leaves it open until Python clears up.
_LEFT_OPEN = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


@pytest.mark.slow
@_LEFT_OPEN
def test_ctrl_c_leaves_one_pair_or_the_other(tmp_path: Path) -> None:
    assert interrupted(tmp_path, 3, 79) > 20


@_LEFT_OPEN
@pytest.mark.slow
def test_ctrl_c_at_many_instructions_leaves_one_pair_or_the_other(tmp_path: Path) -> None:
    every = effort(13, 3)
    assert interrupted(tmp_path, 0, every) > 500 * 3 // every


# -- how far it is ----------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("after", "terminal", "shown"), [(0, True, True), (60, True, False), (0, False, False)])
def test_an_export_that_takes_long_shows_on_a_terminal_how_far_it_is(
    after: float, terminal: bool, shown: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(progress, "AFTER", after)
    monkeypatch.setenv("TERM", "xterm")
    export_graph(small(), tmp_path / "m.onnx")
    assert ("Export: " in screen.getvalue()) == shown
    assert bool(screen.getvalue()) == shown


def test_a_bar_is_gone_after_an_export_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setattr(progress, "AFTER", 0)
    monkeypatch.setattr(Tanh, "lower", lambda self, e, y, *names: e.node("Sin", *names))
    before = threading.active_count()
    with pytest.raises(VerificationError):
        export_graph(small(), tmp_path / "m.onnx")
    assert threading.active_count() == before


def test_where_all_weights_are_small_no_file_is_beside(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    export_graph(small(), path, external_data=True)
    # What an export before left goes.
    assert len(list(tmp_path.iterdir())) == 2
    receipt = export_graph(tiny(), path, external_data=0)
    assert (receipt.data_file, receipt.data_bytes) == (None, 0)
    assert list(tmp_path.iterdir()) == [path]
    assert Session(path).run({"x": np.ones((2, 3), "float32")})["y"].shape == (2, 2)


def tiny() -> Graph:
    x = ir.input_value("x", "float32", (BATCH, 3))
    return Graph((x,), (dense(Weights(0), "only", x, 2),), ("y",))
