from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from seqc.datasets import _fetch, _idx, digits, mnist
from seqc.errors import DataError, SeqcError

SHAPES = [(6, 28, 28), (600,), (4, 28, 28), (400,)]


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Four small archives under MNIST's names, and a loader that expects just these."""
    contents = [idx(np.random.default_rng(i).integers(0, 10, shape, np.uint8)) for i, shape in enumerate(SHAPES)]
    archives = tuple(
        replace(archive, size=len(content), sha256=hashlib.sha256(content).hexdigest())
        for archive, content in zip(mnist.ARCHIVES, contents, strict=True)
    )
    monkeypatch.setattr(mnist, "ARCHIVES", archives)
    return {archive.name: gzip.compress(content) for archive, content in zip(archives, contents, strict=True)}


@pytest.fixture
def folder(small: dict[str, bytes], tmp_path: Path) -> Path:
    for name, packed in small.items():
        (tmp_path / name).write_bytes(packed)
    return tmp_path


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Neither data nor cache from the machine: both places lie in the test's own folder."""
    monkeypatch.setenv("SEQC_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *args, **kwargs: tmp_path / "cache")
    return tmp_path / "home" / "mnist"


class Mirror(ThreadingHTTPServer):
    """An HTTP server on this machine whose answers a test sets by path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.stalled = threading.Event()
        self.stalled.set()

    def url(self, folder: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{folder}/"

    def handle_error(self, *args: object) -> None:
        """A client that gave up waiting is what some tests are about."""

    def serve(self, folder: str, files: dict[str, bytes]) -> str:
        self.files.update({f"/{folder}/{name}": content for name, content in files.items()})
        return self.url(folder)


class _Handler(BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.stalled.wait(10)
        content = self.server.files.get(self.path)
        self.send_response(404 if content is None else 200)
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Mirror() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.stalled.set()
        server.shutdown()
        thread.join()


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_digits_have_keras_shapes_and_byte_values() -> None:
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    assert [a.shape for a in (x_train, y_train, x_test, y_test)] == [(1437, 8, 8), (1437,), (360, 8, 8), (360,)]
    assert all(a.dtype == np.uint8 for a in (x_train, y_train, x_test, y_test))
    assert (x_train.min(), x_train.max(), x_test.min(), x_test.max()) == (0, 16, 0, 16)


def test_digits_hold_the_class_counts_of_the_uci_test_part() -> None:
    (_, y_train), (_, y_test) = digits.load_data()
    assert np.bincount(y_test).tolist() == [36] * 10
    assert (np.bincount(y_train) + 36).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_the_first_digit_is_the_zero_that_opens_the_uci_file() -> None:
    (x_train, y_train), _ = digits.load_data()
    assert y_train[:10].tolist() == list(range(10))
    assert x_train[0, :2].tolist() == [[0, 0, 5, 13, 9, 1, 0, 0], [0, 0, 13, 15, 10, 15, 5, 0]]


def test_digits_are_the_pixels_of_the_original_file() -> None:
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    rows = np.concatenate([np.c_[x_train.reshape(1437, 64), y_train], np.c_[x_test.reshape(360, 64), y_test]])
    digest = hashlib.sha256(rows[np.lexsort(rows.T)].tobytes()).hexdigest()
    assert digest == "922f8bcf7625699058bfcdca9f67ada239072ee6998c6c7618869bf9ed8adc35"


def test_no_digit_is_in_both_parts() -> None:
    (x_train, _), (x_test, _) = digits.load_data()
    assert not {x.tobytes() for x in x_train} & {x.tobytes() for x in x_test}


def test_digits_come_fresh_so_that_changing_them_in_place_spoils_nothing() -> None:
    (first, _), _ = digits.load_data()
    first[:] = 0
    (second, _), _ = digits.load_data()
    assert second.max() == 16


@pytest.mark.slow
def test_mnist_has_keras_shapes_and_the_known_class_counts(shared_dir: Path) -> None:
    (x_train, y_train), (x_test, y_test) = mnist.load_data(shared_dir / "data" / "mnist")
    assert (x_train.shape, x_test.shape) == ((60000, 28, 28), (10000, 28, 28))
    assert all(a.dtype == np.uint8 for a in (x_train, y_train, x_test, y_test))
    assert np.bincount(y_train).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert (y_train[:5].tolist(), x_train.max()) == ([5, 0, 4, 1, 9], 255)


def test_mnist_is_writable_and_in_the_order_of_the_files(folder: Path, small: dict[str, bytes]) -> None:
    (x_train, y_train), (x_test, y_test) = mnist.load_data(folder)
    for array, shape, packed in zip((x_train, y_train, x_test, y_test), SHAPES, small.values(), strict=True):
        assert (array.shape, array.flags.writeable) == (shape, True)
        assert array.tobytes() == gzip.decompress(packed)[4 + 4 * len(shape) :]


@pytest.mark.parametrize("level", [1, 9])
def test_how_hard_an_archive_was_packed_does_not_matter(folder: Path, small: dict[str, bytes], level: int) -> None:
    for name, packed in small.items():
        (folder / name).write_bytes(gzip.compress(gzip.decompress(packed), level))
    assert mnist.load_data(folder)[0][0].shape == SHAPES[0]


def flip_a_pixel(packed: bytes) -> bytes:
    content = bytearray(gzip.decompress(packed))
    content[-1] ^= 1
    return gzip.compress(bytes(content))


def append_a_byte(packed: bytes) -> bytes:
    return gzip.compress(gzip.decompress(packed) + b"\0")


def damage(packed: bytes) -> bytes:
    return packed[:20] + bytes((packed[20] ^ 0xFF,)) + packed[21:]


@pytest.mark.parametrize("name", [archive.name for archive in mnist.ARCHIVES])
def test_an_archive_with_other_content_is_refused_by_name(folder: Path, small: dict[str, bytes], name: str) -> None:
    (folder / name).write_bytes(flip_a_pixel(small[name]))
    with pytest.raises(DataError, match=rf"{name} cannot be used: .*SHA-256.*; got .*Delete it"):
        mnist.load_data(folder)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda packed: packed[:-20], "is not a whole gzip file"),
        (lambda packed: b"<html>not found</html>", "is not a whole gzip file"),
        (lambda packed: b"", "SHA-256"),
        (damage, "is not a whole gzip file|SHA-256"),
        (append_a_byte, "SHA-256"),
    ],
    ids=["cut short", "not gzip", "empty", "damaged", "too long"],
)
def test_a_spoilt_archive_is_refused(
    folder: Path, small: dict[str, bytes], spoil: Callable[[bytes], bytes], message: str
) -> None:
    name = mnist.TEST_LABELS.name
    (folder / name).write_bytes(spoil(small[name]))
    with pytest.raises(DataError, match=message):
        mnist.load_data(folder)


def test_a_file_that_unpacks_to_far_too_much_is_not_unpacked_whole() -> None:
    assert len(_idx.gunzip(gzip.compress(bytes(10_000_000)), "big", limit=1000)) == 1001


def test_a_corrupted_copy_of_the_real_labels_is_refused(
    shared_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mnist, "ARCHIVES", (mnist.TEST_LABELS,) * 4)
    copy = tmp_path / mnist.TEST_LABELS.name
    copy.write_bytes((shared_dir / "data" / "mnist" / copy.name).read_bytes())
    assert mnist.load_data(tmp_path)[1][1].shape == (10000,)
    copy.write_bytes(flip_a_pixel(copy.read_bytes()))
    with pytest.raises(DataError, match=mnist.TEST_LABELS.sha256):
        mnist.load_data(tmp_path)


def test_missing_files_are_named_and_nothing_is_downloaded_into_a_given_folder(folder: Path, mirror: Mirror) -> None:
    gone = [mnist.TRAIN_LABELS.name, mnist.TEST_IMAGES.name]
    for name in gone:
        (folder / name).unlink()
    with pytest.raises(DataError, match=f"{gone[0]}, {gone[1]} not found there. Put the files there, or leave out"):
        mnist.load_data(folder)
    assert mirror.asked == []


def test_a_data_error_is_a_value_error_too(tmp_path: Path) -> None:
    with pytest.raises(SeqcError) as caught:
        mnist.load_data(tmp_path / "absent")
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "first bytes 00 00 08"),
        (b"\0\0\x08", "first bytes 00 00 08"),
        (b"\0\0\x0d\x01" + bytes(8), "first bytes 00 00 08.*got '00 00 0d 01'"),
        (b"\0\0\x08\x03\0\0\0\x01", "ends inside its idx header, at byte 8 of 16"),
        (b"\0\0\x08\x01\0\0\0\x03ab", r"shape \(3,\) .* needs 11 bytes; got 10"),
        (b"\0\0\x08\x01\0\0\0\x03abcd", r"shape \(3,\) .* needs 11 bytes; got 12"),
        (b"\0\0\x08\x02" + b"\xff" * 8 + b"ab", "needs 18446744065119617037 bytes; got 14"),
    ],
    ids=["empty", "no rank", "floats", "cut in the header", "too short", "too long", "absurd sizes"],
)
def test_an_idx_file_whose_header_and_length_disagree_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=f"^labels .*{message}"):
        _idx.parse(content, "labels")


def test_an_idx_file_gives_the_array_its_header_states() -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    np.testing.assert_array_equal(_idx.parse(idx(array), "small"), array)


def test_the_data_home_is_used_before_the_cache(
    home: Path, small: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, mirror: Mirror
) -> None:
    monkeypatch.setattr(mnist, "MIRRORS", (mirror.serve("a", small),))
    cache = mnist._folders()[1]
    for place in (home, cache):
        place.mkdir(parents=True)
        for name, packed in small.items():
            (place / name).write_bytes(packed)
    (cache / mnist.TEST_LABELS.name).write_bytes(b"spoilt")
    assert mnist.load_data()[1][1].shape == SHAPES[3]
    assert mirror.asked == []


def test_the_cache_is_used_when_the_data_home_has_no_mnist(
    home: Path, small: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, mirror: Mirror
) -> None:
    monkeypatch.setattr(mnist, "MIRRORS", (mirror.serve("a", small),))
    cache = mnist._folders()[1]
    cache.mkdir(parents=True)
    for name, packed in small.items():
        (cache / name).write_bytes(packed)
    mnist.load_data()
    assert mirror.asked == []
    assert not home.exists()


def test_without_a_data_home_the_download_goes_to_the_cache(
    home: Path, small: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, mirror: Mirror
) -> None:
    monkeypatch.delenv("SEQC_DATA_HOME")
    monkeypatch.setattr(mnist, "MIRRORS", (mirror.serve("a", small),))
    mnist.load_data()
    assert files_below(home.parents[1] / "cache" / "datasets" / "mnist") == sorted(small)
    assert not home.exists()


def test_what_is_missing_is_downloaded_once(
    home: Path, small: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, mirror: Mirror
) -> None:
    monkeypatch.setattr(mnist, "MIRRORS", (mirror.serve("a", small),))
    home.mkdir(parents=True)
    present = mnist.TEST_LABELS.name
    (home / present).write_bytes(small[present])
    first = mnist.load_data()
    second = mnist.load_data()
    assert sorted(mirror.asked) == sorted(f"/a/{name}" for name in small if name != present)
    assert {name: (home / name).read_bytes() for name in files_below(home)} == small
    np.testing.assert_array_equal(first[0][0], second[0][0])


@pytest.mark.parametrize("spoil", [flip_a_pixel, lambda packed: packed[:-20]], ids=["other content", "cut short"])
def test_a_mirror_that_serves_something_else_is_passed_over(
    home: Path,
    small: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    mirror: Mirror,
    spoil: Callable[[bytes], bytes],
) -> None:
    bad = mirror.serve("bad", {name: spoil(packed) for name, packed in small.items()})
    monkeypatch.setattr(mnist, "MIRRORS", (bad, mirror.url("empty"), mirror.serve("good", small)))
    assert mnist.load_data()[0][1].shape == SHAPES[1]
    assert {name: (home / name).read_bytes() for name in files_below(home)} == small
    assert len(mirror.asked) == 3 * len(small)


def test_when_every_mirror_fails_the_error_says_what_each_did_and_no_file_is_left(
    home: Path, small: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, mirror: Mirror
) -> None:
    bad = mirror.serve("bad", {name: flip_a_pixel(packed) for name, packed in small.items()})
    monkeypatch.setattr(mnist, "MIRRORS", (bad, mirror.url("empty")))
    with pytest.raises(DataError) as caught:
        mnist.load_data()
    name = mnist.TRAIN_IMAGES.name
    headline, *tried = str(caught.value).splitlines()
    assert headline == f"{name} could not be downloaded. Put it into {home} by hand. Tried:"
    assert tried[0].startswith(f"  {bad}{name}: {name} needs to unpack to")
    assert tried[1] == f"  {mirror.url('empty')}{name}: no answer (HTTP Error 404: Not Found)"
    assert files_below(home.parent) == []


def test_a_mirror_that_is_silent_or_closed_is_passed_over(
    home: Path, small: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, mirror: Mirror
) -> None:
    mirror.stalled.clear()
    monkeypatch.setattr(_fetch, "TIMEOUT_SECONDS", 0.1)
    with Mirror() as closed:
        nobody = closed.url("a")
    monkeypatch.setattr(mnist, "MIRRORS", (nobody, mirror.url("silent")))
    with pytest.raises(DataError, match=r"no answer \(.*refused.*\)\n.*no answer \(.*timed out.*\)"):
        mnist.load_data()


def test_an_answer_without_end_is_cut_off(mirror: Mirror, tmp_path: Path) -> None:
    url = mirror.serve("a", {"file": bytes(2000)}) + "file"
    with pytest.raises(DataError, match=f"{url}: more than 1000 bytes"):
        _fetch.download([url], tmp_path / "file", limit=1000, check=len)


def test_a_download_that_dies_while_writing_leaves_nothing_behind(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = mirror.serve("a", {"file": b"content"}) + "file"
    seen = []

    def fail(partial: Path, final: Path) -> None:
        seen.append((partial.read_bytes(), final.exists()))
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        _fetch.download([url], tmp_path / "file", limit=1000, check=len)
    assert seen == [(b"content", False)]
    assert files_below(tmp_path) == []


@pytest.mark.slow
def test_importing_the_data_sets_reads_no_data_and_loads_no_network_code() -> None:
    code = (
        "import sys; opened = []; "
        "sys.addaudithook(lambda event, args: event == 'open' and opened.append(str(args[0]))); "
        "import seqc.datasets; "
        "print([name for name in opened if name.endswith(('.npz', '.gz'))], "
        "sorted({'urllib.request', 'http.client', 'platformdirs'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []"
