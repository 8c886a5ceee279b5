"""Download of one checked file from the first mirror that serves it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from seqc.errors import DataError
from seqc.utils.files import check_target, make_folder, write_file

TIMEOUT_SECONDS = 30.0


def download(urls: Iterable[str], file: Path, limit: int, check: Callable[[bytes], object]) -> None:
    """Write to `file` what the first good url of `urls` serves.

    Nothing is written under the name `file` before `check` accepted the whole content.

    Args:
        urls: where the same content can be had, in order of preference.
        file: where to put it; its folder is made.
        limit: the most bytes to accept.
        check: raises DataError for content that must not be used.

    Raises:
        DataError: no url served content that `check` accepts; the message lists what each one did. PathError: nothing
        can be written there, which is found out first.
    """
    make_folder(file.parent)
    check_target(file)
    refusals = []
    for url in urls:
        print(f"seqc: downloading {url}", file=sys.stderr)
        try:
            content = _get(url, limit)
            check(content)
        except DataError as error:
            refusals.append(f"{url}: {error}")
        else:
            write_file(file, content)
            return
    reasons = "".join(f"\n  {refusal}" for refusal in refusals)
    raise DataError(f"{file.name} could not be downloaded. Put it into {file.parent} by hand. Tried:{reasons}")


def _get(url: str, limit: int) -> bytes:
    from http.client import HTTPException
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=TIMEOUT_SECONDS) as response:
            content: bytes = response.read(limit + 1)
    except (OSError, HTTPException) as error:
        raise DataError(f"no answer ({error})") from error
    if len(content) > limit:
        raise DataError(f"more than {limit} bytes")
    return content
