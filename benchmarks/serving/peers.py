"""The servers that are compared: how each is started, and what it is asked."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from serving import environments
from serving.models import Served
from serving.protocols import BINARY, GRPC, JSON, Request, oip_binary, oip_grpc, oip_json, own_binary, own_json

ADAPTERS = Path(__file__).parent / "adapters"
OIP = {JSON: oip_json, BINARY: oip_binary}
OIP_AND_GRPC = {**OIP, GRPC: oip_grpc}
# Requests that run together, in servers that can be asked for that: all that a concurrency of 64 can bring.
BATCH = 64


@dataclass(frozen=True)
class Start:
    """A command that starts a server, with the environment's variables that it needs."""

    command: Sequence[str | Path]
    variables: Mapping[str, str] = field(default_factory=dict)

    def words(self) -> list[str]:
        """Returns the command as text."""
        return [str(word) for word in self.command]


@dataclass(frozen=True)
class Peer:
    """One server in one way of running it.

    Attributes:
        title: as in the report. environment: one of environments.ENVIRONMENTS. package: of which the version is shown.
        requests: by encoding. start: given a model, an HTTP port and whether to batch. grpc_offset: from the HTTP port
        to that of gRPC. batches: whether it can run requests together. ours: whether it is seqc-runtime.
    """

    title: str
    environment: str
    package: str
    requests: Mapping[str, Callable[[Served], Request]]
    start: Callable[[Served, int, bool], Start]
    grpc_offset: int = 1
    batches: bool = True
    ours: bool = False


def adapter(environment: str, *command: str, **variables: str) -> Callable[[Served, int, bool], Start]:
    """Returns how to start an adapter: a program of an environment, with what it is given."""

    def start(served: Served, port: int, batch: bool) -> Start:
        program, *rest = (word.format(adapters=ADAPTERS, port=port) for word in command)
        given = {"SERVED_MODEL": str(served.path), "SERVED_PORT": str(port), "SERVED_BATCH": str(BATCH * batch)}
        more = {name: value.format(port=port, adapters=ADAPTERS) for name, value in variables.items()}
        return Start([environments.place(environment) / "bin" / program, *rest], {**given, **more})

    return start


def seqc(environment: str, *options: str) -> Callable[[Served, int, bool], Start]:
    """Returns how to start seqc-runtime as its users do."""

    def start(served: Served, port: int, batch: bool) -> Start:
        command: list[str | Path] = [environments.place(environment) / "bin" / "seqc-runtime", "serve", served.path]
        command += ["--name", served.name, "--port", str(port), "--threads", "1"]
        command += ["--max-batch", str(BATCH if batch else 1)]
        return Start([*command, *(word.format(grpc=port + 1) for word in options)])

    return start


def fixed(*command: str) -> Callable[[Served, int, bool], Start]:
    """Returns how to start a server that answers every request alike, and rightly."""

    def start(served: Served, port: int, batch: bool) -> Start:
        expected = {"data": served.expected.ravel().tolist(), "shape": list(served.expected.shape)}
        answer = json.dumps({"outputs": [{"name": served.output, "datatype": "FP32", **expected}]}).encode()
        return adapter("granian", *command, SERVED_ANSWER=answer.hex())(served, port, batch)

    return start


def triton(served: Served, port: int, batch: bool) -> Start:
    """Returns how to start Triton from its wheel, with a repository for its Python backend."""
    base = environments.place("triton")
    server = base / "unpacked" / "pytriton" / "tritonserver"
    stub = server / "backends" / "python" / "triton_python_backend_stub"
    if not stub.exists():
        (python,) = (base / "lib").glob("python*")
        shutil.copy(server / "python_backend_stubs" / python.name.removeprefix("python") / stub.name, stub)
        for program in (stub, server / "bin" / "tritonserver"):
            program.chmod(0o755)
    command: list[str | Path] = [
        server / "bin" / "tritonserver",
        f"--model-repository={_triton_repository(served, base / 'repositories', batch)}",
        f"--backend-directory={server / 'backends'}",
        *("--http-address=127.0.0.1", f"--http-port={port}"),
        *("--grpc-address=127.0.0.1", f"--grpc-port={port + 1}"),
        *("--allow-metrics=false", "--log-info=false", "--log-verbose=0", "--disable-auto-complete-config"),
    ]
    libraries = base / "unpacked" / "nvidia_pytriton.libs"
    # The stub finds the environment's packages by the `python` that is first on PATH.
    path = f"{base / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return Start(command, {"LD_LIBRARY_PATH": str(libraries), "PATH": path})


TRITON_CONFIG = """\
name: "{name}"
backend: "python"
max_batch_size: {batch}
input [{{ name: "{input}", data_type: TYPE_FP32, dims: {given} }}]
output [{{ name: "{output}", data_type: TYPE_FP32, dims: {returned} }}]
instance_group [{{ kind: KIND_CPU, count: 1 }}]
parameters {{ key: "path", value: {{ string_value: "{path}" }} }}
{together}
"""


