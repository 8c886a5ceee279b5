"""TLS, certificates of clients, and certificates that change while the server runs."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from runtime_kit.server_process import ServerProcess, read_all, serving, split, until, write_gemm

from seqc_runtime.server.settings import Settings
from seqc_runtime.server.tls import Tls

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Authority:
    """Signs certificates."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder = folder
        self.cert, self.key = folder / f"{name}.pem", folder / f"{name}.key"
        usage = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign,cRLSign")
        self._make(self.cert, self.key, name, *usage)

    def issue(self, name: str, alternative: str) -> tuple[Path, Path]:
        """A certificate and its key."""
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        signer = ("-CA", self.cert, "-CAkey", self.key)
        self._make(cert, key, name, "-addext", f"subjectAltName={alternative}", *signer)
        return cert, key

    def _make(self, cert: Path, key: Path, name: str, *more: object) -> None:
        new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30")
        openssl("req", "-x509", *new, "-subj", f"/CN={name}", "-out", cert, "-keyout", key, *more)
        key.chmod(0o600)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


def ask(server: ServerProcess, authority: Authority, client: tuple[Path, Path] | None = None, **versions: Any) -> bytes:
    context = ssl.create_default_context(cafile=str(authority.cert))
    if client:
        context.load_cert_chain(*client)
    for name, value in versions.items():
        setattr(context, name, value)
    plain = socket.create_connection(("127.0.0.1", server.port), 60)
    with context.wrap_socket(plain, server_hostname="localhost") as connection:
        serial = _serial(connection)
        connection.sendall(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        return read_all(connection) + b"%06d" % serial


def _serial(connection: ssl.SSLSocket) -> int:
    certificate = connection.getpeercert()
    assert certificate
    return int(str(certificate["serialNumber"]), 16) % 1_000_000


@pytest.mark.slow
def test_a_certificate_that_changes_is_served_without_a_restart(tmp_path: Path, authority: Authority) -> None:
    cert, key = authority.issue("server", "DNS:localhost")
    with serving(write_gemm(tmp_path), "--tls-cert", cert, "--tls-key", key, "--workers", 2) as server:
        assert server.lines[0].count("https://") == 1
        first = ask(server, authority)
        assert split(first)[0] == 200
        assert ask(server, authority)[-6:] == first[-6:]
        authority.issue("server", "DNS:localhost")
        until(lambda: {ask(server, authority)[-6:] for _ in range(4)}.isdisjoint({first[-6:]}), "the new certificate")
        # A key that is not the certificate's changes nothing.
        good = ask(server, authority)
        key.write_bytes(authority.key.read_bytes())
        until(lambda: any("stay as they were" in line for line in server.complaints), "the complaint")
        assert ask(server, authority)[-6:] == good[-6:]
        with pytest.raises(ssl.SSLError), pytest.warns(DeprecationWarning, match="TLSv1_1"):
            ask(server, authority, maximum_version=ssl.TLSVersion.TLSv1_1)
        # Somebody who speaks no TLS gets no answer, and disturbs nobody.
        assert b"HTTP/1.1 200" not in server.send(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert server.stop() == 0


def test_certificates_that_cannot_be_used_any_more_are_told_once(
    tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    cert, key = authority.issue("server", "DNS:localhost")
    tls = Tls(Settings(paths=("m.onnx",), tls_cert=str(cert), tls_key=str(key)))
    content = cert.read_bytes()
    for change in (lambda: cert.write_bytes(b"garbage"), cert.unlink, lambda: cert.write_bytes(b"garbage, again")):
        change()
        for _ in range(5):
            tls.refresh()
    cert.write_bytes(content)
    tls.refresh()
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 3


def shake(tls: Tls, client: ssl.SSLContext, session: Any = None) -> tuple[Any, bool | None]:
    """A handshake in memory; the client's session, and whether it goes on with one. Raises ssl.SSLError."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [tls.context.wrap_bio(up, down, server_side=True), client.wrap_bio(down, up, session=session)]
    for _ in range(4):
        for end in reversed(ends):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    ends[0].write(b"hello")
    assert ends[1].read(5) == b"hello"
    found = ends[1].session, ends[0].session_reused
    for end in (*ends, *ends):  # OpenSSL forgets a session that did not end well
        with contextlib.suppress(ssl.SSLWantReadError):
            end.unwrap()
    return found


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_from_before_lets_in_nobody_whose_authority_is_gone(tmp_path: Path, version: ssl.TLSVersion) -> None:
    first, second = Authority(tmp_path, "first"), Authority(tmp_path, "second")
    cert, key = first.issue("server", "DNS:localhost")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(first.cert.read_bytes())
    tls = Tls(Settings(paths=("m.onnx",), tls_cert=str(cert), tls_key=str(key), tls_client_ca=str(trusted)))
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.minimum_version = client.maximum_version = version
    client.load_cert_chain(*first.issue("alice", "DNS:alice"))
    session, _ = shake(tls, client)
    # Nothing changed, and only TLS 1.2 goes on with sessions.
    assert shake(tls, client, session)[1] is (version == ssl.TLSVersion.TLSv1_2)
    trusted.write_bytes(first.cert.read_bytes() + second.cert.read_bytes())
    tls.refresh()
    with contextlib.suppress(ssl.SSLError):
        shake(tls, client, session)
    fresh, again = shake(tls, client, session)  # who is still let in is so with the next handshake
    assert not again
    trusted.write_bytes(second.cert.read_bytes())
    tls.refresh()
    for one in (session, fresh, fresh, None):
        with pytest.raises(ssl.SSLError):
            shake(tls, client, one)


@pytest.mark.slow
def test_clients_need_a_certificate_that_is_signed_and_has_a_name_that_is_let_in(
    tmp_path: Path, authority: Authority
) -> None:
    cert, key = authority.issue("server2", "DNS:localhost")
    known = authority.issue("known", "DNS:known.example,URI:spiffe://example/known")
    unknown = authority.issue("unknown", "DNS:unknown.example")
    stranger = Authority(tmp_path, "elsewhere").issue("known", "DNS:known.example")
    tls = ("--tls-cert", cert, "--tls-key", key, "--tls-client-ca", authority.cert)
    log = tmp_path / "log"
    with serving(
        write_gemm(tmp_path),
        *tls,
        "--tls-client-name",
        "spiffe://example/known",
        "--host",
        "0.0.0.0",
        "--access-log",
        log,
    ) as server:
        assert split(ask(server, authority, known))[0] == 200
        answer = ask(server, authority, unknown)
        assert b"HTTP/1.1 403" in answer
        assert b"unknown.example" in answer
        for client in (None, stranger):
            with pytest.raises((ssl.SSLError, ConnectionError, AssertionError, IndexError)):
                assert split(ask(server, authority, client))[0] == 200
        assert server.stop() == 0
    assert '"client":"spiffe://example/known"' in log.read_text()
