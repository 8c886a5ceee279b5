"""Writing files: only over files, whole or not at all, and refused before any work is done for them."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import callbacks, layers
from seqc.errors import MissingFolderError, PathError
from seqc.utils.files import check_target, open_file, replace_file, write_file

needs_modes = pytest.mark.skipif(os.name != "posix", reason="modes, pipes and sockets are POSIX's")


def model() -> keras.Sequential:
    made = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # a socket's path may have about a hundred bytes
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


def make_loop(path: Path) -> None:
    path.symlink_to(path)


SPECIAL: dict[str, Callable[[Path], object]] = {
    "a named pipe": make_pipe,
    "a socket": make_socket,
    "a folder": Path.mkdir,
    "a link that leads back to itself": make_loop,
}


def train(**options: Any) -> None:
    keep = next(iter(options.values()))
    started = callbacks.LambdaCallback(on_epoch_begin=lambda *_: pytest.fail("the training has begun"))
    model().fit(np.zeros((4, 2), "float32"), np.zeros(4), verbose=0, callbacks=[started, keep])


def export(path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seqc.export.compile_graph", lambda *_, **__: pytest.fail("the export has begun"))
        model().export(path)


# Everything that writes a file, and the ending its path needs.
WRITERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "write_file": ("x", lambda path: write_file(path, b"new")),
    "save": (".keras", lambda path: model().save(path)),
    "save_weights": (".weights.h5", lambda path: model().save_weights(path)),
    "export": (".onnx", export),
    "checkpoint": (".keras", lambda path: train(keep=callbacks.ModelCheckpoint(path))),
    "csv": (".csv", lambda path: train(log=callbacks.CSVLogger(path))),
}


@needs_modes
@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("writer", WRITERS)
def test_what_is_not_a_file_is_never_replaced_and_no_work_is_done_for_it(
    tmp_path: Path, writer: Any, kind: Any
) -> None:
    ending, write = WRITERS[writer]
    path = tmp_path / f"target{ending}"
    SPECIAL[kind](path)
    before = path.lstat()
    with pytest.raises(PathError, match=f"Cannot write '.*': it is {kind}, not a file"):
        write(path)
    assert (path.lstat().st_ino, path.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("ending", sorted({"/", os.sep}))
def test_the_name_of_a_folder_is_no_file(tmp_path: Path, ending: str) -> None:
    (tmp_path / "file").write_bytes(b"old")
    for name in ("none", "file"):
        with pytest.raises(PathError, match=f"{name}.': that is the name of a folder"):
            write_file(f"{tmp_path}/{name}{ending}", b"new")
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


@needs_modes
def test_a_link_to_a_pipe_is_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    with pytest.raises(PathError, match="link': it is a named pipe"):
        write_file(tmp_path / "link", b"new")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@needs_modes
def test_a_link_stays_a_link_and_its_file_gets_the_content(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real/file")
    (tmp_path / "dangling").symlink_to("real/new")
    for name in ("link", "dangling"):
        write_file(tmp_path / name, b"new")
        assert (tmp_path / name).is_symlink()
    assert sorted(os.listdir(tmp_path / "real")) == ["file", "new"]
    assert {p.read_bytes() for p in (tmp_path / "real").iterdir()} == {b"new"}


@needs_modes
def test_a_file_keeps_its_mode_and_a_new_one_gets_what_the_umask_leaves(tmp_path: Path) -> None:
    path = tmp_path / "file"
    before = os.umask(0o027)
    try:
        write_file(path, b"old")
    finally:
        os.umask(before)
    assert mode(path) == 0o640
    path.chmod(0o664)
    write_file(path, b"new")
    assert (mode(path), path.read_bytes()) == (0o664, b"new")


@needs_modes
@pytest.mark.parametrize("writer", WRITERS)
def test_a_read_only_file_is_refused_for_an_administrator_too(tmp_path: Path, writer: Any) -> None:
    ending, write = WRITERS[writer]
    path = tmp_path / f"target{ending}"
    path.write_bytes(b"kept")
    path.chmod(0o444)
    with pytest.raises(PathError, match=r"the file is read-only \(mode 444\). Make it writable"):
        write(path)
    assert path.read_bytes() == b"kept"


@pytest.mark.parametrize("writer", [name for name in WRITERS if name != "checkpoint"])
def test_a_missing_folder_is_found_out_before_any_work(tmp_path: Path, writer: Any) -> None:
    ending, write = WRITERS[writer]
    with pytest.raises(MissingFolderError, match=r"there is no folder '.*absent'. Make it first"):
        write(tmp_path / "absent" / f"target{ending}")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder where nobody can make files")
@pytest.mark.parametrize("writer", WRITERS)
def test_a_folder_that_takes_no_files_is_found_out_before_any_work(writer: Any) -> None:
    ending, write = WRITERS[writer]
    with pytest.raises(PathError, match="folder '/proc/[0-9]+' takes no new files"):
        write(Path(f"/proc/self/target{ending}"))


def test_a_checkpoint_makes_its_folder_before_the_training(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PathError, match="Cannot make folder '.*file/runs': Not a directory"):
        train(keep=callbacks.ModelCheckpoint(tmp_path / "file" / "runs" / "{epoch}.keras"))


@pytest.mark.parametrize("name", ["a" * 300, "a\0b", ""])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PathError, match="Cannot write"):
        check_target(name)
    assert not os.listdir(tmp_path)


def test_a_name_as_long_as_the_system_allows_can_be_written(tmp_path: Path) -> None:
    for name in ("a" * 255, "\N{SNOWMAN}" * 85):
        write_file(tmp_path / name, b"new")
        write_file(tmp_path / name, b"newer")
    assert len(os.listdir(tmp_path)) == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device"), ValueError])
@pytest.mark.parametrize("there", [True, False])
def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(tmp_path: Path, error: Any, there: bool) -> None:
    path = tmp_path / "file"
    if there:
        path.write_bytes(b"old")

    def fail(file: Any) -> None:
        file.write(b"half")
        raise error

    with pytest.raises((PathError, KeyboardInterrupt, ValueError)), replace_file(path) as file:
        fail(file)
    assert os.listdir(tmp_path) == (["file"] if there else [])
    assert not there or path.read_bytes() == b"old"


def test_a_full_disk_is_named_with_the_file(tmp_path: Path) -> None:
    with (
        pytest.raises(PathError, match="Cannot write '.*file': No space left on device"),
        replace_file(tmp_path / "file"),
    ):
        raise OSError(28, "No space left on device")


def test_a_log_of_an_earlier_run_stays_until_there_is_an_epoch_to_write(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("an earlier run\n")
    with pytest.raises(PathError):
        model().fit(
            np.zeros((4, 2), "float32"),
            np.zeros(4),
            verbose=0,
            callbacks=[callbacks.CSVLogger(path), callbacks.ModelCheckpoint("/proc/self/{epoch}.keras")],
        )
    assert path.read_text() == "an earlier run\n"


# -- reading -----------------------------------------------------------------------------------------------------------


@needs_modes
@pytest.mark.parametrize("kind", ["a named pipe", "a socket", "a folder", "a link that leads back to itself"])
def test_only_files_are_read_and_a_pipe_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "source"
    SPECIAL[kind](path)
    with pytest.raises(PathError, match="Cannot read '.*source': (it is|Too many levels of symbolic links)"):
        open_file(path)


def test_a_link_to_an_endless_device_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/zero")
    with pytest.raises(PathError, match="it is a device, not a file"):
        open_file(tmp_path / "link")


def test_a_file_behind_a_link_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    with open_file(tmp_path / "link") as file:
        assert file.read() == b"content"
    with pytest.raises(FileNotFoundError):
        open_file(tmp_path / "absent")
