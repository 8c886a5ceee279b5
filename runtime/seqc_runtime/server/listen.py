"""Listening sockets, made before anything else starts, so that a port that is taken is known at once."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import stat
import struct
import sys

from seqc_runtime.errors import RuntimeArgumentError

BACKLOG = 2048
# From the signal to when no more connections are accepted: by then clients that send all the time were told to go,
# with the answer to a request of theirs, and whoever asks for readiness knows.
LINGER = 0.3


def listen(host: str, port: int, option: str = "--port") -> socket.socket:
    """A listening TCP socket; port 0 takes a free one. Raises RuntimeArgumentError."""
    return _bound(host, port, option, socket.SO_REUSEADDR, BACKLOG)


def keep_port(host: str, port: int, option: str) -> socket.socket:
    """A socket that keeps a port for processes that will listen there by themselves. Raises RuntimeArgumentError."""
    return _bound(host, port, option, socket.SO_REUSEPORT, None)


def _bound(host: str, port: int, option: str, reuse: int, backlog: int | None) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise RuntimeArgumentError(f"the address {host!r} is not one of this machine: {error}") from error
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, reuse, 1)
        bound.bind(address)
        if backlog is not None:
            bound.listen(backlog)
    except OSError as error:
        bound.close()
        hint = f"{option} takes another port, 0 a free one"
        if error.errno == errno.EADDRNOTAVAIL:
            hint = f"{'--admin-host' if option == '--admin-port' else '--host'} needs an address of this machine"
        raise RuntimeArgumentError(f"cannot listen on {host} port {port}: {error.strerror}; {hint}") from error
    return bound


def listen_uds(path: str) -> socket.socket:
    """A listening Unix socket that its owner and group may use. A socket nobody listens on any more is replaced."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _is_stale(path):
            os.unlink(path)
        mask = os.umask(0o117)
        try:
            listener.bind(path)
        finally:
            os.umask(mask)
        listener.listen(BACKLOG)
    except (OSError, ValueError) as error:
        listener.close()
        raise RuntimeArgumentError(f"cannot listen on {path!r}: {getattr(error, 'strerror', None) or error}") from error
    return listener


def address(listener: socket.socket, scheme: str = "http") -> str:
    """What a client on this machine types."""
    if listener.family == socket.AF_UNIX:
        return f"unix:{listener.getsockname()}"
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


# A classic BPF program over a TCP header: load the flags; keep SYN and ACK; SYN alone is dropped, all else let through.
_NO_NEW_CONNECTIONS = struct.pack(
    "=" + "HBBI" * 5,
    *(0x30, 0, 0, 13),
    *(0x54, 0, 0, 0x12),
    *(0x15, 0, 1, 0x02),
    *(0x06, 0, 0, 0),
    *(0x06, 0, 0, 0xFFFFFFFF),
)
_SO_ATTACH_FILTER = 26


def refuse_new(listener: socket.socket) -> None:
    """Let nobody begin to connect, while those who have begun still can finish.

    Closing a listener resets connections that the system has accepted and this program has not, and between a last
    accept and the close there is always time for one more. With this before, there is none: whoever comes now tries
    again a second later, and finds the port closed.
    """
    if listener.family == socket.AF_UNIX:
        with contextlib.suppress(OSError):
            os.unlink(listener.getsockname())
    elif sys.platform == "linux":
        program = ctypes.create_string_buffer(_NO_NEW_CONNECTIONS)
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", 5, ctypes.addressof(program)))


def _is_stale(path: str) -> bool:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
    return False