def _triton_repository(served: Served, folder: Path, batch: bool) -> Path:
    repository = folder / f"{served.name}{'-together' * batch}"
    version = repository / served.name / "1"
    version.mkdir(parents=True, exist_ok=True)
    shutil.copy(ADAPTERS / "triton_model.py", version / "model.py")
    config = TRITON_CONFIG.format(
        name=served.name,
        batch=BATCH,
        input=served.input,
        given=list(served.sample.shape[1:]),
        output=served.output,
        returned=list(served.expected.shape[1:]),
        path=served.path,
        together="dynamic_batching { }" if batch else "",
    )
    (version.parent / "config.pbtxt").write_text(config, encoding="utf-8")
    return repository


def _python(environment: str, name: str, **variables: str) -> Callable[[Served, int, bool], Start]:
    return adapter(environment, "python", f"{{adapters}}/{name}_server.py", **variables)


BENTOML = adapter(
    "bentoml",
    *("bentoml", "serve", "bentoml_server:Served", "--working-dir", "{adapters}", "--host", "127.0.0.1"),
    *("--port", "{port}", "--timeout", "60"),
    BENTOML_DO_NOT_TRACK="True",
)
MOSEC = {"MOSEC_ADDRESS": "127.0.0.1", "MOSEC_PORT": "{port}", "MOSEC_LOG_LEVEL": "error"}
UVICORN = adapter(
    "granian",
    *("uvicorn", "seqc_application:application", "--app-dir", "{adapters}", "--port", "{port}", "--loop", "uvloop"),
    *("--http", "httptools", "--ws", "none", "--no-access-log", "--log-level", "warning", "--no-server-header"),
)
FIXED_UVICORN = fixed(
    *("uvicorn", "fixed_answer:application", "--app-dir", "{adapters}", "--port", "{port}", "--loop", "uvloop"),
    *("--http", "httptools", "--ws", "none", "--lifespan", "off", "--no-access-log", "--log-level", "warning"),
)
GRANIAN = adapter(
    "granian",
    *("granian", "seqc_application:application", "--working-dir", "{adapters}", "--port", "{port}", "--loop", "uvloop"),
    *("--interface", "asgi", "--http", "1", "--no-ws", "--workers", "1", "--runtime-threads", "1"),
    *("--no-access-log", "--log-level", "warning"),
    PYTHONPATH="{adapters}",
)
FAST_RAY = {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}
LISTS = {JSON: own_json("/predict")}
BOTH = {JSON: own_json("/json"), BINARY: own_binary("/bytes")}

PEERS = {
    "seqc": Peer("seqc-runtime", "seqc", "seqc-runtime", OIP, seqc("seqc"), ours=True),
    "seqc-grpc": Peer(
        *("seqc-runtime", "seqc-grpc", "seqc-runtime", {GRPC: oip_grpc}),
        seqc("seqc-grpc", "--grpc-port", "{grpc}"),
        ours=True,
    ),
    "uvicorn": Peer("its application on uvicorn", "granian", "uvicorn", OIP, UVICORN, batches=False, ours=True),
    "granian": Peer("its application on granian", "granian", "granian", OIP, GRANIAN, batches=False, ours=True),
    "fixed-uvicorn": Peer(
        *("a fixed answer on uvicorn, no model", "granian", "uvicorn", {JSON: oip_json}, FIXED_UVICORN), batches=False
    ),
    "fixed": Peer(
        "a fixed answer on uvloop, nothing read",
        *("granian", "uvloop", {JSON: oip_json}, fixed("python", "{adapters}/fixed_answer.py")),
        batches=False,
    ),
    "litserve": Peer("LitServe", "litserve", "litserve", LISTS, _python("litserve", "litserve")),
    "bentoml": Peer("BentoML", "bentoml", "bentoml", LISTS, BENTOML),
    "mosec": Peer("mosec", "mosec", "mosec", BOTH, _python("mosec", "mosec", **MOSEC)),
    "mlserver": Peer(
        "MLServer", "mlserver", "mlserver", {JSON: oip_json, GRPC: oip_grpc}, _python("mlserver", "mlserver")
    ),
    "kserve": Peer("KServe", "kserve", "kserve", OIP_AND_GRPC, _python("kserve", "kserve"), batches=False),
    "ray": Peer("Ray Serve", "ray", "ray", BOTH, _python("ray", "ray")),
    "ray-fast": Peer("Ray Serve, fast mode", "ray", "ray", BOTH, _python("ray", "ray", **FAST_RAY)),
    "triton": Peer("Triton, Python backend", "triton", "nvidia-pytriton", OIP_AND_GRPC, triton),
}
