from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc_runtime
from seqc_runtime import providers
from seqc_runtime.providers import SessionConfig
from seqc_runtime.threads import CpuBudget, affinity_count, cgroup_quota, cpu_budget


def write(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_without_cgroups_there_is_no_quota(tmp_path: Path) -> None:
    assert cgroup_quota(tmp_path) is None


def test_cgroup_v2_max_is_no_quota(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/cgroup", "0::/\n")
    write(tmp_path, "sys/fs/cgroup/cpu.max", "max 100000\n")
    assert cgroup_quota(tmp_path) is None


def test_cgroup_v2_quota_is_in_cpus(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/cgroup", "0::/\n")
    write(tmp_path, "sys/fs/cgroup/cpu.max", "150000 100000\n")
    assert cgroup_quota(tmp_path) == 1.5


@pytest.mark.parametrize(
    ("inner", "outer", "tightest"), [("max", "200000", 2), ("50000", "200000", 0.5), ("400000", "100000", 1)]
)
def test_the_tightest_ancestor_counts(tmp_path: Path, inner: str, outer: str, tightest: float) -> None:
    write(tmp_path, "proc/self/cgroup", "0::/pod/container\n")
    write(tmp_path, "sys/fs/cgroup/pod/container/cpu.max", f"{inner} 100000\n")
    write(tmp_path, "sys/fs/cgroup/pod/cpu.max", f"{outer} 100000\n")
    assert cgroup_quota(tmp_path) == tightest


def test_a_sibling_cgroup_does_not_count(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/cgroup", "0::/pod/a\n")
    write(tmp_path, "sys/fs/cgroup/pod/b/cpu.max", "10000 100000\n")
    assert cgroup_quota(tmp_path) is None


def test_a_path_outside_the_namespace_leaves_the_mount_itself(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/cgroup", "0::/../../other\n")
    write(tmp_path, "sys/fs/cgroup/cpu.max", "300000 100000\n")
    write(tmp_path, "sys/fs/other/cpu.max", "100000 100000\n")
    assert cgroup_quota(tmp_path) == 3


@pytest.mark.parametrize("controllers", ["cpu", "cpu,cpuacct", "cpuacct,cpu"])
def test_cgroup_v1_quota_with_its_ancestors(tmp_path: Path, controllers: str) -> None:
    mount = f"sys/fs/cgroup/{controllers}"
    write(tmp_path, "proc/self/cgroup", f"5:memory:/x\n3:{controllers}:/docker/abc\n1:name=systemd:/\n")
    write(tmp_path, f"{mount}/docker/abc/cpu.cfs_quota_us", "-1\n")
    write(tmp_path, f"{mount}/docker/abc/cpu.cfs_period_us", "100000\n")
    write(tmp_path, f"{mount}/docker/cpu.cfs_quota_us", "250000\n")
    write(tmp_path, f"{mount}/docker/cpu.cfs_period_us", "100000\n")
    assert cgroup_quota(tmp_path) == 2.5


def test_cgroup_v1_seen_from_inside_a_container_reads_the_mount(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/cgroup", "3:cpu:/docker/abc\n0::/docker/abc\n")
    write(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n")
    write(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "50000\n")
    assert cgroup_quota(tmp_path) == 2


@pytest.mark.parametrize("text", ["", "garbage", "abc 100000", "100000", "100000 0"])
def test_malformed_limits_are_no_limits(tmp_path: Path, text: str) -> None:
    write(tmp_path, "proc/self/cgroup", "0::/\nnonsense\n")
    write(tmp_path, "sys/fs/cgroup/cpu.max", text)
    assert cgroup_quota(tmp_path) is None


@pytest.mark.parametrize(
    ("affinity", "quota", "cpus"), [(8, None, 8), (8, 2.0, 2), (8, 1.2, 2), (8, 0.1, 1), (2, 6.0, 2), (1, None, 1)]
)
def test_cpus_is_the_smaller_of_affinity_and_the_quota_rounded_up(
    affinity: int, quota: float | None, cpus: int
) -> None:
    assert CpuBudget(affinity, quota).cpus == cpus


def test_threads_spin_only_with_a_cpu_each_and_no_quota() -> None:
    assert CpuBudget(4, None).may_spin(4)
    assert not CpuBudget(4, None).may_spin(5)
    assert not CpuBudget(4, 2.0).may_spin(1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity masks")
def test_affinity_is_followed() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert affinity_count() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_a_model_takes_the_budget_by_default(gemm: bytes) -> None:
    assert seqc_runtime.load(gemm, device="cpu").threads == cpu_budget().cpus


def test_onnxruntime_gets_the_threads_and_the_spinning_rule() -> None:
    ort = providers.import_onnxruntime()
    key = "session.intra_op.allow_spinning"
    options = providers._options(ort, SessionConfig(3, CpuBudget(4, None).spins(3, None)), {})
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert options.get_session_config_entry(key) == "1"
    assert (
        providers._options(ort, SessionConfig(3, CpuBudget(4, 2.0).spins(3, None)), {}).get_session_config_entry(key)
        == "0"
    )


def test_spinning_is_as_asked() -> None:
    ort = providers.import_onnxruntime()
    key = "session.intra_op.allow_spinning"
    for budget in (CpuBudget(4, None), CpuBudget(1, 0.5)):
        for asked in (True, False):
            options = providers._options(ort, SessionConfig(2, budget.spins(2, asked)), {})
            assert options.get_session_config_entry(key) == str(int(asked))


def test_load_passes_spinning_on(gemm: bytes) -> None:
    for asked in (True, False):
        assert seqc_runtime.load(gemm, device="cpu", threads=1, spinning=asked)._config.spinning is asked


@pytest.mark.parametrize("name", ["spinning", "tf32", "warm_up"])
@pytest.mark.parametrize("flag", [1, 0, "no", np.bool_(True)])
def test_flags_of_load_are_true_or_false(gemm: bytes, name: str, flag: Any) -> None:
    with pytest.raises(seqc_runtime.RuntimeArgumentError, match=f"{name} needs True or False"):
        seqc_runtime.load(gemm, **{name: flag})


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("taskset") is None, reason="needs the command taskset")
def test_taskset_limits_the_threads(gemm: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(gemm)
    cpu = str(min(os.sched_getaffinity(0)))
    script = "import seqc_runtime; print(seqc_runtime.load('m.onnx', device='cpu').threads)"
    command = ["taskset", "-c", cpu, sys.executable, "-c", script]
    path = str(Path(seqc_runtime.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": path}
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout == "1\n"


def test_a_hybrid_hierarchy_takes_the_tighter_of_both_versions(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/cgroup", "4:cpu,cpuacct:/a\n0::/b\n")
    write(tmp_path, "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "300000\n")
    write(tmp_path, "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n")
    write(tmp_path, "sys/fs/cgroup/unified/b/cpu.max", "200000 100000\n")
    assert cgroup_quota(tmp_path) == 2


def test_files_that_are_no_text_set_no_limit(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/cgroup", "0::/\n")
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cpu.max").write_bytes(b"\xff\xfe 1")
    assert cgroup_quota(tmp_path) is None


def test_a_path_with_colons_and_an_octal_name_is_one_path(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/cgroup", "0::/system.slice/pod:1:2\n")
    write(tmp_path, "sys/fs/cgroup/system.slice/pod:1:2/cpu.max", "100000 100000\n")
    assert cgroup_quota(tmp_path) == 1
