"""`seqc-runtime serve`: models over the Open Inference Protocol."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from seqc_runtime.errors import RuntimeArgumentError

EPILOG = "Example: seqc-runtime serve digits.onnx, then open http://127.0.0.1:8000 in a browser."


class DeviceName(StrEnum):
    """Where models run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class ModelControl(StrEnum):
    """Who loads and unloads models."""

    none = "none"
    explicit = "explicit"


class LogLevel(StrEnum):
    """What the server says on standard error."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


def serve(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="An .onnx file or a model repository, or several.")
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    uds: Annotated[str | None, typer.Option(help="Listen on this Unix socket, not on a port.")] = None,
    grpc_port: Annotated[int | None, typer.Option(help="Serve gRPC, too, on this port.")] = None,
    workers: Annotated[str, typer.Option(help="Processes that serve: a number, or auto for one a CPU.")] = "1",
    name: Annotated[str | None, typer.Option(help="The model's name, when PATH is a file.")] = None,
    device: Annotated[DeviceName, typer.Option(help="Where models run.")] = DeviceName.auto,
    threads: Annotated[int | None, typer.Option(help="CPU threads of one prediction.")] = None,
    max_batch: Annotated[int | None, typer.Option(help="Rows that may run together.")] = None,
    max_delay: Annotated[float, typer.Option(help="Milliseconds a request may wait for others to run with.")] = 0.0,
    exact: Annotated[
        bool, typer.Option("--exact", help="Answers equal, bit for bit, those of requests run alone.")
    ] = False,
    share_weights: Annotated[
        bool,
        typer.Option(
            "--share-weights/--copy-weights",
            help="Workers share weights that lie in a file beside the model, or have faster copies of their own.",
        ),
    ] = True,
    poll: Annotated[float, typer.Option(help="Seconds between looks for new versions; 0 for none.")] = 0.0,
    model_control: Annotated[
        ModelControl, typer.Option(help="explicit lets clients load and unload models.")
    ] = ModelControl.none,
    admin_host: Annotated[str, typer.Option(help="Address of the admin port.")] = "127.0.0.1",
    admin_port: Annotated[
        int | None, typer.Option(help="A port of their own for loading, unloading and metrics.")
    ] = None,
    token_file: Annotated[
        str | None, typer.Option(help="Bearer tokens, one a line: TOKEN [scopes] [name=N] [rate=N/s] [burst=N].")
    ] = None,
    tls_cert: Annotated[str | None, typer.Option(help="Certificate chain, PEM; reread when it changes.")] = None,
    tls_key: Annotated[str | None, typer.Option(help="Its private key, PEM.")] = None,
    tls_client_ca: Annotated[
        str | None, typer.Option(help="Clients must show a certificate signed by one of these, PEM.")
    ] = None,
    tls_client_name: Annotated[
        list[str] | None, typer.Option(help="A name in client certificates that is let in (several times for several).")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Serve other machines without tokens or client certificates.")
    ] = False,
    untrusted: Annotated[
        bool, typer.Option("--untrusted", help="Scan models and try them in a sandbox before they are served.")
    ] = False,
    access_log: Annotated[
        str | None, typer.Option(help="Write a JSON line a request to this file; - for standard output.")
    ] = None,
    otel: Annotated[bool, typer.Option("--otel", help="Send OpenTelemetry spans (needs the extra tracing).")] = False,
    cors_origin: Annotated[
        list[str] | None, typer.Option(help="An origin whose pages may call this server (several times for several).")
    ] = None,
    drain_timeout: Annotated[float, typer.Option(help="Seconds that requests get to end after SIGTERM.")] = 30.0,
    limit: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, such as body=1048576 (several times for several).")
    ] = None,
    log_level: Annotated[LogLevel, typer.Option(help="What is said on standard error.")] = LogLevel.warning,
) -> int:
    """Serve models over HTTP, and gRPC when asked, until SIGTERM or Ctrl-C."""
    from seqc_runtime.server.run import serve as run
    from seqc_runtime.server.settings import Settings

    settings = Settings(
        paths=tuple(paths),
        name=name,
        host=host,
        port=port,
        uds=uds,
        grpc_port=grpc_port,
        workers=_workers(workers),
        device=device.value,
        threads=threads,
        max_batch=max_batch,
        max_delay=max_delay / 1000,
        exact=exact,
        share_weights=share_weights,
        poll=poll,
        model_control=model_control.value,
        admin_host=admin_host,
        admin_port=admin_port,
        token_file=token_file,
        tls_cert=tls_cert,
        tls_key=tls_key,
        tls_client_ca=tls_client_ca,
        tls_client_names=tuple(tls_client_name or ()),
        insecure=insecure,
        untrusted=untrusted,
        access_log=access_log,
        tracing=otel,
        cors_origins=tuple(cors_origin or ()),
        log_level=log_level.value,
        drain=drain_timeout,
        limits=_limits(limit or []),
    )
    return run(settings)


def _workers(text: str) -> int:
    from seqc_runtime.threads import cpu_budget

    if text == "auto":
        return cpu_budget().cpus
    if not (text.isascii() and text.isdigit()):
        raise RuntimeArgumentError(f"--workers needs a number or auto; got {text!r}")
    return int(text[:9])


def _limits(given: list[str]) -> dict[str, float]:
    limits: dict[str, float] = {}
    for entry in given:
        name, _, text = entry.partition("=")
        try:
            limits[name] = float(text)
        except ValueError:
            raise RuntimeArgumentError(f"--limit needs NAME=NUMBER; got {entry!r}") from None
    return limits
