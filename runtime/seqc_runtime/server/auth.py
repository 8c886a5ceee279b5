"""Who may ask for what: bearer tokens with scopes and rates, certificates, and pages that browsers opened elsewhere."""

from __future__ import annotations

import hashlib
import hmac
import logging
import math
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import urlsplit

from seqc_runtime.errors import RuntimeArgumentError
from seqc_runtime.server.messages import Head, Refusal, Response
from seqc_runtime.server.routes import Route, Scope
from seqc_runtime.server.settings import TOKENS_VARIABLE, Settings, is_loopback

LOG = logging.getLogger("seqc_runtime.server")

SCOPES: tuple[Scope, ...] = ("health", "metadata", "infer", "admin", "metrics")
# What a token may do when its line does not say.
USUAL: frozenset[Scope] = frozenset(("health", "metadata", "infer"))
ADMINISTRATION: frozenset[Scope] = frozenset(("admin", "metrics"))
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{16,512}=*")
# Seconds between looks at the file.
LOOK = 1.0
PREFLIGHT_SECONDS = "600"
# Names of this server that are remembered, and characters of one with its port that are looked at.
_HOSTS, _LONGEST_HOST = 64, 300
# A name, or an address of IPv6 in brackets, and nothing behind it but a port. A dot at the end says that it is whole.
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\[\]:]+?)\.?)(?::[0-9]{0,5})?")


@dataclass
class Grant:
    """What the holder of a token may do. rate: requests a second, None for any number; burst: at once."""

    digest: bytes
    name: str
    scopes: frozenset[Scope] = USUAL
    rate: float | None = None
    burst: float = 0.0
    left: float = field(default=0.0, compare=False)
    seen: float = field(default=0.0, compare=False)

    def take(self, now: float) -> float:
        """Count a request; seconds to wait if there were too many, else 0."""
        if self.rate is None:
            return 0.0
        self.left = min(self.burst, self.left + (now - self.seen) * self.rate)
        self.seen = now
        if self.left >= 1.0:
            self.left -= 1.0
            return 0.0
        return (1.0 - self.left) / self.rate


def parse_tokens(text: str, origin: str, share: float = 1.0) -> dict[bytes, Grant]:
    """The grants of lines "TOKEN [scope,scope] [name=NAME] [rate=N/s] [burst=N]", by digest of the token.

    origin: what errors call the text. share: of each rate, for one of several processes.
    Raises RuntimeArgumentError, which never shows a token.
    """
    grants: dict[bytes, Grant] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        where = f"{origin}, line {number}"
        if not _TOKEN.fullmatch(words[0]):
            raise RuntimeArgumentError(f"{where}: a token needs 16 to 512 characters of A-Z a-z 0-9 . _ ~ + / -")
        digest = _digest(words[0])
        if digest in grants:
            raise RuntimeArgumentError(f"{where}: the same token came before")
        grants[digest] = _grant(digest, words[1:], where, share)
    return grants


def _grant(digest: bytes, words: list[str], where: str, share: float) -> Grant:
    grant = Grant(digest, where)
    burst = None
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            scopes = word.split(",")
            unknown = [scope for scope in scopes if scope not in SCOPES]
            if unknown:
                raise RuntimeArgumentError(f"{where}: there is no scope {unknown[0]!r}; there is {', '.join(SCOPES)}")
            grant.scopes = frozenset(scope for scope in SCOPES if scope in scopes)
        elif key == "name" and value:
            grant.name = value
        elif key == "rate":
            grant.rate = _number(value.removesuffix("/s"), where, "rate") * share
        elif key == "burst":
            burst = _number(value, where, "burst") * share
        else:
            raise RuntimeArgumentError(f"{where}: {key!r} is none of name=, rate=, burst=")
    if grant.rate is not None:
        grant.burst = grant.left = max(1.0, burst if burst is not None else grant.rate)
        grant.seen = time.monotonic()
    return grant


