"""Bodies in gzip and deflate, both ways."""

from __future__ import annotations

import zlib

from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import Buffer, Refusal, Response

_GZIP, _ZLIB, _RAW = 31, 15, -15
_ENCODINGS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}
# Numbers in text shrink to less than half at the fastest level, and hardly further at any other.
_LEVEL = 1
_STEP = 64 << 10
_MOST_STREAMS = 4096


def decompress(body: Buffer, encoding: str, limits: Limits) -> Buffer:
    """The body as it was before its content-encoding.

    encoding: the header's value. limits: of the result, which a few bytes can make large.

    Raises Refusal: 415 for other encodings or several, 400 for damaged data, 413.
    """
    name = encoding.strip().lower()
    if name in ("", "identity") or not len(body):
        return body
    if name not in _ENCODINGS:
        raise Refusal(
            415,
            f"content-encoding needs one of gzip, deflate, identity; got {encoding[:100]!r}",
            {"accept-encoding": "gzip, deflate"},
        )
    view = memoryview(body)
    try:
        if name != "deflate":
            return _inflate(view, _GZIP, limits)
        try:
            return _inflate(view, _ZLIB, limits)
        except zlib.error:
            return _inflate(view, _RAW, limits)  # what the standard calls deflate has a frame; many send it without
    except zlib.error as error:
        raise Refusal(400, f"the body is not {name}, as content-encoding says: {error}") from error


def _inflate(body: memoryview, kind: int, limits: Limits) -> bytes:
    """The content of a stream; of gzip's also several, one behind the other."""
    pieces: list[bytes] = []
    room = limits.body + 1
    streams = position = 0
    while position < len(body):
        streams += 1
        if streams > (_MOST_STREAMS if kind == _GZIP else 1):
            raise zlib.error(f"{len(body) - position} bytes follow behind its end")
        stream = zlib.decompressobj(kind)
        while not stream.eof:
            if position == len(body):
                raise zlib.error("it ends early")
            # In steps, because what follows behind the end of a stream is copied.
            step = body[position : position + _STEP]
            piece = stream.decompress(step, room)
            room -= len(piece)
            if not room:
                raise Refusal(413, f"the decompressed body is larger than {limits.body} bytes")
            pieces.append(piece)
            position += len(step) - len(stream.unused_data)
    return b"".join(pieces)


def compress(response: Response, accepted: str | None, limits: Limits) -> Response:
    """The answer, compressed if the client asks for it and it is large enough for that to pay.

    accepted: the value of accept-encoding.
    """
    size = 0
    for piece in response.body:
        size += len(piece)
    if size < limits.compress_from:
        return response
    vary = [*response.headers, ("vary", "accept-encoding")]
    encoding = choose(accepted) if accepted else None
    if encoding is not None:
        stream = zlib.compressobj(_LEVEL, wbits=_ENCODINGS[encoding])
        pieces = [stream.compress(piece) for piece in response.body]
        pieces.append(stream.flush())
        if sum(map(len, pieces)) < size:
            return Response(response.status, [*vary, ("content-encoding", encoding)], tuple(pieces))
    return Response(response.status, vary, response.body)


def choose(accepted: str) -> str | None:
    """The encoding that a client likes best, gzip among equals; None for none.

    accepted: such as "gzip;q=0.5, deflate, *;q=0".
    """
    weights: dict[str, float] = {}
    for part in accepted.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                try:
                    weight = float(value)
                except ValueError:
                    weight = 0.0
        weights[name] = weight
    rest = weights.get("*", 0.0)
    identity = weights.get("identity", 0.0)
    best = max(("gzip", "deflate"), key=lambda name: weights.get(name, rest))
    weight = weights.get(best, rest)
    return best if weight > 0 and weight >= identity else None
