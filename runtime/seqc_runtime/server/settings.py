"""What `seqc-runtime serve` was asked for, checked before anything starts."""

from __future__ import annotations

import ipaddress
import math
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from seqc_runtime.errors import RuntimeArgumentError
from seqc_runtime.server.limits import Limits
from seqc_runtime.threads import check_threads, cpu_budget

MOST_WORKERS = 256


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a server needs to know; plain values, so that workers get it as JSON.

    paths: an .onnx file or a repository folder each. name: of the model, when the one path has one.
    host, port, uds: where to listen; port 0 takes a free one. grpc_port: None for no gRPC.
    workers: processes. threads: of one prediction; None shares the CPUs out among the workers.
    share_weights: workers have one copy of weights that lie beside a model, at the cost of slower batches.
    max_batch: rows that may run together. max_delay: seconds a request may wait for others. exact: answers equal, bit
    for bit, those of requests that ran alone. poll: seconds between looks at the repository, 0 for none.
    admin_port: a listener for loading, unloading and metrics, which are then there only.
    token_file: bearer tokens. tls_cert, tls_key: PEM files. tls_client_ca: who signs the certificates
    clients must show; tls_client_names: those of them that are let in, all when empty.
    insecure: listen on other machines' reach without tokens or client certificates.
    access_log: a file, "-" for standard output, None for none. drain: seconds from SIGTERM to the end.
    """

    paths: tuple[str, ...]
    name: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    uds: str | None = None
    grpc_port: int | None = None
    workers: int = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = None
    max_batch: int | None = None
    max_delay: float = 0.0
    exact: bool = False
    share_weights: bool = True
    poll: float = 0.0
    model_control: Literal["none", "explicit"] = "none"
    admin_host: str = "127.0.0.1"
    admin_port: int | None = None
    token_file: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_client_ca: str | None = None
    tls_client_names: tuple[str, ...] = ()
    insecure: bool = False
    untrusted: bool = False
    access_log: str | None = None
    tracing: bool = False
    cors_origins: tuple[str, ...] = ()
    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    drain: float = 30.0
    limits: Mapping[str, float] = field(default_factory=dict)

    def check(self) -> None:
        """Raise RuntimeArgumentError for what cannot be served, saying which option and what to do."""
        if not self.paths:
            raise RuntimeArgumentError("serve needs the path of an .onnx file or of a model repository")
        for path in self.paths:
            if not os.path.exists(path):
                raise RuntimeArgumentError(f"there is no file or folder {path!r}")
        if self.name is not None and len(self.paths) > 1:
            raise RuntimeArgumentError("--name names the model of one path; those of several have their own names")
        self._check_ports()
        if not 1 <= self.workers <= MOST_WORKERS:
            raise RuntimeArgumentError(f"--workers needs 1 to {MOST_WORKERS} or auto; got {self.workers}")
        self._check_times()
        if self.max_batch is not None and self.max_batch < 1:
            raise RuntimeArgumentError(f"--max-batch needs a positive number; got {self.max_batch}")
        check_threads(self.threads)
        for origin in self.cors_origins:
            _check_origin(origin)
        self._check_files()
        self.make_limits()
        self._check_exposure()

    def _check_ports(self) -> None:
        taken: dict[int, str] = {}
        for option, port in (("--port", self.port), ("--grpc-port", self.grpc_port), ("--admin-port", self.admin_port)):
            if port is not None and not 0 <= port <= 65535:
                raise RuntimeArgumentError(f"{option} needs 0 to 65535; got {port}")
            if port and not (option == "--port" and self.uds):
                if port in taken:
                    raise RuntimeArgumentError(f"{taken[port]} and {option} need different ports; got {port} for both")
                taken[port] = option

    def _check_times(self) -> None:
        times = {"--poll": self.poll, "--drain-timeout": self.drain}
        for option, seconds in times.items():
            if not 0 <= seconds <= _DAY:
                raise RuntimeArgumentError(f"{option} needs 0 to {_DAY} seconds; got {seconds:g}")
        if not 0 <= self.max_delay <= 86_400:
            raise RuntimeArgumentError(f"--max-delay needs 0 to 86400000 milliseconds; got {1000 * self.max_delay:g}")

    def _check_files(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise RuntimeArgumentError("--tls-cert and --tls-key need each other")
        if self.tls_client_names and self.tls_client_ca is None:
            raise RuntimeArgumentError("--tls-client-name needs --tls-client-ca, which says whose certificates count")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise RuntimeArgumentError("--tls-client-ca needs --tls-cert and --tls-key")
        for option, path in (
            ("--token-file", self.token_file),
            ("--tls-cert", self.tls_cert),
            ("--tls-key", self.tls_key),
            ("--tls-client-ca", self.tls_client_ca),
        ):
            if path is not None and not os.path.isfile(path):
                raise RuntimeArgumentError(f"{option}: there is no file {path!r}")

    def _check_exposure(self) -> None:
        guarded = self.token_file is not None or self.tls_client_ca is not None or bool(os.environ.get(TOKENS_VARIABLE))
        if self.insecure or guarded:
            return
        places = [] if self.uds else [("--host", self.host)]
        if self.admin_port is not None:
            places.append(("--admin-host", self.admin_host))
        for option, host in places:
            if not is_loopback(host):
                raise RuntimeArgumentError(
                    f"{option} {host} is reachable from other machines, and nothing says who may ask: give "
                    "--token-file or --tls-client-ca, or --insecure when something in front of this server decides"
                )

    def make_limits(self) -> Limits:
        """The limits, with those that were given."""
        known = {entry.name for entry in fields(Limits)}
        given: dict[str, Any] = {}
        for name, value in self.limits.items():
            if name not in known:
                raise RuntimeArgumentError(f"there is no limit {name!r}; there is {', '.join(sorted(known))}")
            if name == "drain":
                raise RuntimeArgumentError("--limit drain is --drain-timeout: give that")
            given[name] = _limit(name, value, type(getattr(Limits(), name)))
        return replace(Limits(), drain=self.drain, **given)

    def worker_threads(self) -> int | None:
        """CPU threads of one prediction in one worker."""
        if self.threads is not None or self.workers == 1:
            return self.threads
        return max(1, cpu_budget().cpus // self.workers)

    def to_json(self) -> dict[str, Any]:
        """As a worker is told."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
        return cls(**values)


