"""What a model that has taken over the process it is tried in would try next. Each attempt must fail there."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seqc_runtime import seccomp
from seqc_runtime.gate import Limits, probe
from seqc_runtime.gate.limits import PROTECTION
from seqc_runtime.providers import import_onnxruntime

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")
HEADERS = {
    0: Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    1: Path("/usr/include/asm-generic/unistd.h"),
}
ALL = {"rlimits", "no_new_privs", "landlock", "capabilities", "seccomp"}

# Run in place of the loading of a model, in the very process that would do it. What succeeds is told by name.
ATTEMPTS = r"""
import ctypes, fcntl, os, resource, signal, socket, subprocess, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
secret, folder, port, parent = EXTRA["secret"], EXTRA["folder"], EXTRA["port"], os.getppid()

def call(number, *arguments):
    result = libc.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result

def read(path):
    with open(path, "rb") as file:
        return file.read(10)

def write(path, flags):
    os.write(os.open(path, flags, 0o600), b"x")

def connect(family, kind, address):
    with socket.socket(family, kind) as s:
        s.connect(address)

def spawn():
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)

def fork():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)

def asked(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")

def own_pipe(command, value):
    fcntl.fcntl(os.pipe()[0], command, value)

def harmless():
    # Libraries do these for good reasons.
    signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.raise_signal(signal.SIGUSR1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft <= hard
    if os.getuid() == 0:  # others may start no thread at all
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()

ATTEMPTS = {
    "read a file": lambda: read(secret),
    "read a file by way of its own folder": lambda: read("../secret"),
    "read the users": lambda: read("/etc/passwd"),
    "list a folder": lambda: os.listdir(folder),
    "read another process's environment": lambda: read(f"/proc/{parent}/environ"),
    "read another process's memory": lambda: read(f"/proc/{parent}/mem"),
    "read a device": lambda: read("/dev/zero"),
    "make a file": lambda: write(os.path.join(folder, "new"), os.O_CREAT | os.O_WRONLY),
    "make a file in its folder": lambda: write("new", os.O_CREAT | os.O_WRONLY),
    "write a file": lambda: write(secret, os.O_WRONLY),
    "truncate a file": lambda: os.truncate(secret, 0),
    "write its own model": lambda: write(os.listdir(".")[0], os.O_WRONLY),
    "remove its own model": lambda: os.unlink(os.listdir(".")[0]),
    "remove a file": lambda: os.unlink(EXTRA["victim"]),
    "rename a file": lambda: os.rename(EXTRA["victim"], EXTRA["victim"] + "2"),
    "link a file": lambda: os.link(secret, os.path.join(folder, "hard")),
    "link symbolically": lambda: os.symlink(secret, os.path.join(folder, "soft")),
    "make a folder": lambda: os.mkdir(os.path.join(folder, "made")),
    "change a mode": lambda: os.chmod(secret, 0o777),
    "change an owner": lambda: os.chown(secret, os.getuid(), os.getgid()),
    "change a time": lambda: os.utime(secret),
    "connect over TCP": lambda: connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port)),
    "connect over UDP": lambda: connect(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 9)),
    "open a local socket": lambda: socket.socket(socket.AF_UNIX).close(),
    "listen": lambda: socket.create_server(("127.0.0.1", 0)).close(),
    "fork": fork,
    "start a program": spawn,
    "start a program by subprocess": lambda: subprocess.run(["/bin/true"], check=True),
    "become a program": lambda: os.execv("/bin/false", ["false"]),
    "signal another process": lambda: os.kill(parent, 0),
    "signal another's thread": lambda: asked("tgkill", parent, parent, 0),
    "have a pipe signal another process": lambda: own_pipe(fcntl.F_SETOWN, parent),
    "choose the signal": lambda: own_pipe(10, 15),
    "change another's limits": lambda: asked("prlimit", parent, 4, None, ctypes.create_string_buffer(16)),
    "slow another process down": lambda: os.setpriority(os.PRIO_PROCESS, parent, 0),
    "choose another's processors": lambda: os.sched_setaffinity(parent, os.sched_getaffinity(parent)),
    "remove shared memory": lambda: asked("shmctl", EXTRA["shared"], 2, ctypes.create_string_buffer(200)),
    "trace another process": lambda: call(EXTRA["ptrace"], 0x4206, parent, 0, 0),
    "make a file in memory": lambda: os.close(os.memfd_create("x")),
    "make a ring of calls": lambda: call(425, 1, ctypes.create_string_buffer(120)),
    "make a namespace": lambda: call(EXTRA["unshare"], 0x10000000),
    "clone by the newer call": lambda: call(435, None, 0),
    "take 64 GiB": lambda: bytearray(64 << 30),
    "raise its own limits": lambda: resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2),
    "open two hundred files": lambda: [os.dup(1) for _ in range(200)],
}

if job["free"]:
    # It would, and then nothing more is told.
    del ATTEMPTS["become a program"]

def filtered():
    from seqc_runtime.seccomp import deny_calls
    return libc.prctl(38, 1, 0, 0, 0) == 0 and deny_calls()

