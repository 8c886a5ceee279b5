"""New versions under load: no request is lost, none is answered by a version that it did not ask for, none is kept."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("orjson", reason="the server speaks JSON with orjson")

from runtime_kit.effort import effort
from runtime_kit.serving_models import adder, job

from seqc_runtime.server.layout import Layout
from seqc_runtime.server.loading import Loader
from seqc_runtime.server.repository import Repository
from seqc_runtime.server.scheduling import Scheduler
from seqc_runtime.server.stats import Stats

CLIENTS = 20


def put(root: Path, version: int) -> None:
    folder = root / "m" / str(version)
    folder.mkdir(parents=True)
    (folder / "beside").write_bytes(adder(version))
    os.replace(folder / "beside", folder / "model.onnx")


@pytest.mark.parametrize(
    ("reloads", "requests"),
    [(8, 1000), pytest.param(effort(16, 50), effort(2500, 10_000), marks=pytest.mark.slow)],
    ids=["few", "many"],
)
@pytest.mark.parametrize(
    "inline", [300e-6, pytest.param(0.0, marks=pytest.mark.slow)], ids=["on the loop", "in threads"]
)
def test_requests_in_flight_over_reloads(tmp_path: Path, reloads: int, requests: int, inline: float) -> None:
    put(tmp_path, 1)
    repository = Repository(Layout((tmp_path,), None), Loader(Stats(), "cpu", 1), True)
    repository.load("m")
    seen: list[weakref.ref[Any]] = []
    answers: list[int] = []

    async def client(scheduler: Scheduler, reloading: asyncio.Task[None], number: int) -> None:
        random = np.random.default_rng(number)
        while len(answers) < requests or not reloading.done():
            servable = repository.get("m")
            x = random.integers(0, 1000, (1, 4)).astype(np.float32)
            (y,) = await scheduler.submit(job(servable, x))
            assert (y - x).tolist() == [[float(servable.version)] * 4]
            answers.append(servable.version)
            del servable
            await asyncio.sleep(random.random() * 0.002)

    async def reload(scheduler: Scheduler) -> None:
        for version in range(2, reloads + 2):
            seen.append(weakref.ref(repository.get("m")))
            put(tmp_path, version)
            await scheduler.call(repository.load, "m")
            shutil.rmtree(tmp_path / "m" / str(version - 1))

    async def main() -> None:
        scheduler = Scheduler(inline=inline)
        reloading = asyncio.ensure_future(reload(scheduler))
        await asyncio.gather(reloading, *(client(scheduler, reloading, number) for number in range(CLIENTS)))
        await scheduler.drain()
        await asyncio.sleep(0.2)

    asyncio.run(main())
    assert len(answers) >= requests
    assert repository.versions("m") == [reloads + 1]
    assert len(set(answers)) > reloads // 2
    gc.collect()
    assert not [ref for ref in seen if ref() is not None]