TOKENS_VARIABLE = "SEQC_RUNTIME_TOKENS"


_DAY = 86_400
# What JSON, which workers are told the settings in, holds exactly.
_MOST = 1 << 53
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-zA-Z0-9._-]+")


def _limit(name: str, value: float, kind: type[int | float]) -> int | float:
    """A limit that was given. Raises RuntimeArgumentError for a number that it cannot be."""
    needed, most = ("whole number", _MOST) if kind is int else ("number", _DAY)
    if not value > 0 or (kind is int and math.isfinite(value) and value != int(value)):
        raise RuntimeArgumentError(f"--limit {name} needs a positive {needed}; got {value:.15g}")
    if value > most:
        raise RuntimeArgumentError(f"--limit {name} needs at most {most}; got {value:.15g}")
    return kind(value)


def _check_origin(origin: str) -> None:
    """Raise RuntimeArgumentError for an origin that no browser sends, so that no page would ever be let in by it."""
    if origin == "null":  # of a page from a file
        return
    try:
        parts = urlsplit(origin)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    # Browsers send other letters than those of ASCII as xn--..., and no pattern stands for many hosts.
    if not host or not parts.scheme or not (_HOST.fullmatch(host) or ":" in host):
        raise RuntimeArgumentError(f"--cors-origin needs an origin such as https://example.org; got {origin!r}")
    place = f"[{host}]" if ":" in host else host
    sent = f"{parts.scheme}://{place}" + ("" if port in (None, _PORTS.get(parts.scheme)) else f":{port}")
    if sent != origin:
        raise RuntimeArgumentError(f"--cors-origin needs an origin as browsers send it, here {sent}; got {origin!r}")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