def _number(text: str, where: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise RuntimeArgumentError(f"{where}: {what} needs a positive number; got {text!r}")
    return value


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("latin-1", "replace")).digest()


class Tokens:
    """The tokens of a file, reread when it changes, and of the environment.

    Raises RuntimeArgumentError when they cannot be read; later, such a file leaves the tokens as they were.
    """

    def __init__(self, path: str | None, variable: str = "", share: float = 1.0) -> None:
        self._path = path
        self._share = share
        self._fixed = parse_tokens(variable.replace(";", "\n"), TOKENS_VARIABLE, share)
        self._stamp: tuple[int, ...] | None = None
        self._grants = dict(self._fixed)
        self._looked = time.monotonic()
        self._said = ""
        self._read()
        if not self._grants:
            raise RuntimeArgumentError(f"{path or TOKENS_VARIABLE} holds no token")

    def find(self, token: str) -> Grant | None:
        """What a token grants. The time this takes says nothing of the tokens: digests are compared, not tokens."""
        now = time.monotonic()
        if now - self._looked > LOOK:
            self._looked = now
            self._read_again()
        digest = _digest(token)
        grant = self._grants.get(digest)
        return grant if grant is not None and hmac.compare_digest(grant.digest, digest) else None

    def _read_again(self) -> None:
        before, problem = self._grants, ""
        try:
            self._read()
        except RuntimeArgumentError as error:
            problem = f"the tokens stay as they were: {error}"
            if problem != self._said:
                LOG.error("%s", problem)
        self._said = problem
        if before and not self._grants:
            LOG.warning("%s holds no token any more: nobody is let in", self._path)

    def _read(self) -> None:
        if self._path is None:
            return
        try:
            status = os.stat(self._path)
            stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            with open(self._path, encoding="utf-8") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError) as error:
            raise RuntimeArgumentError(f"{self._path} cannot be read: {error}") from error
        fresh = parse_tokens(text, self._path, self._share)
        for digest, grant in fresh.items():
            old = self._grants.get(digest)
            if old == grant:  # rereading a file gives nobody another burst
                fresh[digest] = old
        self._grants = {**fresh, **self._fixed}


def warn_of_readers(path: str) -> None:
    """Say so when others than its owner may read a file of secrets."""
    status = os.stat(path)
    if stat.S_IMODE(status.st_mode) & 0o077:
        user = os.geteuid() if hasattr(os, "geteuid") else status.st_uid
        # In a container the file is often somebody else's, whose permissions alone would keep us out.
        first = "" if status.st_uid == user else f"chown {user} and "
        LOG.warning("other users of this machine may read %s: %schmod 600 keeps them out", path, first)


