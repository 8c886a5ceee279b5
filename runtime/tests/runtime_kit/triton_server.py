"""A real Triton from the wheel nvidia-pytriton, with its Python backend."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def home() -> Path:
    """Where the wheel keeps the server; the test is skipped when it is not installed, or does not start here."""
    # Not imported: the package itself wants NumPy 1 and more, the server does not.
    found = importlib.util.find_spec("pytriton")
    if found is None or not found.submodule_search_locations:
        pytest.skip("Triton is not installed: pip install --no-deps nvidia-pytriton")
    folder = Path(next(iter(found.submodule_search_locations))) / "tritonserver"
    if not (folder / "python_backend_stubs" / _python()).is_dir():
        pytest.skip(f"this Triton has no Python backend for Python {_python()}")
    return folder


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


@contextmanager
def tritonserver(repository: Path, folder: Path, ready: bool = True) -> Iterator[tuple[str, Path]]:
    """A server of a repository: its address, and the file of its log. folder: for what it needs to start."""
    wheel = home()
    shutil.copytree(wheel / "backends", folder / "backends")
    stub = "triton_python_backend_stub"
    shutil.copy(wheel / "python_backend_stubs" / _python() / stub, folder / "backends" / "python" / stub)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [wheel / "bin" / "tritonserver", "--model-repository", repository, "--exit-on-error", "true"]
    command += ["--backend-directory", folder / "backends", "--http-address", "127.0.0.1", "--http-port", str(port)]
    command += ["--allow-grpc", "false", "--allow-metrics", "false"]
    libraries = wheel.parents[1] / "nvidia_pytriton.libs"
    environment = {
        **os.environ,
        # Its Python backend finds packages through the first `python` there.
        "PATH": os.pathsep.join([os.path.dirname(os.path.abspath(sys.executable)), os.environ.get("PATH", "")]),
        "LD_LIBRARY_PATH": str(libraries),
        "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path if path),
    }
    log = folder / "triton.log"
    with open(log, "w") as output:
        process = subprocess.Popen(list(map(str, command)), env=environment, stdout=output, stderr=output)
        try:
            address = f"http://127.0.0.1:{port}"
            _wait(process, address if ready else None, log)
            yield address, log
        finally:
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], address: str | None, log: Path) -> None:
    """Wait until the server is ready, or, without an address, until it has ended."""
    limit = time.monotonic() + 90
    while time.monotonic() < limit:
        ended = process.poll() is not None
        if ended:
            assert address is None, log.read_text()[-4000:]
            return
        if address is not None:
            try:
                with urllib.request.urlopen(f"{address}/v2/health/ready", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                pass
        time.sleep(0.1)
    raise AssertionError(log.read_text()[-4000:])
