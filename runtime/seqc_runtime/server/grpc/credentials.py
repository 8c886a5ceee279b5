"""The gRPC server's certificates, read again when their files change."""

from __future__ import annotations

import logging
import os
from typing import Any

import grpc

from seqc_runtime.errors import RuntimeArgumentError

LOG = logging.getLogger("seqc_runtime.server")


def server_credentials(certificate: str, key: str, client_ca: str | None) -> Any:
    """Credentials for TLS.

    certificate, key: PEM files. client_ca: a PEM file of who signs the certificates that clients must show, or None.

    Raises RuntimeArgumentError for files that cannot be read.
    """
    paths = [path for path in (key, certificate, client_ca) if path is not None]
    seen = _times(paths)
    try:
        first = _read(paths)
    except OSError as error:
        raise RuntimeArgumentError(f"cannot read {error.filename!r}: {error.strerror}") from error

    # Asked at every handshake; None means as before.
    def changed() -> Any:
        nonlocal seen
        now = _times(paths)
        if now == seen:
            return None
        try:
            fresh = _read(paths)
        except OSError as error:
            LOG.error("certificates stay as they were: cannot read %r: %s", error.filename, error.strerror)
            return None
        seen = now
        return fresh

    return grpc.dynamic_ssl_server_credentials(first, changed, require_client_authentication=client_ca is not None)


def _times(paths: list[str]) -> list[tuple[int, int] | None]:
    times: list[tuple[int, int] | None] = []
    for path in paths:
        try:
            status = os.stat(path)
            times.append((status.st_mtime_ns, status.st_ino))
        except OSError:
            times.append(None)
    return times


def _read(paths: list[str]) -> Any:
    contents = []
    for path in paths:
        with open(path, "rb") as file:
            contents.append(file.read())
    return grpc.ssl_server_certificate_configuration([(contents[0], contents[1])], contents[2] if paths[2:] else None)
