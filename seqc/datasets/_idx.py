"""The idx format of the MNIST files: two zero bytes, an element type, the rank, the sizes, then the elements.

Source of the format: http://yann.lecun.com/exdb/mnist/, section "FILE FORMATS FOR THE MNIST DATABASE".
"""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from seqc.errors import DataError

UNSIGNED_BYTE = 0x08


def gunzip(packed: bytes, name: str, limit: int) -> bytes:
    """The content of a gzip file, of which at most `limit` + 1 bytes are unpacked.

    Raises:
        DataError: `packed` is not gzip, or is cut short or damaged.
    """
    import gzip  # it takes long to load

    try:
        with gzip.open(BytesIO(packed)) as stream:
            return stream.read(limit + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{name} is not a whole gzip file ({error}).") from error


def parse(content: bytes, name: str) -> NDArray[np.uint8]:
    """The array in an idx file of unsigned bytes.

    Args:
        content: the whole file, unpacked.
        name: what error messages call the file.

    Returns:
        A writable uint8 array with the shape that the header states.

    Raises:
        DataError: the header is not that of an idx file of unsigned bytes, or states another size than the file has.
    """
    if len(content) < 4 or content[:3] != bytes((0, 0, UNSIGNED_BYTE)):
        raise DataError(
            f"{name} needs to be an idx file of unsigned bytes (first bytes 00 00 08); got {content[:4].hex(' ')!r}."
        )
    rank = content[3]
    start = 4 + 4 * rank
    if len(content) < start:
        raise DataError(f"{name} ends inside its idx header, at byte {len(content)} of {start}.")
    shape = struct.unpack(f">{rank}I", content[4:start])
    expected = start + int(np.prod(shape, dtype=object))
    if len(content) != expected:
        raise DataError(
            f"{name} states shape {shape} in its idx header and so needs {expected} bytes; got {len(content)}."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()
