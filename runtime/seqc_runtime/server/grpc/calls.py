"""Between a gRPC call and the application: who calls, and how a refusal is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import grpc
import orjson

from seqc_runtime.server.messages import Client, Head, Refusal, Response

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    405: grpc.StatusCode.UNIMPLEMENTED,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    499: grpc.StatusCode.CANCELLED,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
# Details travel in a header, and clients take 8 KiB of headers.
_MOST_DETAILS = 2000


def head(context: Any, method: str, path: str, identify: Callable[[Any], str | None] | None) -> Head:
    """What an HTTP request for `path` by the same caller would begin with.

    identify: the name in a client's certificate, as `ssl` gives it. Raises Refusal (403).
    """
    headers: dict[str, str] = {}
    for name, value in context.invocation_metadata() or ():
        # Compression is gRPC's own business.
        if isinstance(value, str) and name not in ("accept-encoding", "content-encoding"):
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    certificate = identify(_certificate(context)) if identify is not None else None
    return Head(method, path, "", headers, Client(_address(context.peer()), certificate))


def _address(peer: str) -> str:
    """The address in "ipv4:127.0.0.1:40000" or "ipv6:%5B::1%5D:40000"."""
    kind, _, rest = unquote(peer).partition(":")
    return rest.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else ""


def _certificate(context: Any) -> dict[str, Any]:
    """The names in the client's certificate, in the form of `ssl`."""
    known = context.auth_context()
    names, subject = (
        [name.decode("utf-8", "replace") for name in known.get(key, ())]
        for key in ("x509_subject_alternative_name", "x509_common_name")
    )
    return {
        "subjectAltName": [("", name) for name in names],
        "subject": [[("commonName", name)] for name in subject],
    }


def code(status: int) -> Any:
    """The word of gRPC for an HTTP status."""
    return _CODES.get(status, grpc.StatusCode.INTERNAL)


def problem(response: Response) -> str:
    """The message in an answer that refuses."""
    return str(orjson.loads(response.content)["error"])


async def refuse(context: Any, response: Response) -> None:
    """End a call with the status and message of an answer that refuses."""
    kept = {name: value for name, value in response.headers if name in ("retry-after", "www-authenticate")}
    if "retry-after" in kept:
        # How gRPC's own retries are told to wait, in milliseconds.
        kept["grpc-retry-pushback-ms"] = str(1000 * int(kept["retry-after"]))
    await context.abort(code(response.status), problem(response)[:_MOST_DETAILS], tuple(kept.items()))


def parse(kind: Any, raw: bytes) -> Any:
    """A message of class `kind`. Raises Refusal (400) when the bytes are none."""
    try:
        return kind.FromString(raw)
    except Exception as error:  # which class it is depends on how protobuf is implemented
        raise Refusal(400, f"the request is no {kind.DESCRIPTOR.full_name} message: {error}") from error
