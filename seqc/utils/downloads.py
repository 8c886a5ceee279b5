"""Files from elsewhere, kept in a folder, checked, and unpacked where that is safe."""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
import urllib.parse
import zipfile
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from seqc.errors import ConfigError, DataError
from seqc.utils.display import note
from seqc.utils.files import check_target, make_folder, replace_file
from seqc.utils.progbar import Progbar

_TIMEOUT_SECONDS = 30.0
_BLOCK = 1 << 20


def get_file(
    fname: str | os.PathLike[str] | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str | Sequence[str] | None = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
) -> str:
    """Returns the path of a file that is downloaded if it is not there yet, or of the folder that it was unpacked into.

    Args:
        fname: its name in the cache; by default that at the origin. origin: its URL.
        untar: as `extract`, of tar files only. md5_hash: its MD5. file_hash: its SHA-256 or MD5.
        cache_subdir: the folder in the cache, or a whole path.
        hash_algorithm: "sha256", "md5", or "auto" by the length.
        extract: whether it is an archive to unpack. archive_format: "tar", "zip", "auto" for both, or a list of them.
        cache_dir: the cache; by default the folder in `KERAS_HOME`, or `.keras` in the user's.
        force_download: whether it is downloaded even if it is there.

    Raises:
        ConfigError: there is no origin, or a name is no name. DataError: it cannot be downloaded, is not what its hash
        says, or an archive has entries that lead out of its folder. PathError: it cannot be written.
    """
    if origin is None:
        raise ConfigError('Please specify the "origin" argument (URL of the file to download).')
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    name = os.fspath(fname) if fname else os.path.basename(urllib.parse.urlsplit(origin).path)
    if not name:
        raise ConfigError(
            f"Can't parse the file name from the origin provided: '{origin}'. Please specify the `fname` argument."
        )
    if fname and os.sep in name:
        raise ConfigError(
            "Paths are no longer accepted as the `fname` argument. To specify the file's parent directory, use the "
            f"`cache_dir` argument. Received: fname={name}"
        )
    folder = make_folder(_cache(cache_dir) / cache_subdir)
    unpacked = untar or extract
    target, inside = folder / name, folder / name
    if unpacked:
        whole = bool(fname) and "." in name
        target = folder / name if whole else folder / f"{name}_archive"
        inside = folder / f"{name[: name.find('.')]}_extracted" if whole else folder / name
    if force_download or not _is_there(target, file_hash, hash_algorithm):
        _download(origin, target, file_hash, hash_algorithm)
    if not unpacked:
        return str(target)
    unpack(target, inside, "tar" if untar else archive_format)
    return str(inside)


def _cache(given: str | os.PathLike[str] | None) -> Path:
    home = os.environ.get("KERAS_HOME") or os.path.join("~", ".keras")
    folder = Path(os.path.expanduser(home if given is None else given))
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    # Where nothing can be kept, a program that needs a file should still run.
    return folder if os.access(there, os.W_OK) else Path(tempfile.gettempdir()) / ".keras"


def _is_there(file: Path, wanted: str | None, algorithm: str) -> bool:
    if not file.exists():
        return False
    if wanted is None or hash_of(file, _algorithm(wanted, algorithm)) == wanted.lower():
        return True
    note(
        "A local file was found, but it seems to be incomplete or outdated because its hash does not match the "
        f"original value of {wanted}, so the data are downloaded again."
    )
    return False


def _algorithm(wanted: str, algorithm: str) -> str:
    if algorithm not in ("auto", "sha256", "md5"):
        raise ConfigError(f"hash_algorithm is 'auto', 'sha256' or 'md5'. Received: hash_algorithm={algorithm!r}")
    if algorithm == "auto":
        algorithm = "sha256" if len(wanted) == 64 else "md5"
    return algorithm


def hash_of(file: Path, algorithm: str) -> str:
    """Returns the hash of a file's content, in small letters."""
    made = hashlib.sha256() if algorithm == "sha256" else hashlib.md5(usedforsecurity=False)
    with open(file, "rb") as content:
        while block := content.read(_BLOCK):
            made.update(block)
    return made.hexdigest()


def _download(origin: str, target: Path, wanted: str | None, algorithm: str) -> None:
    """Downloads a file beside its place, and puts it there when it is whole and what it should be."""
    check_target(target)
    algorithm = "sha256" if wanted is None else _algorithm(wanted, algorithm)
    made = hashlib.sha256() if algorithm == "sha256" else hashlib.md5(usedforsecurity=False)
    note(f"Downloading data from {origin}")
    with replace_file(target) as file:
        try:
            with urlopen(origin, timeout=_TIMEOUT_SECONDS) as response:
                length = response.headers.get("Content-Length")
                bar, done = Progbar(int(length) if length else None), 0
                while block := response.read(_BLOCK):
                    file.write(block)
                    made.update(block)
                    done += len(block)
                    bar.update(done)
                if length and done != int(length):
                    raise DataError(f"{origin} ended after {done} of {length} bytes. Try again.")
        except (OSError, HTTPException, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"URL fetch failure on {origin}: {error}. Without a network, put the file at '{target}' by hand."
            ) from error
        if wanted is not None and made.hexdigest() != wanted.lower():
            raise DataError(
                f"Incomplete or corrupted file detected. The {algorithm} file hash of {origin} is {made.hexdigest()}, "
                f"which does not match the provided value of {wanted}. Nothing was kept."
            )


def unpack(archive: Path, folder: Path, kinds: Any = "auto") -> None:
    """Unpacks a tar or zip file into a folder.

    Args:
        archive: the file. folder: made where it is not there. kinds: "tar", "zip", "auto" for both, or a list.

    Raises:
        DataError: it is no such archive, is damaged, or has an entry that would be written elsewhere: nothing is
        unpacked then. ConfigError: there is no such kind.
    """
    wanted = {"auto": ["tar", "zip"], None: []}.get(kinds, [kinds]) if isinstance(kinds, str | None) else list(kinds)
    unknown = sorted(set(wanted) - {"tar", "zip"})
    if unknown:
        raise ConfigError(f"archive_format is 'auto', 'tar', 'zip' or a list of them. Received: {unknown}")
    try:
        if "tar" in wanted and tarfile.is_tarfile(archive):
            with tarfile.open(archive) as tar:
                for member in tar.getmembers():
                    tarfile.data_filter(member, str(folder))
                tar.extractall(make_folder(folder), filter="data")
        elif "zip" in wanted and zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                for name in zipped.namelist():
                    _refuse_outside(name, folder)
                zipped.extractall(make_folder(folder))
        else:
            raise DataError(f"'{archive}' is no archive of the kinds {wanted}: it was not unpacked.")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"Archive '{archive}' was not unpacked: {error}.") from error


def _refuse_outside(name: str, folder: Path) -> None:
    inside = os.path.realpath(folder)
    if os.path.commonpath([os.path.realpath(os.path.join(inside, name)), inside]) != inside:
        raise DataError(f"The archive has an entry '{name}' that leads out of its folder. Nothing was unpacked.")
