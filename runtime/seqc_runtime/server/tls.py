"""TLS whose certificates are reread when their files change, without a restart and without a lost connection."""

from __future__ import annotations

import logging
import os
import ssl
import time
from typing import Any

from seqc_runtime.errors import RuntimeArgumentError
from seqc_runtime.server.messages import Refusal
from seqc_runtime.server.settings import Settings

LOG = logging.getLogger("seqc_runtime.server")


class Tls:
    """The certificates of a server. Raises RuntimeArgumentError when they cannot be used."""

    def __init__(self, settings: Settings) -> None:
        self._cert = settings.tls_cert or ""
        self._key = settings.tls_key or ""
        self._client_ca = settings.tls_client_ca
        self._names = frozenset(settings.tls_client_names)
        self._said = ""
        self._stamps = self._look()
        self._current = self._make()
        self._changed = 0.0
        # Listeners keep this one; what a handshake uses is decided when it begins.
        self.context = self._make()
        self.context.sni_callback = self._choose

    def refresh(self) -> None:
        """Take over files that changed; what cannot be used leaves the certificates as they were."""
        try:
            stamps = self._look()
            if stamps != self._stamps:
                self._current = self._make()
                self._stamps = stamps
                self._changed = time.time()
            self._said = ""
        except (OSError, RuntimeArgumentError) as error:
            if str(error) != self._said:
                self._said = str(error)
                LOG.error("the certificates stay as they were: %s", error)

    def identify(self, certificate: Any) -> str | None:
        """The name of the client that showed a certificate, None without one. Raises Refusal (403)."""
        if self._client_ca is None:
            return None
        names = names_of(certificate or {})
        if not self._names:
            return names[0] if names else None
        for name in names:
            if name in self._names:
                return name
        raise Refusal(403, f"the certificate of {', '.join(names[:3]) or 'nobody'} is not one that is let in")

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> int | None:
        connection.context = self._current
        session = connection.session if self._client_ca is not None and connection.session_reused else None
        # A client that goes on with a session shows no certificate; one of then may not be let in now. OpenSSL forgets
        # the session with this, and the client's next handshake is a whole one.
        return ssl.ALERT_DESCRIPTION_CERTIFICATE_UNKNOWN if session and session.time <= self._changed else None

    def _make(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._cert, self._key, password=_no_password)
            if self._client_ca is not None:
                # Those of TLS 1.3 are renewed each time they are used, and would never end.
                context.options |= ssl.OP_NO_TICKET
                context.num_tickets = 0
                context.load_verify_locations(self._client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ValueError) as error:
            files = ", ".join(path for path in (self._cert, self._key, self._client_ca) if path)
            raise RuntimeArgumentError(f"the certificates cannot be used ({files}): {error}") from error
        return context

    def _look(self) -> list[tuple[int, ...]]:
        files = [path for path in (self._cert, self._key, self._client_ca) if path is not None]
        return [(s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns) for s in map(os.stat, files)]


def _no_password() -> str:
    raise ValueError("the key has a password, and nobody is there to type it")


def names_of(certificate: dict[str, Any]) -> list[str]:
    """The alternative names of a certificate (DNS, URI, e-mail, address), then its common name."""
    names = [value for _, value in certificate.get("subjectAltName", ())]
    subject = [pair for part in certificate.get("subject", ()) for pair in part]
    return [*names, *(value for key, value in subject if key == "commonName")]