def tried(job):
    harmless()
    succeeded = []
    for name, attempt in ATTEMPTS.items():
        try:
            attempt()
        except (OSError, MemoryError, ValueError):
            continue
        succeeded.append(name)
    return {"succeeded": succeeded}
"""
OF_OTHERS = (
    "signal another's thread",
    "have a pipe signal another process",
    "choose the signal",
    "change another's limits",
    "slow another process down",
    "choose another's processors",
    "remove shared memory",
)
# As the start of the real process, with `tried` in place of what loads the model.
START = (
    "import json, sys; job = json.loads(sys.argv[1]); sys.path += job['paths']; EXTRA = job['extra']\n"
    + "import seqc_runtime.gate.child as child\n"
    + ATTEMPTS
    + "child._tried = tried\nif job['free']: child.restrict = lambda *_: job['require']\n"
    + "if job['filtered']: child.restrict = lambda *_: job['require'] + ['filter'] * filtered()\n"
    + "child.main(job)"
)


@pytest.fixture
def attempt(tmp_path: Path) -> Iterator[Callable[..., tuple[set[str], set[str]]]]:
    """Run the attempts, restricted or not; gives the protection and the names of those that succeeded."""
    own = tmp_path / "own"
    own.mkdir()
    libc = ctypes.CDLL(None)
    shared = libc.shmget(0, 4096, 0o600)
    (own / "model.onnx").write_bytes(b"model")
    (tmp_path / "secret").write_text("secret")

    def run(free: bool, filtered: bool = False) -> tuple[set[str], set[str]]:
        (tmp_path / "victim").write_text("victim")
        server = socket.create_server(("127.0.0.1", 0))
        job = probe._job(own / "model.onnx", "m", 0, {}, Limits())
        arm = os.uname().machine == "aarch64"
        job["free"], job["filtered"] = free, filtered
        job["extra"] = {
            "secret": str(tmp_path / "secret"),
            "victim": str(tmp_path / "victim"),
            "folder": str(tmp_path),
            "port": server.getsockname()[1],
            "shared": shared,
            "ptrace": 117 if arm else 101,
            "unshare": 97 if arm else 272,
        }
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-B", "-c", START, json.dumps(job)],
            cwd=own,
            env=os.environ | probe._ALONE,
            capture_output=True,
            timeout=100,
            check=False,
        )
        server.close()
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(lines) == 2, done
        return set(lines[0]["protection"]), set(lines[1]["succeeded"])

    yield run
    libc.shmctl(shared, 0, None)


@pytest.mark.slow
def test_nothing_that_is_tried_in_the_sandbox_succeeds(
    attempt: Callable[..., tuple[set[str], set[str]]], tmp_path: Path
) -> None:
    protection, succeeded = attempt(free=False)
    if not protection >= ALL:
        pytest.skip(f"this system has only {sorted(protection)}")
    assert succeeded == set()
    assert (tmp_path / "secret").read_text() == "secret"


@pytest.mark.slow
def test_the_same_attempts_succeed_outside_of_it(attempt: Callable[..., tuple[set[str], set[str]]]) -> None:
    _, succeeded = attempt(free=True)
    assert succeeded >= {
        "read a file",
        "list a folder",
        "make a file",
        "remove a file",
        "change a mode",
        "connect over TCP",
        "open a local socket",
        "listen",
        "fork",
        "start a program",
        "signal another process",
        *OF_OTHERS,
        "make a file in memory",
        "open two hundred files",
    }


@pytest.mark.slow
def test_the_filter_alone_keeps_a_process_from_its_users_other_processes(
    attempt: Callable[..., tuple[set[str], set[str]]],
) -> None:
    # On kernels before 6.12 nothing else does.
    protection, succeeded = attempt(free=True, filtered=True)
    if "filter" not in protection:
        pytest.skip("this system has no filter of calls")
    assert succeeded.isdisjoint({"signal another process", *OF_OTHERS, "fork", "start a program", "listen"})
    assert "read a file" in succeeded


@pytest.mark.parametrize("column", HEADERS)
def test_calls_have_the_numbers_of_the_kernels_headers(column: Any) -> None:
    if not HEADERS[column].exists():
        pytest.skip(f"{HEADERS[column]} is not installed")
    lines = HEADERS[column].read_text().splitlines()
    known = {m[1]: int(m[2]) for line in lines if (m := re.match(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", line))}
    ours = {name: numbers[column] for name, numbers in seccomp._DENIED.items()}
    for name in ("clone", "tgkill", "prlimit64", "fcntl"):
        ours[name] = getattr(seccomp, f"_{name.removesuffix('64').upper()}")[column]
    newest = max(known.values())
    wrong = {name: number for name, number in ours.items() if known.get(name) != number and (number or 0) <= newest}
    assert wrong.items() <= dict.fromkeys(seccomp._DENIED).items()
    assert all(name not in known for name, number in wrong.items() if number is None)


@pytest.mark.slow
def test_where_memory_is_short_the_kernel_ends_the_process_that_tries(tmp_path: Path) -> None:
    job = probe._job(tmp_path / "m.onnx", "m", 0, {}, Limits())
    start = "import json, sys; job = json.loads(sys.argv[1]); sys.path += job['paths']\n"
    start += "import seqc_runtime.gate.child as child\nchild._tried = lambda job: sys.stdin.read()\nchild.main(job)"
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", "-c", start, json.dumps(job)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | probe._ALONE,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline()  # it is restricted now
        assert Path(f"/proc/{child.pid}/oom_score_adj").read_text().strip() == "1000"
    finally:
        child.kill()
        child.communicate()


def run_in_sandbox(tmp_path: Path, code: str, **limits: Any) -> tuple[bytes, int, bool]:
    job = probe._job(tmp_path / "m.onnx", "m", 0, {}, Limits(**limits))
    start = "import json, sys; job = json.loads(sys.argv[1]); sys.path += job['paths']\n"
    start += (
        f"import seqc_runtime.gate.child as child\ndef tried(job):\n    {code}\nchild._tried = tried\nchild.main(job)"
    )
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", "-c", start, json.dumps(job)],
        env=os.environ | probe._ALONE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, late = probe._watched(child, job_time := limits.get("time", 100.0))
    assert job_time
    return output, child.returncode, late


@pytest.mark.slow
def test_a_process_that_never_ends_is_ended(tmp_path: Path) -> None:
    start = time.monotonic()
    _, code, late = run_in_sandbox(tmp_path, "import time; time.sleep(1000)", time=2.0)
    assert late
    assert code == -9
    assert time.monotonic() - start < 60


@pytest.mark.slow
def test_a_process_that_computes_for_ever_is_ended_by_the_kernel(tmp_path: Path) -> None:
    _, code, late = run_in_sandbox(tmp_path, "\n    while True: pass", cpu=1.0)
    assert not late
    assert code in (-9, -24)


@pytest.mark.slow
def test_a_process_that_talks_for_ever_is_ended(tmp_path: Path) -> None:
    output, _, late = run_in_sandbox(tmp_path, "import os\n    while True: os.write(1, b'x' * 65536)")
    assert late
    assert len(output) == 1 << 16


def _is_alive(number: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{number}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.slow
@pytest.mark.parametrize("leaving", ["pass", "os.setsid()"], ids=["of its group", "of a group of its own"])
def test_what_a_process_leaves_behind_holds_nobody_up(leaving: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Only where the system keeps it from nothing, and the caller lets that do.
    monkeypatch.setattr(probe, "_LAST_WORDS", 0.5)
    code = (
        "import os, time\nread, write = os.pipe()\nif os.fork():\n    os.read(read, 1); os._exit(0)\n"
        f"{leaving}\nos.write(write, b'x')\nos.write(1, f'{{os.getpid()}}\\n'.encode())\ntime.sleep(100)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    start = time.monotonic()
    said, late = probe._watched(child, 3.0)
    assert late
    assert time.monotonic() - start < 30
    if leaving == "pass":
        while _is_alive(int(said)):  # it was killed, which takes the system a moment
            assert time.monotonic() - start < 60
            time.sleep(0.01)
    for left in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError, ProcessLookupError):
            if code.encode() in left.read_bytes():
                os.kill(int(left.parent.name), signal.SIGKILL)


def test_what_a_system_lacks_is_said_and_let_go_only_when_asked() -> None:
    limits = Limits(require=frozenset({*PROTECTION, "moat"}))
    said = b'{"protection": ["rlimits", "no_new_privs", "landlock", "seccomp"]}\n'
    with pytest.raises(
        ValueError, match=r"is not tried: this system cannot protect .* by moat \(it has rlimits, no_new"
    ):
        probe._judged(said, 0, False, "'m'", limits)
    assert probe._judged(said + b'{"loaded": true}\n', 0, False, "'m'", Limits()) == (
        "rlimits",
        "no_new_privs",
        "landlock",
        "seccomp",
    )


def test_a_process_that_is_ended_by_a_signal_is_told() -> None:
    said = b'{"protection": ["rlimits", "no_new_privs", "landlock", "seccomp"]}\nterminate called\n'
    assert probe._judged(b"a warning\n" + said[:-17] + b'{"loaded": true}\n', 0, False, "'m'", Limits())
    with pytest.raises(ValueError, match=r"it ended the process that loaded it \(signal 11\), which said: terminate"):
        probe._judged(said, -11, False, "'m'", Limits())


def test_the_child_gets_none_of_the_callers_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", "secret")
    import_onnxruntime()
    started = []

    def popen(command: Any, **options: Any) -> Any:
        started.append(options["env"])
        raise OSError("seen")

    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(ValueError, match="cannot be tried in a process of its own: seen"):
        probe.try_model(Path("m.onnx"), "'m'", 0, {}, Limits())
    assert "API_TOKEN" not in started[0]
    assert started[0]["ORT_DISABLE_TELEMETRY"] == "1"