class Admission:
    """Decides on requests before anything is done for them; called by the application with each one's head and route.

    tokens: None lets everybody in. hidden: scopes that this listener does not have, and why. hosts: names by which a
    browser may call this server, None for any; origins: pages from elsewhere that may call it.
    """

    def __init__(
        self,
        tokens: Tokens | None = None,
        hidden: Mapping[Scope, str] | None = None,
        hosts: Callable[[str], bool] | None = None,
        origins: Iterable[str] = (),
    ) -> None:
        self.tokens = tokens
        self.hidden = hidden or {}
        self.hosts = hosts
        self.origins = frozenset(origins)

    def __call__(self, head: Head, route: Route) -> Response | None:
        """None to go on. Raises Refusal: 401, 403, 404 (for what is on another listener), 429."""
        if route.scope in self.hidden:
            raise Refusal(404, f"there is nothing at {head.path[:200]!r} here: {self.hidden[route.scope]}")
        if self.hosts is not None or self.origins:
            answer = self._check_browser(head)
            if answer is not None:
                return answer
        if self.tokens is not None and route.scope != "health":
            self._check_token(self.tokens, head, route.scope)
        return None

    def again(self, head: Head, route: Route) -> None:
        """The same for another request with a head that was let in: only what a token grants may have changed."""
        if self.tokens is not None and route.scope != "health":
            self._check_token(self.tokens, head, route.scope)

    def _check_browser(self, head: Head) -> Response | None:
        host = head.headers.get("host", "").lower()
        if self.hosts is not None and host and not self.hosts(_hostname(host[:_LONGEST_HOST])):
            # A page whose name was made to mean this machine: its browser takes this server for the page's own.
            raise Refusal(
                403, f"this server is not called {host[:100]!r}; it answers to localhost (--insecure: to any name)"
            )
        origin = head.headers.get("origin")
        if origin is None:
            return None
        if origin in self.origins:
            asked = head.headers.get("access-control-request-method")
            return _preflight(origin) if head.method == "OPTIONS" and asked else None
        if self.hosts is not None and _place(origin) != host:
            raise Refusal(403, f"pages of {origin[:100]!r} may not call this server; --cors-origin lets them")
        return None

    def allowed_origin(self, head: Head) -> str | None:
        """The origin that an answer must name so that a browser shows it to its page."""
        origin = head.headers.get("origin") if self.origins else None
        return origin if origin in self.origins else None

    def _check_token(self, tokens: Tokens, head: Head, scope: Scope) -> None:
        kind, _, token = head.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise Refusal(401, "this needs a token: Authorization: Bearer TOKEN", {"www-authenticate": "Bearer"})
        grant = tokens.find(token.strip())
        if grant is None:
            challenge = {"www-authenticate": 'Bearer error="invalid_token"'}
            raise Refusal(401, "the token is not one of this server's", challenge)
        if scope not in grant.scopes:
            challenge = {"www-authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'}
            raise Refusal(403, f"the token does not have the scope {scope!r}", challenge)
        wait = grant.take(time.monotonic())
        if wait:
            raise Refusal(
                429, f"{grant.rate:g} requests a second are allowed here", {"retry-after": str(math.ceil(wait))}
            )


# Headers that a page of another origin may send.
_ALLOWED = (
    "authorization, content-encoding, content-type, inference-header-content-length, traceparent, tracestate, "
    "x-request-id"
)


def _preflight(origin: str) -> Response:
    return Response(
        204,
        [
            ("access-control-allow-origin", origin),
            ("access-control-allow-methods", "GET, POST, OPTIONS"),
            ("access-control-allow-headers", _ALLOWED),
            ("access-control-max-age", PREFLIGHT_SECONDS),
            ("vary", "origin"),
        ],
    )


def _hostname(host: str) -> str:
    """The name or address in a header `Host`; empty, which is nobody's, for what is none."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]) if found else ""


def _place(origin: str) -> str | None:
    """Host and port of an origin; None for what is no origin."""
    try:
        return urlsplit(origin.lower()).netloc
    except ValueError:
        return None


def make_admission(settings: Settings, admin: bool = False) -> Admission:
    """The rules of a listener. Raises RuntimeArgumentError when the tokens cannot be read."""
    variable = os.environ.get(TOKENS_VARIABLE, "")
    tokens = None
    if settings.token_file is not None or variable:
        tokens = Tokens(settings.token_file, variable, 1.0 / settings.workers)
    hidden: dict[Scope, str] = {}
    if settings.admin_port is not None and not admin:
        hidden = dict.fromkeys(ADMINISTRATION, "it is on the port for administrators")
    if settings.model_control == "none":
        hidden["admin"] = "clients load and unload models only with --model-control explicit"
    return Admission(tokens, hidden, origins=settings.cors_origins)


def guard(admission: Admission, settings: Settings, admin: bool = False) -> None:
    """Let a listener of this server's own answer to its own names only, where a page could do what its user can.

    That is without tokens, to browsers on this machine. Under another server, the names are that one's.
    """
    host = settings.admin_host if admin else settings.host
    if not is_loopback(host) or admission.tokens is not None or settings.insecure or (settings.uds and not admin):
        return

    @lru_cache(_HOSTS)
    def own(name: str) -> bool:
        return is_loopback(name) or name == host.lower()

    admission.hosts = own
