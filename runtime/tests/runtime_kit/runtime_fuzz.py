"""Mutate models and arguments for some seconds; print what came out that is no SeqcRuntimeError.

python runtime_fuzz.py SEED SECONDS MODEL ...
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

import seqc_runtime

STRANGE: list[Any] = [
    None,
    True,
    3,
    -1,
    1.5,
    1j,
    "",
    "text",
    b"",
    b"bytes",
    (),
    [],
    {},
    [[]],
    {"x": None},
    {3: 4},
    object(),
    slice(1),
    ...,
    np.float32(1),
    np.array(None),
    np.array([None]),
    np.array("a"),
    np.empty(0),
    np.empty((0, 4)),
    np.ones((1, 4)),
    np.ones((2, 5, 2)),
    np.ones((1, 4)) * 1j,
    np.array([np.nan] * 4)[None],
    np.ma.masked_all((1, 4)),  # type: ignore[no-untyped-call]
    np.array([1, "a"]),
    np.ones((1, 4), ">f4"),
    np.zeros((1, 4), "M8[s]"),
    np.zeros(1, [("a", "f4")]),
    np.ones((1,) * 32),
    [np.ones((1, 4))] * 2,
    np.broadcast_to(np.float32(1), (3, 4)),
    np.array(["\ud800"], object),
    np.array([10**30], object),
    lambda: 1,
    range(4),
    memoryview(b"abcd"),
    "a\0b",
    "\ud800",
    Path("/"),
    Path("nowhere"),
    iter([1]),
    np.matrix("1 2 3 4"),
    {"x": np.ones((1, 4))},
]


def mutated(data: bytes, source: random.Random) -> bytes:
    """Bytes that were flipped, cut, repeated or written over."""
    bytes_ = bytearray(data)
    for _ in range(source.choice((1, 1, 1, 2, 4, 16))):
        at = source.randrange(len(bytes_) or 1)
        kind = source.randrange(5)
        if kind == 0 and bytes_:
            bytes_[at] ^= 1 << source.randrange(8)
        elif kind == 1 and bytes_:
            bytes_[at] = source.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            del bytes_[at : at + source.randrange(1, 9)]
        elif kind == 3:
            bytes_[at:at] = bytes_[at : at + source.randrange(1, 9)]
        else:
            del bytes_[at:]
    return bytes(bytes_)


def use(model: seqc_runtime.Model) -> None:
    """Call a model in every way, on inputs that suit it and on none."""
    for call in (
        lambda: model.warm_up(),
        lambda: model.run({}),
        lambda: model.predict(np.ones((1, 4), np.float32)),
        lambda: model.predict(np.empty((0, 4), np.float32)),
        lambda: list(model.predict_iter(np.ones((3, 4)), 2)),
        lambda: (repr(model), model.placement, model.metadata),
    ):
        attempt(call)


def misuse(model: seqc_runtime.Model, x: Any, y: Any) -> None:
    """Give a model what it has no use for."""
    for call in (
        lambda: model.predict(x, y),
        lambda: model.predict(x),
        lambda: model.predict({"x": x}),
        lambda: model.predict([x, y]),
        lambda: model.run(x, y),
        lambda: model.run({"x": x}),
        lambda: model.run({"x": x}, [y]),
        lambda: model.run({"x": np.ones((1, 4), np.float32)}, control=x),
        lambda: list(islice(model.predict_iter(x, y), 9)),
        lambda: list(islice(model.predict_iter(x, 3), 9)),
        lambda: model.warm_up(x),
    ):
        attempt(call)


def misload(data: bytes, x: Any, y: Any) -> None:
    """Load with what cannot be an argument."""
    for call in (
        lambda: seqc_runtime.load(x),
        lambda: seqc_runtime.load(data, device=x),
        lambda: seqc_runtime.load(data, device="cpu", threads=x),
        lambda: seqc_runtime.load(data, device="cpu", threads=1, spinning=x, tf32=y),
    ):
        attempt(call)


def attempt(call: Callable[[], object]) -> None:
    try:
        call()
    except seqc_runtime.SeqcRuntimeError as error:
        str(error)


def _use_bytes(data: bytes) -> None:
    use(seqc_runtime.load(data, device="cpu", threads=1))


def main(seed: int, seconds: float, paths: list[str]) -> None:
    source = random.Random(seed)
    models = [Path(path).read_bytes() for path in paths]
    whole = [seqc_runtime.load(data, device="cpu", threads=1) for data in models]
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        count += 1
        kind, x, y = source.randrange(3), source.choice(STRANGE), source.choice(STRANGE)
        # What a crash leaves behind.
        Path("last").write_text(f"{seed} {count} {kind} {x!r} {y!r}", errors="replace")
        if kind == 0:
            changed = mutated(source.choice(models), source)
            Path("last.onnx").write_bytes(changed)
            attempt(partial(_use_bytes, changed))
        elif kind == 1:
            misuse(source.choice(whole), x, y)
        else:
            misload(models[0], x, y)
    print(count)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
