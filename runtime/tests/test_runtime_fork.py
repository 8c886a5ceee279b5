from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

FORK = """
import os, sys, threading, time, warnings
import numpy as np
import seqc_runtime
warnings.simplefilter("ignore")

def wait(pid):
    for _ in range(100):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        time.sleep(0.1)
    os.kill(pid, 9)
    return "hangs"

model = seqc_runtime.load("model.onnx", device="cpu", threads=4)
x = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
expected = model.predict(x)
"""


@pytest.fixture
def fork(
    gemm: bytes, tmp_path: Path, run_python: Callable[..., subprocess.CompletedProcess[str]]
) -> Callable[[str], subprocess.CompletedProcess[str]]:
    (tmp_path / "model.onnx").write_bytes(gemm)
    return lambda script: run_python(FORK + script)


@pytest.mark.slow
def test_a_forked_child_opens_its_own_session_and_ends_normally(
    fork: Callable[[str], subprocess.CompletedProcess[str]],
) -> None:
    ended = fork(
        """
inherited = model._holder.get()
pid = os.fork()
if pid == 0:
    assert np.array_equal(model.predict(x), expected)
    assert model._holder.get() is not inherited
    sys.exit(0)
print(wait(pid), np.array_equal(model.predict(x), expected))
"""
    )
    assert ended.stdout == "0 True\n", ended.stdout + ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("act", ["pass", "del model", "model.close()", "model.predict(x); del model"])
def test_a_forked_child_may_drop_the_model(fork: Callable[[str], subprocess.CompletedProcess[str]], act: str) -> None:
    ended = fork(f"pid = os.fork()\nif pid == 0:\n    {act}\n    sys.exit(0)\nprint(wait(pid))\n")
    assert ended.stdout == "0\n", ended.stdout + ended.stderr


@pytest.mark.slow
def test_a_grandchild_works_too(fork: Callable[[str], subprocess.CompletedProcess[str]]) -> None:
    ended = fork(
        """
pid = os.fork()
if pid == 0:
    model.predict(x)
    inner = os.fork()
    if inner == 0:
        assert np.array_equal(model.predict(x), expected)
        sys.exit(0)
    sys.exit(0 if wait(inner) == 0 else 1)
print(wait(pid))
"""
    )
    assert ended.stdout == "0\n", ended.stdout + ended.stderr


@pytest.mark.slow
def test_a_lock_held_while_forking_does_not_block_the_child(
    fork: Callable[[str], subprocess.CompletedProcess[str]],
) -> None:
    ended = fork(
        """
model._holder._lock.acquire()
pid = os.fork()
if pid == 0:
    assert np.array_equal(model.predict(x), expected)
    sys.exit(0)
print(wait(pid))
"""
    )
    assert ended.stdout == "0\n", ended.stdout + ended.stderr


@pytest.mark.slow
def test_many_threads_of_a_child_share_one_new_session(fork: Callable[[str], subprocess.CompletedProcess[str]]) -> None:
    ended = fork(
        """
from concurrent.futures import ThreadPoolExecutor
pid = os.fork()
if pid == 0:
    with ThreadPoolExecutor(8) as pool:
        assert len({id(session) for session in pool.map(lambda _: model._holder.get(), range(32))}) == 1
    sys.exit(0)
print(wait(pid))
"""
    )
    assert ended.stdout == "0\n", ended.stdout + ended.stderr


@pytest.mark.slow
def test_a_model_closed_before_the_fork_stays_closed(fork: Callable[[str], subprocess.CompletedProcess[str]]) -> None:
    ended = fork(
        """
model.close()
pid = os.fork()
if pid == 0:
    try:
        model.predict(x)
    except seqc_runtime.RuntimeExecutionError:
        sys.exit(7)
    sys.exit(0)
print(os.waitstatus_to_exitcode(wait(pid)))
"""
    )
    assert ended.stdout == "7\n", ended.stdout + ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("change", ["os.remove('model.onnx')", "open('model.onnx', 'ab').write(b'x')"])
def test_a_file_changed_before_the_childs_first_prediction_is_refused(
    fork: Callable[[str], subprocess.CompletedProcess[str]], change: str
) -> None:
    ended = fork(
        f"""
{change}
pid = os.fork()
if pid == 0:
    try:
        model.predict(x)
    except seqc_runtime.RuntimeModelError as error:
        print(error, flush=True)
    sys.exit(0)
print(wait(pid))
"""
    )
    assert ended.stdout == "'model.onnx' was changed or removed since it was checked: load it again\n0\n", ended.stderr


@pytest.mark.slow
def test_onnxruntime_does_not_start_its_telemetry_unless_the_user_says_so(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    script = (
        "import os, seqc_runtime.providers as providers\n"
        "providers.import_onnxruntime()\n"
        "print(os.environ['ORT_DISABLE_TELEMETRY'])\n"
    )
    assert run_python(script).stdout == "1\n"
    assert run_python(script, ORT_DISABLE_TELEMETRY="0").stdout == "0\n"
