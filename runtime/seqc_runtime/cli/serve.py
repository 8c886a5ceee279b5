"""`seqc-runtime serve`: models over the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import click

from seqc_runtime.errors import RuntimeArgumentError

EPILOG = "Example: seqc-runtime serve digits.onnx, then open http://127.0.0.1:8000 in a browser."


@click.command(epilog=EPILOG)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", type=int, default=8000, help="Port to listen on; 0 takes a free one.")
@click.option("--uds", help="Listen on this Unix socket, not on a port.")
@click.option("--grpc-port", type=int, help="Serve gRPC, too, on this port.")
@click.option("--workers", default="1", help="Processes that serve: a number, or auto for one a CPU.")
@click.option("--name", help="The model's name, when PATH is or holds one.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="Where models run.")
@click.option("--threads", type=int, help="CPU threads of one prediction.")
@click.option("--max-batch", type=int, help="Rows that may run together.")
@click.option("--max-delay", type=float, default=0.0, help="Milliseconds a request may wait for others to run with.")
@click.option("--exact", is_flag=True, help="Answers equal, bit for bit, those of requests run alone.")
@click.option(
    "--share-weights/--copy-weights",
    default=True,
    help="Workers share weights that lie in a file beside the model, or have faster copies of their own.",
)
@click.option("--poll", type=float, default=0.0, help="Seconds between looks for new versions; 0 for none.")
@click.option(
    "--model-control",
    type=click.Choice(["none", "explicit"]),
    default="none",
    help="explicit begins with no model, and lets clients load and unload them.",
)
@click.option("--admin-host", default="127.0.0.1", help="Address of the admin port.")
@click.option("--admin-port", type=int, help="A port of their own for loading, unloading and metrics.")
@click.option("--token-file", help="Bearer tokens, one a line: TOKEN [scopes] [name=N] [rate=N/s] [burst=N].")
@click.option("--tls-cert", help="Certificate chain, PEM; reread when it changes.")
@click.option("--tls-key", help="Its private key, PEM.")
@click.option("--tls-client-ca", help="Clients must show a certificate signed by one of these, PEM.")
@click.option(
    "--tls-client-name", multiple=True, help="A name in client certificates that is let in (several times for several)."
)
@click.option("--insecure", is_flag=True, help="Serve other machines without tokens or client certificates.")
@click.option("--untrusted", is_flag=True, help="Scan models and try them in a sandbox before they are served.")
@click.option("--access-log", help="Write a JSON line a request to this file; - for standard output.")
@click.option("--otel", is_flag=True, help="Send OpenTelemetry spans (needs the extra tracing).")
@click.option(
    "--cors-origin",
    multiple=True,
    help="An origin whose pages may call this server, such as https://a.example (several times for several).",
)
@click.option("--drain-timeout", type=float, default=30.0, help="Seconds that requests get to end after SIGTERM.")
@click.option("--limit", multiple=True, help="NAME=VALUE, such as body=1048576 (several times for several).")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    help="What is said on standard error.",
)
def serve(
    *,
    paths: tuple[str, ...],
    host: str,
    port: int,
    uds: str | None,
    grpc_port: int | None,
    workers: str,
    name: str | None,
    device: Literal["auto", "cpu", "cuda"],
    threads: int | None,
    max_batch: int | None,
    max_delay: float,
    exact: bool,
    share_weights: bool,
    poll: float,
    model_control: Literal["none", "explicit"],
    admin_host: str,
    admin_port: int | None,
    token_file: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    tls_client_ca: str | None,
    tls_client_name: tuple[str, ...],
    insecure: bool,
    untrusted: bool,
    access_log: str | None,
    otel: bool,
    cors_origin: tuple[str, ...],
    drain_timeout: float,
    limit: tuple[str, ...],
    log_level: Literal["debug", "info", "warning", "error"],
) -> int:
    """Serve models over HTTP, and gRPC when asked, until SIGTERM or Ctrl-C.

    PATH is an .onnx file or a model repository; there may be several.
    """
    from seqc_runtime.server.run import serve as run
    from seqc_runtime.server.settings import Settings

    settings = Settings(
        paths=paths,
        name=name,
        host=host,
        port=port,
        uds=uds,
        grpc_port=grpc_port,
        workers=_workers(workers),
        device=device,
        threads=threads,
        max_batch=max_batch,
        max_delay=max_delay / 1000,
        exact=exact,
        share_weights=share_weights,
        poll=poll,
        model_control=model_control,
        admin_host=admin_host,
        admin_port=admin_port,
        token_file=token_file,
        tls_cert=tls_cert,
        tls_key=tls_key,
        tls_client_ca=tls_client_ca,
        tls_client_names=tls_client_name,
        insecure=insecure,
        untrusted=untrusted,
        access_log=access_log,
        tracing=otel,
        cors_origins=cors_origin,
        log_level=log_level,
        drain=drain_timeout,
        limits=_limits(limit),
    )
    return run(settings)


def _workers(text: str) -> int:
    from seqc_runtime.threads import cpu_budget

    if text == "auto":
        return cpu_budget().cpus
    if not (text.isascii() and text.isdigit()):
        raise RuntimeArgumentError(f"--workers needs a number or auto; got {text!r}")
    return int(text[:9])


def _limits(given: Sequence[str]) -> dict[str, float]:
    limits: dict[str, float] = {}
    for entry in given:
        name, _, text = entry.partition("=")
        try:
            limits[name] = float(text)
        except ValueError:
            raise RuntimeArgumentError(f"--limit needs NAME=NUMBER; got {entry!r}") from None
    return limits
