"""What a function takes is asked of Python once, and nothing is kept alive for it."""

from __future__ import annotations

import functools
import gc
import inspect
import weakref
from typing import Any

import pytest

from seqc.utils.signatures import signature


class Thing:
    def call(self, x: Any, *, mask: Any = None) -> Any: ...

    @classmethod
    def of_class(cls, x: Any) -> Any: ...


class Other(Thing):
    def call(self, x: Any, y: Any = 1) -> Any: ...  # type: ignore[override]


def plain(a: int, *b: int, **c: int) -> None: ...


@functools.wraps(plain)
def wrapped(*a: Any) -> None: ...


@pytest.mark.parametrize(
    "function",
    [plain, wrapped, Thing.call, Thing().call, Thing.of_class, Other().call, functools.partial(plain, 1), abs, Thing],
)
def test_it_is_what_python_says_each_time(function: Any) -> None:
    for _ in range(2):
        assert signature(function) == inspect.signature(function)


def test_a_function_that_takes_anothers_place_is_asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(signature(Thing().call).parameters) == ["x", "mask"]
    monkeypatch.setattr(Thing, "call", lambda self, z: z)
    assert list(signature(Thing().call).parameters) == ["z"]


def test_functions_are_let_go() -> None:
    def short(x: Any) -> Any: ...

    signature(short)
    gone = weakref.ref(short)
    del short
    gc.collect()
    assert gone() is None
